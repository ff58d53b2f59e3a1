//! Rows that cannot be read, and what an earlier binary made of a row: one of them must not stop the others.

use engine::rotation::{Event, Rotation, Step};
use store::{Replica, ReplicaStatus, Start};

use crate::world::{World, done, rotate};

#[tokio::test]
async fn a_version_that_cannot_be_read_keeps_no_other_from_being_served_at_the_next_start() {
    let world = World::over_sqlite().await;
    world.create("bad", "one").await;
    world.create("good", "two").await;
    let mut raw = world.sqlite().await;
    for damage in ["kind = 'weird'", "kind = NULL", "candidate = 7, sealed = NULL"] {
        let change = format!(
            "UPDATE version SET masterarn = NULL, {damage} WHERE secret_id = (SELECT id FROM secret WHERE name = 'bad')"
        );
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&mut raw).await.unwrap();
    }
    let world = world.reopen().await;
    assert_eq!(world.read("good").await, "two");
    assert!(world.get("bad").await.is_err());
}

#[tokio::test]
async fn a_replica_in_a_state_of_later_days_is_shown_as_failed_and_breaks_no_list() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let region = Replica {
        region: "eu-west-1".to_owned(),
        kms_key_id: None,
        status: ReplicaStatus::Failed,
        message: String::new(),
    };
    world.store.replicate("s", &[region], world.now()).await.unwrap();
    let mut raw = world.sqlite().await;
    sqlx::query("UPDATE replica SET status = 'catching-up'").execute(&mut raw).await.unwrap();
    let about = world.store.describe("s").await.unwrap();
    assert_eq!(about.replicas[0].message, "This server does not know the status catching-up.");
    assert_eq!(world.store.list(store::ListQuery { limit: 10, ..Default::default() }).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_trial_whose_mark_an_earlier_binary_dropped_is_a_trial_all_the_same() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let trial = store::Rotate { start: Start::Test, ..rotate("t") };
    world.store.rotate("s", trial, world.now()).await.unwrap();
    let mut raw = world.sqlite().await;
    let changed = sqlx::query("UPDATE rotation SET body = replace(body, '\"trial\":true', '\"x\":1')");
    assert_eq!(changed.execute(&mut raw).await.unwrap().rows_affected(), 1);
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Test));
    world.apply(&lease, done(Step::Test)).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]");
}

#[tokio::test]
async fn versions_that_an_earlier_binary_wrote_are_shown_under_their_secrets_key() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let mut raw = world.sqlite().await;
    let shown = async || {
        let versions = world.store.list_versions("s", true, 10, None).await.unwrap().versions;
        versions[0].kms_key_id.clone()
    };
    assert_eq!(shown().await, None);
    sqlx::query("UPDATE secret SET kms_key_id = 'alias/k'").execute(&mut raw).await.unwrap();
    assert_eq!(shown().await, None, "it was written under the default key, and says so");
    sqlx::query("UPDATE version SET kms_key_id = NULL").execute(&mut raw).await.unwrap();
    assert_eq!(shown().await.as_deref(), Some("alias/k"));
}
