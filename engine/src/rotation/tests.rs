//! Every (state, event) pair, and whole rotations as traces.

use chrono::{TimeDelta, TimeZone, Utc};

mod graces;
mod registered;

use super::*;
use crate::outcome::Done;
use crate::port::Abilities;
use crate::schedule::Window;

const STEPS: [Step; 8] =
    [Step::Create, Step::Set, Step::Test, Step::Finish, Step::Prove, Step::Restore, Step::Retire, Step::Revoke];

fn at(second: i64) -> Moment {
    Moment {
        now: time(second),
        jitter: 0.0,
        next_window: None,
        abilities: Abilities::default(),
        current: Some(token('c')),
        previous: None,
        fresh: token('f'),
    }
}

fn time(second: i64) -> Time {
    Utc.timestamp_opt(second, 0).single().expect("a time")
}

fn token(letter: char) -> VersionId {
    VersionId::new(letter.to_string().repeat(32)).expect("32 characters")
}

fn requested(letter: char) -> Event {
    Event::Requested { token: token(letter), by: "test".to_owned(), window_ends: time(1000) }
}

fn ended(step: Step, outcome: Outcome) -> Event {
    Event::Ended { step, outcome }
}

fn ok(step: Step) -> Event {
    ended(step, Outcome::Done(Done::default()))
}

fn created() -> Event {
    ended(Step::Create, Outcome::Created(SecretBytes::from("value"), Done::default()))
}

fn fails(step: Step, verdict: Verdict) -> Event {
    ended(step, Outcome::Failed(StepError::new(verdict, "08006", "the target is away")))
}

/// Runs events one after another, each a thousandth of a window later, and returns the last decision.
fn run(events: Vec<Event>) -> Decision {
    let mut decision = Decision { next: Rotation::Idle, writes: vec![], act: None };
    for (second, event) in (0i64..).zip(events) {
        decision = step(&decision.next, event.clone(), &at(second * 10))
            .unwrap_or_else(|refusal| panic!("{event:?} in {:?}: {refusal}", decision.next));
    }
    decision
}

fn kinds(decision: &Decision) -> Vec<&'static str> {
    let notes = decision.writes.iter().filter_map(|write| match write {
        Write::Note { kind, .. } => Some(*kind),
        _ => None,
    });
    notes.collect()
}

fn refused_but_curable() -> Event {
    ended(Step::Prove, Outcome::Proved(Proof::CanRestore { held: None }))
}

fn to_set() -> Vec<Event> {
    vec![requested('a'), Event::Leased, created()]
}

#[test]
fn a_rotation_without_trouble_goes_through_the_four_steps_and_promotes() {
    let mut events = vec![requested('a'), Event::Leased];
    assert_eq!(run(events.clone()).act, Some(Step::Create));
    events.push(created());
    assert_eq!(run(events.clone()).act, Some(Step::Set));
    events.push(ok(Step::Set));
    assert_eq!(run(events.clone()).act, Some(Step::Test));
    events.push(ok(Step::Test));
    assert_eq!(run(events.clone()).act, Some(Step::Finish));
    events.push(ok(Step::Finish));
    let last = run(events);
    assert_eq!((last.next, last.act), (Rotation::Idle, None));
    assert!(matches!(last.writes[0], Write::Promote));
}

// F02
#[test]
fn a_candidate_is_sealed_in_the_commit_before_the_set_that_sends_it() {
    let decision = run(to_set());
    assert!(matches!(decision.writes[..], [Write::Seal { candidate: 1, .. }]));
    assert_eq!(decision.act, Some(Step::Set));
}

#[test]
fn what_the_target_holds_is_kept_as_a_candidate_before_anything_else_happens() {
    assert!(matches!(run(vec![requested('a')]).writes[0], Write::SealCurrent));
}

// F05
#[test]
fn a_lost_reply_keeps_the_candidate_and_sets_the_same_value_again() {
    let mut events = to_set();
    events.extend([fails(Step::Set, Verdict::Unknown), Event::Leased]);
    let decision = run(events);
    let run = decision.next.run().expect("open");
    assert_eq!((decision.act, run.candidate, run.sets), (Some(Step::Set), 1, 2));
}

// F09
#[test]
fn a_rejected_value_is_followed_by_a_new_candidate_three_times_and_then_by_a_person() {
    let mut events = to_set();
    for n in 1..MAX_CANDIDATES {
        events.push(fails(Step::Set, Verdict::Rejected));
        assert_eq!(run(events.clone()).act, Some(Step::Create), "after rejection {n}");
        events.push(created());
    }
    events.push(fails(Step::Set, Verdict::Rejected));
    let last = run(events);
    assert!(matches!(last.next, Rotation::Parked { step: Step::Set, .. }));
    assert_eq!(kinds(&last), ["parked"]);
}

