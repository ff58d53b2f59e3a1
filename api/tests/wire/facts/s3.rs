//! Section 3: names, ARNs, and which secret an id means.

use serde_json::json;

use crate::facts::{describe, get, put};
use crate::harness::{ACCOUNT, REGION, Server, v};

const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";

#[tokio::test]
async fn s3_a_secret_is_read_by_name_and_arn_and_by_its_partial_arn_unless_that_looks_whole() {
    let server = Server::start().await;
    for (name, partial_works) in [
        ("s-c64bdc03", true),
        ("Valid/_+=.@-Name", true),
        ("Valid/_+=.@-Name-a1b2", true),
        ("Valid/_+=.@-Name-a1b2c3-", true),
        ("Invalid/_+=.@-Name-a1b2c3", false),
    ] {
        let arn = server.create(name).await;
        let suffix = arn.strip_prefix(&format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-"));
        let suffix = suffix.unwrap_or_else(|| panic!("{arn}"));
        assert!(suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_alphanumeric()), "{arn}");
        let by_name = get(&server, name).await;
        assert_eq!((&by_name["ARN"], &by_name["Name"]), (&json!(arn), &json!(name)));
        assert_eq!(get(&server, &arn).await, by_name);
        let partial = &arn[..arn.len() - 7];
        if partial_works {
            assert_eq!(get(&server, partial).await, by_name);
        } else {
            let body = json!({"SecretId": partial});
            server.refused("GetSecretValue", body, "ResourceNotFoundException", NOT_FOUND).await;
        }
        put(&server, name, 2, "new_secret", None).await;
        assert_eq!(get(&server, name).await["SecretString"], "new_secret");
        let update =
            json!({"SecretId": arn, "ClientRequestToken": v(3), "SecretString": "test123", "Description": "d1"});
        assert_eq!(server.ok("UpdateSecret", update).await, json!({"ARN": arn, "Name": name, "VersionId": v(3)}));
        let deleted = server.ok("DeleteSecret", json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})).await;
        assert_eq!((&deleted["ARN"], &deleted["Name"]), (&json!(arn), &json!(name)));
    }
}

#[tokio::test]
async fn s3_names_may_hold_every_legal_character_anywhere_and_case_counts() {
    let server = Server::start().await;
    let names = ["//a", "/", "a/", "/a/b/", "-", "!", "rds!db-1", "A", "a", "0", "+=.@-_"];
    for name in names {
        server.create(name).await;
    }
    for name in names {
        assert_eq!(describe(&server, name).await["Name"], name);
    }
}

#[tokio::test]
async fn s3_an_arn_of_another_place_or_suffix_is_not_found() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    for other in [
        arn.replace(REGION, "eu-west-1"),
        arn.replace(ACCOUNT, "999999999999"),
        arn.replace("arn:aws:", "arn:aws-cn:"),
        arn.replace(":secretsmanager:", ":ssm:"),
        format!("{}xyzxyz", &arn[..arn.len() - 6]),
        arn[..arn.len() - 1].to_owned(),
        arn.replace(":secret:a", ":secret:A"),
        "arn:".to_owned(),
    ] {
        let body = json!({"SecretId": other});
        server.refused("DescribeSecret", body, "ResourceNotFoundException", NOT_FOUND).await;
    }
}

// F35
#[tokio::test]
async fn s3_a_name_made_again_has_another_arn_and_the_old_one_leads_nowhere() {
    let server = Server::start().await;
    let first = server.create("a").await;
    server.ok("DeleteSecret", json!({"SecretId": "a", "ForceDeleteWithoutRecovery": true})).await;
    let second = server.create("a").await;
    assert_ne!(first, second);
    let body = json!({"SecretId": first});
    server.refused("GetSecretValue", body, "ResourceNotFoundException", NOT_FOUND).await;
}

#[tokio::test]
async fn s3_a_name_that_looks_like_the_end_of_an_arn_is_a_name() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let tail = arn.rsplit(':').next().expect("a tail");
    let body = json!({"SecretId": tail});
    server.refused("GetSecretValue", body, "ResourceNotFoundException", NOT_FOUND).await;
    server.create(tail).await;
    assert_eq!(get(&server, tail).await["Name"], tail);
}
