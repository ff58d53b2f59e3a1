//! The installation as a whole: limits, a pause of everything, blackouts, a clock that jumped.

use chrono::TimeDelta;
use engine::port::Clock;
use engine::schedule::Limits;
use serde_json::{Value, json};
use store::ClockDoubt;

use crate::harness::{Server, v};

async fn with_a_secret() -> Server {
    let server = Server::with_limits(Limits::None).await;
    let value = r#"{"engine":"postgres","host":"h","port":5432,"username":"u","password":"p"}"#;
    server.ok("CreateSecret", json!({"Name": "s", "ClientRequestToken": v(1), "SecretString": value})).await;
    server.ok("pawl.EnableRotation", json!({"SecretId": "s", "ScheduleExpression": "rate(4 hours)"})).await;
    server
}

/// The call is refused with this error, whose message has these words in it.
async fn refused(server: &Server, op: &str, body: Value, code: &str, words: &str) {
    let answer = server.call(op, body).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!(code)), "{op}");
    assert!(answer.text().contains(words), "{op}: {}", answer.text());
}

/// The server's time and an hour on either side of it.
fn around(server: &Server) -> String {
    let form = "%Y-%m-%dT%H:%M:%SZ";
    let (from, to) = (server.clock.now() - TimeDelta::hours(1), server.clock.now() + TimeDelta::hours(1));
    format!("{}/{}", from.format(form), to.format(form))
}

#[tokio::test]
async fn limits_have_defaults_and_what_is_not_said_stays() {
    let server = Server::start().await;
    let shown = server.ok("pawl.DescribeLimits", json!({})).await;
    assert_eq!(
        shown,
        json!({"PerTarget": 4, "StartsPerMinute": 600, "TargetFailures": 5, "Blackouts": [], "Unreachable": []})
    );
    let freeze = "cron(0 18 ? * FRI *)/60h Europe/Berlin";
    let shown = server.ok("pawl.UpdateLimits", json!({"PerTarget": 0, "Blackouts": [freeze]})).await;
    assert_eq!((&shown["PerTarget"], &shown["StartsPerMinute"]), (&json!(0), &json!(600)));
    assert_eq!(shown["Blackouts"], json!([freeze]));
    assert_eq!(server.ok("pawl.UpdateLimits", json!({"Blackouts": []})).await["Blackouts"], json!([]));
    let bad = json!({"Blackouts": ["christmas"]});
    refused(&server, "pawl.UpdateLimits", bad, "InvalidParameterException", "is no blackout. It is START/END").await;
    let bad = json!({"PerTarget": -1});
    refused(&server, "pawl.UpdateLimits", bad, "ValidationException", "perTarget").await;
}

#[tokio::test]
async fn a_pause_of_everything_refuses_starts_and_says_who_and_why() {
    let server = with_a_secret().await;
    refused(&server, "pawl.ResumeAll", json!({}), "InvalidRequestException", "Nothing is paused").await;
    let paused = server.ok("pawl.PauseAll", json!({"Reason": "the freeze"})).await;
    assert_eq!((&paused["Paused"]["By"], &paused["Paused"]["Reason"]), (&json!("admin"), &json!("the freeze")));
    let why = "All rotations were paused by admin at 2026-03-10 09:37:00 UTC: the freeze. Nothing starts until `pawl \
               rotation resume --all`.";
    let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2)});
    refused(&server, "RotateSecret", rotate.clone(), "InvalidRequestException", why).await;
    let force = json!({"SecretId": "s", "ClientRequestToken": v(2), "Force": true});
    refused(&server, "pawl.StartRotation", force, "InvalidRequestException", "All rotations were paused").await;
    // Plans are shown, and why nothing comes of them; what changes no target goes on.
    let shown = server.ok("pawl.DescribeRotation", json!({"SecretId": "s"})).await;
    assert!(shown["WaitsFor"].as_str().is_some_and(|why| why.contains("the freeze")), "{shown}");
    server.ok("pawl.EnableRotation", json!({"SecretId": "s", "ScheduleExpression": "rate(5 hours)"})).await;
    let resumed = server.ok("pawl.ResumeAll", json!({})).await;
    assert!(resumed["Paused"].is_null(), "{resumed}");
    assert_eq!(server.ok("RotateSecret", rotate).await["VersionId"], v(2));
}

#[tokio::test]
async fn in_a_blackout_only_who_insists_starts_a_rotation() {
    let server = with_a_secret().await;
    let freeze = around(&server);
    server.ok("pawl.UpdateLimits", json!({"Blackouts": [freeze]})).await;
    let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2)});
    let why = "A blackout is in force until 2026-03-10 10:37:00 UTC";
    refused(&server, "RotateSecret", rotate.clone(), "InvalidRequestException", why).await;
    refused(&server, "pawl.StartRotation", rotate, "InvalidRequestException", why).await;
    let begun = json!({"SecretId": "s", "RotateImmediately": true});
    refused(&server, "pawl.EnableRotation", begun, "InvalidRequestException", why).await;
    let force = json!({"SecretId": "s", "ClientRequestToken": v(2), "Force": true});
    assert_eq!(server.ok("pawl.StartRotation", force).await["VersionId"], v(2));
    assert_eq!(server.ok("pawl.DescribeRotation", json!({"SecretId": "s"})).await["Open"]["VersionId"], v(2));
}

#[tokio::test]
async fn a_preview_shows_what_a_blackout_puts_off() {
    let server = with_a_secret().await;
    let before = server.ok("pawl.PreviewRotation", json!({"SecretId": "s", "Count": 2})).await;
    let planned = before["Windows"][0]["Planned"].as_f64().expect("a moment");
    assert!(before["Windows"][0]["PutOff"].is_null());
    let freeze = "2026-03-10T00:00/2026-03-11T00:00";
    server.ok("pawl.EnableRotation", json!({"SecretId": "s", "Blackouts": [freeze]})).await;
    let after = server.ok("pawl.PreviewRotation", json!({"SecretId": "s", "Count": 2})).await;
    assert_eq!(after["Windows"][0]["PutOff"], true, "{after}");
    assert_eq!(after["Windows"][0]["PlannedLocal"], "2026-03-11 00:00:00 UTC");
    assert!(after["Windows"][0]["Planned"].as_f64().is_some_and(|later| later > planned));
    let shown = server.ok("pawl.DescribeRotation", json!({"SecretId": "s"})).await;
    assert_eq!(shown["Blackouts"], json!([freeze]));
    assert!(shown["WaitsFor"].as_str().is_some_and(|why| why.contains("2026-03-11 00:00:00 UTC")), "{shown}");
    let tags = server.ok("DescribeSecret", json!({"SecretId": "s"})).await["Tags"].clone();
    assert_eq!(tags, json!([{"Key": "pawl:blackout", "Value": freeze}]));
}

#[tokio::test]
async fn a_clock_is_accepted_only_while_it_is_doubted() {
    let server = Server::start().await;
    refused(&server, "pawl.AcceptClock", json!({}), "InvalidRequestException", "No node doubts its clock").await;
    let doubt = ClockDoubt { since: server.clock.now(), message: "the clock has jumped".to_owned() };
    server.store.doubt_clock(Some(&doubt)).await.expect("written");
    let shown = server.ok("pawl.DescribeLimits", json!({})).await;
    assert_eq!(shown["Clock"]["Message"], "the clock has jumped");
    assert!(server.ok("pawl.AcceptClock", json!({})).await["Clock"].is_null());
}
