//! What hangs on a secret beside its values: resource policy, replicas, key ids, what makes it an external secret.

use chrono::TimeDelta;
use store::{External, NewSecret, Replica, ReplicaStatus, StoreError, UpdateSecret};

use crate::world::{World, new_secret, rotate, start, text, update};

fn failed(region: &str) -> Replica {
    Replica {
        region: region.to_owned(),
        kms_key_id: None,
        status: ReplicaStatus::Failed,
        message: "no peer".to_owned(),
    }
}

pub(crate) async fn a_policy_is_the_text_that_was_put_last(world: World) {
    let written = world.create("s", "one").await;
    let store = &world.store;
    assert_eq!(store.policy("s").await.unwrap().1, None);
    world.clock.pass(TimeDelta::seconds(1));
    store.delete_policy("s", world.now()).await.unwrap();
    assert_eq!(store.describe("s").await.unwrap().changed, start(), "there was nothing to delete");
    for document in ["{ \"Statement\" : [] }", "{}"] {
        let named = store.put_policy(&written.arn, document, world.now()).await.unwrap();
        assert_eq!((named.arn, named.name.as_str()), (written.arn.clone(), "s"));
        assert_eq!(store.policy("s").await.unwrap().1.as_deref(), Some(document));
    }
    assert_eq!(store.describe("s").await.unwrap().changed, world.now());
    store.delete_policy("s", world.now()).await.unwrap();
    assert_eq!(store.policy("s").await.unwrap().1, None);
    assert!(matches!(store.put_policy("t", "{}", world.now()).await, Err(StoreError::SecretNotFound)));
    assert!(matches!(store.delete_policy("t", world.now()).await, Err(StoreError::SecretNotFound)));
    assert!(matches!(store.policy("t").await, Err(StoreError::SecretNotFound)));
}

pub(crate) async fn a_policy_waits_for_restore_and_goes_with_its_secret(world: World) {
    world.create("s", "one").await;
    let (store, now) = (&world.store, world.now());
    store.put_policy("s", "{}", now).await.unwrap();
    store.delete_secret("s", 7, now).await.unwrap();
    assert!(matches!(store.policy("s").await, Err(StoreError::MarkedForDeletion)));
    assert!(matches!(store.put_policy("s", "[]", now).await, Err(StoreError::MarkedForDeletion)));
    assert!(matches!(store.delete_policy("s", now).await, Err(StoreError::MarkedForDeletion)));
    store.restore_secret("s", now).await.unwrap();
    assert_eq!(store.policy("s").await.unwrap().1.as_deref(), Some("{}"));
    store.delete_secret("s", 0, now).await.unwrap();
    world.create("s", "two").await;
    assert_eq!(store.policy("s").await.unwrap().1, None, "a new secret of the name knows nothing of it");
    let left: i64 = world.raw().await.count("SELECT COUNT(*) FROM policy").await;
    assert_eq!(left, 0);
}

pub(crate) async fn replicas_are_shown_until_they_are_removed(world: World) {
    let (store, now) = (&world.store, world.now());
    let new = NewSecret { replicas: vec![failed("us-west-2")], value: Some(text("one")), ..new_secret("s", "c") };
    let written = store.create_secret(new.clone(), now).await.unwrap();
    assert_eq!(store.create_secret(new, now).await.unwrap(), written, "a repeat is the same answer");
    let about = store.describe("s").await.unwrap();
    assert_eq!(about.primary_region.as_deref(), Some("us-east-1"));
    assert_eq!(about.replicas, [failed("us-west-2")]);

    let keyed = Replica { kms_key_id: Some("alias/k".to_owned()), ..failed("us-west-2") };
    let replicas = store.replicate("s", &[failed("eu-west-1"), keyed.clone()], now).await.unwrap();
    assert_eq!((replicas.arn, replicas.replicas), (written.arn, vec![failed("eu-west-1"), keyed.clone()]));

    let removed = store.remove_replicas("s", &["eu-west-1".to_owned(), "sa-east-1".to_owned()], now).await.unwrap();
    assert_eq!(removed.replicas, [keyed]);
    store.remove_replicas("s", &["us-west-2".to_owned()], now).await.unwrap();
    let about = store.describe("s").await.unwrap();
    assert_eq!((about.primary_region, about.replicas), (None, vec![]));
    assert_eq!(store.replicas("s").await.unwrap().replicas, []);
}

