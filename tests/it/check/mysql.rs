//! What is broken on MySQL.

use std::fs;

use engine::check::Level;
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use super::my::{BLIND, ENOUGH, EXPIRING, READER, Row};
use super::{Mend, by_weak_admin, check, finds_and_mends, found, own, passes, told, with_strategy};
use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::Case;

const ROWS: &[Row] = &[
    ("", Some(BLIND), Level::Problem, "privilege"),
    ("", Some(READER), Level::Problem, "privilege"),
    ("", Some(EXPIRING), Level::Warning, "admin-expires-soon"),
    ("", Some(&[]), Level::Problem, "privilege"),
    // F71
    ("GRANT SUPER ON *.* TO {account}", None, Level::Problem, "superuser"),
    ("GRANT SYSTEM_USER ON *.* TO {account}", None, Level::Problem, "superuser"),
    ("GRANT SUPER ON *.* TO {account}", Some(ENOUGH), Level::Problem, "superuser"),
    // F74
    ("", None, Level::Warning, "strategy"),
    ("ALTER USER {account} ACCOUNT LOCK", None, Level::Problem, "locked"),
    ("ALTER USER {account} ACCOUNT LOCK", Some(ENOUGH), Level::Problem, "locked"),
    ("ALTER USER {account} PASSWORD EXPIRE", Some(ENOUGH), Level::Warning, "expired"),
    // F78
    ("ALTER USER {account} PASSWORD EXPIRE INTERVAL 20 DAY", Some(ENOUGH), Level::Warning, "expires-soon"),
    // F79
    ("ALTER USER {account} WITH MAX_USER_CONNECTIONS 2", None, Level::Warning, "connection-limit"),
    ("ALTER USER {account} WITH MAX_CONNECTIONS_PER_HOUR 20", Some(ENOUGH), Level::Warning, "connection-limit"),
    // F84
    ("ALTER USER {account} PASSWORD HISTORY 5", Some(ENOUGH), Level::Warning, "password-reuse"),
    // F72
    ("ALTER USER {account} IDENTIFIED WITH sha256_password BY '{password}'", None, Level::Problem, "plugin"),
    ("ALTER USER {account} IDENTIFIED WITH sha256_password BY '{password}'", Some(ENOUGH), Level::Problem, "plugin"),
    // F61
    (
        "GRANT SELECT ON mysql.* TO {account};\nCREATE USER {user}@'192.0.2.7' IDENTIFIED BY '{password}'",
        None,
        Level::Problem,
        "privilege",
    ),
    ("CREATE USER {user}@'192.0.2.7' IDENTIFIED BY 'Canary-other'", Some(ENOUGH), Level::Problem, "differing-hosts"),
];

// F79
#[test]
fn each_broken_account_is_named_and_mended_by_the_statement_that_is_offered() {
    let Some(server) = servers::mysql() else { return };
    for &(breaks, admin, level, code) in ROWS {
        let case = Case::new(server);
        let account = format!("'{}'@'%'", case.user);
        let breaks = breaks.replace("{account}", &account).replace("{user}", &format!("'{}'", case.user));
        if !breaks.is_empty() {
            execute(server, &breaks.replace("{password}", &case.password()));
        }
        let case = admin.map_or(case.clone(), |statements| by_weak_admin(case, statements));
        finds_and_mends(case, level, code, Mend::Pasted);
    }
}

#[test]
fn an_account_that_is_as_it_should_be_passes_and_its_statements_are_shown_masked() {
    let Some(server) = servers::mysql() else { return };
    let case = by_weak_admin(Case::new(server), ENOUGH);
    let report = passes(&case, &[]);
    assert_eq!((report.servers[0].title.as_str(), report.strategy), ("MySQL", Some(Strategy::DualPassword)));
    let account = format!("`{}`@`%`", case.user);
    assert!(report.statements[0].ends_with("RETAIN CURRENT PASSWORD"), "{:?}", report.statements);
    assert_eq!(report.statements[1], format!("ALTER USER {account} DISCARD OLD PASSWORD"));

    let single = with_strategy(case, Strategy::SingleUser);
    let expected = format!("ALTER USER {account} IDENTIFIED WITH 'caching_sha2_password' AS '…'");
    assert_eq!(passes(&single, &[]).statements, [expected]);
    single.set(&single.create()).expect("and so it rotates");

    let itself = with_strategy(Case::new(server), Strategy::SingleUser);
    let shown = passes(&itself, &["hosts"]).statements;
    assert!(shown.len() == 1 && shown[0].ends_with(" '…' REPLACE '…'"), "{shown:?}");
    itself.set(&itself.create()).expect("and so it rotates");
}

