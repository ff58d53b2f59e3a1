//! Sections 2.1 to 2.4: creating, reading and writing values.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::facts::{code, describe, get, members, put};
use crate::harness::{Server, v};

#[tokio::test]
async fn s2_1_a_token_has_32_to_64_characters() {
    let server = Server::start().await;
    server.create("a").await;
    for token in ["t".repeat(31), "t".repeat(65), "short".to_owned(), String::new()] {
        for (op, mut body) in [
            ("CreateSecret", json!({"Name": "b"})),
            ("PutSecretValue", json!({"SecretId": "a", "SecretString": "x"})),
            ("UpdateSecret", json!({"SecretId": "a"})),
            ("RotateSecret", json!({"SecretId": "a"})),
        ] {
            body["ClientRequestToken"] = json!(token);
            let code = code(&server, op, body).await;
            assert!(["InvalidParameterException", "ValidationException"].contains(&code.as_str()), "{op} {code}");
        }
    }
}

#[tokio::test]
async fn s2_2_the_version_id_is_the_token_verbatim_whatever_its_form() {
    let server = Server::start().await;
    let tokens = [
        "2b1f1af7-47ee-aee1-5609-991d4352ae14".to_owned(),
        "terraform-20260310093700123400000001".to_owned(),
        "UPPER-and-lower-0123456789-abcdef".to_owned(),
        "t".repeat(32),
        "t".repeat(64),
    ];
    for (i, token) in tokens.into_iter().enumerate() {
        let name = format!("s{i}");
        let body = json!({"Name": name, "ClientRequestToken": token, "SecretString": "x"});
        let created = server.ok("CreateSecret", body).await;
        assert_eq!(members(&created), ["ARN", "Name", "VersionId"]);
        assert_eq!((&created["Name"], &created["VersionId"]), (&json!(name), &json!(token)));
        assert_eq!(get(&server, &name).await["VersionId"], token);
        assert_eq!(server.stages(&name).await, json!({token: ["AWSCURRENT"]}));
    }
}

#[tokio::test]
async fn s2_2_a_secret_made_without_a_value_takes_its_first_one_from_a_put_or_an_update() {
    let server = Server::start().await;
    for name in ["by-put", "by-update"] {
        server.ok("CreateSecret", json!({"Name": name, "ClientRequestToken": v(1), "Description": ""})).await;
        assert_eq!(members(&describe(&server, name).await), ["ARN", "CreatedDate", "LastChangedDate", "Name"]);
    }
    let written = put(&server, "by-put", 2, "x", None).await;
    assert_eq!(members(&written), ["ARN", "Name", "VersionId", "VersionStages"]);
    assert_eq!(written["VersionStages"], json!(["AWSCURRENT"]));
    let update = json!({"SecretId": "by-update", "ClientRequestToken": v(2), "SecretString": "x"});
    assert_eq!(members(&server.ok("UpdateSecret", update).await), ["ARN", "Name", "VersionId"]);
    for name in ["by-put", "by-update"] {
        assert_eq!(server.stages(name).await, json!({v(2): ["AWSCURRENT"]}), "{name}");
    }
}

#[tokio::test]
async fn s2_3_reading_moves_the_day_of_the_secret_and_of_that_version_alone() {
    const TODAY: i64 = 1_773_100_800;
    let server = Server::start().await;
    server.create("a").await;
    put(&server, "a", 2, "x", None).await;
    assert!(describe(&server, "a").await.get("LastAccessedDate").is_none());
    let days = async || {
        let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "a"})).await;
        let day = |n: u32| {
            let mut versions = listed["Versions"].as_array().expect("versions").iter();
            versions.find(|version| version["VersionId"] == v(n)).expect("listed").get("LastAccessedDate").cloned()
        };
        (day(1), day(2), describe(&server, "a").await.get("LastAccessedDate").cloned())
    };
    assert_eq!(days().await, (None, None, None));
    get(&server, "a").await;
    server.clock.advance(TimeDelta::hours(14));
    get(&server, "a").await;
    assert_eq!(days().await, (None, Some(json!(TODAY)), Some(json!(TODAY))));
    // The next day begins at midnight UTC.
    server.clock.advance(TimeDelta::minutes(23));
    server.ok("GetSecretValue", json!({"SecretId": "a", "VersionStage": "AWSPREVIOUS"})).await;
    let tomorrow = json!(TODAY + 86_400);
    assert_eq!(days().await, (Some(tomorrow.clone()), Some(json!(TODAY)), Some(tomorrow)));
}

#[tokio::test]
async fn s2_3_a_value_has_the_date_of_its_version_and_all_its_labels() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    server.clock.advance(TimeDelta::seconds(10));
    put(&server, "a", 2, "second", Some(&["two", "one"])).await;
    let by_label = server.ok("GetSecretValue", json!({"SecretId": "a", "VersionStage": "one"})).await;
    let expected = json!({
        "ARN": arn, "Name": "a", "VersionId": v(2), "SecretString": "second", "VersionStages": ["one", "two"],
        "CreatedDate": 1_773_135_430.123,
    });
    assert_eq!(by_label, expected);
    let both = json!({"SecretId": "a", "VersionId": v(2), "VersionStage": "two"});
    assert_eq!(server.ok("GetSecretValue", both).await, expected);
    assert_eq!(get(&server, "a").await["CreatedDate"], json!(1_773_135_420.123));
    assert_eq!(describe(&server, "a").await["CreatedDate"], json!(1_773_135_420.123));
}

