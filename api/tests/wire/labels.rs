//! The recorded label sequences, played over the wire.

use serde_json::{Value, json};

use crate::harness::{Server, v};

/// One call of a sequence, and what DescribeSecret shows after it.
pub(crate) enum Play {
    Put(u32, Option<&'static [&'static str]>),
    Update(u32),
    Move(&'static str, Option<u32>, Option<u32>),
}

use Play::{Move, Put, Update};

pub(crate) async fn play(steps: &[(Play, Value)]) {
    let server = Server::start().await;
    server.create("a").await;
    for (i, (step, expected)) in steps.iter().enumerate() {
        match step {
            Put(n, stages) => {
                let mut body = json!({"SecretId": "a", "ClientRequestToken": v(*n), "SecretString": "same"});
                if let Some(stages) = stages {
                    body["VersionStages"] = json!(stages);
                }
                let reply = server.ok("PutSecretValue", body).await;
                assert_eq!(reply["VersionStages"], expected[v(*n)], "reply of step {i}");
            }
            Update(n) => {
                let body = json!({"SecretId": "a", "ClientRequestToken": v(*n), "SecretString": "same"});
                let reply = server.ok("UpdateSecret", body).await;
                assert!(reply.get("VersionStages").is_none());
            }
            Move(label, from, to) => {
                let mut body = json!({"SecretId": "a", "VersionStage": label});
                for (key, version) in [("RemoveFromVersionId", from), ("MoveToVersionId", to)] {
                    if let Some(n) = version {
                        body[key] = json!(v(*n));
                    }
                }
                server.ok("UpdateSecretVersionStage", body).await;
            }
        }
        assert_eq!(server.stages("a").await, *expected, "after step {i}");
    }
}

#[tokio::test]
async fn s4_2_a_plain_write_takes_current_and_leaves_previous() {
    play(&[
        (Put(2, None), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT"]})),
        (Update(3), json!({v(2): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]})),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_pending_stays_on_what_became_current_until_a_plain_write_drops_it() {
    play(&[
        (Put(2, Some(&["AWSPENDING"])), json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]})),
        (Move("AWSCURRENT", Some(1), Some(2)), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "AWSPENDING"]})),
        (Put(3, None), json!({v(2): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]})),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_pending_moves_to_the_next_version_that_asks_for_it() {
    play(&[
        (Put(2, Some(&["AWSPENDING"])), json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]})),
        (Move("AWSCURRENT", Some(1), Some(2)), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "AWSPENDING"]})),
        (Put(3, Some(&["AWSPENDING"])), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT"], v(3): ["AWSPENDING"]})),
        (Move("AWSCURRENT", Some(2), Some(3)), json!({v(2): ["AWSPREVIOUS"], v(3): ["AWSCURRENT", "AWSPENDING"]})),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_custom_labels_are_taken_from_their_holders() {
    play(&[
        (Put(2, Some(&["one", "three", "two"])), json!({v(1): ["AWSCURRENT"], v(2): ["one", "three", "two"]})),
        (
            Put(3, Some(&["four", "one", "two"])),
            json!({v(1): ["AWSCURRENT"], v(2): ["three"], v(3): ["four", "one", "two"]}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_custom_labels_come_and_go_without_touching_aws_s() {
    play(&[
        (Put(2, Some(&["PENDING"])), json!({v(1): ["AWSCURRENT"], v(2): ["PENDING"]})),
        (Move("AWSCURRENT", Some(1), Some(2)), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "PENDING"]})),
        (Move("PENDING", Some(2), None), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT"]})),
        (Move("AWSSOMETHING", None, Some(1)), json!({v(1): ["AWSPREVIOUS", "AWSSOMETHING"], v(2): ["AWSCURRENT"]})),
    ])
    .await;
}

#[tokio::test]
async fn s2_10_a_version_without_labels_is_deprecated_and_still_readable() {
    let server = Server::start().await;
    server.create("a").await;
    for n in [2, 3] {
        server.ok("PutSecretValue", json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretString": "x"})).await;
    }
    let value = server.ok("GetSecretValue", json!({"SecretId": "a", "VersionId": v(1)})).await;
    assert_eq!((&value["SecretString"], value.get("VersionStages")), (&json!("value-1"), None));

    let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a"})).await;
    assert_eq!(listed["Versions"].as_array().map(Vec::len), Some(2));
    let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true})).await;
    let versions = listed["Versions"].as_array().expect("versions");
    let deprecated = versions.iter().find(|version| version["VersionId"] == v(1)).expect("listed");
    assert!(deprecated.get("VersionStages").is_none());
    assert_eq!(deprecated["KmsKeyIds"], json!(["DefaultEncryptionKey"]));
}
