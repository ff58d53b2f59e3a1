//! Access keys and the principals they belong to.

use chrono::TimeDelta;
use store::{Principal, Role, Scope, StoreError};

use crate::world::World;

pub(crate) fn principal(name: &str, role: Role, prefixes: &[&str], secrets: &[&str]) -> Principal {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Principal { name: name.to_owned(), role, scope: Scope { prefixes: list(prefixes), secrets: list(secrets) } }
}

fn reader() -> Principal {
    principal("web", Role::Reader, &["app/"], &["db"])
}

pub(crate) async fn an_access_key_is_found_as_it_was_made(world: World) {
    assert!(!world.store.has_access_keys().await.unwrap());
    let new = world.store.create_access_key("admin", world.now()).await.unwrap();
    let other = world.store.create_principal_key(reader(), world.now()).await.unwrap();
    let world = world.reopen().await;
    assert!(world.store.has_access_keys().await.unwrap());
    let admin = principal("admin", Role::Administrator, &[], &[]);
    for (made, principal) in [(&new, admin), (&other, reader())] {
        let found = world.store.access_key(&made.access_key_id).await.unwrap().unwrap();
        assert_eq!(found.secret.expose(), made.secret.expose());
        assert_eq!((&*found.principal, found.enabled), (&principal, true));
    }
    assert!(world.store.access_key("AKIAAAAAAAAAAAAAAAAA").await.unwrap().is_none());
}

pub(crate) async fn access_keys_have_the_form_clients_expect(world: World) {
    let key = world.store.create_access_key("admin", world.now()).await.unwrap();
    let id = key.access_key_id.strip_prefix("AKIA").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)));
    assert_eq!(key.secret.expose().len(), 40);
    assert!(!format!("{key:?}").contains(key.secret.expose_str().unwrap()));
}

pub(crate) async fn a_principal_has_two_keys_at_most(world: World) {
    let first = world.store.create_principal_key(reader(), world.now()).await.unwrap();
    world.store.create_access_key("web", world.now()).await.unwrap();
    for refused in [
        world.store.create_access_key("web", world.now()).await,
        world.store.create_principal_key(reader(), world.now()).await,
    ] {
        assert!(matches!(refused, Err(StoreError::KeyQuota(name)) if name == "web"));
    }
    world.store.delete_access_key(&first.access_key_id).await.unwrap();
    world.store.create_access_key("web", world.now()).await.unwrap();
}

pub(crate) async fn a_second_key_never_changes_what_the_first_may_do(world: World) {
    world.store.create_principal_key(reader(), world.now()).await.unwrap();
    for other in [
        principal("web", Role::Rotator, &["app/"], &["db"]),
        principal("web", Role::Reader, &["app"], &["db"]),
        principal("web", Role::Reader, &["app/"], &[]),
        principal("admin", Role::Reader, &[], &["db"]),
    ] {
        let refused = world.store.create_principal_key(other, world.now()).await;
        assert!(matches!(refused, Err(StoreError::PrincipalDiffers(_))));
    }
    // However its scope is written.
    let same = principal("web", Role::Reader, &["app/", "app/"], &["db"]);
    world.store.create_principal_key(same, world.now()).await.unwrap();
}

pub(crate) async fn a_principal_goes_with_its_last_key_and_its_name_is_free(world: World) {
    let key = world.store.create_principal_key(reader(), world.now()).await.unwrap();
    world.store.delete_access_key(&key.access_key_id).await.unwrap();
    let refused = world.store.create_access_key("web", world.now()).await;
    assert!(matches!(refused, Err(StoreError::PrincipalNotFound(name)) if name == "web"));
    let other = principal("web", Role::Rotator, &[], &["db"]);
    world.store.create_principal_key(other, world.now()).await.unwrap();
}

pub(crate) async fn a_key_is_disabled_enabled_and_deleted_at_once_and_for_the_next_process(world: World) {
    world.store.create_access_key("admin", world.now()).await.unwrap();
    let id = world.store.create_principal_key(reader(), world.now()).await.unwrap().access_key_id;
    let mut world = world;
    for enabled in [false, true, false] {
        world.store.set_access_key_enabled(&id, enabled).await.unwrap();
        assert_eq!(world.store.access_key(&id).await.unwrap().unwrap().enabled, enabled);
        world = world.reopen().await;
        assert_eq!(world.store.access_key(&id).await.unwrap().unwrap().enabled, enabled);
    }
    world.store.delete_access_key(&id).await.unwrap();
    assert!(world.store.access_key(&id).await.unwrap().is_none());
    assert!(matches!(world.store.delete_access_key(&id).await, Err(StoreError::AccessKeyNotFound)));
    assert!(matches!(world.store.set_access_key_enabled(&id, true).await, Err(StoreError::AccessKeyNotFound)));
}

