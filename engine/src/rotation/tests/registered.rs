//! What comes in with a registered rotator: it writes by itself, is in progress, issues, revokes, retires, proves on a copy.

use super::*;

const CALLBACK: Abilities =
    Abilities { callback: true, proves_by_copy: false, revokes: false, retires_after: None, retires_retained: false };
const LAMBDA: Abilities = Abilities { proves_by_copy: true, ..CALLBACK };
const REVOKES: Abilities =
    Abilities { callback: false, proves_by_copy: false, revokes: true, retires_after: None, retires_retained: false };
const RETIRES: Abilities = Abilities { revokes: false, retires_after: Some(60), ..REVOKES };

/// Runs events one after another, ten seconds apart, and returns every decision.
fn trace(abilities: Abilities, events: Vec<Event>) -> Vec<Decision> {
    let mut decisions = vec![Decision { next: Rotation::Idle, writes: vec![], act: None }];
    for (second, event) in (0i64..).zip(events) {
        let state = &decisions.last().expect("one is there").next;
        let decision = step(state, event.clone(), &Moment { abilities, ..at(second * 10) });
        decisions.push(decision.unwrap_or_else(|refusal| panic!("{event:?} in {state:?}: {refusal}")));
    }
    decisions
}

fn last(abilities: Abilities, events: Vec<Event>) -> Decision {
    trace(abilities, events).pop().expect("one is there")
}

fn filled() -> Event {
    Event::Filled(SecretBytes::from("written"))
}

fn in_progress(step: Step, seconds: u64) -> Event {
    let error = StepError::new(Verdict::InProgress, "in-progress", "the receiver works on it");
    ended(step, Outcome::Failed(error.retry_after(Duration::from_secs(seconds))))
}

/// After the version has become AWSCURRENT.
fn retires_at(second: i64) -> Moment {
    Moment { abilities: RETIRES, current: Some(token('a')), previous: Some(token('c')), ..at(second) }
}

fn orphans(decision: &Decision) -> Vec<u32> {
    decision.next.run().expect("open").orphans().collect()
}

fn not_before(decision: &Decision) -> Time {
    match &decision.next {
        Rotation::Waiting { not_before, .. } => *not_before,
        other => panic!("{other:?} does not wait"),
    }
}

#[test]
fn a_value_written_in_the_middle_of_create_is_sealed_and_create_goes_on() {
    let events = vec![requested('a'), Event::Leased, filled()];
    let sealed = last(CALLBACK, events.clone());
    assert!(matches!(sealed.writes[..], [Write::Seal { candidate: 1, .. }]), "{sealed:?}");
    assert!(matches!(sealed.next, Rotation::Acting { step: Step::Create, .. }) && sealed.act.is_none());
    let set = last(CALLBACK, [events, vec![ok(Step::Create)]].concat());
    assert_eq!(set.act, Some(Step::Set));
}

#[test]
fn a_function_that_wrote_and_then_failed_is_asked_again_and_keeps_its_value() {
    let failed = fails(Step::Create, Verdict::Unknown);
    let again = last(CALLBACK, vec![requested('a'), Event::Leased, filled(), failed, Event::Leased]);
    assert_eq!((again.act, again.next.run().expect("open").candidate), (Some(Step::Create), 1));
}

#[test]
fn a_create_that_wrote_nothing_is_asked_again() {
    let again = last(CALLBACK, vec![requested('a'), Event::Leased, ok(Step::Create)]);
    assert_eq!(kinds(&again), ["retry"]);
    assert_eq!(again.next.step(), Some(Step::Create));
}

#[test]
fn a_value_that_was_written_by_itself_cannot_be_exchanged_when_it_is_rejected() {
    let rejected = fails(Step::Set, Verdict::Rejected);
    let events = vec![requested('a'), Event::Leased, filled(), ok(Step::Create), rejected];
    assert_eq!(kinds(&last(CALLBACK, events)), ["parked"]);
}

