//! RotateSecret with RotateImmediately=false, on real accounts: one login with AWSCURRENT, and nothing changed.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use pawl::servers::Engine;
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret};
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, several_at_a_time, unique};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mariadb, Engine::Mysql];

/// Asks for a trial, and returns its version. A server that is to die in it may not come to answer.
fn ask(pawl: &Pawl, name: &str) -> String {
    let token = format!("{:.<32}", unique("trial-"));
    let rules = json!({ "AutomaticallyAfterDays": 30 });
    let request = json!({
        "SecretId": name, "ClientRequestToken": token, "RotateImmediately": false, "RotationRules": rules,
    });
    if let Some(reply) = pawl.aws("RotateSecret", &request) {
        assert_eq!(reply["VersionId"], token.as_str(), "{reply}");
    }
    token
}

/// How the trial went: the kind and the message of the line that closes it.
fn outcome(pawl: &Pawl, name: &str, token: &str) -> (String, String) {
    let view = pawl.settled(name);
    assert_eq!(view["State"], "idle", "{view}");
    let history = pawl.history(name);
    let last = history.iter().find(|entry| entry["VersionId"] == token).expect("the trial is in the history");
    let word = |member: &str| last[member].as_str().expect("text").to_owned();
    (word("Kind"), word("Message"))
}

/// Nothing of the trial is left, nothing was changed, and the schedule stands.
fn left_no_trace(pawl: &Pawl, account: &Account, name: &str, stored: &str) {
    let secret = pawl.json(&["secret", "show", name]);
    let stages = secret["VersionIdsToStages"].as_object().expect("versions");
    assert_eq!(stages.values().collect::<Vec<_>>(), [&json!(["AWSCURRENT"])], "{secret}");
    assert_eq!(secret["RotationEnabled"], true, "{secret}");
    assert!(secret["NextRotationDate"].is_number() && secret["LastRotatedDate"].is_null(), "{secret}");
    assert_eq!(pawl.current_password(name), stored);
    assert!(account.logs_in(&account.password), "the password is what it was");
}

#[test]
fn a_trial_on_a_real_account_succeeds_and_changes_nothing() {
    let home = Home::new();
    let pawl = home.serve();
    for server in ENGINES.into_iter().filter_map(servers::shared) {
        let admin = unique("admin-of-");
        pawl.create(&admin, &admin_secret(server, &nothing()));
        for extra in [nothing(), json!({ "masterarn": admin })] {
            let account = Account::create(server);
            let name = pawl.create_for(&account, &extra);
            let token = ask(&pawl, &name);
            let said = outcome(&pawl, &name, &token);
            assert_eq!(said, ("test-succeeded".to_owned(), "AWSCURRENT logs in".to_owned()), "{}", home.log());
            left_no_trace(&pawl, &account, &name, &account.password);
            assert_eq!(pawl.status(&name)["LastTest"]["Succeeded"], true);
        }
    }
}

#[test]
fn a_trial_with_a_wrong_password_fails_and_says_why() {
    let home = Home::new();
    let pawl = home.serve();
    for server in ENGINES.into_iter().filter_map(servers::shared) {
        let account = Account::create(server);
        let name = pawl.create_for(&account, &json!({ "password": "not-the-password" }));
        let token = ask(&pawl, &name);
        let (kind, message) = outcome(&pawl, &name, &token);
        assert_eq!(kind, "test-failed", "{message}");
        let code = if server.engine == "postgres" { "28P01" } else { "1045" };
        assert!(message.contains(code) && message.contains(&account.user), "{message}");
        left_no_trace(&pawl, &account, &name, "not-the-password");
        let test = &pawl.status(&name)["LastTest"];
        assert_eq!((&test["Succeeded"], &test["Message"]), (&Value::Bool(false), &Value::String(message)));
        let shown = pawl.run(&["rotation", "status", &name]);
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("failed at"), "{shown}");
    }
}

#[test]
fn a_trial_of_a_target_that_is_away_fails_at_once_and_is_not_tried_again() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    // Nobody listens on the discard port.
    let name = pawl.create_for(&account, &json!({ "port": 9 }));
    let token = ask(&pawl, &name);
    assert_eq!(outcome(&pawl, &name, &token).0, "test-failed");
    let steps = pawl.history(&name);
    assert_eq!(steps.iter().filter(|entry| entry["Kind"] == "step").count(), 1, "{steps:?}");
}

/// Where a trial can die.
const POINTS: [&str; 6] = [
    "commit::before::leased",
    "commit::after::leased",
    "test::before_login",
    "test::after_login",
    "commit::before::testSecret",
    "commit::after::testSecret",
];

fn dies_and_ends_clean(engine: Engine, point: &str) {
    let Some(server) = servers::shared(engine) else { return };
    let what = format!("{} at {point}", engine.name());
    let home = Home::new();
    let account = Account::create(server);
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
    let name = pawl.create_for(&account, &nothing());
    let token = ask(&pawl, &name);
    let status = pawl.ended(Duration::from_secs(60));
    assert_eq!(status.signal(), Some(9), "{what}: {status}; {}", home.log());
    drop(pawl);

    let pawl = home.serve();
    assert_eq!(outcome(&pawl, &name, &token).0, "test-succeeded", "{what}");
    left_no_trace(&pawl, &account, &name, &account.password);
}

#[test]
fn a_trial_whose_process_was_killed_at_any_point_ends_clean() {
    let cases = POINTS.into_iter().flat_map(|point| ENGINES.into_iter().map(move |engine| (engine, point)));
    several_at_a_time(cases.collect(), |(engine, point)| dies_and_ends_clean(engine, point));
}
