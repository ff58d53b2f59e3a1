//! `pawl key`: keys are made, used, changed and taken away as a person does it. Needs no database.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::pawl::{Home, Pawl, pawl};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a verb with credentials of the environment.
fn run_as(server: &Pawl, credentials: &Value, arguments: &[&str]) -> Output {
    let mut command = pawl();
    command.args(arguments).args(["--endpoint-url", &server.url]);
    for (member, variable) in [
        ("AccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("SecretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        ("SessionToken", "AWS_SESSION_TOKEN"),
    ] {
        if let Some(value) = credentials[member].as_str() {
            command.env(variable, value);
        }
    }
    command.output().expect("pawl runs")
}

fn assert_refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains(words), "{}", said(output));
}

fn reader(server: &Pawl) -> Value {
    server.json(&["key", "create", "--principal", "web", "--role", "reader", "--prefix", "app/", "--secret", "db"])
}

#[test]
fn a_reader_reads_its_own_secrets_and_is_told_so_about_others() {
    let home = Home::new();
    let server = home.serve();
    for name in ["app/x", "db", "other"] {
        server.create(name, &json!("v"));
    }
    let key = reader(&server);
    for name in ["app/x", "db"] {
        let output = run_as(&server, &key, &["secret", "get", name]);
        assert!(output.status.success(), "{}", said(&output));
    }
    let output = run_as(&server, &key, &["secret", "get", "other"]);
    assert_refused(&output, "user/web is not authorized to perform: secretsmanager:GetSecretValue");
    let listed = run_as(&server, &key, &["secret", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["SecretList"].as_array().map(Vec::len), Some(2));
    assert_refused(&run_as(&server, &key, &["key", "list"]), "pawl:ListAccessKeys");
    assert_refused(&run_as(&server, &key, &["secret", "delete", "app/x", "--now"]), "not authorized");
}

#[test]
fn keys_are_listed_disabled_enabled_and_deleted() {
    let home = Home::new();
    let server = home.serve();
    let key = reader(&server);
    let id = key["AccessKeyId"].as_str().expect("an id");
    let secret = key["SecretAccessKey"].as_str().expect("a secret");
    let output = server.run(&["key", "list"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!shown.contains(secret));
    let line = shown.lines().find(|line| line.contains(id)).expect("its line");
    for word in ["enabled", "web", "reader", "app/* db"] {
        assert!(line.contains(word), "{line}");
    }
    let works = || run_as(&server, &key, &["secret", "list"]).status.success();
    assert!(works());
    assert_eq!(server.json(&["key", "disable", id]), json!({"AccessKeyId": id, "Enabled": false}));
    assert!(!works());
    assert!(String::from_utf8_lossy(&server.run(&["key", "list"]).stdout).contains("disabled"));
    assert!(server.run(&["key", "enable", id]).status.success());
    assert!(works());
    assert!(server.run(&["key", "delete", id]).status.success());
    assert!(!works());
    assert_refused(&server.run(&["key", "delete", id]), "There is no access key of this id.");
    assert!(!home.log().contains(secret), "a secret is shown to whoever made it, and to no log");
}

#[test]
fn a_third_key_of_one_principal_is_refused_with_what_to_do() {
    let home = Home::new();
    let server = home.serve();
    reader(&server);
    reader(&server);
    let third = ["key", "create", "--principal", "web", "--role", "reader", "--prefix", "app/", "--secret", "db"];
    let output = server.run(&third);
    assert_refused(&output, "LimitExceededException");
    assert!(said(&output).contains("`pawl key disable ID` and `pawl key delete ID`"), "{}", said(&output));
}

#[test]
fn the_administrators_key_is_changed_while_the_server_runs_and_the_last_one_stays() {
    let home = Home::new();
    let server = home.serve();
    let first = server.json(&["key", "list"])["AccessKeys"][0]["AccessKeyId"].as_str().expect("an id").to_owned();
    assert_refused(&server.run(&["key", "disable", &first]), "last enabled access key of an administrator");
    let second = server.json(&["key", "create"]);
    assert_eq!((&second["Principal"], &second["Role"]), (&json!("admin"), &json!("administrator")));
    let output = run_as(&server, &second, &["key", "delete", &first]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!server.run(&["secret", "list"]).status.success(), "the key in the data folder was that one");
    assert!(run_as(&server, &second, &["secret", "list"]).status.success());
}

#[test]
fn temporary_credentials_come_as_lines_for_a_shell_and_as_a_profile() {
    let home = Home::new();
    let server = home.serve();
    let output = server.run(&["key", "session", "--ttl", "15m"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("good until"), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(&format!("export {name}="))).expect(name);
        found.to_owned()
    };
    let (id, secret, token) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"), value("AWS_SESSION_TOKEN"));
    assert_eq!(text.lines().count(), 3);
    let session = json!({"AccessKeyId": id, "SecretAccessKey": secret, "SessionToken": token});
    let output = run_as(&server, &session, &["secret", "list"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_refused(&run_as(&server, &session, &["key", "session"]), "Cannot call CreateSession");
    let without = json!({"AccessKeyId": id, "SecretAccessKey": secret});
    assert_refused(&run_as(&server, &without, &["secret", "list"]), "The security token included in the request");

    let file = home.path().join("profile");
    let lines = format!("[s]\naws_access_key_id={id}\naws_secret_access_key={secret}\naws_session_token={token}\n");
    std::fs::write(&file, lines).expect("written");
    let mut command = pawl();
    command.args(["secret", "list", "--endpoint-url", &server.url]);
    let output = command.env("AWS_SHARED_CREDENTIALS_FILE", &file).env("AWS_PROFILE", "s").output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(server.run(&["key", "session", "--ttl", "2d"]).status.code(), Some(2));
    assert_refused(&server.run(&["key", "session", "--ttl", "37h"]), "129600");
}

#[test]
fn roles_need_the_server_and_a_name() {
    let home = Home::new();
    drop(home.serve());
    let mut command = pawl();
    command.args(["key", "create", "--role", "reader", "--principal", "web", "--secret", "db", "--data"]);
    let output = command.arg(home.data()).output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("start `pawl serve`"), "{}", said(&output));
    let server = home.serve();
    let nameless = server.run(&["key", "create", "--role", "reader", "--secret", "db"]);
    assert_eq!(nameless.status.code(), Some(2), "{}", said(&nameless));
    assert!(said(&nameless).contains("--principal NAME"), "{}", said(&nameless));
    assert_eq!(server.run(&["key", "create", "--role", "owner"]).status.code(), Some(2));
}
