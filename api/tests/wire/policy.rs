//! Resource policies: kept as they are, judged before.

use serde_json::{Value, json};

use crate::harness::{ACCOUNT, Server};

const SYNTAX: &str = "This resource policy contains a syntax error.";
const LOCKOUT: &str = "Your requested changes will not allow you to manage this secret in the future.";

fn document(effect: &str, principal: Value, action: &str) -> String {
    let mut statement = json!({"Effect": effect, "Action": action, "Resource": "*"});
    statement["Principal"] = principal;
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn for_everybody() -> String {
    document("Allow", json!("*"), "secretsmanager:GetSecretValue")
}

#[tokio::test]
async fn s10_1_a_policy_is_returned_as_the_text_it_was_put_as() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let which = json!({"ARN": arn, "Name": "a"});
    let get = async || server.ok("GetResourcePolicy", json!({"SecretId": "a"})).await;
    assert_eq!(get().await, which, "absent where there is none");
    assert_eq!(server.ok("DeleteResourcePolicy", json!({"SecretId": "a"})).await, which);
    // Everybody is let in by default, and spaces are kept.
    let text = for_everybody().replace(':', " :\n ");
    let text = text.replace("secretsmanager :\n ", "secretsmanager:");
    let put = server.ok("PutResourcePolicy", json!({"SecretId": arn, "ResourcePolicy": text})).await;
    assert_eq!(put, which);
    assert_eq!(get().await, json!({"ARN": arn, "Name": "a", "ResourcePolicy": text}));
    assert_eq!(server.ok("DeleteResourcePolicy", json!({"SecretId": "a"})).await, which);
    assert_eq!(get().await, which);
}

#[tokio::test]
async fn s8_a_policy_comes_back_with_its_restored_secret() {
    let server = Server::start().await;
    server.create("a").await;
    server.ok("PutResourcePolicy", json!({"SecretId": "a", "ResourcePolicy": for_everybody()})).await;
    server.ok("DeleteSecret", json!({"SecretId": "a"})).await;
    server.ok("RestoreSecret", json!({"SecretId": "a"})).await;
    let policy = server.ok("GetResourcePolicy", json!({"SecretId": "a"})).await;
    assert_eq!(policy["ResourcePolicy"], for_everybody());
}

#[tokio::test]
async fn s10_1_what_cannot_be_a_policy_is_malformed() {
    let server = Server::start().await;
    server.create("a").await;
    let account = json!({"AWS": ACCOUNT});
    for (text, message) in [
        ("{".to_owned(), SYNTAX),
        (r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#.to_owned(), SYNTAX),
        (
            document("Allow", json!({"AWS": "arn:aws:iam::1:role/nobody"}), "*"),
            "This resource policy contains an unsupported principal.",
        ),
        (
            document("Allow", json!({"Service": "nothing"}), "*"),
            "This resource policy contains an unsupported service principal.",
        ),
        (document("Deny", json!("*"), "secretsmanager:*"), LOCKOUT),
        (document("Deny", account.clone(), "secretsmanager:PutResourcePolicy"), LOCKOUT),
        (document("Deny", json!({"AWS": format!("arn:aws:iam::{ACCOUNT}:user/admin")}), "*"), LOCKOUT),
    ] {
        let body = json!({"SecretId": "a", "ResourcePolicy": text});
        server.refused("PutResourcePolicy", body.clone(), "MalformedPolicyDocumentException", message).await;
        let judged = server.ok("ValidateResourcePolicy", body).await;
        assert_eq!(judged["PolicyValidationPassed"], false);
        assert_eq!(judged["ValidationErrors"][0]["ErrorMessage"], message);
        assert!(judged["ValidationErrors"][0]["CheckName"].is_string());
    }
    server
        .ok(
            "PutResourcePolicy",
            json!({"SecretId": "a", "ResourcePolicy": document("Deny", account, "secretsmanager:GetSecretValue")}),
        )
        .await;
    let elsewhere = json!({"AWS": "999999999999"});
    server.ok("PutResourcePolicy", json!({"SecretId": "a", "ResourcePolicy": document("Deny", elsewhere, "*")})).await;
}

#[tokio::test]
async fn s10_1_a_policy_for_everybody_is_blocked_where_that_is_asked_for() {
    let server = Server::start().await;
    server.create("a").await;
    let put = |block: bool, text: &str| json!({"SecretId": "a", "BlockPublicPolicy": block, "ResourcePolicy": text});
    let message = "You can't attach a resource-based policy that allows broad access to the secret.";
    server.refused("PutResourcePolicy", put(true, &for_everybody()), "PublicPolicyException", message).await;
    assert!(server.ok("GetResourcePolicy", json!({"SecretId": "a"})).await.get("ResourcePolicy").is_none());
    server.ok("PutResourcePolicy", put(false, &for_everybody())).await;
    let mut tied: Value = serde_json::from_str(&for_everybody()).expect("JSON");
    tied["Statement"][0]["Condition"] = json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}});
    server.ok("PutResourcePolicy", put(true, &tied.to_string())).await;
}

#[tokio::test]
async fn s10_1_validating_says_what_is_wrong_and_changes_nothing() {
    let server = Server::start().await;
    server.create("a").await;
    let good = document("Allow", json!({"AWS": ACCOUNT}), "secretsmanager:GetSecretValue");
    for body in [json!({"ResourcePolicy": good}), json!({"SecretId": "a", "ResourcePolicy": good})] {
        let judged = server.ok("ValidateResourcePolicy", body).await;
        assert_eq!(judged, json!({"PolicyValidationPassed": true, "ValidationErrors": []}));
    }
    let judged = server.ok("ValidateResourcePolicy", json!({"ResourcePolicy": for_everybody()})).await;
    assert_eq!(judged["PolicyValidationPassed"], false);
    let errors = judged["ValidationErrors"].as_array().expect("a list");
    let said = errors[0]["ErrorMessage"].as_str().expect("a message");
    assert!(errors.len() == 1 && said.starts_with("This resource policy grants broad access to your secret"), "{said}");
    assert!(server.ok("GetResourcePolicy", json!({"SecretId": "a"})).await.get("ResourcePolicy").is_none());
    let unknown = json!({"SecretId": "b", "ResourcePolicy": good});
    let message = "Secrets Manager can't find the specified secret.";
    server.refused("ValidateResourcePolicy", unknown, "ResourceNotFoundException", message).await;
}

#[tokio::test]
async fn s10_1_a_policy_has_20480_characters_at_most() {
    let server = Server::start().await;
    server.create("a").await;
    let text = for_everybody();
    let filled = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    server.ok("PutResourcePolicy", json!({"SecretId": "a", "ResourcePolicy": filled(20_480)})).await;
    for op in ["PutResourcePolicy", "ValidateResourcePolicy"] {
        for body in [
            json!({"SecretId": "a", "ResourcePolicy": filled(20_481)}),
            json!({"SecretId": "a", "ResourcePolicy": ""}),
            json!({"SecretId": "a"}),
        ] {
            let answer = server.call(op, body).await;
            assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("ValidationException")));
        }
    }
}

#[tokio::test]
async fn s1_5_a_bad_name_is_a_validation_error_of_validating_a_policy_too() {
    let server = Server::start().await;
    let message =
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
    let body = json!({"SecretId": "a b", "ResourcePolicy": for_everybody()});
    server.refused("ValidateResourcePolicy", body, "ValidationException", message).await;
}
