//! What is broken on PostgreSQL.

use std::fs;

use engine::check::{Level, Report};
use engine::outcome::Verdict;
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use super::{Mend, by_weak_admin, check, finds_and_mends, found, own, passes, told, with_strategy};
use crate::harness::account::{Account, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, fails};

/// How the account of a row is made to be.
struct Row {
    /// Run as the server's administrator.
    breaks: &'static str,
    /// None: the account changes itself. Else what makes an admin of `{admin}`.
    admin: Option<&'static [&'static str]>,
    level: Level,
    code: &'static str,
}

const SUPERUSER: &[&str] = &["ALTER ROLE {admin} SUPERUSER"];
/// What an admin needs and no more; up to version 15 the second is not needed.
const ENOUGH: &[&str] = &["ALTER ROLE {admin} CREATEROLE", "GRANT {account} TO {admin} WITH ADMIN OPTION"];

const EXPIRING: &[&str] = &[
    "ALTER ROLE {admin} CREATEROLE",
    "GRANT {account} TO {admin} WITH ADMIN OPTION",
    "DO $$ BEGIN EXECUTE format('ALTER ROLE {admin} VALID UNTIL %L', now() + interval '20 days'); END $$",
];

const fn row(breaks: &'static str, admin: Option<&'static [&'static str]>, level: Level, code: &'static str) -> Row {
    Row { breaks, admin, level, code }
}

#[test]
fn each_broken_role_is_named_and_mended_by_the_statement_that_is_offered() {
    let Some(server) = servers::postgres() else { return };
    let rows = [
        row("ALTER ROLE {account} NOLOGIN", None, Level::Problem, "nologin"),
        row("ALTER ROLE {account} NOLOGIN", Some(SUPERUSER), Level::Problem, "nologin"),
        // F78
        row("ALTER ROLE {account} VALID UNTIL '2001-01-01'", Some(ENOUGH), Level::Problem, "expired"),
        row(
            "DO $$ BEGIN EXECUTE format('ALTER ROLE {account} VALID UNTIL %L', now() + interval '20 days'); END $$",
            None,
            Level::Warning,
            "expires-soon",
        ),
        // F79
        row("ALTER ROLE {account} CONNECTION LIMIT 0", Some(ENOUGH), Level::Problem, "connection-limit"),
        row("ALTER ROLE {account} CONNECTION LIMIT 1", None, Level::Warning, "connection-limit"),
        // F71
        row("ALTER ROLE {account} SUPERUSER", None, Level::Problem, "superuser"),
        row("ALTER ROLE {account} SUPERUSER", Some(SUPERUSER), Level::Problem, "superuser"),
        row("ALTER ROLE {account} REPLICATION", None, Level::Problem, "superuser"),
        row("", Some(EXPIRING), Level::Warning, "admin-expires-soon"),
        // Missing privileges.
        row("", Some(&[]), Level::Problem, "privilege"),
    ];
    for Row { breaks, admin, level, code } in rows {
        let case = Case::new(server);
        if !breaks.is_empty() {
            execute(server, &breaks.replace("{account}", &case.user));
        }
        let case = match admin {
            None => case,
            Some(statements) => by_weak_admin(case, statements),
        };
        finds_and_mends(case, level, code, Mend::Pasted);
    }
}

#[test]
fn an_account_that_is_as_it_should_be_passes_and_its_statements_are_shown_masked() {
    let Some(server) = servers::postgres() else { return };
    for case in [Case::new(server), Case::new(server).by_admin(), by_weak_admin(Case::new(server), ENOUGH)] {
        let report = passes(&case, &[]);
        assert_eq!((report.servers[0].title.as_str(), report.servers[0].standby), ("PostgreSQL", false));
        assert_eq!(report.strategy, Some(Strategy::SingleUser));
        let change = format!("ALTER ROLE \"{}\" PASSWORD '…'; COMMIT", case.user);
        assert_eq!(report.statements.len(), 2, "{:?}", report.statements);
        assert!(report.statements[0].starts_with("BEGIN READ WRITE;"), "{:?}", report.statements);
        assert!(report.statements[1].ends_with(&change), "{:?}", report.statements);
        case.set(&case.create()).expect("and so it rotates");
    }
}

// F77
#[test]
fn createrole_is_enough_up_to_version_15_and_later_only_with_admin_option() {
    let Some(server) = servers::postgres() else { return };
    let case = by_weak_admin(Case::new(server), &["ALTER ROLE {admin} CREATEROLE"]);
    let version: u32 = server.version.split('.').next().and_then(|number| number.parse().ok()).expect("a number");
    if version >= 16 {
        finds_and_mends(case.clone(), Level::Problem, "privilege", Mend::Pasted);
    }
    passes(&case, &[]);
    case.set(&case.create()).expect("and so it rotates");
}

#[test]
fn a_database_that_is_missing_or_closed_is_named() {
    let Some(server) = servers::postgres() else { return };
    let database = unique("d");
    let mut case = Case::new(server);
    case.current["dbname"] = json!(database);
    let create = database.clone();
    let make = move |case: &mut Case| execute(case.server, &format!("CREATE DATABASE {create}"));
    finds_and_mends(case.clone(), Level::Problem, "database", told("create the database", make));
    let revoke = format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC");
    execute(server, &revoke);
    finds_and_mends(case.clone(), Level::Problem, "privilege", Mend::Pasted);

    // The admin works in the account's database too.
    let apart = ["ALTER ROLE {admin} CREATEROLE NOINHERIT", "GRANT {account} TO {admin} WITH ADMIN OPTION"];
    let case = by_weak_admin(case, &apart);
    finds_and_mends(case, Level::Problem, "privilege", Mend::Pasted);
    // The admin tells why the account is kept out.
    let mut case = Case::new(server).by_admin();
    case.current["dbname"] = json!(database);
    finds_and_mends(case, Level::Problem, "privilege", Mend::Pasted);
}

#[test]
fn a_role_that_is_set_at_login_is_named() {
    let Some(server) = servers::postgres() else { return };
    let (case, owner) = (Case::new(server), unique("o"));
    let statements =
        format!("CREATE ROLE {owner}; GRANT {owner} TO {0}; ALTER ROLE {0} SET role = '{owner}'", case.user);
    execute(server, &statements);
    let reset = |case: &mut Case| execute(case.server, &format!("ALTER ROLE {} RESET role", case.user));
    finds_and_mends(case, Level::Warning, "role-set", told("server_reset_query", reset));
}

// F72
#[test]
fn a_rule_that_is_not_scram_is_named() {
    let Some(server) = own(Engine::Postgres, &[]) else { return };
    let file = server.dir.join("data/pg_hba.conf");
    let lines = fs::read_to_string(&file).expect("pg_hba.conf");
    // Above all other lines, for one account: the test's own way in stays.
    let rule = |case: &Case, method: &str| {
        fs::write(&file, format!("host all {} all {method}\n{lines}", case.user)).expect("written");
        execute(server, "SELECT pg_reload_conf()");
    };
    let scram = |server: &'static Server| {
        let (file, lines) = (file.clone(), lines.clone());
        move |_: &mut Case| {
            fs::write(&file, &lines).expect("written");
            execute(server, "SELECT pg_reload_conf()");
        }
    };
    // F93, F80
    for (method, level, code, words) in [
        ("trust", Level::Problem, "trust", "pg_hba.conf"),
        ("reject", Level::Problem, "pg-hba", "pg_hba.conf"),
        ("password", Level::Warning, "plugin", "scram-sha-256"),
    ] {
        for case in [Case::new(server), Case::new(server).by_admin()] {
            rule(&case, method);
            if method == "trust" {
                let outcome = case.verify();
                fails(outcome, Verdict::NeedsPerson, "no-password-asked");
            }
            finds_and_mends(case, level, code, told(words, scram(server)));
        }
    }
    for by_admin in [false, true] {
        let (user, password) = (unique("md"), unique("Canary-md5-"));
        execute(server, &format!("SET password_encryption = 'md5'; CREATE ROLE {user} LOGIN PASSWORD '{password}'"));
        let case = Case::of(&Account { server, user, password }, &json!({}));
        rule(&case, "md5");
        let case = if by_admin { case.by_admin() } else { case };
        let allow = |case: &mut Case| case.options.allow_md5_upgrade = true;
        finds_and_mends(case, Level::Problem, "md5", told("allow_md5_upgrade", allow));
    }
}

