//! Access keys on the wire: who is made, what is shown, and what is refused.

use engine::secret::SecretBytes;
use serde_json::{Value, json};

use crate::harness::{Key, Server};

fn key_in(reply: &Value) -> Key {
    let text = |name: &str| reply[name].as_str().expect("a text").to_owned();
    (text("AccessKeyId"), SecretBytes::from(text("SecretAccessKey")))
}

async fn lists(server: &Server, key: &Key) -> bool {
    server.call_as(key, "secretsmanager.ListSecrets", &json!({})).await.status == 200
}

#[tokio::test]
async fn a_key_is_made_shown_once_disabled_enabled_and_deleted() {
    let server = Server::start().await;
    let made = json!({"Principal": "web", "Role": "reader", "Prefixes": ["app/"], "Secrets": ["db"]});
    let reply = server.ok("pawl.CreateAccessKey", made).await;
    assert_eq!((&reply["Principal"], &reply["Role"]), (&json!("web"), &json!("reader")));
    let key = key_in(&reply);
    assert!(lists(&server, &key).await);
    let listed = server.call("pawl.ListAccessKeys", json!({})).await;
    assert!(!listed.text().contains(key.1.expose_str().expect("a text")), "the secret is shown once");
    assert_eq!(
        listed.json()["AccessKeys"],
        json!([
            {"AccessKeyId": server.key.0, "Principal": "admin", "Role": "administrator", "Enabled": true,
             "CreatedDate": 1_773_135_420.123},
            {"AccessKeyId": key.0, "Principal": "web", "Role": "reader", "Prefixes": ["app/"], "Secrets": ["db"],
             "Enabled": true, "CreatedDate": 1_773_135_420.123},
        ])
    );
    for enabled in [false, true] {
        let answer = server.call("pawl.UpdateAccessKey", json!({"AccessKeyId": key.0, "Enabled": enabled})).await;
        assert_eq!((answer.status, answer.text()), (200, ""));
        assert_eq!(lists(&server, &key).await, enabled);
    }
    server.ok("pawl.DeleteAccessKey", json!({"AccessKeyId": key.0})).await;
    assert!(!lists(&server, &key).await);
}

#[tokio::test]
async fn a_principals_keys_can_be_changed_without_a_gap_and_a_third_is_refused() {
    let server = Server::start().await;
    let request = json!({"Principal": "web", "Role": "reader", "Secrets": ["db"]});
    let first = key_in(&server.ok("pawl.CreateAccessKey", request.clone()).await);
    let second = key_in(&server.ok("pawl.CreateAccessKey", request.clone()).await);
    assert!(lists(&server, &first).await && lists(&server, &second).await);
    let message = "The principal web has two access keys, which is the most. Delete one of them first; disable it \
                   before that to see that nothing uses it any more.";
    server.refused("pawl.CreateAccessKey", request.clone(), "LimitExceededException", message).await;
    server.ok("pawl.DeleteAccessKey", json!({"AccessKeyId": first.0})).await;
    server.ok("pawl.CreateAccessKey", request).await;
}

#[tokio::test]
async fn each_role_needs_the_scope_that_means_something_for_it() {
    let server = Server::start().await;
    for (request, word) in [
        (json!({"Principal": "x", "Role": "administrator", "Secrets": ["a"]}), "An administrator"),
        (json!({"Prefixes": ["a"]}), "An administrator"),
        (json!({"Principal": "x", "Role": "reader"}), "A reader"),
        (json!({"Principal": "x", "Role": "rotator", "Prefixes": ["a"]}), "A rotator"),
        (json!({"Principal": "x", "Role": "rotator", "Prefixes": ["a"], "Secrets": ["b"]}), "A rotator"),
        (json!({"Role": "reader", "Secrets": ["b"]}), "needs a name"),
    ] {
        let answer = server.call("pawl.CreateAccessKey", request.clone()).await.json();
        assert_eq!(answer["__type"], "InvalidParameterException", "{request}");
        assert!(answer["Message"].as_str().is_some_and(|text| text.contains(word)), "{request}: {answer}");
    }
    for request in [
        json!({"Principal": "x", "Role": "owner"}),
        json!({"Principal": "a b", "Role": "reader", "Secrets": ["a"]}),
        json!({"Principal": "", "Role": "reader", "Secrets": ["a"]}),
        json!({"Principal": "x", "Role": "reader", "Prefixes": [""]}),
        json!({"Principal": "x", "Role": "reader", "Prefixes": ["app/*"]}),
        json!({"Principal": "x", "Role": "rotator", "Secrets": ["arn:aws:x"]}),
    ] {
        let answer = server.call("pawl.CreateAccessKey", request.clone()).await.json();
        assert_eq!(answer["__type"], "ValidationException", "{request}: {answer}");
    }
    let boss = key_in(&server.ok("pawl.CreateAccessKey", json!({"Principal": "boss"})).await);
    assert!(lists(&server, &boss).await);
}

#[tokio::test]
async fn the_last_administrators_key_and_another_scope_are_refused_in_clear_words() {
    let server = Server::start().await;
    let last =
        "This is the last enabled access key of an administrator: without it nobody could administer this server.";
    let id = &server.key.0;
    let disable = json!({"AccessKeyId": id, "Enabled": false});
    server.refused("pawl.UpdateAccessKey", disable, "InvalidRequestException", last).await;
    server.refused("pawl.DeleteAccessKey", json!({"AccessKeyId": id}), "InvalidRequestException", last).await;
    server.ok("pawl.CreateAccessKey", json!({"Principal": "web", "Role": "reader", "Secrets": ["a"]})).await;
    let other = json!({"Principal": "web", "Role": "reader", "Secrets": ["b"]});
    let message = "The principal web exists with another role or other secrets. Its keys share what they may do: choose \
                   another name, or delete its keys first.";
    server.refused("pawl.CreateAccessKey", other, "ResourceExistsException", message).await;
    let nobody = json!({"AccessKeyId": "AKIAAAAAAAAAAAAAAAAA"});
    let message = "There is no access key of this id.";
    server.refused("pawl.DeleteAccessKey", nobody, "ResourceNotFoundException", message).await;
}
