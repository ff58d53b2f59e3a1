//! RotateImmediately=false, by section 5.6 of the reference: testSecret on a temporary version, and nothing else.

use serde_json::{Value, json};

use crate::harness::{Server, v};

const CONNECTION: &str = r#"{"engine":"postgres","host":"db","username":"app","password":"value-1"}"#;
const INCOMPLETE: &str = "A previous rotation isn't complete. That rotation will be reattempted.";

async fn with_a_connection() -> Server {
    let server = Server::start().await;
    server.ok("CreateSecret", json!({"Name": "db", "ClientRequestToken": v(1), "SecretString": CONNECTION})).await;
    server
}

fn trial(token: u32) -> Value {
    json!({
        "SecretId": "db", "ClientRequestToken": v(token), "RotateImmediately": false,
        "RotationRules": {"AutomaticallyAfterDays": 30},
    })
}

async fn view(server: &Server) -> Value {
    server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await
}

#[tokio::test]
async fn s5_6_a_trial_shows_a_copy_of_the_value_under_awspending_and_takes_it_away_again() {
    let server = with_a_connection().await;
    let reply = server.ok("RotateSecret", trial(2)).await;
    assert_eq!((&reply["Name"], &reply["VersionId"]), (&json!("db"), &json!(v(2))));
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]}));
    let copy = server.ok("GetSecretValue", json!({"SecretId": "db", "VersionStage": "AWSPENDING"})).await;
    assert_eq!((&copy["VersionId"], &copy["SecretString"]), (&json!(v(2)), &json!(CONNECTION)));
    let open = view(&server).await;
    assert_eq!((&open["Open"]["Trial"], &open["Open"]["Step"]), (&json!(true), &json!("testSecret")));
    assert!(open.get("LastTest").is_none() && open["UnresolvedCandidates"] == 0, "{open}");

    server.end_trial(None).await;
    let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    assert_eq!(description["VersionIdsToStages"], json!({v(1): ["AWSCURRENT"]}));
    assert_eq!(description["RotationEnabled"], true);
    assert!(description.get("LastRotatedDate").is_none(), "{description}");
    let gone = server.call("GetSecretValue", json!({"SecretId": "db", "VersionId": v(2)})).await;
    assert_eq!((gone.status, &gone.json()["__type"]), (400, &json!("ResourceNotFoundException")));
    let test = &view(&server).await["LastTest"];
    assert_eq!((&test["Succeeded"], &test["VersionId"]), (&json!(true), &json!(v(2))));
}

#[tokio::test]
async fn s5_6_a_failed_trial_undoes_nothing_and_is_seen_in_the_history() {
    let server = with_a_connection().await;
    server.ok("RotateSecret", trial(2)).await;
    let next = server.ok("DescribeSecret", json!({"SecretId": "db"})).await["NextRotationDate"].clone();
    server.end_trial(Some("The target said no.")).await;
    let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    assert_eq!(description["RotationRules"], json!({"AutomaticallyAfterDays": 30}));
    assert_eq!((&description["RotationEnabled"], &description["NextRotationDate"]), (&json!(true), &next));
    let shown = view(&server).await;
    assert_eq!(shown["State"], "idle");
    assert_eq!(shown["LastTest"]["Succeeded"], false);
    assert_eq!(shown["LastTest"]["Message"], "The target said no.");
    let history = server.ok("pawl.ListRotationHistory", json!({"SecretId": "db"})).await;
    let kinds: Vec<_> = history["History"].as_array().expect("entries").iter().map(|entry| &entry["Kind"]).collect();
    assert_eq!(kinds, ["test-failed", "step", "test-requested"]);
}

#[tokio::test]
async fn s5_6_a_trial_counts_as_an_open_rotation_and_its_token_as_a_repeat() {
    let server = with_a_connection().await;
    server.ok("RotateSecret", trial(2)).await;
    assert_eq!(server.ok("RotateSecret", trial(2)).await["VersionId"], v(2));
    server.refused("RotateSecret", trial(3), "InvalidRequestException", INCOMPLETE).await;
    let at_once = json!({"SecretId": "db", "ClientRequestToken": v(3)});
    server.refused("RotateSecret", at_once.clone(), "InvalidRequestException", INCOMPLETE).await;
    server.end_trial(None).await;
    server.ok("RotateSecret", at_once).await;
    server.refused("RotateSecret", trial(4), "InvalidRequestException", INCOMPLETE).await;
}

#[tokio::test]
async fn s5_6_a_plain_write_and_a_cancellation_end_a_trial() {
    let server = with_a_connection().await;
    server.ok("RotateSecret", trial(2)).await;
    let put = json!({"SecretId": "db", "ClientRequestToken": v(3), "SecretString": CONNECTION});
    server.ok("PutSecretValue", put).await;
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]}));
    assert_eq!(view(&server).await["State"], "idle", "nothing was sent, so there is nothing to prove");
    server.ok("RotateSecret", trial(4)).await;
    let cancelled = server.ok("CancelRotateSecret", json!({"SecretId": "db"})).await;
    assert_eq!(cancelled["VersionId"], v(4));
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]}));
}
