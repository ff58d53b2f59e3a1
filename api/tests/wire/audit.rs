//! Every call leaves one record: who, from where, what, which secret, how it ended; and never a value.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use api::audit::Until;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};
use store::Role;

use crate::harness::{Server, new_key, v};

/// What does not change from run to run.
fn core(record: &Value) -> Value {
    let mut core = json!({});
    for name in ["principal", "proven", "operation", "secret", "outcome", "status"] {
        if let Some(value) = record.get(name) {
            core[name] = value.clone();
        }
    }
    core
}

#[tokio::test]
async fn a_call_leaves_one_record_with_the_secrets_arn_and_the_request_id_of_its_answer() {
    let server = Server::start().await;
    let arn = server.create("db/app").await;
    let (record, until) = server.trail.one();
    let expected = json!({"principal": "admin", "proven": true, "operation": "CreateSecret", "secret": arn,
        "outcome": "ok", "status": 200});
    assert_eq!((core(&record), until), (expected, Until::Synced));

    let answer = server.call("GetSecretValue", json!({"SecretId": "db/app"})).await;
    let (record, until) = server.trail.one();
    assert_eq!(until, Until::Queued);
    assert_eq!(record["request_id"], answer.headers["x-amzn-requestid"].to_str().expect("text"));
    assert_eq!(record["secret"], arn, "as it was resolved");
    assert_eq!(record["access_key_id"], server.key.0.as_str());
    assert_eq!(record["at"], "2026-03-10T09:37:00.123Z");
    assert_eq!(record["kind"], "call");
    assert!(record["took_us"].is_u64() && record.get("source").is_none(), "{record}");
}

#[tokio::test]
async fn every_operation_that_changes_something_waits_for_the_disk_and_no_other_does() {
    let server = Server::start().await;
    server.create("s").await;
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#;
    let calls = [
        ("DescribeSecret", json!({"SecretId": "s"}), Until::Queued),
        ("ListSecrets", json!({}), Until::Queued),
        ("GetRandomPassword", json!({}), Until::Queued),
        ("GetResourcePolicy", json!({"SecretId": "s"}), Until::Queued),
        ("ValidateResourcePolicy", json!({"ResourcePolicy": policy}), Until::Queued),
        ("PutResourcePolicy", json!({"SecretId": "s", "ResourcePolicy": policy}), Until::Synced),
        ("DeleteResourcePolicy", json!({"SecretId": "s"}), Until::Synced),
        (
            "ReplicateSecretToRegions",
            json!({"SecretId": "s", "AddReplicaRegions": [{"Region": "eu-west-1"}]}),
            Until::Synced,
        ),
        (
            "RemoveRegionsFromReplication",
            json!({"SecretId": "s", "RemoveReplicaRegions": ["eu-west-1"]}),
            Until::Synced,
        ),
        ("PutSecretValue", json!({"SecretId": "s", "ClientRequestToken": v(2), "SecretString": "x"}), Until::Synced),
        ("TagResource", json!({"SecretId": "s", "Tags": [{"Key": "k", "Value": "v"}]}), Until::Synced),
        ("pawl.PauseRotation", json!({"SecretId": "s"}), Until::Synced),
        ("DeleteSecret", json!({"SecretId": "s"}), Until::Synced),
    ];
    server.trail.since();
    for (operation, body, expected) in calls {
        server.call(operation, body).await;
        let (record, until) = server.trail.one();
        assert_eq!((record["operation"].as_str(), until), (Some(operation), expected));
    }
}

