//! Sections 2.6, 2.11 and 2.12: what is shown of a secret, passwords, tags.

use serde_json::{Value, json};

use crate::facts::{code, describe, get, members};
use crate::harness::{Server, v};

#[tokio::test]
async fn s2_6_every_member_appears_when_there_is_something_to_show() {
    let server = Server::start().await;
    server.create("a").await;
    let mut expected = vec!["ARN", "CreatedDate", "LastChangedDate", "Name", "VersionIdsToStages"];
    assert_eq!(members(&describe(&server, "a").await), expected);
    let update = |member: &str| json!({"SecretId": "a", "ClientRequestToken": v(2), member: "alias/k"});
    let enable = json!({"SecretId": "a", "Rotator": "postgres", "AutomaticallyAfterDays": 30});
    for (op, body, more) in [
        ("GetSecretValue", json!({"SecretId": "a"}), vec!["LastAccessedDate"]),
        ("UpdateSecret", update("Description"), vec!["Description"]),
        ("UpdateSecret", update("KmsKeyId"), vec!["KmsKeyId"]),
        ("TagResource", json!({"SecretId": "a", "Tags": [{"Key": "k", "Value": "v"}]}), vec!["Tags"]),
        (
            "pawl.EnableRotation",
            enable,
            vec!["NextRotationDate", "RotationEnabled", "RotationLambdaARN", "RotationRules"],
        ),
    ] {
        server.ok(op, body).await;
        expected.extend(more);
        expected.sort_unstable();
        assert_eq!(members(&describe(&server, "a").await), expected, "after {op}");
    }
    // Cancelling takes the date and nothing else; deleting adds one.
    server.ok("CancelRotateSecret", json!({"SecretId": "a"})).await;
    expected.retain(|member| *member != "NextRotationDate");
    assert_eq!(members(&describe(&server, "a").await), expected);
    server.ok("DeleteSecret", json!({"SecretId": "a"})).await;
    expected.insert(2, "DeletedDate");
    assert_eq!(members(&describe(&server, "a").await), expected);
}

#[tokio::test]
async fn s2_6_a_list_shows_a_secret_as_describe_does_but_for_the_name_of_one_map() {
    let server = Server::start().await;
    let tags = json!([{"Key": "k", "Value": "v"}]);
    let body = json!({
        "Name": "a", "ClientRequestToken": v(1), "SecretString": "x", "Description": "d", "KmsKeyId": "alias/k",
        "Tags": tags,
    });
    server.ok("CreateSecret", body).await;
    server.ok("pawl.EnableRotation", json!({"SecretId": "a", "Rotator": "mysql", "AutomaticallyAfterDays": 7})).await;
    get(&server, "a").await;
    let listed = server.ok("ListSecrets", json!({})).await;
    let mut entry = listed["SecretList"][0].clone();
    let entry = entry.as_object_mut().expect("an entry");
    let stages = entry.remove("SecretVersionsToStages").expect("the map");
    entry.insert("VersionIdsToStages".to_owned(), stages);
    assert_eq!(Value::Object(entry.clone()), describe(&server, "a").await);
}

async fn password(server: &Server, body: Value) -> String {
    let reply = server.ok("GetRandomPassword", body).await;
    assert_eq!(members(&reply), ["RandomPassword"]);
    reply["RandomPassword"].as_str().expect("a password").to_owned()
}

// F88
#[tokio::test]
async fn s2_11_a_password_has_its_length_and_nothing_that_was_excluded() {
    let server = Server::start().await;
    let excluded = "xyzDje@?!.";
    let long = password(&server, json!({"PasswordLength": 120, "ExcludeCharacters": excluded})).await;
    assert_eq!(long.chars().count(), 120);
    assert!(!long.chars().any(|c| excluded.contains(c)), "{long}");
    assert_eq!(password(&server, json!({"PasswordLength": 4096})).await.len(), 4096);
}

#[tokio::test]
async fn s2_11_every_class_that_is_allowed_is_in_the_shortest_password() {
    let server = Server::start().await;
    let classes: [fn(char) -> bool; 4] =
        [|c| c.is_ascii_uppercase(), |c| c.is_ascii_lowercase(), |c| c.is_ascii_digit(), |c| c.is_ascii_punctuation()];
    let shortest = password(&server, json!({"PasswordLength": 4, "IncludeSpace": true})).await;
    assert!(classes.iter().all(|class| shortest.chars().any(class)), "{shortest}");
    // A space may be drawn like any other character, and is no class of its own.
    assert!(password(&server, json!({"PasswordLength": 4096, "IncludeSpace": true})).await.contains(' '));
    let without = password(&server, json!({"PasswordLength": 300})).await;
    assert!(classes.iter().all(|class| without.chars().any(class)) && !without.contains(' '));
    for (exclude, class) in [
        ("ExcludeUppercase", classes[0]),
        ("ExcludeLowercase", classes[1]),
        ("ExcludeNumbers", classes[2]),
        ("ExcludePunctuation", classes[3]),
    ] {
        let text = password(&server, json!({"PasswordLength": 300, exclude: true})).await;
        assert!(!text.chars().any(class), "{exclude}: {text}");
    }
}

