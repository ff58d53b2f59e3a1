//! Configuring rotation, asking for one, and Pawl's own operations. Nobody drives rotations here: they stay open.

use engine::Time;
use engine::schedule::Limits;
use serde_json::{Value, json};

use crate::harness::{Server, v};

const CONNECTION: &str = r#"{"engine":"postgres","host":"db","username":"app","password":"value-1"}"#;
const NO_LAMBDA: &str = "No Lambda rotation function ARN is associated with this secret.";
const INCOMPLETE: &str = "A previous rotation isn't complete. That rotation will be reattempted.";

fn epoch(text: &str) -> i64 {
    text.parse::<Time>().expect("an instant").timestamp()
}

async fn with_a_connection(limits: Limits) -> Server {
    let server = Server::with_limits(limits).await;
    server.ok("CreateSecret", json!({"Name": "db", "ClientRequestToken": v(1), "SecretString": CONNECTION})).await;
    server
}

fn rotate(token: u32) -> Value {
    json!({"SecretId": "db", "ClientRequestToken": v(token)})
}

fn rotate_later(rules: Value) -> Value {
    let mut body = rotate(9);
    body["RotateImmediately"] = json!(false);
    body["RotationRules"] = rules;
    body
}

#[tokio::test]
async fn s5_2_a_secret_without_engine_needs_a_rotator() {
    let server = Server::start().await;
    server.create("db").await;
    server.refused("RotateSecret", rotate(2), "InvalidRequestException", NO_LAMBDA).await;
    assert!(server.ok("DescribeSecret", json!({"SecretId": "db"})).await.get("RotationEnabled").is_none());
}

#[tokio::test]
async fn s5_2_a_rotator_that_cannot_be_invoked_is_denied_and_stores_nothing() {
    let server = with_a_connection(Limits::Aws).await;
    let denied = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants \
                  access to the principal secretsmanager.amazonaws.com.";
    for rotator in ["nobody", "arn:aws:lambda:us-east-1:123456789012:function:nobody"] {
        let mut body = rotate(2);
        body["RotationLambdaARN"] = json!(rotator);
        server.refused("RotateSecret", body, "AccessDeniedException", denied).await;
    }
    let enable = json!({"SecretId": "db", "Rotator": "nobody"});
    let words = "There is no rotator nobody: `pawl rotator list` shows which there are.";
    server.refused("pawl.EnableRotation", enable, "ResourceNotFoundException", words).await;
    let mut body = rotate(2);
    body["RotationLambdaARN"] = json!("arn:aws:lambda:function:postgres");
    assert_eq!(server.call("RotateSecret", body).await.status, 400);
    let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    for member in ["RotationEnabled", "RotationLambdaARN", "RotationRules", "NextRotationDate"] {
        assert!(description.get(member).is_none(), "{member}");
    }
}

#[tokio::test]
async fn s5_4_the_placeholder_is_seen_in_describe_only() {
    let server = with_a_connection(Limits::Aws).await;
    let reply = server.ok("RotateSecret", rotate(2)).await;
    assert_eq!((&reply["Name"], &reply["VersionId"]), (&json!("db"), &json!(v(2))));

    let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    assert_eq!(description["RotationEnabled"], true);
    // Looking the engine up is no access.
    for member in ["RotationLambdaARN", "LastRotatedDate", "LastAccessedDate"] {
        assert!(description.get(member).is_none(), "{member}");
    }
    assert_eq!(description["VersionIdsToStages"], json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]}));

    let listed = server.ok("ListSecretVersionIds", json!({"SecretId": "db", "IncludeDeprecated": true})).await;
    assert_eq!(listed["Versions"].as_array().map(Vec::len), Some(1));
    let read =
        server.call("GetSecretValue", json!({"SecretId": "db", "VersionId": v(2), "VersionStage": "AWSPENDING"})).await;
    assert_eq!((read.status, &read.json()["__type"]), (400, &json!("ResourceNotFoundException")));
}

