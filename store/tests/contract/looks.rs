//! Whether AWSCURRENT logs in, as the store remembers it: who is looked at when, what is written down, what follows.

use std::time::Duration;

use chrono::TimeDelta;
use engine::check::Verified;
use engine::outcome::{Done, Proof, StepError, Verdict};
use engine::port::{PortError, RotationStore};
use engine::registration::Mode;
use engine::rotation::{Event, Outcome, Rotation, Step};
use engine::settings::{Change, Said};
use store::{Look, Rotate, Start, StoreError};

use crate::rotators::{by, webhook};
use crate::world::{World, done, on_schedule, rotate, token};

const HOUR: u64 = 3600;

fn hourly() -> Change {
    Change { verify_seconds: Some(Said::To(HOUR)), ..Change::default() }
}

/// The value of an account.
fn value(user: &str, password: &str) -> String {
    format!(r#"{{"engine":"postgres","host":"db","username":"{user}","password":"{password}"}}"#)
}

/// A secret that is rotated by schedule and looked at every hour.
async fn looked_at(world: &World, name: &str, options: Change) {
    world.create(name, &value(name, "one")).await;
    let request = Rotate { options: Some(options), ..on_schedule(&format!("on-{name}"), "rate(30 days)") };
    world.store.rotate(name, request, world.now()).await.unwrap();
}

async fn looks(world: &World) -> Vec<Look> {
    world.store.claim_looks("looker", 10, world.now()).await.unwrap()
}

/// The one look that is due, once its time has come.
async fn look(world: &World, name: &str) -> Look {
    let due = world.store.rotation(name).await.unwrap().verify_due.expect("a look is planned");
    world.clock.set(due.max(world.now()));
    let mut looks = looks(world).await;
    assert_eq!(looks.len(), 1, "one look is due");
    looks.remove(0)
}

async fn found(world: &World, name: &str, answer: Verified) -> bool {
    let look = look(world, name).await;
    world.store.looked(&look, &Ok(answer), "schedule", world.now()).await.unwrap().is_some()
}

async fn kinds(world: &World, name: &str) -> Vec<String> {
    let lines = world.store.history(name, 50).await.unwrap();
    lines.into_iter().rev().map(|line| line.kind).filter(|kind| kind != "configured").collect()
}

fn previous() -> Verified {
    Verified::AnotherLogsIn { role: "AWSPREVIOUS".to_owned() }
}

pub(crate) async fn a_look_is_planned_within_the_interval_and_again_about_one_interval_later(world: World) {
    for n in 0..5 {
        looked_at(&world, &format!("s{n}"), hourly()).await;
    }
    let mut first = vec![];
    for n in 0..5 {
        first.push(world.store.rotation(&format!("s{n}")).await.unwrap().verify_due.unwrap() - world.now());
    }
    assert!(first.iter().all(|wait| *wait >= TimeDelta::zero() && *wait < TimeDelta::hours(1)), "{first:?}");
    assert!(first.iter().max() != first.iter().min(), "they are spread: {first:?}");
    assert_eq!(world.store.next_look(world.now()).await.unwrap(), first.iter().min().map(|wait| world.now() + *wait));
    world.clock.pass(TimeDelta::hours(1));
    let all = looks(&world).await;
    assert_eq!(all.len(), 5);
    assert!(looks(&world).await.is_empty(), "they are leased, and planned anew");
    for look in all {
        world.store.looked(&look, &Ok(Verified::CurrentLogsIn), "schedule", world.now()).await.unwrap().unwrap();
        let next = world.store.rotation(&look.sight.name).await.unwrap().verify_due.unwrap() - world.now();
        assert!(next >= TimeDelta::minutes(54) && next <= TimeDelta::minutes(66), "{next}");
    }
}

pub(crate) async fn what_is_not_rotated_or_served_by_a_registered_rotator_is_not_looked_at(world: World) {
    world.create("bare", "one").await;
    looked_at(&world, "never", Change { verify_seconds: Some(Said::To(0)), ..Change::default() }).await;
    looked_at(&world, "cancelled", hourly()).await;
    world.store.cancel_rotation("cancelled", "tester", world.now()).await.unwrap();
    looked_at(&world, "paused", hourly()).await;
    world.store.pause_rotation("paused", "tester", world.now()).await.unwrap();
    looked_at(&world, "deleted", hourly()).await;
    world.store.delete_secret("deleted", 7, world.now()).await.unwrap();
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.create("registered", "one").await;
    let request = by("hook", Rotate { start: Start::Wait, options: Some(hourly()), ..rotate("r") });
    world.store.rotate("registered", request, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::hours(2));
    assert!(looks(&world).await.is_empty());
    assert_eq!(world.store.next_look(world.now()).await.unwrap(), None);
    world.store.resume_rotation("paused", "tester", world.now()).await.unwrap();
    assert_eq!(looks(&world).await.len(), 1);
}

pub(crate) async fn drift_is_told_once_dated_and_counted_until_awscurrent_logs_in(world: World) {
    looked_at(&world, "s", hourly()).await;
    let changed = world.store.describe("s").await.unwrap().changed;
    assert!(found(&world, "s", previous()).await);
    let since = world.now();
    assert!(found(&world, "s", previous()).await);
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.verified.drifted && view.verified.since == Some(since) && view.rotation == Rotation::Idle);
    let wait = view.verify_due.unwrap() - world.now();
    assert!(wait > TimeDelta::hours(3), "a refused login is not repeated every hour: {wait}");
    assert_eq!(world.store.rotation_counts(world.now()).await.unwrap().drifted, 1);
    assert!(found(&world, "s", Verified::NoneLogsIn).await);
    assert!(found(&world, "s", Verified::CurrentLogsIn).await);
    assert_eq!(world.store.rotation_counts(world.now()).await.unwrap().drifted, 0);
    assert_eq!(kinds(&world, "s").await, ["drifted", "drifted", "verified-again"]);
    assert_eq!(world.store.describe("s").await.unwrap().changed, changed, "nothing of the secret has changed");
}

