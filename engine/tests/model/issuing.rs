//! The same search over a receiver that issues credentials, revokes what nobody wants and retires the old one: it ends
//! credentials, so it must never end one that is wanted, and must leave none that nobody knows.
//!
//! One driver: a call's answer is waited for until its deadline, inside the lease, so nothing of it can land later.

use std::collections::{BTreeMap, BTreeSet};

use engine::outcome::{Done, Proof, StepError, Verdict};
use engine::port::Abilities;
use engine::rotation::{Event, Moment, Outcome, Rotation, Run, Step, Write, step};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::world::{doomsday, epoch, secret, token, without_counters};

type Value = u8;
type Version = u8;

struct Issuing {
    revokes: bool,
    rotations: u8,
    faults: u8,
    users: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    revokes: bool,
    rotation: Rotation,
    /// None is a placeholder, or a version that is gone.
    versions: Vec<Option<Value>>,
    current: Version,
    previous: Option<Version>,
    pending: Option<Version>,
    candidates: BTreeSet<Value>,
    values: Value,
    /// A driver is in this step, with what it read when that began.
    act: Option<(Step, Run)>,
    /// A user moved something since the act began.
    raced: bool,
    /// The target: what logs in, and what was issued under which tag.
    live: BTreeSet<Value>,
    issued: BTreeMap<(Version, u32), Value>,
    /// A credential was ended that was AWSCURRENT.
    ended_current: bool,
    /// A user moved AWSCURRENT to a credential that had been ended.
    users_word: bool,
    /// A person gave the end of a credential up.
    given_up: bool,
    rotations: u8,
    faults: u8,
    users: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Request,
    Claim,
    Act,
    LoseRequest,
    LoseReply,
    Reject,
    Crash,
    CrashAfterEffect,
    MoveCurrentToPending,
    MoveCurrentToPrevious,
    /// A plain write of what AWSPENDING shows, as people do who are in a hurry.
    WriteCopyOfPending,
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

    fn run(&self) -> Option<&Run> {
        self.rotation.run()
    }

    fn index(token: &str) -> Version {
        token[6..].parse().expect("an index")
    }

    fn moment(&self, late: bool) -> Moment {
        Moment {
            now: if late { doomsday() } else { epoch() },
            jitter: 0.0,
            next_window: None,
            abilities: Abilities { revokes: self.revokes, retires_after: Some(60), ..Abilities::default() },
            current: Some(token(self.current)),
            previous: self.previous.map(token),
            fresh: token(99),
        }
    }

    fn apply(&mut self, event: Event) -> bool {
        let late = matches!(event, Event::Leased);
        let Ok(decision) = step(&self.rotation, event, &self.moment(late)) else {
            return false;
        };
        // Placeholder speaks of the run that begins, everything else of the one that was open.
        let version = self.run().or(decision.next.run()).map(|run| Self::index(run.token.as_str()));
        for write in decision.writes {
            self.write(write, version.expect("a rotation writes"));
        }
        let numbers = decision.next.run().map(|run| (run.issued, run.revoked, run.stored, run.kept));
        self.rotation = without_counters(decision.next);
        if let (
            Some(numbers),
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
        ) = (numbers, &mut self.rotation)
        {
            (run.issued, run.revoked, run.stored, run.kept) = numbers;
        }
        if let (Some(act), Some(run)) = (decision.act, self.run()) {
            (self.act, self.raced) = (Some((act, run.clone())), false);
        }
        true
    }

    fn write(&mut self, write: Write, version: Version) {
        match write {
            Write::Placeholder => {
                self.versions.push(None);
                self.pending = Some(u8::try_from(self.versions.len() - 1).expect("few versions"));
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
                self.candidates = BTreeSet::from([self.current_value()]);
            }
            Write::Resolve => self.candidates = BTreeSet::from([self.current_value()]),
            Write::DropPending => self.pending = self.pending.filter(|pending| *pending != version),
            Write::DropPlaceholder if self.value_of(version).is_none() => {
                self.pending = self.pending.filter(|pending| *pending != version);
            }
            Write::DropPlaceholder | Write::Note { .. } => {}
            Write::Copy(_) | Write::DropCopy(_) => unreachable!("it proves without a copy"),
        }
    }

