//! Between finishSecret and the end of the old credential: what people do meanwhile. And leases as long as a function
//! may take.

use std::time::Duration;

use chrono::TimeDelta;
use engine::driver::LEASE_MARGIN;
use engine::port::RotationStore;
use engine::registration::{Kind, LONGEST_TIMEOUT, Mode, Settings};
use engine::rotation::{Event, Rotation, Step};

use crate::rotators::{by, webhook};
use crate::world::{World, rotate, rules};

/// Its version is AWSCURRENT, and the one before it is retired in an hour.
async fn in_its_grace(world: &World, name: &str) {
    let settings = webhook(Mode::Managed, false);
    let Kind::Webhook(webhook) = settings.kind else { unreachable!("it is one") };
    let kind = Kind::Webhook(engine::registration::Webhook { retires_after: Some(3600), ..webhook });
    world.register("hook", Settings { kind, ..settings }).await;
    world.create(name, "one").await;
    let request = by("hook", store::Rotate { rules: Some(rules("rate(4 hours)")), ..rotate("r") });
    world.store.rotate(name, request, world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    world.store.release(&lease).await.unwrap();
    assert!(matches!(world.state(name).await, Rotation::Waiting { step: Step::Retire, .. }));
}

pub(crate) async fn a_secret_that_is_deleted_in_its_grace_goes_whole(world: World) {
    in_its_grace(&world, "s").await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    let mut raw = world.raw().await;
    let left: i64 = raw.count("SELECT COUNT(*) FROM secret").await;
    assert_eq!(left, 0);
}

pub(crate) async fn a_rotation_that_is_given_up_in_the_grace_leaves_the_grace_as_it_was(world: World) {
    in_its_grace(&world, "s").await;
    let due = world.store.rotation("s").await.unwrap().due;
    world.store.rotate("s", by("hook", rotate("b")), world.now()).await.unwrap();
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] r [AWSCURRENT]");
    assert_eq!(world.store.rotation("s").await.unwrap().due, due);
    world.clock.set(due.unwrap());
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Retire));
    let rotation = world.state("s").await;
    let material = world.store.material(&lease, &rotation).await.unwrap();
    assert_eq!(material.wanted.unwrap().expose_str(), Some("two"));
    assert_eq!(material.known[0].value.expose_str(), Some("one"), "what is retired");
}

pub(crate) async fn another_rotator_ends_nothing_that_it_did_not_make(world: World) {
    in_its_grace(&world, "s").await;
    world.register("other", webhook(Mode::Managed, false)).await;
    let request = by("other", rotate("c"));
    let request = store::Rotate { start: store::Start::Wait, ..request };
    world.store.rotate("s", request, world.now()).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    let history = world.store.history("s", 10).await.unwrap();
    assert!(history.iter().any(|line| line.kind == "called-off"), "{history:?}");
}

pub(crate) async fn a_rotator_that_was_disabled_over_a_window_starts_nothing_when_the_grace_ends(world: World) {
    in_its_grace(&world, "s").await;
    world.store.set_rotator_disabled("hook", true, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::hours(9));
    world.store.set_rotator_disabled("hook", false, world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Retire));
    world.apply(&lease, crate::world::done(Step::Retire)).await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    assert_eq!(view.rotation, Rotation::Idle);
    assert!(view.due.unwrap() > world.now() + TimeDelta::minutes(30), "{view:?}");
}

/// A step of a function that may take fifteen minutes.
async fn long_step(world: &World) -> engine::port::Lease {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    let left = world.store.renew(&lease, LONGEST_TIMEOUT + LEASE_MARGIN + Duration::from_millis(500)).await.unwrap();
    assert!(left > LONGEST_TIMEOUT + LEASE_MARGIN, "{left:?}");
    lease
}

pub(crate) async fn the_longest_lease_is_nobody_elses_from_its_first_moment(world: World) {
    let lease = long_step(&world).await;
    assert!(world.claims().await.is_empty());
    world.clock.pass(TimeDelta::seconds(890));
    assert!(world.claims().await.is_empty());
    world.store.look(&lease).await.unwrap();
    world.clock.pass(TimeDelta::seconds(13));
    world.claim().await;
}

// PostgreSQL's clock knows no boots.
#[tokio::test]
async fn a_long_lease_of_another_boot_is_waited_for_whole() {
    let world = World::over_sqlite().await;
    long_step(&world).await;
    world.clock.pass(TimeDelta::seconds(100));
    let world = world.reboot("boot-2").await;
    world.clock.pass(TimeDelta::seconds(900));
    assert!(world.claims().await.is_empty(), "the call may still be under way");
    world.clock.pass(TimeDelta::seconds(3));
    world.claim().await;
}
