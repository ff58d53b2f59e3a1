//! The quota of about a hundred versions.

use chrono::TimeDelta;
use engine::schedule::Limits;
use store::StoreError;

use crate::world::{World, token};

async fn fill(world: &World) {
    world.create("s", "x").await;
    for n in 1..100 {
        world.put("s", &format!("v{n}"), "x").await.unwrap();
    }
}

async fn count(world: &World) -> usize {
    world.store.list_versions("s", true, 100, None).await.unwrap().versions.len()
}

pub(crate) async fn young_versions_are_never_pruned_and_then_the_quota_refuses(world: World) {
    fill(&world).await;
    let refused = world.put("s", "one-more", "y").await;
    assert!(matches!(refused, Err(StoreError::VersionQuota)));
    assert_eq!((count(&world).await, world.read("s").await.as_str()), (100, "x"));
    // A rotation is never refused for it.
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "two");
}

pub(crate) async fn old_unlabelled_versions_give_way(world: World) {
    fill(&world).await;
    world.move_label("s", "KEEP", None, Some("create-s")).await.unwrap();
    world.clock.pass(TimeDelta::hours(25));
    world.put("s", "one-more", "y").await.unwrap();
    assert_eq!(count(&world).await, 100);
    let get = async |of: &str| world.store.get_value("s", Some(token(of).as_str()), None, world.now()).await;
    assert!(get("create-s").await.is_ok(), "labelled ones stay");
    assert!(matches!(get("v1").await, Err(StoreError::VersionNotFound(_))), "the oldest goes first");
    assert!(get("v2").await.is_ok());
}

pub(crate) async fn without_aws_limits_rotations_never_meet_the_quota(world: World) {
    let world = world.with_limits(Limits::None).await;
    world.create("s", "x").await;
    for n in 0..130 {
        let lease = world.rotating("s", &format!("r{n}")).await;
        world.sealed(&lease, &format!("value {n}")).await;
        world.finish(&lease).await;
        world.clock.pass(TimeDelta::seconds(4));
    }
    assert!(count(&world).await <= 100);
    world.put("s", "mine", "y").await.unwrap();
    let mut raw = world.raw().await;
    let candidates: i64 = raw.count("SELECT COUNT(*) FROM candidate").await;
    assert!(candidates <= 100, "resolved candidates go with the versions that show them: {candidates}");
}

pub(crate) async fn an_unresolved_candidate_is_never_pruned(world: World) {
    let world = world.with_limits(Limits::None).await;
    world.create("s", "x").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.move_label("s", "AWSPENDING", Some("r"), None).await.unwrap();
    world.clock.pass(TimeDelta::days(3));
    for n in 0..120 {
        world.put("s", &format!("v{n}"), "x").await.unwrap();
        world.clock.pass(TimeDelta::minutes(1));
    }
    assert_eq!(world.unresolved("s").await, 2);
    for (of, value) in [("r", "two"), ("create-s", "x")] {
        let kept = world.store.get_value("s", Some(token(of).as_str()), None, world.now()).await.unwrap();
        assert_eq!(kept.value.bytes.expose_str(), Some(value));
    }
}
