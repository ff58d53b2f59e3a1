//! Backups of a SQLite store that is served, and stores that are restored from them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::Keyring;
use engine::port::Clock;
use sqlx::AssertSqlSafe;
use store::{BackupError, OpenError, Restore, Store};

use crate::world::{World, on_schedule, open, rotate};

async fn data(world: &World) -> PathBuf {
    world.dir.path().join("data")
}

async fn backed_up(world: &World, name: &str) -> PathBuf {
    let to = world.dir.path().join(name);
    store::backup(&data(world).await, &to).await.unwrap();
    to
}

/// Ends the process, and says what is left of it.
async fn stopped(world: World) -> (World, PathBuf) {
    let folder = data(&world).await;
    world.store.close().await;
    (world, folder)
}

fn restoring<'a>(from: &'a Path, to: &'a Path, replace: bool) -> Restore<'a> {
    Restore { from, to, replace }
}

#[tokio::test]
async fn a_backup_is_whole_private_and_overwrites_nothing_while_the_store_is_written() {
    let world = World::over_sqlite().await;
    for n in 0..50 {
        world.create(&format!("s{n}"), "one").await;
    }
    let to = world.dir.path().join("backup.db");
    let writing = async {
        for n in 50..100 {
            world.create(&format!("s{n}"), "one").await;
        }
    };
    let folder = data(&world).await;
    let (made, ()) = tokio::join!(store::backup(&folder, &to), writing);
    let contents = made.unwrap();
    assert!(contents.secrets >= 50 && contents.versions == contents.secrets, "of one moment: {contents:?}");
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let again = store::backup(&data(&world).await, &to).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    let left: Vec<_> = std::fs::read_dir(world.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[tokio::test]
async fn a_restored_store_is_verify_only_from_its_first_moment_and_keeps_what_was_there() {
    let world = World::over_sqlite().await;
    world.create("s", r#"{"engine":"postgres","host":"db","username":"u","password":"one"}"#).await;
    world.store.rotate("s", on_schedule("c", "rate(1 day)"), world.now()).await.unwrap();
    let backup = backed_up(&world, "backup.db").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    let running = store::restore(restoring(&backup, &data(&world).await, true), &world.keyring, world.now()).await;
    assert!(matches!(running, Err(BackupError::InUse(_))), "{running:?}");
    let (World { store, clock, keyring, limits, boot, dir, .. }, folder) = stopped(world).await;
    drop(store);
    let now = clock.now();
    let unasked = store::restore(restoring(&backup, &folder, false), &keyring, now).await;
    assert!(matches!(unasked, Err(BackupError::Occupied(_))), "{unasked:?}");
    let restored = store::restore(restoring(&backup, &folder, true), &keyring, now).await.unwrap();
    let kept = restored.kept.expect("what was there is kept");
    let store = open(&dir, &keyring, &clock, limits, &boot).await.unwrap();
    let world = World { store, clock, keyring, limits, boot, dir, database: None };
    assert!(world.read("s").await.contains("one"));
    let mode = world.store.verify_only().await.unwrap().expect("verify-only");
    assert!(mode.reason.contains("restored"), "{}", mode.reason);
    world.clock.pass(chrono::TimeDelta::days(3));
    assert!(world.claims().await.is_empty());
    assert!(world.store.rotate("s", rotate("x"), world.now()).await.is_err());
    // And back again: what was kept is a store.
    let (World { store, clock, keyring, dir, limits, boot, .. }, folder) = stopped(world).await;
    drop(store);
    store::restore(restoring(&kept, &folder, true), &keyring, now).await.unwrap();
    let store = open(&dir, &keyring, &clock, limits, &boot).await.unwrap();
    let world = World { store, clock, keyring, limits, boot, dir, database: None };
    assert_eq!(world.read("s").await, "two");
    assert_eq!(world.store.epoch().await.unwrap(), 1);
}

#[tokio::test]
async fn another_keyring_a_damaged_file_and_no_store_are_refused_and_change_nothing() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let backup = backed_up(&world, "backup.db").await;
    let (world, folder) = stopped(world).await;
    let World { store, clock, keyring, limits, boot, dir, .. } = world;
    drop(store);
    let now = clock.now();
    let other = Keyring::generate().unwrap();
    let refused = store::restore(restoring(&backup, &folder, true), &other, now).await;
    assert!(matches!(&refused, Err(BackupError::KeysMissing(keys)) if *keys == keyring.key_ids()), "{refused:?}");
    let damaged = dir.path().join("damaged.db");
    let mut bytes = std::fs::read(&backup).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 4096].fill(0x5a);
    std::fs::write(&damaged, &bytes).unwrap();
    let text = dir.path().join("text.db");
    std::fs::write(&text, "no database at all, and long enough to be read as one: ".repeat(40)).unwrap();
    for from in [&damaged, &text] {
        let refused = store::restore(restoring(from, &folder, true), &keyring, now).await;
        assert!(matches!(refused, Err(BackupError::Damaged { .. })), "{}: {refused:?}", from.display());
    }
    let store = open(&dir, &keyring, &clock, limits, &boot).await.unwrap();
    let world = World { store, clock, keyring, limits, boot, dir, database: None };
    assert_eq!(world.read("s").await, "one");
    assert_eq!(world.store.verify_only().await.unwrap(), None);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("draft")), "{left:?}");
}

