//! Settings, and the tags that are a view of them.

use engine::port::Options;
use engine::registration::Mode;
use engine::settings::{Change, Said, SettingError};
use engine::strategy::Strategy;
use store::{NewSecret, Rotate, Start, StoreError, Tag};

use crate::rotators::{by, webhook};
use crate::world::{World, new_secret, on_schedule, rotate};

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

async fn put(world: &World, tags: &[(&str, &str)]) -> Result<(), StoreError> {
    let tags: Vec<Tag> = tags.iter().map(|(key, value)| tag(key, value)).collect();
    world.store.tag("s", &tags, world.now()).await
}

async fn untag(world: &World, key: &str) {
    world.store.untag("s", &[key.to_owned()], world.now()).await.unwrap();
}

/// `key=value key=value`, in order.
async fn tags(world: &World) -> String {
    let tags = world.store.describe("s").await.unwrap().tags.unwrap_or_default();
    tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>().join(" ")
}

async fn options(world: &World) -> Options {
    world.store.rotation("s").await.unwrap().options
}

async fn enable(world: &World, change: Change) -> Result<(), StoreError> {
    let request = Rotate { options: Some(change), start: Start::Wait, ..rotate("c") };
    world.store.rotate("s", request, world.now()).await.map(drop)
}

fn strategy(strategy: Strategy) -> Change {
    Change { strategy: Some(Said::To(strategy)), ..Change::default() }
}

pub(crate) async fn a_tag_is_a_view_of_its_setting_whichever_was_written(world: World) {
    world.create("s", "one").await;
    put(&world, &[("team", "a"), ("pawl:grace", "15m")]).await.unwrap();
    assert_eq!(options(&world).await.grace_seconds, Some(900));
    let grace = Change { grace_seconds: Some(Said::To(7200)), ..strategy(Strategy::DualPassword) };
    enable(&world, grace).await.unwrap();
    assert_eq!(tags(&world).await, "team=a pawl:grace=2h pawl:strategy=dual-password");
    untag(&world, "pawl:strategy").await;
    assert_eq!((options(&world).await.strategy, options(&world).await.grace_seconds), (None, Some(7200)));
    enable(&world, Change { grace_seconds: Some(Said::Default), ..Change::default() }).await.unwrap();
    assert_eq!(tags(&world).await, "team=a");
    assert_eq!(options(&world).await, Options::default());
    put(&world, &[("pawl:other", "x"), ("Pawl:strategy", "x")]).await.unwrap();
    assert_eq!(tags(&world).await, "team=a pawl:other=x Pawl:strategy=x", "any other key is a plain tag");
    let said: Vec<String> = world.store.history("s", 10).await.unwrap().into_iter().map(|line| line.message).collect();
    assert!(said.iter().any(|said| said == "the tag pawl:grace was set to 15m"), "{said:?}");
}

pub(crate) async fn how_a_tag_was_written_stays_while_it_says_the_same(world: World) {
    world.create("s", "one").await;
    put(&world, &[("pawl:grace", "900")]).await.unwrap();
    enable(&world, Change { grace_seconds: Some(Said::To(900)), ..Change::default() }).await.unwrap();
    assert_eq!(tags(&world).await, "pawl:grace=900", "or a plan of Terraform would never be empty");
    enable(&world, Change { grace_seconds: Some(Said::To(901)), ..Change::default() }).await.unwrap();
    assert_eq!(tags(&world).await, "pawl:grace=901s");
}

pub(crate) async fn settings_that_came_by_tag_wait_for_the_rotation_to_be_configured(world: World) {
    world.create("s", "one").await;
    put(&world, &[("pawl:strategy", "single-user"), ("pawl:timezone", "Europe/Berlin")]).await.unwrap();
    assert_eq!(world.store.describe("s").await.unwrap().rotation, None, "a tag configures no rotation");
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let config = world.store.describe("s").await.unwrap().rotation.unwrap();
    assert_eq!(
        (config.options.strategy, config.time_zone.as_deref()),
        (Some(Strategy::SingleUser), Some("Europe/Berlin"))
    );
}

pub(crate) async fn a_new_secret_takes_its_settings_from_its_tags(world: World) {
    let made = |tags| NewSecret { tags: Some(tags), ..new_secret("s", "t") };
    let refused = world.store.create_secret(made(vec![tag("pawl:grace", "soon")]), world.now()).await;
    assert!(matches!(refused, Err(StoreError::Setting(SettingError::BadTag(_)))));
    let tagged = made(vec![tag("pawl:strategy", "alternating-users"), tag("a", "b")]);
    world.store.create_secret(tagged, world.now()).await.unwrap();
    assert_eq!(options(&world).await.strategy, Some(Strategy::AlternatingUsers));
    assert_eq!(tags(&world).await, "pawl:strategy=alternating-users a=b");
}

pub(crate) async fn a_tag_that_says_no_setting_is_refused_and_nothing_is_written(world: World) {
    world.create("s", "one").await;
    for (key, value) in [("pawl:strategy", "dual"), ("pawl:grace", "31d"), ("pawl:timezone", "Mars/Olympus")] {
        let refused = put(&world, &[("team", "a"), (key, value)]).await;
        assert!(matches!(refused, Err(StoreError::Setting(SettingError::BadTag(_)))), "{key}");
    }
    assert_eq!(world.store.describe("s").await.unwrap().tags, None);
}

