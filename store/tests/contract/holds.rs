//! A store that was brought back: what is held, what lets go of it, and what nobody does meanwhile.

use chrono::TimeDelta;
use engine::check::Verified;
use engine::label::PENDING;
use engine::outcome::{StepError, Verdict};
use engine::port::{PortError, RotationStore};
use engine::registration::Mode;
use engine::rotation::{Event, Rotation, Step};
use store::{Look, Rotate, Start, StoreError};

use crate::rotators::{by, webhook};
use crate::world::{World, done, on_schedule, rotate};

fn value(user: &str, password: &str) -> String {
    format!(r#"{{"engine":"postgres","host":"db","username":"{user}","password":"{password}"}}"#)
}

async fn scheduled(world: &World, name: &str) {
    world.create(name, &value(name, "one")).await;
    let request = on_schedule(&format!("on-{name}"), "rate(10 days)");
    world.store.rotate(name, request, world.now()).await.unwrap();
}

async fn brought_back(world: &World) {
    world.store.enter_verify_only("restored in a test", world.now()).await.unwrap();
}

async fn looks(world: &World) -> Vec<Look> {
    world.store.claim_looks("looker", 10, world.now()).await.unwrap()
}

/// The one account that is to be seen is looked at, and answers.
async fn seen(world: &World, answer: Verified) {
    let mut looks = looks(world).await;
    assert_eq!(looks.len(), 1, "one look is due");
    let look = looks.remove(0);
    assert!(look.held);
    world.store.looked(&look, &Ok(answer), "schedule", world.now()).await.unwrap().expect("it is about something");
}

async fn settle(world: &World) {
    while world.store.settle_holds(world.now()).await.unwrap() {}
}

async fn held(world: &World, name: &str) -> bool {
    world.store.rotation(name).await.unwrap().held
}

fn none() -> Verified {
    Verified::NoneLogsIn
}

// F11
pub(crate) async fn a_store_that_was_brought_back_starts_nothing_and_says_why(world: World) {
    scheduled(&world, "s").await;
    brought_back(&world).await;
    let mode = world.store.verify_only().await.unwrap().expect("it is verify-only");
    assert_eq!((mode.reason.as_str(), mode.since), ("restored in a test", world.now()));
    assert_eq!(world.store.epoch().await.unwrap(), 1);
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    world.store.restore_secret("s", world.now()).await.unwrap();
    scheduled(&world, "later").await;
    world.clock.pass(TimeDelta::days(30));
    assert!(world.claims().await.is_empty(), "nothing is due");
    assert_eq!(world.next_due().await, None);
    for name in ["s", "later"] {
        let refused = world.store.rotate(name, rotate("now"), world.now()).await;
        assert!(matches!(refused, Err(StoreError::Held)), "{refused:?}");
        assert!(held(&world, name).await);
    }
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(30));
    assert_eq!(world.store.purge(world.now()).await.unwrap(), 0, "its deletion may have been called off");
    let world = world.reopen().await;
    assert!(world.store.verify_only().await.unwrap().is_some(), "a restart does not end it");
}

pub(crate) async fn a_second_failure_in_the_middle_has_every_account_looked_at_again(world: World) {
    scheduled(&world, "s").await;
    brought_back(&world).await;
    seen(&world, Verified::CurrentLogsIn).await;
    world.clock.pass(TimeDelta::seconds(1));
    world.store.enter_verify_only("failed over", world.now()).await.unwrap();
    settle(&world).await;
    assert_eq!(world.store.verify_only().await.unwrap().map(|mode| mode.reason).as_deref(), Some("restored in a test"));
    assert_eq!((world.store.epoch().await.unwrap(), world.store.unproven(10).await.unwrap().1), (2, 1));
    seen(&world, Verified::CurrentLogsIn).await;
    settle(&world).await;
    assert_eq!(world.store.verify_only().await.unwrap(), None);
}

pub(crate) async fn it_ends_by_itself_when_every_account_was_seen_and_plans_windows_that_are_to_come(world: World) {
    scheduled(&world, "s").await;
    let planned = world.store.rotation("s").await.unwrap().due;
    brought_back(&world).await;
    settle(&world).await;
    assert!(world.store.verify_only().await.unwrap().is_some(), "nothing was seen yet");
    world.clock.pass(TimeDelta::days(40));
    seen(&world, Verified::CurrentLogsIn).await;
    assert!(held(&world, "s").await, "until the store is as usual");
    settle(&world).await;
    assert_eq!(world.store.verify_only().await.unwrap(), None);
    let view = world.store.rotation("s").await.unwrap();
    assert!(!view.held && view.due > Some(world.now()) && view.due > planned, "{:?}", view.due);
    assert!(world.claims().await.is_empty(), "nothing rotates because the store was brought back");
    world.clock.set(view.due.unwrap());
    assert_eq!(world.claims().await.len(), 1, "and then it does as planned");
}

