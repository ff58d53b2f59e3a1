//! A whole rotation of a real account, through the command line, as an administrator does it.

use std::time::Duration;

use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret, execute};
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, unique, wait_for};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mariadb, Engine::Mysql];

fn every_server(mut test: impl FnMut(&'static Server)) {
    for engine in ENGINES {
        if let Some(server) = servers::shared(engine) {
            test(server);
        }
    }
}

/// Rotates once, and asks the database and the labels what came of it.
fn rotates(pawl: &Pawl, account: &Account, name: &str) {
    let output = pawl.run(&["rotation", "now", name, "--wait"]);
    let steps = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {steps}");
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert!(steps.contains(step), "{step} is not shown in: {steps}");
    }
    let password = pawl.current_password(name);
    assert_ne!(password, account.password);
    assert!(account.logs_in(&password), "the new password of {name} logs in");
    ends_its_grace(pawl, account, name);
    assert!(account.logs_in(&password), "the new password of {name} logs in still");
    assert!(!account.logs_in(&account.password), "the old password of {name} does not");
}

/// Where nothing is said, an account that may have two passwords has them until its grace is over. A person ends that here.
fn ends_its_grace(pawl: &Pawl, account: &Account, name: &str) {
    if pawl.status(name)["Open"]["Promoted"] != true {
        return;
    }
    assert!(account.logs_in(&account.password), "the old password of {name} logs in within the grace");
    let output = pawl.run(&["rotation", "retire", name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(pawl.settled(name)["State"], "idle", "{name}");
}

/// A server is killed at this point of the account's rotation. Returns the secret's name.
fn dies_at(point: &str, home: &Home, account: &Account) -> String {
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
    let name = pawl.create_for(account, &nothing());
    let mut asking = pawl.ask_to_rotate(&name);
    pawl.ended(Duration::from_secs(30));
    asking.wait().expect("its status");
    name
}

#[test]
fn an_account_changes_its_own_password_on_every_database() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = pawl.create_for(&account, &nothing());
        rotates(&pawl, &account, &name);
        let secret = pawl.json(&["secret", "show", &name]);
        let stages = secret["VersionIdsToStages"].as_object().expect("versions");
        let mut labels: Vec<_> =
            stages.values().flat_map(|list| list.as_array().cloned().unwrap_or_default()).collect();
        labels.sort_by_key(ToString::to_string);
        assert_eq!(labels, ["AWSCURRENT", "AWSPREVIOUS"], "{secret}");
        assert!(secret["LastRotatedDate"].is_number());
        assert_eq!(pawl.status(&name)["State"], "idle");
    });
}

#[test]
fn an_admin_secret_changes_the_password_on_every_database() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let admin = unique("admin-of-");
        pawl.create(&admin, &admin_secret(server, &nothing()));
        let account = Account::create(server);
        let name = pawl.create_for(&account, &json!({ "masterarn": admin }));
        rotates(&pawl, &account, &name);
    });
}

#[test]
fn an_admin_secret_rotates_an_account_whose_stored_password_is_wrong() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let admin = unique("admin-of-");
        pawl.create(&admin, &admin_secret(server, &nothing()));
        let account = Account::create(server);
        let name = pawl.create_for(&account, &json!({ "masterarn": admin, "password": "not-the-password" }));
        let output = pawl.run(&["rotation", "now", &name, "--wait"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(account.logs_in(&pawl.current_password(&name)));
    });
}

#[test]
fn tls_targets_are_verified_with_the_authority_that_the_server_was_given() {
    every_server(|server| {
        let home = Home::new();
        let ca = server.ca.to_str().expect("UTF-8");
        let account = Account::create(server);
        let tls = json!({ "ssl": true, "host": "localhost" });
        {
            let pawl = home.serve_with(&["--target-ca", ca], &[]);
            let name = pawl.create_for(&account, &tls);
            rotates(&pawl, &account, &name);
            let admin = unique("admin-of-");
            pawl.create(&admin, &admin_secret(server, &tls));
            let other = Account::create(server);
            let extra = json!({ "ssl": true, "host": "localhost", "masterarn": admin });
            let name = pawl.create_for(&other, &extra);
            rotates(&pawl, &other, &name);
        }
        let stranger = Home::new();
        let pawl = stranger.serve();
        let account = Account::create(server);
        let name = pawl.create_for(&account, &tls);
        let output = pawl.run(&["rotation", "now", &name, "--wait", "--timeout", "3"]);
        assert!(!output.status.success(), "a server certificate of an unknown authority is not taken");
        assert!(account.logs_in(&account.password), "and nothing was changed");
    });
}