#[tokio::test]
async fn a_call_that_is_refused_leaves_its_record_too_with_its_code_and_never_its_text() {
    let server = Server::start().await;
    let stranger = ("AKIASTRANGER".to_owned(), server.key.1.clone());
    let guest = new_key(&server.store, "guest", "2026-03-10T09:37:00Z".parse().expect("an instant")).await;
    let wrong = (server.key.0.clone(), "not the secret".into());
    let body = br#"{"SecretId":"nothing-here"}"#;
    let target = "secretsmanager.PutSecretValue";
    let unproven =
        |outcome: &str| json!({"proven": false, "operation": "PutSecretValue", "outcome": outcome, "status": 400});

    server.signed(target, body, &stranger).await;
    let (record, until) = server.trail.one();
    assert_eq!((core(&record), until), (unproven("UnrecognizedClientException"), Until::Queued));
    assert_eq!(record["access_key_id"], "AKIASTRANGER");
    server.signed(target, body, &wrong).await;
    assert_eq!(core(&server.trail.one().0), unproven("InvalidSignatureException"));
    server.signed("secretsmanager.GetSecretValue", body, &guest).await;
    let (record, _) = server.trail.one();
    let denied = json!({"principal": "guest", "proven": true, "operation": "GetSecretValue", "secret": "nothing-here",
        "outcome": "AccessDeniedException", "status": 400});
    assert_eq!(core(&record), denied);
    assert!(!record.to_string().contains("not authorized"), "{record}");

    server.call("GetSecretValue", json!({"SecretId": "nothing-here"})).await;
    assert_eq!(server.trail.one().0["outcome"], "ResourceNotFoundException");
    server.call("GetSecretValue", json!({"SecretId": 7})).await;
    assert_eq!(server.trail.one().0["outcome"], "SerializationException");
    server.call("NoSuchOperation", json!({})).await;
    let (record, _) = server.trail.one();
    assert_eq!(
        core(&record),
        json!({"proven": false, "operation": "unknown", "outcome": "UnknownOperationException", "status": 400})
    );
}

