//! Section 1: the protocol.

use chrono::TimeDelta;
use engine::Time;
use serde_json::{Value, json};

use crate::errors::{BAD_NAME, on_a_secret};
use crate::facts::{get, put};
use crate::harness::{Server, v};

#[tokio::test]
async fn s1_1_members_an_operation_does_not_know_are_ignored() {
    let server = Server::start().await;
    server.create("a").await;
    let body = json!({"SecretId": "a", "SecretString": "x", "Description": "d", "Nonsense": {"a": [1]}});
    assert_eq!(server.ok("GetSecretValue", body).await["SecretString"], "value-1");
}

#[tokio::test]
async fn s1_2_operations_without_an_output_answer_with_an_empty_body() {
    let server = Server::start().await;
    server.create("a").await;
    for (op, body) in [
        ("TagResource", json!({"SecretId": "a", "Tags": [{"Key": "k", "Value": "v"}]})),
        ("UntagResource", json!({"SecretId": "a", "TagKeys": ["k"]})),
    ] {
        let answer = server.call(op, body).await;
        assert_eq!((answer.status, answer.text()), (200, ""), "{op}");
        assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
    }
}

#[tokio::test]
async fn s1_2_dates_are_epoch_seconds_with_milliseconds_and_days_are_whole() {
    let server = Server::start().await;
    server.create("a").await;
    get(&server, "a").await;
    let answer = server.call("DescribeSecret", json!({"SecretId": "a"})).await;
    for date in
        [r#""CreatedDate":1773135420.123"#, r#""LastChangedDate":1773135420.123"#, r#""LastAccessedDate":1773100800,"#]
    {
        assert!(answer.text().contains(date), "{date} in {}", answer.text());
    }
    let answer = server.call("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 7})).await;
    assert!(answer.text().contains(r#""DeletionDate":1773740220.123"#), "{}", answer.text());
}

#[tokio::test]
async fn s1_2_members_without_value_are_left_out_and_never_null() {
    let server = Server::start().await;
    server.create("a").await;
    server.ok("CreateSecret", json!({"Name": "empty", "ClientRequestToken": v(1)})).await;
    put(&server, "a", 2, "x", None).await;
    put(&server, "a", 3, "x", None).await;
    for (op, body) in [
        ("DescribeSecret", json!({"SecretId": "a"})),
        ("DescribeSecret", json!({"SecretId": "empty"})),
        ("GetSecretValue", json!({"SecretId": "a", "VersionId": v(1)})),
        ("ListSecrets", json!({})),
        ("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true})),
        ("ListSecretVersionIds", json!({"SecretId": "empty"})),
        ("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(4), "Description": "d"})),
        ("CancelRotateSecret", json!({"SecretId": "a"})),
    ] {
        let answer = server.call(op, body).await;
        assert_eq!(answer.status, 200, "{op}: {}", answer.text());
        assert!(!answer.text().contains("null"), "{op}: {}", answer.text());
    }
}

#[tokio::test]
async fn s1_3_modelled_errors_spell_message_with_a_capital_and_all_others_do_not() {
    let server = Server::start().await;
    server.create("a").await;
    let long = json!({"SecretId": "a", "VersionStage": "s".repeat(257)});
    let lambda = "arn:aws:lambda:us-east-1:123456789012:function:nobody";
    let rotate = json!({"SecretId": "a", "ClientRequestToken": v(2), "RotationLambdaARN": lambda});
    for (op, body, code, spelling) in [
        ("GetSecretValue", json!({"SecretId": "b"}), "ResourceNotFoundException", "Message"),
        ("PutSecretValue", json!({"SecretId": "a", "SecretString": "x"}), "InvalidRequestException", "Message"),
        ("RotateSecret", json!({"SecretId": "a"}), "InvalidParameterException", "Message"),
        ("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(9)}), "ResourceExistsException", "Message"),
        ("ListSecrets", json!({"NextToken": "x"}), "InvalidNextTokenException", "Message"),
        ("GetSecretValue", json!({"SecretId": "a b"}), "ValidationException", "message"),
        ("GetSecretValue", long, "ValidationException", "message"),
        ("GetSecretValue", json!({"SecretId": 1}), "SerializationException", "message"),
        ("RotateSecret", rotate, "AccessDeniedException", "message"),
    ] {
        let answer = server.call(op, body.clone()).await;
        let error = answer.json();
        assert_eq!((answer.status, &error["__type"]), (400, &json!(code)), "{op} {body}");
        assert_eq!(super::members(&error).len(), 2, "{error}");
        assert!(error[spelling].is_string(), "{error}");
    }
}

// F127
#[tokio::test]
async fn s1_4_a_signature_counts_for_five_minutes_either_way() {
    let server = Server::start().await;
    let now: Time = "2026-03-10T09:37:00.123Z".parse().expect("an instant");
    for (seconds, taken) in [(0, true), (-299, true), (299, true), (-302, false), (302, false), (-86_400, false)] {
        let at = now + TimeDelta::seconds(seconds);
        let answer = server.signed_at("secretsmanager.ListSecrets", b"{}", &server.key, at).await;
        assert_eq!(answer.status == 200, taken, "{seconds} s: {}", answer.text());
        if !taken {
            assert_eq!(answer.json()["__type"], "InvalidSignatureException", "{seconds} s");
        }
    }
}

#[tokio::test]
async fn s1_5_the_recorded_bad_names_are_a_validation_error_wherever_one_is_given() {
    let server = Server::start().await;
    for name in ["Inv Name", " Inv Name", " Inv*Name? ", " Inv *?!]Name\\-", "Inv:Name", "Ünv", "a\n"] {
        for (op, body) in on_a_secret(name) {
            server.refused(op, body, "ValidationException", BAD_NAME).await;
        }
        for (op, body) in [
            ("CreateSecret", json!({"Name": name, "ClientRequestToken": v(1), "SecretString": "x"})),
            ("DeleteSecret", json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})),
            ("ListSecretVersionIds", json!({"SecretId": name, "IncludeDeprecated": true})),
            ("UpdateSecret", json!({"SecretId": name, "ClientRequestToken": v(1), "Description": "d"})),
            ("pawl.EnableRotation", json!({"SecretId": name, "AutomaticallyAfterDays": 1})),
            ("pawl.DescribeRotation", json!({"SecretId": name})),
            ("pawl.PauseRotation", json!({"SecretId": name})),
            ("pawl.ResumeRotation", json!({"SecretId": name})),
            ("pawl.AbandonRotation", json!({"SecretId": name})),
            ("pawl.ListRotationHistory", json!({"SecretId": name})),
            ("pawl.PreviewRotation", json!({"SecretId": name})),
        ] {
            server.refused(op, body, "ValidationException", BAD_NAME).await;
        }
    }
}

#[tokio::test]
async fn s1_5_every_constraint_that_fails_is_counted() {
    let server = Server::start().await;
    let body = json!({"VersionId": "short", "VersionStage": ""});
    let message = "3 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must \
                   not be null; Value 'short' at 'versionId' failed to satisfy constraint: Member must have length \
                   greater than or equal to 32; Value '' at 'versionStage' failed to satisfy constraint: Member must \
                   have length greater than or equal to 1";
    server.refused("GetSecretValue", body, "ValidationException", message).await;
}

/// Sizes at the border are taken, one more is a broken constraint. `make` gives the request with a member of that size.
async fn border(server: &Server, op: &str, most: usize, make: impl Fn(String) -> Value) {
    let answer = server.call(op, make("s".repeat(most + 1))).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("ValidationException")), "{op} {most}");
    let answer = server.call(op, make("s".repeat(most))).await;
    assert_eq!(answer.status, 200, "{op} {most}: {}", answer.text());
}

#[tokio::test]
async fn s13_sizes_are_the_quotas() {
    let server = Server::start().await;
    server.create("a").await;
    let create = |member: &'static str| {
        move |text: String| {
            let mut body = json!({"Name": format!("by-{member}"), "ClientRequestToken": v(1), "SecretString": "x"});
            body[member] = json!(text);
            body
        }
    };
    border(&server, "CreateSecret", 512, create("Name")).await;
    border(&server, "CreateSecret", 2048, create("Description")).await;
    border(&server, "CreateSecret", 2048, create("KmsKeyId")).await;
    border(&server, "CreateSecret", 65_536, create("SecretString")).await;
    let tag = |key: String, value: String| json!({"SecretId": "a", "Tags": [{"Key": key, "Value": value}]});
    border(&server, "TagResource", 128, |text| tag(text, String::new())).await;
    border(&server, "TagResource", 256, |text| tag("k".to_owned(), text)).await;
    let stage = |text: String| json!({"SecretId": "a", "VersionStage": text, "MoveToVersionId": v(1)});
    border(&server, "UpdateSecretVersionStage", 256, stage).await;
}
