//! `pawl store backup` and `restore`, as an operator runs them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use pawl::servers::Engine;
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::pawl::{Home, nothing, pawl};
use crate::harness::{servers, wait_for};
use crate::verify_only::{backed_up, must, on_folder, stop};

fn refused(home: &Home, arguments: &[&str]) -> String {
    let output = on_folder(&home.data(), arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_backup_made_in_the_middle_of_rotations_knows_what_logs_in_then() {
    let Some(server) = servers::shared(Engine::Postgres) else { return };
    let home = Home::new();
    let server_process = home.serve();
    let account = Account::create(server);
    let name = server_process.create_for(&account, &nothing());
    server_process.json(&["rotation", "enable", &name, "--schedule", "rate(2 seconds)", "--strategy", "single-user"]);
    wait_for("it rotates", Duration::from_secs(30), || {
        (server_process.current_password(&name) != account.password).then_some(())
    });
    let backup = backed_up(&home, "backup.db");
    assert_eq!(std::fs::metadata(&backup).expect("it is there").permissions().mode() & 0o777, 0o600);
    drop(server_process);
    // Killed: what is in the folder is one thing, what is in the backup another, and each is whole.
    let elsewhere = Home::new();
    let from = backup.to_str().expect("UTF-8").to_owned();
    let keyring = home.data().join("keyring.json").to_str().expect("UTF-8").to_owned();
    let said = must(&on_folder(&elsewhere.data(), &["restore", "--from", &from, "--keyring", &keyring]));
    assert!(said.contains("1 secrets") && said.contains("the keyring was copied"), "{said}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&elsewhere.data().join("keyring.json")), 0o600);
    assert_eq!(mode(&elsewhere.data().join("pawl.db")), 0o600);
    // It has no credentials of its own: whoever has the folder makes a key.
    let mut command = pawl();
    let made = command.args(["key", "create", "--data"]).arg(elsewhere.data()).output().expect("pawl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let restored = elsewhere.serve();
    assert_eq!(restored.status(&name)["RotationEnabled"], true);
    let known: Vec<Value> = restored.history(&name);
    assert!(!known.is_empty());
}

#[test]
fn what_would_lose_something_is_refused_and_says_what_to_do() {
    let home = Home::new();
    let served = home.serve();
    served.create("s", &json!("v"));
    let backup = backed_up(&home, "backup.db");
    let from = backup.to_str().expect("UTF-8").to_owned();
    assert!(refused(&home, &["backup", "--to", &from]).contains("not overwritten"));
    assert!(refused(&home, &["restore", "--replace", "--from", &from]).contains("served by another process"));
    stop(served);
    assert!(refused(&home, &["restore", "--from", &from]).contains("--replace"));
    let other = Home::new();
    drop(other.serve());
    let keyring = other.data().join("keyring.json").to_str().expect("UTF-8").to_owned();
    let said = refused(&home, &["restore", "--replace", "--from", &from, "--keyring", &keyring]);
    assert!(said.contains("keyring.json.before") && said.contains("another store opens nothing"), "{said}");
    let live = home.path().join("copied.db").to_str().expect("UTF-8").to_owned();
    std::fs::copy(&backup, &live).expect("copied");
    std::fs::write(format!("{live}-wal"), "what a running server has beside it").expect("written");
    assert!(refused(&home, &["restore", "--replace", "--from", &live]).contains("pawl store backup"));
    let served = home.serve();
    assert_eq!(served.json(&["secret", "get", "s"])["SecretString"], "\"v\"");
    assert!(served.json(&["store", "status"])["VerifyOnly"].is_null(), "nothing was restored");
}
