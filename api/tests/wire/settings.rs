//! Settings that AWS has no field for: over EnableRotation, and through tags.

use engine::outcome::Done;
use engine::port::{Clock, RotationStore};
use engine::rotation::{Event, Outcome, Step};
use engine::schedule::Limits;
use engine::secret::SecretBytes;
use serde_json::{Value, json};
use store::Room;

use crate::harness::{Server, v};

async fn with_an_account(limits: Limits) -> Server {
    let server = Server::with_limits(limits).await;
    create(&server, "db", "app").await;
    server
}

async fn create(server: &Server, name: &str, user: &str) {
    let value = json!({"engine": "mysql", "host": "db.example", "username": user, "password": "p"}).to_string();
    server.ok("CreateSecret", json!({"Name": name, "ClientRequestToken": v(1), "SecretString": value})).await;
}

fn enable(said: Value) -> Value {
    let Value::Object(mut body) = said else { panic!("{said} is no object") };
    body.insert("SecretId".to_owned(), json!("db"));
    body.into()
}

async fn tags(server: &Server) -> Value {
    server.ok("DescribeSecret", json!({"SecretId": "db"})).await["Tags"].clone()
}

/// The settings as DescribeRotation shows them.
fn settings(shown: &Value) -> Value {
    let names = ["Strategy", "Users", "Grace", "Retire", "RetireDeadline", "Verify", "Reconcile", "AllowSuperuser"];
    let present = names.iter().filter(|name| !shown[**name].is_null());
    Value::Object(present.map(|name| ((*name).to_owned(), shown[*name].clone())).collect())
}

#[tokio::test]
async fn every_setting_is_kept_shown_and_taken_back() {
    let server = with_an_account(Limits::Aws).await;
    let defaults =
        json!({"Grace": "75m", "Retire": "at-grace-end", "Verify": "1d", "Reconcile": false, "AllowSuperuser": false});
    let shown = server.ok("pawl.EnableRotation", enable(json!({}))).await;
    assert_eq!(settings(&shown), defaults);
    let all = json!({
        "Strategy": "alternating-users", "Users": ["app", "app_b"], "Grace": "900", "Retire": "when-drained",
        "RetireDeadline": "2h", "Verify": "off", "Reconcile": true, "AllowSuperuser": true,
    });
    let shown = server.ok("pawl.EnableRotation", enable(all.clone())).await;
    let mut expected = all;
    expected["Grace"] = json!("15m");
    assert_eq!(settings(&shown), expected);
    // What is not said stays.
    server.ok("pawl.EnableRotation", enable(json!({"AllowMd5Upgrade": true}))).await;
    assert_eq!(settings(&server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await), expected);
    let shown = server.ok("pawl.EnableRotation", enable(json!({"Retire": "when-drained"}))).await;
    assert_eq!(shown["RetireDeadline"], "1d", "the deadline where none is said");
    let default = json!({
        "Strategy": "default", "Users": [], "Grace": "default", "Retire": "default", "Verify": "default",
        "Reconcile": false, "AllowSuperuser": false, "TimeZone": "default",
    });
    let shown = server.ok("pawl.EnableRotation", enable(default)).await;
    assert_eq!(settings(&shown), defaults);
    let shown = server.ok("pawl.EnableRotation", enable(json!({"Retire": "never"}))).await;
    assert_eq!(shown["Retire"], "never");
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_with_what_to_do() {
    let server = with_an_account(Limits::None).await;
    for (said, words) in [
        (json!({"Users": ["app", "app_b"]}), "say the strategy alternating-users"),
        (json!({"Strategy": "dual-password", "Users": ["app", "app_b"]}), "say the strategy alternating-users"),
        (json!({"Strategy": "alternating-users", "Users": ["app", "app"]}), "two different ones"),
        (json!({"Strategy": "alternating-users", "Users": ["app"]}), "two different ones"),
        (json!({"Grace": "31d"}), "at most 30 days"),
        (json!({"Grace": "soon"}), "such as 75m"),
        (json!({"Verify": "never"}), "Verify is a length of time"),
        (json!({"RetireDeadline": "1h"}), "say Retire when-drained"),
        (json!({"Retire": "never", "RetireDeadline": "1h"}), "say Retire when-drained"),
        (
            json!({"Strategy": "dual-password", "ScheduleExpression": "rate(1 hour)"}),
            "every 1h, and the credential before is ended only after a grace of 75m: choose a shorter grace",
        ),
        (json!({"Strategy": "alternating-users", "Grace": "1d", "AutomaticallyAfterDays": 1}), "a longer interval"),
    ] {
        let answer = server.call("pawl.EnableRotation", enable(said.clone())).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidParameterException")), "{said}");
        assert!(answer.text().contains(words), "{said}: {}", answer.text());
    }
    for (said, words) in [
        (json!({"Strategy": "dual"}), "[single-user, dual-password, alternating-users, default]"),
        (json!({"Retire": "soon"}), "[at-grace-end, when-drained, never, default]"),
        (json!({"Users": ["a", "b", "c"]}), "less than or equal to 2"),
    ] {
        let answer = server.call("pawl.EnableRotation", enable(said.clone())).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("ValidationException")), "{said}");
        assert!(answer.text().contains(words), "{said}: {}", answer.text());
    }
    let about = server.ok("DescribeSecret", json!({"SecretId": "db"})).await;
    assert!(about.get("RotationEnabled").is_none() && about.get("Tags").is_none(), "a refusal stores nothing");
    let short = json!({"Strategy": "dual-password", "ScheduleExpression": "rate(1 hour)", "Grace": "15m"});
    server.ok("pawl.EnableRotation", enable(short)).await;
}

