//! An exhaustive search of the rotation machine: two drivers on one secret and a model target with an admin
//! login, under crashes at any point, stalls past the lease, lost requests, lost replies, rejected values and
//! users who write, move labels, cancel, delete and give up in the middle.
//!
//! The machine under search is `engine::rotation::step` itself; the store, the lease and the target are
//! modelled here. Time is left out: everything that waits is due.

use std::collections::BTreeSet;

use chrono::{TimeZone, Utc};
use engine::Time;
use engine::id::VersionId;
use engine::outcome::{Done, Proof, StepError, Verdict};
use engine::rotation::{Event, Moment, Outcome, Rotation, Step, Write, step};
use engine::secret::SecretBytes;
use stateright::{Checker, HasDiscoveries, Model, Property};

/// A password. Each is fresh; 1 is what the account has in the beginning.
type Value = u8;
/// A version: its index among the versions ever made.
type Version = u8;

#[derive(Clone, Copy)]
struct Rules {
    /// The lease is checked before the changing statement, and the target's own limits hold it to that.
    fenced: bool,
    /// A new token is refused while a candidate is unresolved.
    refuse_while_pending: bool,
    rotations: u8,
    faults: u8,
    users: u8,
}

const SOUND: Rules = Rules {
    fenced: true,
    refuse_while_pending: true,
    rotations: 3,
    faults: 4,
    users: 0,
};

/// What a driver is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Act {
    fence: u8,
    step: Step,
    /// The value the step is about, read when it began.
    wanted: Value,
    /// For a changing step: the last look at the lease is done, the statement is on its way.
    checked: bool,
    /// The process is dead; only its statement may still arrive.
    ghost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    rotation: Rotation,
    /// The value of each version; None is a placeholder. A version's index never changes.
    versions: Vec<Option<Value>>,
    current: Version,
    previous: Option<Version>,
    pending: Option<Version>,
    /// Values that may be set on the target, kept by the store.
    candidates: BTreeSet<Value>,
    tokens: u8,
    values: u8,
    fence: u8,
    /// The driver holding the lease, dead or alive.
    holder: Option<u8>,
    drivers: [Option<Act>; 2],
    deleted: bool,
    /// The target.
    password: Value,
    proven: BTreeSet<Value>,
    user_written: BTreeSet<Value>,
    /// A user changed AWSCURRENT while nothing was open: whether it logs in is theirs to know.
    users_word: bool,
    /// Users wrote over the first value before any rotation was asked for: we were never told what the account has.
    told_wrong: bool,
    rotations: u8,
    faults: u8,
    users: u8,
    crashed: bool,
    stalled: bool,
    completed_after_both: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    LostRequest,
    LostReply,
    Rejected,
    Unreachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Request,
    ForgetAndRequest,
    Claim(u8),
    Check(u8),
    Act(u8),
    Fail(u8, Fault),
    Crash(u8),
    CrashAfterEffect(u8),
    /// A ghost's statement arrives.
    GhostLands(u8),
    /// The lease of a living driver runs out under it.
    Stall(u8),
    /// The lease of a dead driver runs out.
    Lapse(u8),
    PlainWrite,
    MoveCurrentToPending,
    MoveCurrentToPrevious,
    RemovePending,
    Cancel,
    Abandon,
    Resume,
    Delete,
    Undelete,
}

fn epoch() -> Time {
    Utc.timestamp_opt(0, 0).single().expect("the epoch is a time")
}

fn doomsday() -> Time {
    Utc.timestamp_opt(4_000_000_000, 0).single().expect("2096 is a time")
}

fn moment(now: Time) -> Moment {
    Moment {
        now,
        jitter: 0.0,
        next_window: None,
    }
}

fn token(index: u8) -> VersionId {
    VersionId::new(format!("token-{index:026}")).expect("32 characters")
}

fn secret(value: Value) -> SecretBytes {
    SecretBytes::new(vec![value])
}

impl World {
    fn value_of(&self, version: Version) -> Option<Value> {
        self.versions[usize::from(version)]
    }

    fn current_value(&self) -> Value {
        self.value_of(self.current).expect("AWSCURRENT has a value")
    }

    /// The version the open rotation is making.
    fn open_version(&self) -> Option<Version> {
        let run = self.rotation.run()?;
        let text = run.token.as_str();
        text[6..].parse().ok()
    }

    /// Everything the store could offer to a login: labelled versions and unresolved candidates.
    fn known(&self) -> BTreeSet<Value> {
        let labelled = [Some(self.current), self.previous, self.pending];
        let mut known = self.candidates.clone();
        known.extend(
            labelled
                .into_iter()
                .flatten()
                .filter_map(|version| self.value_of(version)),
        );
        known
    }

