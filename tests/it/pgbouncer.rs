//! PgBouncer between Pawl and PostgreSQL.

use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret, execute, logs_in};
use crate::harness::pawl::Home;
use crate::harness::{servers, unique};
use crate::rotator_support::{self as support, Case};

/// A pooler before the shared server, with these lines in its settings.
fn pooler(lines: &[&str]) -> Option<(&'static Server, &'static Server)> {
    let server = servers::postgres()?;
    let pooler = servers::own_with(server, Engine::Pgbouncer, lines)?;
    Some((Box::leak(Box::new(pooler)), server))
}

#[test]
fn explore() {
    for mode in ["transaction", "session", "statement"] {
        let Some((pooler, server)) = pooler(&[&format!("pool_mode = {mode}")]) else { return };
        for by_admin in [false, true] {
            let case = Case::of(&Account::create(server), &json!({"port": pooler.port}));
            let mut case = case;
            if by_admin {
                case.admin = Some(admin_secret(pooler, &json!({})));
            }
            let wanted = case.create();
            eprintln!("{mode} {by_admin} set {:?}", case.set(&wanted));
            case.attempted = true;
            eprintln!("{mode} {by_admin} set {:?}", case.set(&wanted));
            eprintln!("{mode} {by_admin} test {:?}", case.test(&wanted));
            eprintln!("{mode} {by_admin} test old {:?}", case.test(&case.current));
            eprintln!("{mode} {by_admin} prove {:?}", case.prove());
            case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
            eprintln!("{mode} {by_admin} prove {:?}", case.prove());
            eprintln!("{mode} {by_admin} restore {:?}", case.restore());
            eprintln!("{mode} {by_admin} prove {:?}", case.prove());
            case.current["ssl"] = json!(true);
            case.target_ca = Some(std::fs::read(&pooler.ca).expect("the CA"));
            let wanted = case.create();
            eprintln!("{mode} {by_admin} tls set {:?}", case.set(&wanted));
        }
        eprintln!("{}", std::fs::read_to_string(&pooler.log).expect("log"));
    }
}
