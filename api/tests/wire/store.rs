//! The store itself over the API: verify-only after a restore, and the keys of its keyring.

use engine::port::Clock;
use serde_json::json;
use store::Role;

use crate::harness::{Server, v};

#[tokio::test]
async fn a_store_that_was_brought_back_says_so_refuses_to_rotate_and_is_left_by_an_operator() {
    let server = Server::start().await;
    let value = json!({"engine": "postgres", "host": "db", "username": "u", "password": "value-1"}).to_string();
    server.ok("CreateSecret", json!({"Name": "db", "ClientRequestToken": v(1), "SecretString": value})).await;
    server.ok("pawl.EnableRotation", json!({"SecretId": "db", "ScheduleExpression": "rate(30 days)"})).await;
    let usual = server.ok("pawl.DescribeStore", json!({})).await;
    assert_eq!(usual, json!({"Epoch": 0, "HeldCount": 0, "Held": []}));

    server.store.enter_verify_only("restored in a test", server.clock.now()).await.expect("entered");
    let said = server.ok("pawl.DescribeStore", json!({})).await;
    assert_eq!((&said["VerifyOnly"]["Reason"], &said["Epoch"]), (&json!("restored in a test"), &json!(1)), "{said}");
    assert_eq!((&said["HeldCount"], &said["Held"][0]["Name"]), (&json!(1), &json!("db")), "{said}");
    assert!(
        said["Held"][0]["Message"].as_str().is_some_and(|message| message.contains("not been looked at")),
        "{said}"
    );
    let refused = server.call("RotateSecret", json!({"SecretId": "db", "ClientRequestToken": v(2)})).await;
    assert!(refused.status == 400 && refused.text().contains("InvalidRequestException"), "{}", refused.text());
    assert!(refused.text().contains("has not been seen to log in"), "{}", refused.text());
    assert_eq!(server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await["Held"], true);
    assert!(server.ok("GetSecretValue", json!({"SecretId": "db"})).await["SecretString"].is_string(), "it is read");

    let left = server.ok("pawl.LeaveVerifyOnly", json!({})).await;
    assert!(left.get("VerifyOnly").is_none() && left["HeldCount"] == 1, "it stays held: {left}");
    let reader = server.key_of("web", Role::Reader, &["d"], &[]).await;
    for operation in ["pawl.DescribeStore", "pawl.LeaveVerifyOnly", "pawl.DescribeKeyring"] {
        let denied = server.call_as(&reader, operation, &json!({})).await;
        assert!(denied.text().contains("AccessDeniedException"), "{}", denied.text());
    }
}

#[tokio::test]
async fn the_keyring_is_described_by_its_ids_and_by_what_they_seal() {
    let server = Server::start().await;
    server.create("s").await;
    server.store.announce_keys("node-1", server.clock.now()).await.expect("announced");
    let said = server.ok("pawl.DescribeKeyring", json!({})).await;
    let key = &said["Keys"][0];
    assert_eq!((&key["Seals"], &key["Secrets"], &key["CheckRow"]), (&json!(true), &json!(1), &json!(true)), "{said}");
    assert_eq!((&said["Nodes"][0]["Node"], &said["Nodes"][0]["SealsWith"]), (&json!("node-1"), &key["KeyId"]));
    assert_eq!(key["KeyId"].as_str().map(str::len), Some(16));
}