#[test]
fn what_is_in_progress_is_asked_again_when_it_said_and_is_no_failure() {
    let events = vec![requested('a'), Event::Leased, created(), in_progress(Step::Set, 40)];
    let waits = last(Abilities::default(), events.clone());
    assert_eq!(not_before(&waits), time(30 + 40));
    let run = waits.next.run().expect("open");
    assert_eq!((run.attempt, run.sets, kinds(&waits)), (0, 1, vec!["in-progress"]));
    let again = step(&waits.next, Event::Leased, &at(70)).expect("due");
    assert_eq!(again.act, Some(Step::Set));
    assert!(again.next.run().expect("open").sets > 1, "it may have been set");
}

#[test]
fn a_trial_that_is_in_progress_is_no_failed_trial() {
    let asked = Event::TrialRequested { token: token('a'), by: "test".to_owned(), window_ends: time(1000) };
    let waits = last(CALLBACK, vec![asked.clone(), Event::Leased, in_progress(Step::Test, 3)]);
    assert!(waits.next.run().expect("open").trial);
    let too_long = last(CALLBACK, vec![asked, Event::Leased, in_progress(Step::Test, 100_000)]);
    assert_eq!((kinds(&too_long), too_long.next), (vec!["test-failed"], Rotation::Idle));
}

#[test]
fn no_retry_comes_before_the_other_end_allows_it() {
    let error = StepError::new(Verdict::Retry, "429", "too many").retry_after(Duration::from_secs(120));
    let events = vec![requested('a'), Event::Leased, created(), ended(Step::Set, Outcome::Failed(error))];
    assert_eq!(not_before(&last(Abilities::default(), events)), time(30 + 120));
}

// F56
#[test]
fn a_credential_whose_answer_was_lost_is_revoked_before_another_is_asked_for() {
    let lost = fails(Step::Create, Verdict::Unknown);
    let events = vec![requested('a'), Event::Leased, lost, Event::Leased];
    let revokes = last(REVOKES, events.clone());
    assert_eq!((revokes.act, orphans(&revokes)), (Some(Step::Revoke), vec![1]));
    let again = last(REVOKES, [events.clone(), vec![ok(Step::Revoke)]].concat());
    let run = again.next.run().expect("open");
    assert_eq!((again.act, run.issued, orphans(&again)), (Some(Step::Create), 2, vec![2]));
    let asks_again = last(Abilities::default(), events);
    assert_eq!(asks_again.act, Some(Step::Create), "who cannot revoke is asked for the same one again");
}

#[test]
fn after_a_crash_in_create_what_may_have_been_issued_is_revoked() {
    let crashed = last(REVOKES, vec![requested('a'), Event::Leased, Event::Leased]);
    assert_eq!(crashed.act, Some(Step::Revoke));
}

#[test]
fn a_create_that_never_reached_anybody_leaves_nothing_to_revoke() {
    let events = vec![requested('a'), Event::Leased, fails(Step::Create, Verdict::Retry), Event::Leased];
    let again = last(REVOKES, events);
    assert_eq!((again.act, again.next.run().expect("open").issued), (Some(Step::Create), 1));
}

#[test]
fn a_rejected_credential_is_revoked_before_the_next_is_made() {
    let rejected = fails(Step::Set, Verdict::Rejected);
    let revokes = last(REVOKES, vec![requested('a'), Event::Leased, created(), rejected]);
    assert_eq!(revokes.act, Some(Step::Revoke));
    assert_eq!(last(RETIRES, vec![requested('a'), Event::Leased, created()]).act, Some(Step::Set));
}

#[test]
fn what_was_issued_for_a_rotation_that_is_given_up_is_revoked_after_awscurrent_is_proven() {
    let events = vec![requested('a'), Event::Leased, created(), Event::Abandoned, Event::Leased];
    let proof = ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn));
    let proven = last(REVOKES, [events.clone(), vec![proof.clone()]].concat());
    assert!(matches!(proven.writes[0], Write::Resolve));
    assert_eq!(proven.next.step(), Some(Step::Revoke));
    let closed = last(REVOKES, [events, vec![proof, Event::Leased, ok(Step::Revoke)]].concat());
    assert_eq!(closed.next, Rotation::Idle);
}