#[tokio::test]
async fn s5_2_an_open_rotation_takes_its_own_token_again_and_no_other() {
    let server = with_a_connection(Limits::Aws).await;
    server.ok("RotateSecret", rotate(2)).await;
    assert_eq!(server.ok("RotateSecret", rotate(2)).await["VersionId"], v(2));
    server.refused("RotateSecret", rotate(3), "InvalidRequestException", INCOMPLETE).await;
    let rules_only = rotate_later(json!({"AutomaticallyAfterDays": 3}));
    server.refused("RotateSecret", rules_only, "InvalidRequestException", INCOMPLETE).await;
}

#[tokio::test]
async fn s4_3_a_plain_write_abandons_a_rotation_that_made_nothing_yet() {
    let server = with_a_connection(Limits::Aws).await;
    server.ok("RotateSecret", rotate(2)).await;
    let put = json!({"SecretId": "db", "ClientRequestToken": v(3), "SecretString": CONNECTION});
    server.ok("PutSecretValue", put).await;
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]}));
    server.ok("RotateSecret", rotate(4)).await;
}

// F97
#[tokio::test]
async fn s5_2_a_leftover_pending_label_blocks_until_it_is_removed() {
    let server = with_a_connection(Limits::Aws).await;
    let put =
        json!({"SecretId": "db", "ClientRequestToken": v(2), "SecretString": "x", "VersionStages": ["AWSPENDING"]});
    server.ok("PutSecretValue", put).await;
    server.refused("RotateSecret", rotate(3), "InvalidRequestException", INCOMPLETE).await;
    let remove = json!({"SecretId": "db", "VersionStage": "AWSPENDING", "RemoveFromVersionId": v(2)});
    server.ok("UpdateSecretVersionStage", remove).await;
    server.ok("RotateSecret", rotate(3)).await;
}

#[tokio::test]
async fn s5_8_rules_show_the_last_second_of_the_next_window_and_survive_cancelling() {
    let server = with_a_connection(Limits::Aws).await;
    for (rules, shown, next) in [
        (json!({"AutomaticallyAfterDays": 30}), json!({"AutomaticallyAfterDays": 30}), "2026-04-09T23:59:59Z"),
        (
            json!({"ScheduleExpression": "cron(0 16 1,15 * ? *)", "Duration": "2h"}),
            json!({"AutomaticallyAfterDays": 14, "ScheduleExpression": "cron(0 16 1,15 * ? *)", "Duration": "2h"}),
            "2026-03-15T17:59:59Z",
        ),
    ] {
        server.ok("RotateSecret", rotate_later(rules)).await;
        server.end_trial(None).await;
        let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
        assert_eq!(description["RotationRules"], shown);
        assert_eq!(description["NextRotationDate"], json!(epoch(next)));
        assert_eq!(description["VersionIdsToStages"], json!({v(1): ["AWSCURRENT"]}));
    }
    let cancelled = server.ok("CancelRotateSecret", json!({"SecretId": "db"})).await;
    assert!(cancelled.get("VersionId").is_none());
    let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    assert_eq!(description["RotationEnabled"], false);
    assert!(description.get("NextRotationDate").is_none());
    assert_eq!(description["RotationRules"]["Duration"], "2h");
}

#[tokio::test]
async fn s5_1_a_named_rotator_is_shown_as_it_was_given() {
    let server = Server::start().await;
    server.create("db").await;
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:postgres";
    let mut body = rotate_later(json!({"AutomaticallyAfterDays": 7}));
    body["RotationLambdaARN"] = json!(arn);
    server.ok("RotateSecret", body).await;
    let description = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    assert_eq!(description["RotationLambdaARN"], arn);
    server.end_trial(None).await;
    server.ok("RotateSecret", rotate(3)).await;
}

