//! Who reads a secret, and for how long they keep it.

use serde_json::{Value, json};
use store::Role;

use crate::harness::{Key, Server, v};

/// A secret `app/db` with a second version, a reader and a rotator of it.
async fn scene() -> (Server, Key, Key) {
    let server = Server::start().await;
    server.create("app/db").await;
    let reader = server.key_of("web", Role::Reader, &["app/"], &[]).await;
    let rotator = server.key_of("rotate", Role::Rotator, &[], &["app/db"]).await;
    (server, reader, rotator)
}

async fn readers(server: &Server, id: &str) -> Value {
    server.ok("pawl.ListReaders", json!({ "SecretId": id })).await["Readers"].clone()
}

// F111
#[tokio::test]
async fn a_reader_is_listed_with_its_version_by_whatever_operation_it_reads() {
    let (server, reader, rotator) = scene().await;
    let id = json!({"SecretId": "app/db"});
    let read = async |target: &str, body: Value| {
        let answer = server.call_as(&reader, target, &body).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    };
    let listed = |version: u32, stage: &str, at: f64| json!([{"Principal": "web", "VersionId": v(version), "Stages": [stage], "LastRead": at}]);
    read("secretsmanager.GetSecretValue", id.clone()).await;
    assert_eq!(readers(&server, "app/db").await, listed(1, "AWSCURRENT", 1_773_135_420.123));
    server.ok("PutSecretValue", json!({"SecretId": "app/db", "ClientRequestToken": v(2), "SecretString": "x"})).await;
    assert_eq!(readers(&server, "app/db").await, listed(1, "AWSPREVIOUS", 1_773_135_420.123));
    let parameter = json!({"Name": "/aws/reference/secretsmanager/app/db", "WithDecryption": true});
    for (target, body, version, stage) in [
        ("secretsmanager.BatchGetSecretValue", json!({"SecretIdList": ["app/db"]}), 2, "AWSCURRENT"),
        (
            "secretsmanager.GetSecretValue",
            json!({"SecretId": "app/db", "VersionStage": "AWSPREVIOUS"}),
            1,
            "AWSPREVIOUS",
        ),
        ("AmazonSSM.GetParameter", parameter, 2, "AWSCURRENT"),
    ] {
        read(target, body).await;
        assert_eq!(readers(&server, "app/db").await, listed(version, stage, 1_773_135_420.123), "{target}");
    }
    // A rotation function logs in with none of what it reads.
    assert_eq!(server.call_as(&rotator, "secretsmanager.GetSecretValue", &id).await.status, 200);
    server.ok("GetSecretValue", id).await;
    let names = readers(&server, "app/db").await;
    let names: Vec<_> = names.as_array().expect("a list").iter().map(|reader| reader["Principal"].clone()).collect();
    assert_eq!(names, ["admin", "web"]);
}

// F106
#[tokio::test]
async fn a_declared_cache_is_listed_and_a_shorter_grace_is_warned_of() {
    let (server, reader, _) = scene().await;
    let declare = json!({"SecretId": "app/db", "CacheSeconds": 7200});
    let declared = server.call_as(&reader, "pawl.DeclareReader", &declare).await;
    assert_eq!((declared.status, &declared.json()["Name"]), (200, &json!("app/db")));
    assert_eq!(readers(&server, "app/db").await, json!([{"Principal": "web", "CacheSeconds": 7200}]));
    let value = json!({"engine": "mysql", "host": "h", "username": "u", "password": "p"}).to_string();
    server.ok("PutSecretValue", json!({"SecretId": "app/db", "ClientRequestToken": v(2), "SecretString": value})).await;
    let shown = server.ok("pawl.EnableRotation", json!({"SecretId": "app/db"})).await;
    let warning = shown["Warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("web keeps what it reads for 2h") && warning.contains("--grace 2h"), "{warning}");
    let shown = server.ok("pawl.EnableRotation", json!({"SecretId": "app/db", "Grace": "2h"})).await;
    assert!(shown.get("Warnings").is_none(), "{shown}");
}

#[tokio::test]
async fn a_reader_declares_itself_and_an_administrator_anybody_there_is() {
    let (server, reader, rotator) = scene().await;
    let body = |principal: &str| json!({"SecretId": "app/db", "CacheSeconds": 60, "Principal": principal});
    let other = server.call_as(&reader, "pawl.DeclareReader", &body("admin")).await;
    assert_eq!((other.status, &other.json()["__type"]), (400, &json!("AccessDeniedException")));
    assert_eq!(server.call_as(&reader, "pawl.DeclareReader", &body("web")).await.status, 200);
    let denied = server.call_as(&rotator, "pawl.DeclareReader", &body("rotate")).await;
    assert_eq!(denied.json()["__type"], "AccessDeniedException");
    server.ok("pawl.DeclareReader", body("web")).await;
    let words = "There is no principal nobody.";
    server.refused("pawl.DeclareReader", body("nobody"), "ResourceNotFoundException", words).await;
    for seconds in [-1, 2_592_001] {
        let body = json!({"SecretId": "app/db", "CacheSeconds": seconds});
        assert_eq!(server.call("pawl.DeclareReader", body).await.json()["__type"], "ValidationException");
    }
    assert_eq!(readers(&server, "app/db").await, json!([{"Principal": "web", "CacheSeconds": 60}]));
}

// F111
#[tokio::test]
async fn the_target_is_asked_who_is_logged_in_for_administrators_alone() {
    let server = Server::start().await;
    for name in ["db", "closed", "plain"] {
        server.create(name).await;
    }
    let list = async |name: &str| server.ok("pawl.ListReaders", json!({ "SecretId": name })).await;
    let sessions = json!([{"User": "app", "From": "10.0.0.7", "Count": 2}]);
    assert_eq!(list("db").await["Sessions"], sessions);
    let closed = list("closed").await;
    assert_eq!(closed["SessionsUnknown"], "The target did not answer.");
    assert!(closed.get("Sessions").is_none() && list("plain").await.get("Sessions").is_none());
    let reader = server.key_of("web", Role::Reader, &["db"], &[]).await;
    let listed = server.call_as(&reader, "pawl.ListReaders", &json!({"SecretId": "db"})).await;
    assert_eq!((listed.status, listed.json().get("Sessions")), (200, None), "{}", listed.text());
}
