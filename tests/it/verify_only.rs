//! A store that was restored from a backup, on real accounts that went on without it: what it does by itself, what it leaves to
//! people, and that nobody is locked out meanwhile.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use pawl::servers::{Engine, Server};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret};
use crate::harness::pawl::{Home, Pawl, nothing, pawl};
use crate::harness::{servers, unique, wait_for};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mariadb, Engine::Mysql];
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// `pawl store …` on a data folder.
pub(crate) fn on_folder(data: &Path, arguments: &[&str]) -> Output {
    let mut command = pawl();
    command.arg("store").args(arguments).arg("--data").arg(data).output().expect("pawl runs")
}

pub(crate) fn must(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A backup of what the server serves now.
pub(crate) fn backed_up(home: &Home, name: &str) -> PathBuf {
    let to = home.path().join(name);
    must(&on_folder(&home.data(), &["backup", "--to", to.to_str().expect("UTF-8")]));
    to
}

pub(crate) fn stop(mut pawl: Pawl) {
    pawl.signal(Signal::TERM);
    pawl.ended(SOON);
}

/// The server is stopped, the backup put in the place of its store, and the server started again.
fn restored(home: &Home, pawl: Pawl, backup: &Path) -> Pawl {
    stop(pawl);
    must(&on_folder(&home.data(), &["restore", "--replace", "--from", backup.to_str().expect("UTF-8")]));
    home.serve()
}

pub(crate) fn adopted(pawl: &Pawl, account: &Account, extra: &Value) -> String {
    let name = pawl.create_for(account, extra);
    pawl.json(&["rotation", "enable", &name, "--schedule", "rate(30 days)", "--strategy", "single-user"]);
    name
}

pub(crate) fn with_admin(pawl: &Pawl, server: &Server) -> Value {
    let admin = unique("admin-of-");
    pawl.create(&admin, &admin_secret(server, &nothing()));
    json!({ "masterarn": admin })
}

pub(crate) fn store(pawl: &Pawl) -> Value {
    pawl.json(&["store", "status"])
}

/// What is said of a secret that is held.
pub(crate) fn held(pawl: &Pawl, name: &str) -> Option<Value> {
    store(pawl)["Held"].as_array()?.iter().find(|held| held["Name"] == name).cloned()
}

pub(crate) fn rotates(pawl: &Pawl, name: &str) {
    pawl.json(&["rotation", "now", name, "--wait"]);
}

fn readiness(pawl: &Pawl) -> String {
    String::from_utf8(pawl.run(&["health"]).stdout).expect("UTF-8")
}

// F11
#[test]
fn yesterdays_store_overwrites_nothing_says_what_it_does_not_know_and_reconciles_when_it_is_told_to() {
    for engine in ENGINES {
        let Some(server) = servers::shared(engine) else { continue };
        let home = Home::new();
        let pawl = home.serve();
        let (moved, still) = (Account::create(server), Account::create(server));
        let extra = with_admin(&pawl, server);
        let (name, other) = (adopted(&pawl, &moved, &extra), adopted(&pawl, &still, &extra));
        rotates(&pawl, &name);
        let yesterdays = pawl.current_password(&name);
        let backup = backed_up(&home, "yesterday.db");
        rotates(&pawl, &name);
        rotates(&pawl, &name);
        let todays = pawl.current_password(&name);
        let pawl = restored(&home, pawl, &backup);
        assert!(readiness(&pawl).contains("verify-only since"), "{}", readiness(&pawl));

        let found = wait_for("the account was looked at", SOON, || {
            held(&pawl, &name).filter(|held| held["Drifted"] == true && held_count(&pawl) == 1)
        });
        let text = found.to_string();
        assert!(text.contains("every other value that is known") && text.contains("rotation reconcile"), "{text}");
        assert!(moved.logs_in(&todays) && !moved.logs_in(&yesterdays), "nothing was overwritten");
        assert!(still.logs_in(&pawl.current_password(&other)), "the other account is as it was");
        for secret in [&name, &other] {
            let refused = pawl.run(&["rotation", "now", secret]);
            let error = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && error.contains("has not been seen to log in"), "{error}");
        }
        let shown = String::from_utf8(pawl.run(&["store", "status"]).stdout).expect("UTF-8");
        assert!(shown.contains("restored") && shown.contains(&name) && !shown.contains(&todays), "{shown}");
        assert!(pawl.metrics().contains("pawl_verify_only 1") && pawl.metrics().contains("pawl_held 1"));

        pawl.json(&["rotation", "reconcile", &name, "--wait"]);
        assert!(moved.logs_in(&yesterdays), "the admin secret brings it back");
        wait_for("the store is as usual", SOON, || store(&pawl)["VerifyOnly"].is_null().then_some(()));
        wait_for("both are let go", SOON, || (pawl.status(&name)["Held"].is_null()).then_some(()));
        rotates(&pawl, &name);
        rotates(&pawl, &other);
        assert!(moved.logs_in(&pawl.current_password(&name)) && still.logs_in(&pawl.current_password(&other)));
        assert!(pawl.metrics().contains("pawl_verify_only 0"), "{}", home.log());
    }
}

