//! The same search over an account that has two passwords, a primary and a second one, as MySQL and MariaDB keep them: the
//! second is what AWSCURRENT was, until its grace is over. With rollbacks, graces that a person ends, AWSCURRENT set again,
//! and a process that dies between any two statements.
//!
//! One driver: that no statement of another one lands is what the first search is about.

use std::collections::BTreeSet;

use engine::outcome::{Done, Proof, StepError, Verdict};
use engine::port::Abilities;
use engine::rotation::{Event, Moment, Outcome, Rotation, Run, Step, Write, step};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::world::{doomsday, epoch, secret, token, without_counters};

type Value = u8;
type Version = u8;

/// What the rotator knows; a rule is switched off to see that the search finds what it is there for.
#[derive(Clone, Copy)]
struct Rules {
    /// RETAIN is said only where AWSCURRENT is the primary: repeated, it would evict AWSCURRENT.
    looks_who_is_primary: bool,
    rotations: u8,
    faults: u8,
    users: u8,
}

const SOUND: Rules = Rules { looks_who_is_primary: true, rotations: 4, faults: 4, users: 2 };

/// One statement of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Statement {
    /// ALTER USER … IDENTIFIED BY value: the second password stays.
    Set(Value),
    /// The same RETAIN CURRENT PASSWORD: the primary becomes the second one.
    Retain(Value),
    /// DISCARD OLD PASSWORD.
    Discard,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    rotation: Rotation,
    /// None is a placeholder.
    versions: Vec<Option<Value>>,
    current: Version,
    previous: Option<Version>,
    pending: Option<Version>,
    candidates: BTreeSet<Value>,
    values: Value,
    /// A driver is in this step, with what it read when that began.
    act: Option<(Step, Run)>,
    primary: Value,
    second: Option<Value>,
    /// A user moved AWSCURRENT by hand: whether it logs in, and what else does, is theirs to know until it is proven.
    users_word: bool,
    /// A user called the end of a grace off.
    called_off: bool,
    /// Retire has ended the second password, whether its answer came or not.
    retired: bool,
    rotations: u8,
    faults: u8,
    users: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Request,
    Rollback,
    Reconcile,
    EndGrace,
    Claim,
    Act,
    /// The process dies after so many statements of the step.
    Crash(u8),
    /// So many statements were carried out, and no answer came.
    LoseReply(u8),
    Reject,
    MoveCurrentToPrevious,
    /// The JSON around the password is edited: another version with the same password.
    PlainWrite,
    RemovePending,
    Abandon,
    Resume,
}

impl World {
    fn value_of(&self, version: Version) -> Option<Value> {
        self.versions[usize::from(version)]
    }

    fn current_value(&self) -> Value {
        self.value_of(self.current).expect("AWSCURRENT has a value")
    }

    fn logs_in(&self, value: Value) -> bool {
        self.primary == value || self.second == Some(value)
    }

    fn index(token: &str) -> Version {
        token[6..].parse().expect("an index")
    }

    fn apply(&mut self, event: Event) {
        let at = Moment {
            now: if matches!(event, Event::Leased) { doomsday() } else { epoch() },
            jitter: 0.0,
            next_window: None,
            abilities: Abilities { retires_after: Some(60), retires_retained: true, ..Abilities::default() },
            current: Some(token(self.current)),
            previous: self.previous.map(token),
            fresh: token(99),
        };
        let Ok(decision) = step(&self.rotation, event, &at) else { return };
        let begins = decision.writes.iter().any(|write| matches!(write, Write::Placeholder));
        let run = self.rotation.run().filter(|_| !begins).or(decision.next.run());
        let version = run.map(|run| Self::index(run.token.as_str()));
        for write in decision.writes {
            self.write(write, version.expect("a rotation writes"));
        }
        self.rotation = without_counters(decision.next);
        if let (Some(act), Some(run)) = (decision.act, self.rotation.run()) {
            self.act = Some((act, run.clone()));
        }
    }

