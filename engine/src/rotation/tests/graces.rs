//! What comes after finishSecret where the old credential goes on working, and what is asked for in the meantime: the end of a
//! grace, a rollback, AWSCURRENT set again.

use super::*;
use crate::outcome::{SESSIONS_UNSEEN, STILL_READ, STILL_USED};

/// A built-in rotator of a secret whose grace is a minute.
const GRACE: Abilities = Abilities {
    callback: false,
    proves_by_copy: false,
    revokes: false,
    retires_after: Some(60),
    retires_retained: true,
};

fn set(retains: bool) -> Event {
    ended(Step::Set, Outcome::Done(Done { retains, ..Done::default() }))
}

fn after_events(events: Vec<Event>) -> Decision {
    let mut decision = Decision { next: Rotation::Idle, writes: vec![], act: None };
    for event in events {
        let at = Moment { abilities: GRACE, ..at(0) };
        decision = step(&decision.next, event.clone(), &at)
            .unwrap_or_else(|refusal| panic!("{event:?} in {:?}: {refusal}", decision.next));
    }
    decision
}

/// AWSCURRENT has moved from `c` to `a`.
fn promoted(retains: bool) -> Decision {
    let steps = vec![set(retains), ok(Step::Test), ok(Step::Finish)];
    after_events([to_set(), steps].concat())
}

fn then(state: &Rotation, event: Event, second: i64) -> Decision {
    try_then(state, event, second).expect("it is taken")
}

fn try_then(state: &Rotation, event: Event, second: i64) -> Result<Decision, Refusal> {
    let (current, previous) = (Some(token('a')), Some(token('c')));
    step(state, event, &Moment { abilities: GRACE, current, previous, ..at(second) })
}

fn rollback(to: char) -> Event {
    Event::RollbackRequested { token: token('r'), by: "dba".to_owned(), window_ends: time(1000), carries: token(to) }
}

fn reconcile() -> Event {
    Event::ReconcileRequested { by: "dba".to_owned(), window_ends: time(1000) }
}

fn waiting(state: &Rotation) -> (Step, Time, &Run) {
    match state {
        Rotation::Waiting { run, step, not_before } => (*step, *not_before, run),
        other => panic!("{other:?} does not wait"),
    }
}

#[test]
fn the_old_credential_is_retired_only_where_set_said_that_it_goes_on_working() {
    assert_eq!(promoted(false).next, Rotation::Idle);
    let promoted = promoted(true);
    let (step, not_before, run) = waiting(&promoted.next);
    assert_eq!((step, not_before, run.retire_at), (Step::Retire, time(60), Some(time(60))));
    assert_eq!(run.retiring, Some(token('c')));
}

#[test]
fn a_later_candidate_says_anew_whether_the_old_credential_goes_on_working() {
    let rejected = fails(Step::Test, Verdict::Rejected);
    let back = after_events([to_set(), vec![set(true), rejected]].concat());
    let again = then(&then(&back.next, Event::Leased, 10).next, set(false), 11);
    assert!(again.next.run().is_some_and(|run| !run.retains));
}

#[test]
fn a_person_may_end_the_grace_at_once_and_only_a_grace() {
    let ends = Event::GraceEnded { by: "dba".to_owned() };
    let ended = then(&promoted(true).next, ends.clone(), 5);
    let (step, not_before, run) = waiting(&ended.next);
    // Without an end of the grace nothing is held back for those who still use it.
    assert_eq!((step, not_before, run.retire_at), (Step::Retire, time(5), None));
    for state in [Rotation::Idle, after_events(to_set()).next] {
        assert_eq!(try_then(&state, ends.clone(), 5).err(), Some(Refusal::NoGrace));
    }
}

#[test]
fn what_is_still_used_is_looked_at_again_for_as_long_as_its_own_deadline_says() {
    for code in [STILL_USED, STILL_READ, SESSIONS_UNSEEN] {
        let mut state = then(&promoted(true).next, Event::Leased, 60).next;
        for hour in 1..=48 {
            let held = StepError::new(Verdict::InProgress, code, "somebody").retry_after(Duration::from_secs(60));
            let held = then(&state, ended(Step::Retire, Outcome::Failed(held)), hour * 3600);
            let (step, not_before, _) = waiting(&held.next);
            assert_eq!((step, not_before), (Step::Retire, time(hour * 3600 + 60)));
            state = then(&held.next, Event::Leased, hour * 3600 + 60).next;
        }
        assert_eq!(then(&state, ok(Step::Retire), 200_000).next, Rotation::Idle);
    }
}