    /// Runs the real machine and applies its writes, as the store does in one transaction.
    fn apply(&mut self, event: Event, now: Time) -> Option<Option<Step>> {
        let decision = step(&self.rotation, event, moment(now)).ok()?;
        let version = self.open_version();
        for write in decision.writes {
            self.write(write, version);
        }
        self.rotation = without_counters(decision.next);
        Some(decision.act)
    }

    fn write(&mut self, write: Write, version: Option<Version>) {
        match write {
            Write::Placeholder => {
                self.versions.push(None);
                self.pending = Some(u8::try_from(self.versions.len() - 1).expect("few versions"));
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
    fn go_on(&mut self, driver: u8, act: Option<Step>) {
        let act = match act {
            Some(step) => Some(step),
            None => self.apply(Event::Leased, doomsday()).flatten(),
        };
        self.drivers[usize::from(driver)] = act.map(|step| self.begin(step));
        if act.is_none() {
            self.holder = None;
        }
    }

    fn begin(&self, step: Step) -> Act {
        let wanted = match step {
            Step::Create => self.values + 1,
            Step::Set | Step::Test | Step::Finish => self
                .open_version()
                .and_then(|version| self.value_of(version))
                .expect("a version past Create has a value"),
            Step::Prove | Step::Restore => self.current_value(),
        };
        Act {
            fence: self.fence,
            step,
            wanted,
            checked: false,
            ghost: false,
        }
    }

    fn holds(&self, driver: u8, act: Act) -> bool {
        self.holder == Some(driver) && act.fence == self.fence && !self.deleted
    }

    /// The report of an act: refused when the lease is gone, and then the driver stops.
    fn report(&mut self, driver: u8, act: Act, outcome: Outcome) {
        if !self.holds(driver, act) {
            self.drivers[usize::from(driver)] = None;
            if self.deleted && self.holder == Some(driver) {
                self.holder = None;
            }
            return;
        }
        let next = self.apply(
            Event::Ended {
                step: act.step,
                outcome,
            },
            epoch(),
        );
        self.go_on(driver, next.flatten());
    }

    /// May a changing statement of this act still take effect? The target's own limits end the session with
    /// the lease.
    fn may_land(&self, rules: Rules, driver: u8, act: Act) -> bool {
        !rules.fenced || (self.holder == Some(driver) && act.fence == self.fence)
    }

    fn interfere(&mut self) {
        self.apply(Event::Interfered { what: String::new() }, epoch());
        // Where nothing was ever sent there is nothing for us to prove.
        self.users_word |= self.rotation == Rotation::Idle;
        self.told_wrong |= self.tokens == 0 && self.current_value() != self.password;
    }

    fn succeed(&mut self, driver: u8, act: Act) {
        let outcome = match act.step {
            Step::Create => {
                self.values += 1;
                Outcome::Created(secret(act.wanted))
            }
            Step::Set | Step::Restore => {
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
            Step::Prove => Outcome::Proved(Proof::CanRestore),
        };
        self.report(driver, act, outcome);
    }

    fn fail(&mut self, rules: Rules, driver: u8, act: Act, fault: Fault) {
        let verdict = match fault {
            Fault::LostRequest | Fault::LostReply => Verdict::Unknown,
            Fault::Rejected => Verdict::Rejected,
            Fault::Unreachable => Verdict::Retry,
        };
        if fault == Fault::LostReply && self.may_land(rules, driver, act) {
            self.password = act.wanted;
        }
        self.report(driver, act, Outcome::Failed(StepError::new(verdict, "m", "m")));
    }
}

/// Counters that only stretch delays would make the search endless.
fn without_counters(rotation: Rotation) -> Rotation {
    let clean = |mut run: engine::rotation::Run| {
        (run.attempt, run.sets) = (0, run.sets.min(1));
        run
    };
    match rotation {
        Rotation::Idle => Rotation::Idle,
        Rotation::Waiting { run, step, .. } => Rotation::Waiting {
            run: clean(run),
            step,
            not_before: epoch(),
        },
        Rotation::Acting { run, step } => Rotation::Acting { run: clean(run), step },
        Rotation::Parked { run, step, reason } => Rotation::Parked {
            run: clean(run),
            step,
            reason,
        },
    }
}

fn changes_target(step: Step) -> bool {
    matches!(step, Step::Set | Step::Restore)
}

impl Model for Rules {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            rotation: Rotation::Idle,
            versions: vec![Some(1)],
            current: 0,
            previous: None,
            pending: None,
            candidates: BTreeSet::new(),
            tokens: 0,
            values: 1,
            fence: 0,
            holder: None,
            drivers: [None, None],
            deleted: false,
            password: 1,
            proven: BTreeSet::from([1]),
            user_written: BTreeSet::new(),
            users_word: false,
            told_wrong: false,
            rotations: self.rotations,
            faults: self.faults,
            users: self.users,
            crashed: false,
            stalled: false,
            completed_after_both: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let idle = world.rotation == Rotation::Idle;
        if world.rotations > 0 && !world.deleted {
            if idle {
                actions.push(Action::Request);
            } else if !self.refuse_while_pending {
                actions.push(Action::ForgetAndRequest);
            }
        }
        for driver in 0..2 {
            driver_actions(world, driver, actions);
        }
        if world.users > 0 && !world.deleted {
            actions.extend([Action::PlainWrite, Action::Delete]);
            if !idle {
                actions.extend([Action::Cancel, Action::Abandon]);
            }
            if world.pending.is_some() {
                actions.push(Action::RemovePending);
            }
            if world.pending.is_some_and(|version| world.value_of(version).is_some()) {
                actions.push(Action::MoveCurrentToPending);
            }
            if world.previous.is_some() {
                actions.push(Action::MoveCurrentToPrevious);
            }
        }
        if matches!(world.rotation, Rotation::Parked { .. }) && !world.deleted {
            actions.push(Action::Resume);
        }
        if world.deleted {
            actions.push(Action::Undelete);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        let acting = |driver: u8| last.drivers[usize::from(driver)].expect("only of a driver that acts");
        match action {
            Action::Request => world.request(),
            Action::ForgetAndRequest => {
                world.rotation = Rotation::Idle;
                world.candidates.clear();
                world.pending = None;
                world.request();
            }
            Action::Claim(driver) => {
                world.fence += 1;
                world.holder = Some(driver);
                world.go_on(driver, None);
            }
            Action::Check(driver) => {
                let act = acting(driver);
                let lost = self.fenced && !world.holds(driver, act);
                world.drivers[usize::from(driver)] = (!lost).then_some(Act { checked: true, ..act });
            }
            Action::Act(driver) => {
                let act = acting(driver);
                if changes_target(act.step) && !world.may_land(*self, driver, act) {
                    world.drivers[usize::from(driver)] = None;
                } else {
                    world.succeed(driver, act);
                }
            }
            Action::Fail(driver, fault) => {
                world.faults -= 1;
                world.fail(*self, driver, acting(driver), fault);
            }
            Action::Crash(driver) => {
                let act = acting(driver);
                (world.faults, world.crashed) = (world.faults - 1, true);
                world.drivers[usize::from(driver)] =
                    (changes_target(act.step) && act.checked).then_some(Act { ghost: true, ..act });
            }
            Action::CrashAfterEffect(driver) => {
                let act = acting(driver);
                (world.faults, world.crashed) = (world.faults - 1, true);
                if world.may_land(*self, driver, act) {
                    world.password = act.wanted;
                }
                world.drivers[usize::from(driver)] = None;
            }
            Action::GhostLands(driver) => {
                let act = acting(driver);
                if world.may_land(*self, driver, act) {
                    world.password = act.wanted;
                }
                world.drivers[usize::from(driver)] = None;
            }
            Action::Stall(_) => {
                (world.faults, world.stalled) = (world.faults - 1, true);
                world.holder = None;
            }
            Action::Lapse(driver) => {
                world.holder = None;
                // The session died with the lease, and the ghost's statement with it.
                if self.fenced {
                    world.drivers[usize::from(driver)] = None;
                }
            }
            user => world.user(user),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no lockout: some value we know logs in", |_, world: &World| {
                world.told_wrong || world.known().contains(&world.password)
            }),
            Property::always("AWSCURRENT was tested", |_, world: &World| {
                let current = world.current_value();
                world.proven.contains(&current) || world.user_written.contains(&current)
            }),
            Property::always("when idle, AWSCURRENT logs in", |_, world: &World| {
                world.rotation != Rotation::Idle || world.users_word || world.password == world.current_value()
            }),
            Property::always("no unresolved candidate is forgotten", |_, world: &World| {
                let changing = world.drivers.iter().flatten().filter(|act| changes_target(act.step));
                let held = changing.filter(|act| world.fence == act.fence && world.holder.is_some());
                let sent_are_kept = held
                    .map(|act| act.wanted)
                    .all(|value| world.candidates.contains(&value));
                // Whatever labels say: what the target holds is kept from the first rotation on.
                let held_is_kept = world.tokens == 0 || world.told_wrong || world.candidates.contains(&world.password);
                let idle_means_resolved =
                    world.rotation != Rotation::Idle || world.users_word || world.candidates.len() <= 1;
                sent_are_kept && held_is_kept && idle_means_resolved
            }),
            Property::sometimes(
                "a rotation completes despite a crash and a stall",
                |_, world: &World| world.completed_after_both,
            ),
        ]
    }
}

impl World {
    fn request(&mut self) {
        self.rotations -= 1;
        self.tokens = u8::try_from(self.versions.len()).expect("few versions");
        let request = Event::Requested {
            token: token(self.tokens),
            by: "m".to_owned(),
            window_ends: doomsday(),
        };
        // The version is the token's index, which the placeholder takes.
        self.apply(request, epoch());
    }

    fn user(&mut self, action: Action) {
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
                self.interfere();
            }
            Action::Cancel => self.interfere(),
            Action::Abandon => drop(self.apply(Event::Abandoned, epoch())),
            Action::Resume => drop(self.apply(
                Event::Resumed {
                    window_ends: doomsday(),
                },
                epoch(),
            )),
            Action::Delete => self.deleted = true,
            Action::Undelete => self.deleted = false,
            _ => unreachable!("not a user's action"),
        }
    }

