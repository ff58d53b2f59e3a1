//! Reads from memory never return what an acknowledged write replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use store::StoreError;

use crate::world::{World, rotate, token};

pub(crate) async fn an_acknowledged_write_is_what_the_next_read_returns(world: World) {
    let arn = world.create("s", "0").await.arn;
    for n in 1..50 {
        let value = n.to_string();
        world.put("s", &format!("v{n}"), &value).await.unwrap();
        assert_eq!((world.read("s").await, world.read(&arn).await), (value.clone(), value));
    }
    world.move_label("s", "AWSCURRENT", Some("v49"), Some("v48")).await.unwrap();
    assert_eq!(world.read("s").await, "48");
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "rotated").await;
    assert_eq!(world.read("s").await, "48");
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "rotated");
}

pub(crate) async fn concurrent_readers_never_go_back_behind_an_acknowledged_write(world: World) {
    world.create("s", "0").await;
    let arn = world.store.describe("s").await.unwrap().arn;
    let world = Arc::new(world);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..6)
        .map(|n| {
            let (world, acknowledged, done) = (Arc::clone(&world), Arc::clone(&acknowledged), Arc::clone(&done));
            let id = if n % 2 == 0 { "s".to_owned() } else { arn.clone() };
            tokio::spawn(async move {
                let (mut reads, mut last) = (0u64, 0);
                while !done.load(Ordering::SeqCst) {
                    let at_least = acknowledged.load(Ordering::SeqCst);
                    let read: u64 = world.read(&id).await.parse().unwrap();
                    assert!(read >= at_least, "read {read} after {at_least} was acknowledged");
                    assert!(read >= last, "read {read} after {last} had been read");
                    (reads, last) = (reads + 1, read);
                    tokio::task::yield_now().await;
                }
                reads
            })
        })
        .collect();
    for n in 1..=90u64 {
        world.put("s", &format!("v{n}"), &n.to_string()).await.unwrap();
        acknowledged.store(n, Ordering::SeqCst);
    }
    done.store(true, Ordering::SeqCst);
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.unwrap();
    }
    assert!(reads > 90, "{reads} reads");
}

pub(crate) async fn a_write_whose_caller_went_away_is_not_hidden_by_the_cache(world: World) {
    world.create("s", "0").await;
    let mut committed = 0;
    for n in 1..90 {
        world.read("s").await;
        let (of, value) = (format!("v{n}"), n.to_string());
        let write = world.put("s", &of, &value);
        // Dropped at some point before, in or after its commit.
        let _ = tokio::time::timeout(Duration::from_micros(n * 40), write).await;
        let id = token(&of).to_string();
        // In the end either all of it happened or none; a reader must agree with the database about which.
        // Writers of a secret take turns: whatever was committing has ended when this has begun.
        world.store.untag("s", &["none".to_owned()], world.now()).await.unwrap();
        let there = world.store.describe("s").await.unwrap().stages.get(&id).is_some_and(|labels| !labels.is_empty());
        let read = world.read("s").await;
        assert_eq!(read == value, there, "after write {n}");
        committed += u32::from(there);
    }
    assert!(committed > 0, "no write ever got through");
}

pub(crate) async fn a_deleted_secret_is_not_served_from_memory(world: World) {
    world.create("s", "one").await;
    world.read("s").await;
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    assert!(matches!(world.get("s").await, Err(StoreError::MarkedForDeletion)));
    world.store.restore_secret("s", world.now()).await.unwrap();
    world.read("s").await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    assert!(matches!(world.get("s").await, Err(StoreError::SecretNotFound)));
    world.create("s", "two").await;
    assert_eq!(world.read("s").await, "two");
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    assert_eq!(world.read("s").await, "two");
}
