//! What happens before an operation runs: methods, bodies, signatures, and the order of the checks.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::harness::{ACCOUNT, Server, new_key};

fn request(target: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::post("/").header("content-type", "application/x-amz-json-1.1");
    if let Some(target) = target {
        request = request.header("x-amz-target", target);
    }
    request.body(Body::from(body.to_owned())).expect("a request")
}

#[tokio::test]
async fn s1_2_a_reply_has_the_content_type_and_an_id_of_its_own() {
    let server = Server::start().await;
    let first = server.call("ListSecrets", json!({})).await;
    let second = server.call("ListSecrets", json!({})).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(first.headers["x-amzn-requestid"].len(), 36);
    assert_ne!(first.headers["x-amzn-requestid"], second.headers["x-amzn-requestid"]);
}

#[tokio::test]
async fn s1_4_checks_come_in_the_order_body_operation_authentication_types_constraints() {
    let server = Server::start().await;
    let known = Some("secretsmanager.GetSecretValue");
    for (target, body, expected) in [
        (known, "", r#"{"__type":"SerializationException"}"#),
        (known, "[]", r#"{"__type":"SerializationException"}"#),
        (None, "{", r#"{"__type":"SerializationException"}"#),
        (None, "{}", r#"{"__type":"UnknownOperationException"}"#),
        (Some("secretsmanager.Nothing"), "{}", r#"{"__type":"UnknownOperationException"}"#),
        (Some("secretsmanager.GetSecretValues"), "{}", r#"{"__type":"UnknownOperationException"}"#),
        (
            known,
            r#"{"SecretId":5}"#,
            r#"{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#,
        ),
    ] {
        let answer = server.send(request(target, body)).await;
        assert_eq!((answer.status, answer.text()), (400, expected), "{target:?} {body}");
    }
    let answer = server.call("GetSecretValue", json!({"SecretId": 5, "VersionId": ""})).await;
    assert_eq!(
        answer.text(),
        r#"{"__type":"SerializationException","message":"NUMBER_VALUE can not be converted to String"}"#
    );
}

#[tokio::test]
async fn s1_4_an_unknown_access_key_is_an_unrecognized_client() {
    let server = Server::start().await;
    let stranger = ("AKIAZZZZZZZZZZZZZZZZ".to_owned(), server.key.1.clone());
    let answer = server.signed("secretsmanager.ListSecrets", b"{}", &stranger).await;
    assert_eq!(
        (answer.status, answer.text()),
        (
            400,
            r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#
        )
    );
}

#[tokio::test]
async fn s1_4_a_wrong_secret_is_an_invalid_signature() {
    let server = Server::start().await;
    let forged = (server.key.0.clone(), "not the secret".into());
    let answer = server.signed("secretsmanager.ListSecrets", b"{}", &forged).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["__type"], "InvalidSignatureException");
}

#[tokio::test]
async fn principals_other_than_the_administrator_are_denied_before_existence_is_revealed() {
    let server = Server::start().await;
    let arn = server.create("app/db").await;
    let guest = new_key(&server.store, "guest", "2026-03-10T09:37:00Z".parse().expect("an instant")).await;
    for (id, resource) in [("app/db", arn.as_str()), ("nothing", "nothing")] {
        let body = json!({ "SecretId": id }).to_string();
        let answer = server.signed("secretsmanager.GetSecretValue", body.as_bytes(), &guest).await;
        let message = format!(
            "User: arn:aws:iam::{ACCOUNT}:user/guest is not authorized to perform: secretsmanager:GetSecretValue on \
             resource: {resource} because no identity-based policy allows the secretsmanager:GetSecretValue action"
        );
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json(), json!({ "__type": "AccessDeniedException", "message": message }));
    }
}

#[tokio::test]
async fn other_methods_are_told_which_one_to_use() {
    let server = Server::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let mut request = request(None, "");
        *request.method_mut() = method;
        let answer = server.send(request).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.headers["allow"], "POST");
        assert_eq!(answer.json()["__type"], "UnknownOperationException");
    }
}

#[tokio::test]
async fn a_content_type_of_another_protocol_is_no_operation() {
    let server = Server::start().await;
    let mut request = request(Some("secretsmanager.ListSecrets"), "{}");
    request.headers_mut().insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(server.send(request).await.json()["__type"], "UnknownOperationException");
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_a_full_value_in_escapes_is_not() {
    let server = Server::start().await;
    let answer = server.send(request(Some("secretsmanager.PutSecretValue"), &"x".repeat(600_000))).await;
    assert_eq!(answer.status, 413);
    let escapes = "\\u0041".repeat(65_536);
    let body =
        format!(r#"{{"Name":"large","ClientRequestToken":"{}","SecretString":"{escapes}"}}"#, crate::harness::v(1));
    let answer = server.signed("secretsmanager.CreateSecret", body.as_bytes(), &server.key).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value = server.ok("GetSecretValue", json!({"SecretId": "large"})).await;
    assert_eq!(value["SecretString"].as_str().map(str::len), Some(65_536));
}

#[tokio::test]
async fn the_observer_hears_of_every_call_once() {
    let server = Server::start().await;
    server.create("a").await;
    server.call("GetSecretValue", json!({"SecretId": "nothing"})).await;
    server.send(request(None, "{}")).await;
    let observed = server.observed.lock().expect("not poisoned").clone();
    let expected = [("CreateSecret", 200), ("GetSecretValue", 400), ("unknown", 400)];
    assert_eq!(observed, expected.map(|(op, status)| (op.to_owned(), status)));
}

#[tokio::test]
async fn a_signature_counts_over_http2_too() {
    let server = Server::start().await;
    let answer = server.signed_over_http2("secretsmanager.ListSecrets", b"{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
