//! What is broken on MariaDB.

use engine::check::Level;
use engine::strategy::Strategy;
use pawl::servers::Engine;
use serde_json::json;

use super::my::{BLIND, ENOUGH, EXPIRING, READER, Row};
use super::mysql::{nothing_is_changed, pair_rights};
use super::{Mend, by_weak_admin, check, finds_and_mends, found, own, passes, told, with_strategy};
use crate::harness::account::{execute, logs_in};
use crate::harness::servers;
use crate::rotator_support::Case;

const ROWS: &[Row] = &[
    ("", Some(BLIND), Level::Problem, "privilege"),
    ("", Some(READER), Level::Problem, "privilege"),
    ("", Some(EXPIRING), Level::Warning, "admin-expires-soon"),
    // F71
    ("GRANT SUPER ON *.* TO {account}", None, Level::Problem, "superuser"),
    ("GRANT ALL PRIVILEGES ON *.* TO {account}", Some(ENOUGH), Level::Problem, "superuser"),
    ("", None, Level::Warning, "strategy"),
    ("ALTER USER {account} ACCOUNT LOCK", None, Level::Problem, "locked"),
    ("ALTER USER {account} ACCOUNT LOCK", Some(ENOUGH), Level::Problem, "locked"),
    ("ALTER USER {account} PASSWORD EXPIRE", Some(ENOUGH), Level::Warning, "expired"),
    // F78
    ("ALTER USER {account} PASSWORD EXPIRE INTERVAL 20 DAY", Some(ENOUGH), Level::Warning, "expires-soon"),
    // F79
    ("ALTER USER {account} WITH MAX_USER_CONNECTIONS 2", None, Level::Warning, "connection-limit"),
    ("ALTER USER {account} WITH MAX_CONNECTIONS_PER_HOUR 20", Some(ENOUGH), Level::Warning, "connection-limit"),
    // F72
    ("ALTER USER {account} IDENTIFIED VIA unix_socket", Some(ENOUGH), Level::Problem, "plugin"),
    // F61
    ("CREATE USER {user}@'192.0.2.7' IDENTIFIED BY 'Canary-other'", Some(ENOUGH), Level::Problem, "differing-hosts"),
];

#[test]
fn each_broken_account_is_named_and_mended_by_the_statement_that_is_offered() {
    let Some(server) = servers::mariadb() else { return };
    for &(breaks, admin, level, code) in ROWS {
        let case = Case::new(server);
        let account = format!("'{}'@'%'", case.user);
        let breaks = breaks.replace("{account}", &account).replace("{user}", &format!("'{}'", case.user));
        if !breaks.is_empty() {
            execute(server, &breaks);
        }
        let case = admin.map_or(case.clone(), |statements| by_weak_admin(case, statements));
        finds_and_mends(case, level, code, Mend::Pasted);
    }
}

#[test]
fn an_account_that_is_as_it_should_be_passes_and_its_statements_are_shown_masked() {
    let Some(server) = servers::mariadb() else { return };
    let case = by_weak_admin(Case::new(server), ENOUGH);
    let report = passes(&case, &[]);
    assert_eq!((report.servers[0].title.as_str(), report.strategy), ("MariaDB", Some(Strategy::DualPassword)));
    assert!(plain(&report.statements)[0].contains("mysql_native_password USING '…' OR"), "{:?}", report.statements);

    let single = with_strategy(case, Strategy::SingleUser);
    let expected = format!("ALTER USER `{}`@`%` IDENTIFIED VIA mysql_native_password USING '…'", single.user);
    assert_eq!(plain(&passes(&single, &[]).statements), [expected]);
    single.set(&single.create()).expect("and so it rotates");

    let itself = with_strategy(Case::new(server), Strategy::SingleUser);
    assert_eq!(passes(&itself, &["hosts"]).statements, ["SET PASSWORD = '…'"]);
    itself.set(&itself.create()).expect("and so it rotates");
}

/// The name of a plugin is an identifier, with or without its quotes.
fn plain(statements: &[String]) -> Vec<String> {
    statements.iter().map(|text| text.replace("`mysql_native_password`", "mysql_native_password")).collect()
}