    fn move_current(&mut self, to: Version) {
        if self.current != to {
            self.previous = Some(self.current);
            self.current = to;
        }
    }
}

fn driver_actions(world: &World, driver: u8, actions: &mut Vec<Action>) {
    let Some(act) = world.drivers[usize::from(driver)] else {
        let due = matches!(world.rotation, Rotation::Waiting { .. } | Rotation::Acting { .. });
        if world.holder.is_none() && due && !world.deleted {
            actions.push(Action::Claim(driver));
        } else if world.holder == Some(driver) {
            actions.push(Action::Lapse(driver));
        }
        return;
    };
    if act.ghost {
        actions.push(Action::GhostLands(driver));
        if world.holder == Some(driver) {
            actions.push(Action::Lapse(driver));
        }
        return;
    }
    if changes_target(act.step) && !act.checked {
        actions.push(Action::Check(driver));
    } else {
        actions.push(Action::Act(driver));
    }
    if world.faults == 0 {
        return;
    }
    actions.push(Action::Crash(driver));
    if world.holder == Some(driver) {
        actions.push(Action::Stall(driver));
    }
    if act.step != Step::Create && act.step != Step::Finish {
        actions.push(Action::Fail(driver, Fault::Unreachable));
    }
    if changes_target(act.step) && act.checked {
        actions.extend([Action::CrashAfterEffect(driver), Action::Fail(driver, Fault::LostReply)]);
        actions.extend([
            Action::Fail(driver, Fault::LostRequest),
            Action::Fail(driver, Fault::Rejected),
        ]);
    }
}

