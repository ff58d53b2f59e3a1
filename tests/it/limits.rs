//! Fairness and limits of a whole server: a host that is gone delays nobody else and alerts once, a pause of everything, a
//! blackout.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{free_port, servers, unique, wait_for};

/// A secret of an account at this port, whose rotation is asked for at once.
fn asked_for(pawl: &Pawl, port: u16) -> String {
    let name = unique("gone-");
    let value = json!({
        "engine": "postgres", "host": "127.0.0.1", "port": port, "username": name, "password": "p", "dbname": "app",
    });
    let created = pawl
        .aws("CreateSecret", &json!({"Name": name, "ClientRequestToken": token(), "SecretString": value.to_string()}));
    assert!(created.is_some_and(|answer| answer["Name"] == name.as_str()));
    let rotated = pawl.aws("RotateSecret", &json!({"SecretId": name, "ClientRequestToken": token()}));
    assert!(rotated.is_some_and(|answer| answer["Name"] == name.as_str()));
    name
}

fn token() -> String {
    let text = unique("token-of-a-test-");
    format!("{text:-<40}")
}

/// How many times the rotations of these secrets tried anything at their host.
fn tries(pawl: &Pawl, names: &[String]) -> usize {
    let at_host = |line: &&Value| line["Kind"] == "step" && line["Step"] == "setSecret";
    names.iter().map(|name| pawl.history(name).iter().filter(at_host).count()).sum()
}

fn rotations(pawl: &Pawl, name: &str) -> usize {
    pawl.history(name).iter().filter(|line| line["Kind"] == "succeeded").count()
}

