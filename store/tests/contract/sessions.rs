//! Temporary credentials: what a token says, and to whom.

use std::time::Duration;

use chrono::TimeDelta;
use store::{LONGEST_SESSION, Origin, Role, SHORTEST_SESSION, StoreError};

use crate::keys::principal;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn a_session_is_opened_by_its_token_alone(world: World) {
    let parent = world.store.create_access_key("admin", world.now()).await.unwrap().access_key_id;
    let session = world.store.create_session(&parent, HOUR, world.now()).await.unwrap();
    let id = session.access_key_id.strip_prefix("ASIA").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)));
    assert_eq!(session.secret.expose().len(), 40);
    assert!(!session.token.contains(session.secret.expose_str().unwrap()));
    assert!(!format!("{session:?}").contains(session.secret.expose_str().unwrap()));
    let expires = world.now() + TimeDelta::hours(1);
    // Nothing of it is in the store: another process with the same keyring opens it as well.
    let world = world.reopen().await;
    let opened = world.store.open_session(&session.access_key_id, &session.token).unwrap().unwrap();
    assert_eq!(opened.secret.expose(), session.secret.expose());
    assert_eq!((opened.origin, opened.expires, session.expires), (Origin::Key(parent), expires, expires));
}

pub(crate) async fn a_token_that_was_changed_or_is_anothers_opens_nothing(world: World) {
    let parent = world.store.create_access_key("admin", world.now()).await.unwrap().access_key_id;
    let one = world.store.create_session(&parent, HOUR, world.now()).await.unwrap();
    let other = world.store.create_session(&parent, HOUR, world.now()).await.unwrap();
    let opened = |id: &str, token: &str| world.store.open_session(id, token).unwrap().is_some();
    assert!(opened(&one.access_key_id, &one.token));
    assert!(!opened(&one.access_key_id, &other.token));
    assert!(!opened(&parent, &one.token));
    for at in 0..one.token.len() {
        let mut changed = one.token.clone();
        let letter = if &changed[at..=at] == "A" { "B" } else { "A" };
        changed.replace_range(at..=at, letter);
        assert!(!opened(&one.access_key_id, &changed), "byte {at}");
    }
    for nonsense in ["", "x", "AKIA", "FwoGZXIvYXdzE", "ü", &one.token[..40], &format!("{}=", one.token)] {
        assert!(!opened(&one.access_key_id, nonsense), "{nonsense}");
    }
    let stranger = World::over_sqlite().await;
    assert!(stranger.store.open_session(&one.access_key_id, &one.token).unwrap().is_none(), "another keyring");
}

pub(crate) async fn only_an_enabled_key_makes_sessions_and_for_no_longer_than_allowed(world: World) {
    world.store.create_access_key("admin", world.now()).await.unwrap();
    let reader = principal("web", Role::Reader, &[], &["db"]);
    let key = world.store.create_principal_key(reader, world.now()).await.unwrap().access_key_id;
    let session = |ttl| world.store.create_session(&key, ttl, world.now());
    for (ttl, held) in [(Duration::ZERO, SHORTEST_SESSION), (HOUR, HOUR), (LONGEST_SESSION * 2, LONGEST_SESSION)] {
        assert_eq!(session(ttl).await.unwrap().expires, world.now() + held);
    }
    let made = session(HOUR).await.unwrap();
    let of_a_session = world.store.create_session(&made.access_key_id, HOUR, world.now()).await;
    assert!(matches!(of_a_session, Err(StoreError::AccessKeyNotFound)));
    world.store.set_access_key_enabled(&key, false).await.unwrap();
    assert!(matches!(session(HOUR).await, Err(StoreError::AccessKeyNotFound)));
}