// F91
#[test]
fn a_candidate_that_does_not_log_in_is_set_again_after_a_wait() {
    let mut events = to_set();
    events.extend([ok(Step::Set), fails(Step::Test, Verdict::Rejected)]);
    assert!(matches!(run(events).next, Rotation::Waiting { step: Step::Set, .. }));
}

// F48
#[test]
fn the_waits_grow_while_sets_succeed_and_their_candidate_does_not_log_in() {
    let mut state = run(to_set()).next;
    let mut waits = vec![];
    for n in 0..4 {
        let now = n * 100;
        for event in [ok(Step::Set), fails(Step::Test, Verdict::Rejected)] {
            state = step(&state, event, &at(now)).expect("taken").next;
        }
        let Rotation::Waiting { not_before, .. } = &state else { panic!("{state:?}") };
        waits.push((*not_before - time(now)).num_seconds());
        state = step(&state, Event::Leased, &at(now + 90)).expect("due").next;
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    for event in [ok(Step::Set), ok(Step::Test)] {
        state = step(&state, event, &at(1000)).expect("taken").next;
    }
    assert_eq!(state.run().expect("open").returns, 0);
}

// F91
#[test]
fn a_crash_repeats_the_step_and_a_finish_is_tested_again() {
    let mut events = to_set();
    events.push(Event::Leased);
    assert_eq!(run(events.clone()).act, Some(Step::Set));
    events.extend([ok(Step::Set), Event::Leased]);
    assert_eq!(run(events.clone()).act, Some(Step::Test));
    events.extend([ok(Step::Test), Event::Leased]);
    assert_eq!(run(events).act, Some(Step::Test), "a proof goes stale while nobody holds the lease");
}

#[test]
fn a_wait_is_not_cut_short_by_a_driver() {
    let mut events = to_set();
    events.push(fails(Step::Set, Verdict::Retry));
    let waiting = run(events).next;
    let Rotation::Waiting { not_before, .. } = waiting else { panic!("{waiting:?}") };
    let early = Moment { now: not_before - TimeDelta::milliseconds(1), ..at(0) };
    assert_eq!(step(&waiting, Event::Leased, &early).expect_err("early"), Refusal::NotDue(not_before));
    let due = Moment { now: not_before, ..at(0) };
    assert_eq!(step(&waiting, Event::Leased, &due).expect("due").act, Some(Step::Set));
}

// F43
#[test]
fn past_its_window_a_rotation_that_has_sent_nothing_waits_for_the_next_window_or_for_a_person() {
    // A Set that changed nothing has sent nothing.
    let acting = run(to_set()).next;
    let late = at(1000);
    let parked = step(&acting, fails(Step::Set, Verdict::Retry), &late).expect("taken");
    assert!(matches!(parked.next, Rotation::Parked { .. }));
    let window = Window { opens: time(5000), closes: time(6000) };
    let late = Moment { next_window: Some(window), ..late };
    let next = step(&acting, fails(Step::Set, Verdict::Retry), &late).expect("taken").next;
    let Rotation::Waiting { run, not_before, .. } = next else { panic!("{next:?}") };
    assert_eq!((not_before, run.window_ends), (time(5000), time(6000)));
}

// F43
#[test]
fn once_a_value_may_be_on_the_target_no_window_is_waited_for() {
    let window = Window { opens: time(5_000_000), closes: time(6_000_000) };
    let late = Moment { next_window: Some(window), ..at(1000) };
    let mut to_test = to_set();
    to_test.push(ok(Step::Set));
    let lost_reply = (to_set(), fails(Step::Set, Verdict::Unknown));
    for (events, failure) in [lost_reply, (to_test, fails(Step::Test, Verdict::Retry))] {
        let next = step(&run(events).next, failure, &late).expect("taken").next;
        let Rotation::Waiting { not_before, .. } = next else { panic!("{next:?}") };
        assert!(not_before < time(1010), "tried again within seconds, not in the next window");
    }
}

/// Asks a target that is away, from `events` on, until `until`; the moments at which it was asked, in seconds.
fn asked_while_away(events: Vec<Event>, verdict: Verdict, until: i64) -> (Rotation, Vec<i64>) {
    let (mut state, mut asked) = (run(events).next, vec![0]);
    loop {
        let now = *asked.last().expect("once at least");
        let step_of = state.step().expect("it is open");
        state = step(&state, fails(step_of, verdict), &at(now)).expect("taken").next;
        let Rotation::Waiting { not_before, .. } = &state else { return (state, asked) };
        let next = not_before.timestamp();
        if next >= until {
            return (state, asked);
        }
        state = step(&state, Event::Leased, &at(next)).expect("due").next;
        asked.push(next);
    }
}

#[test]
fn f48_a_target_that_is_away_for_a_day_is_asked_ever_more_seldom_and_never_given_up() {
    const DAY: i64 = 24 * 3600;
    let mut sent = to_set();
    sent.push(ok(Step::Set));
    let (state, asked) = asked_while_away(sent, Verdict::Retry, DAY);
    assert!(matches!(state, Rotation::Waiting { step: Step::Test, .. }), "{state:?}");
    assert!((50..100).contains(&asked.len()), "{} times", asked.len());
    let gaps: Vec<i64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]) && gaps[0] >= 1, "{gaps:?}");
    // Before anything was sent the window bounds it, and a person is told.
    let (state, asked) = asked_while_away(to_set(), Verdict::Retry, DAY);
    assert!(matches!(state, Rotation::Parked { .. }) && asked.len() < 15, "{asked:?}");
}

