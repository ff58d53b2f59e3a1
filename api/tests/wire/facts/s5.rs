//! Section 5: rotation as callers see it, and what it does to dates. Nobody drives rotations here.

use chrono::TimeDelta;
use engine::Time;
use serde_json::{Value, json};

use crate::facts::{code, describe, get, members, put};
use crate::harness::{ACCOUNT, REGION, Server, v};

fn epoch(text: &str) -> i64 {
    text.parse::<Time>().expect("an instant").timestamp()
}

fn lambda(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

fn rotate(token: u32) -> Value {
    json!({"SecretId": "a", "ClientRequestToken": v(token)})
}

async fn with_rotation() -> Server {
    let server = Server::start().await;
    server.create("a").await;
    let enable = json!({"SecretId": "a", "Rotator": lambda("postgres"), "AutomaticallyAfterDays": 30});
    server.ok("pawl.EnableRotation", enable).await;
    server
}

#[tokio::test]
async fn s5_1_configuration_is_stored_and_a_later_call_needs_none() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let mut first = rotate(2);
    first["RotationLambdaARN"] = json!(lambda("postgres"));
    first["RotationRules"] = json!({"AutomaticallyAfterDays": 1});
    first["RotateImmediately"] = json!(true);
    assert_eq!(server.ok("RotateSecret", first).await, json!({"ARN": arn, "Name": "a", "VersionId": v(2)}));
    let shown = describe(&server, "a").await;
    assert_eq!(
        (&shown["RotationEnabled"], &shown["RotationRules"]),
        (&json!(true), &json!({"AutomaticallyAfterDays": 1}))
    );
    assert_eq!(shown["RotationLambdaARN"], lambda("postgres"));
    // Abandoned, so that another one may begin.
    put(&server, "a", 3, "x", None).await;
    assert_eq!(server.ok("RotateSecret", rotate(4)).await, json!({"ARN": arn, "Name": "a", "VersionId": v(4)}));
    let shown = describe(&server, "a").await;
    assert_eq!(
        (&shown["RotationEnabled"], &shown["RotationRules"]),
        (&json!(true), &json!({"AutomaticallyAfterDays": 1}))
    );
}

#[tokio::test]
async fn s5_2_a_refused_rotation_stores_nothing_and_leaves_its_token_free() {
    let server = Server::start().await;
    server.create("a").await;
    let before = describe(&server, "a").await;
    server.clock.advance(TimeDelta::seconds(1));
    let with = |member: &str, value: Value| {
        let mut body = rotate(2);
        body["RotationRules"] = json!({"AutomaticallyAfterDays": 1});
        body[member] = value;
        body
    };
    let both = json!({"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(1 day)"});
    for (body, expected) in [
        (with("RotationLambdaARN", json!(lambda("rotate_secret_invalid_lambda_arn"))), "AccessDeniedException"),
        (with("RotateImmediately", json!(true)), "InvalidRequestException"),
        (with("RotationRules", both), "InvalidParameterException"),
        (with("RotationRules", json!({"ScheduleExpression": "rate(1 week)"})), "InvalidParameterException"),
    ] {
        assert_eq!(code(&server, "RotateSecret", body.clone()).await, expected, "{body}");
        assert_eq!(describe(&server, "a").await, before, "{body}");
    }
    server.ok("RotateSecret", with("RotationLambdaARN", json!(lambda("mysql")))).await;
}

#[tokio::test]
async fn s5_4_the_start_of_a_rotation_is_a_change_of_the_secret() {
    let server = with_rotation().await;
    server.clock.advance(TimeDelta::seconds(7));
    server.ok("RotateSecret", rotate(2)).await;
    let shown = describe(&server, "a").await;
    assert_eq!(shown["LastChangedDate"], json!(1_773_135_427.123));
    assert_eq!(shown["VersionIdsToStages"], json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]}));
    // No version of it is listed, and nothing can be read of it.
    let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true})).await;
    assert_eq!(listed["Versions"][0]["VersionStages"], json!(["AWSCURRENT"]));
    assert_eq!(listed["Versions"].as_array().map(Vec::len), Some(1));
    for read in [
        json!({"SecretId": "a", "VersionId": v(2), "VersionStage": "AWSPENDING"}),
        json!({"SecretId": "a", "VersionStage": "AWSPENDING"}),
    ] {
        assert_eq!(code(&server, "GetSecretValue", read).await, "ResourceNotFoundException");
    }
}