    fn write(&mut self, write: Write, version: Version) {
        match write {
            Write::Placeholder => {
                self.versions.push(None);
                self.pending = Some(version);
            }
            Write::Seal { value, .. } => {
                let value = value.expose()[0];
                self.versions[usize::from(version)] = Some(value);
                self.candidates.insert(value);
            }
            Write::SealCurrent => drop(self.candidates.insert(self.current_value())),
            Write::Promote => {
                self.move_current(version);
                self.pending = None;
                self.resolve();
            }
            Write::Resolve => self.resolve(),
            Write::DropPending => self.pending = self.pending.filter(|pending| *pending != version),
            Write::DropPlaceholder if self.value_of(version).is_none() => {
                self.pending = self.pending.filter(|pending| *pending != version);
            }
            Write::DropPlaceholder => {}
            Write::Note { kind, .. } => self.called_off |= kind == "called-off",
            Write::Copy(_) | Write::DropCopy(_) => unreachable!("it proves without a copy"),
        }
    }

    /// What remains of the secret's candidates is what the target has as its primary.
    fn resolve(&mut self) {
        self.candidates = BTreeSet::from([self.current_value()]);
        self.users_word = false;
    }

    fn move_current(&mut self, to: Version) {
        if self.current != to {
            self.previous = Some(self.current);
            self.current = to;
        }
    }

    /// The statements of a step, decided from what the server's catalogue shows: both passwords.
    fn plan(&self, rules: Rules, act: Step, run: &Run) -> Vec<Statement> {
        let current = self.current_value();
        match act {
            Step::Set => {
                let wanted = self.value_of(Self::index(run.token.as_str())).expect("sealed before it is set");
                if wanted == current || self.primary == wanted && rules.looks_who_is_primary {
                    return vec![];
                }
                // Where AWSCURRENT is the second one already (after a first candidate), it stays there.
                match self.primary == current || !rules.looks_who_is_primary {
                    true => vec![Statement::Retain(wanted)],
                    false => vec![Statement::Set(wanted)],
                }
            }
            Step::Restore | Step::Retire => {
                let kept = self.in_its_grace(run).filter(|_| act == Step::Restore);
                if kept == Some(self.primary) {
                    return vec![Statement::Retain(current)];
                }
                let back = (self.primary != current).then_some(Statement::Set(current));
                let ended = self.second.filter(|second| kept != Some(*second)).map(|_| Statement::Discard);
                back.into_iter().chain(ended).collect()
            }
            _ => vec![],
        }
    }

    /// A rollback into a grace: what it carries goes on logging in until that is over, also where it is given up.
    fn in_its_grace(&self, run: &Run) -> Option<Value> {
        let retiring = run.retiring.as_ref().filter(|_| run.retiring == run.carries)?;
        self.value_of(Self::index(retiring.as_str()))
    }

    fn run_first(&mut self, statements: &[Statement], count: usize) {
        for statement in statements.iter().take(count) {
            match *statement {
                Statement::Set(value) => self.primary = value,
                Statement::Retain(value) => (self.second, self.primary) = (Some(self.primary), value),
                Statement::Discard => self.second = None,
            }
        }
    }

    fn answer(&self, act: Step, run: &Run) -> Outcome {
        let version = Self::index(run.token.as_str());
        let done = |retains| Outcome::Done(Done { retains, ..Done::default() });
        match act {
            Step::Create => {
                let carried = run.carries.as_ref().and_then(|version| self.value_of(Self::index(version.as_str())));
                Outcome::Created(secret(carried.unwrap_or(self.values + 1)), Done::default())
            }
            Step::Set => done(self.second == Some(self.current_value())),
            Step::Test if !self.value_of(version).is_some_and(|value| self.logs_in(value)) => failed(Verdict::Rejected),
            Step::Prove => {
                let current = self.current_value();
                let previous = self.in_its_grace(run);
                let is_left =
                    |second| second != current && previous != Some(second) && self.candidates.contains(&second);
                let left = self.second.is_some_and(is_left);
                match self.primary == current && !left {
                    true => Outcome::Proved(Proof::CurrentLogsIn),
                    false => Outcome::Proved(Proof::CanRestore { held: None }),
                }
            }
            _ => done(false),
        }
    }