fn ready(pawl: &Pawl) -> String {
    let output = pawl.run(&["health"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refusal(pawl: &Pawl, arguments: &[&str]) -> String {
    let output = pawl.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// F24, F54, F55
#[test]
fn a_dead_host_and_a_silent_one_delay_nobody_else_and_alert_once() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve_with(&["--permits", "16"], &[]);
    let account = Account::create(server);
    let well = pawl.create_for(&account, &nothing());
    // It takes every connection and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let quiet: Vec<String> = (0..8).map(|_| asked_for(&pawl, silent_port)).collect();
    let dead_port = free_port();
    let dead: Vec<String> = (0..40).map(|_| asked_for(&pawl, dead_port)).collect();
    let schedule = ["rotation", "enable", &well, "--schedule", "rate(3 seconds)", "--strategy", "single-user"];
    pawl.json(&schedule);
    let target = format!("127.0.0.1:{dead_port}");
    let shown = wait_for("the dead host is left alone", Duration::from_secs(60), || {
        let shown = pawl.json(&["limits", "show"]);
        let hosts = shown["Unreachable"].as_array()?.clone();
        hosts.into_iter().find(|host| host["Target"] == target.as_str())
    });
    assert!(shown["Failures"].as_u64().is_some_and(|failures| failures >= 5), "{shown}");
    let before = (rotations(&pawl, &well), tries(&pawl, &dead));
    wait_for("the healthy host's secret is rotated on time", Duration::from_secs(40), || {
        (rotations(&pawl, &well) >= before.0 + 3).then_some(())
    });
    let metrics = pawl.metrics();
    assert!(metrics.contains("pawl_targets_unreachable"), "{metrics}");
    // Forty secrets tried a handful of times in all, not once a second each.
    let tried = tries(&pawl, &dead) - before.1;
    assert!(tried <= 6, "{tried} tries at a host that is left alone");
    let alerts = home.log().matches(&format!("{target} is not reached: its secrets wait")).count();
    assert_eq!(alerts, 1, "one alert for all of them");
    let waits =
        dead.iter().filter(|name| pawl.status(name)["WaitsFor"].as_str().is_some_and(|why| why.contains(&target)));
    assert!(waits.count() >= 30);
    assert!(quiet.iter().all(|name| pawl.status(name)["State"] != "parked"));
    drop(silent);
}

#[test]
fn a_pause_of_everything_survives_a_restart_and_is_shown_wherever_one_looks() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let account = Account::create(server);
    let name = {
        let pawl = home.serve();
        let name = pawl.create_for(&account, &nothing());
        pawl.json(&["rotation", "enable", &name, "--schedule", "rate(2 seconds)", "--strategy", "single-user"]);
        wait_for("it rotates by schedule", Duration::from_secs(30), || (rotations(&pawl, &name) > 0).then_some(()));
        let refused = pawl.run(&["rotation", "pause", "--all"]);
        assert_eq!(refused.status.code(), Some(2), "a reason is needed");
        let paused = pawl.json(&["rotation", "pause", "--all", "--reason", "the freeze"]);
        assert_eq!((&paused["Paused"]["By"], &paused["Paused"]["Reason"]), (&json!("admin"), &json!("the freeze")));
        // What was open when it was paused goes on to its end.
        pawl.settled(&name);
        name
    };
    let pawl = home.serve();
    let done = rotations(&pawl, &name);
    assert!(ready(&pawl).contains("all rotations are paused, by admin at"), "{}", ready(&pawl));
    assert!(ready(&pawl).contains("the freeze"));
    assert!(pawl.metrics().contains("pawl_paused 1"));
    let why = refusal(&pawl, &["rotation", "now", &name]);
    assert!(why.contains("All rotations were paused by admin") && why.contains("resume --all"), "{why}");
    assert!(refusal(&pawl, &["rotation", "now", &name, "--force"]).contains("paused"));
    assert!(pawl.status(&name)["WaitsFor"].as_str().is_some_and(|why| why.contains("the freeze")));
    assert_eq!(rotations(&pawl, &name), done, "nothing has started since");
    let resumed = pawl.json(&["rotation", "resume", "--all"]);
    assert!(resumed["Paused"].is_null(), "{resumed}");
    assert_eq!(ready(&pawl).trim(), "ready");
    wait_for("it rotates by schedule again", Duration::from_secs(60), || {
        (rotations(&pawl, &name) > done).then_some(())
    });
    assert!(account.logs_in(&pawl.current_password(&name)));
    assert!(refusal(&pawl, &["rotation", "resume", "--all"]).contains("Nothing is paused"));
}

#[test]
fn in_a_blackout_nothing_starts_by_schedule_and_only_who_insists_starts_a_rotation() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    pawl.json(&["limits", "set", "--blackout", "2020-01-01T00:00/2099-01-01T00:00"]);
    pawl.json(&["rotation", "enable", &name, "--schedule", "rate(2 seconds)", "--strategy", "single-user"]);
    wait_for("what comes due is put off", Duration::from_secs(30), || {
        pawl.history(&name).iter().any(|line| line["Kind"] == "put-off").then_some(())
    });
    let view = pawl.status(&name);
    assert!(view["DueDate"].as_f64().is_some_and(|due| due >= 4_070_908_800.0), "{view}");
    let windows = pawl.json(&["rotation", "preview", &name, "--count", "1"]);
    assert!(windows["Windows"][0]["PlannedLocal"].as_str().is_some_and(|at| at.starts_with("2099-01-01")), "{windows}");
    let why = refusal(&pawl, &["rotation", "now", &name]);
    assert!(why.contains("A blackout is in force until 2099-01-01") && why.contains("--force"), "{why}");
    assert_eq!(rotations(&pawl, &name), 0);
    let output = pawl.run(&["rotation", "now", &name, "--force", "--wait"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(rotations(&pawl, &name), 1);
    assert!(account.logs_in(&pawl.current_password(&name)));
    let shown = pawl.json(&["limits", "set", "--blackout", "none"]);
    assert_eq!(shown["Blackouts"], json!([]));
    assert!(refusal(&pawl, &["limits", "set", "--blackout", "christmas"]).contains("START/END"));
}
