//! A process that stalls just before the changing statement, and goes on after another one finished a rotation:
//! the target itself must have shut the door by then.

use std::path::Path;
use std::time::Duration;

use pawl::servers::Engine;
use rustix::process::Signal;

use crate::harness::account::Account;
use crate::harness::pawl::{Home, nothing};
use crate::harness::{servers, wait_for};

/// Store, keyring and credentials; the audit trail is the one process's own.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let entries = std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry"));
    for entry in entries.filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// A SQLite store has one process, so the other one owns a copy of it, as after a failover to a snapshot.
fn the_late_statement_does_not_land(engine: Engine) {
    let Some(server) = servers::shared(engine) else { return };
    let home = Home::new();
    let account = Account::create(server);
    let stalled = home.serve_with(&[], &[("PAWL_STOP_AT", "set::before_change")]);
    let name = stalled.create_for(&account, &nothing());
    let before = home.log().len();
    let mut asking = stalled.ask_to_rotate(&name);
    wait_for("the process stops itself", Duration::from_secs(30), || stalled.is_stopped().then_some(()));

    let other_home = Home::new();
    copy(&home.data(), &other_home.data());
    let other = other_home.serve();
    let view = other.settled(&name);
    assert_eq!(view["State"], "idle", "{}: {view}\n{}", engine.name(), other_home.log());
    // Another rotation, so that the stalled candidate is two passwords old.
    let output = other.run(&["rotation", "now", &name, "--wait"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let password = other.current_password(&name);
    assert!(account.logs_in(&password));

    stalled.signal(Signal::CONT);
    asking.wait().expect("its status");
    wait_for("the late step ends", Duration::from_secs(30), || {
        home.log().get(before..)?.contains("setSecret of").then_some(())
    });
    assert!(account.logs_in(&password), "{}: the late statement landed\n{}", engine.name(), home.log());
}

// F19
#[test]
fn a_late_statement_does_not_land_on_postgresql() {
    the_late_statement_does_not_land(Engine::Postgres);
}

// F19
#[test]
fn a_late_statement_does_not_land_on_mariadb() {
    the_late_statement_does_not_land(Engine::Mariadb);
}

// F19
#[test]
fn a_late_statement_does_not_land_on_mysql() {
    the_late_statement_does_not_land(Engine::Mysql);
}
