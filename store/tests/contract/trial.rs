//! A test of the configuration (RotateImmediately=false): one login with a copy of AWSCURRENT, and no trace of it.

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::port::RotationStore;
use engine::rotation::{Event, Rotation, Step};
use store::{Rotate, Start, StoreError};

use crate::world::{World, created, done, failed, new_secret, on_schedule, rotate, rules, text, token};

fn trial(of: &str) -> Rotate {
    Rotate { start: Start::Test, ..rotate(of) }
}

/// A secret with a schedule, and a trial that nobody has claimed yet.
async fn asked_for(world: &World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    world.store.rotate("s", trial("t"), world.now()).await.unwrap();
}

async fn kinds(world: &World) -> Vec<String> {
    world.store.history("s", 100).await.unwrap().into_iter().rev().map(|entry| entry.kind).collect()
}

async fn is_over(world: &World, labels: &str) {
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert_eq!(world.labels("s").await, labels);
    assert_eq!(world.unresolved("s").await, 0);
}

// F42
pub(crate) async fn a_window_that_passes_while_a_trial_is_open_is_made_up_for_late_and_said(world: World) {
    asked_for(&world).await;
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.store.release(&lease).await.unwrap();
    world.clock.pass(TimeDelta::days(12));
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, done(Step::Test)).await.unwrap();
    let due = world.store.rotation("s").await.unwrap().due.unwrap();
    assert!(due >= world.now() && due <= world.now() + TimeDelta::minutes(10), "{due}");
    assert_eq!(kinds(&world).await.last().map(String::as_str), Some("missed-window"));
}

pub(crate) async fn a_secret_without_a_value_keeps_what_was_to_be_tested(world: World) {
    world.store.create_secret(new_secret("s", "empty"), world.now()).await.unwrap();
    let asked = Rotate { start: Start::Test, ..on_schedule("t", "rate(10 days)") };
    let written = world.store.rotate("s", asked, world.now()).await.unwrap();
    assert_eq!(written.version_id, Some(token("t")));
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.config.is_some_and(|config| config.enabled && config.rules.is_some()));
    assert_eq!((view.rotation, kinds(&world).await), (Rotation::Idle, vec!["configured".to_owned()]));
    assert_eq!(world.labels("s").await, "");
    let now = world.store.rotate("s", rotate("r"), world.now()).await;
    assert!(matches!(now, Err(StoreError::NoValue)));
}

pub(crate) async fn a_trial_tests_a_copy_of_awscurrent_and_leaves_no_trace(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let before = world.store.rotation("s").await.unwrap();
    let written = world.store.rotate("s", trial("t"), world.now()).await.unwrap();
    assert_eq!(written.version_id, Some(token("t")));
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] t [AWSPENDING]");
    let copy = world.store.get_value("s", Some(token("t").as_str()), Some("AWSPENDING"), world.now()).await.unwrap();
    assert!(copy.value.same_as(&text("one")));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Test));
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    assert_eq!(material.wanted.as_ref().and_then(|value| value.expose_str()), Some("one"));
    assert!(material.known.is_empty(), "nothing else is tried");
    world.apply(&lease, done(Step::Test)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    is_over(&world, "create-s [AWSCURRENT]").await;
    let gone = world.store.get_value("s", Some(token("t").as_str()), None, world.now()).await;
    assert!(gone.is_err(), "the version went with its label");
    let after = world.store.rotation("s").await.unwrap();
    assert_eq!((after.window, after.due, after.base), (before.window, before.due, before.base));
    assert_eq!(after.rotated, None);
    assert_eq!(kinds(&world).await, ["configured", "test-requested", "step", "test-succeeded"]);
    assert_eq!(after.last_test.map(|test| test.kind).as_deref(), Some("test-succeeded"));
    // A real rotation may follow at once, under the same token even.
    let lease = world.rotating("s", "t").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] t [AWSCURRENT]");
}

pub(crate) async fn a_failed_trial_keeps_the_configuration_and_says_why(world: World) {
    asked_for(&world).await;
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, failed(Step::Test, Verdict::Retry)).await.unwrap();
    is_over(&world, "create-s [AWSCURRENT]").await;
    let view = world.store.rotation("s").await.unwrap();
    let config = view.config.unwrap();
    assert_eq!((config.enabled, config.rules), (true, Some(rules("rate(10 days)"))));
    let test = view.last_test.unwrap();
    assert_eq!((test.kind.as_str(), test.message.as_str()), ("test-failed", "the target said no"));
    assert_eq!(test.token, Some(token("t").to_string()));
}

pub(crate) async fn a_trial_refuses_other_rotations_and_is_the_same_request_again(world: World) {
    asked_for(&world).await;
    let again = world.store.rotate("s", trial("t"), world.now()).await.unwrap();
    assert_eq!((again.version_id, again.stages), (Some(token("t")), vec!["AWSPENDING".to_owned()]));
    for other in [rotate("u"), trial("u")] {
        let refused = world.store.rotate("s", other, world.now()).await;
        assert!(matches!(refused, Err(StoreError::RotationOpen)));
    }
    assert_eq!(kinds(&world).await, ["configured", "test-requested"]);
}

