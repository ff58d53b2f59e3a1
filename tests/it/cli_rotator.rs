//! `pawl rotator`: rotators are registered, shown, changed and taken away as a person does it.

use std::process::Output;
use std::sync::Arc;

use serde_json::json;

use crate::harness::pawl::{Home, Pawl, pawl};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::service::{Service, account_value, managed};

const URL: &str = "https://rotator.example/pawl";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shown(server: &Pawl, arguments: &[&str]) -> String {
    let output = server.run(arguments);
    assert!(output.status.success(), "pawl {arguments:?} said: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(server: &Pawl, arguments: &[&str], code: i32, words: &str) {
    let output = server.run(arguments);
    assert_eq!(output.status.code(), Some(code), "pawl {arguments:?} said: {}", said(&output));
    assert!(said(&output).contains(words), "pawl {arguments:?} said: {}", said(&output));
}

/// Every line has its words, in this order, whatever the white space.
fn has_line(text: &str, words: &[&str]) {
    let found = text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == words);
    assert!(found, "no line {words:?} in:\n{text}");
}

#[test]
fn a_webhook_is_registered_and_its_key_is_printed_alone() {
    let home = Home::new();
    let server = home.serve();
    let key = shown(&server, &["rotator", "add", "webhook", "redis", URL]);
    assert!(key.starts_with("whsec_") && key.trim_end().len() == 50, "what a program takes is the key: {key}");
    let list = shown(&server, &["rotator", "list"]);
    has_line(&list, &["NAME", "KIND", "STATE", "SECRETS", "WHERE"]);
    has_line(&list, &["postgres", "builtin", "enabled"]);
    has_line(&list, &["redis", "webhook", "(managed)", "enabled", "0", URL]);
    let one = shown(&server, &["rotator", "show", "redis"]);
    for line in [&["password", "is", "password"][..], &["timeout", "10", "s"], &["at", "once", "16"], &["secrets", "0"]]
    {
        has_line(&one, line);
    }
    assert!(one.contains("signing key since ") && !one.contains("whsec_"), "{one}");
    refused(&server, &["rotator", "add", "webhook", "redis", URL], 1, "A rotator redis is registered");
    refused(&server, &["rotator", "add", "webhook", "postgres", URL], 1, "is built in: choose another name");
    refused(&server, &["rotator", "show", "nobody"], 1, "No rotator nobody is registered.");
    assert!(!home.log().contains("whsec_"), "a key is shown to whoever made it, and to no log");
}

#[test]
fn every_option_arrives() {
    let home = Home::new();
    let server = home.serve();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let issuing = server.json(&[
        "rotator",
        "add",
        "webhook",
        "vendor",
        URL,
        "--issues",
        "--steps",
        "revoke,check,retire",
        "--grace",
        "2h",
        "--timeout",
        "30s",
        "--concurrency",
        "3",
    ]);
    let expected = json!({
        "Issues": true, "Steps": ["check", "retire", "revoke"], "GraceSeconds": 7200, "TimeoutSeconds": 30,
        "Concurrency": 3,
    });
    for (member, value) in expected.as_object().expect("members") {
        assert_eq!(&issuing[member], value, "{member}");
    }
    let whole = server.json(&["rotator", "add", "webhook", "plain", URL, "--whole-value"]);
    assert_eq!((whole.get("PasswordKey"), &whole["Mode"]), (None, &json!("managed")));
    let callback = server.json(&["rotator", "add", "webhook", "cb", URL, "--mode", "callback", "--credentials"]);
    assert_eq!((&callback["Mode"], &callback["Credentials"]), (&json!("callback"), &json!(true)));
    let plain = server.json(&["rotator", "add", "lambda", "rie", "--endpoint", "http://127.0.0.1:9000"]);
    assert_eq!((&plain["Function"], plain.get("SigningKey")), (&json!("function"), None));
    let secret = file("aws-secret", "canary-secret\n");
    let signed = server.json(&[
        "rotator",
        "add",
        "lambda",
        "aws",
        "--endpoint",
        "https://lambda.eu-west-1.amazonaws.com",
        "--function",
        "rotate",
        "--region",
        "eu-west-1",
        "--access-key",
        "AKIAEXAMPLE",
        "--secret-access-key-file",
        &secret,
    ]);
    assert_eq!((&signed["Region"], &signed["AccessKeyId"]), (&json!("eu-west-1"), &json!("AKIAEXAMPLE")));
    let mut command = pawl();
    command.args(["rotator", "add", "lambda", "env", "--endpoint", "https://lambda.eu-west-1.amazonaws.com"]);
    command.args(["--region", "eu-west-1", "--access-key", "AKIAEXAMPLE", "--endpoint-url", &server.url, "--data"]);
    let output = command.arg(home.data()).env("PAWL_LAMBDA_SECRET_ACCESS_KEY", "canary-secret").output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));
    let half = ["rotator", "update", "aws", "--access-key", "AKIAOTHER"];
    refused(&server, &half, 1, "give its SecretAccessKey too (--secret-access-key-file");
    let whole = server.json(&[&half[..], &["--secret-access-key-file", &secret]].concat());
    assert_eq!(whole["AccessKeyId"], "AKIAOTHER");
    let unsigned = ["rotator", "add", "lambda", "x", "--endpoint", "https://l.example", "--access-key", "AKIAEXAMPLE"];
    refused(&server, &unsigned, 1, "Region, AccessKeyId and SecretAccessKey together");
    let missing = ["rotator", "add", "webhook", "y", URL, "--ca", "/nonexistent/ca.pem"];
    refused(&server, &missing, 2, "cannot read /nonexistent/ca.pem");
    assert_eq!(server.run(&["rotator", "add", "webhook", "y", URL, "--timeout", "soon"]).status.code(), Some(2));
    let both = ["rotator", "add", "webhook", "y", URL, "--whole-value", "--password-key", "p"];
    assert_eq!(server.run(&both).status.code(), Some(2));
    let all = server.json(&["rotator", "list"]).to_string();
    assert!(!all.contains("canary") && !home.log().contains("canary"));
}

