//! The recorded errors of the operations: exact code, text and spelling, one table.

use serde_json::{Value, json};

use crate::harness::{Server, v};

const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";
pub(crate) const BAD_NAME: &str =
    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
const NO_TOKEN: &str = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#;
const MARKED: &str = "You can't perform this operation on the secret because it was marked for deletion.";

/// Operations that take a SecretId, with what else they require.
pub(crate) fn on_a_secret(id: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("GetSecretValue", json!({ "SecretId": id })),
        ("PutSecretValue", json!({ "SecretId": id, "ClientRequestToken": v(9), "SecretString": "x" })),
        ("UpdateSecret", json!({ "SecretId": id, "ClientRequestToken": v(9), "SecretString": "x" })),
        ("UpdateSecretVersionStage", json!({ "SecretId": id, "VersionStage": "one", "MoveToVersionId": v(1) })),
        ("RotateSecret", json!({ "SecretId": id, "ClientRequestToken": v(9) })),
        ("CancelRotateSecret", json!({ "SecretId": id })),
        ("TagResource", json!({ "SecretId": id, "Tags": [{"Key": "a", "Value": "b"}] })),
        ("UntagResource", json!({ "SecretId": id, "TagKeys": ["a"] })),
        ("DescribeSecret", json!({ "SecretId": id })),
        ("ListSecretVersionIds", json!({ "SecretId": id })),
        ("DeleteSecret", json!({ "SecretId": id })),
        ("RestoreSecret", json!({ "SecretId": id })),
        ("ReplicateSecretToRegions", json!({ "SecretId": id, "AddReplicaRegions": [{"Region": "eu-west-1"}] })),
        ("RemoveRegionsFromReplication", json!({ "SecretId": id, "RemoveReplicaRegions": ["eu-west-1"] })),
        ("StopReplicationToReplica", json!({ "SecretId": id })),
        ("GetResourcePolicy", json!({ "SecretId": id })),
        ("PutResourcePolicy", json!({ "SecretId": id, "ResourcePolicy": POLICY })),
        ("DeleteResourcePolicy", json!({ "SecretId": id })),
    ]
}

#[tokio::test]
async fn s2_1_an_unknown_secret_is_not_found_by_any_operation() {
    let server = Server::start().await;
    for (op, body) in on_a_secret("nothing") {
        server.refused(op, body, "ResourceNotFoundException", NOT_FOUND).await;
    }
}

#[tokio::test]
async fn s1_5_a_bad_name_is_a_validation_error_of_every_operation() {
    let server = Server::start().await;
    for (op, body) in on_a_secret("a b") {
        server.refused(op, body, "ValidationException", BAD_NAME).await;
    }
    server
        .refused("CreateSecret", json!({"Name": "a%b", "ClientRequestToken": v(1)}), "ValidationException", BAD_NAME)
        .await;
}

#[tokio::test]
async fn s1_5_a_missing_secret_id_is_a_broken_constraint_of_every_operation() {
    let server = Server::start().await;
    for (op, mut body) in on_a_secret("") {
        body.as_object_mut().expect("an object").remove("SecretId");
        let message = "1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null";
        server.refused(op, body, "ValidationException", message).await;
    }
}

