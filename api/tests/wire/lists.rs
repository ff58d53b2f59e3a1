//! ListSecrets and ListSecretVersionIds: pages, order, filters.

use serde_json::{Value, json};

use crate::harness::{Server, v};

async fn names(server: &Server, query: Value) -> Vec<String> {
    let reply = server.ok("ListSecrets", query).await;
    let list = reply["SecretList"].as_array().expect("a list");
    list.iter().map(|secret| secret["Name"].as_str().expect("a name").to_owned()).collect()
}

async fn three() -> Server {
    let server = Server::start().await;
    for (name, description, tag) in
        [("app/b", "Orders database", "prod"), ("app/a", "Billing", "test"), ("web", "Orders page", "prod")]
    {
        server
            .ok(
                "CreateSecret",
                json!({
                    "Name": name, "ClientRequestToken": v(1), "SecretString": "x", "Description": description,
                    "Tags": [{"Key": "env", "Value": tag}],
                }),
            )
            .await;
        server.clock.advance(chrono::TimeDelta::seconds(1));
    }
    server
}

#[tokio::test]
async fn s2_7_nothing_is_an_empty_list() {
    let server = Server::start().await;
    assert_eq!(server.call("ListSecrets", json!({})).await.text(), r#"{"SecretList":[]}"#);
}

#[tokio::test]
async fn s2_6_entries_name_the_map_of_versions_their_own_way() {
    let server = three().await;
    let reply = server.ok("ListSecrets", json!({"MaxResults": 1})).await;
    let entry = &reply["SecretList"][0];
    assert_eq!(entry["SecretVersionsToStages"], json!({ v(1): ["AWSCURRENT"] }));
    assert!(entry.get("VersionIdsToStages").is_none());
    assert!(reply["NextToken"].is_string());
}

#[tokio::test]
async fn s2_7_order_is_that_of_creation_unless_another_is_asked_for() {
    let server = three().await;
    for (query, expected) in [
        (json!({}), ["app/b", "app/a", "web"]),
        (json!({"SortOrder": "asc"}), ["app/b", "app/a", "web"]),
        (json!({"SortOrder": "desc"}), ["web", "app/a", "app/b"]),
        (json!({"SortBy": "name"}), ["app/a", "app/b", "web"]),
        (json!({"SortBy": "name", "SortOrder": "desc"}), ["web", "app/b", "app/a"]),
        (json!({"SortBy": "created-date"}), ["app/b", "app/a", "web"]),
    ] {
        assert_eq!(names(&server, query.clone()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn s2_7_pages_follow_one_another_without_gaps() {
    let server = three().await;
    let mut found = Vec::new();
    let mut query = json!({"MaxResults": 2, "SortBy": "name"});
    loop {
        let reply = server.ok("ListSecrets", query.clone()).await;
        let page = reply["SecretList"].as_array().expect("a list").clone();
        found.extend(page.into_iter().map(|secret| secret["Name"].clone()));
        match reply.get("NextToken") {
            Some(token) => query["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(found, ["app/a", "app/b", "web"]);
}

#[tokio::test]
async fn s2_8_filters_are_anded_and_their_values_ored() {
    let server = three().await;
    let by = |key: &str, values: &[&str]| json!({"Key": key, "Values": values});
    for (filters, expected) in [
        (vec![by("name", &["app/"])], vec!["app/a", "app/b"]),
        (vec![by("name", &["APP"])], vec![]),
        (vec![by("name", &["!app/"])], vec!["web"]),
        (vec![by("name", &["web", "app/a"])], vec!["app/a", "web"]),
        (vec![by("tag-value", &["prod"]), by("name", &["app/"])], vec!["app/b"]),
        (vec![by("tag-key", &["env"])], vec!["app/a", "app/b", "web"]),
        (vec![by("description", &["orders"])], vec!["app/b", "web"]),
        (vec![by("description", &["data ord"])], vec!["app/b"]),
    ] {
        let query = json!({"Filters": filters, "SortBy": "name"});
        assert_eq!(names(&server, query.clone()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn s2_8_filters_without_key_or_values_are_refused() {
    let server = three().await;
    for (filter, code) in [
        (json!({"Values": ["x"]}), "InvalidParameterException"),
        (json!({"Key": "name"}), "InvalidParameterException"),
        (json!({"Key": "invalid", "Values": ["x"]}), "ValidationException"),
        (json!({"Key": "name", "Values": ["a;b"]}), "ValidationException"),
    ] {
        let answer = server.call("ListSecrets", json!({"Filters": [filter]})).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!(code)), "{filter}");
    }
}

#[tokio::test]
async fn s2_7_planned_deletions_are_hidden_unless_asked_for() {
    let server = three().await;
    server.ok("DeleteSecret", json!({"SecretId": "web"})).await;
    assert_eq!(names(&server, json!({"SortBy": "name"})).await, ["app/a", "app/b"]);
    let reply = server.ok("ListSecrets", json!({"IncludePlannedDeletion": true})).await;
    let entries = reply["SecretList"].as_array().expect("a list");
    let deleted: Vec<_> = entries.iter().filter(|entry| entry["DeletedDate"].is_number()).collect();
    assert_eq!((entries.len(), deleted.len(), &deleted[0]["Name"]), (3, 1, &json!("web")));
}

#[tokio::test]
async fn s2_10_versions_come_in_pages_too() {
    let server = Server::start().await;
    server.create("a").await;
    for n in 2..6 {
        server.clock.advance(chrono::TimeDelta::seconds(1));
        server.ok("PutSecretValue", json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretString": "x"})).await;
    }
    let mut query = json!({"SecretId": "a", "IncludeDeprecated": true, "MaxResults": 2});
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let reply = server.ok("ListSecretVersionIds", query.clone()).await;
        pages += 1;
        let page = reply["Versions"].as_array().expect("versions").clone();
        assert!(page.len() <= 2);
        found.extend(page.iter().map(|version| version["VersionId"].as_str().expect("an id").to_owned()));
        match reply.get("NextToken") {
            Some(token) => query["NextToken"] = token.clone(),
            None => break,
        }
    }
    found.sort();
    assert_eq!(found, (1..6).map(v).collect::<Vec<_>>());
    assert!(pages >= 3);
}
