//! Deleting, restoring, purging.

use chrono::TimeDelta;
use engine::port::RotationStore;
use engine::rotation::{Event, Step};
use store::{ListQuery, StoreError, Tag};

use crate::world::{World, on_schedule, rotate, update};

pub(crate) async fn a_planned_deletion_refuses_everything_but_looking_and_restoring(world: World) {
    world.create("s", "one").await;
    let deleted = world.store.delete_secret("s", 7, world.now()).await.unwrap();
    assert_eq!(deleted.deletion_date, world.now() + TimeDelta::days(7));
    let now = world.now();
    let store = &world.store;
    let update = update("u");
    let tag = Tag { key: "k".to_owned(), value: "v".to_owned() };
    let refusals = [
        store.get_value("s", None, None, now).await.map(drop),
        world.put("s", "v2", "two").await.map(drop),
        store.update_secret("s", update, now).await.map(drop),
        world.move_label("s", "X", None, Some("create-s")).await,
        store.rotate("s", rotate("r"), now).await.map(drop),
        store.cancel_rotation("s", "tester", now).await.map(drop),
        store.pause_rotation("s", "tester", now).await.map(drop),
        store.tag("s", &[tag], now).await,
        store.untag("s", &["k".to_owned()], now).await,
        store.delete_secret("s", 30, now).await.map(drop),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(StoreError::MarkedForDeletion)), "{refusal:?}");
    }
    assert_eq!(store.describe("s").await.unwrap().deleted, Some(deleted.deletion_date));
    assert_eq!(store.list_versions("s", false, 10, None).await.unwrap().versions.len(), 1);
    assert!(store.rotation("s").await.is_ok());
    let listed = async |include_deleted| {
        let query = ListQuery { include_deleted, limit: 10, ..ListQuery::default() };
        store.list(query).await.unwrap().items.len()
    };
    assert_eq!((listed(false).await, listed(true).await), (0, 1));
    store.restore_secret("s", now).await.unwrap();
    assert_eq!(world.read("s").await, "one");
    assert_eq!(store.restore_secret("s", now).await.unwrap().name, "s", "restoring a live secret is no error");
}

pub(crate) async fn restoring_brings_back_labels_and_schedule(world: World) {
    world.create("s", "one").await;
    world.put("s", "v2", "two").await.unwrap();
    world.store.rotate("s", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    world.store.delete_secret("s", 30, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(5));
    world.store.restore_secret("s", world.now()).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]");
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.config.unwrap().enabled);
    assert!(view.window.unwrap().opens > world.now(), "a restore starts no rotation");
    assert!(world.claims().await.is_empty());
}

pub(crate) async fn a_forced_deletion_frees_the_name_at_once(world: World) {
    world.create("s", "one").await;
    let deleted = world.store.delete_secret("s", 0, world.now()).await.unwrap();
    assert_eq!(deleted.deletion_date, world.now());
    assert!(matches!(world.get("s").await, Err(StoreError::SecretNotFound)));
    assert!(matches!(world.store.describe(&deleted.arn).await, Err(StoreError::SecretNotFound)));
    let again = world.store.delete_secret("s", 0, world.now()).await;
    assert!(matches!(again, Err(StoreError::SecretNotFound)));
    world.create("s", "two").await;
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    assert!(matches!(world.store.restore_secret("s", world.now()).await, Err(StoreError::SecretNotFound)));
}

pub(crate) async fn an_unresolved_candidate_outlives_force_delete_and_purge(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    world.create("t", "one").await;
    let lease = world.rotating("t", "r").await;
    world.sealed(&lease, "two").await;
    world.store.delete_secret("t", 7, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(8));
    assert_eq!(world.store.purge(world.now()).await.unwrap(), 1, "t is gone for everybody");
    assert_eq!(world.store.purge(world.now()).await.unwrap(), 0);
    for name in ["s", "t"] {
        assert!(matches!(world.store.describe(name).await, Err(StoreError::SecretNotFound)));
    }
    let mut raw = world.raw().await;
    let kept: i64 = raw.count("SELECT COUNT(*) FROM candidate WHERE resolved_ms IS NULL").await;
    assert_eq!(kept, 4, "what was sent, and what the target had before");
    let mut names = Vec::new();
    for name in ["s", "t"] {
        names.push(world.create(name, "new").await.name);
        assert_eq!(world.unresolved(name).await, 0, "a new secret of the name knows nothing of it");
    }
    assert_eq!(world.claims().await.len(), 0);
}

pub(crate) async fn a_healthy_secret_goes_with_all_it_had(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    let mut raw = world.raw().await;
    let tables =
        "SELECT (SELECT COUNT(*) FROM secret) + (SELECT COUNT(*) FROM version) + (SELECT COUNT(*) FROM candidate)
                  + (SELECT COUNT(*) FROM rotation) + (SELECT COUNT(*) FROM history) + (SELECT COUNT(*) FROM label)";
    assert_eq!(raw.count(tables).await, 0);
    // One whose target still has what a rotation set, while AWSCURRENT says otherwise, is not healthy.
    world.create("t", "one").await;
    let lease = world.rotating("t", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    world.put("t", "mine", "never told to the target").await.unwrap();
    world.store.delete_secret("t", 0, world.now()).await.unwrap();
    assert_eq!(raw.count("SELECT COUNT(*) FROM candidate").await, 1);
}

pub(crate) async fn purging_removes_what_has_ended_and_nothing_else(world: World) {
    for (name, days) in [("a", 7), ("b", 30)] {
        world.create(name, "one").await;
        world.store.rotate(name, on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
        world.store.delete_secret(name, days, world.now()).await.unwrap();
    }
    world.create("c", "one").await;
    world.clock.pass(TimeDelta::days(7) - TimeDelta::milliseconds(1));
    assert_eq!(world.store.purge(world.now()).await.unwrap(), 0);
    world.clock.pass(TimeDelta::milliseconds(1));
    assert_eq!(world.store.purge(world.now()).await.unwrap(), 1);
    assert!(matches!(world.store.describe("a").await, Err(StoreError::SecretNotFound)));
    assert!(world.store.describe("b").await.is_ok());
    assert_eq!(world.read("c").await, "one");
    world.create("a", "again").await;
}

pub(crate) async fn an_open_rotation_goes_on_after_restore(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(1));
    assert!(world.claims().await.is_empty());
    world.store.restore_secret("s", world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Set));
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "two");
    assert!(world.store.look(&lease).await.is_err());
}