pub(crate) async fn what_is_refused_stays_held_when_an_operator_leaves_and_is_let_go_when_it_logs_in(world: World) {
    scheduled(&world, "bad").await;
    brought_back(&world).await;
    seen(&world, none()).await;
    settle(&world).await;
    assert!(world.store.verify_only().await.unwrap().is_some(), "it does not end by itself");
    let (named, count) = world.store.unproven(10).await.unwrap();
    assert_eq!((named[0].name.as_str(), named[0].verified.answer.clone(), count), ("bad", Some(none()), 1));
    world.store.leave_verify_only(world.now()).await.unwrap();
    settle(&world).await;
    world.clock.pass(TimeDelta::days(1));
    assert!(held(&world, "bad").await && world.claims().await.is_empty());
    let refused = world.store.rotate("bad", rotate("now"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::Held)));
    // Somebody writes the password that works: it is looked at, at once.
    world.put("bad", "right", &value("bad", "right")).await.unwrap();
    seen(&world, Verified::CurrentLogsIn).await;
    settle(&world).await;
    assert!(!held(&world, "bad").await && world.store.unproven(10).await.unwrap().1 == 0);
}

pub(crate) async fn a_reconcile_goes_on_while_everything_else_is_held_and_lets_go(world: World) {
    scheduled(&world, "s").await;
    brought_back(&world).await;
    seen(&world, none()).await;
    world.store.reconcile_rotation("s", "tester", world.now()).await.unwrap();
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    assert!(matches!(world.state("s").await, Rotation::Acting { .. }), "a person asked for it");
    // Cut short and given up, it has proven nothing.
    world.store.release(&lease).await.unwrap();
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert!(held(&world, "s").await && world.state("s").await == Rotation::Idle);
    assert!(world.store.verify_only().await.unwrap().is_some());
}

pub(crate) async fn an_open_rotation_goes_on_with_the_same_value_once_that_is_what_logs_in(world: World) {
    world.create("s", &value("s", "one")).await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, &value("s", "two")).await;
    brought_back(&world).await;
    let late = world.apply(&lease, done(Step::Set)).await;
    assert!(matches!(late, Err(PortError::Fenced)), "what was in the hands of a driver of before is refused: {late:?}");
    let renewed = world.store.renew(&lease, std::time::Duration::ZERO).await;
    assert!(matches!(renewed, Err(PortError::Fenced)));
    world.clock.pass(TimeDelta::minutes(5));
    assert!(world.claims().await.is_empty());
    seen(&world, Verified::AnotherLogsIn { role: PENDING.to_owned() }).await;
    settle(&world).await;
    assert_eq!(world.store.verify_only().await.unwrap(), None);
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Set));
    world.finish(&lease).await;
    assert!(world.read("s").await.contains("two"));
}

pub(crate) async fn an_open_rotation_whose_target_has_an_older_value_is_held_until_a_person_says(world: World) {
    world.create("s", &value("s", "one")).await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, &value("s", "two")).await;
    brought_back(&world).await;
    world.clock.pass(TimeDelta::minutes(5));
    seen(&world, none()).await;
    world.store.leave_verify_only(world.now()).await.unwrap();
    settle(&world).await;
    assert!(world.claims().await.is_empty());
    assert!(world.store.unproven(10).await.unwrap().0[0].is_open);
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Prove));
}

pub(crate) async fn a_look_that_finds_out_nothing_is_made_again_soon(world: World) {
    scheduled(&world, "s").await;
    brought_back(&world).await;
    let look = looks(&world).await.remove(0);
    let away = StepError::new(Verdict::Retry, "away", "The server is away.");
    world.store.looked(&look, &Err(away), "schedule", world.now()).await.unwrap();
    settle(&world).await;
    assert!(held(&world, "s").await && looks(&world).await.is_empty());
    let (named, _) = world.store.unproven(10).await.unwrap();
    assert!(named[0].verified.failure.is_some() && named[0].verified.answer.is_none());
    world.clock.pass(TimeDelta::minutes(2));
    seen(&world, Verified::CurrentLogsIn).await;
}

pub(crate) async fn what_cannot_be_looked_at_is_let_go_by_a_test_or_by_a_person(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    for name in ["tested", "accepted"] {
        world.create(name, "one").await;
        let request = by("hook", Rotate { start: Start::Wait, ..rotate(&format!("on-{name}")) });
        world.store.rotate(name, request, world.now()).await.unwrap();
    }
    brought_back(&world).await;
    assert!(looks(&world).await.is_empty());
    let request = by("hook", Rotate { start: Start::Test, ..rotate("t") });
    world.store.rotate("tested", request, world.now()).await.unwrap();
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, done(Step::Test)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    assert_eq!(world.store.unproven(10).await.unwrap().1, 1);
    assert_eq!(world.store.accept_unseen("tester", world.now()).await.unwrap(), 1);
    settle(&world).await;
    assert_eq!(world.store.verify_only().await.unwrap(), None);
    assert!(!held(&world, "tested").await && !held(&world, "accepted").await);
}

pub(crate) async fn a_grace_does_not_end_while_the_secret_is_held(world: World) {
    let settings = webhook(Mode::Managed, false);
    let engine::registration::Kind::Webhook(hook) = settings.kind else { unreachable!("it is one") };
    let hook = engine::registration::Webhook { retires_after: Some(3600), ..hook };
    let kind = engine::registration::Kind::Webhook(hook);
    world.register("hook", engine::registration::Settings { kind, ..settings }).await;
    world.create("s", "one").await;
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    brought_back(&world).await;
    world.clock.pass(TimeDelta::days(1));
    assert!(world.claims().await.is_empty(), "nothing is retired");
    let ended = world.store.end_grace("s", "tester", world.now()).await;
    assert!(matches!(ended, Err(StoreError::Held)));
    assert_eq!(world.store.accept_unseen("tester", world.now()).await.unwrap(), 1);
    settle(&world).await;
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Retire));
}