#[tokio::test]
async fn s13_tags_are_a_view_of_the_settings_in_describe_and_list() {
    let server = with_an_account(Limits::Aws).await;
    let tag = json!({"SecretId": "db", "Tags": [
        {"Key": "team", "Value": "a"}, {"Key": "pawl:grace", "Value": "0900"},
        {"Key": "pawl:strategy", "Value": "dual-password"}, {"Key": "pawl:timezone", "Value": "Europe/Berlin"},
    ]});
    server.ok("TagResource", tag.clone()).await;
    let shown = server.ok("pawl.EnableRotation", enable(json!({"AutomaticallyAfterDays": 7}))).await;
    let of = |name: &str| shown[name].as_str().map(ToOwned::to_owned).unwrap_or_default();
    assert_eq!([of("Strategy"), of("Grace"), of("TimeZone")], ["dual-password", "15m", "Europe/Berlin"]);
    assert_eq!(tags(&server).await, tag["Tags"], "as they were written, so that Terraform sees nothing to do");
    let said = json!({"Grace": "2h", "Strategy": "default", "TimeZone": "UTC"});
    server.ok("pawl.EnableRotation", enable(said)).await;
    let after = json!([
        {"Key": "team", "Value": "a"}, {"Key": "pawl:grace", "Value": "2h"}, {"Key": "pawl:timezone", "Value": "UTC"},
    ]);
    assert_eq!(tags(&server).await, after);
    let filter = json!({"Filters": [{"Key": "tag-key", "Values": ["pawl:grace"]}]});
    assert_eq!(server.ok("ListSecrets", filter).await["SecretList"][0]["Tags"], after);
    server.ok("UntagResource", json!({"SecretId": "db", "TagKeys": ["pawl:grace", "pawl:strategy", "none"]})).await;
    let shown = server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await;
    assert_eq!((&shown["Grace"], &shown["TimeZone"]), (&json!("75m"), &json!("UTC")));
}