// F65
#[test]
fn a_standby_is_named_until_it_is_promoted() {
    let Some(server) = own(Engine::Postgres, &[]) else { return };
    let case = Case::new(server);
    server.stop().expect("stopped");
    fs::write(server.dir.join("data/standby.signal"), "").expect("written");
    server.restart().expect("a standby without a primary");
    assert!(check(&case).servers[0].standby);
    let promote = |case: &mut Case| execute(case.server, "SELECT pg_promote()");
    finds_and_mends(case, Level::Problem, "standby", told("Point \"host\" at the primary", promote));
}

// F84
#[test]
fn a_password_policy_that_cannot_look_into_verifiers_is_named() {
    let Some(server) = own(Engine::Postgres, &["-c", "shared_preload_libraries=passwordcheck"]) else { return };
    let case = Case::new(server).by_admin();
    assert!(passes(&case, &[]).passes());
    // Only who may see the setting is told.
    execute(server, &format!("GRANT pg_read_all_settings TO {}", case.user));
    passes(&case, &["policy"]);
    case.set(&case.create()).expect("it takes the verifier");
}

#[test]
fn a_pair_is_looked_at_whole() {
    let Some(server) = servers::postgres() else { return };
    let case = with_strategy(Case::new(server).by_admin(), Strategy::AlternatingUsers);
    let clone = format!("{}_clone", case.user);
    let report = passes(&case, &["shape"]);
    assert_eq!(report.strategy, Some(Strategy::AlternatingUsers));
    let shows = |report: &Report, begins: &str| report.statements.iter().any(|text| text.starts_with(begins));
    assert!(shows(&report, &format!("CREATE ROLE \"{clone}\" LOGIN PASSWORD '…'")), "{report:#?}");
    assert_eq!(found(&report, Level::Warning, "shape").remedy, "pawl rotation prepare NAME");

    let owner = unique("o");
    execute(
        server,
        &format!("CREATE ROLE {owner}; GRANT {owner} TO {0}; ALTER ROLE {0} SET role = '{owner}'", case.user),
    );
    let report = passes(&case, &["role-set"]);
    assert!(found(&report, Level::Ok, "shape").message.contains(&owner));
    assert!(shows(&report, &format!("GRANT \"{owner}\" TO \"{clone}\"")), "{report:#?}");
    assert!(shows(&report, &format!("ALTER ROLE \"{clone}\" SET \"role\" TO '{owner}'")), "{report:#?}");

    execute(server, &format!("CREATE ROLE {clone} LOGIN"));
    found(&check(&case), Level::Problem, "stranger");
    execute(server, &format!("GRANT {owner} TO {clone}; ALTER ROLE {clone} SET role = '{owner}'"));
    let report = passes(&case, &["role-set"]);
    found(&report, Level::Ok, "existing-pair");
    assert!(report.statements.iter().any(|text| text.contains(&format!("ALTER ROLE \"{clone}\" PASSWORD '…'"))));
    execute(server, &format!("ALTER ROLE {clone} NOLOGIN"));
    finds_and_mends(case, Level::Problem, "nologin", Mend::Pasted);
}