pub(crate) async fn a_secret_with_replicas_is_not_deleted(world: World) {
    world.create("s", "one").await;
    let (store, now) = (&world.store, world.now());
    store.replicate("s", &[failed("eu-west-1"), failed("us-west-2")], now).await.unwrap();
    for days in [0, 7] {
        let refused = store.delete_secret("s", days, now).await;
        assert!(
            matches!(&refused, Err(StoreError::HasReplicas { id, regions })
                if id == "s" && *regions == ["eu-west-1", "us-west-2"]),
            "{refused:?}"
        );
    }
    assert_eq!(world.read("s").await, "one");
    let regions = ["eu-west-1", "us-west-2"].map(str::to_owned);
    store.remove_replicas("s", &regions, now).await.unwrap();
    store.delete_secret("s", 7, now).await.unwrap();
    assert!(matches!(store.replicate("s", &[failed("eu-west-1")], now).await, Err(StoreError::MarkedForDeletion)));
    assert!(matches!(store.remove_replicas("s", &regions, now).await, Err(StoreError::MarkedForDeletion)));
    assert!(matches!(store.replicas("s").await, Err(StoreError::MarkedForDeletion)));
}

pub(crate) async fn a_version_shows_the_key_it_was_written_under(world: World) {
    let (store, now) = (&world.store, world.now());
    let new = NewSecret { value: Some(text("one")), kms_key_id: Some("k1".to_owned()), ..new_secret("s", "v1") };
    store.create_secret(new, now).await.unwrap();
    world.put("s", "v2", "two").await.unwrap();
    world.put("s", "v3", "three").await.unwrap();
    world.put_with("s", "v4", "four", &["MINE"]).await.unwrap();
    let keys = async || {
        let versions = store.list_versions("s", true, 10, None).await.unwrap().versions;
        let mut shown: Vec<_> = versions
            .iter()
            .map(|version| {
                let key = version.kms_key_id.as_deref().unwrap_or("-");
                format!("{} {key}", version.version_id.as_str().trim_end_matches('.'))
            })
            .collect();
        shown.sort();
        shown.join(", ")
    };
    assert_eq!(keys().await, "v1 k1, v2 k1, v3 k1, v4 k1");
    // AWSCURRENT is v3 and AWSPREVIOUS v2; a label of one's own does not count.
    store.update_secret("s", UpdateSecret { kms_key_id: Some("k2".to_owned()), ..update("u1") }, now).await.unwrap();
    assert_eq!(keys().await, "v1 k1, v2 k2, v3 k2, v4 k1");
    // With a value: it is AWSCURRENT by then, and v3 AWSPREVIOUS.
    let both = UpdateSecret { kms_key_id: Some(String::new()), value: Some(text("five")), ..update("v5") };
    store.update_secret("s", both, now).await.unwrap();
    assert_eq!(keys().await, "v1 k1, v2 k2, v3 -, v4 k1, v5 -");
    // A rotation's version is written under the key of its day.
    let lease = world.rotating("s", "v6").await;
    store.update_secret("s", UpdateSecret { kms_key_id: Some("k3".to_owned()), ..update("u2") }, now).await.unwrap();
    world.sealed(&lease, "six").await;
    assert_eq!(keys().await, "v1 k1, v2 k2, v3 k3, v4 k1, v5 k3, v6 k3");
    assert_eq!(world.read("s").await, "five", "what is sealed does not change");
}

pub(crate) async fn an_external_secret_keeps_what_is_not_named(world: World) {
    let (store, now) = (&world.store, world.now());
    let new =
        NewSecret { value: Some(text("one")), kind: Some("GitLabAccessToken".to_owned()), ..new_secret("s", "c") };
    store.create_secret(new, now).await.unwrap();
    let metadata = vec![("daysToExpiry".to_owned(), "30".to_owned()), ("a".to_owned(), "b".to_owned())];
    let external = External { metadata: Some(metadata.clone()), ..External::default() };
    store.rotate("s", store::Rotate { external, start: store::Start::Wait, ..rotate("r1") }, now).await.unwrap();
    let role = External { role_arn: Some("arn:aws:iam::000000000000:role/r".to_owned()), ..External::default() };
    store.rotate("s", store::Rotate { external: role, start: store::Start::Wait, ..rotate("r2") }, now).await.unwrap();
    let all = External {
        kind: Some("GitLabAccessToken".to_owned()),
        metadata: Some(metadata),
        role_arn: Some("arn:aws:iam::000000000000:role/r".to_owned()),
    };
    assert_eq!(store.describe("s").await.unwrap().external, all);
    store.update_secret("s", UpdateSecret { kind: Some(String::new()), ..update("u") }, now).await.unwrap();
    assert_eq!(store.describe("s").await.unwrap().external, External { kind: None, ..all.clone() });
    // What is refused changes nothing.
    let external = External { metadata: Some(vec![]), ..External::default() };
    let refused = store::Rotate { external, time_zone: Some("Mars/Olympus".to_owned()), ..rotate("r3") };
    assert!(store.rotate("s", refused, now).await.is_err());
    assert_eq!(store.describe("s").await.unwrap().external, External { kind: None, ..all });
}