// F32
#[test]
fn a_schedule_rotates_by_itself_and_adoption_does_not_rotate_at_once() {
    let home = Home::new();
    let pawl = home.serve();
    every_server(|server| {
        let account = Account::create(server);
        let name = pawl.create_for(&account, &nothing());
        pawl.json(&["rotation", "enable", &name, "--schedule", "rate(3 seconds)"]);
        assert_eq!(pawl.current_password(&name), account.password, "adopted, not rotated");
        wait_for("the schedule rotates", Duration::from_secs(30), || {
            (pawl.current_password(&name) != account.password).then_some(())
        });
        pawl.json(&["rotation", "disable", &name]);
        let view = pawl.settled(&name);
        assert_eq!(view["State"], "idle", "{view}");
        assert!(account.logs_in(&pawl.current_password(&name)));
        let started_by: Vec<_> = pawl.history(&name).iter().map(|entry| entry["By"].clone()).collect();
        assert!(started_by.contains(&json!("schedule")), "{started_by:?}");
    });
}

#[test]
fn a_paused_rotation_waits_and_a_resumed_one_goes_on() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    pawl.json(&["rotation", "enable", &name, "--days", "30"]);
    pawl.json(&["rotation", "pause", &name]);
    pawl.json(&["rotation", "now", &name]);
    std::thread::yield_now();
    let view = pawl.status(&name);
    assert_eq!((&view["State"], &view["Paused"]), (&json!("waiting"), &json!(true)));
    pawl.json(&["rotation", "resume", &name]);
    assert_eq!(pawl.settled(&name)["State"], "idle");
    assert!(account.logs_in(&pawl.current_password(&name)));
}

// F102
#[test]
fn a_plain_write_in_the_middle_gives_the_rotation_up_and_ends_with_a_password_that_logs_in() {
    every_server(|server| {
        let home = Home::new();
        let account = Account::create(server);
        // Dies after the target was changed and before that is known.
        let name = dies_at("set::after_commit", &home, &account);
        assert!(!account.logs_in(&account.password), "the candidate is on the target");
        let pawl = home.serve();
        // A careless tool writes the first value back (F129).
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), account.secret(&nothing()).to_string()).expect("written");
        pawl.json(&["secret", "put", &name, "--value", file.path().to_str().expect("UTF-8")]);
        let view = pawl.settled(&name);
        assert_eq!(view["State"], "idle", "{view}");
        assert!(account.logs_in(&pawl.current_password(&name)), "AWSCURRENT logs in once the rotation is given up");
        let secret = pawl.json(&["secret", "show", &name]);
        assert!(!secret["VersionIdsToStages"].to_string().contains("AWSPENDING"), "{secret}");
        // Whoever wrote it can read what their write met, and what was done about it.
        let history = pawl.history(&name);
        let proofs: Vec<_> = history.iter().rev().filter(|entry| entry["Step"] == "prove").collect();
        let said: Vec<_> = proofs.iter().filter_map(|entry| entry["Message"].as_str()).collect();
        let token = proofs[0]["VersionId"].as_str().expect("the rotation's version");
        let found = format!("the target holds candidate 1 of {token}; AWSCURRENT does not log in and can be put back");
        assert_eq!(said, [found.as_str(), "AWSCURRENT logs in"]);
        assert!(history.iter().any(|entry| entry["Step"] == "restore" && entry["Verdict"] == "done"), "{history:?}");
    });
}

// F128
#[test]
fn abandoning_puts_awscurrent_back() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let account = Account::create(server);
    let name = dies_at("set::after_commit", &home, &account);
    let pawl = home.serve();
    pawl.json(&["rotation", "abandon", &name]);
    assert_eq!(pawl.settled(&name)["State"], "idle");
    assert_eq!(pawl.current_password(&name), account.password);
    assert!(account.logs_in(&account.password));
    let secret: Value = pawl.json(&["secret", "show", &name]);
    assert_eq!(secret["VersionIdsToStages"].as_object().map(serde_json::Map::len), Some(1), "{secret}");
}

