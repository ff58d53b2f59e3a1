//! AWS's caching client for Python: services that read through it follow a rotation, and never read anything else.

use serde_json::Value;

use super::{client, of_the_venv, succeeded};
use crate::harness::account::Account;
use crate::harness::pawl::{Home, nothing};
use crate::harness::servers;

// F106
#[test]
fn the_caching_client_reads_through_the_rotation_of_an_account() {
    let Some(python) = of_the_venv("caching-client", "python") else { return };
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve_as_aws();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    let mut command = client(python, &home, &pawl);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/caching.py")).arg(&name);
    let output = command.output().expect("python runs");
    let seen: Vec<String> = serde_json::from_str(&succeeded(&output, &home)).expect("JSON");
    let password = |value: &String| {
        let value: Value = serde_json::from_str(value).expect("JSON");
        value["password"].as_str().expect("a password").to_owned()
    };
    let passwords: Vec<_> = seen.iter().map(password).collect();
    let [old, new] = &passwords[..] else { panic!("two values, the old one and the new one: {}", seen.len()) };
    assert_eq!(*old, account.password);
    assert!(account.logs_in(new), "what the cache reads now logs in");
    assert!(!account.logs_in(old), "what it read before does not");
}
