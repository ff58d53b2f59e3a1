//! Secrets: ids, dates, descriptions, tags.

use chrono::TimeDelta;
use store::{NewSecret, StoreError, Tag, UpdateSecret};

use crate::world::{World, new_secret, shown, start, text, token, update};

pub(crate) async fn a_secret_is_read_back_by_name_full_arn_and_partial_arn(world: World) {
    let written = world.create("db/orders", "one").await;
    assert_eq!(written.stages, ["AWSCURRENT"]);
    let partial = written.arn.rsplit_once('-').unwrap().0.to_owned();
    assert_eq!(partial, "arn:aws:secretsmanager:us-east-1:000000000000:secret:db/orders");
    for id in ["db/orders", &written.arn, &partial] {
        let value = world.get(id).await.unwrap();
        assert_eq!((shown(&value).as_str(), value.arn.as_str()), ("one", written.arn.as_str()));
    }
    let elsewhere = partial.replace("us-east-1", "eu-west-1");
    for id in ["db/order", "DB/orders", &written.arn[..written.arn.len() - 1], &elsewhere, "arn:aws:nonsense"] {
        assert!(matches!(world.get(id).await, Err(StoreError::SecretNotFound)), "{id}");
    }
}

pub(crate) async fn a_partial_arn_that_ends_like_a_suffix_is_not_completed(world: World) {
    let prefix = "arn:aws:secretsmanager:us-east-1:000000000000:secret:";
    let found =
        [("Valid/_+=.@-Name-a1b2", true), ("Valid/_+=.@-Name-a1b2c3-", true), ("Invalid/_+=.@-Name-a1b2c3", false)];
    for (name, expected) in found {
        let written = world.create(name, "x").await;
        assert!(world.get(name).await.is_ok());
        assert!(world.get(&written.arn).await.is_ok());
        assert_eq!(world.get(&format!("{prefix}{name}")).await.is_ok(), expected, "{name}");
    }
}

pub(crate) async fn a_name_that_looks_like_an_arn_tail_is_a_name(world: World) {
    world.create("foo", "short").await;
    world.create("foo-AbCdEf", "long").await;
    assert_eq!(world.read("foo-AbCdEf").await, "long");
    assert_eq!(world.read("foo").await, "short");
}

pub(crate) async fn a_secret_without_a_value_has_no_versions(world: World) {
    let written = world.store.create_secret(new_secret("empty", "t"), world.now()).await.unwrap();
    assert_eq!((written.version_id, written.stages.len()), (None, 0));
    assert!(world.store.describe("empty").await.unwrap().stages.is_empty());
    assert!(matches!(world.get("empty").await, Err(StoreError::StageNotFound(label)) if label == "AWSCURRENT"));
    world.put_with("empty", "v1", "one", &["CUSTOM"]).await.unwrap();
    assert_eq!(world.labels("empty").await, "v1 [AWSCURRENT, CUSTOM]");
}

pub(crate) async fn descriptions_have_what_aws_shows_and_nothing_else(world: World) {
    world.create("bare", "one").await;
    let bare = world.store.describe("bare").await.unwrap();
    assert_eq!((bare.created, bare.changed), (start(), start()));
    assert_eq!((bare.description, bare.kms_key_id, bare.tags), (None, None, None));
    assert_eq!((bare.accessed, bare.rotated, bare.next_rotation, bare.deleted), (None, None, None, None));
    assert_eq!(bare.rotation, None);
    let full = NewSecret {
        description: Some("what it is".to_owned()),
        kms_key_id: Some("alias/mine".to_owned()),
        tags: Some(vec![]),
        ..new_secret("full", "t")
    };
    world.store.create_secret(full, world.now()).await.unwrap();
    let full = world.store.describe("full").await.unwrap();
    assert_eq!(full.description.as_deref(), Some("what it is"));
    assert_eq!(full.kms_key_id.as_deref(), Some("alias/mine"));
    assert_eq!(full.tags, Some(vec![]));
    let cleared = UpdateSecret { description: Some(String::new()), kms_key_id: Some(String::new()), ..update("u") };
    world.clock.pass(TimeDelta::seconds(1));
    let written = world.store.update_secret("full", cleared, world.now()).await.unwrap();
    assert_eq!(written.version_id, None);
    let full = world.store.describe("full").await.unwrap();
    assert_eq!((full.description, full.kms_key_id, full.changed), (None, None, world.now()));
}

pub(crate) async fn a_new_secret_of_an_old_name_gets_a_new_arn(world: World) {
    let old = world.create("again", "one").await;
    world.store.delete_secret("again", 0, world.now()).await.unwrap();
    let new = world.create("again", "two").await;
    assert_ne!(old.arn, new.arn);
    assert_eq!(world.read("again").await, "two");
    assert!(matches!(world.get(&old.arn).await, Err(StoreError::SecretNotFound)));
}

