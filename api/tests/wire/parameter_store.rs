//! Secrets as parameters: the two operations of Parameter Store that clients read them by.

use engine::port::Clock;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, new_key, request_for, v};
use crate::log::Log;

const PATH: &str = "/aws/reference/secretsmanager/";

async fn get(server: &Server, tail: &str) -> Answer {
    let body = json!({"Name": format!("{PATH}{tail}"), "WithDecryption": true});
    server.call_ssm("GetParameter", &body, &server.key).await
}

async fn parameter(server: &Server, tail: &str) -> Value {
    let answer = get(server, tail).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["Parameter"].clone()
}

fn not_found(name: &str) -> Value {
    let message = format!(
        "An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {PATH}{name} not found."
    );
    json!({"__type": "ParameterNotFound", "message": message})
}

#[tokio::test]
async fn s14_a_secret_is_a_parameter_under_its_full_path() {
    let server = Server::start().await;
    let arn = server.create("db/a").await;
    let mut found = parameter(&server, "db/a").await;
    let source: Value = serde_json::from_str(found["SourceResult"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        source,
        json!({
            "ARN": arn, "name": "db/a", "versionId": v(1), "secretString": "value-1",
            "versionStages": ["AWSCURRENT"], "createdDate": 1_773_135_420.123,
        })
    );
    found.as_object_mut().expect("an object").remove("SourceResult");
    assert_eq!(
        found,
        json!({
            "Name": format!("{PATH}db/a"), "Type": "SecureString", "Value": "value-1", "Version": 0, "ARN": arn,
            "LastModifiedDate": 1_773_135_420.123, "DataType": "text",
        })
    );
    let description = server.ok("DescribeSecret", json!({"SecretId": "db/a"})).await;
    assert_eq!(description["LastAccessedDate"], 1_773_100_800, "it was a read like any other");
}

#[tokio::test]
async fn s14_a_selector_is_a_label_or_a_version() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let label = "a.label-that_is-as-long-as-the-id-of-a-version";
    for (n, stages) in [(2, json!(["AWSCURRENT"])), (3, json!([label, "odd label"]))] {
        let value = format!("value-{n}");
        let put = json!({"SecretId": "a", "ClientRequestToken": v(n), "SecretString": value, "VersionStages": stages});
        server.ok("PutSecretValue", put).await;
    }
    for id in ["a", arn.as_str()] {
        for (selector, value) in [
            ("AWSPREVIOUS", "value-1"),
            ("AWSCURRENT", "value-2"),
            (v(1).as_str(), "value-1"),
            (v(3).as_str(), "value-3"),
            (label, "value-3"),
        ] {
            let found = parameter(&server, &format!("{id}:{selector}")).await;
            assert_eq!(found["Value"], value, "{id}:{selector}");
            assert_eq!(found["Selector"], format!(":{selector}"));
            assert_eq!(found["Name"], format!("{PATH}{id}"));
        }
        assert_eq!(parameter(&server, id).await.get("Selector"), None);
        for selector in ["NONE", "", "odd label", v(9).as_str()] {
            assert_eq!(get(&server, &format!("{id}:{selector}")).await.json(), not_found(id), "{selector}");
        }
    }
}

#[tokio::test]
async fn s14_without_decryption_there_is_nothing_to_give() {
    let server = Server::start().await;
    server.create("a").await;
    let message = "WithDecryption flag must be True for retrieving a Secret Manager secret.";
    let name = format!("{PATH}a");
    for (op, body) in [
        ("GetParameter", json!({ "Name": name })),
        ("GetParameter", json!({"Name": name, "WithDecryption": false})),
        ("GetParameters", json!({"Names": [name]})),
    ] {
        let answer = server.call_ssm(op, &body, &server.key).await;
        assert_eq!(answer.json(), json!({"__type": "ValidationException", "message": message}), "{body}");
        assert_eq!(answer.status, 400);
    }
}

