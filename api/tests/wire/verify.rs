//! Looks at a target, and the ways back: what each operation takes, refuses and answers. Nobody is at the other end; the
//! workbench of these tests answers by the secret's name.

use serde_json::{Value, json};
use store::Role;

use crate::harness::{Server, v};

/// The value of an account of its own: no two secrets of one are rotated.
fn connection(name: &str) -> String {
    json!({"engine": "postgres", "host": "db", "username": name, "password": "value-1"}).to_string()
}

fn of(name: &str) -> Value {
    json!({ "SecretId": name })
}

/// A secret that is rotated by schedule, with two versions.
async fn enabled(server: &Server, name: &str) -> Value {
    let first = json!({"Name": name, "ClientRequestToken": v(1), "SecretString": connection(name)});
    server.ok("CreateSecret", first).await;
    let second = connection(name).replace("value-1", "value-2");
    server.ok("PutSecretValue", json!({"SecretId": name, "ClientRequestToken": v(2), "SecretString": second})).await;
    server.ok("pawl.EnableRotation", json!({"SecretId": name, "ScheduleExpression": "rate(30 days)"})).await
}

async fn history(server: &Server, name: &str) -> Vec<(String, String)> {
    let answer = server.ok("pawl.ListRotationHistory", of(name)).await;
    let word = |entry: &Value, member: &str| entry[member].as_str().unwrap_or_default().to_owned();
    let entries = answer["History"].as_array().expect("a list").clone();
    entries.iter().map(|entry| (word(entry, "Kind"), word(entry, "Message"))).collect()
}

#[tokio::test]
async fn verify_says_who_logs_in_and_what_to_do() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    let view = server.ok("pawl.VerifyRotation", of("db")).await;
    assert_eq!((&view["State"], &view["Verified"]["Answer"]), (&json!("idle"), &json!("current-logs-in")));
    assert_eq!((&view["Verified"]["Drifted"], view["Verified"].get("Remedy")), (&json!(false), None));
    assert!(view["NextVerifyDate"].is_number(), "{view}");

    enabled(&server, "drifted").await;
    let view = server.ok("pawl.VerifyRotation", of("drifted")).await;
    let verified = &view["Verified"];
    assert_eq!((&view["State"], &verified["Drifted"]), (&json!("drifted"), &json!(true)), "{view}");
    assert_eq!((&verified["Answer"], &verified["Role"]), (&json!("another-logs-in"), &json!("AWSPREVIOUS")));
    assert!(verified["Remedy"].as_str().is_some_and(|remedy| remedy.contains("pawl rotation reconcile drifted")));
    assert_eq!(server.ok("pawl.DescribeRotation", of("drifted")).await["State"], "drifted", "it is remembered");
    assert!(history(&server, "drifted").await.iter().any(|(kind, _)| kind == "drifted"));
}

#[tokio::test]
async fn a_target_that_is_away_is_no_drift_and_is_said() {
    let server = Server::start().await;
    enabled(&server, "away").await;
    let view = server.ok("pawl.VerifyRotation", of("away")).await;
    assert_eq!(view["State"], "idle");
    assert_eq!(view["NotVerified"]["Message"], "The server is away.");
    assert!(view.get("Verified").is_none(), "nothing is known: {view}");
}

#[tokio::test]
async fn reconciling_opens_what_sets_awscurrent_again_and_makes_no_version() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    let view = server.ok("pawl.ReconcileRotation", of("db")).await;
    assert_eq!((&view["Open"]["Reconciles"], &view["Open"]["VersionId"]), (&json!(true), &json!(v(2))), "{view}");
    let incomplete = "A previous rotation isn't complete. That rotation will be reattempted.";
    server.refused("pawl.ReconcileRotation", of("db"), "InvalidRequestException", incomplete).await;
    assert_eq!(server.call("pawl.VerifyRotation", of("db")).await.status, 400, "it is open");
    server.create("bare").await;
    assert_eq!(server.call("pawl.ReconcileRotation", of("bare")).await.status, 400, "nobody rotates it");
}

#[tokio::test]
async fn a_rollback_is_a_rotation_under_a_new_version() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    let same = json!({"SecretId": "db", "VersionId": v(2)});
    let words = format!("Version {} has the very value of AWSCURRENT: there is nothing to go back to.", v(2));
    server.refused("pawl.RollbackRotation", same, "InvalidRequestException", &words).await;
    let gone = json!({"SecretId": "db", "VersionId": v(7)});
    assert!(server.call("pawl.RollbackRotation", gone).await.text().contains("ResourceNotFoundException"));
    let back = json!({"SecretId": "db", "ClientRequestToken": v(3)});
    assert_eq!(server.ok("pawl.RollbackRotation", back.clone()).await["VersionId"], json!(v(3)));
    assert_eq!(server.ok("pawl.RollbackRotation", back).await["VersionId"], json!(v(3)), "the same request");
    let view = server.ok("pawl.DescribeRotation", of("db")).await;
    assert_eq!((&view["Open"]["VersionId"], &view["Open"]["Carries"]), (&json!(v(3)), &json!(v(1))), "{view}");
    server.create("bare").await;
    assert_eq!(server.call("pawl.RollbackRotation", of("bare")).await.status, 400, "nobody rotates it");
}

#[tokio::test]
async fn only_a_grace_can_be_ended() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    let words = "No credential waits to be retired.";
    server.refused("pawl.EndGrace", of("db"), "InvalidRequestException", words).await;
}