#[test]
fn f50_after_half_an_hour_away_a_target_is_asked_again_within_half_an_hour() {
    let mut sent = to_set();
    sent.push(ok(Step::Set));
    let (_, asked) = asked_while_away(sent, Verdict::Retry, 3600);
    assert!(asked.len() > 5, "not five quick tries and then nothing");
    assert!(asked.iter().any(|second| (1800..3600).contains(second)), "{asked:?}");
}

// F51
#[test]
fn refused_logins_are_budgeted_below_the_servers_lock_limit() {
    let spent = |verdict| {
        let error = StepError { failed_logins: 2, lock_limit: Some(3), ..StepError::new(verdict, "1045", "refused") };
        let window = Window { opens: time(5_000_000), closes: time(6_000_000) };
        let at = Moment { next_window: Some(window), ..at(1) };
        let next = step(&run(to_set()).next, ended(Step::Set, Outcome::Failed(error)), &at).expect("taken").next;
        (next.state_name(), next.run().map(|run| run.window_ends))
    };
    let next_window = Some(time(6_000_000));
    assert_eq!(spent(Verdict::Retry), ("waiting", next_window), "nothing was sent: the next window has a new budget");
    assert_eq!(spent(Verdict::Unknown).0, "parked", "AWSCURRENT may be refused until then: a person is asked");
}

#[test]
fn only_a_person_resumes_what_is_parked() {
    let mut events = to_set();
    events.push(fails(Step::Set, Verdict::NeedsPerson));
    let parked = run(events).next;
    assert_eq!(step(&parked, Event::Leased, &at(900)).expect_err("parked"), Refusal::Parked);
    assert_eq!(step(&parked, requested('b'), &at(900)).expect_err("parked"), Refusal::Open);
    let resumed = step(&parked, Event::Resumed { window_ends: time(2000) }, &at(900)).expect("resumed").next;
    assert!(matches!(resumed, Rotation::Waiting { step: Step::Set, .. }));
}

#[test]
fn another_token_is_refused_while_a_rotation_is_open_and_the_same_one_is_the_same_request() {
    let acting = run(to_set()).next;
    assert_eq!(step(&acting, requested('b'), &at(1)).expect_err("open"), Refusal::Open);
    let again = step(&acting, requested('a'), &at(1)).expect("the same");
    assert_eq!((again.next, again.writes.len(), again.act), (acting, 0, None));
}

#[test]
fn a_users_change_before_any_candidate_closes_the_rotation() {
    let events = vec![requested('a'), Event::Interfered { what: "PutSecretValue".to_owned() }];
    assert_eq!(run(events).next, Rotation::Idle);
}

#[test]
fn a_users_change_after_a_candidate_proves_awscurrent_first() {
    let mut events = to_set();
    events.push(Event::Interfered { what: "PutSecretValue".to_owned() });
    assert!(matches!(run(events.clone()).next, Rotation::Waiting { step: Step::Prove, .. }));
    events.push(Event::Leased);
    assert_eq!(run(events.clone()).act, Some(Step::Prove));
    events.push(ended(Step::Prove, Outcome::Proved(Proof::CurrentLogsIn)));
    let last = run(events);
    assert_eq!(last.next, Rotation::Idle);
    assert!(last.writes.iter().any(|write| matches!(write, Write::Resolve)));
}