/// Searches everything and returns the names of the properties that were found broken.
fn broken(rules: Rules) -> Vec<&'static str> {
    let checker = rules
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let sometimes = "a rotation completes despite a crash and a stall";
    let discoveries = checker.discoveries();
    let broken: Vec<_> = discoveries.keys().copied().filter(|name| *name != sometimes).collect();
    if broken.is_empty() {
        assert!(
            discoveries.contains_key(sometimes) || rules.faults < 2,
            "no rotation ever completed"
        );
    }
    for name in &broken {
        let path = checker.discovery(name).expect("it was discovered").into_actions();
        eprintln!("{name} is broken by {path:?}");
    }
    eprintln!("{} states, {:?}", checker.unique_state_count(), broken);
    broken
}

#[test]
fn three_rotations_with_four_faults_never_lock_out() {
    assert!(broken(SOUND).is_empty());
}

#[test]
fn users_in_the_middle_never_cause_a_lockout() {
    assert!(
        broken(Rules {
            rotations: 2,
            faults: 2,
            users: 2,
            ..SOUND
        })
        .is_empty()
    );
}

#[test]
fn one_user_event_with_three_rotations_and_three_faults_never_locks_out() {
    assert!(
        broken(Rules {
            faults: 3,
            users: 1,
            ..SOUND
        })
        .is_empty()
    );
}

#[test]
fn the_search_finds_the_lockout_when_the_lease_is_not_checked_before_the_statement() {
    let broken = broken(Rules { fenced: false, ..SOUND });
    assert!(
        broken
            .iter()
            .any(|name| name.starts_with("no lockout") || name.starts_with("when idle")),
        "{broken:?}"
    );
}

#[test]
fn the_search_finds_the_lockout_when_a_new_token_may_replace_an_unresolved_candidate() {
    let broken = broken(Rules {
        refuse_while_pending: false,
        ..SOUND
    });
    assert!(broken.iter().any(|name| name.starts_with("no lockout")), "{broken:?}");
}