#[test]
fn what_is_changed_is_what_was_said() {
    let home = Home::new();
    let server = home.serve();
    server.json(&["rotator", "add", "webhook", "redis", URL, "--steps", "retire", "--grace", "10m"]);
    let update = |options: &[&str]| server.json(&[&["rotator", "update", "redis"], options].concat());
    assert_eq!(update(&["--url", "https://other.example/"])["GraceSeconds"], 600);
    assert_eq!(update(&["--steps", "", "--timeout", "20"])["TimeoutSeconds"], 20);
    assert_eq!(update(&["--issues"])["Issues"], true);
    assert_eq!(update(&["--issues=false"])["PasswordKey"], "password");
    refused(&server, &["rotator", "update", "redis"], 2, "nothing to change");
    refused(&server, &["rotator", "update", "redis", "--credentials"], 1, "choose Mode callback");
    refused(&server, &["rotator", "update", "redis", "--function", "f"], 1, "Function is for Lambda functions");
    let papers = pawl::servers::tls::make(home.path()).expect("certificates");
    let (cert, key) = (papers.cert.to_str().expect("UTF-8"), papers.key.to_str().expect("UTF-8"));
    assert!(update(&["--client-cert", cert, "--client-key", key])["ClientCertificatePem"].is_string());
    refused(&server, &["rotator", "update", "redis", "--client-key", ""], 1, "go together");
    assert_eq!(update(&["--client-cert", "", "--client-key", ""]).get("ClientCertificatePem"), None);
    let disabled = server.json(&["rotator", "disable", "redis"]);
    assert_eq!(disabled["Enabled"], false);
    has_line(
        &shown(&server, &["rotator", "list"]),
        &["redis", "webhook", "(managed)", "disabled", "0", "https://other.example/"],
    );
    server.create("app", &json!("value"));
    let enable = ["rotation", "enable", "app", "--rotator", "redis", "--days", "30"];
    refused(&server, &enable, 1, "The rotator redis is disabled; enable it first.");
    assert_eq!(shown(&server, &["rotator", "enable", "redis"]), "redis is enabled\n");
    server.json(&enable);
    server.json(&["rotator", "disable", "redis"]);
    let status = shown(&server, &["rotation", "status", "app"]);
    assert!(status.contains("redis, disabled: nothing is done until `pawl rotator enable redis`"), "{status}");
    server.json(&["rotator", "enable", "redis"]);
    has_line(&shown(&server, &["rotation", "status", "app"]), &["rotator", "redis"]);
    refused(&server, &["rotator", "remove", "redis"], 1, "serves these secrets: app.");
    has_line(&shown(&server, &["rotator", "show", "redis"]), &["secrets", "1:", "app"]);
    server.json(&["secret", "delete", "app", "--now"]);
    assert_eq!(shown(&server, &["rotator", "remove", "redis"]), "redis is forgotten\n");
    refused(&server, &["rotator", "remove", "redis"], 1, "No rotator redis is registered.");
}