#[tokio::test]
async fn s6_4_schedules_are_refused_in_aws_s_words() {
    let server = with_a_connection(Limits::Aws).await;
    for (rules, message) in [
        (
            json!({"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(1 day)"}),
            "You cannot specify both rotation frequency and schedule expression together.",
        ),
        (json!({"ScheduleExpression": "every day"}), "Invalid schedule expression."),
        (json!({"ScheduleExpression": "rate(24 hours)"}), "Rate in hour should be least 4 and less than 24."),
        (json!({"ScheduleExpression": "rate(1000 days)"}), "Rate in day should be greater than 0 and less than 1000."),
        (
            json!({"ScheduleExpression": "rate(4 hours)", "Duration": "5h"}),
            "Duration cannot be greater than Rate in hour.",
        ),
        (
            json!({"ScheduleExpression": "cron(0 20 * * ? *)", "Duration": "5h"}),
            "Starting hour and duration must be within a day.",
        ),
        (json!({"ScheduleExpression": "rate(30 minutes)"}), "Invalid schedule expression."),
    ] {
        let answer = server.call("RotateSecret", rotate_later(rules.clone())).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidParameterException")), "{rules}");
        let said = answer.json()["Message"].as_str().expect("a message").to_owned();
        assert!(said.starts_with(message), "{rules}: {said}");
    }
    let answer = server.call("RotateSecret", rotate_later(json!({"ScheduleExpression": "rate(30 minutes)"}))).await;
    assert!(answer.text().contains("--schedule-limits none"));
}

#[tokio::test]
async fn without_aws_s_limits_seconds_are_a_schedule() {
    let server = with_a_connection(Limits::None).await;
    let rules = json!({"ScheduleExpression": "rate(10 seconds)", "Duration": "10s"});
    server.ok("RotateSecret", rotate_later(rules)).await;
    server.end_trial(None).await;
    let shown = server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await;
    assert_eq!(shown["RotationRules"]["Duration"], "10s");
    assert!(shown["DueDate"].is_number());
}

// F32
#[tokio::test]
async fn enabling_adopts_without_rotating() {
    let server = with_a_connection(Limits::Aws).await;
    let body = json!({
        "SecretId": "db", "ScheduleExpression": "cron(0 4 ? * SUN *)", "TimeZone": "Europe/Berlin",
        "AllowMd5Upgrade": true,
    });
    let shown = server.ok("pawl.EnableRotation", body).await;
    assert_eq!(shown["State"], "idle");
    assert_eq!(shown["RotationEnabled"], true);
    assert_eq!(shown["TimeZone"], "Europe/Berlin");
    assert_eq!((&shown["AllowMd5Upgrade"], &shown["AllowDifferingHosts"]), (&json!(true), &json!(false)));
    assert_eq!(shown["Window"]["Opens"], json!(epoch("2026-03-15T03:00:00Z")));
    assert_eq!(shown["Window"]["Closes"], json!(epoch("2026-03-15T23:00:00Z")));
    assert_eq!(shown["UnresolvedCandidates"], 0);
    assert!(shown.get("Open").is_none());
    let due = shown["DueDate"].as_f64().expect("a date");
    assert!((1_773_543_600.0..1_773_615_600.0).contains(&due));
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSCURRENT"]}));

    // What is not said stays.
    let shown = server.ok("pawl.EnableRotation", json!({"SecretId": "db", "AllowDifferingHosts": true})).await;
    assert_eq!((&shown["AllowMd5Upgrade"], &shown["AllowDifferingHosts"]), (&json!(true), &json!(true)));
    assert_eq!(shown["TimeZone"], "Europe/Berlin");
    assert_eq!(shown["RotationRules"]["ScheduleExpression"], "cron(0 4 ? * SUN *)");
}

// F37
#[tokio::test]
async fn an_unknown_zone_is_refused_by_name() {
    let server = with_a_connection(Limits::Aws).await;
    let body = json!({"SecretId": "db", "AutomaticallyAfterDays": 1, "TimeZone": "Mars/Olympus"});
    let answer = server.call("pawl.EnableRotation", body).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidParameterException")));
    assert!(answer.text().contains("Mars/Olympus"));
}