/// F129
pub(crate) async fn a_value_that_is_written_over_a_rotated_one_is_tried_within_minutes_and_told(world: World) {
    let daily = Change { verify_seconds: Some(Said::To(24 * HOUR)), ..Change::default() };
    looked_at(&world, "s", daily).await;
    assert!(found(&world, "s", Verified::CurrentLogsIn).await);
    let due = async || world.store.rotation("s").await.unwrap().verify_due.unwrap() - world.now();
    assert!(due().await > TimeDelta::hours(20));
    // A tool applies what it had, over what was rotated; a second one does not put the look off.
    world.put("s", "old", &value("s", "zero")).await.unwrap();
    let soon = due().await;
    assert!(soon >= TimeDelta::minutes(2) && soon <= TimeDelta::minutes(4), "{soon}");
    world.clock.pass(TimeDelta::minutes(1));
    world.put("s", "older", &value("s", "minus one")).await.unwrap();
    assert_eq!(due().await, soon - TimeDelta::minutes(1));
    assert!(found(&world, "s", previous()).await);
    assert!(world.store.rotation("s").await.unwrap().verified.drifted);
    assert_eq!(world.state("s").await, Rotation::Idle, "nothing is rotated because of it");
    assert_eq!(kinds(&world, "s").await, ["drifted"]);
    world.put("s", "again", &value("s", "minus two")).await.unwrap();
    assert!(due().await > TimeDelta::hours(1), "a tool that goes on costs the account no more logins");
}

pub(crate) async fn a_look_that_finds_out_nothing_is_no_drift(world: World) {
    looked_at(&world, "s", hourly()).await;
    assert!(found(&world, "s", Verified::CurrentLogsIn).await);
    let look = look(&world, "s").await;
    let away = StepError { lock_limit: Some(3), ..StepError::new(Verdict::Retry, "away", "The server is away.") };
    let last = world.store.looked(&look, &Err(away), "schedule", world.now()).await.unwrap().unwrap();
    assert!(!last.drifted && last.answer == Some(Verified::CurrentLogsIn), "{last:?}");
    assert_eq!(last.failure.unwrap().message, "The server is away.");
    assert!(kinds(&world, "s").await.is_empty());
    // The server said how many refused logins lock the account.
    let again = world.store.sight("s", None, world.now()).await.unwrap();
    assert_eq!(again.login_budget, 2);
}

