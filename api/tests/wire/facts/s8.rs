//! Section 8: deletion and restoring.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::facts::{code, describe, get, members, put};
use crate::harness::{Server, v};

const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";

fn force(id: &str) -> Value {
    json!({"SecretId": id, "ForceDeleteWithoutRecovery": true})
}

#[tokio::test]
async fn s8_a_secret_waits_its_window_out_and_then_it_is_gone() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let deleted = server.ok("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 7})).await;
    assert_eq!(deleted, json!({"ARN": arn, "Name": "a", "DeletionDate": 1_773_740_220.123}));
    let now = async |days: i64| {
        server.clock.advance(TimeDelta::days(days));
        engine::port::Clock::now(server.clock.as_ref())
    };
    assert_eq!(server.store.purge(now(6).await).await.expect("purged"), 0);
    assert!(describe(&server, "a").await["DeletedDate"].is_number());
    assert_eq!(server.store.purge(now(1).await).await.expect("purged"), 1);
    server.refused("DescribeSecret", json!({"SecretId": "a"}), "ResourceNotFoundException", NOT_FOUND).await;
    assert_ne!(server.create("a").await, arn);
}

#[tokio::test]
async fn s8_a_scheduled_secret_can_be_deleted_at_once_after_all() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    assert_eq!(members(&server.ok("DeleteSecret", json!({"SecretId": arn})).await), ["ARN", "DeletionDate", "Name"]);
    let shown = describe(&server, &arn).await;
    let expected = ["ARN", "CreatedDate", "DeletedDate", "LastChangedDate", "Name", "VersionIdsToStages"];
    assert_eq!(members(&shown), expected);
    let again = json!({"SecretId": arn});
    assert_eq!(code(&server, "DeleteSecret", again).await, "InvalidRequestException");
    let forced = server.ok("DeleteSecret", force(&arn)).await;
    assert_eq!(forced, json!({"ARN": arn, "Name": "a", "DeletionDate": 1_773_135_420.123}));
    server.refused("DescribeSecret", json!({"SecretId": arn}), "ResourceNotFoundException", NOT_FOUND).await;
}

#[tokio::test]
async fn s8_forcing_what_never_was_succeeds_and_asking_does_not() {
    let server = Server::start().await;
    let forced = server.ok("DeleteSecret", force("never")).await;
    assert_eq!(members(&forced), ["ARN", "DeletionDate", "Name"]);
    assert_eq!((&forced["Name"], &forced["DeletionDate"]), (&json!("never"), &json!(1_773_135_420.123)));
    assert!(forced["ARN"].as_str().is_some_and(|arn| arn.contains(":secret:never-")), "{forced}");
    let other = server.ok("DeleteSecret", force("never")).await;
    assert_ne!(forced["ARN"], other["ARN"], "the suffix is made up each time");
    for body in [json!({"SecretId": "never"}), json!({"SecretId": "never", "RecoveryWindowInDays": 7})] {
        server.refused("DeleteSecret", body, "ResourceNotFoundException", NOT_FOUND).await;
    }
    server.refused("RestoreSecret", json!({"SecretId": "never"}), "ResourceNotFoundException", NOT_FOUND).await;
}

#[tokio::test]
async fn s8_a_window_beside_no_force_is_fine() {
    let server = Server::start().await;
    server.create("a").await;
    let body = json!({"SecretId": "a", "ForceDeleteWithoutRecovery": false, "RecoveryWindowInDays": 7});
    assert_eq!(server.ok("DeleteSecret", body).await["DeletionDate"], json!(1_773_740_220.123));
    server.ok("RestoreSecret", json!({"SecretId": "a"})).await;
    assert!(describe(&server, "a").await.get("DeletedDate").is_none());
}

#[tokio::test]
async fn s8_windows_have_7_to_30_days_whatever_else_is_said() {
    let server = Server::start().await;
    server.create("a").await;
    for days in [-1, 0, 2, 6, 31, 100] {
        for force in [None, Some(false), Some(true)] {
            let mut body = json!({"SecretId": "a", "RecoveryWindowInDays": days});
            if let Some(force) = force {
                body["ForceDeleteWithoutRecovery"] = json!(force);
            }
            assert_eq!(code(&server, "DeleteSecret", body).await, "InvalidParameterException", "{days} {force:?}");
        }
    }
    for days in [7, 30] {
        server.ok("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": days})).await;
        server.ok("RestoreSecret", json!({"SecretId": "a"})).await;
    }
}

#[tokio::test]
async fn s8_a_name_is_reserved_until_its_secret_is_really_gone() {
    let server = Server::start().await;
    let first = server.create("a").await;
    server.ok("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 7})).await;
    let create = |token: u32| json!({"Name": "a", "ClientRequestToken": v(token), "SecretString": "value-1"});
    let message = "You can't create this secret because a secret with this name is already scheduled for deletion.";
    for token in [1, 2] {
        server.refused("CreateSecret", create(token), "InvalidRequestException", message).await;
    }
    server.ok("DeleteSecret", force("a")).await;
    let second = server.ok("CreateSecret", create(1)).await;
    assert_eq!((&second["Name"], &second["VersionId"]), (&json!("a"), &json!(v(1))));
    assert_ne!(second["ARN"], json!(first));
}

#[tokio::test]
async fn s8_restoring_brings_everything_back_and_restoring_the_living_changes_nothing() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    put(&server, "a", 2, "x", Some(&["one", "AWSPENDING"])).await;
    server.ok("TagResource", json!({"SecretId": "a", "Tags": [{"Key": "k", "Value": "v"}]})).await;
    let mut before = describe(&server, "a").await;
    server.ok("DeleteSecret", json!({"SecretId": "a"})).await;
    assert_eq!(server.ok("RestoreSecret", json!({"SecretId": "a"})).await, json!({"ARN": arn, "Name": "a"}));
    let mut after = describe(&server, "a").await;
    for shown in [&mut before, &mut after] {
        shown.as_object_mut().expect("an object").remove("LastChangedDate");
    }
    assert_eq!(before, after);
    assert_eq!(get(&server, "a").await["SecretString"], "value-1");
    let before = describe(&server, "a").await;
    server.clock.advance(TimeDelta::seconds(1));
    assert_eq!(server.ok("RestoreSecret", json!({"SecretId": "a"})).await, json!({"ARN": arn, "Name": "a"}));
    assert_eq!(describe(&server, "a").await, before);
}