#[tokio::test]
async fn s2_11_what_no_password_can_follow_is_an_invalid_parameter() {
    let server = Server::start().await;
    let printable: String = (b'!'..=b'~').map(char::from).collect();
    for body in [
        json!({"PasswordLength": 3}),
        json!({"ExcludeCharacters": printable}),
        json!({"ExcludeCharacters": "0123456789"}),
        json!({
            "ExcludeNumbers": true, "ExcludePunctuation": true, "ExcludeUppercase": true, "ExcludeLowercase": true,
        }),
    ] {
        assert_eq!(code(&server, "GetRandomPassword", body.clone()).await, "InvalidParameterException", "{body}");
    }
    for length in [0, 4097] {
        code(&server, "GetRandomPassword", json!({"PasswordLength": length})).await;
    }
}

#[tokio::test]
async fn s2_12_tags_come_and_go_one_by_one_and_together() {
    let server = Server::start().await;
    let created = server.ok("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(1)})).await;
    let arn = created["ARN"].as_str().expect("an ARN");
    let tag = |n: u32| json!({"Key": format!("tag{n}"), "Value": format!("value{n}")});
    let change = async |op: &str, member: &str, what: Value| {
        assert_eq!(server.ok(op, json!({"SecretId": arn, member: what})).await, Value::Null);
        let shown = describe(&server, arn).await;
        assert_eq!(members(&shown), ["ARN", "CreatedDate", "LastChangedDate", "Name", "Tags"]);
        shown["Tags"].clone()
    };
    assert!(describe(&server, arn).await.get("Tags").is_none());
    // Taking away what never was leaves no trace.
    server.ok("UntagResource", json!({"SecretId": arn, "TagKeys": ["tag1"]})).await;
    assert!(describe(&server, arn).await.get("Tags").is_none());
    assert_eq!(change("TagResource", "Tags", json!([tag(1)])).await, json!([tag(1)]));
    assert_eq!(change("TagResource", "Tags", json!([tag(2)])).await, json!([tag(1), tag(2)]));
    assert_eq!(change("UntagResource", "TagKeys", json!(["tag1"])).await, json!([tag(2)]));
    assert_eq!(change("UntagResource", "TagKeys", json!(["TAG2"])).await, json!([tag(2)]));
    assert_eq!(change("UntagResource", "TagKeys", json!(["tag2"])).await, json!([]));
    assert_eq!(change("TagResource", "Tags", json!([tag(3), tag(4)])).await, json!([tag(3), tag(4)]));
    assert_eq!(change("UntagResource", "TagKeys", json!(["tag3", "tag4"])).await, json!([]));
}

#[tokio::test]
async fn s2_12_tags_of_a_creation_are_shown_as_given() {
    let server = Server::start().await;
    let tags = json!([{"Key": "zeta", "Value": "1"}, {"Key": "Alpha", "Value": ""}, {"Key": "alpha", "Value": "2"}]);
    let body = json!({"Name": "a", "ClientRequestToken": v(1), "Tags": tags});
    server.ok("CreateSecret", body).await;
    assert_eq!(describe(&server, "a").await["Tags"], tags);
    // An empty list is a list.
    server.ok("CreateSecret", json!({"Name": "b", "ClientRequestToken": v(1), "Tags": []})).await;
    assert_eq!(describe(&server, "b").await["Tags"], json!([]));
}

#[tokio::test]
async fn s2_12_a_secret_marked_for_deletion_keeps_its_tags_from_everybody() {
    let server = Server::start().await;
    let body = json!({
        "Name": "a", "ClientRequestToken": v(1), "SecretString": "x", "Tags": [{"Key": "initial", "Value": "value"}],
    });
    let arn = server.ok("CreateSecret", body).await["ARN"].clone();
    let deleted = server.ok("DeleteSecret", json!({"SecretId": arn})).await;
    assert_eq!(members(&deleted), ["ARN", "DeletionDate", "Name"]);
    let marked = "You can't perform this operation on the secret because it was marked for deletion.";
    let tag = json!({"SecretId": arn, "Tags": [{"Key": "new", "Value": "value"}]});
    server.refused("TagResource", tag, "InvalidRequestException", marked).await;
    let untag = json!({"SecretId": arn, "TagKeys": ["initial"]});
    server.refused("UntagResource", untag, "InvalidRequestException", marked).await;
    assert_eq!(describe(&server, "a").await["Tags"], json!([{"Key": "initial", "Value": "value"}]));
}
