//! Access keys.

use crate::world::World;

pub(crate) async fn an_access_key_is_found_as_it_was_made(world: World) {
    assert!(!world.store.has_access_keys().await.unwrap());
    let new = world.store.create_access_key("admin", world.now()).await.unwrap();
    let other = world.store.create_access_key("reader", world.now()).await.unwrap();
    for world in [world] {
        let world = world.reopen().await;
        assert!(world.store.has_access_keys().await.unwrap());
        for (made, principal) in [(&new, "admin"), (&other, "reader")] {
            let found = world.store.access_key(&made.access_key_id).await.unwrap().unwrap();
            assert_eq!(found.secret.expose(), made.secret.expose());
            assert_eq!((found.principal.as_str(), found.enabled), (principal, true));
        }
        assert!(world.store.access_key("AKIAAAAAAAAAAAAAAAAA").await.unwrap().is_none());
    }
}

pub(crate) async fn access_keys_have_the_form_clients_expect(world: World) {
    let key = world.store.create_access_key("admin", world.now()).await.unwrap();
    let id = key.access_key_id.strip_prefix("AKIA").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)));
    assert_eq!(key.secret.expose().len(), 40);
    assert!(!format!("{key:?}").contains(key.secret.expose_str().unwrap()));
}