#[tokio::test]
async fn s8_a_secret_marked_for_deletion_takes_no_operation_but_four() {
    let server = Server::start().await;
    server.create("gone").await;
    server.ok("DeleteSecret", json!({"SecretId": "gone", "RecoveryWindowInDays": 7})).await;
    for (op, body) in on_a_secret("gone") {
        match op {
            "DescribeSecret" | "ListSecretVersionIds" | "RestoreSecret" => {}
            _ => server.refused(op, body, "InvalidRequestException", MARKED).await,
        }
    }
    let description = server.ok("DescribeSecret", json!({"SecretId": "gone"})).await;
    assert!(description["DeletedDate"].is_number());
    server
        .refused(
            "CreateSecret",
            json!({"Name": "gone", "ClientRequestToken": v(2)}),
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
        .await;
    server.ok("RestoreSecret", json!({"SecretId": "gone"})).await;
    assert_eq!(server.ok("GetSecretValue", json!({"SecretId": "gone"})).await["SecretString"], "value-1");
    server.ok("DeleteSecret", json!({"SecretId": "gone", "RecoveryWindowInDays": 7})).await;
    server.ok("DeleteSecret", json!({"SecretId": "gone", "ForceDeleteWithoutRecovery": true})).await;
}

#[tokio::test]
async fn s2_1_a_missing_token_has_two_codes_and_is_seen_before_existence() {
    let server = Server::start().await;
    for (op, body, code) in [
        ("CreateSecret", json!({"Name": "a", "SecretString": "x"}), "InvalidRequestException"),
        ("PutSecretValue", json!({"SecretId": "a", "SecretString": "x"}), "InvalidRequestException"),
        ("UpdateSecret", json!({"SecretId": "a", "SecretString": "x"}), "InvalidRequestException"),
        ("RotateSecret", json!({"SecretId": "a"}), "InvalidParameterException"),
    ] {
        server.refused(op, body, code, NO_TOKEN).await;
    }
    let answer = server.call("PutSecretValue", json!({"SecretId": "a", "SecretString": "x"})).await;
    assert_eq!(answer.text(), format!(r#"{{"__type":"InvalidRequestException","Message":"{NO_TOKEN}"}}"#));
}

#[tokio::test]
async fn s2_1_reading_says_what_it_did_not_find() {
    let server = Server::start().await;
    server.create("a").await;
    server.ok("CreateSecret", json!({"Name": "empty", "ClientRequestToken": v(1)})).await;
    let for_label =
        |label: &str| format!("Secrets Manager can't find the specified secret value for staging label: {label}");
    for (body, code, message) in [
        (json!({"SecretId": "empty"}), "ResourceNotFoundException", for_label("AWSCURRENT")),
        (
            json!({"SecretId": "a", "VersionStage": "AWSPREVIOUS"}),
            "ResourceNotFoundException",
            for_label("AWSPREVIOUS"),
        ),
        (
            json!({"SecretId": "a", "VersionId": v(7)}),
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret value for VersionId: {}", v(7)),
        ),
        (
            json!({"SecretId": "a", "VersionId": v(1), "VersionStage": "AWSPREVIOUS"}),
            "InvalidRequestException",
            "You provided a VersionStage that is not associated to the provided VersionId.".to_owned(),
        ),
    ] {
        server.refused("GetSecretValue", body, code, &message).await;
    }
}

// F100
#[tokio::test]
async fn s2_4_a_token_stands_for_one_value() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let in_use = format!(
        "You can't use ClientRequestToken {} because that value is already in use for a version of secret {arn}.",
        v(1)
    );
    let create = |token: String, value: &str| json!({"Name": "a", "ClientRequestToken": token, "SecretString": value});
    let write =
        |token: String, value: &str| json!({"SecretId": "a", "ClientRequestToken": token, "SecretString": value});

    let again = server.ok("CreateSecret", create(v(1), "value-1")).await;
    assert_eq!(again, json!({"ARN": arn, "Name": "a", "VersionId": v(1)}));
    server.refused("CreateSecret", create(v(1), "other"), "ResourceExistsException", &in_use).await;
    let exists = "The operation failed because the secret a already exists.";
    server.refused("CreateSecret", create(v(2), "value-1"), "ResourceExistsException", exists).await;

    for op in ["PutSecretValue", "UpdateSecret"] {
        let same = server.ok(op, write(v(1), "value-1")).await;
        assert_eq!(same["VersionId"], v(1), "{op}");
        server.refused(op, write(v(1), "other"), "ResourceExistsException", &in_use).await;
    }
    assert_eq!(server.stages("a").await, json!({ v(1): ["AWSCURRENT"] }));
}

// F101
#[tokio::test]
async fn s4_4_labels_are_moved_only_by_whoever_knows_where_they_are() {
    let server = Server::start().await;
    server.create("a").await;
    server
        .ok(
            "PutSecretValue",
            json!({"SecretId": "a", "ClientRequestToken": v(2), "SecretString": "x", "VersionStages": ["one"]}),
        )
        .await;
    let must_name = format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version \
         {}, so you must explicitly reference that version in RemoveFromVersionId.",
        v(1)
    );
    let stage = |label: &str| json!({"SecretId": "a", "VersionStage": label});
    let with = |mut body: Value, key: &str, value: String| {
        body[key] = json!(value);
        body
    };
    server
        .refused(
            "UpdateSecretVersionStage",
            with(stage("AWSCURRENT"), "MoveToVersionId", v(2)),
            "InvalidParameterException",
            &must_name,
        )
        .await;
    server
        .refused(
            "UpdateSecretVersionStage",
            with(stage("AWSCURRENT"), "RemoveFromVersionId", v(1)),
            "InvalidParameterException",
            "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.",
        )
        .await;
    for body in
        [with(stage("one"), "RemoveFromVersionId", v(1)), with(stage("one"), "MoveToVersionId", v(8)), stage("one")]
    {
        let answer = server.call("UpdateSecretVersionStage", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    // Again to where it is: nothing changes, and nothing is wrong.
    let again = with(with(stage("AWSCURRENT"), "MoveToVersionId", v(1)), "RemoveFromVersionId", v(1));
    server.ok("UpdateSecretVersionStage", again).await;
}

#[tokio::test]
async fn s1_5_sizes_of_members_are_the_models() {
    let server = Server::start().await;
    let tail = |n: &str| format!("failed to satisfy constraint: Member must {n}");
    for (op, body, message) in [
        (
            "GetSecretValue",
            json!({"SecretId": ""}),
            format!("Value '' at 'secretId' {}", tail("have length greater than or equal to 1")),
        ),
        (
            "GetSecretValue",
            json!({"SecretId": "a", "VersionId": "short"}),
            format!("Value 'short' at 'versionId' {}", tail("have length greater than or equal to 32")),
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a", "SecretString": "s".repeat(65_537)}),
            format!("Value at 'secretString' {}", tail("have length less than or equal to 65536")),
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a", "SecretString": "s", "VersionStages": []}),
            format!("Value '[]' at 'versionStages' {}", tail("have length greater than or equal to 1")),
        ),
        (
            "ListSecrets",
            json!({"MaxResults": 101}),
            format!("Value '101' at 'maxResults' {}", tail("have value less than or equal to 100")),
        ),
        (
            "ListSecrets",
            json!({"SortOrder": "up"}),
            format!("Value 'up' at 'sortOrder' {}", tail("satisfy enum value set: [asc, desc]")),
        ),
        (
            "RotateSecret",
            json!({"SecretId": "a", "RotationRules": {"AutomaticallyAfterDays": 0}}),
            format!(
                "Value '0' at 'rotationRules.automaticallyAfterDays' {}",
                tail("have value greater than or equal to 1")
            ),
        ),
        (
            "RotateSecret",
            json!({"SecretId": "a", "RotationRules": {"ScheduleExpression": "rate(1;day)"}}),
            format!(
                "Value 'rate(1;day)' at 'rotationRules.scheduleExpression' {}",
                tail(r"satisfy regular expression pattern: [0-9A-Za-z\(\)#\?\*\-\/, ]+")
            ),
        ),
    ] {
        server.refused(op, body, "ValidationException", &format!("1 validation error detected: {message}")).await;
    }
}

#[tokio::test]
async fn s1_1_binary_values_are_limited_by_their_decoded_size() {
    let server = Server::start().await;
    // 65,536 bytes are 87,384 characters of base64.
    let body = json!({"Name": "b", "ClientRequestToken": v(1), "SecretBinary": format!("{}==", "A".repeat(87_382))});
    server.ok("CreateSecret", body).await;
    let answer = server
        .call("CreateSecret", json!({"Name": "c", "ClientRequestToken": v(1), "SecretBinary": "A".repeat(87_388)}))
        .await;
    assert_eq!(answer.json()["__type"], "ValidationException");
    let answer = server
        .call("CreateSecret", json!({"Name": "c", "ClientRequestToken": v(1), "SecretBinary": "not base64"}))
        .await;
    assert_eq!(answer.text(), r#"{"__type":"SerializationException"}"#);
}

#[tokio::test]
async fn s8_deletion_parameters_are_checked_before_existence() {
    let server = Server::start().await;
    let range = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
    let both = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
    for (days, force, message) in [(6, false, range), (31, false, range), (0, false, range), (7, true, both)] {
        let body = json!({"SecretId": "x", "RecoveryWindowInDays": days, "ForceDeleteWithoutRecovery": force});
        server.refused("DeleteSecret", body, "InvalidParameterException", message).await;
    }
}

#[tokio::test]
async fn s2_1_a_page_token_of_somebody_else_is_invalid() {
    let server = Server::start().await;
    server.create("a").await;
    for (op, body) in [
        ("ListSecrets", json!({"NextToken": "bogus"})),
        ("ListSecretVersionIds", json!({"SecretId": "a", "NextToken": "bogus"})),
    ] {
        let answer = server.call(op, body).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidNextTokenException")), "{op}");
    }
}

#[tokio::test]
async fn s2_1_values_are_one_of_two_kinds() {
    let server = Server::start().await;
    server.create("a").await;
    let both = json!({"SecretId": "a", "ClientRequestToken": v(2), "SecretString": "x", "SecretBinary": "eA=="});
    assert_eq!(server.call("PutSecretValue", both).await.json()["__type"], "InvalidParameterException");
    let none = json!({"SecretId": "a", "ClientRequestToken": v(2)});
    let message = "You must provide either SecretString or SecretBinary.";
    server.refused("PutSecretValue", none, "InvalidRequestException", message).await;
}

#[tokio::test]
async fn no_error_repeats_a_value() {
    let server = Server::start().await;
    server.create("a").await;
    let canary = "canary-5a1b";
    for (op, body) in [
        ("PutSecretValue", json!({"SecretId": "a", "ClientRequestToken": v(1), "SecretString": canary})),
        ("PutSecretValue", json!({"SecretId": "a", "SecretString": canary})),
        ("PutSecretValue", json!({"SecretId": "a b", "SecretString": canary.repeat(9_000)})),
        ("PutSecretValue", json!({"SecretId": "a", "ClientRequestToken": "x", "SecretBinary": canary})),
        ("PutSecretValue", json!({"SecretId": canary.len(), "SecretString": canary})),
        ("PutSecretValue", json!({"SecretId": "a", "SecretString": {"password": canary}})),
        ("PutSecretValue", json!({"SecretId": "a", "SecretString": "x", "RotationToken": canary})),
        ("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(1), "SecretString": canary})),
    ] {
        let answer = server.call(op, body).await;
        assert_eq!(answer.status, 400);
        assert!(!answer.text().contains("canary"), "{op}: {}", answer.text());
    }
}

#[tokio::test]
async fn s13_a_secret_has_fifty_tags_at_most() {
    let server = Server::start().await;
    server.create("a").await;
    let tags = |range: std::ops::Range<u32>| -> Value {
        range.map(|n| json!({"Key": format!("key-{n}"), "Value": ""})).collect::<Vec<_>>().into()
    };
    server.ok("TagResource", json!({"SecretId": "a", "Tags": tags(0..50)})).await;
    server.ok("TagResource", json!({"SecretId": "a", "Tags": tags(40..50)})).await;
    for body in [
        json!({"SecretId": "a", "Tags": tags(50..51)}),
        json!({"SecretId": "a", "Tags": [{"Key": "aws:x", "Value": ""}]}),
        json!({"SecretId": "a", "Tags": [{"Key": "x", "Value": ""}, {"Key": "x", "Value": "y"}]}),
    ] {
        let answer = server.call("TagResource", body).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidParameterException")));
    }
}
