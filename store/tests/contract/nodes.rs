//! What is PostgreSQL's own: connections that many share.

use std::time::Duration;

use engine::schedule::Limits;
use store::{BackupError, PostgresUrl, Restore};

use crate::database::Database;
use crate::world::World;

const IN_A_TRANSACTION: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

/// A caller goes away at any moment: also between the BEGIN and its answer, of which the driver then knows nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_transaction_behind() {
    let Some(database) = Database::fresh("").await else { return };
    let mut raw = database.connect().await;
    let world = World::over(Some(database), Limits::Aws).await;
    world.create("s", "x").await;
    for micros in 0..400 {
        let limit = Duration::from_micros(micros * 5);
        let _gone = tokio::time::timeout(limit, world.store.ping()).await;
        let _gone = tokio::time::timeout(limit, world.store.rotation_counts(world.now())).await;
    }
    // Connections that were given back while nobody waited are looked at behind the scenes.
    for _ in 0..100 {
        world.store.ping().await.unwrap();
        let left: i64 = sqlx::query_scalar(IN_A_TRANSACTION).fetch_one(&mut raw).await.unwrap();
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a connection in the pool has a transaction open that nobody ends");
}

// F11: a failover to a server that has lost commits, and a restore into another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_timeline_is_noticed_and_nothing_starts() {
    let Some(world) = crate::world::over_postgres().await else { return };
    world.create("s", "one").await;
    world.store.rotate("s", crate::world::on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    assert_eq!(world.store.verify_only().await.unwrap(), None);
    let world = world.reopen().await;
    assert_eq!(world.store.verify_only().await.unwrap(), None, "it is the server it was");
    world.raw().await.run("UPDATE last_server SET timeline = '00000000'").await;
    let world = world.reopen().await;
    let why = world.store.verify_only().await.unwrap().expect("it is noticed");
    assert!(why.reason.contains("timeline 00000000"), "{}", why.reason);
    world.clock.pass(chrono::TimeDelta::hours(8));
    assert!(world.claims().await.is_empty(), "nothing starts before accounts were looked at");
    let world = world.reopen().await;
    assert_eq!(world.store.verify_only().await.unwrap(), Some(why), "once, and with its first reason");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_own_clock_decides_nothing_about_what_is_due_or_leased() {
    let Some(world) = crate::world::over_postgres().await else { return };
    world.create("s", "one").await;
    world.store.rotate("s", crate::world::on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    let due = world.next_due().await.expect("a plan");
    // A node that is a day ahead, and one that is a day behind, ask for what is due.
    let day = chrono::TimeDelta::days(1);
    let claim = async |now| world.store.claim("skewed", &store::Room::everywhere(10), now).await.unwrap();
    assert!(claim(world.now() + day).await.is_empty(), "it is not due by the database's clock");
    world.clock.set(due);
    assert_eq!(claim(world.now() - day).await.len(), 1, "it is");
    assert!(claim(world.now() + day).await.is_empty(), "and its lease is not over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_being_written_is_passed_over_by_a_claim_and_claimed_after() {
    let Some(world) = crate::world::over_postgres().await else { return };
    for name in ["a", "b"] {
        world.create(name, "one").await;
        world.store.rotate(name, crate::world::rotate("r"), world.now()).await.unwrap();
    }
    let mut writer = world.raw().await;
    writer.run("BEGIN").await;
    writer.run("UPDATE secret SET description = 'x' WHERE name = 'a'").await;
    let claims = world.claims().await;
    assert_eq!(claims.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["b"]);
    writer.run("COMMIT").await;
    assert_eq!(world.claim().await.arn, world.store.describe("a").await.unwrap().arn);
}

// F11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_served_store_is_one_file_that_a_restore_takes() {
    let Some(database) = Database::fresh("").await else { return };
    let url = PostgresUrl::parse(&database.url).unwrap();
    let world = World::over(Some(database), Limits::Aws).await;
    world.create("s", "x").await;
    let dir = tempfile::tempdir().unwrap();
    let (file, folder) = (dir.path().join("backup.db"), dir.path().join("restored"));
    let made = store::backup_of_shared(&url, &file, world.now(), &mut |_, _| {}).await.unwrap();
    assert_eq!((made.secrets, made.versions), (1, 1));
    let again = store::backup_of_shared(&url, &file, world.now(), &mut |_, _| {}).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["backup.db"], "nothing that holds values is left beside it");
    let restore = Restore { from: &file, to: &folder, replace: false };
    let restored = store::restore(restore, &world.keyring, world.now()).await.unwrap();
    assert_eq!(restored.contents, made);
    assert_eq!(world.read("s").await, "x", "the store is served on");
}
