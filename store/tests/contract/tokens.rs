//! The token matrix: what a ClientRequestToken that was used before does.

use engine::secret::{SecretBytes, SecretValue, ValueKind};
use store::{NewSecret, StoreError, UpdateSecret};

use crate::world::{World, new_secret, text, token, update};

fn is_in_use(error: &StoreError, of: &str) -> bool {
    matches!(error, StoreError::TokenInUse { token: used, arn } if *used == token(of).to_string() && arn.contains(":s-"))
}

pub(crate) async fn creating_twice_follows_the_token_matrix(world: World) {
    let new = |of: &str, value: Option<&str>| NewSecret { value: value.map(text), ..new_secret("s", of) };
    let create = async |new: NewSecret| world.store.create_secret(new, world.now()).await;
    let first = create(new("t", Some("one"))).await.unwrap();
    assert_eq!(create(new("t", Some("one"))).await.unwrap(), first);
    assert!(is_in_use(&create(new("t", Some("two"))).await.unwrap_err(), "t"));
    assert!(is_in_use(&create(new("t", None)).await.unwrap_err(), "t"));
    for value in [Some("one"), Some("two"), None] {
        let error = create(new("other", value)).await.unwrap_err();
        assert!(matches!(error, StoreError::NameTaken(name) if name == "s"));
    }
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    let error = create(new("t", Some("one"))).await.unwrap_err();
    assert!(matches!(error, StoreError::NameScheduledForDeletion));
    let empty = world.store.create_secret(new_secret("empty", "e"), world.now()).await.unwrap();
    assert_eq!(world.store.create_secret(new_secret("empty", "e"), world.now()).await.unwrap(), empty);
    let other = world.store.create_secret(new_secret("empty", "f"), world.now()).await;
    assert!(matches!(other, Err(StoreError::NameTaken(_))));
}

// F100
pub(crate) async fn putting_follows_the_token_matrix(world: World) {
    world.create("s", "one").await;
    let first = world.put("s", "t", "two").await.unwrap();
    assert_eq!(first.version_id, Some(token("t")));
    let changed = world.store.describe("s").await.unwrap().changed;
    world.clock.pass(chrono::TimeDelta::seconds(1));
    assert_eq!(world.put("s", "t", "two").await.unwrap(), first);
    assert_eq!(world.store.describe("s").await.unwrap().changed, changed, "a repeat changes nothing");
    assert!(is_in_use(&world.put("s", "t", "three").await.unwrap_err(), "t"));
    // The same value under a new token is a new version.
    world.put("s", "u", "two").await.unwrap();
    assert_eq!(world.labels("s").await, "t [AWSPREVIOUS] u [AWSCURRENT]");
    // A repeat of a version that is no longer current does not bring it back.
    let repeat = world.put("s", "t", "two").await.unwrap();
    assert_eq!(repeat.stages, ["AWSPREVIOUS"]);
    assert_eq!(world.labels("s").await, "t [AWSPREVIOUS] u [AWSCURRENT]");
}

pub(crate) async fn updating_follows_the_token_matrix(world: World) {
    world.create("s", "one").await;
    let update = async |of: &str, value: &str| {
        let update = UpdateSecret { value: Some(text(value)), ..update(of) };
        world.store.update_secret("s", update, world.now()).await
    };
    let first = update("t", "two").await.unwrap();
    assert_eq!(update("t", "two").await.unwrap(), first);
    assert!(is_in_use(&update("t", "three").await.unwrap_err(), "t"));
    assert_eq!(world.read("s").await, "two");
}

pub(crate) async fn equal_bytes_of_another_kind_are_another_value(world: World) {
    world.create("s", "one").await;
    world.put("s", "t", "two").await.unwrap();
    let binary = SecretValue { kind: ValueKind::Binary, bytes: SecretBytes::from("two") };
    let error = world.put_as("s", "t", binary.clone(), None).await.unwrap_err();
    assert!(is_in_use(&error, "t"));
    world.put_as("s", "b", binary, None).await.unwrap();
    assert_eq!(world.get("s").await.unwrap().value.kind, ValueKind::Binary);
}

pub(crate) async fn a_repeated_put_attaches_labels_it_names(world: World) {
    world.create("s", "one").await;
    world.put("s", "v2", "two").await.unwrap();
    let repeat = world.put_with("s", "create-s", "one", &["KEEP"]).await.unwrap();
    assert_eq!(repeat.stages, ["AWSPREVIOUS", "KEEP"]);
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS, KEEP] v2 [AWSCURRENT]");
}
