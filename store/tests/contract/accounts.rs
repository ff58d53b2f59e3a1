//! One account under two secrets, and whose admin a secret is.

use engine::registration::Mode;
use engine::settings::{Change, Said};
use engine::strategy::Strategy;
use store::{Rotate, Start, StoreError};

use crate::rotators::{by, webhook};
use crate::world::{World, on_schedule, rotate};

fn account(user: &str, extra: &str) -> String {
    format!(r#"{{"engine":"mysql","host":"db","username":"{user}","password":"p"{extra}}}"#)
}

async fn enable(world: &World, name: &str) -> Result<(), StoreError> {
    let request = on_schedule(&format!("c-{name}"), "rate(4 hours)");
    world.store.rotate(name, request, world.now()).await.map(drop)
}

async fn shared(world: &World, name: &str) -> Vec<String> {
    world.store.same_account(name).await.unwrap().into_iter().map(|named| named.name).collect()
}

// F83
pub(crate) async fn two_secrets_of_one_account_are_not_both_rotated(world: World) {
    world.create("one", &account("app", "")).await;
    world.create("two", &account("app", r#","port":3306,"dbname":"x""#)).await;
    world.create("other", &account("web", "")).await;
    assert_eq!(shared(&world, "one").await, ["two"]);
    assert!(shared(&world, "other").await.is_empty());
    enable(&world, "one").await.unwrap();
    enable(&world, "other").await.unwrap();
    let refused = enable(&world, "two").await;
    assert!(matches!(refused, Err(StoreError::AccountShared { secrets }) if secrets == ["one"]));
    let refused = world.store.rotate("two", rotate("now"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::AccountShared { .. })));
    assert_eq!(world.store.describe("two").await.unwrap().rotation, None, "a refusal stores nothing");
    world.store.cancel_rotation("one", "tester", world.now()).await.unwrap();
    enable(&world, "two").await.unwrap();
    assert!(matches!(enable(&world, "one").await, Err(StoreError::AccountShared { .. })));
    world.store.delete_secret("two", 7, world.now()).await.unwrap();
    enable(&world, "one").await.unwrap();
    let refused = world.store.restore_secret("two", world.now()).await;
    assert!(matches!(refused, Err(StoreError::AccountShared { secrets }) if secrets == ["one"]));
    world.store.cancel_rotation("one", "tester", world.now()).await.unwrap();
    world.store.restore_secret("two", world.now()).await.unwrap();
}

// F83
pub(crate) async fn a_secret_that_comes_back_from_a_rotator_of_its_own_is_alone_with_its_account(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.create("one", &account("app", "")).await;
    world.create("two", &account("app", "")).await;
    enable(&world, "one").await.unwrap();
    let served = by("hook", on_schedule("c-two", "rate(4 hours)"));
    world.store.rotate("two", served, world.now()).await.unwrap();
    let back = on_schedule("d-two", "rate(4 hours)");
    let refused = world.store.rotate("two", back.clone(), world.now()).await;
    assert!(matches!(&refused, Err(StoreError::AccountShared { secrets }) if *secrets == ["one"]), "{refused:?}");
    world.store.cancel_rotation("one", "tester", world.now()).await.unwrap();
    world.store.rotate("two", back, world.now()).await.unwrap();
}

pub(crate) async fn a_secret_that_was_rotated_before_goes_on_whatever_else_is_for_its_account(world: World) {
    world.create("one", &account("app", "")).await;
    world.create("two", &account("web", "")).await;
    enable(&world, "one").await.unwrap();
    enable(&world, "two").await.unwrap();
    world.put("two", "v2", &account("app", "")).await.unwrap();
    assert_eq!(shared(&world, "two").await, ["one"]);
    world.store.rotate("one", rotate("now"), world.now()).await.unwrap();
}

pub(crate) async fn accounts_that_take_turns_are_both_the_secrets(world: World) {
    world.create("pair", &account("app", "")).await;
    world.put("pair", "v2", &account("app_clone", "")).await.unwrap();
    world.create("one", &account("app", "")).await;
    assert!(shared(&world, "one").await.is_empty(), "AWSPREVIOUS may be anything");
    let change = Change { strategy: Some(Said::To(Strategy::AlternatingUsers)), ..Change::default() };
    let request = Rotate { options: Some(change), start: Start::Wait, ..rotate("c") };
    world.store.rotate("pair", request, world.now()).await.unwrap();
    assert_eq!(shared(&world, "one").await, ["pair"]);
    assert_eq!(shared(&world, "pair").await, ["one"]);
    assert!(matches!(enable(&world, "one").await, Err(StoreError::AccountShared { .. })));
}

pub(crate) async fn what_an_earlier_binary_wrote_is_looked_at_too(world: World) {
    world.create("one", &account("app", "")).await;
    world.create("two", &account("app", "")).await;
    world.create("none", "text").await;
    let mut raw = world.raw().await;
    raw.run("UPDATE version SET account = NULL").await;
    assert!(shared(&world, "one").await.is_empty());
    let world = world.reopen().await;
    assert_eq!(shared(&world, "one").await, ["two"]);
    let left: i64 = raw.count("SELECT COUNT(*) FROM version WHERE account IS NULL").await;
    assert_eq!(left, 0);
}

pub(crate) async fn the_secrets_that_name_an_admin_are_told(world: World) {
    world.create("root", "{}").await;
    world.create("b", &account("b", r#","masterarn":"root""#)).await;
    world.create("a", &account("a", r#","masterarn":"root""#)).await;
    world.create("c", &account("c", "")).await;
    let names = world.store.admin_of("root").await.unwrap().into_iter().map(|named| named.name);
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    assert!(world.store.admin_of("a").await.unwrap().is_empty());
}
