//! The AWS SDK for Python as the only client: create a secret for a real account, RotateSecret, and look.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret};
use crate::harness::pawl::{Home, nothing};
use crate::harness::servers;

/// A Python that has boto3; none where `PAWL_TEST_WITHOUT` names it.
fn python() -> Option<PathBuf> {
    if servers::left_out("boto3") {
        return None;
    }
    let has_boto3 = |python: &PathBuf| {
        Command::new(python).args(["-c", "import boto3"]).output().is_ok_and(|output| output.status.success())
    };
    let own = pawl::servers::cache().join("boto3/bin/python");
    let found = [PathBuf::from("python3"), PathBuf::from("/usr/bin/python3"), own].into_iter().find(has_boto3);
    assert!(found.is_some(), "no Python with boto3: run scripts/setup-servers boto3, or set PAWL_TEST_WITHOUT=boto3");
    found
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
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sdk.py"))
        .arg(&pawl.url)
        .arg(&file)
        .env("AWS_SHARED_CREDENTIALS_FILE", home.data().join("credentials"))
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_PROFILE")
        .output()
        .expect("python runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{}", home.log());
    let passwords: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for account in accounts {
        let of = |which: &str| passwords[&account.user][which].as_str().expect("a password").to_owned();
        assert!(account.logs_in(&of("new")), "the new password of {} on {}", account.user, account.server.engine);
        assert!(!account.logs_in(&of("old")), "the old password of {} on {}", account.user, account.server.engine);
    }
}