// F125
#[test]
fn a_credential_that_somebody_labelled_is_never_revoked() {
    let proof = ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn));
    let events = vec![requested('a'), Event::Leased, created(), Event::Abandoned, Event::Leased];
    let proving = last(REVOKES, events).next;
    for (current, previous) in [(token('a'), None), (token('c'), Some(token('a')))] {
        let at = Moment { abilities: REVOKES, current: Some(current), previous, ..at(100) };
        assert_eq!(step(&proving, proof.clone(), &at).expect("taken").next, Rotation::Idle);
    }
}

#[test]
fn a_label_moved_in_the_grace_calls_its_end_off() {
    let waits = last(RETIRES, to_retire()).next;
    let moved = Event::Interfered { what: "a label was moved".to_owned() };
    let off = step(&waits, moved, &retires_at(100)).expect("taken");
    assert_eq!((&off.next, kinds(&off)), (&Rotation::Idle, vec!["interfered", "called-off"]));
}

#[test]
fn a_label_moved_while_credentials_are_revoked_saves_the_one_that_was_stored() {
    let moved = || Event::Interfered { what: "a label was moved".to_owned() };
    let lost = vec![requested('a'), Event::Leased, fails(Step::Create, Verdict::Unknown), Event::Abandoned];
    let nobodys = last(REVOKES, [lost, vec![moved()]].concat());
    assert_eq!((nobodys.next.step(), orphans(&nobodys)), (Some(Step::Revoke), vec![1]));
    let proof = ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn));
    let stored = vec![requested('a'), Event::Leased, created(), Event::Abandoned, Event::Leased, proof];
    assert_eq!(orphans(&last(REVOKES, stored.clone())), vec![1]);
    let off = last(REVOKES, [stored.clone(), vec![moved()]].concat());
    assert_eq!((&off.next, kinds(&off)), (&Rotation::Idle, vec!["interfered", "called-off"]));
    let given_up = last(REVOKES, [stored, vec![Event::Abandoned]].concat());
    assert_eq!((&given_up.next, kinds(&given_up)), (&Rotation::Idle, vec!["abandoning", "called-off"]));
}

#[test]
fn awscurrent_moved_back_to_the_version_that_is_being_retired_is_proven() {
    let waits = last(RETIRES, to_retire()).next;
    let back = Moment { current: Some(token('c')), previous: Some(token('a')), ..retires_at(100) };
    for state in [waits.clone(), step(&waits, Event::Leased, &retires_at(110)).expect("due").next] {
        let moved = Event::Interfered { what: String::new() };
        let next = step(&state, moved, &back).expect("taken").next;
        assert_eq!((next.step(), next.run().expect("open").promoted), (Some(Step::Prove), false));
    }
}

// F125
#[test]
fn a_credential_that_may_have_been_copied_by_hand_is_never_revoked() {
    let lost = fails(Step::Create, Verdict::Unknown);
    let events = vec![requested('a'), Event::Leased, lost, Event::Leased, ok(Step::Revoke), created()];
    let state = last(REVOKES, events).next;
    let at = Moment { abilities: REVOKES, current: Some(token('h')), previous: Some(token('c')), ..at(100) };
    let moved = step(&state, Event::Interfered { what: String::new() }, &at).expect("taken").next;
    let proving = step(&moved, Event::Leased, &at).expect("due").next;
    let closed = step(&proving, ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn)), &at).expect("taken");
    assert_eq!((&closed.next, kinds(&closed)), (&Rotation::Idle, vec!["abandoned", "called-off"]));
}