// F97
#[test]
fn disabling_in_the_middle_leaves_awspending_as_aws_does_and_abandon_takes_it_away() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let account = Account::create(server);
    let name = dies_at("commit::after::createSecret", &home, &account);
    let pawl = home.serve();
    pawl.json(&["rotation", "disable", &name]);
    assert_eq!(pawl.settled(&name)["State"], "idle");
    assert!(account.logs_in(&pawl.current_password(&name)), "AWSCURRENT was proven");
    let refused = pawl.run(&["rotation", "now", &name]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("pawl rotation abandon"), "{error}");
    pawl.json(&["rotation", "abandon", &name]);
    rotates(&pawl, &account, &name);
}

#[test]
fn an_admin_secret_that_is_being_rotated_makes_its_accounts_wait_and_parks_none() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let home = Home::new();
    // The admin's own rotation dies after its password was changed.
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", "set::after_commit")]);
    let admin = unique("admin-of-");
    pawl.create(&admin, &admin_secret(server, &nothing()));
    let account = Account::create(server);
    let name = pawl.create_for(&account, &json!({ "masterarn": admin }));
    let mut asking = pawl.ask_to_rotate(&admin);
    pawl.ended(Duration::from_secs(30));
    asking.wait().expect("its status");
    let pawl = home.serve();
    let output = pawl.run(&["rotation", "now", &name, "--wait"]);
    let steps = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{steps}");
    assert!(steps.contains("the admin secret is being rotated itself"), "{steps}");
    assert!(account.logs_in(&pawl.current_password(&name)));
    assert_eq!(pawl.settled(&admin)["State"], "idle");
}

// F26
#[test]
fn settings_can_be_changed_while_a_rotation_is_open_and_a_new_one_cannot_be_started() {
    let Some(server) = servers::mysql() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    execute(server, &format!("CREATE USER '{}'@'10.0.0.1' IDENTIFIED BY 'another'", account.user));
    let admin = unique("admin-of-");
    pawl.create(&admin, &admin_secret(server, &nothing()));
    let name = pawl.create_for(&account, &json!({ "masterarn": admin }));
    pawl.json(&["rotation", "now", &name]);
    let view = pawl.settled(&name);
    assert_eq!(view["State"], "parked", "rows that differ are refused unless told: {view}");
    assert!(view["Open"]["Reason"]["Remedy"].as_str().is_some_and(|remedy| remedy.contains("allow")), "{view}");
    assert_eq!(pawl.run(&["rotation", "enable", &name, "--days", "30", "--now"]).status.code(), Some(1));
    pawl.json(&["rotation", "enable", &name, "--days", "30", "--allow-differing-hosts"]);
    pawl.json(&["rotation", "resume", &name]);
    wait_for("the rotation goes on", Duration::from_secs(30), || {
        (pawl.current_password(&name) != account.password).then_some(())
    });
    assert!(account.logs_in(&pawl.current_password(&name)));
}

// F26
#[test]
fn a_secret_deleted_for_good_in_the_middle_is_recovered_offline() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let account = Account::create(server);
    let name = dies_at("set::after_commit", &home, &account);
    let pawl = home.serve();
    pawl.json(&["secret", "delete", &name, "--now"]);
    assert_eq!(pawl.run(&["secret", "get", &name]).status.code(), Some(1));
    drop(pawl);
    let output = crate::harness::pawl::pawl()
        .args(["secret", "recover", &name, "--data"])
        .arg(home.data())
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    let works = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("JSON");
        account.logs_in(value["password"].as_str().expect("a password"))
    };
    assert!(printed.lines().any(works), "one of the recovered values logs in");
}

// F17
#[test]
fn a_second_request_while_one_is_open_is_refused_in_awss_words() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    pawl.json(&["rotation", "enable", &name, "--days", "30"]);
    pawl.json(&["rotation", "pause", &name]);
    pawl.json(&["rotation", "now", &name]);
    let output = pawl.run(&["rotation", "now", &name]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("A previous rotation isn't complete. That rotation will be reattempted."), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

// F121
#[test]
fn the_clear_password_never_reaches_postgresqls_statement_log() {
    let Some(server) = servers::own(Engine::Postgres, &["-c", "log_statement=all"]) else { return };
    // The harness wants servers that outlive the test; this one ends with the process.
    let server: &'static Server = Box::leak(Box::new(server));
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    execute(server, "SELECT 'the log is on'");
    let name = pawl.create_for(&account, &nothing());
    rotates(&pawl, &account, &name);
    let log = std::fs::read_to_string(&server.log).expect("the server's log");
    assert!(log.contains("the log is on") && log.contains("ALTER ROLE"), "statements are logged");
    assert!(!log.contains(&pawl.current_password(&name)), "the new password is in the statement log");
}
