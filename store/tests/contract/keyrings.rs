//! A new key in the place of the old one, while everything goes on.

use std::path::PathBuf;

use crypto::{KeyId, Keyring};
use engine::registration::Mode;
use engine::rotation::Event;
use store::{OpenError, Tended};

use crate::rotators::webhook;
use crate::world::World;

fn file(world: &World) -> PathBuf {
    world.dir.path().join("keyring.json")
}

/// A new key is primary in the file, and at hand.
fn with_new_key(world: &World) -> KeyId {
    Keyring::add_next(&file(world)).unwrap();
    let key = Keyring::use_next(&file(world)).unwrap();
    assert_eq!(world.store.reread_keys().unwrap(), Some(key));
    key
}

/// Everything that is to be done about the keys.
async fn tended(world: &World, key: KeyId) -> Vec<Tended> {
    let mut all = vec![];
    loop {
        match world.store.tend_keys(key, world.now()).await.unwrap() {
            Tended::Idle => return all,
            waits @ Tended::Waits { .. } => return [all, vec![waits]].concat(),
            other => all.push(other),
        }
    }
}

/// The keys that something needs.
async fn needed(world: &World) -> Vec<KeyId> {
    let (uses, _) = world.store.key_uses(world.now()).await.unwrap();
    uses.into_iter().filter(store::KeyUse::is_needed).map(|one| one.id).collect()
}

async fn filled(world: &World) {
    for n in 0..250 {
        world.create(&format!("s{n}"), "one").await;
    }
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.store.create_access_key("admin", world.now()).await.unwrap();
}

// F124
pub(crate) async fn a_rotation_goes_on_when_the_key_is_another_one_in_its_middle(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    let old = world.store.keys_at_hand()[0];
    let key = with_new_key(&world);
    assert!(world.store.keys_at_hand() == [old, key], "it seals with the old one until all have the new one");
    assert_eq!(tended(&world, key).await, [Tended::Changed { key }, Tended::Rewrapped(1)]);
    assert_eq!(needed(&world).await, [key]);
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "two");
    // The old key out of the file, and the process another one: the values open with the new key alone.
    Keyring::take_out(&file(&world), old).unwrap();
    let World { store, clock, limits, boot, dir, database, .. } = world;
    let location = crate::world::location(&dir, database.as_ref());
    store.close().await;
    drop(store);
    let keyring = std::sync::Arc::new(Keyring::load(&dir.path().join("keyring.json")).unwrap());
    assert_eq!(keyring.key_ids(), [key]);
    let store = crate::world::open_at(&location, &keyring, &clock, limits, &boot).await.unwrap();
    let world = World { store, clock, keyring, limits, boot, dir, database };
    assert_eq!(world.read("s").await, "two");
    assert_eq!(world.unresolved("s").await, 0);
    world.put("s", "three", "three").await.unwrap();
    let lease = world.rotating("s", "again").await;
    world.apply(&lease, Event::Leased).await.unwrap();
}

pub(crate) async fn everything_is_sealed_again_batch_by_batch_and_goes_on_after_a_kill(world: World) {
    filled(&world).await;
    let old = world.store.keys_at_hand()[0];
    let key = with_new_key(&world);
    assert_eq!(world.store.tend_keys(key, world.now()).await.unwrap(), Tended::Changed { key });
    assert_eq!(world.store.tend_keys(key, world.now()).await.unwrap(), Tended::Rewrapped(100));
    assert_eq!(needed(&world).await, [key, old], "some of both");
    let world = world.reopen().await;
    world.store.reread_keys().unwrap();
    let rest = tended(&world, key).await;
    assert_eq!(rest, [100, 50, 1, 1].map(Tended::Rewrapped), "secrets, access key, rotator");
    assert_eq!(needed(&world).await, [key]);
    for n in [0, 99, 100, 249] {
        assert_eq!(world.read(&format!("s{n}")).await, "one");
    }
    assert!(world.store.rotator("hook").await.unwrap().is_some());
    assert!(tended(&world, key).await.is_empty(), "there is nothing more to do");
}

pub(crate) async fn a_key_seals_nothing_before_every_node_has_it(world: World) {
    world.create("s", "one").await;
    let old = world.store.keys_at_hand()[0];
    world.store.announce_keys("this", world.now()).await.unwrap();
    world.store.announce_keys("other", world.now()).await.unwrap();
    let key = with_new_key(&world);
    let nodes = vec!["other".to_owned(), "this".to_owned()];
    assert_eq!(tended(&world, key).await, [Tended::Waits { key, nodes }]);
    world.store.announce_keys("this", world.now()).await.unwrap();
    let nodes = vec!["other".to_owned()];
    assert_eq!(tended(&world, key).await, [Tended::Waits { key, nodes }]);
    assert_eq!(needed(&world).await, [old]);
    world.clock.pass(chrono::TimeDelta::minutes(11));
    world.store.announce_keys("this", world.now()).await.unwrap();
    assert_eq!(tended(&world, key).await, [Tended::Changed { key }, Tended::Rewrapped(1)], "the other one is gone");
}

// F124
pub(crate) async fn a_file_that_is_behind_takes_no_key_back(world: World) {
    world.create("s", "one").await;
    let old = world.store.keys_at_hand()[0];
    let key = with_new_key(&world);
    assert_eq!(tended(&world, key).await, [Tended::Changed { key }, Tended::Rewrapped(1)]);
    let behind = world.store.tend_keys(old, world.now()).await.unwrap();
    assert_eq!(behind, Tended::Behind { key }, "of a node whose file has the old one as primary");
    assert_eq!(needed(&world).await, [key]);
    let newest = with_new_key(&world);
    assert_eq!(tended(&world, newest).await, [Tended::Changed { key: newest }, Tended::Rewrapped(1)]);
    for replaced in [old, key] {
        let behind = world.store.tend_keys(replaced, world.now()).await.unwrap();
        assert_eq!(behind, Tended::Behind { key: newest });
    }
    assert_eq!(needed(&world).await, [newest]);
}

pub(crate) async fn a_node_without_the_new_key_is_refused_once_that_seals(world: World) {
    world.create("s", "one").await;
    let before = world.dir.path().join("copy.json");
    Keyring::export(&file(&world), &before).unwrap();
    let key = with_new_key(&world);
    assert_eq!(world.store.tend_keys(key, world.now()).await.unwrap(), Tended::Changed { key });
    let World { store, clock, limits, boot, dir, database, .. } = world;
    let location = crate::world::location(&dir, database.as_ref());
    store.close().await;
    drop(store);
    let old = std::sync::Arc::new(Keyring::load(&before).unwrap());
    let refused = crate::world::open_at(&location, &old, &clock, limits, &boot).await;
    assert!(matches!(refused, Err(OpenError::WrongKeyring | OpenError::ForeignStore)));
    // Its file gets the key: it is read again by itself.
    std::fs::copy(dir.path().join("keyring.json"), &before).unwrap();
    let store = crate::world::open_at(&location, &old, &clock, limits, &boot).await.unwrap();
    assert_eq!(store.keys_at_hand()[0], key, "it seals with the key of the store");
}
