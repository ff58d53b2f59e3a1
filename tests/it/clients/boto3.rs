//! The AWS SDK for Python: every operation, its ways of signing, and rotation with it as the only client.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{assert_all_called, client, clients, succeeded};

use crate::harness::account::{Account, admin_secret};
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::servers;

/// A Python that has boto3: the tests' own, or the system's. None where `PAWL_TEST_WITHOUT` names it.
fn python() -> Option<PathBuf> {
    if servers::left_out("boto3") {
        return None;
    }
    let has_boto3 = |python: &PathBuf| {
        Command::new(python).args(["-c", "import boto3"]).output().is_ok_and(|output| output.status.success())
    };
    let own = clients().join("python/bin/python");
    let found = [own, PathBuf::from("python3"), PathBuf::from("/usr/bin/python3")].into_iter().find(has_boto3);
    assert!(found.is_some(), "no Python with boto3: run scripts/setup-clients, or set PAWL_TEST_WITHOUT=boto3");
    found
}

/// One of the suite's scripts, ready to run.
fn script(python: &Path, name: &str, home: &Home, pawl: &Pawl) -> Command {
    let mut command = client(python, home, pawl);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/boto3").join(name));
    // Nothing is left beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn boto3_drives_every_operation() {
    let Some(python) = python() else { return };
    let home = Home::new();
    let pawl = home.serve_as_aws();
    let output = script(&python, "operations.py", &home, &pawl).output().expect("python runs");
    let called: Vec<String> = serde_json::from_str(&succeeded(&output, &home)).expect("JSON");
    assert_all_called(&called.into_iter().collect());
}

#[test]
fn boto3_signs_in_each_of_its_ways() {
    let Some(python) = python() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let session = home.path().join("session.json");
    std::fs::write(&session, pawl.json(&["key", "session", "--ttl", "15m"]).to_string()).expect("written");
    let output = script(&python, "signatures.py", &home, &pawl).arg(&session).output().expect("python runs");
    succeeded(&output, &home);
}

#[test]
fn boto3_rotates_accounts_by_themselves_and_by_an_admin_with_and_without_tls() {
    let Some(python) = python() else { return };
    let home = Home::new();
    let databases: Vec<_> = [servers::postgres(), servers::mariadb(), servers::mysql()].into_iter().flatten().collect();
    let authorities: String =
        databases.iter().map(|server| std::fs::read_to_string(&server.ca).expect("an authority")).collect();
    let bundle = home.path().join("authorities.pem");
    std::fs::write(&bundle, authorities).expect("written");
    let pawl = home.serve_with(&["--target-ca", bundle.to_str().expect("UTF-8")], &[]);

    let mut accounts = vec![];
    let mut request = vec![];
    for server in databases {
        for tls in [nothing(), json!({ "ssl": true, "host": "localhost" })] {
            for admin in [Value::Null, admin_secret(server, &tls)] {
                let account = Account::create(server);
                request.push(json!({ "name": account.user, "value": account.secret(&tls), "admin": admin }));
                accounts.push(account);
            }
        }
    }
    let file = home.path().join("accounts.json");
    std::fs::write(&file, json!(request).to_string()).expect("written");
    let output = script(&python, "rotation.py", &home, &pawl).arg(&file).output().expect("python runs");
    let passwords = succeeded(&output, &home);
    let passwords: Value = serde_json::from_str(&passwords).expect("JSON");
    for account in accounts {
        let of = |which: &str| passwords[&account.user][which].as_str().expect("a password").to_owned();
        assert!(account.logs_in(&of("new")), "the new password of {} on {}", account.user, account.server.engine);
        assert!(!account.logs_in(&of("old")), "the old password of {} on {}", account.user, account.server.engine);
    }
}
