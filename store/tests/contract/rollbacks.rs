//! Rotations that carry an earlier version's value, and graces that are ended by command.

use engine::outcome::Done;
use engine::port::RotationStore;
use engine::registration::Mode;
use engine::rotation::{Event, Outcome, Refusal, Rotation, Step};
use engine::settings::{Change, Said};
use engine::strategy::Strategy;
use store::{Rotate, Start, StoreError, Written};

use crate::rotators::{by, webhook};
use crate::world::{World, created, done, on_schedule, rotate, token};

async fn back(world: &World, of: &str, version: Option<&str>) -> Result<Written, StoreError> {
    world.store.rollback_rotation("s", token(of), version, "tester", world.now()).await
}

async fn rotated(world: &World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
}

/// Two passwords, and the one before is in its grace.
async fn in_its_grace(world: &World) {
    world.create("s", "one").await;
    let options = Change { strategy: Some(Said::To(Strategy::DualPassword)), ..Change::default() };
    world.store.rotate("s", Rotate { options: Some(options), ..rotate("r") }, world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    let retains = Outcome::Done(Done { retains: true, ..Done::default() });
    world.apply(&lease, Event::Ended { step: Step::Set, outcome: retains }).await.unwrap();
    for step in [Step::Test, Step::Finish] {
        world.apply(&lease, done(step)).await.unwrap();
    }
    world.store.release(&lease).await.unwrap();
    assert!(matches!(world.state("s").await, Rotation::Waiting { step: Step::Retire, .. }));
}

pub(crate) async fn a_rollback_is_a_rotation_that_carries_awsprevious(world: World) {
    rotated(&world).await;
    let written = back(&world, "b", None).await.unwrap();
    assert_eq!(written.version_id, Some(token("b")));
    assert_eq!(back(&world, "b", None).await.unwrap(), written, "the same token is the same request");
    let lease = world.claim().await;
    let decision = world.apply(&lease, Event::Leased).await.unwrap();
    assert_eq!(decision.act, Some(Step::Create));
    let material = world.store.material(&lease, &decision.next).await.unwrap();
    assert_eq!(material.carried.unwrap().expose_str(), Some("one"));
    world.apply(&lease, created("one")).await.unwrap();
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "one");
    assert_eq!(world.labels("s").await, "b [AWSCURRENT] r [AWSPREVIOUS]");
}

pub(crate) async fn a_rollback_needs_another_value_to_go_back_to(world: World) {
    world.create("s", "one").await;
    assert!(matches!(back(&world, "b", None).await, Err(StoreError::NoRotator)));
    let waiting = on_schedule("on", "rate(30 days)");
    world.store.rotate("s", waiting, world.now()).await.unwrap();
    assert!(matches!(back(&world, "b", None).await, Err(StoreError::NoPrevious)));
    let own = token("create-s").to_string();
    let same = back(&world, "b", Some(&own)).await;
    assert!(matches!(same, Err(StoreError::SameAsCurrent(_))), "{same:?}");
    let nothing = back(&world, "b", Some(token("gone").as_str())).await;
    assert!(matches!(nothing, Err(StoreError::NothingToCarry(_))), "{nothing:?}");
    assert!(matches!(back(&world, "b", Some("short")).await, Err(StoreError::NothingToCarry(_))));
    // A version of the same value, whatever it is called.
    world.put("s", "two", "two").await.unwrap();
    world.put("s", "three", "two").await.unwrap();
    let same = back(&world, "b", None).await;
    assert!(matches!(same, Err(StoreError::SameAsCurrent(_))), "{same:?}");
    back(&world, "b", Some(&own)).await.expect("a version that is named");
    assert!(matches!(back(&world, "c", Some(&own)).await, Err(StoreError::RotationOpen)));
}

pub(crate) async fn a_rotator_that_makes_its_values_cannot_be_given_one(world: World) {
    world.register("hook", webhook(Mode::Callback, false)).await;
    world.create("s", "one").await;
    world.put("s", "two", "two").await.unwrap();
    let request = by("hook", Rotate { start: Start::Wait, ..rotate("r") });
    world.store.rotate("s", request, world.now()).await.unwrap();
    let refused = back(&world, "b", None).await;
    assert!(matches!(&refused, Err(StoreError::MakesValues(name)) if name == "hook"), "{refused:?}");
}

// F75
pub(crate) async fn a_rollback_to_what_is_in_its_grace_begins_at_once_and_keeps_it(world: World) {
    in_its_grace(&world).await;
    back(&world, "b", None).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Create));
    let told = world.store.history("s", 10).await.unwrap();
    assert!(told.iter().any(|line| line.kind == "called-off"), "{told:?}");
}

// F75
pub(crate) async fn a_grace_that_is_ended_retires_at_once_and_lets_what_waits_begin(world: World) {
    in_its_grace(&world).await;
    world.store.rotate("s", rotate("b"), world.now()).await.unwrap();
    assert!(world.claims().await.is_empty(), "it waits for the grace to end");
    world.store.end_grace("s", "tester", world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Retire));
    assert_eq!(world.apply(&lease, done(Step::Retire)).await.unwrap().act, Some(Step::Create));
    let again = world.store.end_grace("s", "tester", world.now()).await;
    assert!(matches!(again, Err(StoreError::Refused(Refusal::NoGrace))), "{again:?}");
}

pub(crate) async fn within_a_grace_awscurrent_is_looked_at_and_not_set_again(world: World) {
    in_its_grace(&world).await;
    let look = world.store.look_at("s", "looker", world.now()).await.unwrap().unwrap();
    let last =
        world.store.looked(&look, &Ok(engine::check::Verified::NoneLogsIn), "tester", world.now()).await.unwrap();
    assert!(last.unwrap().drifted);
    let refused = world.store.reconcile_rotation("s", "tester", world.now()).await;
    assert!(matches!(refused, Err(StoreError::InGrace(_))), "{refused:?}");
    let end = world.store.end_grace("s", "tester", world.now()).await.unwrap();
    assert!(end.due.is_some_and(|due| due <= world.now()), "{end:?}");
}
