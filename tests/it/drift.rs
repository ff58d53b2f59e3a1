//! Does AWSCURRENT log in, and what is done where it does not: looks by command and by schedule, reconciling, its policy
//! against a rival, rollbacks; on real accounts that somebody else changes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret, execute};
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, unique, wait_for};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mariadb, Engine::Mysql];
/// For what happens by schedule.
const SOON: Duration = Duration::from_secs(60);

fn every_server(mut test: impl FnMut(&'static Server)) {
    for engine in ENGINES {
        if let Some(server) = servers::shared(engine) {
            test(server);
        }
    }
}

/// Somebody else sets the account's password.
fn set_outside(account: &Account, password: &str) {
    let user = &account.user;
    let statement = if account.server.engine == "postgres" {
        format!("ALTER ROLE {user} PASSWORD '{password}'")
    } else {
        format!("ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'")
    };
    execute(account.server, &statement);
}

/// An account whose secret is rotated by schedule, one password at a time, with more flags.
fn adopted(pawl: &Pawl, account: &Account, extra: &Value, flags: &[&str]) -> String {
    let name = pawl.create_for(account, extra);
    let enable = ["rotation", "enable", &name, "--schedule", "rate(30 days)", "--strategy", "single-user"];
    pawl.json(&[&enable, flags].concat());
    name
}

fn with_admin(pawl: &Pawl, server: &Server) -> Value {
    let admin = unique("admin-of-");
    pawl.create(&admin, &admin_secret(server, &nothing()));
    json!({ "masterarn": admin })
}

/// The exit code of a verb, what it said on standard error, and its JSON.
fn told(pawl: &Pawl, arguments: &[&str]) -> (Option<i32>, String, Value) {
    let output = pawl.run(&[arguments, &["--json"]].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), error, serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success());
}

fn kinds(pawl: &Pawl, name: &str) -> Vec<String> {
    let entries = pawl.history(name);
    entries.iter().rev().filter_map(|entry| entry["Kind"].as_str().map(str::to_owned)).collect()
}

fn metric(pawl: &Pawl, line: &str) -> Option<u64> {
    let text = pawl.metrics();
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn verify_says_that_awscurrent_logs_in_and_changes_nothing() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = adopted(&pawl, &account, &nothing(), &[]);
        let (code, error, view) = told(&pawl, &["rotation", "verify", &name]);
        assert_eq!((code, &view["Verified"]["Answer"]), (Some(0), &json!("current-logs-in")), "{error}");
        assert_eq!(view["State"], "idle");
        assert!(account.logs_in(&account.password));
    });
    assert!(metric(&pawl, r#"pawl_verifications_total{answer="current-logs-in"}"#).is_some_and(|count| count >= 1));
    assert_eq!(metric(&pawl, "pawl_drifted"), Some(0));
}

// F27
#[test]
fn a_password_that_somebody_else_has_set_is_drift_and_the_admin_sets_awscurrent_again() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = adopted(&pawl, &account, &with_admin(&pawl, server), &[]);
        set_outside(&account, "a-rivals-password");
        let (code, error, view) = told(&pawl, &["rotation", "verify", &name]);
        let verified = &view["Verified"];
        assert_eq!((code, &view["State"], &verified["Answer"]), (Some(1), &json!("drifted"), &json!("none-logs-in")));
        assert!(error.contains("has drifted"), "{error}");
        assert_eq!(metric(&pawl, "pawl_drifted"), Some(1));
        let shown = String::from_utf8(pawl.run(&["rotation", "status", &name]).stdout).expect("UTF-8");
        assert!(shown.contains("drifted") && shown.contains("pawl rotation reconcile"), "{shown}");
        assert!(!account.logs_in(&account.password), "nothing was done about it yet");

        let (code, error, view) = told(&pawl, &["rotation", "reconcile", &name, "--wait"]);
        assert_eq!((code, &view["State"]), (Some(0), &json!("idle")), "{error}\n{}", home.log());
        assert!(account.logs_in(&account.password) && !account.logs_in("a-rivals-password"));
        assert_eq!(pawl.current_password(&name), account.password, "no version was made");
        assert_eq!(pawl.status(&name)["Verified"]["Drifted"], false);
        assert_eq!(metric(&pawl, "pawl_drifted"), Some(0));
        let kinds = kinds(&pawl, &name);
        assert!(["drifted", "reconciling", "reconciled"].iter().all(|kind| kinds.contains(&(*kind).to_owned())));
    });
}