#[tokio::test]
async fn s13_a_tag_that_its_setting_cannot_read_is_refused_with_what_it_takes() {
    let server = with_an_account(Limits::Aws).await;
    for (key, value, words) in [
        ("pawl:strategy", "dual", "The tag pawl:strategy takes single-user, dual-password or alternating-users."),
        (
            "pawl:timezone",
            "Mars",
            "The tag pawl:timezone takes a name of the IANA time zone database, such as \
                                   Europe/Berlin.",
        ),
        (
            "pawl:blackout",
            "christmas",
            "The tag pawl:blackout takes times in which nothing starts by schedule, with semicolons between them: \
             START/END such as 2026-12-20T00:00/2027-01-02T00:00, or cron(…)/LENGTH such as cron(0 18 ? * FRI *)/60h, \
             with a time zone behind it where that is not UTC.",
        ),
    ] {
        let tags = json!([{"Key": "team", "Value": "a"}, {"Key": key, "Value": value}]);
        let tag = json!({"SecretId": "db", "Tags": tags});
        server.refused("TagResource", tag, "InvalidParameterException", words).await;
        let create = json!({"Name": "new", "ClientRequestToken": v(1), "Tags": tags});
        server.refused("CreateSecret", create, "InvalidParameterException", words).await;
    }
    assert!(tags(&server).await.is_null());
    let plain = json!({"SecretId": "db", "Tags": [{"Key": "pawl:other", "Value": "x"}]});
    server.ok("TagResource", plain).await;
}