pub(crate) async fn whatever_a_user_does_in_a_trial_ends_it(world: World) {
    asked_for(&world).await;
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.put("s", "v2", "two").await.unwrap();
    is_over(&world, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]").await;
    let late = world.apply(&lease, done(Step::Test)).await;
    assert!(late.is_err(), "the driver's report comes too late");
    world.store.release(&lease).await.unwrap();
    let last = world.store.rotation("s").await.unwrap().last_test.unwrap();
    assert_eq!(last.message, "ended before the target had answered");

    let start = async || drop(world.store.rotate("s", trial("t"), world.now()).await.unwrap());
    start().await;
    let cancelled = world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(cancelled.version_id, Some(token("t")), "that one was open");
    is_over(&world, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]").await;
    start().await;
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    is_over(&world, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]").await;
    start().await;
    world.move_label("s", "AWSPENDING", Some("t"), None).await.unwrap();
    is_over(&world, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]").await;
    start().await;
    world.put_with("s", "mine", "three", &["AWSPENDING"]).await.unwrap();
    is_over(&world, "create-s [AWSPREVIOUS] mine [AWSPENDING] v2 [AWSCURRENT]").await;
    world.move_label("s", "AWSPENDING", Some("mine"), None).await.unwrap();
    start().await;
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    world.store.restore_secret("s", world.now()).await.unwrap();
    is_over(&world, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]").await;
    start().await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    world.create("s", "anew").await;
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]", "its name is free");
}

pub(crate) async fn a_copy_that_somebody_labelled_is_theirs(world: World) {
    asked_for(&world).await;
    world.put_with("s", "t", "one", &["KEEP"]).await.unwrap();
    assert!(world.state("s").await.run().is_some(), "a label of the user's own is no interference");
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, done(Step::Test)).await.unwrap();
    is_over(&world, "create-s [AWSCURRENT] t [KEEP]").await;
    world.store.release(&lease).await.unwrap();
    world.store.rotate("s", trial("u"), world.now()).await.unwrap();
    world.move_label("s", "AWSCURRENT", Some("create-s"), Some("u")).await.unwrap();
    is_over(&world, "create-s [AWSPREVIOUS] t [KEEP] u [AWSCURRENT]").await;
    assert_eq!(world.read("s").await, "one");
}

pub(crate) async fn a_value_put_under_a_trials_token_must_be_its_own(world: World) {
    asked_for(&world).await;
    let same = world.put("s", "t", "one").await.unwrap();
    assert_eq!(same.stages, ["AWSPENDING"]);
    let other = world.put("s", "t", "two").await;
    assert!(matches!(other, Err(StoreError::TokenInUse { .. })));
    assert!(world.state("s").await.run().is_some_and(|run| run.trial), "neither ends the trial");
}

pub(crate) async fn a_crash_in_a_trial_is_resumed_by_the_next_lease(world: World) {
    asked_for(&world).await;
    let dead = world.claim().await;
    world.apply(&dead, Event::Leased).await.unwrap();
    world.clock.pass(TimeDelta::seconds(20));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Test));
    assert!(world.apply(&dead, done(Step::Test)).await.is_err(), "fenced off");
    world.apply(&lease, done(Step::Test)).await.unwrap();
    is_over(&world, "create-s [AWSCURRENT]").await;
}

pub(crate) async fn a_paused_trial_waits_and_a_window_missed_meanwhile_is_not_made_up_for(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    world.store.pause_rotation("s", "tester", world.now()).await.unwrap();
    world.store.rotate("s", trial("t"), world.now()).await.unwrap();
    assert!(world.claims().await.is_empty());
    world.clock.pass(TimeDelta::days(2));
    world.store.resume_rotation("s", "tester", world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Test));
    world.apply(&lease, done(Step::Test)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.window.unwrap().opens > world.now() && world.claims().await.is_empty());
}

pub(crate) async fn a_trial_in_an_open_window_does_not_put_its_rotation_off(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let planned = world.store.rotation("s").await.unwrap();
    let opens = planned.window.unwrap().opens;
    assert!(planned.due > Some(opens), "there is time before the planned moment");
    world.clock.set(opens);
    world.store.rotate("s", trial("t"), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, done(Step::Test)).await.unwrap();
    let after = world.store.rotation("s").await.unwrap();
    assert_eq!((after.window, after.due), (planned.window, planned.due));
}

pub(crate) async fn what_is_changed_during_a_trial_is_planned_at_once(world: World) {
    asked_for(&world).await;
    world.store.rotate("s", on_schedule("d", "rate(4 hours)"), world.now()).await.unwrap();
    let window = world.store.rotation("s").await.unwrap().window.unwrap();
    assert!(window.opens - world.now() <= TimeDelta::hours(4), "{window:?}");
    assert!(world.state("s").await.run().is_some_and(|run| run.trial), "settings may change while it is open");
    // A plain write counts as a rotation for the schedule, in a trial as ever.
    world.clock.pass(TimeDelta::hours(3));
    world.put("s", "v2", "two").await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    assert_eq!(view.base, Some(world.now()));
    assert!(view.window.unwrap().opens > window.opens);
}

pub(crate) async fn a_trial_does_without_an_admin_that_is_being_rotated(world: World) {
    world.create("admin", "root-password").await;
    world.create("s", r#"{"engine":"postgres","password":"p","masterarn":"admin"}"#).await;
    let admins = async |name: &str| {
        world.store.rotate("s", trial(name), world.now()).await.unwrap();
        let lease = world.claim().await;
        world.apply(&lease, Event::Leased).await.unwrap();
        let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
        world.apply(&lease, done(Step::Test)).await.unwrap();
        world.store.release(&lease).await.unwrap();
        (material.admin.is_some(), material.admin_rotates)
    };
    assert_eq!(admins("t").await, (true, false));
    let lease = world.rotating("admin", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, created("other")).await.unwrap();
    assert_eq!(admins("u").await, (false, false));
}