    fn carry_out(&mut self, rules: Rules, count: Option<u8>) -> Option<(Step, Run)> {
        let (act, run) = self.act.clone()?;
        let statements = self.plan(rules, act, &run);
        let count = count.map_or(statements.len(), usize::from);
        self.run_first(&statements, count);
        self.retired = (self.retired || act == Step::Retire) && self.second.is_none();
        Some((act, run))
    }

    fn report(&mut self, act: Step, outcome: Outcome) {
        self.act = None;
        if matches!(outcome, Outcome::Created(..)) && self.rotation.run().is_none_or(|run| run.carries.is_none()) {
            self.values += 1;
        }
        self.apply(Event::Ended { step: act, outcome });
    }
}

fn failed(verdict: Verdict) -> Outcome {
    Outcome::Failed(StepError::new(verdict, "m", "m"))
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
            values: 1,
            act: None,
            primary: 1,
            second: None,
            users_word: false,
            called_off: false,
            retired: false,
            rotations: self.rotations,
            faults: self.faults,
            users: self.users,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let open = world.rotation != Rotation::Idle;
        if world.rotations > 0 && world.rotation.takes_request() {
            actions.push(Action::Request);
            if world.previous.is_some() {
                actions.push(Action::Rollback);
            }
        }
        match &world.act {
            None if open && !matches!(world.rotation, Rotation::Parked { .. }) => actions.push(Action::Claim),
            None => {}
            Some((act, run)) => {
                actions.push(Action::Act);
                if world.faults > 0 {
                    for count in 0..=u8::try_from(world.plan(*self, *act, run).len()).expect("few statements") {
                        actions.extend([Action::Crash(count), Action::LoseReply(count)]);
                    }
                    actions.extend((*act == Step::Set).then_some(Action::Reject));
                }
            }
        }
        if matches!(world.rotation, Rotation::Parked { .. }) {
            actions.push(Action::Resume);
        }
        if world.users > 0 {
            actions.extend((!open).then_some(Action::Reconcile));
            actions.extend(open.then_some(Action::Abandon));
            actions.extend(open.then_some(Action::EndGrace));
            actions.push(Action::PlainWrite);
            actions.extend(world.previous.map(|_| Action::MoveCurrentToPrevious));
            actions.extend(world.pending.map(|_| Action::RemovePending));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.faults -= u8::from(matches!(action, Action::Crash(_) | Action::LoseReply(_) | Action::Reject));
        next.users -= u8::from(matches!(
            action,
            Action::Reconcile
                | Action::Abandon
                | Action::EndGrace
                | Action::MoveCurrentToPrevious
                | Action::PlainWrite
                | Action::RemovePending
        ));
        let (by, window_ends) = ("m".to_owned(), doomsday());
        let fresh = token(u8::try_from(next.versions.len()).expect("few versions"));
        match action {
            Action::Request => {
                next.rotations -= 1;
                next.apply(Event::Requested { token: fresh, by, window_ends });
            }
            Action::Rollback => {
                next.rotations -= 1;
                let carries = token(world.previous?);
                next.apply(Event::RollbackRequested { token: fresh, by, window_ends, carries });
            }
            Action::Reconcile => next.apply(Event::ReconcileRequested { by, window_ends }),
            Action::EndGrace => next.apply(Event::GraceEnded { by }),
            Action::Claim => next.apply(Event::Leased),
            Action::Act => {
                let (act, run) = next.carry_out(*self, None)?;
                let outcome = next.answer(act, &run);
                next.report(act, outcome);
            }
            Action::Crash(count) => {
                next.carry_out(*self, Some(count))?;
                next.act = None;
            }
            Action::LoseReply(count) => {
                let (act, _) = next.carry_out(*self, Some(count))?;
                next.report(act, failed(Verdict::Unknown));
            }
            Action::Reject => next.report(Step::Set, failed(Verdict::Rejected)),
            Action::MoveCurrentToPrevious => {
                next.move_current(world.previous?);
                (next.users_word, next.called_off) = (true, true);
                next.apply(Event::Interfered { what: String::new() });
            }
            Action::PlainWrite => {
                next.versions.push(Some(next.current_value()));
                next.move_current(u8::try_from(next.versions.len() - 1).expect("few versions"));
                next.pending = None;
                next.apply(Event::Interfered { what: String::new() });
            }
            Action::RemovePending => {
                next.pending = None;
                next.apply(Event::Interfered { what: String::new() });
            }
            Action::Abandon => next.apply(Event::Abandoned),
            Action::Resume => next.apply(Event::Resumed { window_ends: doomsday() }),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no lockout: some value we know logs in", |_, world: &World| {
                let mut known = world.candidates.clone();
                known.extend(
                    [Some(world.current), world.previous].into_iter().flatten().filter_map(|v| world.value_of(v)),
                );
                known.iter().any(|value| world.logs_in(*value))
            }),
            Property::always("AWSCURRENT logs in, but where a user moved it to what was ended", |_, world: &World| {
                world.users_word || world.logs_in(world.current_value())
            }),
            Property::always("in its grace the old password logs in", |_, world: &World| {
                let Some(run) = world.rotation.run().filter(|run| run.promoted) else { return true };
                let old = run.retiring.as_ref().and_then(|version| world.value_of(World::index(version.as_str())));
                let waits = matches!(world.rotation, Rotation::Waiting { .. });
                !waits || world.users_word || world.retired || old.is_none_or(|old| world.logs_in(old))
            }),
            Property::always("when idle, nothing but AWSCURRENT logs in", |_, world: &World| {
                // The same password twice is what a process leaves behind that died while it put AWSCURRENT back.
                let alone = world.second.is_none_or(|second| second == world.current_value());
                world.rotation != Rotation::Idle || world.users_word || world.called_off || alone
            }),
            Property::sometimes("a rotation completes and the old password is ended", |_, world: &World| {
                world.rotation == Rotation::Idle && world.current > 0 && world.second.is_none()
            }),
            Property::sometimes("a rollback completes", |_, world: &World| {
                world.rotation == Rotation::Idle && world.current > 1 && world.current_value() == 1
            }),
        ]
    }
}

/// Searches everything and returns the names of the properties that were found broken.
#[expect(clippy::print_stderr, reason = "a failing search shows its path")]
fn broken(rules: Rules) -> Vec<&'static str> {
    let checker = rules.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let (completes, broken): (Vec<_>, Vec<_>) =
        discoveries.keys().copied().partition(|name| name.contains("completes"));
    assert!(!broken.is_empty() || completes.len() == 2, "it never came to an end: {completes:?}");
    for name in &broken {
        let path = checker.discovery(name).expect("it was discovered").into_actions();
        eprintln!("{name} is broken by {path:?}");
    }
    eprintln!("{} states, {broken:?}", checker.unique_state_count());
    broken
}

#[test]
fn an_account_with_two_passwords_never_refuses_awscurrent() {
    assert_eq!(broken(SOUND), Vec::<&str>::new());
}

#[test]
fn the_search_finds_awscurrent_evicted_when_nobody_looks_which_password_is_the_primary() {
    let broken = broken(Rules { looks_who_is_primary: false, ..SOUND });
    assert!(broken.iter().any(|name| name.starts_with("AWSCURRENT") || name.starts_with("no lockout")), "{broken:?}");
}
