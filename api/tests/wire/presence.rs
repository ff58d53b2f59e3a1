//! Which members a reply has, and when: members without value are left out, never null.

use serde_json::{Value, json};

use crate::harness::{ACCOUNT, REGION, Server, v};

fn members(reply: &Value) -> Vec<&str> {
    reply.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn s2_2_a_bare_secret_shows_four_members() {
    let server = Server::start().await;
    let created = server.ok("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(1), "Description": ""})).await;
    assert_eq!(members(&created), ["ARN", "Name"]);
    let arn = created["ARN"].as_str().expect("an ARN");
    let suffix = arn.strip_prefix(&format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:a-")).expect("the form");
    assert_eq!(suffix.len(), 6);
    let description = server.ok("DescribeSecret", json!({"SecretId": arn})).await;
    assert_eq!(members(&description), ["ARN", "CreatedDate", "LastChangedDate", "Name"]);
    assert_eq!(description["CreatedDate"], json!(1_773_135_420.123));
}

#[tokio::test]
async fn s2_3_a_value_brings_its_version_and_reading_it_the_day() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    server.clock.advance(chrono::TimeDelta::seconds(5));
    let value = server.ok("GetSecretValue", json!({"SecretId": "a"})).await;
    assert_eq!(
        value,
        json!({
            "ARN": arn, "Name": "a", "VersionId": v(1), "SecretString": "value-1",
            "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_773_135_420.123,
        })
    );
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    let with_a_value = ["ARN", "CreatedDate", "LastAccessedDate", "LastChangedDate", "Name", "VersionIdsToStages"];
    assert_eq!(members(&description), with_a_value);
    assert_eq!(description["LastAccessedDate"].to_string(), "1773100800");
    let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a"})).await;
    assert_eq!(members(&listed), ["ARN", "Name", "Versions"]);
    assert_eq!(
        listed["Versions"],
        json!([{
            "VersionId": v(1), "VersionStages": ["AWSCURRENT"], "LastAccessedDate": 1_773_100_800,
            "CreatedDate": 1_773_135_420.123, "KmsKeyIds": ["DefaultEncryptionKey"],
        }])
    );
}

#[tokio::test]
async fn s1_1_binary_values_come_back_as_the_base64_they_were() {
    let server = Server::start().await;
    server.ok("CreateSecret", json!({"Name": "b", "ClientRequestToken": v(1), "SecretBinary": "Zm9vdGVzdA=="})).await;
    let value = server.ok("GetSecretValue", json!({"SecretId": "b"})).await;
    assert_eq!(value["SecretBinary"], "Zm9vdGVzdA==");
    assert!(value.get("SecretString").is_none());
}

// F86
#[tokio::test]
async fn values_survive_every_character() {
    let server = Server::start().await;
    let text = "\"quotes\" \\ \u{0} \n é 😀 </script>";
    server.ok("CreateSecret", json!({"Name": "c", "ClientRequestToken": v(1), "SecretString": text})).await;
    assert_eq!(server.ok("GetSecretValue", json!({"SecretId": "c"})).await["SecretString"], text);
}

#[tokio::test]
async fn s2_6_descriptions_and_keys_are_shown_until_they_are_emptied() {
    let server = Server::start().await;
    let create = json!({"Name": "a", "ClientRequestToken": v(1), "Description": "of a", "KmsKeyId": "alias/k"});
    server.ok("CreateSecret", create).await;
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert_eq!((&description["Description"], &description["KmsKeyId"]), (&json!("of a"), &json!("alias/k")));
    let update = json!({"SecretId": "a", "ClientRequestToken": v(2), "Description": "", "KmsKeyId": ""});
    let updated = server.ok("UpdateSecret", update).await;
    assert_eq!(members(&updated), ["ARN", "Name"]);
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert_eq!(members(&description), ["ARN", "CreatedDate", "LastChangedDate", "Name"]);
}

#[tokio::test]
async fn s2_12_tags_are_absent_before_the_first_and_empty_after_the_last() {
    let server = Server::start().await;
    server.create("a").await;
    let tags = async || server.ok("DescribeSecret", json!({"SecretId": "a"})).await.get("Tags").cloned();
    assert_eq!(tags().await, None);
    let two = json!([{"Key": "env", "Value": "prod"}, {"Key": "app", "Value": ""}]);
    let answer = server.call("TagResource", json!({"SecretId": "a", "Tags": two})).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(tags().await, Some(two));
    server.ok("TagResource", json!({"SecretId": "a", "Tags": [{"Key": "env", "Value": "test"}]})).await;
    server.ok("UntagResource", json!({"SecretId": "a", "TagKeys": ["app", "nothing"]})).await;
    assert_eq!(tags().await, Some(json!([{"Key": "env", "Value": "test"}])));
    server.ok("UntagResource", json!({"SecretId": "a", "TagKeys": ["env"]})).await;
    assert_eq!(tags().await, Some(json!([])));
}

#[tokio::test]
async fn s8_deleting_says_when_and_forgets_what_never_was() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let deleted = server.ok("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 7})).await;
    assert_eq!(deleted, json!({"ARN": arn, "Name": "a", "DeletionDate": 1_773_135_420.123 + 7.0 * 86_400.0}));
    let restored = server.ok("RestoreSecret", json!({"SecretId": "a"})).await;
    assert_eq!(restored, json!({"ARN": arn, "Name": "a"}));

    let forced = server.ok("DeleteSecret", json!({"SecretId": "never", "ForceDeleteWithoutRecovery": true})).await;
    assert_eq!(forced["Name"], "never");
    assert!(forced["ARN"].as_str().is_some_and(|arn| arn.contains(":secret:never-")));
    assert!(forced["DeletionDate"].is_number());

    // A window beside an explicit "no force" is fine, and 30 days is what nobody says.
    server
        .ok("DeleteSecret", json!({"SecretId": "a", "RecoveryWindowInDays": 8, "ForceDeleteWithoutRecovery": false}))
        .await;
    server.ok("RestoreSecret", json!({"SecretId": "a"})).await;
    let deleted = server.ok("DeleteSecret", json!({"SecretId": "a"})).await;
    assert_eq!(deleted["DeletionDate"], json!(1_773_135_420.123 + 30.0 * 86_400.0));
}

#[tokio::test]
async fn s2_2_a_forcibly_deleted_name_is_free_and_gets_a_new_arn() {
    let server = Server::start().await;
    let first = server.create("a").await;
    server.ok("DeleteSecret", json!({"SecretId": "a", "ForceDeleteWithoutRecovery": true})).await;
    let second = server.create("a").await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn s3_partial_arns_lead_to_their_secret_unless_the_name_looks_like_a_suffix() {
    let server = Server::start().await;
    for (name, partial_works) in [("plain", true), ("Valid-a1b2", true), ("Invalid-a1b2c3", false)] {
        let arn = server.create(name).await;
        server.ok("DescribeSecret", json!({"SecretId": name})).await;
        server.ok("DescribeSecret", json!({"SecretId": arn})).await;
        let partial = &arn[..arn.len() - 7];
        let answer = server.call("DescribeSecret", json!({"SecretId": partial})).await;
        assert_eq!(answer.status == 200, partial_works, "{name}");
    }
}

#[tokio::test]
async fn s2_11_passwords_follow_the_rules_of_the_request() {
    let server = Server::start().await;
    let password = async |body: Value| {
        let reply = server.ok("GetRandomPassword", body).await;
        reply["RandomPassword"].as_str().expect("a password").to_owned()
    };
    assert_eq!(password(json!({})).await.len(), 32);
    let digits = json!({
        "PasswordLength": 12, "ExcludePunctuation": true, "ExcludeUppercase": true, "ExcludeLowercase": true,
        "ExcludeCharacters": "012",
    });
    let digits = password(digits).await;
    assert!(digits.len() == 12 && digits.chars().all(|c| ('3'..='9').contains(&c)));
    let short = server.call("GetRandomPassword", json!({"PasswordLength": 3})).await;
    assert_eq!(short.json()["__type"], "InvalidParameterException");
    let none = server.call("GetRandomPassword", json!({"PasswordLength": 0})).await;
    assert_eq!(none.json()["__type"], "ValidationException");
}

#[tokio::test]
async fn s11_versions_show_the_key_they_were_written_under() {
    let server = Server::start().await;
    let create = json!({"Name": "a", "ClientRequestToken": v(1), "SecretString": "x", "KmsKeyId": "alias/one"});
    server.ok("CreateSecret", create).await;
    for n in 2..4 {
        server.ok("PutSecretValue", json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretString": "x"})).await;
    }
    server.ok("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(9), "KmsKeyId": "alias/two"})).await;
    let keys = async || {
        let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true})).await;
        let mut keys: Vec<_> = listed["Versions"].as_array().expect("versions").iter().map(Value::clone).collect();
        keys.sort_by_key(|version| version["VersionId"].to_string());
        keys.iter().map(|version| version["KmsKeyIds"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys().await, [json!(["alias/one"]), json!(["alias/two"]), json!(["alias/two"])]);
    server.ok("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(9), "KmsKeyId": ""})).await;
    let default = json!(["DefaultEncryptionKey"]);
    assert_eq!(keys().await, [json!(["alias/one"]), default.clone(), default]);
}

#[tokio::test]
async fn s11_a_key_of_another_region_is_refused() {
    let server = Server::start().await;
    server.create("a").await;
    let message = "The operation failed because of an invalid KMS key: Invalid arn eu-west-1";
    let key = "arn:aws:kms:eu-west-1:123456789012:key/k";
    for (op, body) in [
        ("CreateSecret", json!({"Name": "b", "ClientRequestToken": v(1), "KmsKeyId": key})),
        ("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(2), "KmsKeyId": key})),
    ] {
        server.refused(op, body, "InvalidParameterException", message).await;
    }
}

#[tokio::test]
async fn s5_9_what_makes_an_external_secret_is_kept_and_shown() {
    let server = Server::start().await;
    let create = json!({
        "Name": "a", "ClientRequestToken": v(1), "SecretString": r#"{"engine":"postgres"}"#,
        "Type": "GitLabAccessToken",
    });
    server.ok("CreateSecret", create).await;
    let metadata = json!([{"Key": "daysToExpiry", "Value": "30"}]);
    let role = "arn:aws:iam::123456789012:role/rotates";
    server
        .ok(
            "RotateSecret",
            json!({
                "SecretId": "a", "ClientRequestToken": v(2), "RotateImmediately": false,
                "ExternalSecretRotationMetadata": metadata, "ExternalSecretRotationRoleArn": role,
            }),
        )
        .await;
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    let listed = server.ok("ListSecrets", json!({})).await["SecretList"][0].clone();
    for entry in [&description, &listed] {
        assert_eq!(entry["Type"], "GitLabAccessToken");
        assert_eq!(entry["ExternalSecretRotationMetadata"], metadata);
        assert_eq!(entry["ExternalSecretRotationRoleArn"], role);
    }
    server.ok("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(3), "Type": ""})).await;
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert!(description.get("Type").is_none());
    server.ok("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(3), "Type": "SnowflakePat"})).await;
    assert_eq!(server.ok("DescribeSecret", json!({"SecretId": "a"})).await["Type"], "SnowflakePat");
}

#[tokio::test]
async fn s5_9_members_of_external_secrets_have_the_models_sizes() {
    let server = Server::start().await;
    server.create("a").await;
    let rotate = |member: &str, value: Value| json!({"SecretId": "a", "ClientRequestToken": v(2), member: value});
    for (body, code) in [
        (rotate("ExternalSecretRotationRoleArn", json!("short")), "ValidationException"),
        (rotate("ExternalSecretRotationMetadata", json!([{"Key": "", "Value": "x"}])), "ValidationException"),
        (rotate("ExternalSecretRotationMetadata", json!([{"Key": "k", "Value": ""}])), "ValidationException"),
        (rotate("ExternalSecretRotationMetadata", json!([{"Key": "k"}])), "InvalidParameterException"),
        (
            rotate("ExternalSecretRotationMetadata", json!([{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}])),
            "InvalidParameterException",
        ),
    ] {
        let answer = server.call("RotateSecret", body.clone()).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!(code)), "{body}");
    }
    let body = json!({"SecretId": "a", "ClientRequestToken": v(2), "Type": "t".repeat(257)});
    assert_eq!(server.call("UpdateSecret", body).await.json()["__type"], "ValidationException");
}