#[tokio::test]
async fn unsigned_and_malformed_calls_leave_a_record_of_a_strangers_words_made_harmless() {
    let server = Server::start().await;
    let address: SocketAddr = "192.0.2.7:5555".parse().expect("an address");
    let request = Request::get("/").extension(ConnectInfo(address)).header("x-forwarded-for", "203.0.113.9");
    let agent =
        axum::http::HeaderValue::from_bytes(&[b"evil\xff\"}".as_slice(), &[b'x'; 300]].concat()).expect("bytes");
    server.send(request.header("user-agent", agent).body(Body::empty()).expect("a request")).await;
    let (record, _) = server.trail.one();
    assert_eq!((&record["status"], &record["source"]), (&json!(405), &json!("192.0.2.7")));
    let agent = record["user_agent"].as_str().expect("an agent");
    assert!(agent.starts_with(r#"evil\xff\"}xxx"#) && agent.len() < 210, "{agent}");
    assert!(record.get("principal").is_none() && record.get("access_key_id").is_none(), "{record}");

    let request = Request::post("/").header("content-type", "application/json");
    server.send(request.body(Body::from(vec![b'x'; 600_000])).expect("a request")).await;
    assert_eq!(server.trail.one().0["status"], 413);
}

#[tokio::test]
async fn whoever_signs_cannot_put_another_key_into_the_record_as_proven() {
    let server = Server::start().await;
    let target = "secretsmanager.ListSecrets";
    let mut request = server.request(target, b"{}", &server.key, None);
    let header = request.headers()["authorization"].to_str().expect("text");
    let header = header.replace("Credential=", "XCredential=AKIAOTHER/x, Credential=");
    request.headers_mut().insert("authorization", header.parse().expect("a header"));
    assert_eq!(server.send(request).await.status, 200);
    let (record, _) = server.trail.one();
    assert_eq!((&record["access_key_id"], &record["proven"]), (&json!(server.key.0), &json!(true)));
}

#[tokio::test]
async fn a_record_says_which_access_key_it_is_about_and_a_sessions_call_with_which_key_it_was_made() {
    let server = Server::start().await;
    let about = || server.trail.one().0.get("about").cloned().unwrap_or(Value::Null);
    let rotator = json!({"Principal": "rotate-app", "Role": "rotator", "Secrets": ["db"]});
    let key = server.ok("pawl.CreateAccessKey", rotator).await;
    let id = key["AccessKeyId"].as_str().expect("an id");
    assert_eq!(about(), format!("{id} rotate-app rotator"));
    let other = json!({"Principal": "rotate-app", "Role": "rotator", "Secrets": ["other"]});
    assert_eq!(server.call("pawl.CreateAccessKey", other).await.status, 400);
    assert_eq!(about(), "rotate-app rotator", "which was refused");

    let secret = key["SecretAccessKey"].as_str().expect("a secret").into();
    let session = server.signed("pawl.CreateSession", b"{}", &(id.to_owned(), secret)).await.json();
    let text = |name: &str| session[name].as_str().expect("a text").to_owned();
    assert_eq!(about(), text("AccessKeyId"));
    let of_session = (text("AccessKeyId"), text("SecretAccessKey").as_str().into());
    let token = text("SessionToken");
    server.send(server.request("secretsmanager.ListSecrets", b"{}", &of_session, Some(&token))).await;
    let (record, _) = server.trail.one();
    assert_eq!((&record["access_key_id"], &record["parent_key_id"]), (&json!(of_session.0), &json!(id)));
    assert!(!record.to_string().contains(&token), "{record}");

    server.ok("pawl.UpdateAccessKey", json!({"AccessKeyId": id, "Enabled": false})).await;
    let (record, _) = server.trail.one();
    assert_eq!((&record["about"], record.get("parent_key_id")), (&json!(format!("{id} disabled")), None));
    server.ok("pawl.UpdateAccessKey", json!({"AccessKeyId": id, "Enabled": true})).await;
    assert_eq!(about(), format!("{id} enabled"));
    server.ok("pawl.DeleteAccessKey", json!({"AccessKeyId": id})).await;
    assert_eq!(about(), id);
    server.call("pawl.DeleteAccessKey", json!({"AccessKeyId": id})).await;
    assert_eq!(about(), id, "which is gone");
    let long = "x".repeat(128);
    server.call("pawl.DeleteAccessKey", json!({"AccessKeyId": long})).await;
    assert_eq!(about(), long);
}

#[tokio::test]
async fn while_the_trail_is_down_reads_go_on_and_changes_are_refused_before_they_run() {
    let server = Server::start().await;
    server.create("s").await;
    server.trail.since();
    server.trail.go_down();
    server.ok("GetSecretValue", json!({"SecretId": "s"})).await;
    let put = json!({"SecretId": "s", "ClientRequestToken": v(2), "SecretString": "changed"});
    let answer = server.call("PutSecretValue", put).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (500, &json!("InternalServiceError")));
    let value = server.ok("GetSecretValue", json!({"SecretId": "s"})).await;
    assert_eq!(value["SecretString"], "value-1", "it did not run");
    let refused = &server.trail.since()[1];
    assert_eq!((&refused.0["outcome"], refused.1), (&json!("InternalServiceError"), Until::Queued));
}

#[tokio::test]
async fn while_the_trail_is_down_rights_can_be_taken_away_and_sessions_made_and_their_records_are_held() {
    for unnoticed in [false, true] {
        let server = Server::start().await;
        let key = server.key_of("web", Role::Reader, &["app/"], &[]).await;
        if unnoticed {
            server.trail.fail_unnoticed();
        } else {
            server.trail.go_down();
        }
        server.signed("pawl.CreateSession", b"{}", &key).await.json()["SessionToken"].as_str().expect("a token");
        server.ok("pawl.UpdateAccessKey", json!({"AccessKeyId": key.0, "Enabled": false})).await;
        assert_eq!(server.call_as(&key, "secretsmanager.ListSecrets", &json!({})).await.status, 400);
        let enabled = server.call("pawl.UpdateAccessKey", json!({"AccessKeyId": key.0, "Enabled": true})).await;
        let created = server.call("pawl.CreateAccessKey", json!({})).await;
        assert_eq!((enabled.status, created.status), (500, 500), "what gives a right waits");
        server.ok("pawl.DeleteAccessKey", json!({"AccessKeyId": key.0})).await;
        let held = server.trail.since().into_iter().filter(|(_, until)| *until == Until::Synced);
        let held: Vec<_> =
            held.filter(|(record, _)| record["outcome"] == "ok").map(|(r, _)| r["operation"].clone()).collect();
        let mut expected = vec!["pawl.CreateSession", "pawl.UpdateAccessKey", "pawl.DeleteAccessKey"];
        if unnoticed {
            // These ran before anybody knew, and are answered with an error.
            expected.splice(2..2, ["pawl.UpdateAccessKey", "pawl.CreateAccessKey"]);
        }
        assert_eq!(held, expected);
    }
}

#[tokio::test]
async fn a_change_whose_record_cannot_be_kept_is_not_answered_with_success() {
    let server = Server::start().await;
    server.create("s").await;
    server.trail.fail_unnoticed();
    let put = json!({"SecretId": "s", "ClientRequestToken": v(2), "SecretString": "changed"});
    let answer = server.call("PutSecretValue", put).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (500, &json!("InternalServiceError")));
    assert_eq!(server.observed.lock().expect("not poisoned").last().expect("observed").1, 500);
}

