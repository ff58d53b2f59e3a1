//! A store copied into another place: the same content, nothing due because of it, and nobody who serves half of one.

use std::path::PathBuf;

use engine::port::Clock;
use engine::rotation::{Event, Rotation, Step};
use store::{BackupError, Copy, Location, OpenError, Store, StoreError, copy};
use tempfile::TempDir;

use crate::rotators::webhook;
use crate::world::{World, created, done, on_schedule, open, rotate, token};

/// Secrets of every kind, a rotation in its middle among them.
async fn filled(world: &World) {
    for n in 0..1200 {
        world.create(&format!("s{n}"), "one").await;
    }
    world.register("hook", webhook(engine::registration::Mode::Managed, false)).await;
    world.store.create_access_key("admin", world.now()).await.unwrap();
    world.store.rotate("s0", on_schedule("c", "rate(1 day)"), world.now()).await.unwrap();
    let lease = world.rotating("s1", "r").await;
    world.sealed(&lease, "two").await;
}

async fn copied(from: &Location, to: &Location, world: &World) -> Result<u64, BackupError> {
    let mut told = 0;
    let copied = copy(Copy { from, to, while_served: false }, world.now(), &mut |_, _| told += 1).await?;
    assert!(told > 0, "progress is told");
    Ok(copied.iter().map(|table| table.rows).sum())
}

fn at(dir: &TempDir) -> Location {
    Location::Sqlite(dir.path().join("data"))
}

/// Ends the process, and leaves its folder.
async fn stopped(world: World) -> (World, Location) {
    world.store.close().await;
    let World { store, clock, keyring, limits, boot, dir } = world;
    drop(store);
    let elsewhere = tempfile::tempdir().unwrap();
    // Something to hold in its place: a world has a store.
    let store = open(&elsewhere, &keyring, &clock, limits, &boot).await.unwrap();
    let location = at(&dir);
    (World { store, clock, keyring, limits, boot, dir }, location)
}

async fn moved_to(world: World, dir: TempDir) -> World {
    let World { clock, keyring, limits, boot, .. } = world;
    let store = open(&dir, &keyring, &clock, limits, &boot).await.unwrap();
    World { store, clock, keyring, limits, boot, dir }
}

// F33
#[tokio::test]
async fn a_copy_has_everything_and_makes_nothing_due() {
    let world = World::over_sqlite().await;
    filled(&world).await;
    let due = world.store.rotation("s0").await.unwrap().due;
    let served = copied(&at(&world.dir), &Location::Sqlite(PathBuf::from("/nonexistent/x")), &world).await;
    assert!(matches!(served, Err(BackupError::InUse(_))), "{served:?}");
    let (world, from) = stopped(world).await;
    let target = tempfile::tempdir().unwrap();
    let rows = copied(&from, &at(&target), &world).await.unwrap();
    assert!(rows > 3600, "{rows}");
    let world = moved_to(world, target).await;
    assert_eq!(world.store.rotation("s0").await.unwrap().due, due);
    assert_eq!(world.store.verify_only().await.unwrap(), None);
    assert_eq!(world.read("s1199").await, "one");
    assert_eq!(world.labels("s1").await, "create-s1 [AWSCURRENT] r [AWSPENDING]");
    assert_eq!(world.unresolved("s1").await, 1);
    assert!(world.store.rotator("hook").await.unwrap().is_some());
    // The rotation goes on with the same candidate, at once: nobody has its lease.
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Set));
    world.finish(&lease).await;
    assert_eq!((world.read("s1").await, world.state("s1").await), ("two".to_owned(), Rotation::Idle));
    // Numbers go on where they were.
    let mut raw = world.raw().await;
    let highest = "SELECT MAX(id) FROM secret";
    let before: i64 = sqlx::query_scalar(highest).fetch_one(&mut raw).await.unwrap();
    world.create("later", "one").await;
    let after: i64 = sqlx::query_scalar(highest).fetch_one(&mut raw).await.unwrap();
    assert_eq!((before, after), (1200, 1201));
    let lease = world.rotating("later", "again").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, created("three")).await.unwrap();
    world.apply(&lease, done(Step::Set)).await.unwrap();
    assert!(world.store.get_value("later", Some(token("create-later").as_str()), None, world.now()).await.is_ok());
    world.store.rotate("s2", rotate("x"), world.now()).await.unwrap();
}

#[tokio::test]
async fn a_number_that_was_given_away_is_not_given_again_in_the_copy() {
    let world = World::over_sqlite().await;
    world.create("a", "one").await;
    world.create("b", "one").await;
    world.store.delete_secret("b", 0, world.now()).await.unwrap();
    let (world, from) = stopped(world).await;
    let target = tempfile::tempdir().unwrap();
    copied(&from, &at(&target), &world).await.unwrap();
    let world = moved_to(world, target).await;
    world.create("c", "one").await;
    let mut raw = world.raw().await;
    let id: i64 = sqlx::query_scalar("SELECT id FROM secret WHERE name = 'c'").fetch_one(&mut raw).await.unwrap();
    assert_eq!(id, 3);
}

#[tokio::test]
async fn a_store_with_something_in_it_is_not_copied_into_and_half_a_copy_is_served_by_nobody() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let other = tempfile::tempdir().unwrap();
    {
        let store: Store = open(&other, &world.keyring, &world.clock, world.limits, "b").await.unwrap();
        store.close().await;
    }
    let (world, from) = stopped(world).await;
    let refused = copied(&from, &at(&other), &world).await;
    assert!(matches!(refused, Err(BackupError::NotEmpty(_))), "{refused:?}");
    let target = tempfile::tempdir().unwrap();
    copied(&from, &at(&target), &world).await.unwrap();
    // As a kill in the middle leaves it.
    let mut raw = world.raw_of(&target.path().join("data")).await;
    sqlx::query("INSERT INTO store_copy (id, source, began_ms) VALUES (1, 'there', 0)")
        .execute(&mut raw)
        .await
        .unwrap();
    sqlx::query("DELETE FROM label").execute(&mut raw).await.unwrap();
    drop(raw);
    let refused = open(&target, &world.keyring, &world.clock, world.limits, "b").await;
    assert!(matches!(refused, Err(OpenError::Store(StoreError::HalfCopied(_)))), "{refused:?}");
    copied(&from, &at(&target), &world).await.unwrap();
    let world = moved_to(world, target).await;
    assert_eq!(world.read("s").await, "one");
    assert!(world.clock.now() == world.now());
}