#[test]
fn what_a_rotator_no_longer_does_is_called_off() {
    let waits = last(RETIRES, to_retire()).next;
    let mut asked = step(&waits, requested('b'), &retires_at(60)).expect("taken").next;
    for (state, next) in [(waits, None), (asked.clone(), Some(Step::Create))] {
        let plain = Moment { abilities: Abilities::default(), ..retires_at(110) };
        let off = step(&state, Event::Leased, &plain).expect("due");
        assert_eq!((off.next.step(), kinds(&off)), (next, vec!["called-off"]));
        let changed = step(&state, Event::RotatorChanged, &retires_at(70)).expect("taken");
        assert_eq!((changed.next.step(), kinds(&changed)), (next, vec!["called-off"]));
        asked = changed.next;
    }
    let untouched = step(&asked, Event::RotatorChanged, &retires_at(80)).expect("taken");
    assert_eq!((untouched.next, untouched.writes.len()), (asked, 0));
}

#[test]
fn a_value_from_outside_is_taken_only_where_one_is_asked_for() {
    let waits = last(RETIRES, to_retire()).next;
    let asked = step(&waits, requested('b'), &retires_at(60)).expect("taken").next;
    assert_eq!(step(&asked, filled(), &retires_at(70)).expect_err("at Retire"), Refusal::NotAsked);
    let issuing = last(REVOKES, vec![requested('a'), Event::Leased]).next;
    let at = Moment { abilities: REVOKES, ..at(20) };
    assert_eq!(step(&issuing, filled(), &at).expect_err("one is being issued"), Refusal::NotAsked);
}

#[test]
fn what_is_given_up_while_the_other_end_is_at_work_is_proven_when_that_has_ended() {
    let working = vec![requested('a'), Event::Leased, created(), in_progress(Step::Set, 3)];
    let given_up = last(Abilities::default(), [working, vec![Event::Abandoned]].concat());
    assert_eq!(given_up.next.step(), Some(Step::Set));
    let asked = step(&given_up.next, Event::Leased, &at(60)).expect("due").next;
    for still in [Verdict::InProgress, Verdict::Retry, Verdict::Unknown] {
        let waits = step(&asked, fails(Step::Set, still), &at(60)).expect("taken").next;
        assert_eq!((waits.step(), waits.run().expect("open").given_up), (Some(Step::Set), true), "{still}");
    }
    for outcome in [ok(Step::Set), fails(Step::Set, Verdict::Rejected)] {
        assert_eq!(step(&asked, outcome, &at(60)).expect("taken").act, Some(Step::Prove));
    }
    let vouched = step(&asked, Event::Vouched { by: "dba".to_owned() }, &at(60)).expect("taken");
    assert_eq!(vouched.next, Rotation::Idle);
}

#[test]
fn work_that_is_heard_of_after_the_rotation_was_given_up_is_waited_for() {
    let given_up = last(Abilities::default(), [to_set(), vec![Event::Abandoned]].concat()).next;
    let heard = step(&given_up, in_progress(Step::Set, 3), &at(60)).expect("taken").next;
    assert_eq!((heard.step(), heard.run().expect("open").given_up), (Some(Step::Set), true));
    assert_eq!(step(&given_up, ok(Step::Set), &at(60)).expect_err("it has ended"), Refusal::Stale);
}

#[test]
fn a_person_is_asked_about_work_that_takes_longer_than_a_day() {
    let mut state = last(Abilities::default(), vec![requested('a'), Event::Leased, created()]).next;
    for (day, parks) in [(0i64, false), (1, false), (2, true)] {
        let at = at(30 + day * 86_000);
        let next = step(&state, in_progress(Step::Set, 60), &at).expect("taken").next;
        assert_eq!(matches!(next, Rotation::Parked { .. }), parks, "day {day}");
        if !parks {
            state = step(&next, Event::Leased, &Moment { now: at.now + TimeDelta::hours(1), ..at }).expect("due").next;
        }
    }
}

