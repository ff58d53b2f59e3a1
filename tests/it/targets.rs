//! Targets that misbehave: each ends in the right verdict, with a message that says what to do, and with
//! AWSCURRENT still working.

use std::net::TcpListener;
use std::time::Duration;

use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, execute};
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, wait_for};

/// The verdict and message of the first failed step.
fn first_failure(pawl: &Pawl, name: &str) -> (String, String) {
    wait_for("a step fails", Duration::from_secs(40), || {
        let failed = |entry: &&Value| entry["Kind"] == "step" && entry["Verdict"].as_str().is_some_and(|v| v != "done");
        let history = pawl.history(name);
        let entry = history.iter().rev().find(failed)?;
        Some((entry["Verdict"].as_str()?.to_owned(), entry["Message"].as_str()?.to_owned()))
    })
}

fn own(engine: Engine, flags: &[&str]) -> Option<&'static Server> {
    // Kept until the process ends, which ends the server.
    servers::own(engine, flags).map(|server| &*Box::leak(Box::new(server)))
}

// F50
#[test]
fn a_target_that_is_down_is_tried_again_until_it_is_back() {
    for engine in [Engine::Postgres, Engine::Mariadb, Engine::Mysql] {
        let Some(server) = own(engine, &[]) else { continue };
        let home = Home::new();
        let pawl = home.serve();
        let account = Account::create(server);
        let name = pawl.create_for(&account, &nothing());
        server.stop().expect("stopped");
        pawl.json(&["rotation", "now", &name]);
        let (verdict, message) = first_failure(&pawl, &name);
        assert_eq!(verdict, "retry", "{engine:?}: {message}");
        server.restart().expect("started again");
        assert_eq!(pawl.settled(&name)["State"], "idle");
        assert!(account.logs_in(&pawl.current_password(&name)), "{engine:?}");
    }
}

// F05
#[test]
fn a_target_that_accepts_and_never_answers_is_left_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let home = Home::new();
    let pawl = home.serve();
    for engine in ["postgres", "mariadb", "mysql"] {
        let value = json!({"engine": engine, "host": "127.0.0.1", "port": port, "username": engine, "password": "p"});
        pawl.create(engine, &value);
        pawl.json(&["rotation", "now", engine]);
        let (verdict, message) = first_failure(&pawl, engine);
        assert_eq!(verdict, "retry", "{engine}: {message}");
    }
}

// F24
#[test]
fn one_silent_target_does_not_delay_another() {
    let Some(server) = servers::postgres() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let home = Home::new();
    let pawl = home.serve();
    let value = json!({"engine": "postgres", "host": "127.0.0.1", "port": port, "username": "u", "password": "p"});
    pawl.create("silent", &value);
    pawl.json(&["rotation", "now", "silent"]);
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    let output = pawl.run(&["rotation", "now", &name, "--wait"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let failed = pawl.history("silent").iter().any(|entry| entry["Verdict"] == "retry");
    assert!(!failed, "the other rotation was done before the silent target's deadline");
}

// F09, F10
#[test]
fn a_password_policy_that_refuses_values_parks_after_three_candidates_and_awscurrent_still_works() {
    let Some(server) = own(Engine::Mariadb, &[]) else { return };
    let account = Account::create(server);
    // 60 digits: no password of ours has them.
    execute(server, "INSTALL SONAME 'simple_password_check';\nSET GLOBAL simple_password_check_digits = 60");
    let home = Home::new();
    let pawl = home.serve();
    let name = pawl.create_for(&account, &nothing());
    pawl.json(&["rotation", "now", &name]);
    let view = pawl.settled(&name);
    assert_eq!((&view["State"], &view["Open"]["Candidate"]), (&json!("parked"), &json!(3)), "{view}");
    let reason = &view["Open"]["Reason"];
    assert!(reason["Remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{reason}");
    assert_eq!(pawl.current_password(&name), account.password);
    assert!(account.logs_in(&account.password));

    // The person does what the remedy says, and the same rotation goes on.
    // Raising the digits has raised the length as well.
    execute(
        server,
        "SET GLOBAL simple_password_check_digits = 1;\nSET GLOBAL simple_password_check_minimal_length = 8",
    );
    pawl.json(&["rotation", "resume", &name]);
    assert_eq!(pawl.settled(&name)["State"], "idle", "{}", home.log());
    assert!(account.logs_in(&pawl.current_password(&name)));
}

// F53
#[test]
fn a_locked_account_waits_for_a_person_and_says_how_to_unlock_it() {
    for engine in [Engine::Mariadb, Engine::Mysql] {
        let Some(server) = servers::shared(engine) else { continue };
        let home = Home::new();
        let pawl = home.serve();
        let account = Account::create(server);
        let name = pawl.create_for(&account, &nothing());
        execute(server, &format!("ALTER USER '{}'@'%' ACCOUNT LOCK", account.user));
        pawl.json(&["rotation", "now", &name]);
        let view = pawl.settled(&name);
        assert_eq!(view["State"], "parked", "{view}");
        let remedy = view["Open"]["Reason"]["Remedy"].as_str().unwrap_or_default().to_owned();
        assert!(remedy.contains("UNLOCK"), "{view}");
        execute(server, &format!("ALTER USER '{}'@'%' ACCOUNT UNLOCK", account.user));
        assert!(account.logs_in(&account.password), "AWSCURRENT still works");
        pawl.json(&["rotation", "resume", &name]);
        assert_eq!(pawl.settled(&name)["State"], "idle");
        assert!(account.logs_in(&pawl.current_password(&name)));
    }
}

#[test]
fn a_wrong_stored_password_without_an_admin_waits_for_a_person_and_costs_few_logins() {
    for engine in [Engine::Postgres, Engine::Mariadb, Engine::Mysql] {
        let Some(server) = servers::shared(engine) else { continue };
        let home = Home::new();
        let pawl = home.serve();
        let account = Account::create(server);
        let name = pawl.create_for(&account, &json!({ "password": "wrong" }));
        pawl.json(&["rotation", "now", &name]);
        let view = pawl.settled(&name);
        assert_eq!(view["State"], "parked", "{view}");
        assert!(view["Open"]["FailedLogins"].as_u64().is_some_and(|n| (1..=3).contains(&n)), "{view}");
        assert!(account.logs_in(&account.password), "nothing was changed");
    }
}

// F104
#[test]
fn a_secret_whose_engine_nobody_rotates_is_refused_before_anything_starts() {
    let home = Home::new();
    let pawl = home.serve();
    pawl.create("other", &json!({"engine": "oracle", "host": "h", "username": "u", "password": "p"}));
    let output = pawl.run(&["rotation", "now", "other"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("No Lambda rotation function ARN is associated with this secret."), "{error}");
}