    fn move_current(&mut self, to: Version) {
        if self.current != to {
            self.previous = Some(self.current);
            self.current = to;
        }
    }

    /// What the step does to the target, if it gets there.
    fn effect(&mut self, act: Step, run: &Run) {
        let version = Self::index(run.token.as_str());
        match act {
            Step::Create => {
                self.values += 1;
                self.live.insert(self.values);
                self.issued.insert((version, run.issued), self.values);
            }
            Step::Revoke => {
                let tags: Vec<u32> = run.orphans().collect();
                let ended = self.issued.iter().filter(|((of, tag), _)| *of == version && tags.contains(tag));
                let ended: Vec<Value> = ended.map(|(_, value)| *value).collect();
                ended.into_iter().for_each(|value| self.end(value));
            }
            Step::Retire => {
                let retiring = run.retiring.as_ref().expect("a version is retired");
                if let Some(value) = self.value_of(Self::index(retiring.as_str())) {
                    self.end(value);
                }
            }
            Step::Set | Step::Test | Step::Finish | Step::Prove | Step::Restore => {}
        }
    }

    fn end(&mut self, value: Value) {
        // Nobody can call back what is under way.
        self.ended_current |= value == self.current_value() && !self.raced;
        self.users_word |= value == self.current_value() && self.raced;
        self.live.remove(&value);
    }

    fn answer(&self, act: Step, run: &Run) -> Outcome {
        let version = Self::index(run.token.as_str());
        let logs_in = |value: Value| self.live.contains(&value);
        let no = |verdict| Outcome::Failed(StepError::new(verdict, "m", "m"));
        match act {
            Step::Create => Outcome::Created(secret(self.values), Done::default()),
            Step::Test if !self.value_of(version).is_some_and(logs_in) => no(Verdict::Rejected),
            Step::Prove if logs_in(self.current_value()) => Outcome::Proved(Proof::CurrentLogsIn),
            Step::Prove | Step::Restore => no(Verdict::NeedsPerson),
            Step::Set | Step::Test | Step::Finish | Step::Retire | Step::Revoke => Outcome::Done(Done::default()),
        }
    }

    fn report(&mut self, act: Step, outcome: Outcome) {
        self.act = None;
        self.apply(Event::Ended { step: act, outcome });
    }

    fn user(&mut self, to: Option<Version>) {
        self.users -= 1;
        self.raced = true;
        if let Some(to) = to {
            self.move_current(to);
            self.users_word |= !self.live.contains(&self.current_value());
        }
        self.apply(Event::Interfered { what: String::new() });
    }
}

