//! Section 16: what surprises people, and what clients count on, where no other test says it.
//!
//! Surprises of 16.1 and where they are shown: 1 `s1_3_…`; 2 `s2_1_a_missing_token…`; 3 `s1_5_…`; 4, 5 `s2_4_…`; 6, 7
//! `s4_2_…`, `s4_3_…`; 8 `s5_4_…`; 9 `s5_2_…`; 10, 12, 15 and 21 below; 14 `s6_…` of the engine; 13, 16 `s5_8_…`, `s2_3_…`;
//! 17 `s3_…`; 18, 19 `s8_…`; 20 `s2_8_…`; 22 `s2_12_…`; 24 `s2_2_…`; 25 `s2_3_…`. Numbers 23, 26 and 27 are about
//! policies, other accounts and replicas, which this server has not or other files show; 11 is `s5_6_…`.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::facts::{code, describe, get, put};
use crate::harness::{Server, v};

#[tokio::test]
async fn s16_1_10_a_stuck_awspending_blocks_new_rules_and_cancelling_does_not_free_it() {
    let server = Server::start().await;
    server.create("a").await;
    put(&server, "a", 2, "x", Some(&["AWSPENDING"])).await;
    let rules = json!({
        "SecretId": "a", "ClientRequestToken": v(3), "RotationLambdaARN": "postgres",
        "RotationRules": {"AutomaticallyAfterDays": 3}, "RotateImmediately": false,
    });
    let message = "A previous rotation isn't complete. That rotation will be reattempted.";
    server.refused("RotateSecret", rules.clone(), "InvalidRequestException", message).await;
    server.ok("CancelRotateSecret", json!({"SecretId": "a"})).await;
    server.refused("RotateSecret", rules.clone(), "InvalidRequestException", message).await;
    // On the version that is current the label blocks nothing.
    let current = json!({
        "SecretId": "a", "VersionStage": "AWSCURRENT", "MoveToVersionId": v(2), "RemoveFromVersionId": v(1),
    });
    server.ok("UpdateSecretVersionStage", current).await;
    assert_eq!(server.stages("a").await, json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "AWSPENDING"]}));
    server.ok("RotateSecret", rules).await;
}

#[tokio::test]
async fn s16_1_12_the_next_date_stays_where_it_was_when_its_window_has_passed_unused() {
    let server = Server::start().await;
    server.create("a").await;
    let enable =
        json!({"SecretId": "a", "Rotator": "postgres", "ScheduleExpression": "rate(10 days)", "Duration": "3h"});
    server.ok("pawl.EnableRotation", enable).await;
    let next = describe(&server, "a").await["NextRotationDate"].clone();
    assert_eq!(next, json!("2026-03-20T02:59:59Z".parse::<engine::Time>().expect("an instant").timestamp()));
    server.clock.advance(TimeDelta::days(40));
    assert_eq!(describe(&server, "a").await["NextRotationDate"], next);
}

#[tokio::test]
async fn s16_1_15_days_are_computed_beside_an_expression() {
    let server = Server::start().await;
    server.create("a").await;
    for (expression, days) in
        [("cron(0 0 ? * 2 *)", 7), ("cron(0 16 1,15 * ? *)", 14), ("rate(10 days)", 10), ("cron(0 8 * * ? *)", 1)]
    {
        let enable = json!({"SecretId": "a", "Rotator": "postgres", "ScheduleExpression": expression});
        server.ok("pawl.EnableRotation", enable).await;
        let rules = describe(&server, "a").await["RotationRules"].clone();
        assert_eq!(rules, json!({"AutomaticallyAfterDays": days, "ScheduleExpression": expression}));
    }
}

#[tokio::test]
async fn s16_1_21_what_is_written_is_listed_and_described_at_once() {
    let server = Server::start().await;
    for n in 0..20 {
        let name = format!("s{n}");
        server.create(&name).await;
        let listed = server.ok("ListSecrets", json!({"Filters": [{"Key": "name", "Values": [name]}]})).await;
        assert!(listed["SecretList"].as_array().is_some_and(|list| list.iter().any(|secret| secret["Name"] == name)));
        put(&server, &name, 2, "two", None).await;
        assert_eq!(get(&server, &name).await["SecretString"], "two");
    }
}

/// Terraform makes its token once, so a call that was refused is made again with the same one.
#[tokio::test]
async fn s16_2_a_refused_call_leaves_no_version_behind() {
    let server = Server::start().await;
    server.create("a").await;
    server.ok("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 7})).await;
    let create = json!({"Name": "a", "ClientRequestToken": v(2), "SecretString": "x"});
    assert_eq!(code(&server, "CreateSecret", create.clone()).await, "InvalidRequestException");
    let write = json!({"SecretId": "a", "ClientRequestToken": v(3), "SecretString": "x"});
    for op in ["PutSecretValue", "UpdateSecret", "RotateSecret"] {
        assert_eq!(code(&server, op, write.clone()).await, "InvalidRequestException", "{op}");
    }
    server.ok("RestoreSecret", json!({"SecretId": "a"})).await;
    let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true})).await;
    assert_eq!(listed["Versions"].as_array().map(Vec::len), Some(1));
    server.ok("PutSecretValue", write).await;
    server.ok("DeleteSecret", json!({"SecretId": "a", "ForceDeleteWithoutRecovery": true})).await;
    assert_eq!(server.ok("CreateSecret", create).await["VersionId"], v(2));
}

/// A caching client asks where AWSCURRENT is and reads again only when it has moved.
#[tokio::test]
async fn s16_2_a_cache_sees_by_the_arn_that_awscurrent_has_moved() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let current = async || {
        let stages = describe(&server, &arn).await["VersionIdsToStages"].clone();
        let stages = stages.as_object().expect("a map").clone();
        let holder =
            stages.iter().find(|(_, labels)| labels.as_array().is_some_and(|l| l.contains(&json!("AWSCURRENT"))));
        holder.map(|(version, _)| version.clone()).expect("a current version")
    };
    assert_eq!(current().await, v(1));
    put(&server, "a", 2, "x", Some(&["AWSPENDING"])).await;
    assert_eq!(current().await, v(1));
    server.clock.advance(TimeDelta::seconds(1));
    put(&server, "a", 3, "x", None).await;
    assert_eq!(current().await, v(3));
    let value = server.ok("GetSecretValue", json!({"SecretId": arn, "VersionId": v(3)})).await;
    assert_eq!(value["VersionStages"], json!(["AWSCURRENT"]));
}

#[tokio::test]
async fn s16_2_terraform_reads_back_the_rules_it_wrote() {
    let server = Server::start().await;
    server.create("a").await;
    for (written, read) in [
        (json!({"AutomaticallyAfterDays": 30}), json!({"AutomaticallyAfterDays": 30})),
        (
            json!({"AutomaticallyAfterDays": 30, "Duration": "3h"}),
            json!({"AutomaticallyAfterDays": 30, "Duration": "3h"}),
        ),
    ] {
        let mut enable = json!({"SecretId": "a", "Rotator": "postgres"});
        enable.as_object_mut().expect("an object").append(&mut written.as_object().expect("an object").clone());
        server.ok("pawl.EnableRotation", enable).await;
        let shown = describe(&server, "a").await;
        assert_eq!((&shown["RotationRules"], &shown["RotationEnabled"]), (&read, &Value::Bool(true)));
    }
}
