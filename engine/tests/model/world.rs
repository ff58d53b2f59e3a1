//! The modelled store, lease and target, and what each action does to them.

use std::collections::BTreeSet;

use chrono::{TimeZone, Utc};
use engine::Time;
use engine::id::VersionId;
use engine::outcome::{Done, Proof, StepError, Verdict};
use engine::port::Abilities;
use engine::rotation::{Event, Moment, Outcome, Rotation, Step, Write, step};
use engine::secret::SecretBytes;

use crate::{Action, Fault, Rules};

/// A password. Each is fresh; 1 is what the account has in the beginning.
pub(crate) type Value = u8;
/// A version: its index among the versions ever made.
pub(crate) type Version = u8;

/// What a driver is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Act {
    pub(crate) fence: u8,
    pub(crate) step: Step,
    /// The value the step is about, read when it began.
    pub(crate) wanted: Value,
    /// For a changing step: the last look at the lease is done, the statement is on its way.
    pub(crate) checked: bool,
    /// The process is dead; only its statement may still arrive.
    pub(crate) ghost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) rotation: Rotation,
    /// The value of each version; None is a placeholder. A version's index never changes.
    pub(crate) versions: Vec<Option<Value>>,
    pub(crate) current: Version,
    pub(crate) previous: Option<Version>,
    pub(crate) pending: Option<Version>,
    /// Values that may be set on the target, kept by the store.
    pub(crate) candidates: BTreeSet<Value>,
    pub(crate) tokens: u8,
    pub(crate) values: u8,
    pub(crate) fence: u8,
    /// The driver holding the lease, dead or alive.
    pub(crate) holder: Option<u8>,
    pub(crate) drivers: [Option<Act>; 2],
    pub(crate) deleted: bool,
    /// The target.
    pub(crate) password: Value,
    pub(crate) proven: BTreeSet<Value>,
    pub(crate) user_written: BTreeSet<Value>,
    /// A user changed AWSCURRENT while nothing was open: whether it logs in is theirs to know.
    pub(crate) users_word: bool,
    /// Users wrote over the first value before any rotation was asked for: we were never told what the account has.
    pub(crate) told_wrong: bool,
    /// What the other end is at work on setting.
    pub(crate) job: Option<Value>,
    pub(crate) rotations: u8,
    pub(crate) faults: u8,
    pub(crate) users: u8,
    pub(crate) crashed: bool,
    pub(crate) stalled: bool,
    pub(crate) completed_after_both: bool,
}

pub(crate) fn epoch() -> Time {
    Utc.timestamp_opt(0, 0).single().expect("the epoch is a time")
}

pub(crate) fn doomsday() -> Time {
    Utc.timestamp_opt(4_000_000_000, 0).single().expect("2096 is a time")
}

pub(crate) fn moment(now: Time) -> Moment {
    let (abilities, fresh) = (Abilities::default(), token(99));
    Moment { now, jitter: 0.0, next_window: None, abilities, current: None, previous: None, fresh }
}

pub(crate) fn token(index: u8) -> VersionId {
    VersionId::new(format!("token-{index:026}")).expect("32 characters")
}

pub(crate) fn secret(value: Value) -> SecretBytes {
    SecretBytes::new(vec![value])
}

impl World {
    /// The two drivers are alike: a state and its mirror image are one.
    pub(crate) fn canonical(mut self) -> Self {
        let rank = |driver: u8| (self.holder == Some(driver), self.drivers[usize::from(driver)].map(rank_of));
        if rank(0) < rank(1) {
            self.drivers.swap(0, 1);
            self.holder = self.holder.map(|driver| 1 - driver);
        }
        self
    }

    pub(crate) fn value_of(&self, version: Version) -> Option<Value> {
        self.versions[usize::from(version)]
    }

    pub(crate) fn current_value(&self) -> Value {
        self.value_of(self.current).expect("AWSCURRENT has a value")
    }

    /// The version the open rotation is making.
    pub(crate) fn open_version(&self) -> Option<Version> {
        let run = self.rotation.run()?;
        let text = run.token.as_str();
        text[6..].parse().ok()
    }

    /// Everything the store could offer to a login: labelled versions and unresolved candidates.
    pub(crate) fn known(&self) -> BTreeSet<Value> {
        let labelled = [Some(self.current), self.previous, self.pending];
        let mut known = self.candidates.clone();
        known.extend(labelled.into_iter().flatten().filter_map(|version| self.value_of(version)));
        known
    }

    /// Runs the real machine and applies its writes, as the store does in one transaction.
    pub(crate) fn apply(&mut self, event: Event, now: Time) -> Option<Option<Step>> {
        let decision = step(&self.rotation, event, &moment(now)).ok()?;
        let version = self.open_version();
        for write in decision.writes {
            self.write(write, version);
        }
        self.rotation = without_counters(decision.next);
        Some(decision.act)
    }