#[test]
fn a_rollback_carries_the_version_it_goes_back_to_and_is_a_rotation_like_any() {
    let begun = then(&Rotation::Idle, rollback('c'), 0);
    let (step, _, run) = waiting(&begun.next);
    assert_eq!((step, &run.token, &run.carries), (Step::Create, &token('r'), &Some(token('c'))));
    assert!(begun.writes.iter().any(|write| matches!(write, Write::Placeholder)));
}

#[test]
fn a_rollback_to_the_credential_in_its_grace_begins_at_once_and_keeps_it() {
    let begun = then(&promoted(true).next, rollback('c'), 5);
    let (step, not_before, run) = waiting(&begun.next);
    assert_eq!((step, not_before), (Step::Create, time(5)));
    assert_eq!(run.carries, run.retiring);
    assert!(kinds(&begun).contains(&"kept"), "{begun:?}");
}

#[test]
fn a_rollback_into_a_grace_that_is_given_up_leaves_the_grace_as_it_was() {
    let begun = then(&promoted(true).next, rollback('c'), 5);
    let at_once = then(&begun.next, Event::Abandoned, 6);
    let mut state = begun.next;
    for event in [Event::Leased, created(), set(true), Event::Abandoned, Event::Leased] {
        state = then(&state, event, 7).next;
    }
    let proven = then(&state, ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn)), 8);
    for given_up in [at_once, proven] {
        let (step, not_before, run) = waiting(&given_up.next);
        assert_eq!((step, not_before), (Step::Retire, time(60)));
        assert_eq!((run.promoted, &run.retiring, &run.token), (true, &Some(token('c')), &token('a')));
    }
}

#[test]
fn a_rollback_that_completes_retires_what_it_rolled_back_from() {
    let mut state = then(&promoted(true).next, rollback('c'), 5).next;
    for event in [Event::Leased, created(), set(true), ok(Step::Test), ok(Step::Finish)] {
        state = then(&state, event, 7).next;
    }
    let (step, _, run) = waiting(&state);
    assert_eq!((step, &run.token, &run.retiring), (Step::Retire, &token('r'), &Some(token('a'))));
}

#[test]
fn a_rollback_to_another_version_waits_for_the_grace_like_any_rotation() {
    let asked = then(&promoted(true).next, rollback('x'), 5);
    let (step, not_before, run) = waiting(&asked.next);
    assert_eq!((step, not_before, &run.carries), (Step::Retire, time(60), &Some(token('x'))));
    assert_eq!((&run.retiring, run.retire_at), (&Some(token('c')), Some(time(60))));
}

#[test]
fn a_rollback_whose_value_the_target_refuses_is_given_up_and_no_other_value_is_made() {
    let mut state = then(&Rotation::Idle, rollback('c'), 0).next;
    for event in [Event::Leased, created()] {
        state = then(&state, event, 1).next;
    }
    let refused = then(&state, fails(Step::Set, Verdict::Rejected), 2);
    assert_eq!(waiting(&refused.next).0, Step::Prove);
    assert!(kinds(&refused).contains(&"rejected"), "{refused:?}");
    let proves = then(&refused.next, Event::Leased, 3);
    let proven = then(&proves.next, ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn)), 4);
    assert_eq!(proven.next, Rotation::Idle);
}

#[test]
fn setting_awscurrent_again_looks_first_then_restores_and_looks_again() {
    let begun = then(&Rotation::Idle, reconcile(), 0);
    assert_eq!(waiting(&begun.next).0, Step::Prove);
    assert!(begun.writes.iter().any(|write| matches!(write, Write::SealCurrent)));
    let proves = then(&begun.next, Event::Leased, 1);
    let restores = then(&proves.next, refused_but_curable(), 2);
    assert_eq!(restores.act, Some(Step::Restore));
    let again = then(&restores.next, ok(Step::Restore), 3);
    assert_eq!(again.act, Some(Step::Prove));
    let done = then(&again.next, ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn)), 4);
    assert_eq!(done.next, Rotation::Idle);
    assert_eq!(kinds(&done), ["reconciled"]);
}

