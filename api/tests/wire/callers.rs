//! Whoever is not an enabled key with a right and fresh signature gets nothing from any operation but the right error.

use axum::body::Body;
use axum::http::Request;
use chrono::TimeDelta;
use serde_json::{Value, json};
use store::Role;

use crate::harness::{Answer, Key, Server, targets};

/// A request that would do harm if it were taken; each operation looks at what it knows of it.
const BODY: &str = r#"{"SecretId":"s","Name":"t","ClientRequestToken":"version-0000000000000000000000000009",
    "SecretString":"stolen","VersionStage":"AWSCURRENT","Tags":[{"Key":"k","Value":"v"}],"TagKeys":["k"],"Enabled":false,
    "ForceDeleteWithoutRecovery":true,"Names":["/aws/reference/secretsmanager/s"],"SecretIdList":["s"]}"#;

/// What a caller must not be able to change.
async fn everything(server: &Server) -> Vec<Value> {
    let mut all = vec![
        server.ok("ListSecrets", json!({"IncludePlannedDeletion": true})).await,
        server.ok("pawl.ListAccessKeys", json!({})).await,
        server.ok("pawl.ListRotationHistory", json!({"SecretId": "s"})).await,
    ];
    // The day of access is moved by this very read.
    all.push(server.ok("ListSecretVersionIds", json!({"SecretId": "s", "IncludeDeprecated": true})).await);
    all
}

fn assert_is(answer: &Answer, code: &str, message: &str, what: &str) {
    assert_eq!(answer.status, 400, "{what}");
    let said = answer.json();
    assert_eq!(said["__type"], code, "{what}: {said}");
    let text = said["message"].as_str().expect("a message");
    assert!(text.starts_with(message), "{what}: {text}");
    assert_eq!(said.as_object().map(serde_json::Map::len), Some(2), "{what}: {said}");
}

const UNKNOWN: (&str, &str) = ("UnrecognizedClientException", "The security token included in the request is invalid.");
const MISMATCH: (&str, &str) = ("InvalidSignatureException", "The request signature we calculated does not match");

#[tokio::test]
async fn no_operation_answers_a_caller_who_is_not_who_he_must_be() {
    let server = Server::start().await;
    server.create("s").await;
    let disabled = server.key_of("gone", Role::Administrator, &[], &[]).await;
    server.ok("pawl.UpdateAccessKey", json!({"AccessKeyId": disabled.0, "Enabled": false})).await;
    let deleted = server.key_of("deleted", Role::Administrator, &[], &[]).await;
    server.ok("pawl.DeleteAccessKey", json!({"AccessKeyId": deleted.0})).await;
    let forged: Key = (server.key.0.clone(), "not the secret".into());
    let before = everything(&server).await;
    for target in targets() {
        let body = BODY.as_bytes();
        let unsigned = Request::post("/").header("content-type", "application/x-amz-json-1.1");
        let unsigned = unsigned.header("x-amz-target", target).body(Body::from(BODY)).expect("a request");
        let answer = server.send(unsigned).await;
        assert_is(&answer, "MissingAuthenticationTokenException", "Missing Authentication Token", target);

        let answer = server.signed(target, body, &forged).await;
        assert_is(&answer, MISMATCH.0, MISMATCH.1, target);
        for key in [&disabled, &deleted] {
            let answer = server.signed(target, body, key).await;
            assert_is(&answer, UNKNOWN.0, UNKNOWN.1, target);
        }

        let mut replayed = server.request(target, body, &server.key, None);
        *replayed.body_mut() = Body::from(BODY.replace("stolen", "STOLEN"));
        assert_is(&server.send(replayed).await, MISMATCH.0, MISMATCH.1, target);

        // The target of another operation of the same service.
        let other = if target.starts_with("AmazonSSM.") { "AmazonSSM.Get" } else { "secretsmanager.List" };
        let mut redirected = server.request(other, body, &server.key, None);
        redirected.headers_mut().insert("x-amz-target", target.parse().expect("a value"));
        assert_is(&server.send(redirected).await, MISMATCH.0, MISMATCH.1, target);

        let stale = server.request(target, body, &server.key, None);
        server.clock.advance(TimeDelta::seconds(301));
        let answer = server.send(stale).await;
        assert_is(&answer, "InvalidSignatureException", "Signature expired: ", target);
    }
    assert_eq!(everything(&server).await, before);
}