pub(crate) async fn what_was_found_about_another_awscurrent_is_discarded(world: World) {
    looked_at(&world, "s", hourly()).await;
    let look = look(&world, "s").await;
    world.put("s", "v2", r#"{"password":"two"}"#).await.unwrap();
    assert!(world.store.looked(&look, &Ok(previous()), "schedule", world.now()).await.unwrap().is_none());
    let view = world.store.rotation("s").await.unwrap();
    assert!(!view.verified.drifted && view.verify_due.is_some(), "{view:?}");
    assert!(world.store.look_at("s", "other", world.now()).await.unwrap().is_some(), "the lease was given back");
}

pub(crate) async fn a_rotation_asked_for_in_a_look_begins_when_the_look_ends_and_outweighs_it(world: World) {
    looked_at(&world, "s", hourly()).await;
    let look = look(&world, "s").await;
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    assert!(world.claims().await.is_empty(), "it waits for the lease");
    assert!(world.store.looked(&look, &Ok(previous()), "schedule", world.now()).await.unwrap().is_none());
    let lease = world.claim().await;
    assert!(matches!(world.store.look_at("s", "x", world.now()).await, Err(StoreError::RotationUnderWay)));
    world.sealed(&lease, r#"{"password":"two"}"#).await;
    world.finish(&lease).await;
    let view = world.store.rotation("s").await.unwrap();
    assert_eq!(view.verified.answer, Some(Verified::CurrentLogsIn), "a rotation proves AWSCURRENT");
    assert!(view.verify_due.unwrap() > world.now() + TimeDelta::minutes(50));
}

pub(crate) async fn a_look_whose_process_died_is_not_repeated_at_once_and_keeps_nobody_out(world: World) {
    looked_at(&world, "s", hourly()).await;
    let look = look(&world, "s").await;
    world.clock.pass(TimeDelta::seconds(1));
    assert!(world.store.look_at("s", "other", world.now()).await.unwrap().is_none(), "somebody has it");
    world.clock.pass(TimeDelta::seconds(20));
    assert!(looks(&world).await.is_empty(), "each look costs a login");
    let other = world.store.look_at("s", "other", world.now()).await.unwrap().expect("its lease is over");
    assert!(world.store.looked(&look, &Ok(previous()), "schedule", world.now()).await.unwrap().is_none());
    assert!(!world.store.rotation("s").await.unwrap().verified.drifted, "the dead one's answer came too late");
    world.store.looked(&other, &Ok(previous()), "tester", world.now()).await.unwrap().unwrap();
    let world = world.reboot("boot-2").await;
    world.store.look_at("s", "other", world.now()).await.unwrap().expect("given back");
}

pub(crate) async fn a_lease_of_another_boot_is_waited_for_and_then_over(world: World) {
    looked_at(&world, "s", hourly()).await;
    look(&world, "s").await;
    let world = world.reboot("boot-2").await;
    assert!(world.store.look_at("s", "other", world.now()).await.unwrap().is_none());
    world.clock.pass(TimeDelta::seconds(16));
    assert!(world.store.look_at("s", "other", world.now()).await.unwrap().is_some());
}

pub(crate) async fn secrets_of_an_earlier_binary_get_their_first_look_spread_over_the_interval(world: World) {
    for n in 0..4 {
        looked_at(&world, &format!("s{n}"), Change::default()).await;
    }
    let mut raw = world.raw().await;
    raw.run("UPDATE rotation SET verify_ms = NULL").await;
    assert_eq!(world.store.plan_looks(world.now()).await.unwrap(), 4);
    assert_eq!(world.store.plan_looks(world.now()).await.unwrap(), 0);
    assert!(looks(&world).await.is_empty(), "nothing at once");
    world.clock.pass(TimeDelta::days(1));
    assert_eq!(looks(&world).await.len(), 4);
}

pub(crate) async fn a_look_has_awscurrent_and_whatever_else_may_log_in(world: World) {
    world.create("admin", r#"{"password":"root"}"#).await;
    world.create("s", r#"{"password":"one","masterarn":"admin"}"#).await;
    let request = Rotate { options: Some(hourly()), ..on_schedule("on", "rate(30 days)") };
    world.store.rotate("s", request, world.now()).await.unwrap();
    world.put("s", "v2", r#"{"password":"two","masterarn":"admin"}"#).await.unwrap();
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, r#"{"password":"three","masterarn":"admin"}"#).await;
    world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    let proved = Event::Ended { step: Step::Prove, outcome: Outcome::Proved(Proof::CurrentLogsIn) };
    // What was sent is known, and AWSCURRENT was proven; the label is left over, as AWS's is.
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Prove));
    world.apply(&lease, proved).await.unwrap();
    world.store.release(&lease).await.unwrap();
    assert!(world.labels("s").await.contains("[AWSPENDING]"));
    let sight = world.store.sight("s", None, world.now()).await.unwrap();
    let text = |value: &engine::secret::SecretBytes| value.expose_str().unwrap().to_owned();
    assert!(text(sight.material.wanted.as_ref().unwrap()).contains("two"));
    assert!(text(sight.material.admin.as_ref().unwrap()).contains("root"));
    let known: Vec<_> = sight.material.known.iter().map(|known| (known.role.as_str(), text(&known.value))).collect();
    assert!(known.iter().any(|(role, value)| *role == "AWSPREVIOUS" && value.contains("one")), "{known:?}");
    assert!(known.iter().any(|(role, value)| *role == "AWSPENDING" && value.contains("three")), "{known:?}");
    assert_eq!(sight.run.token, token("v2"));
}

pub(crate) async fn reconciling_proves_awscurrent_first_and_ends_the_drift(world: World) {
    looked_at(&world, "s", hourly()).await;
    assert!(found(&world, "s", previous()).await);
    world.store.reconcile_rotation("s", "tester", world.now()).await.unwrap();
    assert!(matches!(world.store.reconcile_rotation("s", "tester", world.now()).await, Err(StoreError::RotationOpen)));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Prove));
    let can = Event::Ended { step: Step::Prove, outcome: Outcome::Proved(Proof::CanRestore { held: None }) };
    assert_eq!(world.apply(&lease, can).await.unwrap().act, Some(Step::Restore));
    let restored = Event::Ended { step: Step::Restore, outcome: Outcome::Done(Done::default()) };
    assert_eq!(world.apply(&lease, restored).await.unwrap().act, Some(Step::Prove));
    let proved = Event::Ended { step: Step::Prove, outcome: Outcome::Proved(Proof::CurrentLogsIn) };
    world.apply(&lease, proved).await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.rotation == Rotation::Idle && !view.verified.drifted, "{view:?}");
    assert_eq!(view.verified.answer, Some(Verified::CurrentLogsIn));
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]", "no version was made");
}