#[tokio::test]
async fn s14_what_is_no_secret_is_no_parameter() {
    let server = Server::start().await;
    let answer = get(&server, "never").await;
    assert_eq!((answer.status, answer.json()), (400, not_found("never")));
    assert_eq!(get(&server, "a b").await.json(), not_found("a b"));
    for name in ["/app/setting", "setting", PATH] {
        let answer = server.call_ssm("GetParameter", &json!({"Name": name, "WithDecryption": true}), &server.key).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("ParameterNotFound")), "{name}");
    }
    server.create("gone").await;
    server.ok("DeleteSecret", json!({"SecretId": "gone"})).await;
    let answer = get(&server, "gone").await.json();
    assert_eq!(answer["__type"], "ValidationException");
    assert!(answer["message"].as_str().is_some_and(|message| message.contains("marked for deletion")), "{answer}");
}

#[tokio::test]
async fn s14_several_parameters_list_those_that_are_none() {
    let server = Server::start().await;
    server.create("a").await;
    server.ok("CreateSecret", json!({"Name": "b", "ClientRequestToken": v(1), "SecretBinary": "eA=="})).await;
    let names = json!([format!("{PATH}a"), "/other", format!("{PATH}never"), format!("{PATH}b:AWSCURRENT")]);
    let body = json!({"Names": names, "WithDecryption": true});
    let answer = server.call_ssm("GetParameters", &body, &server.key).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reply = answer.json();
    assert_eq!(reply["InvalidParameters"], json!(["/other", format!("{PATH}never")]));
    let values: Vec<_> = reply["Parameters"].as_array().expect("a list").iter().map(|found| &found["Value"]).collect();
    assert_eq!(values, ["value-1", "eA=="]);
    for names in [json!([]), json!(vec!["x"; 11]), json!([""])] {
        let body = json!({"Names": names, "WithDecryption": true});
        let answer = server.call_ssm("GetParameters", &body, &server.key).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("ValidationException")), "{body}");
    }
    for (op, member) in [("GetParameter", "name"), ("GetParameters", "names")] {
        let answer = server.call_ssm(op, &json!({}), &server.key).await;
        let message = format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(answer.json(), json!({"__type": "ValidationException", "message": message}));
    }
}

#[tokio::test]
async fn s14_whoever_may_not_read_the_secret_may_not_read_the_parameter() {
    let server = Server::start().await;
    server.create("a").await;
    let nobody = new_key(&server.store, "nobody", server.clock.now()).await;
    for (op, body) in [
        ("GetParameter", json!({"Name": format!("{PATH}a"), "WithDecryption": true})),
        ("GetParameters", json!({"Names": [format!("{PATH}a")], "WithDecryption": true})),
    ] {
        let answer = server.call_ssm(op, &body, &nobody).await;
        let reply = answer.json();
        assert_eq!((answer.status, &reply["__type"]), (400, &json!("AccessDeniedException")), "{op}");
        assert!(reply["message"].is_string() && !answer.text().contains("value-1"));
    }
}

#[tokio::test]
async fn s14_a_signature_for_the_other_service_is_refused() {
    let server = Server::start().await;
    server.create("a").await;
    let body = json!({"Name": format!("{PATH}a"), "WithDecryption": true}).to_string();
    for (service, target) in [
        ("secretsmanager", "AmazonSSM.GetParameter"),
        ("ssm", "secretsmanager.ListSecrets"),
        ("ssm", "pawl.ListAccessKeys"),
    ] {
        let request = request_for(service, target, body.as_bytes(), &server.key, server.clock.now());
        let answer = server.send(request).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidSignatureException")), "{target}");
    }
}

#[tokio::test]
async fn s14_no_value_reaches_a_log_however_it_is_read() {
    let log = Log::of_this_process();
    let server = Server::start().await;
    let create = json!({"Name": "a", "ClientRequestToken": v(1), "SecretString": "canary-91c4"});
    server.ok("CreateSecret", create).await;
    assert!(get(&server, "a").await.text().contains("canary-91c4"));
    let names = json!({"Names": [format!("{PATH}a"), format!("{PATH}b")], "WithDecryption": true});
    let several = server.call_ssm("GetParameters", &names, &server.key).await;
    assert!(several.text().contains("canary-91c4"));
    let batch = server.call("BatchGetSecretValue", json!({"SecretIdList": ["a", "b"]})).await;
    assert!(batch.text().contains("canary-91c4"));
    let log = log.text();
    for op in ["ssm:GetParameter", "ssm:GetParameters", "BatchGetSecretValue"] {
        assert!(log.contains(&format!("op=\"{op}\"")), "{op} is logged: {log}");
    }
    assert!(!log.contains("canary"), "{log}");
}