impl Model for Issuing {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            revokes: self.revokes,
            rotation: Rotation::Idle,
            versions: vec![Some(1)],
            current: 0,
            previous: None,
            pending: None,
            candidates: BTreeSet::new(),
            values: 1,
            act: None,
            raced: false,
            live: BTreeSet::from([1]),
            issued: BTreeMap::new(),
            ended_current: false,
            users_word: false,
            given_up: false,
            rotations: self.rotations,
            faults: self.faults,
            users: self.users,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.rotations > 0 && world.rotation.takes_request() {
            actions.push(Action::Request);
        }
        match world.act {
            None if !matches!(world.rotation, Rotation::Idle | Rotation::Parked { .. }) => actions.push(Action::Claim),
            None => {}
            Some(_) => actions.push(Action::Act),
        }
        if world.faults > 0 && world.act.is_some() {
            actions.extend([Action::LoseRequest, Action::LoseReply, Action::Crash, Action::CrashAfterEffect]);
            if world.act.as_ref().is_some_and(|(act, _)| *act == Step::Set) {
                actions.push(Action::Reject);
            }
        }
        if matches!(world.rotation, Rotation::Parked { .. }) {
            actions.push(Action::Resume);
        }
        if world.users > 0 {
            let readable = |version: Option<Version>| version.is_some_and(|version| world.value_of(version).is_some());
            if readable(world.pending) {
                actions.extend([Action::MoveCurrentToPending, Action::WriteCopyOfPending]);
            }
            if readable(world.previous) {
                actions.push(Action::MoveCurrentToPrevious);
            }
            if world.pending.is_some() {
                actions.push(Action::RemovePending);
            }
            if world.rotation != Rotation::Idle {
                actions.push(Action::Abandon);
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let act = next.act.clone();
        let failed = |verdict| Outcome::Failed(StepError::new(verdict, "m", "m"));
        next.faults -= u8::from(matches!(
            action,
            Action::LoseRequest | Action::LoseReply | Action::Crash | Action::CrashAfterEffect | Action::Reject
        ));
        if let (Action::Act | Action::LoseReply | Action::CrashAfterEffect, Some((act, run))) = (action, &act) {
            next.effect(*act, run);
        }
        match action {
            Action::Request => {
                next.rotations -= 1;
                let version = u8::try_from(next.versions.len()).expect("few versions");
                let (by, window_ends) = ("m".to_owned(), doomsday());
                next.apply(Event::Requested { token: token(version), by, window_ends });
            }
            Action::Claim => drop(next.apply(Event::Leased)),
            Action::Act => {
                let (act, run) = act?;
                let outcome = next.answer(act, &run);
                next.report(act, outcome);
            }
            Action::LoseReply | Action::LoseRequest => next.report(act?.0, failed(Verdict::Unknown)),
            Action::Reject => next.report(act?.0, failed(Verdict::Rejected)),
            Action::Crash | Action::CrashAfterEffect => next.act = None,
            Action::MoveCurrentToPending => next.user(world.pending),
            Action::WriteCopyOfPending => {
                next.versions.push(world.pending.and_then(|pending| world.value_of(pending)));
                next.pending = None;
                let copy = u8::try_from(next.versions.len() - 1).expect("few versions");
                next.user(Some(copy));
            }
            Action::MoveCurrentToPrevious => next.user(world.previous),
            Action::RemovePending => {
                next.pending = None;
                next.user(None);
            }
            Action::Abandon => {
                next.given_up |= next.rotation.step() == Some(Step::Revoke);
                (next.users, next.raced) = (next.users - 1, true);
                next.apply(Event::Abandoned);
            }
            Action::Resume => drop(next.apply(Event::Resumed { window_ends: doomsday() })),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no credential is ended while it is AWSCURRENT", |_, world: &World| !world.ended_current),
            Property::always("AWSCURRENT logs in, but where a user moved it to what was ended", |_, world: &World| {
                world.users_word || world.live.contains(&world.current_value())
            }),
            Property::always("when idle, every credential that logs in is one the store knows", |_, world: &World| {
                let known: BTreeSet<Value> = world.versions.iter().flatten().copied().collect();
                world.rotation != Rotation::Idle || world.given_up || world.live.is_subset(&known)
            }),
            Property::sometimes("a rotation completes and the old credential is retired", |_, world: &World| {
                world.rotation == Rotation::Idle && world.current > 1 && world.live.len() == 1
            }),
        ]
    }
}

// F119
#[test]
fn an_issuing_receiver_loses_no_wanted_credential_and_leaves_no_unknown_one() {
    let model = Issuing { revokes: true, rotations: 3, faults: 4, users: 1 };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    checker.assert_properties();
}

#[test]
fn two_user_events_cost_an_issuing_receiver_nothing_either() {
    let model = Issuing { revokes: true, rotations: 2, faults: 2, users: 2 };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    checker.assert_properties();
}

#[test]
fn the_search_finds_the_unknown_credential_of_a_receiver_that_cannot_revoke() {
    let model = Issuing { revokes: false, rotations: 1, faults: 1, users: 0 };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    assert!(checker.discovery("when idle, every credential that logs in is one the store knows").is_some());
}
