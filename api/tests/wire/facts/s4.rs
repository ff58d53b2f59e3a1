//! Section 4: versions and staging labels. The shorter recorded sequences are in `labels.rs`.

use chrono::TimeDelta;
use serde_json::json;

use crate::facts::{code, put};
use crate::harness::{Server, v};
use crate::labels::Play::{Move, Put};
use crate::labels::play;

#[tokio::test]
async fn s4_2_a_label_that_begins_with_aws_is_like_any_other() {
    play(&[
        (
            Put(2, Some(&["AWSPENDING", "AWSSOMETHING", "PUT1"])),
            json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING", "AWSSOMETHING", "PUT1"]}),
        ),
        (
            Move("AWSCURRENT", Some(1), Some(2)),
            json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "AWSPENDING", "AWSSOMETHING", "PUT1"]}),
        ),
        (
            Put(3, Some(&["AWSPENDING", "PUT2"])),
            json!({
                v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "AWSSOMETHING", "PUT1"], v(3): ["AWSPENDING", "PUT2"],
            }),
        ),
        (
            Move("AWSCURRENT", Some(2), Some(3)),
            json!({v(2): ["AWSPREVIOUS", "AWSSOMETHING", "PUT1"], v(3): ["AWSCURRENT", "AWSPENDING", "PUT2"]}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_a_demoted_version_keeps_its_own_labels_and_stays_listed_for_them() {
    play(&[
        (Put(2, Some(&["AWSCURRENT", "PUT0"])), json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "PUT0"]})),
        (
            Put(3, Some(&["AWSPENDING", "PUT1"])),
            json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "PUT0"], v(3): ["AWSPENDING", "PUT1"]}),
        ),
        (
            Move("AWSCURRENT", Some(2), Some(3)),
            json!({v(2): ["AWSPREVIOUS", "PUT0"], v(3): ["AWSCURRENT", "AWSPENDING", "PUT1"]}),
        ),
        (
            Put(4, Some(&["AWSPENDING", "PUT2"])),
            json!({v(2): ["AWSPREVIOUS", "PUT0"], v(3): ["AWSCURRENT", "PUT1"], v(4): ["AWSPENDING", "PUT2"]}),
        ),
        (
            Move("AWSCURRENT", Some(3), Some(4)),
            json!({v(2): ["PUT0"], v(3): ["AWSPREVIOUS", "PUT1"], v(4): ["AWSCURRENT", "AWSPENDING", "PUT2"]}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_labels_taken_away_whole_leave_a_version_unlisted() {
    play(&[
        (Put(2, Some(&["one", "three", "two"])), json!({v(1): ["AWSCURRENT"], v(2): ["one", "three", "two"]})),
        (
            Put(3, Some(&["four", "one", "three", "two"])),
            json!({v(1): ["AWSCURRENT"], v(3): ["four", "one", "three", "two"]}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_awscurrent_stays_where_it_is_until_a_write_is_plain() {
    play(&[
        (Put(2, Some(&["STAGE0", "STAGE1"])), json!({v(1): ["AWSCURRENT"], v(2): ["STAGE0", "STAGE1"]})),
        (Put(3, Some(&["STAGE0", "STAGE1"])), json!({v(1): ["AWSCURRENT"], v(3): ["STAGE0", "STAGE1"]})),
        (
            Put(4, Some(&["AWSPENDING"])),
            json!({v(1): ["AWSCURRENT"], v(3): ["STAGE0", "STAGE1"], v(4): ["AWSPENDING"]}),
        ),
        // The plain write takes AWSPENDING from a version of its own, too.
        (Put(5, None), json!({v(1): ["AWSPREVIOUS"], v(3): ["STAGE0", "STAGE1"], v(5): ["AWSCURRENT"]})),
    ])
    .await;
}

#[tokio::test]
async fn s4_2_a_value_is_read_with_the_labels_of_the_moment() {
    let server = Server::start().await;
    server.create("a").await;
    put(&server, "a", 2, "two", Some(&["AWSPENDING"])).await;
    let read = async |stage: &str| {
        let value = server.ok("GetSecretValue", json!({"SecretId": "a", "VersionStage": stage})).await;
        (value["SecretString"].clone(), value["VersionStages"].clone())
    };
    assert_eq!(read("AWSPENDING").await, (json!("two"), json!(["AWSPENDING"])));
    let shift = json!({
        "SecretId": "a", "VersionStage": "AWSCURRENT", "MoveToVersionId": v(2), "RemoveFromVersionId": v(1),
    });
    assert_eq!(super::members(&server.ok("UpdateSecretVersionStage", shift).await), ["ARN", "Name"]);
    assert_eq!(read("AWSCURRENT").await, (json!("two"), json!(["AWSCURRENT", "AWSPENDING"])));
    assert_eq!(read("AWSPREVIOUS").await, (json!("value-1"), json!(["AWSPREVIOUS"])));
}

#[tokio::test]
async fn s4_1_the_first_version_of_a_secret_is_current_whatever_labels_it_is_given() {
    let server = Server::start().await;
    server.ok("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(1)})).await;
    let written = put(&server, "a", 2, "x", Some(&["AWSPENDING"])).await;
    assert_eq!(written["VersionStages"], json!(["AWSCURRENT", "AWSPENDING"]));
}

#[tokio::test]
async fn s4_5_a_secret_has_twenty_labels_at_most_over_all_its_versions() {
    let server = Server::start().await;
    server.create("a").await;
    let labels: Vec<String> = (0..19).map(|n| format!("label-{n}")).collect();
    let put = json!({"SecretId": "a", "ClientRequestToken": v(2), "SecretString": "x", "VersionStages": labels});
    server.ok("PutSecretValue", put).await;
    let one_more = json!({"SecretId": "a", "VersionStage": "one-more", "MoveToVersionId": v(1)});
    assert_eq!(code(&server, "UpdateSecretVersionStage", one_more.clone()).await, "LimitExceededException");
    let put = json!({"SecretId": "a", "ClientRequestToken": v(3), "SecretString": "x", "VersionStages": ["one-more"]});
    assert_eq!(code(&server, "PutSecretValue", put).await, "LimitExceededException");
    // One request names twenty at most, whatever the secret has.
    let many: Vec<String> = (0..21).map(|n| format!("label-{n}")).collect();
    let put = json!({"SecretId": "a", "ClientRequestToken": v(3), "SecretString": "x", "VersionStages": many});
    assert_eq!(code(&server, "PutSecretValue", put).await, "ValidationException");
    // A refused write leaves no version behind, and what moves is not more.
    let gone = json!({"SecretId": "a", "VersionId": v(3)});
    assert_eq!(code(&server, "GetSecretValue", gone).await, "ResourceNotFoundException");
    let moved = json!({
        "SecretId": "a", "VersionStage": "label-0", "MoveToVersionId": v(1), "RemoveFromVersionId": v(2),
    });
    server.ok("UpdateSecretVersionStage", moved).await;
    server
        .ok(
            "UpdateSecretVersionStage",
            json!({
                "SecretId": "a", "VersionStage": "label-0", "RemoveFromVersionId": v(1),
            }),
        )
        .await;
    server.ok("UpdateSecretVersionStage", one_more).await;
}

#[tokio::test]
async fn s4_5_versions_without_labels_give_way_after_a_day_and_not_before() {
    let server = Server::start().await;
    server.create("a").await;
    for n in 2..=100 {
        put(&server, "a", n, "x", None).await;
    }
    let body = |n: u32| json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretString": "x"});
    assert_eq!(code(&server, "PutSecretValue", body(101)).await, "LimitExceededException");
    server.clock.advance(TimeDelta::hours(25));
    server.ok("PutSecretValue", body(101)).await;
    let count = server.ok("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true})).await;
    assert_eq!(count["Versions"].as_array().map(Vec::len), Some(100));
    assert_eq!(
        code(&server, "GetSecretValue", json!({"SecretId": "a", "VersionId": v(1)})).await,
        "ResourceNotFoundException"
    );
    server.ok("GetSecretValue", json!({"SecretId": "a", "VersionId": v(2)})).await;
}