#[tokio::test]
async fn an_open_rotation_is_described_paused_resumed_and_given_up() {
    let server = with_a_connection(Limits::Aws).await;
    let body =
        json!({"SecretId": "db", "AutomaticallyAfterDays": 30, "RotateImmediately": true, "ClientRequestToken": v(2)});
    let shown = server.ok("pawl.EnableRotation", body).await;
    assert_eq!(shown["State"], "waiting");
    let open = &shown["Open"];
    assert_eq!((&open["VersionId"], &open["Step"]), (&json!(v(2)), &json!("createSecret")));
    assert_eq!((&open["StartedBy"], &open["Candidate"], &open["Attempt"]), (&json!("admin"), &json!(0), &json!(0)));
    assert!(open["NotBefore"].is_number() && open["RetriesUntil"].is_number() && open.get("Reason").is_none());

    let id = json!({"SecretId": "db"});
    assert_eq!(server.ok("pawl.PauseRotation", id.clone()).await["Paused"], true);
    assert_eq!(server.ok("pawl.ResumeRotation", id.clone()).await["Paused"], false);
    let given_up = server.ok("pawl.AbandonRotation", id.clone()).await;
    assert_eq!(given_up["State"], "idle");
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSCURRENT"]}));
    let again = server.call("pawl.AbandonRotation", id.clone()).await;
    assert_eq!((again.status, &again.json()["__type"]), (400, &json!("InvalidRequestException")));

    let history = server.ok("pawl.ListRotationHistory", id).await;
    let entries = history["History"].as_array().expect("entries");
    let kinds: Vec<_> = entries.iter().filter_map(|entry| entry["Kind"].as_str()).collect();
    assert!(kinds.contains(&"requested") && kinds.contains(&"abandoned"), "{kinds:?}");
    let ids: Vec<_> = entries.iter().filter_map(|entry| entry["Id"].as_i64()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first: {ids:?}");
    let newest = server.ok("pawl.ListRotationHistory", json!({"SecretId": "db", "Limit": 1})).await;
    assert_eq!(newest["History"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_preview_of_rules_needs_no_secret() {
    let server = Server::start().await;
    let body =
        json!({"ScheduleExpression": "cron(0 4 ? * SUN *)", "Duration": "2h", "TimeZone": "Europe/Berlin", "Count": 3});
    let preview = server.ok("pawl.PreviewRotation", body).await;
    assert_eq!(preview["TimeZone"], "Europe/Berlin");
    let windows = preview["Windows"].as_array().expect("windows");
    assert_eq!(windows.len(), 3);
    assert_eq!(
        windows[0],
        json!({
            "Opens": epoch("2026-03-15T03:00:00Z"), "OpensLocal": "2026-03-15 04:00:00 CET",
            "Closes": epoch("2026-03-15T05:00:00Z"), "ClosesLocal": "2026-03-15 06:00:00 CET",
        })
    );
    assert_eq!(windows[2]["OpensLocal"], "2026-03-29 04:00:00 CEST");
}

#[tokio::test]
async fn a_preview_of_a_secret_begins_with_what_is_planned() {
    let server = with_a_connection(Limits::Aws).await;
    let enable = json!({"SecretId": "db", "ScheduleExpression": "rate(10 days)"});
    let shown = server.ok("pawl.EnableRotation", enable).await;
    let preview = server.ok("pawl.PreviewRotation", json!({"SecretId": "db"})).await;
    let windows = preview["Windows"].as_array().expect("windows");
    assert_eq!(windows.len(), 10);
    assert_eq!(windows[0]["Planned"], shown["DueDate"]);
    assert_eq!(windows[0]["Opens"], json!(epoch("2026-03-20T00:00:00Z")));
    assert_eq!(windows[1]["Opens"], json!(epoch("2026-03-30T00:00:00Z")));
    for window in windows {
        let at = |member: &str| window[member].as_f64().expect("a date");
        assert!(at("Opens") <= at("Planned") && at("Planned") < at("Closes"));
    }
    let other = json!({"SecretId": "db", "AutomaticallyAfterDays": 1, "Count": 1, "TimeZone": "default"});
    let preview = server.ok("pawl.PreviewRotation", other).await;
    assert_eq!(preview["Windows"][0]["Opens"], json!(epoch("2026-03-11T00:00:00Z")));
}

#[tokio::test]
async fn a_preview_without_a_schedule_says_so() {
    let server = with_a_connection(Limits::Aws).await;
    for body in [json!({"SecretId": "db"}), json!({})] {
        let answer = server.call("pawl.PreviewRotation", body).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidRequestException")));
    }
}

#[tokio::test]
async fn s5_4_a_rotation_function_fills_the_placeholder_and_moves_the_label_itself() {
    let server = with_a_connection(Limits::Aws).await;
    server.ok("RotateSecret", rotate(2)).await;
    server.clock.advance(chrono::TimeDelta::seconds(3));
    let mut put = rotate(2);
    put["SecretString"] = json!(CONNECTION);
    put["VersionStages"] = json!(["AWSPENDING"]);
    let reply = server.ok("PutSecretValue", put).await;
    assert_eq!((&reply["VersionId"], &reply["VersionStages"]), (&json!(v(2)), &json!(["AWSPENDING"])));
    let pending = json!({"SecretId": "db", "VersionId": v(2), "VersionStage": "AWSPENDING"});
    let value = server.ok("GetSecretValue", pending).await;
    assert_eq!((&value["SecretString"], &value["CreatedDate"]), (&json!(CONNECTION), &json!(1_773_135_423.123)));

    let finish = json!({
        "SecretId": "db", "VersionStage": "AWSCURRENT", "MoveToVersionId": v(2), "RemoveFromVersionId": v(1),
    });
    server.ok("UpdateSecretVersionStage", finish).await;
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSPREVIOUS"], v(2): ["AWSCURRENT", "AWSPENDING"]}));
}

#[tokio::test]
async fn a_candidate_outlives_the_label_that_was_taken_from_it() {
    let server = with_a_connection(Limits::Aws).await;
    server.ok("RotateSecret", rotate(2)).await;
    let mut put = rotate(2);
    put["SecretString"] = json!(CONNECTION);
    put["VersionStages"] = json!(["AWSPENDING"]);
    server.ok("PutSecretValue", put).await;
    let plain = json!({"SecretId": "db", "ClientRequestToken": v(3), "SecretString": CONNECTION});
    server.ok("PutSecretValue", plain).await;
    assert_eq!(server.stages("db").await, json!({v(1): ["AWSPREVIOUS"], v(3): ["AWSCURRENT"]}));
    let shown = server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await;
    assert_eq!(shown["Open"]["Step"], "prove");
    assert!(shown["UnresolvedCandidates"].as_u64() >= Some(1), "{shown}");
    server.refused("RotateSecret", rotate(4), "InvalidRequestException", INCOMPLETE).await;
}

// F36
#[tokio::test]
async fn a_preview_never_shows_what_has_passed() {
    let server = with_a_connection(Limits::Aws).await;
    server.ok("RotateSecret", rotate_later(json!({"ScheduleExpression": "rate(10 days)"}))).await;
    server.ok("CancelRotateSecret", json!({"SecretId": "db"})).await;
    server.clock.advance(chrono::TimeDelta::days(100));
    let preview = server.ok("pawl.PreviewRotation", json!({"SecretId": "db", "Count": 1})).await;
    let opens = preview["Windows"][0]["Opens"].as_i64().expect("a date");
    assert!(opens > epoch("2026-06-18T09:37:00Z"), "{opens}");
}