#[tokio::test]
async fn a_backup_that_needs_a_key_which_is_out_of_the_keyring_says_which() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let file = world.dir.path().join("keyring.json");
    let old = world.store.keys_at_hand()[0];
    Keyring::add_next(&file).unwrap();
    let key = Keyring::use_next(&file).unwrap();
    world.store.reread_keys().unwrap();
    assert_eq!(world.store.tend_keys(key, world.now()).await.unwrap(), store::Tended::Changed { key });
    let halfway = backed_up(&world, "halfway.db").await;
    Keyring::take_out(&file, old).unwrap();
    let keyring = Keyring::load(&file).unwrap();
    let now = world.now();
    let (world, folder) = stopped(world).await;
    drop(world.store);
    let refused = store::restore(restoring(&halfway, &folder, true), &keyring, now).await;
    assert!(matches!(&refused, Err(BackupError::KeysMissing(keys)) if *keys == [old]), "{refused:?}");
}

#[tokio::test]
async fn a_restore_that_was_cut_short_is_served_by_nobody_until_it_is_made_again() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let backup = backed_up(&world, "backup.db").await;
    let (World { store, clock, keyring, limits, boot, dir, .. }, folder) = stopped(world).await;
    drop(store);
    // As a kill between two renames leaves it.
    std::fs::write(folder.join("pawl.restoring"), "").unwrap();
    std::fs::rename(folder.join("pawl.db"), folder.join("pawl.db.before-1")).unwrap();
    let refused = open(&dir, &keyring, &clock, limits, &boot).await;
    assert!(matches!(refused, Err(OpenError::CutShort(_))), "{refused:?}");
    let taken = store::backup(&folder, &dir.path().join("b2.db")).await;
    assert!(matches!(taken, Err(BackupError::Damaged { .. })), "{taken:?}");
    store::restore(restoring(&backup, &folder, true), &keyring, clock.now()).await.unwrap();
    let store = open(&dir, &keyring, &clock, limits, &boot).await.unwrap();
    assert!(store.verify_only().await.unwrap().is_some());
    let world = World { store, clock, keyring, limits, boot, dir, database: None };
    assert_eq!(world.read("s").await, "one");
}

/// Whatever table there is: nothing that an older key sealed is forgotten.
#[tokio::test]
async fn nothing_in_any_table_needs_the_old_key_once_all_is_sealed_again() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.register("hook", crate::rotators::webhook(engine::registration::Mode::Managed, false)).await;
    world.store.create_access_key("admin", world.now()).await.unwrap();
    let old = world.store.keys_at_hand()[0];
    let file = world.dir.path().join("keyring.json");
    Keyring::add_next(&file).unwrap();
    let key = Keyring::use_next(&file).unwrap();
    world.store.reread_keys().unwrap();
    while world.store.tend_keys(key, world.now()).await.unwrap() != store::Tended::Idle {}
    let mut raw = world.sqlite().await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.type = 'BLOB' AND m.name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut raw)
    .await
    .unwrap();
    let known = ["access_key", "candidate", "rotator", "secret", "store_check", "subscription", "version"];
    let mut tables: Vec<&str> = columns.iter().map(|(table, _)| table.as_str()).collect();
    tables.sort_unstable();
    assert_eq!(tables, known, "say in rewrap.rs what seals a new column, and here that it was thought of");
    for (table, column) in columns {
        let text = format!("SELECT COUNT(*) FROM {table} WHERE substr({column}, 2, 8) = $1");
        let query = sqlx::query_scalar(AssertSqlSafe(text)).bind(old.to_bytes().to_vec());
        let left: i64 = query.fetch_one(&mut raw).await.unwrap();
        assert_eq!(left, 0, "{table}.{column}");
    }
}

#[tokio::test]
async fn a_process_that_was_killed_is_no_node_of_a_store_that_another_one_has() {
    let world = World::over_sqlite().await;
    world.store.announce_keys("killed", world.now()).await.unwrap();
    let world = world.reopen().await;
    world.store.announce_keys("this", world.now()).await.unwrap();
    let (_, nodes) = world.store.key_uses(world.now()).await.unwrap();
    assert_eq!(nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), ["this"]);
}

#[tokio::test]
async fn a_store_is_restored_into_an_empty_folder() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let backup = backed_up(&world, "backup.db").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = elsewhere.path().join("data");
    let restored = store::restore(restoring(&backup, &folder, false), &world.keyring, world.now()).await.unwrap();
    assert_eq!((restored.kept, restored.contents.secrets), (None, 1));
    let store: Store =
        open(&elsewhere, &Arc::clone(&world.keyring), &world.clock, world.limits, "boot-9").await.unwrap();
    assert!(store.verify_only().await.unwrap().is_some());
}
