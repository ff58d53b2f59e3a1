//! BatchGetSecretValue: several secrets in one answer, each read as if it were asked for alone.

use serde_json::{Value, json};

use crate::harness::{Server, v};

const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";

fn names(reply: &Value) -> Vec<&str> {
    let values = reply["SecretValues"].as_array().expect("a list");
    values.iter().map(|value| value["Name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn s2_9_entries_are_what_get_secret_value_answers() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    server.ok("CreateSecret", json!({"Name": "b", "ClientRequestToken": v(1), "SecretBinary": "eA=="})).await;
    let reply = server.ok("BatchGetSecretValue", json!({"SecretIdList": [arn, "b"]})).await;
    let expected = [
        server.ok("GetSecretValue", json!({"SecretId": "a"})).await,
        server.ok("GetSecretValue", json!({"SecretId": "b"})).await,
    ];
    assert_eq!(reply, json!({"SecretValues": expected, "Errors": []}));
}

#[tokio::test]
async fn s2_9_only_awscurrent_is_read_and_the_day_of_access_moves() {
    let server = Server::start().await;
    server.create("a").await;
    server.ok("PutSecretValue", json!({"SecretId": "a", "ClientRequestToken": v(2), "SecretString": "two"})).await;
    let reply = server.ok("BatchGetSecretValue", json!({"SecretIdList": ["a"]})).await;
    assert_eq!(
        (&reply["SecretValues"][0]["SecretString"], reply["SecretValues"][0]["VersionId"].as_str()),
        (&json!("two"), Some(v(2).as_str()))
    );
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert_eq!(description["LastAccessedDate"], 1_773_100_800);
}

#[tokio::test]
async fn s2_9_what_cannot_be_read_is_an_entry_beside_the_rest() {
    let server = Server::start().await;
    server.create("a").await;
    server.create("gone").await;
    server.ok("DeleteSecret", json!({"SecretId": "gone"})).await;
    server.ok("CreateSecret", json!({"Name": "empty", "ClientRequestToken": v(1)})).await;
    let ids = json!(["never", "a", "gone", "empty", "a b"]);
    let reply = server.ok("BatchGetSecretValue", json!({ "SecretIdList": ids })).await;
    assert_eq!(names(&reply), ["a"]);
    let entry = |id: &str, code: &str, message: &str| json!({"SecretId": id, "ErrorCode": code, "Message": message});
    assert_eq!(
        reply["Errors"],
        json!([
            entry("never", "ResourceNotFoundException", NOT_FOUND),
            entry(
                "gone",
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion."
            ),
            entry(
                "empty",
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
            ),
            entry("a b", "ResourceNotFoundException", NOT_FOUND),
        ])
    );
}

#[tokio::test]
async fn s2_9_filters_lead_through_pages() {
    let server = Server::start().await;
    for name in ["app/a", "app/b", "web", "app/c"] {
        server.create(name).await;
    }
    server.ok("CreateSecret", json!({"Name": "app/empty", "ClientRequestToken": v(1)})).await;
    let mut query = json!({"Filters": [{"Key": "name", "Values": ["app/"]}], "MaxResults": 2});
    let first = server.ok("BatchGetSecretValue", query.clone()).await;
    assert_eq!(names(&first), ["app/a", "app/b"]);
    query["NextToken"] = first["NextToken"].clone();
    let second = server.ok("BatchGetSecretValue", query.clone()).await;
    assert_eq!(names(&second), ["app/c"]);
    assert_eq!(second["Errors"][0]["ErrorCode"], "ResourceNotFoundException", "matched, and has no value");
    assert!(second.get("NextToken").is_none());
    query["NextToken"] = json!("bogus");
    let answer = server.call("BatchGetSecretValue", query).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidNextTokenException")));
}

#[tokio::test]
async fn s2_9_more_than_twenty_matches_have_a_next_page() {
    let server = Server::start().await;
    for n in 0..21 {
        server.create(&format!("s{n:02}")).await;
    }
    let filters = json!([{"Key": "name", "Values": ["s"]}]);
    let first = server.ok("BatchGetSecretValue", json!({ "Filters": filters })).await;
    assert_eq!(names(&first).len(), 20);
    let second = json!({"Filters": filters, "NextToken": first["NextToken"]});
    assert_eq!(names(&server.ok("BatchGetSecretValue", second).await), ["s20"]);
}

#[tokio::test]
async fn s2_9_a_list_or_filters_must_be_given_and_not_both() {
    let server = Server::start().await;
    let filters = json!([{"Key": "name", "Values": ["a"]}]);
    let either = "Either 'SecretIdList' or 'Filters' must be provided, but not both.";
    let only = |member: &str| {
        format!("'Filters' not specified. 'Filters' must also be specified when '{member}' is provided.")
    };
    for (body, message) in [
        (json!({}), either.to_owned()),
        (json!({"Filters": []}), either.to_owned()),
        (json!({"SecretIdList": ["a"], "Filters": filters}), either.to_owned()),
        (json!({"SecretIdList": ["a"], "MaxResults": 5}), only("MaxResults")),
        (json!({"SecretIdList": ["a"], "NextToken": "x"}), only("NextToken")),
        (json!({"Filters": [{"Values": ["a"]}]}), "Invalid filter key".to_owned()),
    ] {
        server.refused("BatchGetSecretValue", body, "InvalidParameterException", &message).await;
    }
    for body in [
        json!({"SecretIdList": []}),
        json!({"SecretIdList": vec!["a"; 21]}),
        json!({"SecretIdList": [""]}),
        json!({"Filters": filters, "MaxResults": 21}),
        json!({"Filters": [{"Key": "size", "Values": ["a"]}]}),
    ] {
        let answer = server.call("BatchGetSecretValue", body.clone()).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("ValidationException")), "{body}");
    }
}