// F12
#[test]
fn a_target_that_was_restored_from_a_backup_has_awsprevious_which_is_said_and_sets_awscurrent_again() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = adopted(&pawl, &account, &nothing(), &[]);
        pawl.json(&["rotation", "now", &name, "--wait"]);
        let current = pawl.current_password(&name);
        set_outside(&account, &account.password);
        let (code, _, view) = told(&pawl, &["rotation", "verify", &name]);
        let verified = &view["Verified"];
        assert_eq!((code, &verified["Role"]), (Some(1), &json!("AWSPREVIOUS")), "{view}");
        assert!(verified["Message"].as_str().is_some_and(|message| message.contains("backup")), "{view}");
        // Without an admin: the old password opens the door.
        let (code, error, _) = told(&pawl, &["rotation", "reconcile", &name, "--wait"]);
        assert_eq!(code, Some(0), "{error}\n{}", home.log());
        assert!(account.logs_in(&current) && !account.logs_in(&account.password));
    });
}

// F11
#[test]
fn a_store_that_is_older_than_its_target_finds_nobody_and_says_so() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let account = Account::create(server);
    let name = {
        let pawl = home.serve();
        adopted(&pawl, &account, &nothing(), &[])
    };
    let backup = tempfile::tempdir().expect("a folder");
    copy(&home.data(), &backup.path().join("data"));
    {
        let pawl = home.serve();
        pawl.json(&["rotation", "now", &name, "--wait"]);
    }
    std::fs::remove_dir_all(home.data()).expect("its server has ended");
    copy(&backup.path().join("data"), &home.data());
    let pawl = home.serve();
    assert_eq!(pawl.current_password(&name), account.password, "the store is the one of before");
    let (code, _, view) = told(&pawl, &["rotation", "verify", &name]);
    assert_eq!((code, &view["Verified"]["Answer"]), (Some(1), &json!("none-logs-in")), "{view}");
}

#[test]
fn a_target_that_is_away_is_no_drift() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    // Nobody listens on the discard port, which keeps nobody from enabling it.
    let name = adopted(&pawl, &account, &json!({ "port": 9 }), &[]);
    let (code, error, view) = told(&pawl, &["rotation", "verify", &name]);
    assert_eq!((code, &view["State"]), (Some(1), &json!("idle")), "{view}");
    assert!(view.get("Verified").is_none() && view["NotVerified"]["Message"].is_string(), "{view}");
    assert!(error.contains("could not be found out"), "{error}");
    assert_eq!(metric(&pawl, "pawl_drifted"), Some(0));
}

#[test]
fn awscurrent_is_tried_by_schedule() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = adopted(&pawl, &account, &nothing(), &["--verify", "1s"]);
    let first = wait_for("a look by schedule", SOON, || pawl.status(&name)["Verified"]["Date"].as_f64());
    wait_for("another one", SOON, || pawl.status(&name)["Verified"]["Date"].as_f64().filter(|next| *next > first));
    set_outside(&account, "a-rivals-password");
    wait_for("the drift is found", SOON, || (pawl.status(&name)["State"] == "drifted").then_some(()));
    assert_eq!(kinds(&pawl, &name).iter().filter(|kind| *kind == "drifted").count(), 1, "it is said once");
    set_outside(&account, &account.password);
    wait_for("it is over", SOON, || (pawl.status(&name)["State"] == "idle").then_some(()));
    assert!(kinds(&pawl, &name).contains(&"verified-again".to_owned()));
    // A rotation that is asked for meanwhile waits for a look at most.
    pawl.json(&["rotation", "now", &name, "--wait"]);
    assert!(account.logs_in(&pawl.current_password(&name)));
}

// F27
#[test]
fn the_policy_sets_awscurrent_again_and_stops_after_three_times_against_a_rival() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let extra = with_admin(&pawl, server);
    let name = adopted(&pawl, &account, &extra, &["--verify", "1s", "--reconcile"]);
    wait_for("AWSCURRENT was seen to log in", SOON, || {
        (pawl.status(&name)["Verified"]["Answer"] == "current-logs-in").then_some(())
    });
    for n in 1..=3 {
        set_outside(&account, "a-rivals-password");
        wait_for("AWSCURRENT was set again", SOON, || account.logs_in(&account.password).then_some(()));
        let reconciled = || kinds(&pawl, &name).iter().filter(|kind| *kind == "reconciled").count() == n;
        wait_for("that is recorded", SOON, || reconciled().then_some(()));
    }
    set_outside(&account, "a-rivals-password");
    wait_for("the policy has stopped", SOON, || kinds(&pawl, &name).contains(&"rival".to_owned()).then_some(()));
    let view = pawl.status(&name);
    assert_eq!(view["State"], "drifted", "{view}");
    assert!(view["Verified"]["Message"].as_str().is_some_and(|message| message.contains("3 times")), "{view}");
    assert!(account.logs_in("a-rivals-password"), "there is no fight");
    // A person decides.
    let (code, error, _) = told(&pawl, &["rotation", "reconcile", &name, "--wait"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(account.logs_in(&account.password));
}

#[test]
fn a_rollback_goes_back_to_the_value_before_under_a_new_version() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = adopted(&pawl, &account, &nothing(), &[]);
        let (code, error, _) = told(&pawl, &["rotation", "rollback", &name, "--wait"]);
        assert_eq!(code, Some(1), "there is nothing to go back to: {error}");
        pawl.json(&["rotation", "now", &name, "--wait"]);
        let newer = pawl.current_password(&name);
        let (code, error, _) = told(&pawl, &["rotation", "rollback", &name, "--wait"]);
        assert_eq!(code, Some(0), "{error}\n{}", home.log());
        assert_eq!(pawl.current_password(&name), account.password);
        assert!(account.logs_in(&account.password) && !account.logs_in(&newer));
        let secret = pawl.json(&["secret", "show", &name]);
        assert_eq!(secret["VersionIdsToStages"].as_object().map(serde_json::Map::len), Some(2), "{secret}");
        let (code, error, _) = told(&pawl, &["rotation", "retire", &name]);
        assert!(code == Some(1) && error.contains("No credential waits"), "{error}");
    });
}