pub(crate) async fn reconciling_needs_a_rotation_that_is_configured_and_not_paused(world: World) {
    world.create("s", "one").await;
    let asked = world.store.reconcile_rotation("s", "tester", world.now()).await;
    assert!(matches!(asked, Err(StoreError::NoRotator)), "{asked:?}");
    looked_at(&world, "p", hourly()).await;
    world.store.pause_rotation("p", "tester", world.now()).await.unwrap();
    let asked = world.store.reconcile_rotation("p", "tester", world.now()).await;
    assert!(matches!(asked, Err(StoreError::RotationPaused)), "{asked:?}");
}

/// Lets what the policy has begun prove that AWSCURRENT logs in.
async fn reconciled(world: &World) {
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Prove));
    let proved = Event::Ended { step: Step::Prove, outcome: Outcome::Proved(Proof::CurrentLogsIn) };
    world.apply(&lease, proved).await.unwrap();
    world.store.release(&lease).await.unwrap();
}

// F27
pub(crate) async fn the_policy_sets_awscurrent_again_three_times_and_then_stops(world: World) {
    looked_at(&world, "s", Change { reconcile: Some(true), ..hourly() }).await;
    assert!(found(&world, "s", Verified::CurrentLogsIn).await);
    for _ in 0..3 {
        assert!(found(&world, "s", previous()).await);
        let state = world.state("s").await;
        assert!(state.run().is_some_and(|run| run.reconciles && run.started_by == "policy"), "{state:?}");
        reconciled(&world).await;
        assert!(!world.store.rotation("s").await.unwrap().verified.drifted);
    }
    assert!(found(&world, "s", previous()).await);
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.rotation == Rotation::Idle && view.verified.rival && view.verified.drifted, "{view:?}");
    assert!(found(&world, "s", previous()).await);
    assert!(world.claims().await.is_empty());
    let told = kinds(&world, "s").await;
    assert_eq!(told.iter().filter(|kind| *kind == "rival").count(), 1, "{told:?}");
    // A person may, and the policy begins to count anew.
    world.store.reconcile_rotation("s", "tester", world.now()).await.unwrap();
    reconciled(&world).await;
    assert!(found(&world, "s", previous()).await);
    assert!(world.state("s").await.run().is_some_and(|run| run.reconciles));
}