    pub(crate) fn write(&mut self, write: Write, version: Option<Version>) {
        match write {
            Write::Placeholder => {
                self.versions.push(None);
                self.pending = Some(u8::try_from(self.versions.len() - 1).expect("few versions"));
            }
            Write::Copy(_) => {
                self.versions.push(Some(self.current_value()));
                self.pending = Some(u8::try_from(self.versions.len() - 1).expect("few versions"));
            }
            Write::DropCopy(_) => {
                let version = version.expect("open");
                self.pending = self.pending.filter(|pending| *pending != version);
                let labelled = self.current == version || self.previous == Some(version);
                // Its number is free again: nothing of it is left.
                if !labelled && usize::from(version) == self.versions.len() - 1 {
                    self.versions.pop();
                } else if !labelled {
                    self.versions[usize::from(version)] = None;
                }
            }
            Write::Seal { value, .. } => {
                let (version, value) = (version.expect("open"), value.expose()[0]);
                self.versions[usize::from(version)] = Some(value);
                self.candidates.insert(value);
            }
            Write::SealCurrent => {
                self.candidates.insert(self.current_value());
            }
            Write::Promote => {
                let version = version.expect("open");
                if self.current != version {
                    self.previous = Some(self.current);
                }
                self.current = version;
                self.pending = None;
                self.candidates = BTreeSet::from([self.current_value()]);
                (self.users_word, self.told_wrong) = (false, false);
                self.completed_after_both |= self.crashed && self.stalled;
            }
            Write::Resolve => {
                self.candidates = BTreeSet::from([self.current_value()]);
                (self.users_word, self.told_wrong) = (false, false);
            }
            Write::DropPending => self.pending = self.pending.filter(|pending| Some(*pending) != version),
            Write::DropPlaceholder => {
                let empty = version.is_some_and(|version| self.value_of(version).is_none());
                if empty {
                    self.pending = self.pending.filter(|pending| Some(*pending) != version);
                }
            }
            Write::Note { .. } => {}
        }
    }

    /// The next act of the driver that holds the lease, or the lease given back.
    pub(crate) fn go_on(&mut self, driver: u8, act: Option<Step>) {
        let act = match act {
            Some(step) => Some(step),
            None => self.apply(Event::Leased, doomsday()).flatten(),
        };
        self.drivers[usize::from(driver)] = act.map(|step| self.begin(step));
        if act.is_none() {
            self.holder = None;
        }
    }

    pub(crate) fn begin(&self, step: Step) -> Act {
        let wanted = match step {
            Step::Create => self.values + 1,
            _ if self.rotation.run().is_some_and(|run| run.trial) => self.current_value(),
            Step::Set | Step::Test | Step::Finish => self
                .open_version()
                .and_then(|version| self.value_of(version))
                .expect("a version past Create has a value"),
            Step::Prove | Step::Restore | Step::Retire | Step::Revoke => self.current_value(),
        };
        Act { fence: self.fence, step, wanted, checked: false, ghost: false }
    }

    pub(crate) fn holds(&self, driver: u8, act: Act) -> bool {
        self.holder == Some(driver) && act.fence == self.fence && !self.deleted
    }

    /// The report of an act: refused when the lease is gone, and then the driver stops.
    pub(crate) fn report(&mut self, driver: u8, act: Act, outcome: Outcome) {
        if !self.holds(driver, act) {
            self.drivers[usize::from(driver)] = None;
            if self.deleted && self.holder == Some(driver) {
                self.holder = None;
            }
            return;
        }
        let next = self.apply(Event::Ended { step: act.step, outcome }, epoch());
        self.go_on(driver, next.flatten());
    }

    /// May a changing statement of this act still take effect? The target's own limits end the session with
    /// the lease.
    pub(crate) fn may_land(&self, rules: Rules, driver: u8, act: Act) -> bool {
        !rules.fenced || (self.holder == Some(driver) && act.fence == self.fence)
    }

    pub(crate) fn interrupt(&mut self) {
        self.apply(Event::Interfered { what: String::new() }, epoch());
    }

    /// AWSCURRENT was moved.
    pub(crate) fn interfere(&mut self) {
        self.interrupt();
        // Where nothing was ever sent there is nothing for us to prove.
        self.users_word |= self.rotation == Rotation::Idle;
        self.told_wrong |= self.tokens == 0 && self.current_value() != self.password;
    }