// F84
#[test]
fn a_rollback_that_the_target_refuses_for_reuse_is_given_up_and_says_why() {
    let Some(server) = servers::mysql() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    execute(server, &format!("ALTER USER '{}'@'%' PASSWORD HISTORY 5", account.user));
    set_outside(&account, &account.password);
    let name = adopted(&pawl, &account, &nothing(), &["--force"]);
    pawl.json(&["rotation", "now", &name, "--wait"]);
    let current = pawl.current_password(&name);
    let (code, error, _) = told(&pawl, &["rotation", "rollback", &name, "--wait"]);
    assert_eq!(code, Some(4), "{error}");
    let view = pawl.settled(&name);
    assert_eq!((&view["State"], pawl.current_password(&name)), (&json!("idle"), current.clone()), "{view}");
    assert!(account.logs_in(&current), "AWSCURRENT logs in as before");
    let told = pawl.history(&name);
    let why = |entry: &&Value| entry["Message"].as_str().is_some_and(|message| message.contains("does not take"));
    assert!(told.iter().any(|entry| entry["Kind"] == "rejected" && why(&entry)), "{told:#?}");
}

// F126
#[test]
fn check_shows_what_a_rotation_would_do_and_enable_refuses_what_could_not_work() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = adopted(&pawl, &account, &with_admin(&pawl, server), &[]);
        let (code, error, report) = told(&pawl, &["rotation", "check", &name]);
        assert_eq!((code, &report["Passes"]), (Some(0), &json!(true)), "{report:#} {error}");
        assert_eq!(report["Strategy"], "single-user");
        assert!(report["Statements"].as_array().is_some_and(|statements| !statements.is_empty()), "{report:#}");
        assert_eq!(report["Windows"].as_array().map(Vec::len), Some(5));
        let findings = report["Findings"].to_string();
        assert!(findings.contains("admin-not-rotated"), "the admin's own rotation is off: {findings}");
        assert!(!report.to_string().contains(&account.password), "values are masked");
        let shown = String::from_utf8(pawl.run(&["rotation", "check", &name]).stdout).expect("UTF-8");
        assert!(shown.contains("a rotation would run") && shown.contains("it rotates at"), "{shown}");
        assert!(account.logs_in(&account.password), "nothing was changed");

        let wrong = Account::create(server);
        let name = pawl.create_for(&wrong, &json!({ "password": "not-the-password" }));
        let enable = ["rotation", "enable", &name, "--schedule", "rate(30 days)"];
        let (code, error, _) = told(&pawl, &enable);
        assert!(code == Some(1) && error.contains("--force"), "{error}");
        assert_eq!(pawl.status(&name)["RotationEnabled"], false);
        let (code, error, view) = told(&pawl, &[&enable[..], &["--force"]].concat());
        assert_eq!((code, &view["RotationEnabled"]), (Some(0), &json!(true)), "{error}");
        assert!(kinds(&pawl, &name).contains(&"forced".to_owned()));
    });
}

// F70
#[test]
fn an_admin_that_names_itself_or_nobody_is_a_problem() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    for (masterarn, why) in [("own", "itself"), ("nobody", "does not exist")] {
        let account = Account::create(server);
        let masterarn = if masterarn == "own" { account.user.as_str() } else { masterarn };
        let name = pawl.create_for(&account, &json!({ "masterarn": masterarn }));
        let enable = ["rotation", "enable", &name, "--schedule", "rate(30 days)"];
        let (code, error, _) = told(&pawl, &enable);
        assert!(code == Some(1) && error.contains(why), "{error}");
    }
}

#[test]
fn a_look_whose_process_was_killed_costs_the_look_alone() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let account = Account::create(server);
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", "verify::before_login")]);
    let name = adopted(&pawl, &account, &nothing(), &["--verify", "1s"]);
    pawl.ended(SOON);
    drop(pawl);
    let pawl = home.serve();
    // What it held is over when its lease is, and nobody is kept out for longer.
    pawl.json(&["rotation", "now", &name, "--wait"]);
    assert!(account.logs_in(&pawl.current_password(&name)));
    wait_for("AWSCURRENT is tried again", SOON, || pawl.status(&name)["Verified"]["Date"].as_f64());
}