#[test]
fn a_create_in_progress_is_asked_again_under_its_number_and_revoked_when_it_is_given_up() {
    let working = vec![requested('a'), Event::Leased, in_progress(Step::Create, 3)];
    let again = last(REVOKES, [working.clone(), vec![Event::Leased]].concat());
    assert_eq!((again.act, again.next.run().expect("open").issued), (Some(Step::Create), 1));
    let given_up = last(REVOKES, [working, vec![Event::Abandoned]].concat());
    assert_eq!((given_up.next.step(), orphans(&given_up)), (Some(Step::Revoke), vec![1]));
}

fn to_retire() -> Vec<Event> {
    [to_set(), vec![ok(Step::Set), ok(Step::Test), ok(Step::Finish)]].concat()
}

#[test]
fn the_old_credential_is_retired_when_its_grace_is_over() {
    let waits = last(RETIRES, to_retire());
    assert!(matches!(waits.writes[0], Write::Promote));
    assert_eq!(not_before(&waits), time(50 + 60));
    assert_eq!(waits.next.run().expect("open").retiring, Some(token('c')));
    let said = format!("version {} is retired at 1970-01-01 00:01:50 UTC", token('c'));
    assert!(waits.writes.iter().any(|write| matches!(write, Write::Note { message, .. } if *message == said)));
    let early = step(&waits.next, Event::Leased, &retires_at(109));
    assert!(matches!(early, Err(Refusal::NotDue(_))));
    let resumed = step(&waits.next, Event::Resumed { window_ends: time(9000) }, &retires_at(60));
    assert_eq!(resumed.expect_err("a grace is not cut short by the way"), Refusal::NotParked);
    let retires = step(&waits.next, Event::Leased, &retires_at(110)).expect("due");
    assert_eq!(retires.act, Some(Step::Retire));
    let over = step(&retires.next, ok(Step::Retire), &retires_at(111)).expect("taken");
    assert_eq!((kinds(&over), over.next), (vec!["retired"], Rotation::Idle));
}

#[test]
fn a_function_that_moved_the_label_itself_has_the_version_before_it_retired() {
    let finishing = last(RETIRES, [to_set(), vec![ok(Step::Set), ok(Step::Test)]].concat()).next;
    let moved = Moment { abilities: RETIRES, current: Some(token('a')), previous: Some(token('c')), ..at(50) };
    let waits = step(&finishing, ok(Step::Finish), &moved).expect("taken");
    assert_eq!(waits.next.run().expect("open").retiring, Some(token('c')));
}

#[test]
fn the_first_value_of_a_secret_retires_nothing() {
    let finishing = last(RETIRES, [to_set(), vec![ok(Step::Set), ok(Step::Test)]].concat()).next;
    let first = Moment { abilities: RETIRES, current: None, previous: None, ..at(50) };
    assert_eq!(step(&finishing, ok(Step::Finish), &first).expect("taken").next, Rotation::Idle);
}

// F56
#[test]
fn a_rotation_asked_for_inside_the_grace_begins_when_it_is_over() {
    let events = [to_retire(), vec![requested('b')]].concat();
    let waits = last(RETIRES, events.clone());
    assert_eq!((not_before(&waits), kinds(&waits)), (time(50 + 60), vec!["requested", "waits"]));
    let run = waits.next.run().expect("open");
    assert_eq!((&run.token, &run.retiring), (&token('b'), &Some(token('c'))));
    assert_eq!(step(&waits.next, requested('d'), &retires_at(60)).expect_err("open"), Refusal::Open);
    let retires = step(&waits.next, Event::Leased, &retires_at(110)).expect("due");
    let begins = step(&retires.next, ok(Step::Retire), &retires_at(111)).expect("taken");
    assert_eq!((begins.act, begins.next.run().expect("open").retiring.clone()), (Some(Step::Create), None));
}

