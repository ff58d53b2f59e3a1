//! `pawl rotation enable` with settings, the tags that show them, and `pawl rotation readers`. Needs no database: nothing
//! is rotated.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::pawl::{Home, Pawl, pawl};

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().iter().map(|byte| char::from(*byte)).collect()
}

fn with_an_account(home: &Home) -> Pawl {
    let server = home.serve();
    server.create("db", &account("app"));
    server
}

fn account(user: &str) -> Value {
    json!({"engine": "mysql", "host": "db.example", "username": user, "password": "p"})
}

fn enable(server: &Pawl, flags: &[&str]) -> Output {
    server.run(&[&["rotation", "enable", "db"], flags].concat())
}

#[test]
fn settings_are_said_shown_in_words_and_taken_back() {
    let home = Home::new();
    let server = with_an_account(&home);
    let pair = ["--strategy", "alternating-users", "--users", "app,app_b", "--grace", "15m", "--retire"];
    let flags = [&pair[..], &["when-drained", "--verify", "off", "--reconcile", "--allow-superuser=true"]].concat();
    let output = enable(&server, &flags);
    assert!(output.status.success(), "{}", said(&output));
    let status = said(&server.run(&["rotation", "status", "db"]));
    for words in ["alternating-users (app and app_b)", "15m, then until nobody is seen to use it, 1d at most", "off\n"]
    {
        assert!(status.contains(words), "{words}: {status}");
    }
    let view = server.status("db");
    assert_eq!(
        (&view["Verify"], &view["Reconcile"], &view["AllowSuperuser"]),
        (&json!("off"), &json!(true), &json!(true))
    );
    let tags = server.json(&["secret", "show", "db"])["Tags"].clone();
    assert_eq!(
        tags,
        json!([{"Key": "pawl:strategy", "Value": "alternating-users"}, {"Key": "pawl:grace", "Value": "15m"}])
    );
    let back = ["--strategy", "default", "--grace", "default", "--retire", "never", "--reconcile=false"];
    assert!(enable(&server, &back).status.success());
    let status = said(&server.run(&["rotation", "status", "db"]));
    assert!(status.contains("the credential before is left alone") && !status.contains("alternating"), "{status}");
    let view = server.status("db");
    assert_eq!((&view["Reconcile"], &view["AllowSuperuser"], view.get("Users")), (&json!(false), &json!(true), None));
    assert!(enable(&server, &["--strategy", "alternating-users", "--users", "default"]).status.success());
}

#[test]
fn settings_that_contradict_each_other_are_refused_and_others_warned_of() {
    let home = Home::new();
    let server = with_an_account(&home);
    server.create("again", &account("app"));
    for (flags, words) in [
        (&["--users", "app,app_b"][..], "say the strategy alternating-users"),
        (&["--strategy", "dual-password", "--schedule", "rate(1 hour)"], "a grace of 75m: choose a shorter grace"),
        (&["--strategy", "dual"], "single-user, dual-password, alternating-users"),
        (&["--grace", "31d"], "at most 30 days"),
    ] {
        let output = enable(&server, flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        assert!(said(&output).contains(words), "{flags:?}: {}", said(&output));
    }
    let output = enable(&server, &["--days", "30"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.contains("warning: The secret again is for the same account"), "{error}");
    // F83
    let refused = server.run(&["rotation", "enable", "again"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("pawl rotation disable db"), "{}", said(&refused));
}

#[test]
fn readers_are_listed_with_what_they_read_and_declare_their_cache() {
    let home = Home::new();
    let server = with_an_account(&home);
    let readers = |flags: &[&str]| server.run(&[&["rotation", "readers", "db"], flags].concat());
    assert!(said(&readers(&[])).contains("nobody has read it"));
    let key = server.json(&["key", "create", "--principal", "web", "--role", "reader", "--secret", "db"]);
    let run_as_reader = |arguments: &[&str]| {
        let mut command = pawl();
        command.args(arguments).args(["--endpoint-url", &server.url]);
        command.env("AWS_ACCESS_KEY_ID", key["AccessKeyId"].as_str().expect("an id"));
        command.env("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"].as_str().expect("a secret"));
        command.output().expect("pawl runs")
    };
    assert!(run_as_reader(&["secret", "get", "db"]).status.success());
    let declared = run_as_reader(&["rotation", "readers", "db", "--declare", "90m"]);
    assert!(declared.status.success(), "{}", said(&declared));
    let shown = said(&readers(&[]));
    assert!(shown.contains("READER") && shown.contains("web") && shown.contains("AWSCURRENT"), "{shown}");
    assert!(shown.contains("90m"), "{shown}");
    let listed = server.json(&["rotation", "readers", "db"]);
    assert_eq!(listed["Readers"][0]["CacheSeconds"], 5400);
    let output = enable(&server, &["--days", "30"]);
    assert!(said(&output).contains("warning: web keeps what it reads for 90m"), "{}", said(&output));
    assert!(readers(&["--declare", "0", "--principal", "web"]).status.success());
    for (flags, code, words) in [
        (&["--declare", "soon"][..], 2, "such as 5m"),
        (&["--declare", "5m", "--principal", "nobody"], 1, "There is no principal nobody."),
    ] {
        let output = readers(flags);
        assert_eq!(output.status.code(), Some(code), "{flags:?}");
        assert!(said(&output).contains(words), "{flags:?}: {}", said(&output));
    }
}