pub(crate) async fn tags_of_settings_take_no_room_from_others(world: World) {
    world.create("s", "one").await;
    let fifty: Vec<Tag> = (0..50).map(|n| tag(&format!("k{n}"), "v")).collect();
    world.store.tag("s", &fifty, world.now()).await.unwrap();
    enable(&world, strategy(Strategy::SingleUser)).await.unwrap();
    put(&world, &[("pawl:grace", "15m")]).await.unwrap();
    assert!(matches!(put(&world, &[("one-more", "v")]).await, Err(StoreError::TagQuota)));
}

pub(crate) async fn taking_a_tag_away_that_is_not_there_changes_nothing(world: World) {
    world.create("s", "one").await;
    enable(&world, strategy(Strategy::SingleUser)).await.unwrap();
    // What the migration leaves behind: a setting that nobody wrote, and so no tag.
    let mut raw = world.raw().await;
    raw.run("DELETE FROM tag").await;
    untag(&world, "pawl:strategy").await;
    assert_eq!(options(&world).await.strategy, Some(Strategy::SingleUser));
    enable(&world, Change { reconcile: Some(true), ..Change::default() }).await.unwrap();
    assert_eq!(tags(&world).await, "", "an upgrade shows no tag that nobody wrote");
    enable(&world, strategy(Strategy::SingleUser)).await.unwrap();
    assert_eq!(tags(&world).await, "pawl:strategy=single-user", "saying it does");
}

pub(crate) async fn a_tag_that_an_earlier_binary_took_for_any_other_shows_what_is_in_force(world: World) {
    world.create("s", "one").await;
    put(&world, &[("pawl:grace", "15m"), ("a", "b"), ("pawl:strategy", "single-user")]).await.unwrap();
    let mut raw = world.raw().await;
    for statement in [
        "UPDATE tag SET tag_value = 'soon' WHERE tag_key = 'pawl:grace'",
        "UPDATE rotation SET options = replace(options, '\"strategy\":\"single-user\"', '\"x\":1')",
    ] {
        raw.run(statement).await;
    }
    assert_eq!(tags(&world).await, "pawl:grace=15m a=b");
    put(&world, &[("pawl:strategy", "dual-password")]).await.unwrap();
    assert_eq!(tags(&world).await, "pawl:grace=15m a=b pawl:strategy=dual-password");
}

pub(crate) async fn a_schedule_within_the_grace_is_refused_wherever_it_is_said(world: World) {
    world.create("s", "one").await;
    let within = |refused: Result<(), StoreError>| {
        matches!(refused, Err(StoreError::Setting(SettingError::IntervalWithinGrace { .. })))
    };
    let dual = Rotate { options: Some(strategy(Strategy::DualPassword)), ..on_schedule("c", "rate(5 days)") };
    world.store.rotate("s", dual, world.now()).await.unwrap();
    let grace = |seconds| Change { grace_seconds: Some(Said::To(seconds)), ..Change::default() };
    assert!(within(enable(&world, grace(5 * 24 * 3600)).await));
    assert!(within(put(&world, &[("pawl:grace", "5d")]).await));
    put(&world, &[("pawl:grace", "5h")]).await.unwrap();
    let refused = world.store.rotate("s", on_schedule("d", "rate(4 hours)"), world.now()).await;
    assert!(within(refused.map(drop)), "by RotateSecret too");
    assert_eq!(tags(&world).await, "pawl:strategy=dual-password pawl:grace=5h");
    enable(&world, Change { strategy: Some(Said::Default), ..grace(5 * 24 * 3600) }).await.unwrap();
    assert!(within(put(&world, &[("pawl:strategy", "alternating-users")]).await));
}

pub(crate) async fn a_registered_rotator_takes_no_strategy(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.create("s", "one").await;
    let decides =
        |refused: Result<(), StoreError>| matches!(refused, Err(StoreError::Setting(SettingError::RotatorDecides)));
    let with = |change| Rotate { options: Some(change), start: Start::Wait, ..by("hook", rotate("c")) };
    let refused = world.store.rotate("s", with(strategy(Strategy::SingleUser)), world.now()).await;
    assert!(decides(refused.map(drop)));
    put(&world, &[("pawl:strategy", "dual-password")]).await.unwrap();
    let refused = world.store.rotate("s", with(Change::default()), world.now()).await;
    assert!(decides(refused.map(drop)), "what was said before it served the secret");
    untag(&world, "pawl:strategy").await;
    let grace = Change { grace_seconds: Some(Said::To(60)), ..Change::default() };
    world.store.rotate("s", with(grace), world.now()).await.unwrap();
    assert!(decides(put(&world, &[("pawl:strategy", "single-user")]).await));
    assert_eq!(options(&world).await.grace_seconds, Some(60));
}

pub(crate) async fn another_zone_by_tag_plans_anew_and_makes_nothing_due(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "cron(0 8 ? * SUN *)"), world.now()).await.unwrap();
    let before = world.store.rotation("s").await.unwrap().window.unwrap();
    put(&world, &[("pawl:timezone", "Asia/Tokyo")]).await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    let after = view.window.unwrap();
    assert_eq!(before.opens - after.opens, chrono::TimeDelta::hours(9));
    assert!(view.due.unwrap() >= after.opens && after.opens > world.now());
    assert!(world.claims().await.is_empty());
}