#[test]
fn a_rotation_that_is_given_up_in_the_grace_leaves_the_grace_as_it_was() {
    let waits = last(RETIRES, to_retire()).next;
    let asked = step(&waits, requested('b'), &retires_at(60)).expect("taken").next;
    let given_up = step(&asked, Event::Abandoned, &retires_at(70)).expect("taken");
    assert!(matches!(given_up.writes[0], Write::DropPending));
    let run = given_up.next.run().expect("open");
    assert_eq!((not_before(&given_up), &run.retiring, run.promoted), (time(50 + 60), &Some(token('c')), true));
    let again = step(&given_up.next, requested('d'), &retires_at(80)).expect("asked again");
    assert_eq!(kinds(&again), ["requested", "waits"]);
    let retires = step(&given_up.next, Event::Leased, &retires_at(110)).expect("due");
    let over = step(&retires.next, ok(Step::Retire), &retires_at(111)).expect("taken");
    assert_eq!(over.next, Rotation::Idle);
}

#[test]
fn a_rotation_asked_for_while_the_old_credential_is_being_retired_follows_it() {
    let waits = last(RETIRES, to_retire()).next;
    let retires = step(&waits, Event::Leased, &retires_at(110)).expect("due").next;
    let asked = step(&retires, requested('b'), &retires_at(111)).expect("taken");
    assert!(asked.act.is_none());
    let failed = step(&asked.next, fails(Step::Retire, Verdict::Unknown), &retires_at(112)).expect("taken").next;
    assert_eq!((failed.step(), &failed.run().expect("open").token), (Some(Step::Retire), &token('b')));
    let begins = step(&asked.next, ok(Step::Retire), &retires_at(112)).expect("taken");
    assert_eq!(begins.act, Some(Step::Create));
}

#[test]
fn retiring_is_tried_until_it_works_whatever_the_window() {
    let waits = last(RETIRES, to_retire()).next;
    let retires = step(&waits, Event::Leased, &retires_at(5000)).expect("due").next;
    let again = step(&retires, fails(Step::Retire, Verdict::Retry), &retires_at(5000)).expect("taken");
    assert_eq!((kinds(&again), again.next.step()), (vec!["retry"], Some(Step::Retire)));
}

#[test]
fn a_function_proves_awscurrent_on_a_copy_that_goes_with_the_rotation() {
    let given_up = last(LAMBDA, vec![requested('a'), Event::Leased, filled(), ok(Step::Create), Event::Abandoned]);
    let copies =
        |writes: &[Write]| writes.iter().any(|write| matches!(write, Write::Copy(copy) if *copy == token('f')));
    assert!(copies(&given_up.writes), "{given_up:?}");
    let run = given_up.next.run().expect("open").clone();
    assert_eq!(run.copy, Some(token('f')));
    let at = Moment { abilities: LAMBDA, fresh: token('g'), ..at(200) };
    let again = step(&given_up.next, Event::Interfered { what: String::new() }, &at).expect("taken");
    assert!(again.writes.iter().any(|write| matches!(write, Write::DropCopy(copy) if *copy == token('f'))));
    assert_eq!(again.next.run().expect("open").copy, Some(token('g')), "AWSCURRENT may be another one by now");
    let acting = Rotation::Acting { run, step: Step::Prove };
    let proof = ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn));
    let closed = step(&acting, proof, &at).expect("taken");
    assert!(closed.writes.iter().any(|write| matches!(write, Write::DropCopy(copy) if *copy == token('f'))));
    assert_eq!(closed.next, Rotation::Idle);
}

#[test]
fn only_what_was_given_up_can_be_vouched_for() {
    let vouched = || Event::Vouched { by: "dba".to_owned() };
    let given_up = run(vec![requested('a'), Event::Leased, created(), Event::Abandoned]).next;
    let closed = step(&given_up, vouched(), &at(60)).expect("taken");
    assert!(matches!(closed.writes[0], Write::Resolve) && closed.next == Rotation::Idle);
    let without_current = Moment { current: None, ..at(60) };
    assert_eq!(step(&given_up, vouched(), &without_current).expect_err("nothing to vouch for"), Refusal::NotGivenUp);
    let setting = run(to_set()).next;
    assert_eq!(step(&setting, vouched(), &at(60)).expect_err("not given up"), Refusal::NotGivenUp);
}