#[test]
fn setting_awscurrent_again_makes_way_for_a_rotation_and_is_refused_while_one_is_open() {
    let begun = then(&Rotation::Idle, reconcile(), 0);
    assert!(begun.next.takes_request());
    let asked = then(&begun.next, requested('n'), 1);
    assert_eq!(waiting(&asked.next).0, Step::Create);
    assert_eq!(try_then(&asked.next, reconcile(), 2).err(), Some(Refusal::Open));
    let proves = then(&begun.next, Event::Leased, 1).next;
    assert_eq!(try_then(&proves, requested('n'), 2).err(), Some(Refusal::Open), "its statement may be under way");
}

#[test]
fn awscurrent_changed_by_hand_meanwhile_is_the_one_that_is_set_and_giving_up_ends_it() {
    let begun = then(&Rotation::Idle, reconcile(), 0);
    let restores = then(&then(&begun.next, Event::Leased, 1).next, refused_but_curable(), 2);
    let changed = then(&restores.next, Event::Interfered { what: "by hand".to_owned() }, 3);
    let (step, _, run) = waiting(&changed.next);
    assert_eq!((step, &run.token, run.restores), (Step::Prove, &token('a'), 0));
    assert_eq!(then(&changed.next, Event::Abandoned, 4).next, Rotation::Idle);
}

#[test]
fn a_secret_without_a_value_has_nothing_to_set_again() {
    let at = Moment { current: None, ..at(0) };
    assert_eq!(step(&Rotation::Idle, reconcile(), &at).err(), Some(Refusal::NoCurrent));
}

fn interfered() -> Event {
    Event::Interfered { what: "somebody wrote a value".to_owned() }
}

/// After a person has written AWSCURRENT: `w` has it.
fn written_over(state: &Rotation, event: Event, second: i64) -> Decision {
    let (current, previous) = (Some(token('w')), Some(token('a')));
    let at = Moment { abilities: GRACE, current, previous, ..at(second) };
    step(state, event, &at).expect("it is taken")
}

#[test]
fn a_value_written_in_the_grace_does_not_keep_the_old_credential_alive() {
    let acting = then(&promoted(true).next, Event::Leased, 60).next;
    for (state, second, due) in [(promoted(true).next, 5, 60), (acting, 61, 61)] {
        let written = written_over(&state, interfered(), second);
        let (step, not_before, run) = waiting(&written.next);
        assert_eq!((step, not_before, run.promoted), (Step::Retire, time(due), true));
        assert_eq!((&run.retiring, &run.token), (&Some(token('c')), &token('w')));
    }
}

#[test]
fn awspending_taken_off_a_rotation_that_waits_for_a_grace_leaves_the_grace_as_it_was() {
    let waits = then(&promoted(true).next, requested('n'), 5).next;
    let taken_off = then(&waits, interfered(), 6);
    let (step, not_before, run) = waiting(&taken_off.next);
    assert_eq!((step, not_before, run.promoted, &run.retiring), (Step::Retire, time(60), true, &Some(token('c'))));
    let retires = then(&waits, Event::Leased, 60).next;
    let abandoned = then(&retires, Event::Abandoned, 61);
    assert_eq!(waiting(&abandoned.next).0, Step::Retire);
}

#[test]
fn a_grace_that_a_person_abandons_is_called_off() {
    let abandoned = then(&promoted(true).next, Event::Abandoned, 5);
    assert_eq!(abandoned.next, Rotation::Idle);
    assert!(kinds(&abandoned).contains(&"called-off"), "{abandoned:?}");
}

#[test]
fn a_credential_that_cannot_be_retired_stands_in_no_rotations_way() {
    let retires = then(&promoted(true).next, Event::Leased, 60).next;
    let parked = then(&retires, fails(Step::Retire, Verdict::NeedsPerson), 61).next;
    assert!(parked.takes_request());
    let begun = then(&parked, requested('n'), 62);
    let (step, _, run) = waiting(&begun.next);
    assert_eq!((step, &run.retiring), (Step::Create, &None));
    assert!(kinds(&begun).contains(&"called-off"), "{begun:?}");
}