#[tokio::test]
async fn s2_3_a_secret_without_value_finds_neither_version_nor_label() {
    let server = Server::start().await;
    server.ok("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(1)})).await;
    let label =
        |label: &str| format!("Secrets Manager can't find the specified secret value for staging label: {label}");
    for (body, message) in [
        (json!({"SecretId": "a"}), label("AWSCURRENT")),
        (json!({"SecretId": "a", "VersionStage": "AWSPENDING"}), label("AWSPENDING")),
        (
            json!({"SecretId": "a", "VersionId": v(5)}),
            format!("Secrets Manager can't find the specified secret value for VersionId: {}", v(5)),
        ),
    ] {
        server.refused("GetSecretValue", body, "ResourceNotFoundException", &message).await;
    }
}

#[tokio::test]
async fn s2_4_updating_nothing_succeeds_and_changes_nothing() {
    let server = Server::start().await;
    server.create("a").await;
    let before = describe(&server, "a").await;
    server.clock.advance(TimeDelta::seconds(5));
    let updated = server.ok("UpdateSecret", json!({"SecretId": "a", "ClientRequestToken": v(2)})).await;
    assert_eq!(members(&updated), ["ARN", "Name"]);
    assert_eq!(describe(&server, "a").await, before);
}

#[tokio::test]
async fn s2_4_an_update_makes_a_version_only_where_it_brings_a_value() {
    let server = Server::start().await;
    server.create("a").await;
    let update = async |n: u32, changes: Value| {
        server.clock.advance(TimeDelta::seconds(1));
        let mut body = json!({"SecretId": "a", "ClientRequestToken": v(n)});
        body.as_object_mut().expect("an object").append(&mut changes.as_object().expect("an object").clone());
        let reply = server.ok("UpdateSecret", body).await;
        let shown = describe(&server, "a").await;
        (reply.get("VersionId").cloned(), shown["Description"].clone(), shown["VersionIdsToStages"].clone())
    };
    let (version, description, stages) = update(2, json!({"Description": "MyDescription"})).await;
    assert_eq!((version, description), (None, json!("MyDescription")));
    assert_eq!(stages, json!({v(1): ["AWSCURRENT"]}));
    let (version, description, stages) = update(3, json!({"Description": "New", "SecretString": "two"})).await;
    assert_eq!((version, description), (Some(json!(v(3))), json!("New")));
    assert_eq!(stages, json!({v(1): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]}));
    let (version, description, stages) = update(4, json!({"SecretString": "three"})).await;
    assert_eq!((version, description), (Some(json!(v(4))), json!("New")));
    assert_eq!(stages, json!({v(3): ["AWSPREVIOUS"], v(4): ["AWSCURRENT"]}));
}

#[tokio::test]
async fn s2_4_an_equal_value_is_a_new_version_and_a_change_all_the_same() {
    let server = Server::start().await;
    server.create("a").await;
    let mut changed = describe(&server, "a").await["LastChangedDate"].as_f64().expect("a date");
    for (n, op) in [(2, "UpdateSecret"), (3, "PutSecretValue"), (4, "UpdateSecret")] {
        server.clock.advance(TimeDelta::milliseconds(1));
        server.ok(op, json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretString": "value-1"})).await;
        let now = describe(&server, "a").await["LastChangedDate"].as_f64().expect("a date");
        assert!(now > changed, "{op}");
        changed = now;
        assert_eq!(server.stages("a").await, json!({v(n - 1): ["AWSPREVIOUS"], v(n): ["AWSCURRENT"]}));
    }
    let previous = server.ok("GetSecretValue", json!({"SecretId": "a", "VersionStage": "AWSPREVIOUS"})).await;
    assert_eq!(previous["SecretString"], get(&server, "a").await["SecretString"]);
}

#[tokio::test]
async fn s2_4_a_repeated_put_changes_nothing_and_shows_the_labels_as_they_are() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let before = describe(&server, "a").await;
    server.clock.advance(TimeDelta::seconds(5));
    let again = put(&server, "a", 1, "value-1", None).await;
    assert_eq!(again, json!({"ARN": arn, "Name": "a", "VersionId": v(1), "VersionStages": ["AWSCURRENT"]}));
    assert_eq!(describe(&server, "a").await, before);
    let update = json!({"SecretId": "a", "ClientRequestToken": v(1), "SecretString": "value-1"});
    assert_eq!(server.ok("UpdateSecret", update).await, json!({"ARN": arn, "Name": "a", "VersionId": v(1)}));
    assert_eq!(describe(&server, "a").await, before);
}

#[tokio::test]
async fn s2_4_binary_values_are_written_over_and_over() {
    let server = Server::start().await;
    let body = |n: u32, blob: &str| json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretBinary": blob});
    server.ok("CreateSecret", json!({"Name": "a", "ClientRequestToken": v(1), "SecretBinary": "Zm9vdGVzdA=="})).await;
    for (n, blob) in [(2, "Zm9vdGVzdDI="), (3, "Zm9vdGVzdDM=")] {
        server.ok("PutSecretValue", body(n, blob)).await;
        let value = get(&server, "a").await;
        assert_eq!((&value["SecretBinary"], &value["VersionId"]), (&json!(blob), &json!(v(n))));
        assert_eq!(members(&value), ["ARN", "CreatedDate", "Name", "SecretBinary", "VersionId", "VersionStages"]);
    }
}