#[test]
fn a_password_that_has_expired_needs_an_admin() {
    let Some(server) = servers::mariadb() else { return };
    let case = Case::new(server);
    execute(server, &format!("ALTER USER '{}'@'%' PASSWORD EXPIRE", case.user));
    let name = |case: &mut Case| *case = case.clone().by_admin();
    finds_and_mends(case, Level::Problem, "expired", told("masterarn", name));
}

// F84
#[test]
fn a_policy_that_our_passwords_cannot_meet_is_named() {
    let flags = ["--plugin-load-add=simple_password_check", "--plugin-load-add=password_reuse_check"];
    let Some(server) = own(Engine::Mariadb, &flags) else { return };
    let case = Case::new(server).by_admin();
    for (setting, level) in [
        ("minimal_length = 40", Level::Problem),
        ("other_characters = 3", Level::Problem),
        ("digits = 3", Level::Warning),
        ("letters_same_case = 11", Level::Problem),
    ] {
        execute(server, &format!("SET GLOBAL simple_password_check_{setting}"));
        finds_and_mends(case.clone(), level, "policy", Mend::Pasted);
    }
    let report = check(&case);
    assert!(found(&report, Level::Ok, "policy").message.contains("passwords have"));
    assert!(found(&report, Level::Warning, "password-reuse").message.contains("rollback"));
    execute(server, "SET GLOBAL simple_password_check_minimal_length = 8");
    case.set(&case.create()).expect("the test's own password is shorter");
}

// F65
#[test]
fn a_server_that_takes_no_writes_is_named() {
    let Some(server) = own(Engine::Mariadb, &[]) else { return };
    for case in [Case::new(server), Case::new(server).by_admin()] {
        execute(server, "SET GLOBAL read_only = 1");
        let writes = |case: &mut Case| execute(case.server, "SET GLOBAL read_only = 0");
        finds_and_mends(case, Level::Problem, "standby", told("Point \"host\" at the primary", writes));
    }
}

#[test]
fn an_account_that_the_server_has_blocked_is_let_in_again_by_what_is_offered() {
    let Some(server) = own(Engine::Mariadb, &["--max-password-errors=3"]) else { return };
    for case in [Case::new(server), Case::new(server).by_admin()] {
        for _ in 0..4 {
            assert!(!logs_in(server, &case.user, "wrong"));
        }
        finds_and_mends(case.clone(), Level::Problem, "locked", Mend::Pasted);
        for _ in 0..4 {
            assert!(found(&check(&case), Level::Ok, "trust").message.contains("refused"));
        }
    }
}

// F93
#[test]
fn a_server_without_its_accounts_proves_nothing() {
    let Some(server) = own(Engine::Mariadb, &["--skip-grant-tables"]) else { return };
    let mut case = Case::with(server, &server.app_user, &json!({}));
    case.current = json!({
        "engine": "mariadb", "host": server.host, "port": server.port,
        "username": server.app_user, "password": server.app_password,
    });
    finds_and_mends(case, Level::Problem, "trust", Mend::Pasted);
}

// F60
#[test]
fn what_an_admin_may_not_give_to_the_other_of_a_pair_is_named_at_its_place() {
    let Some(server) = servers::mariadb() else { return };
    pair_rights(server, "GRANT `");
}

#[test]
fn nothing_is_changed_by_a_check() {
    let flags = ["--general-log=1", "--general-log-file=general.log"];
    let Some(server) = own(Engine::Mariadb, &flags) else { return };
    nothing_is_changed(server);
}

// F96
#[test]
fn a_server_without_tls_is_named_where_the_secret_asks_for_it() {
    let Some(server) = own(Engine::Mariadb, &["--skip-ssl"]) else { return };
    let mut case = Case::new(server);
    case.current["ssl"] = json!(true);
    case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
    let plain = |case: &mut Case| case.current["ssl"] = json!(false);
    finds_and_mends(case, Level::Problem, "tls", told("\"ssl\": false", plain));
}