#[tokio::test]
async fn check_shows_what_was_found_the_statements_and_the_next_five_times() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    let report = server.ok("pawl.CheckRotation", of("db")).await;
    assert_eq!((&report["Name"], &report["Passes"]), (&json!("db"), &json!(true)), "{report}");
    assert_eq!(report["Windows"].as_array().map(Vec::len), Some(5));
    assert_eq!(report["Findings"][0]["Level"], "ok");
    assert_eq!(report["Statements"], json!(["ALTER ROLE app PASSWORD '…'"]));
    assert_eq!(server.ok("pawl.DescribeRotation", of("db")).await["State"], "idle", "nothing was begun");
}

#[tokio::test]
async fn enabling_looks_first_and_a_problem_refuses_unless_it_is_forced() {
    let server = Server::start().await;
    let create = |name: &str| json!({"Name": name, "ClientRequestToken": v(1), "SecretString": connection(name)});
    server.ok("CreateSecret", create("trusting")).await;
    let enable = json!({"SecretId": "trusting", "ScheduleExpression": "rate(30 days)"});
    let refused = server.call("pawl.EnableRotation", enable.clone()).await;
    let words = "A wrong password logs in (trust). What to do: change pg_hba.conf.";
    assert!(refused.status == 400 && refused.text().contains(words), "{}", refused.text());
    assert_eq!(server.ok("pawl.DescribeRotation", of("trusting")).await["RotationEnabled"], false);
    let mut forced = enable;
    forced["Force"] = json!(true);
    let view = server.ok("pawl.EnableRotation", forced).await;
    assert_eq!((&view["RotationEnabled"], &view["Findings"][0]["Code"]), (&json!(true), &json!("trust")), "{view}");
    let told = history(&server, "trusting").await;
    assert!(told.iter().any(|(kind, said)| kind == "forced" && said.contains("trust")), "{told:?}");
    // A server that cannot be reached just now stands in nobody's way, and is said.
    server.ok("CreateSecret", create("away")).await;
    let view = server.ok("pawl.EnableRotation", json!({"SecretId": "away"})).await;
    assert_eq!((&view["RotationEnabled"], &view["Findings"][0]["Code"]), (&json!(true), &json!("not-checked")));
    // Who enables a pair that took turns before keeps both of its accounts, unless something else is said.
    let pair = json!({"engine": "postgres", "host": "db", "username": "pair", "password": "p"}).to_string();
    server.ok("CreateSecret", json!({"Name": "pair", "ClientRequestToken": v(1), "SecretString": pair})).await;
    let view = server.ok("pawl.EnableRotation", json!({"SecretId": "pair"})).await;
    assert_eq!(view["Retire"], "at-grace-end", "{view}");
    let turns = json!({"SecretId": "pair", "Strategy": "alternating-users"});
    let view = server.ok("pawl.EnableRotation", turns).await;
    assert_eq!((&view["Retire"], &view["Findings"][0]["Code"]), (&json!("never"), &json!("keeps-both")), "{view}");
    let ended = json!({"SecretId": "pair", "Retire": "at-grace-end"});
    // So it is where a tag says it before rotation is enabled, by whichever call, and unless the tags say something else.
    let tagged = |name: &str, tags: serde_json::Value| {
        let value = pair.replace("\"pair\"", &format!("\"{name}\""));
        json!({"Name": name, "ClientRequestToken": v(1), "SecretString": value, "Tags": tags})
    };
    let turns = json!({"Key": "pawl:strategy", "Value": "alternating-users"});
    server.ok("CreateSecret", tagged("tagged", json!([turns]))).await;
    let view = server.ok("pawl.EnableRotation", of("tagged")).await;
    assert_eq!((&view["Retire"], &view["Findings"][0]["Code"]), (&json!("never"), &json!("keeps-both")), "{view}");
    server.ok("CreateSecret", tagged("rotated", json!([turns]))).await;
    server.ok("RotateSecret", json!({"SecretId": "rotated", "ClientRequestToken": v(2)})).await;
    assert_eq!(server.ok("pawl.DescribeRotation", of("rotated")).await["Retire"], "never");
    let told = history(&server, "rotated").await;
    assert!(told.iter().any(|(kind, said)| kind == "keeps-both" && said.contains("--retire at-grace-end")), "{told:?}");
    assert_eq!(server.ok("pawl.EnableRotation", ended).await["Retire"], "at-grace-end");
}

#[tokio::test]
async fn prepare_shows_unless_it_is_told_to_act() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    for (apply, undo, what) in
        [(false, false, "Show"), (true, false, "Apply"), (false, true, "ShowUndo"), (true, true, "Undo")]
    {
        let body = json!({"SecretId": "db", "Apply": apply, "Undo": undo});
        let answer = server.ok("pawl.PrepareRotation", body).await;
        assert_eq!(answer["Findings"][0]["Message"], format!("{what} of db by admin"), "{answer}");
    }
}

#[tokio::test]
async fn looks_and_ways_back_are_the_administrators() {
    let server = Server::start().await;
    enabled(&server, "db").await;
    let reader = server.key_of("service", Role::Reader, &["db"], &[]).await;
    let rotator = server.key_of("function", Role::Rotator, &[], &["db"]).await;
    for operation in ["Verify", "Reconcile", "Rollback", "Check", "Prepare"] {
        let target = format!("pawl.{operation}Rotation");
        for key in [&reader, &rotator] {
            let answer = server.signed(&target, of("db").to_string().as_bytes(), key).await;
            assert!(answer.text().contains("AccessDeniedException"), "{target}: {}", answer.text());
        }
    }
    let answer = server.signed("pawl.EndGrace", of("db").to_string().as_bytes(), &reader).await;
    assert!(answer.text().contains("AccessDeniedException"), "{}", answer.text());
}