#[test]
fn a_setting_that_only_superusers_give_is_named_with_what_lets_the_admin_give_it() {
    let Some(server) = servers::postgres() else { return };
    let case = by_weak_admin(with_strategy(Case::new(server), Strategy::AlternatingUsers), ENOUGH);
    let set = "SET log_statement = 'none'";
    execute(server, &format!("ALTER ROLE {0} {set}; ALTER ROLE {0} SET work_mem = '5MB'", case.user));
    let report = check(&case);
    let problem = found(&report, Level::Problem, "privilege");
    assert!(problem.message.contains("log_statement") && !problem.message.contains("work_mem"), "{problem:?}");
    let shown = format!("ALTER ROLE \"{}_clone\" SET \"log_statement\" TO …", case.user);
    assert!(report.statements.contains(&shown), "{report:#?}");
    let error = case.set(&case.create()).expect_err("Set says the same");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "42501"));
    assert!(error.remedy.contains(&problem.remedy), "{} {}", error.remedy, problem.remedy);
    finds_and_mends(case.clone(), Level::Problem, "privilege", Mend::Pasted);
    case.set(&case.create()).expect("and so it rotates");
}

#[test]
fn two_passwords_at_once_are_not_promised() {
    let Some(server) = servers::postgres() else { return };
    let case = with_strategy(Case::new(server).by_admin(), Strategy::DualPassword);
    let other = |case: &mut Case| case.options.strategy = Some(Strategy::AlternatingUsers);
    finds_and_mends(case, Level::Problem, "strategy", told("--strategy alternating-users", other));
}

#[test]
fn nothing_is_changed_by_a_check() {
    let Some(server) = own(Engine::Postgres, &["-c", "log_statement=mod"]) else { return };
    let cases = [Case::new(server), Case::new(server).by_admin(), Case::new(server).by_admin()];
    let before = fs::read_to_string(&server.log).expect("the log").len();
    for (case, strategy) in cases.iter().zip(Strategy::ALL) {
        check(&with_strategy(case.clone(), strategy));
    }
    let log = fs::read_to_string(&server.log).expect("the log").split_off(before);
    assert!(!log.contains("statement:") && !log.contains("execute "), "{log}");
    execute(server, "CREATE ROLE seen_in_the_log");
    assert!(fs::read_to_string(&server.log).expect("the log").contains("statement: CREATE ROLE seen"), "the log is on");
}