// F98
#[tokio::test]
async fn s5_4_the_function_reads_its_pending_value_until_it_moves_the_label() {
    let server = with_rotation().await;
    server.ok("RotateSecret", rotate(2)).await;
    put(&server, "a", 2, "UpdatedValue", Some(&["AWSPENDING"])).await;
    let pending = json!({"SecretId": "a", "VersionId": v(2), "VersionStage": "AWSPENDING"});
    let value = server.ok("GetSecretValue", pending.clone()).await;
    assert_eq!((&value["SecretString"], &value["VersionStages"]), (&json!("UpdatedValue"), &json!(["AWSPENDING"])));
    // Put again under the same token it is the same value, and another one is refused.
    put(&server, "a", 2, "UpdatedValue", Some(&["AWSPENDING"])).await;
    let other =
        json!({"SecretId": "a", "ClientRequestToken": v(2), "SecretString": "other", "VersionStages": ["AWSPENDING"]});
    assert_eq!(code(&server, "PutSecretValue", other).await, "ResourceExistsException");
    let stage =
        |label: &str, from: u32| json!({"SecretId": "a", "VersionStage": label, "RemoveFromVersionId": v(from)});
    let mut finish = stage("AWSCURRENT", 1);
    finish["MoveToVersionId"] = json!(v(2));
    server.ok("UpdateSecretVersionStage", finish.clone()).await;
    // A retried finishSecret is no error.
    server.ok("UpdateSecretVersionStage", finish).await;
    server.ok("UpdateSecretVersionStage", stage("AWSPENDING", 2)).await;
    assert_eq!(get(&server, "a").await["SecretString"], "UpdatedValue");
    assert_eq!(server.stages("a").await, json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT"]}));
}

#[tokio::test]
async fn s5_8_cancelling_names_the_version_of_an_open_rotation_and_touches_no_label() {
    let server = with_rotation().await;
    let plain = server.ok("CancelRotateSecret", json!({"SecretId": "a"})).await;
    assert_eq!(members(&plain), ["ARN", "Name"]);
    server.ok("RotateSecret", rotate(2)).await;
    put(&server, "a", 2, "half-made", Some(&["AWSPENDING"])).await;
    assert_eq!(describe(&server, "a").await["RotationEnabled"], true);
    let cancelled = server.ok("CancelRotateSecret", json!({"SecretId": "a"})).await;
    assert_eq!(cancelled["VersionId"], v(2));
    let shown = describe(&server, "a").await;
    assert_eq!(shown["RotationEnabled"], false);
    assert!(shown.get("NextRotationDate").is_none());
    assert_eq!(
        (&shown["RotationLambdaARN"], &shown["RotationRules"]["AutomaticallyAfterDays"]),
        (&json!(lambda("postgres")), &json!(30))
    );
    assert_eq!(shown["VersionIdsToStages"], json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]}));
}

#[tokio::test]
async fn s5_8_every_change_moves_last_changed_date_and_no_read_does() {
    let server = Server::start().await;
    server.create("a").await;
    put(&server, "a", 2, "x", Some(&["one"])).await;
    let id = json!({"SecretId": "a"});
    let with = |member: &str, value: Value| {
        let mut body = id.clone();
        body["ClientRequestToken"] = json!(v(9));
        body[member] = value;
        body
    };
    let rotator = json!({"SecretId": "a", "Rotator": "postgres", "AutomaticallyAfterDays": 30});
    let unlabel = json!({"SecretId": "a", "VersionStage": "one", "RemoveFromVersionId": v(2)});
    let changed = async || describe(&server, "a").await["LastChangedDate"].as_f64().expect("a date");
    for (op, body, moves) in [
        ("GetSecretValue", id.clone(), false),
        ("DescribeSecret", id.clone(), false),
        ("ListSecretVersionIds", id.clone(), false),
        ("UpdateSecret", with("Description", json!("d")), true),
        ("UpdateSecret", with("KmsKeyId", json!("alias/k")), true),
        ("UpdateSecret", with("SecretString", json!("x")), true),
        ("UpdateSecret", with("SecretString", json!("x")), false),
        ("UpdateSecretVersionStage", unlabel, true),
        ("TagResource", with("Tags", json!([{"Key": "k", "Value": "v"}])), true),
        ("UntagResource", with("TagKeys", json!(["k"])), true),
        ("pawl.EnableRotation", rotator, true),
        ("CancelRotateSecret", id.clone(), true),
        ("DeleteSecret", id.clone(), true),
        ("RestoreSecret", id.clone(), true),
    ] {
        let before = changed().await;
        server.clock.advance(TimeDelta::milliseconds(1));
        server.ok(op, body).await;
        assert_eq!(changed().await > before, moves, "{op}");
    }
}

// F45
#[tokio::test]
async fn s5_8_a_manual_write_counts_for_the_next_date_and_not_as_a_rotation() {
    let server = with_rotation().await;
    let next = async || describe(&server, "a").await["NextRotationDate"].as_i64().expect("a date");
    assert_eq!(next().await, epoch("2026-04-09T23:59:59Z"));
    for (days, op, expected) in
        [(2, "PutSecretValue", "2026-04-11T23:59:59Z"), (3, "UpdateSecret", "2026-04-14T23:59:59Z")]
    {
        server.clock.advance(TimeDelta::days(days));
        server.ok(op, json!({"SecretId": "a", "ClientRequestToken": v(10 + u32::try_from(days).expect("few")), "SecretString": "x"})).await;
        assert_eq!(next().await, epoch(expected), "{op}");
        assert!(describe(&server, "a").await.get("LastRotatedDate").is_none());
    }
    // A value that is not current is no rotation.
    server.clock.advance(TimeDelta::days(1));
    put(&server, "a", 20, "x", Some(&["one"])).await;
    assert_eq!(next().await, epoch("2026-04-14T23:59:59Z"));
}
