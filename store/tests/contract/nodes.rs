//! What is PostgreSQL's own: connections that many share.

use std::sync::Arc;
use std::time::Duration;

use crypto::Keyring;
use engine::schedule::Limits;
use engine::subscription::{Filter, Format, Settings};
use store::{BackupError, Delivered, NewSecret, PostgresUrl, Restore, Retention, Tended};

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

async fn scheduled(world: &World, name: &str) {
    world.create(name, "one").await;
    let request = crate::world::on_schedule(&format!("c-{name}"), "rate(4 hours)");
    world.store.rotate(name, request, world.now()).await.unwrap();
}

// F11: a failover to a server that has lost commits, and a restore into another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_timeline_is_noticed_and_nothing_starts() {
    let Some(world) = crate::world::over_postgres().await else { return };
    scheduled(&world, "s").await;
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
    scheduled(&world, "s").await;
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
async fn a_node_whose_clock_is_a_month_ahead_removes_no_event_and_sends_none_early() {
    let Some(world) = crate::world::over_postgres().await else { return };
    let settings = Settings {
        url: "https://hook.example/events".to_owned(),
        format: Format::CloudEvents,
        filter: Filter::default(),
        give_up_after: 3600,
        ca: None,
    };
    world.store.subscribe("hook", &settings, false, "tester", world.now()).await.unwrap();
    world.create("s", "one").await;
    while world.store.publish().await.unwrap() > 0 {}
    let month = chrono::TimeDelta::days(31);
    let keep = Retention { age: Duration::from_secs(3600), rows: 100 };
    assert_eq!(world.store.prune_events(&keep, world.now() + month).await.unwrap(), 0);
    let subscription = Arc::new(world.store.subscription("hook").await.unwrap());
    let errands = async |now| {
        while world.store.fan_out("hook", now).await.unwrap() {}
        world.store.claim_errands(&subscription, 10, now).await.unwrap()
    };
    let all = errands(world.now() + month).await;
    assert!(!all.is_empty(), "what is due by the database's clock is");
    for errand in all {
        let failed = Delivered::Failed("hook.example answered 500.".to_owned());
        assert!(world.store.settle(errand, &failed, true, world.now() + month).await.unwrap().is_none());
    }
    assert_eq!(world.store.dead_letters("hook", 10, None).await.unwrap().len(), 0, "nothing is given up early");
    assert!(errands(world.now() + month).await.is_empty(), "it waits for its next try");
    let due = world.store.next_errand(&["hook"]).await.unwrap().expect("one waits");
    assert!(due < world.now() + chrono::TimeDelta::minutes(1), "within its pause, not in a month: {due}");
    world.clock.set(due);
    assert!(!errands(world.now() - month).await.is_empty(), "for a node that is a month behind as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_a_year_ahead_puts_no_look_off_for_a_year() {
    let Some(world) = crate::world::over_postgres().await else { return };
    world.create("s", r#"{"engine":"postgres","host":"db","username":"u","password":"p"}"#).await;
    world.store.rotate("s", crate::world::on_schedule("c", "rate(30 days)"), world.now()).await.unwrap();
    world.store.enter_verify_only("a test", world.now()).await.unwrap();
    let ahead = world.now() + chrono::TimeDelta::days(365);
    let next = async || world.store.next_look(world.now()).await.unwrap().expect("one is planned");
    let look = world.store.claim_looks("ahead", 1, ahead).await.unwrap().remove(0);
    world.store.put_off(&look, chrono::TimeDelta::minutes(5), ahead).await.unwrap();
    assert_eq!(next().await, world.now() + chrono::TimeDelta::minutes(5));
    world.clock.set(next().await);
    let look = world.store.claim_looks("ahead", 1, ahead).await.unwrap().remove(0);
    let away = engine::outcome::StepError::new(engine::outcome::Verdict::Retry, "away", "nobody answers");
    world.store.looked(&look, &Err(away), "schedule", ahead).await.unwrap();
    assert!(next().await < world.now() + chrono::TimeDelta::hours(1), "it is looked at again soon: {}", next().await);
}

// F124
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_slept_while_the_key_was_changed_seals_under_the_new_one() {
    let Some(world) = crate::world::over_postgres().await else { return };
    let files = [world.dir.path().join("keyring.json"), world.dir.path().join("other.json")];
    Keyring::add_next(&files[0]).unwrap();
    Keyring::export(&files[0], &files[1]).unwrap();
    let other = Arc::new(Keyring::load(&files[1]).unwrap());
    let other = world.try_open(&other).await.unwrap();
    let old = other.keys_at_hand()[0];
    let key = Keyring::use_next(&files[0]).unwrap();
    world.store.reread_keys().unwrap();
    assert_eq!(world.store.tend_keys(key, world.now()).await.unwrap(), Tended::Changed { key });
    // The one that slept has not looked since.
    assert_eq!(other.keys_at_hand()[0], old);
    let new = NewSecret { value: Some(crate::world::text("one")), ..crate::world::new_secret("s", "create-s") };
    other.create_secret(new, world.now()).await.unwrap();
    other.create_access_key("admin", world.now()).await.unwrap();
    let (uses, _) = world.store.key_uses(world.now()).await.unwrap();
    let needed: Vec<_> = uses.into_iter().filter(store::KeyUse::is_needed).map(|one| one.id).collect();
    assert_eq!(needed, [key]);
    assert_eq!(other.tend_keys(old, world.now()).await.unwrap(), Tended::Behind { key });
    other.close().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_being_called_off_is_passed_over_by_a_claim_and_never_claimed_after() {
    let Some(world) = crate::world::over_postgres().await else { return };
    for name in ["a", "b"] {
        world.create(name, "one").await;
        world.store.rotate(name, crate::world::rotate("r"), world.now()).await.unwrap();
    }
    let a = "SELECT id FROM secret WHERE name = 'a'";
    let mut writer = world.raw().await;
    writer.run("BEGIN").await;
    writer.run(&format!("UPDATE rotation SET due_ms = NULL WHERE secret_id = ({a})")).await;
    let claims = world.claims().await;
    assert_eq!(claims.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["b"]);
    writer.run("COMMIT").await;
    assert!(world.claims().await.is_empty());
}

/// A claim that has found what is due, and has to wait before it locks it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_called_off_after_a_claim_has_found_it_is_not_claimed() {
    let Some(world) = crate::world::over_postgres().await else { return };
    for (name, host) in [("a", "here"), ("b", "away")] {
        let value = format!(r#"{{"engine":"postgres","host":"{host}","username":"{name}","password":"p"}}"#);
        world.create(name, &value).await;
        world.store.rotate(name, crate::world::rotate("r"), world.now()).await.unwrap();
    }
    let (mut lock, mut raw) = (world.raw().await, world.raw().await);
    let away =
        "INSERT INTO target (name, failures, said, opened_ms, probe_ms, probes) VALUES ('away:5432', 5, 'no', 1, 1, 0)";
    raw.run(away).await;
    lock.run("BEGIN").await;
    lock.run("SELECT 1 FROM target FOR UPDATE").await;
    let store = world.store.clone();
    let now = world.now();
    let claims = tokio::spawn(async move { store.claim("tester", &store::Room::everywhere(10), now).await });
    wait_for_waiting(&mut raw, 1).await;
    raw.run("UPDATE rotation SET due_ms = NULL WHERE secret_id = (SELECT id FROM secret WHERE name = 'a')").await;
    lock.run("COMMIT").await;
    let claims = claims.await.unwrap().unwrap();
    assert_eq!(claims.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

// F20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_claim_at_the_same_moment_share_what_is_due_and_nothing_is_claimed_twice() {
    let Some(world) = crate::world::over_postgres().await else { return };
    for n in 0..60 {
        world.create(&format!("s{n}"), "one").await;
        world.store.rotate(&format!("s{n}"), crate::world::rotate("r"), world.now()).await.unwrap();
    }
    let (one, two) = (world.try_open(&world.keyring).await.unwrap(), world.try_open(&world.keyring).await.unwrap());
    let room = store::Room::everywhere(7);
    let claims = async |node: &store::Store, owner: &str| {
        let mut all = Vec::new();
        while all.len() < 60 {
            let claims = node.claim(owner, &room, world.now()).await.unwrap();
            if claims.is_empty() {
                break;
            }
            all.extend(claims.into_iter().map(|claim| (claim.lease.secret, claim.lease.fence)));
        }
        all
    };
    let (mut first, second) = tokio::join!(claims(&one, "one"), claims(&two, "two"));
    first.extend(second);
    first.sort_unstable_by_key(|(secret, _)| secret.0);
    assert_eq!(first.len(), 60);
    first.dedup_by_key(|(secret, _)| *secret);
    assert!(first.len() == 60 && first.iter().all(|(_, fence)| *fence == 1), "{first:?}");
    one.close().await;
    two.close().await;
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

const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Until so many connections to this database wait for a lock that somebody else has.
async fn wait_for_waiting(raw: &mut crate::database::Raw, how_many: i64) {
    for _ in 0..400 {
        if raw.count(WAITING).await == how_many {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{how_many} connections were to wait for a lock");
}

// F11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_writing_a_secret_when_the_store_becomes_verify_only_does_not_undo_its_hold() {
    let Some(world) = crate::world::over_postgres().await else { return };
    scheduled(&world, "s").await;
    // The writer has read the secret's row, and is stuck before it writes it back.
    let (mut lock, mut raw) = (world.raw().await, world.raw().await);
    lock.run("BEGIN").await;
    lock.run("LOCK TABLE version IN SHARE MODE").await;
    let (put, entered, ()) = tokio::join!(
        world.put("s", "v2", "two"),
        async {
            wait_for_waiting(&mut raw, 1).await;
            world.store.enter_verify_only("a test", world.now()).await
        },
        async {
            let mut raw = world.raw().await;
            wait_for_waiting(&mut raw, 2).await;
            lock.run("COMMIT").await;
        }
    );
    put.unwrap();
    entered.unwrap();
    assert!(world.store.rotation("s").await.unwrap().held, "the hold came last and stays");
    world.clock.pass(chrono::TimeDelta::hours(8));
    assert!(world.claims().await.is_empty());
}

// F11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_saw_every_account_of_one_verify_only_does_not_leave_the_next_one() {
    let Some(world) = crate::world::over_postgres().await else { return };
    world.store.enter_verify_only("the first", world.now()).await.unwrap();
    let (mut other, mut raw) = (world.raw().await, world.raw().await);
    other.run("BEGIN").await;
    other.run("UPDATE store_mode SET since_ms = since_ms + 1000, held_ms = NULL").await;
    let (settled, ()) = tokio::join!(world.store.settle_holds(world.now()), async {
        wait_for_waiting(&mut raw, 1).await;
        other.run("COMMIT").await;
    });
    assert!(settled.unwrap(), "there is more to do");
    assert!(world.store.verify_only().await.unwrap().is_some(), "nobody has looked for the second one");
}

// F11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_secret_is_held_after_a_failover_however_many_there_are_and_two_nodes_do_so_at_once() {
    let Some(world) = crate::world::over_postgres().await else { return };
    for n in 0..450 {
        scheduled(&world, &format!("s{n}")).await;
    }
    world.raw().await.run("UPDATE last_server SET timeline = '00000000'").await;
    let other = world.try_open(&world.keyring).await.unwrap();
    world.clock.pass(chrono::TimeDelta::hours(8));
    assert!(world.claims().await.is_empty(), "nothing is claimed before they are held");
    // A third one is at it already, and has not got far: it is left to that one.
    let mut third = world.raw().await;
    third.run("BEGIN").await;
    third.run("SELECT 1 FROM store_mode FOR NO KEY UPDATE").await;
    assert!(!other.settle_holds(world.now()).await.unwrap());
    assert_eq!(other.unproven(10).await.unwrap().1, 0);
    third.run("ROLLBACK").await;
    let (one, two) = tokio::join!(world.store.settle_holds(world.now()), other.settle_holds(world.now()));
    assert!(one.unwrap() | two.unwrap());
    assert_eq!(other.unproven(10).await.unwrap().1, 450);
    assert_eq!(other.epoch().await.unwrap(), 1, "it was done once");
    assert!(world.claims().await.is_empty());
    other.close().await;
}

// F11, F20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drivers_of_before_a_failover_are_fenced_by_the_first_connection_after_it() {
    let Some(world) = crate::world::over_postgres().await else { return };
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    let said: Vec<i64> = generations(&world).await;
    world.raw().await.run("UPDATE last_server SET timeline = '00000000'").await;
    let other = world.try_open(&world.keyring).await.unwrap();
    let late = world.apply(&lease, engine::rotation::Event::Leased).await;
    assert!(matches!(late, Err(engine::port::PortError::Fenced)), "before anything was held: {late:?}");
    for (before, after) in said.into_iter().zip(generations(&world).await) {
        assert!(after >= before + 1000, "what nodes remember of the old server is old: {before} {after}");
    }
    other.close().await;
}

async fn generations(world: &World) -> Vec<i64> {
    let mut raw = world.raw().await;
    let keys = raw.count("SELECT access_keys FROM generation").await;
    vec![keys, raw.count("SELECT rotators FROM generation").await]
}