#[test]
fn who_registers_a_receiver_hears_when_it_cannot_call_back() {
    let add = |server: &Pawl, name: &str, url: &str, mode: &str| {
        let output = server.run(&["rotator", "add", "webhook", name, url, "--mode", mode]);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let home = Home::new();
    let server = home.serve();
    let hint = format!("receivers are told to call {}, which another machine cannot: set --public-url", server.url);
    let elsewhere = add(&server, "elsewhere", URL, "callback");
    assert!(elsewhere.contains(&hint), "{elsewhere}");
    for (name, url, mode) in [("here", "http://127.0.0.1:9/", "callback"), ("managed", URL, "managed")] {
        let heard = add(&server, name, url, mode);
        assert!(!heard.contains("--public-url"), "{name}: {heard}");
    }
    let home = Home::new();
    let server = home.serve_with(&["--public-url", "https://pawl.example"], &[]);
    let heard = add(&server, "told", URL, "callback");
    assert!(!heard.contains("--public-url"), "{heard}");
}

#[test]
fn a_signing_key_is_rotated_with_an_overlap_and_not_twice_in_it() {
    let home = Home::new();
    let server = home.serve();
    let first = server.json(&["rotator", "add", "webhook", "redis", URL]);
    let second = shown(&server, &["rotator", "rotate-key", "redis", "--overlap", "1h"]);
    assert!(second.starts_with("whsec_") && first["SigningKey"] != second.trim_end());
    refused(&server, &["rotator", "rotate-key", "redis"], 1, "give Replace (--replace)");
    assert!(shown(&server, &["rotator", "rotate-key", "redis", "--replace"]).starts_with("whsec_"));
    let one = shown(&server, &["rotator", "show", "redis"]);
    assert_eq!(one.matches("signing key since ").count(), 2, "{one}");
    assert_eq!(one.matches(", until ").count(), 1, "{one}");
    refused(&server, &["rotator", "rotate-key", "redis", "--overlap", "99d"], 1, "at most 30 days");
}

#[test]
fn deliveries_are_listed_and_one_that_is_not_there_is_not_sent_again() {
    let home = Home::new();
    let server = home.serve();
    server.json(&["rotator", "add", "webhook", "redis", URL]);
    assert_eq!(server.json(&["rotator", "deliveries", "redis"]), json!({"Deliveries": []}));
    let header = ["ID", "WHEN", "SECRET", "VERSION", "STEP", "ATTEMPT", "TOOK", "STATUS", "VERDICT", "MESSAGE"];
    has_line(&shown(&server, &["rotator", "deliveries", "redis", "--limit", "5"]), &header);
    refused(&server, &["rotator", "redeliver", "redis", "7"], 1, "This rotator has no delivery of this number.");
    refused(&server, &["rotator", "deliveries", "nobody"], 1, "No rotator nobody is registered.");
    assert_eq!(server.run(&["rotator", "test", "redis"]).status.code(), Some(2), "it needs a throw-away secret");
}

#[test]
fn only_what_was_given_up_is_vouched_for() {
    let home = Home::new();
    let server = home.serve();
    server.create("app", &json!("value"));
    refused(&server, &["rotation", "abandon", "app", "--current-works"], 1, "No rotation of this secret is open.");
}

#[test]
fn a_receiver_is_tested_asked_and_seen_at_work() {
    let home = Home::new();
    let server = home.serve();
    let service = Service::with("first");
    let served = Arc::clone(&service);
    // It verifies nothing, and knows a step that this rotator does not declare.
    let receiver = Receiver::start(move |event| match event.step() {
        "setSecret" | "testSecret" => managed(&served, event),
        _ => Answer::done(),
    });
    server.json(&["rotator", "add", "webhook", "lax", &receiver.url, "--steps", "check"]);
    server.create("app", &account_value("first"));
    server.json(&["rotation", "enable", "app", "--rotator", "lax"]);
    let check = shown(&server, &["rotator", "check", "lax", "--secret", "app"]);
    assert!(check.lines().next().is_some_and(|line| line.starts_with("ok ")), "{check}");
    let output = server.run(&["rotator", "test", "lax", "--secret", "app"]);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{report}{}", said(&output));
    assert!(report.contains("FAIL  an event without a signature is refused"), "{report}");
    assert!(report.contains("ok    ") && report.contains("why it matters: "), "{report}");
    assert!(said(&output).contains(" failed"), "{}", said(&output));
    server.json(&["rotation", "now", "app", "--wait"]);
    let sent = shown(&server, &["rotator", "deliveries", "lax", "--limit", "1"]);
    let line: Vec<_> = sent.lines().nth(1).expect("a delivery").split_whitespace().collect();
    for word in ["app", "finishSecret", "200", "done"] {
        assert!(line.contains(&word), "{word}: {line:?}");
    }
    refused(&server, &["rotator", "redeliver", "lax", line[0]], 1, "could set an old value");
    assert!(!sent.contains("whsec_") && !report.contains("whsec_"));
}
