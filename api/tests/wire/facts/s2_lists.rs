//! Sections 2.7 to 2.10: lists, filters, versions.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::facts::{members, put};
use crate::harness::{Server, v};

/// The names that a list with one filter shows, in its order.
async fn found(server: &Server, key: &str, values: &[&str]) -> Vec<String> {
    filtered(server, &[(key, values)]).await
}

async fn filtered(server: &Server, filters: &[(&str, &[&str])]) -> Vec<String> {
    let filter = |(key, values): &(&str, &[&str])| json!({"Key": key, "Values": values});
    let query = json!({"Filters": filters.iter().map(filter).collect::<Vec<_>>()});
    let reply = server.ok("ListSecrets", query).await;
    let list = reply["SecretList"].as_array().expect("a list");
    list.iter().map(|secret| secret["Name"].as_str().expect("a name").to_owned()).collect()
}

async fn create(server: &Server, name: &str, more: Value) {
    let mut body = json!({"Name": name, "ClientRequestToken": v(1), "SecretString": "secret"});
    body.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
    server.ok("CreateSecret", body).await;
}

/// Four secrets that differ in the first letter of the name and in the words of the description.
async fn four() -> Server {
    let server = Server::start().await;
    for (name, description) in [
        ("testing1/one", "a secret"),
        ("/testing2/two", "an secret"),
        ("testing3/three", "asecret"),
        ("/testing4/four", "thesecret"),
    ] {
        create(&server, name, json!({"Description": description})).await;
    }
    server
}

const ONE: &str = "testing1/one";
const TWO: &str = "/testing2/two";
const THREE: &str = "testing3/three";
const FOUR: &str = "/testing4/four";

#[tokio::test]
async fn s2_8_a_name_filter_is_a_prefix_of_the_whole_name() {
    let server = four().await;
    for (value, expected) in [
        ("/", vec![TWO, FOUR]),
        ("!/", vec![ONE, THREE]),
        ("testing1 one", vec![]),
        ("Testing", vec![]),
        ("esting", vec![]),
        ("testing", vec![ONE, THREE]),
    ] {
        assert_eq!(found(&server, "name", &[value]).await, expected, "{value}");
    }
}

#[tokio::test]
async fn s2_8_a_description_filter_matches_beginnings_of_words() {
    let server = four().await;
    for (value, expected) in [
        ("a", vec![ONE, TWO, THREE]),
        ("!a", vec![FOUR]),
        ("a secret", vec![ONE, TWO]),
        ("A SECRET", vec![ONE, TWO]),
        ("!c", vec![ONE, TWO, THREE, FOUR]),
        ("ecret", vec![]),
    ] {
        assert_eq!(found(&server, "description", &[value]).await, expected, "{value}");
    }
}

#[tokio::test]
async fn s2_8_a_description_filter_matches_words_in_any_order() {
    let server = Server::start().await;
    for (name, description) in
        [("foo", "one two"), ("bar", "one and two"), ("baz", "one"), ("qux", "two"), ("none", "unrelated")]
    {
        create(&server, name, json!({"Description": description})).await;
    }
    for (value, expected) in [
        ("one two", vec!["foo", "bar"]),
        ("two one", vec!["foo", "bar"]),
        ("o t", vec!["foo", "bar"]),
        ("t", vec!["foo", "bar", "qux"]),
        ("!o", vec!["qux", "none"]),
    ] {
        assert_eq!(found(&server, "description", &[value]).await, expected, "{value}");
    }
    // Values of one filter are alternatives, a negated one among them.
    assert_eq!(found(&server, "description", &["one", "!two"]).await, ["foo", "bar", "baz", "none"]);
    assert_eq!(found(&server, "name", &["foo", "bar"]).await, ["foo", "bar"]);
}

#[tokio::test]
async fn s2_8_filters_are_anded_even_where_they_have_one_key() {
    let server = Server::start().await;
    for (name, description) in [("foo", "one two"), ("bar", "one"), ("baz", "two"), ("qux", "unrelated")] {
        create(&server, name, json!({"Description": description})).await;
    }
    assert_eq!(filtered(&server, &[("description", &["one"]), ("description", &["two"])]).await, ["foo"]);
    assert!(filtered(&server, &[("description", &["one"]), ("name", &["two"])]).await.is_empty());
    let server = Server::start().await;
    for (name, key, value) in
        [("foo", "right", "right"), ("bar", "right", "wrong"), ("baz", "wrong", "right"), ("qux", "wrong", "wrong")]
    {
        create(&server, name, json!({"Tags": [{"Key": key, "Value": value}]})).await;
    }
    assert_eq!(filtered(&server, &[("tag-key", &["right"]), ("tag-value", &["right"])]).await, ["foo"]);
}