/// Whoever may write the value may not choose the password of any account that way.
pub(crate) async fn the_policy_sets_no_account_again_that_was_never_seen_to_log_in(world: World) {
    looked_at(&world, "s", Change { reconcile: Some(true), ..hourly() }).await;
    assert!(found(&world, "s", previous()).await);
    assert_eq!(world.state("s").await, Rotation::Idle, "not even this one has been seen");
    assert!(found(&world, "s", Verified::CurrentLogsIn).await);
    world.put("s", "v2", &value("payroll", "mine")).await.unwrap();
    assert!(found(&world, "s", previous()).await);
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.rotation == Rotation::Idle && view.verified.drifted, "{view:?}");
}

pub(crate) async fn the_policy_begins_nothing_where_nobody_could_set_the_password(world: World) {
    looked_at(&world, "s", Change { reconcile: Some(true), ..hourly() }).await;
    assert!(found(&world, "s", Verified::NoneLogsIn).await);
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.rotation == Rotation::Idle && view.verified.drifted, "without an admin, nobody's password: {view:?}");
}

pub(crate) async fn nothing_is_prepared_while_the_store_is_verify_only(world: World) {
    use engine::check::Prepare;
    world.create("never-rotated", "one").await;
    world.store.enter_verify_only("a test", world.now()).await.unwrap();
    let begin = async |what| world.store.begin_work("never-rotated", what, "o", "tester", world.now()).await;
    for what in [Prepare::Apply, Prepare::Undo] {
        assert!(matches!(begin(what).await, Err(StoreError::Held)), "{what:?}");
    }
    assert!(begin(Prepare::Show).await.unwrap().is_some(), "what only looks may");
}

pub(crate) async fn work_beside_rotations_is_leased_and_told_before_it_begins(world: World) {
    use engine::check::{Preparation, Prepare};
    use engine::strategy::Strategy;
    let (store, apply) = (&world.store, Prepare::Apply);
    world.create("bare", "one").await;
    let early = store.begin_work("bare", apply, "o", "tester", world.now()).await.unwrap();
    early.expect("before rotation is configured, too");
    looked_at(&world, "s", hourly()).await;
    let work = store.begin_work("s", apply, "o", "tester", world.now()).await.unwrap().unwrap();
    assert_eq!(kinds(&world, "s").await, ["preparing"]);
    assert!(store.begin_work("s", apply, "o", "tester", world.now()).await.unwrap().is_none(), "one at a time");
    store.look(&work.lease).await.unwrap();
    let left = store.renew(&work.lease, Duration::from_secs(60)).await.unwrap();
    assert!(left >= Duration::from_secs(59), "{left:?}");
    let applied = Ok(Preparation { applied: true, ..Preparation::default() });
    store.end_work(&work, apply, &applied, "tester", world.now()).await.unwrap();
    let options = store.rotation("s").await.unwrap().config.unwrap().options;
    assert_eq!(options.strategy, Some(Strategy::AlternatingUsers));
    assert!(matches!(store.look(&work.lease).await, Err(PortError::Fenced)), "it is given back");

    let work = store.begin_work("s", Prepare::Undo, "o", "tester", world.now()).await.unwrap().unwrap();
    let failed = Err(StepError::new(Verdict::Unknown, "lost", "the reply was lost"));
    store.end_work(&work, Prepare::Undo, &failed, "tester", world.now()).await.unwrap();
    let options = store.rotation("s").await.unwrap().config.unwrap().options;
    assert_eq!(options.strategy, Some(Strategy::AlternatingUsers), "nobody knows whether it was undone");
    let work = store.begin_work("s", Prepare::Undo, "o", "tester", world.now()).await.unwrap().unwrap();
    let nothing = Ok(Preparation { already: true, ..Preparation::default() });
    store.end_work(&work, Prepare::Undo, &nothing, "tester", world.now()).await.unwrap();
    let options = store.rotation("s").await.unwrap().config.unwrap().options;
    assert_eq!(options.strategy, Some(Strategy::AlternatingUsers), "there was nothing to undo");
    store.rotate("s", rotate("r"), world.now()).await.unwrap();
    let asked = store.begin_work("s", apply, "o", "tester", world.now()).await;
    assert!(matches!(asked, Err(StoreError::RotationUnderWay)), "{asked:?}");
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.apply(&lease, done(Step::Set)).await.unwrap();
}