#[test]
fn a_change_of_an_account_with_system_user_needs_that_too() {
    let Some(server) = servers::mysql() else { return };
    let mut case = by_weak_admin(Case::new(server), ENOUGH);
    case.options.allow_superuser = true;
    execute(server, &format!("GRANT SYSTEM_USER ON *.* TO '{}'@'%'", case.user));
    finds_and_mends(case, Level::Problem, "privilege", Mend::Pasted);
}

// F74
#[test]
fn two_passwords_that_are_asked_for_need_their_privilege() {
    let Some(server) = servers::mysql() else { return };
    let case = with_strategy(Case::new(server), Strategy::DualPassword);
    finds_and_mends(case, Level::Problem, "strategy", Mend::Pasted);
}

#[test]
fn an_account_that_the_server_has_locked_is_unlocked_by_what_is_offered() {
    let Some(server) = servers::mysql() else { return };
    for by_admin in [false, true] {
        let case = Case::new(server);
        let lock = "FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED";
        execute(server, &format!("ALTER USER '{}'@'%' {lock}", case.user));
        let case = if by_admin { case.by_admin() } else { case };
        for _ in 0..3 {
            assert!(!logs_in(server, &case.user, "wrong"));
        }
        finds_and_mends(case.clone(), Level::Problem, "locked", Mend::Pasted);
        // A check does not use up the refusals that are left.
        for _ in 0..4 {
            assert!(found(&check(&case), Level::Ok, "trust").message.contains("refused"));
        }
        if by_admin {
            execute(server, &format!("ALTER USER '{}'@'%' FAILED_LOGIN_ATTEMPTS 2", case.user));
            assert!(found(&check(&case), Level::Warning, "trust").message.contains("locked"));
        }
    }
}

#[test]
fn an_account_that_must_use_tls_is_told_from_one_with_another_password() {
    let Some(server) = servers::mysql() else { return };
    let case = Case::new(server).by_admin();
    execute(server, &format!("ALTER USER '{}'@'%' REQUIRE SSL", case.user));
    let encrypt = |case: &mut Case| {
        case.current["ssl"] = json!(true);
        case.target_ca = Some(fs::read(&case.server.ca).expect("the CA"));
    };
    finds_and_mends(case, Level::Problem, "login", told("REQUIRE SSL", encrypt));
}

#[test]
fn a_limit_that_is_used_up_is_lifted_by_what_is_offered() {
    let Some(server) = servers::mysql() else { return };
    for by_admin in [false, true] {
        let case = Case::new(server);
        execute(server, &format!("ALTER USER '{}'@'%' WITH MAX_CONNECTIONS_PER_HOUR 1", case.user));
        assert!(case.logs_in(&case.password()));
        let case = if by_admin { case.by_admin() } else { case };
        finds_and_mends(case, Level::Problem, "connection-limit", Mend::Pasted);
    }
}

// F84
#[test]
fn a_policy_that_our_passwords_cannot_meet_is_named() {
    let Some(server) = own(Engine::Mysql, &[]) else { return };
    let case = with_strategy(Case::new(server), Strategy::SingleUser);
    execute(server, "INSTALL COMPONENT 'file://component_validate_password'");
    assert!(found(&passes(&case, &["hosts"]), Level::Ok, "policy").message.contains("passwords have"));
    for (setting, level) in [
        ("length = 40", Level::Problem),
        ("special_char_count = 3", Level::Problem),
        ("number_count = 3", Level::Warning),
        ("mixed_case_count = 11", Level::Problem),
    ] {
        execute(server, &format!("SET GLOBAL validate_password.{setting}"));
        finds_and_mends(case.clone(), level, "policy", Mend::Pasted);
    }
    execute(server, "SET GLOBAL validate_password.special_char_count = 3");
    assert!(check(&case.clone().by_admin()).passes(), "a hash is not looked into");
    execute(server, "SET GLOBAL validate_password.policy = LOW");
    assert!(check(&case).passes(), "only the length counts then");
}

// F65
#[test]
fn a_server_that_takes_no_writes_is_named() {
    let Some(server) = own(Engine::Mysql, &[]) else { return };
    for case in [Case::new(server), Case::new(server).by_admin()] {
        execute(server, "SET GLOBAL super_read_only = 1");
        assert!(check(&case).servers[0].standby);
        let writes = |case: &mut Case| {
            execute(case.server, "SET GLOBAL super_read_only = 0;\nSET GLOBAL read_only = 0");
        };
        finds_and_mends(case, Level::Problem, "standby", told("Point \"host\" at the primary", writes));
    }
}

