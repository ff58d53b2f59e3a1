//! `kill -9` of `pawl serve` at each fail point of each step, on each database. The oracle asks the database
//! itself: some value that Pawl knows logs in at every moment, and AWSCURRENT does when all is over.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use pawl::servers::Engine;

use crate::harness::account::Account;
use crate::harness::pawl::{Home, nothing};
use crate::harness::{servers, several_at_a_time};

/// On either side of each commit of a rotation.
pub(crate) const COMMITS: [&str; 10] = [
    "commit::before::leased",
    "commit::after::leased",
    "commit::before::createSecret",
    "commit::after::createSecret",
    "commit::before::setSecret",
    "commit::after::setSecret",
    "commit::before::testSecret",
    "commit::after::testSecret",
    "commit::before::finishSecret",
    "commit::after::finishSecret",
];

/// At each await inside the acts, and after them.
const INSIDE: [&str; 8] = [
    "set::connected",
    "set::locked",
    "set::before_change",
    "set::after_change",
    "set::after_commit",
    "test::before_login",
    "test::after_login",
    // The driver asks what is next when all is done.
    "commit::before::leased#2",
];

/// At the awaits of the scheduler and the driver between two commits, the same on every database.
const BETWEEN: [&str; 9] = [
    "claim::after",
    "material::before::setSecret",
    "material::after::setSecret",
    "renew::before",
    "renew::after",
    "look::before",
    "look::after",
    "release::before",
    "release::after",
];

fn dies_and_recovers(engine: Engine, point: &str) {
    let Some(server) = servers::shared(engine) else { return };
    let what = format!("{} at {point}", engine.name());
    let home = Home::new();
    let account = Account::create(server);
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
    let name = pawl.create_for(&account, &nothing());
    let mut asking = pawl.ask_to_rotate(&name);
    let status = pawl.ended(Duration::from_secs(60));
    asking.wait().expect("its status");
    assert_eq!(status.signal(), Some(9), "{what}: {status}; {}", home.log());
    drop(pawl);

    let pawl = home.serve();
    let view = pawl.settled(&name);
    assert_eq!(view["State"], "idle", "{what}: {view}\n{}", home.log());
    let password = pawl.current_password(&name);
    assert!(account.logs_in(&password), "{what}: AWSCURRENT logs in");
    assert_ne!(password, account.password, "{what}: the rotation was completed");
    assert!(!account.logs_in(&account.password), "{what}: the old password is dead");
    let secret = pawl.json(&["secret", "show", &name]);
    assert_eq!(secret["VersionIdsToStages"].as_object().map(serde_json::Map::len), Some(2), "{what}: {secret}");
}

fn at_every_point(engine: Engine) {
    several_at_a_time([&COMMITS[..], &INSIDE].concat(), |point| dies_and_recovers(engine, point));
}

// F01, F07
#[test]
fn postgresql_is_never_locked_out_by_a_process_killed_at_any_point() {
    at_every_point(Engine::Postgres);
}

// F01, F07
#[test]
fn nobody_is_locked_out_by_a_process_killed_at_an_await_of_the_driver() {
    several_at_a_time(BETWEEN.to_vec(), |point| dies_and_recovers(Engine::Postgres, point));
}

#[test]
fn mariadb_is_never_locked_out_by_a_process_killed_at_any_point() {
    at_every_point(Engine::Mariadb);
}

// F01, F07
#[test]
fn mysql_is_never_locked_out_by_a_process_killed_at_any_point() {
    at_every_point(Engine::Mysql);
}