#[tokio::test]
async fn a_call_whose_client_goes_away_leaves_its_record() {
    let server = Server::start().await;
    // A body of which nothing ever comes.
    let body = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, Infallible>>());
    let request =
        Request::post("/").header("x-amz-target", "secretsmanager.ListSecrets").body(body).expect("a request");
    let gone = tokio::time::timeout(Duration::from_millis(20), server.send(request)).await;
    assert!(gone.is_err(), "it was not answered");
    let (record, _) = server.trail.one();
    assert_eq!(core(&record), json!({"operation": "unknown", "outcome": "cut-off"}));
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_a_request_timeout_and_leaves_its_record() {
    let server = Server::start().await;
    server.clock.be_impatient();
    let whole = server.call("ListSecrets", json!({})).await;
    assert_eq!((whole.status, server.trail.one().0["outcome"].clone()), (200, json!("ok")), "what is there is taken");
    let body = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, Infallible>>());
    let answer = server.send(Request::post("/").body(body).expect("a request")).await;
    let said = json!({"__type": "RequestTimeoutException", "message": "The body of the request did not come in time."});
    assert_eq!((answer.status, answer.json()), (408, said));
    let expected = json!({"operation": "unknown", "outcome": "RequestTimeoutException", "status": 408});
    assert_eq!(core(&server.trail.one().0), expected);
}

#[tokio::test]
async fn no_value_is_in_any_record() {
    let server = Server::start().await;
    let canary = "Canary-value-0123456789-0123456789-0123";
    let bodies = [
        (
            "CreateSecret",
            json!({"Name": "s", "ClientRequestToken": v(1), "SecretString": canary, "Description": canary}),
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "s", "ClientRequestToken": v(2), "SecretString": canary, "RotationToken": canary}),
        ),
        ("PutSecretValue", json!({"SecretId": "s", "ClientRequestToken": v(2), "SecretString": canary.repeat(2_000)})),
        ("PutSecretValue", json!({"SecretId": "nobody", "ClientRequestToken": v(3), "SecretString": canary})),
        ("PutSecretValue", json!({"SecretId": "s", "SecretString": [canary]})),
        ("UpdateSecret", json!({"SecretId": "s", "ClientRequestToken": v(4), "SecretBinary": canary})),
        ("TagResource", json!({"SecretId": "s", "Tags": [{"Key": "k", "Value": canary}]})),
        ("GetSecretValue", json!({"SecretId": "s"})),
    ];
    let count = bodies.len();
    for (operation, body) in bodies {
        server.call(operation, body).await;
    }
    let password = server.ok("GetRandomPassword", json!({})).await["RandomPassword"].as_str().expect("text").to_owned();
    let records = server.trail.since();
    assert_eq!(records.len(), count + 1);
    for (record, _) in records {
        let text = record.to_string();
        assert!(!text.contains("Canary") && !text.contains(&password), "{text}");
    }
}

#[tokio::test]
async fn s12_each_secret_of_a_batch_or_of_parameters_leaves_a_record_of_its_own() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    server.trail.since();
    let told = |records: Vec<(Value, Until)>| -> Vec<(Value, Value, Value)> {
        let member = |record: &Value, name: &str| record.get(name).cloned().unwrap_or(Value::Null);
        let told = |record: Value| (member(&record, "operation"), member(&record, "secret"), record["outcome"].clone());
        records.into_iter().map(|(record, _)| told(record)).collect()
    };
    let one = |operation: &str, secret: Value, outcome: &str| (json!(operation), secret, json!(outcome));
    let read = one("GetSecretValue", json!(arn), "ok");
    let missed = one("GetSecretValue", json!("b"), "ResourceNotFoundException");

    server.ok("BatchGetSecretValue", json!({"SecretIdList": ["a", "b"]})).await;
    let own = one("BatchGetSecretValue", Value::Null, "ok");
    assert_eq!(told(server.trail.since()), [read.clone(), missed.clone(), own]);

    let path = |id: &str| format!("/aws/reference/secretsmanager/{id}");
    let names = json!({"Names": [path("a"), path("b"), "/other"], "WithDecryption": true});
    server.call_ssm("GetParameters", &names, &server.key).await;
    let own = one("ssm:GetParameters", Value::Null, "ok");
    assert_eq!(told(server.trail.since()), [read, missed.clone(), own]);

    server.call_ssm("GetParameter", &json!({"Name": path("b"), "WithDecryption": true}), &server.key).await;
    let own = one("ssm:GetParameter", Value::Null, "ParameterNotFound");
    assert_eq!(told(server.trail.since()), [missed, own]);
}