#[test]
fn giving_up_puts_awscurrent_back_where_it_is_refused_and_believes_it_only_when_it_logs_in() {
    let mut events = to_set();
    events.extend([Event::Abandoned, Event::Leased, refused_but_curable()]);
    let restoring = run(events.clone());
    assert_eq!(restoring.act, Some(Step::Restore));
    assert!(matches!(restoring.writes[..], [Write::SealCurrent]), "intent first");
    events.push(ok(Step::Restore));
    assert_eq!(run(events.clone()).act, Some(Step::Prove));
    events.pop();
    events.push(Event::Leased);
    assert_eq!(run(events).act, Some(Step::Prove), "after a crash in Restore");
}

// F16
#[test]
fn putting_awscurrent_back_is_tried_a_few_times_and_then_a_person_is_asked() {
    let mut events = to_set();
    events.extend([Event::Abandoned, Event::Leased]);
    for n in 1..=MAX_RESTORES {
        events.push(refused_but_curable());
        if n > 1 {
            assert!(matches!(run(events.clone()).next, Rotation::Waiting { step: Step::Restore, .. }), "not at once");
            events.push(Event::Leased);
        }
        assert_eq!(run(events.clone()).act, Some(Step::Restore));
        events.push(ok(Step::Restore));
    }
    events.push(refused_but_curable());
    assert!(matches!(run(events).next, Rotation::Parked { step: Step::Prove, .. }));
}

#[test]
fn giving_up_is_not_bounded_by_the_window() {
    let mut events = to_set();
    events.extend([Event::Abandoned, Event::Leased]);
    let proving = run(events).next;
    let late = step(&proving, fails(Step::Prove, Verdict::Retry), &at(100_000)).expect("taken").next;
    assert!(matches!(late, Rotation::Waiting { step: Step::Prove, .. }));
}

#[test]
fn a_report_about_a_step_the_machine_has_left_changes_nothing() {
    let mut events = to_set();
    events.push(Event::Interfered { what: "cancel".to_owned() });
    let proving = run(events).next;
    assert_eq!(step(&proving, ok(Step::Set), &at(1)).expect_err("stale"), Refusal::Stale);
}

#[test]
fn a_value_written_by_a_callback_is_the_candidate() {
    let filled = run(vec![requested('a'), Event::Filled(SecretBytes::from("v"))]);
    assert!(matches!(filled.next, Rotation::Waiting { step: Step::Set, .. }));
    let again = step(&filled.next, Event::Filled(SecretBytes::from("v")), &at(1));
    assert_eq!(again.expect_err("filled"), Refusal::AlreadyFilled);
}

fn trial_requested(letter: char) -> Event {
    Event::TrialRequested { token: token(letter), by: "test".to_owned(), window_ends: time(1000) }
}

fn is_over(decision: &Decision, notes: &[&str]) {
    assert_eq!((&decision.next, decision.act), (&Rotation::Idle, None));
    assert!(decision.writes.iter().any(|write| matches!(write, Write::DropCopy(_))), "{decision:?}");
    assert_eq!(kinds(decision), notes);
    // Whatever else a trial does, it never makes, moves or resolves a candidate.
    let harmless = |write: &Write| matches!(write, Write::DropCopy(_) | Write::Note { .. });
    assert!(decision.writes.iter().all(harmless), "{decision:?}");
}

#[test]
fn a_trial_tests_a_copy_of_awscurrent_once_and_is_over() {
    let asked = run(vec![trial_requested('a')]);
    assert!(matches!(asked.writes[..], [Write::Copy(_), Write::Note { kind: "test-requested", .. }]), "{asked:?}");
    assert_eq!(run(vec![trial_requested('a'), Event::Leased]).act, Some(Step::Test));
    is_over(&run(vec![trial_requested('a'), Event::Leased, ok(Step::Test)]), &["test-succeeded"]);
}

#[test]
fn a_trial_that_fails_says_why_and_is_not_tried_again() {
    for verdict in [Verdict::Retry, Verdict::Rejected, Verdict::NeedsPerson, Verdict::Unknown] {
        let failed = run(vec![trial_requested('a'), Event::Leased, fails(Step::Test, verdict)]);
        is_over(&failed, &["test-failed"]);
        let why = failed
            .writes
            .iter()
            .any(|write| matches!(write, Write::Note { message, .. } if message == "the target is away"));
        assert!(why, "{failed:?}");
    }
}