pub(crate) async fn values_are_read_by_version_by_label_and_by_both(world: World) {
    world.create("s", "one").await;
    world.clock.pass(TimeDelta::seconds(5));
    world.put("s", "v2", "two").await.unwrap();
    world.put("s", "v3", "three").await.unwrap();
    let (first, second, third) = (token("create-s").to_string(), token("v2").to_string(), token("v3").to_string());
    let get = async |version: Option<&str>, stage: Option<&str>| {
        let value = world.store.get_value("s", version, stage, world.now()).await?;
        Ok::<_, StoreError>((shown(&value), value.stages.join(" ")))
    };
    let found = |value: &str, stages: &str| (value.to_owned(), stages.to_owned());
    assert_eq!(get(None, None).await.unwrap(), found("three", "AWSCURRENT"));
    assert_eq!(get(None, Some("AWSPREVIOUS")).await.unwrap(), found("two", "AWSPREVIOUS"));
    assert_eq!(get(Some(&third), Some("AWSCURRENT")).await.unwrap(), found("three", "AWSCURRENT"));
    assert_eq!(get(Some(&second), None).await.unwrap(), found("two", "AWSPREVIOUS"));
    // Unlabelled, and still there.
    assert_eq!(get(Some(&first), None).await.unwrap(), found("one", ""));
    assert!(matches!(get(Some(&second), Some("AWSCURRENT")).await, Err(StoreError::StageNotOfVersion)));
    assert!(matches!(get(Some(&first), Some("AWSCURRENT")).await, Err(StoreError::StageNotOfVersion)));
    assert!(matches!(get(None, Some("NONE")).await, Err(StoreError::StageNotFound(label)) if label == "NONE"));
    let unknown = token("unknown").to_string();
    assert!(matches!(get(Some(&unknown), None).await, Err(StoreError::VersionNotFound(id)) if id == unknown));
    let created = world.store.get_value("s", Some(&second), None, world.now()).await.unwrap().created;
    assert_eq!(created, start() + TimeDelta::seconds(5));
}

pub(crate) async fn reading_moves_the_day_of_access_and_nothing_else(world: World) {
    world.create("s", "one").await;
    let midnight = start().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    for _ in 0..2 {
        world.read("s").await;
        let about = world.store.describe("s").await.unwrap();
        assert_eq!((about.accessed, about.changed), (Some(midnight), start()));
    }
    world.clock.pass(TimeDelta::days(3));
    world.read("s").await;
    let versions = world.store.list_versions("s", false, 10, None).await.unwrap().versions;
    assert_eq!(versions[0].accessed, Some(midnight + TimeDelta::days(3)));
    // A clock set back takes no day away.
    world.store.get_value("s", None, None, start()).await.unwrap();
    assert_eq!(world.store.describe("s").await.unwrap().accessed, Some(midnight + TimeDelta::days(3)));
}

pub(crate) async fn tags_keep_their_order_and_an_emptied_list_stays_visible(world: World) {
    let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
    world.create("s", "one").await;
    world.store.tag("s", &[tag("z", "1"), tag("a", "2")], world.now()).await.unwrap();
    world.store.tag("s", &[tag("m", "3"), tag("z", "4")], world.now()).await.unwrap();
    let tags = world.store.describe("s").await.unwrap().tags;
    assert_eq!(tags, Some(vec![tag("z", "4"), tag("a", "2"), tag("m", "3")]));
    let keys = ["z", "a", "m", "absent"].map(str::to_owned);
    world.store.untag("s", &keys, world.now()).await.unwrap();
    assert_eq!(world.store.describe("s").await.unwrap().tags, Some(vec![]));
}

pub(crate) async fn a_secret_has_fifty_tags_at_most_whoever_comes_at_once(world: World) {
    world.create("s", "x").await;
    let tags = |from: u32, to: u32| -> Vec<Tag> {
        (from..to).map(|n| Tag { key: format!("key-{n}"), value: String::new() }).collect()
    };
    let (low, high) = (tags(0, 30), tags(30, 60));
    let (one, other) = tokio::join!(world.store.tag("s", &low, world.now()), world.store.tag("s", &high, world.now()),);
    let refused = [&one, &other].into_iter().filter(|result| matches!(result, Err(StoreError::TagQuota))).count();
    assert_eq!((refused, usize::from(one.is_ok()) + usize::from(other.is_ok())), (1, 1));
    assert_eq!(world.store.describe("s").await.unwrap().tags.map(|tags| tags.len()), Some(30));
    let new = NewSecret { tags: Some(tags(0, 51)), ..new_secret("many", "create-many") };
    assert!(matches!(world.store.create_secret(new, world.now()).await, Err(StoreError::TagQuota)));
    assert!(matches!(world.store.describe("many").await, Err(StoreError::SecretNotFound)));
}

pub(crate) async fn updating_nothing_changes_nothing(world: World) {
    world.create("s", "one").await;
    world.clock.pass(TimeDelta::hours(1));
    let nothing = update("u");
    let written = world.store.update_secret("s", nothing.clone(), world.now()).await.unwrap();
    assert_eq!(written.version_id, None);
    assert_eq!(world.store.describe("s").await.unwrap().changed, start());
    let value = UpdateSecret { value: Some(text("two")), ..nothing };
    let written = world.store.update_secret("s", value, world.now()).await.unwrap();
    assert_eq!((written.version_id, written.stages), (Some(token("u")), vec!["AWSCURRENT".to_owned()]));
}