#[tokio::test]
async fn s2_8_all_looks_at_the_words_of_name_description_and_tags() {
    let server = Server::start().await;
    create(&server, "SecretOne1a2b3c", json!({})).await;
    create(&server, "SecretTwo1a2b3c", json!({"Description": "DescTwo"})).await;
    create(&server, "Thirdsecret1a2b3c", json!({})).await;
    create(&server, "SecretFTag1a2b3c", json!({"Tags": [{"Key": "1", "Value": "foo"}]})).await;
    create(&server, "SecretFValue1a2b3c", json!({"Tags": [{"Key": "foo", "Value": "v"}]})).await;
    create(&server, "none1a2b3c", json!({})).await;
    let [one, two, third, tag, value] =
        ["SecretOne1a2b3c", "SecretTwo1a2b3c", "Thirdsecret1a2b3c", "SecretFTag1a2b3c", "SecretFValue1a2b3c"];
    for (asked, expected) in [
        ("SecretOne", vec![one]),
        ("foo", vec![tag, value]),
        ("Secret", vec![one, two, tag, value]),
        ("secret", vec![one, two, tag, value]),
        ("sec", vec![one, two, tag, value]),
        ("ret", vec![]),
        ("SomeSecret", vec![]),
        ("d", vec![two]),
        ("d t", vec![two]),
        ("t", vec![two, third, tag]),
    ] {
        assert_eq!(found(&server, "all", &[asked]).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn s2_8_all_splits_at_one_special_character_and_at_changes_of_case() {
    let server = Server::start().await;
    let split: Vec<String> = ["/", "_", "+", "=", ".", "@", "-"].map(|c| format!("prod{c}AppBeta{c}3f9a1c")).into();
    for name in &split {
        create(&server, name, json!({})).await;
    }
    let (full, partial) = ("uat/COMPANY/3f9a1c", "uat/COMPANYthings/3f9a1c");
    for name in [full, partial, "prod-AppBeta/3f9a1c"] {
        create(&server, name, json!({})).await;
    }
    let mut all: Vec<&str> = split.iter().map(String::as_str).collect();
    assert_eq!(found(&server, "all", &["AppBeta"]).await, all);
    assert_eq!(found(&server, "all", &["Beta"]).await, all);
    all.extend([full, partial]);
    for (asked, expected) in [
        ("+", vec![]),
        ("3f9a1c", all),
        ("company", vec![full]),
        ("things", vec![]),
        ("Ythings", vec![partial]),
        ("N", vec![]),
        ("pany", vec![]),
    ] {
        assert_eq!(found(&server, "all", &[asked]).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn s2_8_no_secret_here_has_an_owning_service_or_a_primary_region() {
    let server = four().await;
    for key in ["owning-service", "primary-region"] {
        assert!(found(&server, key, &["rds", "us-east-1"]).await.is_empty(), "{key}");
    }
}

#[tokio::test]
async fn s2_8_what_is_no_filter_is_refused() {
    let server = Server::start().await;
    let query = |filter: Value| json!({"Filters": [filter]});
    let values = |values: Vec<String>| query(json!({"Key": "name", "Values": values}));
    for (body, code) in [
        (query(json!({"Values": ["x"]})), "InvalidParameterException"),
        (query(json!({"Key": "description"})), "InvalidParameterException"),
        (query(json!({"Key": "description", "Values": []})), "ValidationException"),
        (query(json!({"Key": "invalid", "Values": ["x"]})), "ValidationException"),
        (values(vec!["a".to_owned(); 11]), "ValidationException"),
        (values(vec!["a".repeat(513)]), "ValidationException"),
        (values(vec!["a*".to_owned()]), "ValidationException"),
        (json!({"Filters": vec![json!({"Key": "name", "Values": ["a"]}); 11]}), "ValidationException"),
    ] {
        assert_eq!(super::code(&server, "ListSecrets", body.clone()).await, code, "{body}");
    }
    server.ok("ListSecrets", values(vec!["a".repeat(512); 10])).await;
}

#[tokio::test]
async fn s2_7_a_page_token_serves_its_own_query_and_no_other_text_does() {
    let server = four().await;
    let query = json!({"MaxResults": 1, "SortBy": "name"});
    let reply = server.ok("ListSecrets", query.clone()).await;
    let token = reply["NextToken"].as_str().expect("a token").to_owned();
    assert!((1..=4096).contains(&token.len()));
    let with = |mut query: Value, token: &str| {
        query["NextToken"] = json!(token);
        query
    };
    let next = server.ok("ListSecrets", with(query.clone(), &token)).await;
    assert_eq!(next["SecretList"][0]["Name"], FOUR);
    // The size of a page is no part of the query.
    let rest = server.ok("ListSecrets", with(json!({"MaxResults": 100, "SortBy": "name"}), &token)).await;
    assert_eq!(rest["SecretList"].as_array().map(Vec::len), Some(3));
    let last = token.len() - 1;
    let changed = format!("{}{}", &token[..last], if token.ends_with('0') { "1" } else { "0" });
    for other in [
        with(query.clone(), &changed),
        with(query.clone(), &token[2..]),
        with(query.clone(), &token.to_uppercase()),
        with(json!({"MaxResults": 1, "SortBy": "created-date"}), &token),
        with(json!({"MaxResults": 1, "SortBy": "name", "SortOrder": "desc"}), &token),
        with(json!({"MaxResults": 1, "SortBy": "name", "IncludePlannedDeletion": true}), &token),
    ] {
        assert_eq!(super::code(&server, "ListSecrets", other.clone()).await, "InvalidNextTokenException", "{other}");
    }
}

#[tokio::test]
async fn s2_7_a_page_has_a_hundred_secrets_where_nobody_says_how_many() {
    let server = Server::start().await;
    for n in 0..101 {
        create(&server, &format!("s{n:03}"), json!({})).await;
    }
    let first = server.ok("ListSecrets", json!({})).await;
    assert_eq!(first["SecretList"].as_array().map(Vec::len), Some(100));
    let second = server.ok("ListSecrets", json!({"NextToken": first["NextToken"]})).await;
    assert_eq!(members(&second), ["SecretList"]);
    assert_eq!(second["SecretList"][0]["Name"], "s100");
    for max in [0, 101] {
        assert_eq!(super::code(&server, "ListSecrets", json!({"MaxResults": max})).await, "ValidationException");
    }
}

#[tokio::test]
async fn s2_10_a_page_token_of_versions_belongs_to_its_secret_and_query() {
    let server = Server::start().await;
    for name in ["a", "b"] {
        server.create(name).await;
        put(&server, name, 2, "x", None).await;
    }
    let query = json!({"SecretId": "a", "MaxResults": 1});
    let first = server.ok("ListSecretVersionIds", query).await;
    assert_eq!(members(&first), ["ARN", "Name", "NextToken", "Versions"]);
    let token = first["NextToken"].as_str().expect("a token");
    let rest = server.ok("ListSecretVersionIds", json!({"SecretId": "a", "NextToken": token})).await;
    assert_eq!((members(&rest), rest["Versions"].as_array().map(Vec::len)), (vec!["ARN", "Name", "Versions"], Some(1)));
    assert_ne!(rest["Versions"][0]["VersionId"], first["Versions"][0]["VersionId"]);
    for other in [
        json!({"SecretId": "b", "NextToken": token}),
        json!({"SecretId": "a", "NextToken": token, "IncludeDeprecated": true}),
        json!({"SecretId": "a", "NextToken": token.replace('0', "1")}),
    ] {
        let code = super::code(&server, "ListSecretVersionIds", other.clone()).await;
        assert_eq!(code, "InvalidNextTokenException", "{other}");
    }
    assert_eq!(super::code(&server, "ListSecrets", json!({"NextToken": token})).await, "InvalidNextTokenException");
}

/// Versions by id: the labels, or None where the member is absent.
async fn versions(server: &Server, deprecated: bool) -> Value {
    let mut body = json!({"SecretId": "a"});
    if deprecated {
        body["IncludeDeprecated"] = json!(true);
    }
    let reply = server.ok("ListSecretVersionIds", body).await;
    assert_eq!(members(&reply), ["ARN", "Name", "Versions"]);
    let mut shown = json!({});
    for version in reply["Versions"].as_array().expect("versions") {
        assert_eq!(version["KmsKeyIds"], json!(["DefaultEncryptionKey"]));
        assert!(version["CreatedDate"].is_number() && version.get("LastAccessedDate").is_none());
        let id = version["VersionId"].as_str().expect("an id");
        shown[id] = version.get("VersionStages").cloned().unwrap_or_else(|| json!("none"));
    }
    shown
}

#[tokio::test]
async fn s2_10_versions_without_labels_are_listed_only_with_the_deprecated() {
    let server = Server::start().await;
    server.create("a").await;
    assert_eq!(versions(&server, false).await, json!({v(1): ["AWSCURRENT"]}));
    for n in 2..5 {
        server.clock.advance(TimeDelta::seconds(1));
        put(&server, "a", n, "x", None).await;
        assert_eq!(versions(&server, false).await, json!({v(n - 1): ["AWSPREVIOUS"], v(n): ["AWSCURRENT"]}));
    }
    let all = json!({v(1): "none", v(2): "none", v(3): ["AWSPREVIOUS"], v(4): ["AWSCURRENT"]});
    assert_eq!(versions(&server, true).await, all);
}