    pub(crate) fn succeed(&mut self, rules: Rules, driver: u8, act: Act) {
        if rules.ends_jobs && act.step != Step::Create && act.step != Step::Finish {
            self.password = self.job.take().unwrap_or(self.password);
        }
        let outcome = match act.step {
            Step::Create => {
                self.values += 1;
                Outcome::Created(secret(act.wanted), Done::default())
            }
            Step::Set | Step::Restore => {
                self.job = None;
                self.password = act.wanted;
                Outcome::Done(Done::default())
            }
            Step::Test if self.password == act.wanted => {
                self.proven.insert(act.wanted);
                Outcome::Done(Done::default())
            }
            Step::Test => Outcome::Failed(StepError::new(Verdict::Rejected, "m", "m")),
            Step::Finish => Outcome::Done(Done::default()),
            Step::Prove if self.password == act.wanted => {
                self.proven.insert(act.wanted);
                Outcome::Proved(Proof::CurrentLogsIn)
            }
            Step::Prove => Outcome::Proved(Proof::CanRestore { held: None }),
            Step::Retire | Step::Revoke => unreachable!("no rotator of the model does that"),
        };
        self.report(driver, act, outcome);
    }

    pub(crate) fn fail(&mut self, rules: Rules, driver: u8, act: Act, fault: Fault) {
        let verdict = match fault {
            Fault::LostRequest | Fault::LostReply => Verdict::Unknown,
            Fault::Rejected => Verdict::Rejected,
            Fault::Unreachable => Verdict::Retry,
            Fault::InProgress => Verdict::InProgress,
        };
        if fault == Fault::Rejected {
            self.job = None;
        }
        if fault == Fault::InProgress && self.may_land(rules, driver, act) {
            self.job = Some(act.wanted);
        }
        if fault == Fault::LostReply && self.may_land(rules, driver, act) {
            self.password = act.wanted;
        }
        self.report(driver, act, Outcome::Failed(StepError::new(verdict, "m", "m")));
    }
}

/// Counters that only stretch delays would make the search endless.
pub(crate) fn without_counters(rotation: Rotation) -> Rotation {
    let clean = |mut run: engine::rotation::Run| {
        (run.attempt, run.returns, run.restores, run.issued, run.stored, run.kept) = (0, 0, 0, 0, 0, 0);
        run.sets = run.sets.min(1);
        run
    };
    match rotation {
        Rotation::Idle => Rotation::Idle,
        Rotation::Waiting { run, step, .. } => Rotation::Waiting { run: clean(run), step, not_before: epoch() },
        Rotation::Acting { run, step } => Rotation::Acting { run: clean(run), step },
        Rotation::Parked { run, step, reason } => Rotation::Parked { run: clean(run), step, reason },
    }
}

pub(crate) fn rank_of(act: Act) -> (u8, u8, u8, bool, bool) {
    (act.fence, act.step as u8, act.wanted, act.checked, act.ghost)
}

pub(crate) fn changes_target(step: Step) -> bool {
    matches!(step, Step::Set | Step::Restore)
}

impl World {
    pub(crate) fn request(&mut self) {
        self.rotations -= 1;
        self.tokens = u8::try_from(self.versions.len()).expect("few versions");
        let request = Event::Requested { token: token(self.tokens), by: "m".to_owned(), window_ends: doomsday() };
        // The version is the token's index, which the placeholder takes.
        self.apply(request, epoch());
    }

    pub(crate) fn user(&mut self, action: Action) {
        if !matches!(action, Action::Undelete | Action::Resume) {
            self.users -= 1;
        }
        match action {
            Action::PlainWrite => {
                self.values += 1;
                self.user_written.insert(self.values);
                self.versions.push(Some(self.values));
                self.move_current(u8::try_from(self.versions.len() - 1).expect("few versions"));
                self.pending = None;
                self.interfere();
            }
            Action::MoveCurrentToPending => {
                let version = self.pending.expect("offered only then");
                // A person who moves the label vouches for the value.
                self.user_written.extend(self.value_of(version));
                self.move_current(version);
                self.interfere();
            }
            Action::MoveCurrentToPrevious => {
                let version = self.previous.expect("offered only then");
                self.move_current(version);
                self.interfere();
            }
            Action::RemovePending => {
                self.pending = None;
                self.interrupt();
            }
            Action::Cancel => self.interrupt(),
            Action::RequestTrial => {
                let version = u8::try_from(self.versions.len()).expect("few versions");
                let (by, window_ends) = ("m".to_owned(), doomsday());
                self.apply(Event::TrialRequested { token: token(version), by, window_ends }, epoch());
            }
            Action::Abandon => drop(self.apply(Event::Abandoned, epoch())),
            Action::Resume => drop(self.apply(Event::Resumed { window_ends: doomsday() }, epoch())),
            Action::Delete => {
                self.deleted = true;
                if self.rotation.run().is_some_and(|run| run.trial) {
                    self.interrupt();
                }
            }
            Action::Undelete => self.deleted = false,
            _ => unreachable!("not a user's action"),
        }
    }

    pub(crate) fn move_current(&mut self, to: Version) {
        if self.current != to {
            self.previous = Some(self.current);
            self.current = to;
        }
    }
}