pub(crate) fn held_count(pawl: &Pawl) -> u64 {
    store(pawl)["HeldCount"].as_u64().expect("a number")
}

#[test]
fn a_restored_store_whose_accounts_are_well_goes_on_by_itself_and_rotates_nothing_on_arrival() {
    let Some(server) = servers::shared(Engine::Postgres) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let accounts: Vec<_> = (0..5).map(|_| Account::create(server)).collect();
    let names: Vec<_> = accounts.iter().map(|account| adopted(&pawl, account, &nothing())).collect();
    let backup = backed_up(&home, "backup.db");
    let pawl = restored(&home, pawl, &backup);
    wait_for("the store is as usual", SOON, || store(&pawl)["VerifyOnly"].is_null().then_some(()));
    for (account, name) in accounts.iter().zip(&names) {
        wait_for("it is let go", SOON, || (pawl.status(name)["Held"].is_null()).then_some(()));
        assert_eq!(pawl.current_password(name), account.password, "nothing has rotated");
        assert!(account.logs_in(&account.password));
        assert!(pawl.status(name)["NextRotationDate"].is_number());
    }
    assert!(home.log().contains("every account was looked at"), "{}", home.log());
}

// F11
#[test]
fn an_operator_leaves_verify_only_and_what_nobody_knows_stays_held_until_its_password_is_written() {
    let Some(server) = servers::shared(Engine::Postgres) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let (lost, well) = (Account::create(server), Account::create(server));
    let (name, other) = (adopted(&pawl, &lost, &nothing()), adopted(&pawl, &well, &nothing()));
    let backup = backed_up(&home, "backup.db");
    rotates(&pawl, &name);
    rotates(&pawl, &name);
    let todays = pawl.current_password(&name);
    let pawl = restored(&home, pawl, &backup);
    wait_for("both were looked at", SOON, || (held_count(&pawl) == 1).then_some(()));
    let left = pawl.json(&["store", "leave-verify-only"]);
    assert!(left["VerifyOnly"].is_null() && left["Held"][0]["Name"] == name.as_str(), "{left}");
    wait_for("the other goes on", SOON, || pawl.status(&other)["Held"].is_null().then_some(()));
    rotates(&pawl, &other);
    assert_eq!(pawl.status(&name)["Held"], true);
    assert!(!pawl.run(&["rotation", "now", &name]).status.success());
    assert!(lost.logs_in(&todays), "it is as its services know it");
    // Somebody knows the password that works.
    let value = home.path().join("value.json");
    let current = Account { server, user: lost.user.clone(), password: todays.clone() };
    std::fs::write(&value, current.secret(&nothing()).to_string()).expect("written");
    pawl.json(&["secret", "put", &name, "--value", value.to_str().expect("UTF-8")]);
    wait_for("it is let go", SOON, || pawl.status(&name)["Held"].is_null().then_some(()));
    rotates(&pawl, &name);
    assert!(lost.logs_in(&pawl.current_password(&name)) && !lost.logs_in(&todays));
}

// F11
#[test]
fn a_rotation_that_was_open_in_the_backup_is_finished_where_its_value_is_what_logs_in() {
    for engine in ENGINES {
        let Some(server) = servers::shared(engine) else { continue };
        let home = Home::new();
        let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", "set::after_commit")]);
        let account = Account::create(server);
        let name = adopted(&pawl, &account, &nothing());
        let mut asking = pawl.ask_to_rotate(&name);
        pawl.ended(SOON);
        asking.wait().expect("its status");
        drop(pawl);
        assert!(!account.logs_in(&account.password), "the target has the new one");
        let backup = backed_up(&home, "halfway.db");
        must(&on_folder(&home.data(), &["restore", "--replace", "--from", backup.to_str().expect("UTF-8")]));
        let pawl = home.serve();
        let view = pawl.settled(&name);
        assert_eq!(view["State"], "idle", "{view}\n{}", home.log());
        let password = pawl.current_password(&name);
        assert!(password != account.password && account.logs_in(&password), "{}", home.log());
        wait_for("the store is as usual", SOON, || store(&pawl)["VerifyOnly"].is_null().then_some(()));
    }
}