// F60
#[test]
fn what_an_admin_may_not_give_to_the_other_of_a_pair_is_named_at_its_place() {
    let Some(server) = servers::mysql() else { return };
    pair_rights(server, "GRANT ROLE_ADMIN ON *.* TO");
}

/// An account with rights of every kind, and an admin that may give none of them.
pub(super) fn pair_rights(server: &'static Server, for_roles: &str) {
    let case = with_strategy(by_weak_admin(Case::new(server), ENOUGH), Strategy::AlternatingUsers);
    let account = format!("'{}'@'%'", case.user);
    let (table, role) = (unique("t"), unique("r"));
    for statement in [
        format!("CREATE TABLE app.{table} (x INT, y INT)"),
        format!("GRANT SELECT (x), INSERT (x, y) ON app.{table} TO {account}"),
        format!("GRANT ALL PRIVILEGES ON app.* TO {account}"),
        format!("GRANT RELOAD ON *.* TO {account}"),
        format!("CREATE ROLE {role}"),
        format!("GRANT {role} TO {account}"),
    ] {
        execute(server, &statement);
    }
    let report = check(&case);
    let remedies: Vec<&str> = report.findings.iter().map(|finding| finding.remedy.as_str()).collect();
    for remedy in ["GRANT RELOAD ON *.* TO", "GRANT ALL PRIVILEGES ON `app`.* TO", for_roles, "GRANT PROCESS ON"] {
        assert!(remedies.iter().any(|offered| offered.starts_with(remedy)), "{remedy}: {remedies:#?}");
    }
    for statement in remedies.iter().filter(|remedy| !remedy.is_empty()) {
        execute(server, statement);
    }
    let report = passes(&case, &[]);
    let clone = format!("`{}_clone`@`%`", case.user);
    assert!(report.statements[0].starts_with(&format!("CREATE USER {clone} IDENTIFIED ")), "{report:#?}");
    assert!(report.statements.iter().any(|text| text.starts_with("GRANT ALL PRIVILEGES ON `app`.* TO ")));
    execute(server, &format!("CREATE USER '{}_clone'@'%' ACCOUNT LOCK", case.user));
    found(&check(&case), Level::Problem, "stranger");
    execute(server, &format!("GRANT RELOAD ON *.* TO '{}_clone'@'%'", case.user));
    found(&check(&case), Level::Ok, "existing-pair");
    finds_and_mends(case, Level::Problem, "locked", Mend::Pasted);
}

#[test]
fn nothing_is_changed_by_a_check() {
    let flags = ["--general-log=1", "--general-log-file=general.log"];
    let Some(server) = own(Engine::Mysql, &flags) else { return };
    nothing_is_changed(server);
}

/// Checks by every strategy, and looks for anything but questions in the log.
pub(super) fn nothing_is_changed(server: &'static Server) {
    let log = || String::from_utf8_lossy(&fs::read(server.dir.join("data/general.log")).expect("the log")).into_owned();
    let cases = [Case::new(server), Case::new(server).by_admin(), Case::new(server).by_admin()];
    let before = log().len();
    for (case, strategy) in cases.iter().zip(Strategy::ALL) {
        check(&with_strategy(case.clone(), strategy));
        check(&with_strategy(case.clone().by_admin(), strategy));
    }
    let seen = log().split_off(before);
    let changes = ["ALTER ", "CREATE USER `", "GRANT ", "SET GLOBAL", "SET PASSWORD", "DROP ", "INSERT ", "UPDATE "];
    let found: Vec<&str> = seen.lines().filter(|line| changes.iter().any(|word| line.contains(word))).collect();
    assert!(found.is_empty() && seen.contains("SHOW GRANTS"), "{found:#?}");
}

// F71
#[test]
fn an_account_of_the_server_itself_is_left_alone() {
    let Some(server) = servers::mysql() else { return };
    let password = unique("Canary-root-");
    let account = Account { server, user: "root".to_owned(), password: password.clone() };
    execute(server, &format!("CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}'"));
    let mut case = Case::of(&account, &json!({}));
    case.options.allow_differing_hosts = true;
    let allow = |case: &mut Case| case.options.allow_superuser = true;
    finds_and_mends(case, Level::Problem, "superuser", told("an account of the application", allow));
    execute(server, "DROP USER 'root'@'%'");
}