pub(crate) async fn the_last_enabled_administrators_key_stays(world: World) {
    let first = world.store.create_access_key("admin", world.now()).await.unwrap().access_key_id;
    let kept = |refused: Result<(), StoreError>| assert!(matches!(refused, Err(StoreError::LastAdministratorKey)));
    kept(world.store.set_access_key_enabled(&first, false).await);
    kept(world.store.delete_access_key(&first).await);
    // A reader's key is no help.
    world.store.create_principal_key(reader(), world.now()).await.unwrap();
    kept(world.store.delete_access_key(&first).await);
    let boss = principal("boss", Role::Administrator, &[], &[]);
    let second = world.store.create_principal_key(boss, world.now()).await.unwrap().access_key_id;
    world.store.set_access_key_enabled(&first, false).await.unwrap();
    kept(world.store.delete_access_key(&second).await);
    // The disabled one is not what anybody administers with.
    world.store.delete_access_key(&first).await.unwrap();
    kept(world.store.set_access_key_enabled(&second, false).await);
}

pub(crate) async fn keys_are_listed_with_their_principals_and_without_secrets(world: World) {
    let made = world.now();
    let first = world.store.create_access_key("admin", made).await.unwrap();
    world.clock.pass(TimeDelta::hours(1));
    let second = world.store.create_principal_key(reader(), world.now()).await.unwrap();
    world.store.set_access_key_enabled(&second.access_key_id, false).await.unwrap();
    let listed = world.store.list_access_keys().await.unwrap();
    let shown: Vec<_> = listed.iter().map(|key| (key.access_key_id.as_str(), key.enabled, key.created)).collect();
    let expected = [(first.access_key_id.as_str(), true, made), (second.access_key_id.as_str(), false, world.now())];
    assert_eq!(shown, expected);
    assert_eq!(listed[1].principal, reader());
    for key in [first, second] {
        assert!(!format!("{listed:?}").contains(key.secret.expose_str().unwrap()));
    }
}

pub(crate) async fn lost_keys_are_replaced_the_disabled_one_first(world: World) {
    let (first, gone) = world.store.replace_access_key("admin", world.now()).await.unwrap();
    assert_eq!(gone, None);
    world.clock.pass(TimeDelta::seconds(1));
    let (second, gone) = world.store.replace_access_key("admin", world.now()).await.unwrap();
    assert_eq!(gone, None);
    world.clock.pass(TimeDelta::seconds(1));
    let (third, gone) = world.store.replace_access_key("admin", world.now()).await.unwrap();
    assert_eq!(gone, Some(first.access_key_id));
    world.store.set_access_key_enabled(&third.access_key_id, false).await.unwrap();
    let (_, gone) = world.store.replace_access_key("admin", world.now()).await.unwrap();
    assert_eq!(gone, Some(third.access_key_id));
    assert!(world.store.access_key(&second.access_key_id).await.unwrap().is_some());
}

pub(crate) async fn a_disabled_key_is_disabled_also_when_its_caller_went_away(world: World) {
    world.store.create_access_key("admin", world.now()).await.unwrap();
    let id = world.store.create_principal_key(reader(), world.now()).await.unwrap().access_key_id;
    for polls in 1..40 {
        world.store.set_access_key_enabled(&id, true).await.unwrap();
        assert!(world.store.access_key(&id).await.unwrap().unwrap().enabled);
        let mut call = Box::pin(world.store.set_access_key_enabled(&id, false));
        for _ in 0..polls {
            if futures_done(&mut call).await {
                break;
            }
        }
        drop(call);
        // The writer's place is taken in turn: whatever was committing has ended when this has begun.
        assert!(world.store.create_first_access_key("admin", world.now()).await.unwrap().is_none());
        let listed = world.store.list_access_keys().await.unwrap();
        let committed = listed.iter().find(|key| key.access_key_id == id).unwrap().enabled;
        assert_eq!(world.store.access_key(&id).await.unwrap().unwrap().enabled, committed, "after {polls} polls");
    }
}

/// Polls once, and gives the thread of the database time to get further than at the poll before.
async fn futures_done<F: Future + Unpin>(call: &mut F) -> bool {
    let done = std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *call).poll(cx).is_ready()));
    let done = done.await;
    tokio::time::sleep(std::time::Duration::from_micros(50)).await;
    done
}