// F83
#[tokio::test]
async fn a_second_secret_of_one_account_is_not_rotated_too() {
    let server = with_an_account(Limits::Aws).await;
    create(&server, "again", "app").await;
    let shown = server.ok("pawl.EnableRotation", enable(json!({}))).await;
    let warning = shown["Warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("The secret again is for the same account and is not rotated"), "{warning}");
    let words = "The account of this secret is also that of db, which is rotated: each rotation would make the value of \
                 the other wrong. Have services read db instead, or stop its rotation first (pawl rotation disable db).";
    server.refused("pawl.EnableRotation", json!({"SecretId": "again"}), "InvalidRequestException", words).await;
    let rotate = json!({"SecretId": "again", "ClientRequestToken": v(2)});
    server.refused("RotateSecret", rotate, "InvalidRequestException", words).await;
    server.ok("CancelRotateSecret", json!({"SecretId": "db"})).await;
    server.ok("pawl.EnableRotation", json!({"SecretId": "again"})).await;
}

// F70
#[tokio::test]
async fn an_account_that_is_anothers_admin_is_rotated_with_a_warning() {
    let server = with_an_account(Limits::Aws).await;
    create(&server, "root", "app").await;
    let value = json!({"engine": "mysql", "host": "db.example", "username": "web", "masterarn": "root"}).to_string();
    server.ok("CreateSecret", json!({"Name": "web", "ClientRequestToken": v(1), "SecretString": value})).await;
    let shown = server.ok("pawl.EnableRotation", enable(json!({}))).await;
    let warning = shown["Warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("is the admin of web") && warning.contains("Rotate root instead"), "{warning}");
    server.ok("CancelRotateSecret", json!({"SecretId": "db"})).await;
    server.ok("pawl.EnableRotation", json!({"SecretId": "root"})).await;
}

#[tokio::test]
async fn a_schedule_within_the_grace_is_a_warning_where_no_strategy_is_said() {
    let server = with_an_account(Limits::None).await;
    let hourly = json!({"ScheduleExpression": "rate(1 hour)"});
    let shown = server.ok("pawl.EnableRotation", enable(hourly)).await;
    assert!(shown["Warnings"][0].as_str().is_some_and(|said| said.contains("every 1h")), "{shown}");
    for said in [json!({"Grace": "15m"}), json!({"Grace": "75m", "Strategy": "single-user"})] {
        let shown = server.ok("pawl.EnableRotation", enable(said)).await;
        assert!(shown.get("Warnings").is_none(), "{shown}");
    }
}

#[tokio::test]
async fn a_registered_rotator_decides_how_and_takes_a_grace() {
    let server = with_an_account(Limits::Aws).await;
    let hook = json!({"Name": "hook", "Kind": "webhook", "Url": "https://hook.example/", "Steps": ["retire"]});
    server.ok("pawl.CreateRotator", hook).await;
    let with = |said: Value| {
        let mut body = enable(said);
        body["Rotator"] = json!("hook");
        body
    };
    let words = "A registered rotator serves this secret and decides by itself how the credential is changed: leave \
                 Strategy and Users out, or set them back to default.";
    let said = with(json!({"Strategy": "dual-password"}));
    server.refused("pawl.EnableRotation", said, "InvalidParameterException", words).await;
    let shown = server.ok("pawl.EnableRotation", with(json!({}))).await;
    assert!(shown.get("Grace").is_none(), "its own");
    let shown = server.ok("pawl.EnableRotation", enable(json!({"Grace": "1m"}))).await;
    assert_eq!(shown["Grace"], "1m");
}

#[tokio::test]
async fn in_a_grace_the_version_before_is_shown_with_its_end() {
    let server = with_an_account(Limits::Aws).await;
    let enable_now = json!({"Grace": "15m", "RotateImmediately": true, "ClientRequestToken": v(2)});
    let shown = server.ok("pawl.EnableRotation", enable(enable_now)).await;
    assert!(shown["Open"].get("RetireAt").is_none() && shown["Open"].get("RetiringVersionId").is_none());
    let claim = server.store.claim("test", &Room::everywhere(1), server.clock.now()).await.expect("asked").remove(0);
    let apply = async |event| server.store.apply(&claim.lease, event, 0.0).await.expect("applied");
    apply(Event::Leased).await;
    let made = Outcome::Created(SecretBytes::from("{}"), Done::default());
    apply(Event::Ended { step: Step::Create, outcome: made }).await;
    for step in [Step::Set, Step::Test, Step::Finish] {
        apply(Event::Ended { step, outcome: Outcome::Done(Done { retains: true, ..Done::default() }) }).await;
    }
    let shown = server.ok("pawl.DescribeRotation", json!({"SecretId": "db"})).await;
    let open = &shown["Open"];
    assert_eq!((&open["Promoted"], &open["RetiringVersionId"]), (&json!(true), &json!(v(1))));
    assert_eq!(open["RetireAt"], json!(1_773_135_420.123 + 900.0));
}

// F82
#[tokio::test]
async fn f82_what_something_else_manages_is_served_and_refused_to_every_rotation() {
    let server = with_an_account(Limits::Aws).await;
    let tag = json!({"SecretId": "db", "Tags": [{"Key": "pawl:managed-elsewhere", "Value": "the operator"}]});
    server.ok("TagResource", tag.clone()).await;
    let words = "Something else manages the credential of this secret (the tag pawl:managed-elsewhere says: the operator): \
                 it is not changed from here. Take the tag away if that is over.";
    for operation in ["RotateSecret", "pawl.EnableRotation", "pawl.RollbackRotation", "pawl.ReconcileRotation"] {
        let asked = json!({"SecretId": "db", "ClientRequestToken": v(2)});
        server.refused(operation, asked, "InvalidRequestException", words).await;
    }
    server.ok("GetSecretValue", json!({"SecretId": "db"})).await;
    server.ok("UntagResource", json!({"SecretId": "db", "TagKeys": ["pawl:managed-elsewhere"]})).await;
    server.ok("pawl.EnableRotation", enable(json!({}))).await;
    let words = "This secret is rotated from here, so nothing else may manage its credential: stop its rotation first (pawl \
                 rotation disable), let an open one end, and then set the tag pawl:managed-elsewhere.";
    server.refused("TagResource", tag, "InvalidRequestException", words).await;
}
