//! Temporary credentials on the wire.

use chrono::TimeDelta;
use engine::secret::SecretBytes;
use serde_json::{Value, json};
use store::Role;

use crate::harness::{ACCOUNT, Answer, Key, Server, v};

/// Credentials as pawl.CreateSession gave them.
struct Session {
    key: Key,
    token: String,
}

async fn session(server: &Server, key: &Key, seconds: u64) -> Session {
    let answer = server.call_as(key, "pawl.CreateSession", &json!({ "DurationSeconds": seconds })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json();
    let text = |name: &str| said[name].as_str().expect("a text").to_owned();
    Session { key: (text("AccessKeyId"), SecretBytes::from(text("SecretAccessKey"))), token: text("SessionToken") }
}

async fn call(server: &Server, key: &Key, token: Option<&str>, target: &str, body: &Value) -> Answer {
    server.send(server.request(target, body.to_string().as_bytes(), key, token)).await
}

async fn list(server: &Server, session: &Session) -> Answer {
    call(server, &session.key, Some(&session.token), "secretsmanager.ListSecrets", &json!({})).await
}

const INVALID: &str =
    r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#;

#[tokio::test]
async fn a_session_has_its_keys_rights_until_it_expires() {
    let server = Server::start().await;
    server.create("app/db").await;
    let reader = server.key_of("web", Role::Reader, &["app/"], &[]).await;
    let made = session(&server, &reader, 900).await;
    assert!(made.key.0.starts_with("ASIA"));
    let read = json!({"SecretId": "app/db"});
    let answer = call(&server, &made.key, Some(&made.token), "secretsmanager.GetSecretValue", &read).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = call(&server, &made.key, Some(&made.token), "secretsmanager.DeleteSecret", &read).await;
    let text = answer.text().to_owned();
    assert!(text.contains(&format!("User: arn:aws:sts::{ACCOUNT}:assumed-role/web/{} is not", made.key.0)), "{text}");
    server.clock.advance(TimeDelta::seconds(899));
    assert_eq!(list(&server, &made).await.status, 200);
    server.clock.advance(TimeDelta::seconds(1));
    let answer = list(&server, &made).await;
    let expired =
        r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#;
    assert_eq!((answer.status, answer.text()), (400, expired));
}

#[tokio::test]
async fn a_session_is_refused_as_soon_as_its_key_is() {
    let server = Server::start().await;
    let reader = server.key_of("web", Role::Reader, &["app/"], &[]).await;
    let made = session(&server, &reader, 3600).await;
    let enable = async |enabled: bool| {
        server.ok("pawl.UpdateAccessKey", json!({"AccessKeyId": reader.0, "Enabled": enabled})).await
    };
    assert_eq!(list(&server, &made).await.status, 200);
    enable(false).await;
    assert_eq!(list(&server, &made).await.text(), INVALID);
    enable(true).await;
    assert_eq!(list(&server, &made).await.status, 200);
    server.ok("pawl.DeleteAccessKey", json!({"AccessKeyId": reader.0})).await;
    assert_eq!(list(&server, &made).await.text(), INVALID);
}

#[tokio::test]
async fn a_token_goes_with_its_own_credentials_alone() {
    let server = Server::start().await;
    let made = session(&server, &server.key, 3600).await;
    let other = session(&server, &server.key, 3600).await;
    let mut changed = made.token.clone();
    let last = if changed.ends_with('A') { "B" } else { "A" };
    changed.replace_range(changed.len() - 1.., last);
    for (key, token) in [
        (&made.key, None),
        (&made.key, Some(other.token.as_str())),
        (&made.key, Some(changed.as_str())),
        (&made.key, Some("nonsense")),
        (&made.key, Some("")),
        (&server.key, Some(made.token.as_str())),
    ] {
        let answer = call(&server, key, token, "secretsmanager.ListSecrets", &json!({})).await;
        assert_eq!((answer.status, answer.text()), (400, INVALID), "{token:?}");
    }
    let forged = (made.key.0.clone(), SecretBytes::from("not the secret"));
    let answer = call(&server, &forged, Some(&made.token), "secretsmanager.ListSecrets", &json!({})).await;
    assert_eq!(answer.json()["__type"], "InvalidSignatureException");
}

#[tokio::test]
async fn a_session_makes_no_session() {
    let server = Server::start().await;
    let made = session(&server, &server.key, 60).await;
    let answer = call(&server, &made.key, Some(&made.token), "pawl.CreateSession", &json!({})).await;
    let message = "Cannot call CreateSession with session credentials.";
    assert_eq!(answer.json(), json!({"__type": "AccessDeniedException", "message": message}));
}

#[tokio::test]
async fn sessions_live_from_a_minute_to_a_day_and_a_half() {
    let server = Server::start().await;
    for (seconds, taken) in [(59, false), (60, true), (129_600, true), (129_601, false)] {
        let answer = server.call("pawl.CreateSession", json!({ "DurationSeconds": seconds })).await;
        assert_eq!(answer.status == 200, taken, "{seconds}");
    }
    let reply = server.ok("pawl.CreateSession", json!({})).await;
    assert_eq!(reply["Expiration"], json!(1_773_139_020.123), "an hour");
}

#[tokio::test]
async fn what_a_session_does_is_its_principals_doing() {
    let server = Server::start().await;
    let value = json!({"engine": "postgres"}).to_string();
    server.ok("CreateSecret", json!({"Name": "s", "ClientRequestToken": v(1), "SecretString": value})).await;
    let boss = server.key_of("boss", Role::Administrator, &[], &[]).await;
    let made = session(&server, &boss, 60).await;
    let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2), "RotationRules": {"AutomaticallyAfterDays": 10}});
    let answer = call(&server, &made.key, Some(&made.token), "secretsmanager.RotateSecret", &rotate).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let history = server.ok("pawl.ListRotationHistory", json!({"SecretId": "s"})).await;
    assert_eq!(history["History"][0]["By"], "boss", "{history}");
}