#[test]
fn a_crash_in_a_trial_repeats_the_test() {
    let resumed = run(vec![trial_requested('a'), Event::Leased, Event::Leased]);
    assert_eq!(resumed.act, Some(Step::Test));
}

#[test]
fn whatever_a_user_does_in_a_trial_ends_it_with_nothing_to_prove() {
    for (event, notes) in [
        (Event::Interfered { what: "cancelled".to_owned() }, ["interfered", "test-failed"]),
        (Event::Abandoned, ["abandoning", "test-failed"]),
    ] {
        for mut events in [vec![trial_requested('a')], vec![trial_requested('a'), Event::Leased]] {
            events.push(event.clone());
            is_over(&run(events), &notes);
        }
    }
    let late = run(vec![trial_requested('a'), Event::Leased, Event::Abandoned]).next;
    assert_eq!(step(&late, ok(Step::Test), &at(1)).expect_err("over"), Refusal::NoneOpen);
}

#[test]
fn a_trial_is_an_open_rotation_to_other_tokens_and_takes_no_value() {
    let open = run(vec![trial_requested('a')]).next;
    for other in [requested('b'), trial_requested('b')] {
        assert_eq!(step(&open, other, &at(1)).expect_err("open"), Refusal::Open);
    }
    for same in [requested('a'), trial_requested('a')] {
        let again = step(&open, same, &at(1)).expect("the same");
        assert_eq!((again.next, again.writes.len(), again.act), (open.clone(), 0, None));
    }
    let filled = step(&open, Event::Filled(SecretBytes::from("v")), &at(1));
    assert_eq!(filled.expect_err("a copy is there"), Refusal::AlreadyFilled);
    let rotating = run(to_set()).next;
    assert_eq!(step(&rotating, trial_requested('b'), &at(1)).expect_err("open"), Refusal::Open);
}

#[test]
fn a_row_of_an_earlier_release_is_no_trial() {
    let mut row = serde_json::to_value(run(to_set()).next).expect("serialises");
    row["run"].as_object_mut().expect("a run").remove("trial").expect("it is written");
    let read: Rotation = serde_json::from_value(row).expect("parses");
    assert!(!read.run().expect("open").trial);
}

/// All states, one of each shape.
fn states() -> Vec<Rotation> {
    let run = run(to_set()).next.run().expect("open").clone();
    let reason = Reason { code: String::new(), message: String::new(), remedy: String::new() };
    let mut states = vec![Rotation::Idle];
    for step in STEPS {
        states.push(Rotation::Waiting { run: run.clone(), step, not_before: time(0) });
        states.push(Rotation::Acting { run: run.clone(), step });
        states.push(Rotation::Parked { run: run.clone(), step, reason: reason.clone() });
    }
    states
}

#[test]
fn idle_takes_a_request_and_nothing_else() {
    let events = [
        Event::Leased,
        ok(Step::Set),
        Event::Filled(SecretBytes::default()),
        Event::Interfered { what: String::new() },
        Event::Resumed { window_ends: time(1) },
        Event::Abandoned,
        Event::Vouched { by: String::new() },
    ];
    for event in events {
        assert_eq!(step(&Rotation::Idle, event, &at(0)).expect_err("idle"), Refusal::NoneOpen);
    }
}

// F128
#[test]
fn every_open_state_can_be_given_up_and_none_forgets_its_token() {
    for state in states().into_iter().skip(1) {
        for event in [Event::Abandoned, Event::Interfered { what: String::new() }] {
            let next = step(&state, event, &at(0)).expect("always possible").next;
            assert!(matches!(next, Rotation::Waiting { step: Step::Prove, .. }), "{state:?} → {next:?}");
            assert_eq!(next.run().map(|run| &run.token), state.run().map(|run| &run.token));
        }
    }
}

#[test]
fn a_state_survives_its_row() {
    for state in states() {
        let json = serde_json::to_string(&state).expect("serialises");
        assert_eq!(serde_json::from_str::<Rotation>(&json).expect("parses"), state, "{json}");
    }
}

#[test]
fn every_act_comes_with_the_acting_state_that_says_so() {
    for state in states() {
        for event in [Event::Leased, requested('b'), created(), ok(Step::Set), ok(Step::Test), ok(Step::Restore)] {
            if let Ok(decision) = step(&state, event, &at(10)) {
                let acting = match &decision.next {
                    Rotation::Acting { step, .. } => Some(*step),
                    _ => None,
                };
                assert_eq!(decision.act, acting);
            }
        }
    }
}
