//! What people say about a rotation.

use std::sync::Arc;

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::port::{Options, RotationStore};
use engine::rotation::{Event, Refusal, Rotation, Step};
use store::{Rotate, Start, StoreError};

use crate::world::{World, failed, new_secret, on_schedule, rotate, rules, token};

// F47
pub(crate) async fn rotating_needs_a_rotator_a_value_and_a_schedule_that_parses(world: World) {
    world.create("s", "one").await;
    let plain = Rotate { serves: None, ..rotate("r") };
    let refused = world.store.rotate("s", plain.clone(), world.now()).await;
    assert!(matches!(refused, Err(StoreError::NoRotator)));
    let refused = world.store.rotate("s", on_schedule("r", "rate(30 minutes)"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::Schedule(_))));
    let zone = Rotate { time_zone: Some("Mars/Olympus".to_owned()), ..rotate("r") };
    assert!(matches!(world.store.rotate("s", zone, world.now()).await, Err(StoreError::Schedule(_))));
    assert_eq!(world.store.describe("s").await.unwrap().rotation, None, "a refusal stores nothing");
    world.store.create_secret(new_secret("empty", "t"), world.now()).await.unwrap();
    let refused = world.store.rotate("empty", rotate("r"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::NoValue)));
    let named = Rotate { rotator: Some("arn:aws:lambda:us-east-1:000000000000:function:f".to_owned()), ..plain };
    world.store.rotate("s", named, world.now()).await.unwrap();
    let claim = world.claims().await.remove(0);
    assert_eq!(claim.rotator.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:function:f"));
}

pub(crate) async fn configuration_that_is_left_out_is_kept(world: World) {
    world.create("s", "one").await;
    let options = Options { allow_md5_upgrade: true, ..Options::default() };
    let first = Rotate {
        rotator: Some("postgres".to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
        options: Some(options.clone().into()),
        ..on_schedule("c", "rate(10 days)")
    };
    world.store.rotate("s", first, world.now()).await.unwrap();
    let before = world.store.describe("s").await.unwrap().rotation.unwrap();
    let bare = Rotate { serves: None, start: Start::Wait, ..rotate("d") };
    world.store.rotate("s", bare, world.now()).await.unwrap();
    let after = world.store.describe("s").await.unwrap().rotation.unwrap();
    assert_eq!(before, after);
    assert_eq!((after.options, after.rules), (options, Some(rules("rate(10 days)"))));
    assert_eq!(after.time_zone.as_deref(), Some("Europe/Berlin"));
}

pub(crate) async fn the_same_token_again_is_the_same_request(world: World) {
    world.create("s", "one").await;
    let first = world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    assert_eq!(world.store.rotate("s", rotate("r"), world.now()).await.unwrap(), first);
    let refused = world.store.rotate("s", rotate("other"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::RotationOpen)));
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    let repeat = world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    assert_eq!(repeat.version_id, Some(token("r")));
    assert_eq!(world.state("s").await, Rotation::Idle, "a version that exists is not made again");
    let created = world.store.rotate("s", rotate("create-s"), world.now()).await.unwrap();
    assert_eq!(created.version_id, Some(token("create-s")));
    assert_eq!(world.state("s").await, Rotation::Idle);
}

// F17, F28
pub(crate) async fn a_hundred_parallel_rotates_open_exactly_one_rotation(world: World) {
    world.create("s", "one").await;
    let world = Arc::new(world);
    let rotating = (0..100).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.store.rotate("s", rotate(&format!("r{n}")), world.now()).await })
    });
    let (mut opened, mut refused) = (0, 0);
    for task in rotating.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => opened += 1,
            Err(StoreError::RotationOpen) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((opened, refused), (1, 99));
    let requested = world.store.history("s", 1000).await.unwrap();
    assert_eq!(requested.iter().filter(|entry| entry.kind == "requested").count(), 1);
    assert_eq!(world.store.describe("s").await.unwrap().stages.len(), 2);
}

// F97
pub(crate) async fn a_left_over_awspending_refuses_even_new_rules(world: World) {
    world.create("s", "one").await;
    world.put_with("s", "v2", "two", &["AWSPENDING"]).await.unwrap();
    let rules_and_a_test = Rotate { start: Start::Test, ..on_schedule("c", "rate(10 days)") };
    for request in [rotate("r"), rules_and_a_test] {
        let refused = world.store.rotate("s", request, world.now()).await;
        assert!(matches!(refused, Err(StoreError::RotationOpen)));
    }
    // On AWSCURRENT too, the rotation counts as complete.
    world.move_label("s", "AWSCURRENT", Some("create-s"), Some("v2")).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] v2 [AWSCURRENT, AWSPENDING]");
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
}

pub(crate) async fn cancelling_keeps_rules_and_labels(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let cancelled = world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(cancelled.version_id, None);
    let about = world.store.describe("s").await.unwrap();
    let config = about.rotation.unwrap();
    assert_eq!((config.enabled, config.rules), (false, Some(rules("rate(10 days)"))));
    assert_eq!(about.next_rotation, None);
    world.put("s", "v2", "two").await.unwrap();
    assert_eq!(world.store.rotation("s").await.unwrap().due, None, "a write plans nothing while disabled");
    // A bare RotateSecret enables it again.
    let bare = Rotate { serves: None, start: Start::Wait, ..rotate("d") };
    world.store.rotate("s", bare, world.now()).await.unwrap();
    assert!(world.store.describe("s").await.unwrap().next_rotation.is_some());
    world.create("never", "one").await;
    world.store.cancel_rotation("never", "tester", world.now()).await.unwrap();
    assert_eq!(world.store.describe("never").await.unwrap().rotation, None);
}

pub(crate) async fn resuming_goes_on_and_refuses_what_is_not_stopped(world: World) {
    world.create("s", "one").await;
    let resume = async || world.store.resume_rotation("s", "tester", world.now()).await;
    assert!(matches!(resume().await, Err(StoreError::NotOpen)));
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    assert!(matches!(resume().await, Err(StoreError::Refused(Refusal::NotParked))));
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    let parked = world.store.rotation("s").await.unwrap();
    assert!(matches!(&parked.rotation, Rotation::Parked { reason, .. } if reason.code == "X0"));
    world.clock.pass(TimeDelta::days(2));
    let resumed = resume().await.unwrap();
    assert_eq!(resumed.due, Some(world.now()));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Set));
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "two");
}

pub(crate) async fn abandoning_needs_an_open_rotation(world: World) {
    world.create("s", "one").await;
    let refused = world.store.abandon_rotation("s", "tester", world.now()).await;
    assert!(matches!(refused, Err(StoreError::NotOpen)));
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    let view = world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(view.rotation, Rotation::Idle, "nothing was ever sent");
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]");
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
}

pub(crate) async fn a_window_missed_in_a_pause_is_not_made_up_for(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    let view = world.store.pause_rotation("s", "tester", world.now()).await.unwrap();
    assert!(view.paused);
    world.clock.pass(TimeDelta::days(2));
    let view = world.store.resume_rotation("s", "tester", world.now()).await.unwrap();
    assert!(!view.paused && view.window.unwrap().opens > world.now());
    assert!(world.claims().await.is_empty());
}
