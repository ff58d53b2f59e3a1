//! Requests with their signature in the query, as the official signer makes them.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::body::Body;
use axum::http::Request;
use chrono::TimeDelta;
use engine::port::Clock as _;
use engine::secret::SecretBytes;
use serde_json::json;

use crate::harness::{Answer, Key, REGION, Server};

const TARGET: &str = "secretsmanager.GetSecretValue";
const BODY: &str = r#"{"SecretId":"s"}"#;
const HEADERS: [(&str, &str); 3] =
    [("host", "127.0.0.1:7171"), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)];

/// The path and query of a request that this key signs for a minute.
fn presigned(server: &Server, key: &Key, token: Option<&str>) -> String {
    presigned_beside(server, "", key, token)
}

/// The same, beside what stands in the query already.
fn presigned_beside(server: &Server, query: &str, key: &Key, token: Option<&str>) -> String {
    let uri = format!("http://127.0.0.1:7171/{query}");
    let secret = key.1.expose_str().expect("a text");
    let identity = Credentials::new(&key.0, secret, token.map(str::to_owned), None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("secretsmanager")
        .time(SystemTime::from(server.clock.now()))
        .settings(settings)
        .build()
        .expect("complete parameters")
        .into();
    let body = SignableBody::Bytes(BODY.as_bytes());
    let signable = SignableRequest::new("POST", uri.as_str(), HEADERS.into_iter(), body).expect("signable");
    let (instructions, _) = sign(signable, &params).expect("signed").into_parts();
    let mut request = Request::post(uri).body(()).expect("a request");
    instructions.apply_to_request_http1x(&mut request);
    request.uri().path_and_query().expect("a query").as_str().to_owned()
}

async fn send(server: &Server, path_and_query: &str, body: &'static str) -> Answer {
    let request =
        HEADERS.into_iter().fold(Request::post(path_and_query), |request, (name, value)| request.header(name, value));
    server.send(request.body(Body::from(body)).expect("a request")).await
}

#[tokio::test]
async fn a_presigned_request_is_answered_for_as_long_as_it_was_signed_for() {
    let server = Server::start().await;
    server.create("s").await;
    let signed = presigned(&server, &server.key, None);
    for seconds in [0, 60] {
        server.clock.advance(TimeDelta::seconds(seconds));
        let answer = send(&server, &signed, BODY).await;
        assert_eq!((answer.status, &answer.json()["SecretString"]), (200, &json!("value-1")));
    }
    let other = send(&server, &signed, r#"{"SecretId":"t"}"#).await;
    assert!(other.text().contains("signature we calculated does not match"), "{}", other.text());
    server.clock.advance(TimeDelta::seconds(1));
    let late = send(&server, &signed, BODY).await.json();
    assert_eq!(late["__type"], "InvalidSignatureException");
    assert!(late["message"].as_str().is_some_and(|text| text.starts_with("Signature expired: ")), "{late}");
}

#[tokio::test]
async fn a_session_presigns_and_its_token_is_looked_at_with_each_use() {
    let server = Server::start().await;
    server.create("s").await;
    let reader = server.key_of("web", store::Role::Reader, &["s"], &[]).await;
    let answer = server.call_as(&reader, "pawl.CreateSession", &json!({})).await.json();
    let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
    let session: Key = (text("AccessKeyId"), SecretBytes::from(text("SecretAccessKey")));
    let signed = presigned(&server, &session, Some(&text("SessionToken")));
    assert_eq!(send(&server, &signed, BODY).await.status, 200);
    server.ok("pawl.UpdateAccessKey", json!({"AccessKeyId": reader.0, "Enabled": false})).await;
    assert_eq!(send(&server, &signed, BODY).await.json()["__type"], "UnrecognizedClientException");
    let without = presigned(&server, &session, None);
    assert_eq!(send(&server, &without, BODY).await.json()["__type"], "UnrecognizedClientException");
}

#[tokio::test]
async fn whoever_presigns_cannot_put_another_key_into_the_record_as_proven() {
    let server = Server::start().await;
    server.create("s").await;
    server.trail.since();
    let signed = presigned_beside(&server, "?x=X-Amz-Credential=AKIAOTHER", &server.key, None);
    assert_eq!(send(&server, &signed, BODY).await.status, 200);
    let (record, _) = server.trail.one();
    assert_eq!((&record["access_key_id"], &record["proven"]), (&json!(server.key.0), &json!(true)));
}
