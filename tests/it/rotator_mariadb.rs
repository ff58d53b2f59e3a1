//! The MariaDB rotator, step by step, on a real server.

use std::sync::OnceLock;

use engine::outcome::{Proof, Verdict};
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::{self as support, Case, fails, failure};

/// A server that knows ed25519, and whose log shows every statement.
fn logging() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let flags = ["--plugin-load-add=auth_ed25519", "--general-log=1", "--general-log-file=general.log"];
    SERVER.get_or_init(|| servers::own(Engine::Mariadb, &flags)).as_ref()
}

fn statements(server: &Server) -> String {
    let log = std::fs::read(server.dir.join("data/general.log")).expect("the log");
    String::from_utf8_lossy(&log).into_owned()
}

/// Runs a check for the account itself, for the admin, and for an admin who gives the account two passwords.
fn both(check: impl Fn(Case)) {
    let Some(server) = servers::mariadb() else { return };
    check(Case::new(server));
    let mut in_place = Case::new(server).by_admin();
    in_place.options.strategy = Some(Strategy::SingleUser);
    check(in_place);
    check(Case::new(server).by_admin());
}

/// An account by the text that follows its name in CREATE USER.
fn account(server: &'static Server, password: &str, identified: &str) -> Account {
    let user = unique("u");
    execute(server, &format!("CREATE USER '{user}'@'%' {identified}"));
    Account { server, user, password: password.to_owned() }
}

#[test]
fn an_account_rotates_with_each_step_twice() {
    both(support::rotates_with_each_step_twice);
}

// F72
#[test]
fn an_ed25519_account_stays_one() {
    let Some(server) = logging() else { return };
    for by_admin in [false, true] {
        let password = unique("Canary-ed-");
        let account = account(server, &password, &format!("IDENTIFIED VIA ed25519 USING PASSWORD('{password}')"));
        let case = Case::of(&account, &json!({}));
        support::rotates_with_each_step_twice(if by_admin { case.by_admin() } else { case });
        let shown = statements(server);
        let how = if by_admin {
            format!("`{}`@`%` IDENTIFIED VIA `ed25519` USING '", account.user)
        } else {
            "SET PASSWORD = '".to_owned()
        };
        assert!(shown.contains(&how), "a hash of the same plugin");
    }
}

// F121
#[test]
fn the_clear_password_is_in_no_statement_of_the_servers_log() {
    let Some(server) = logging() else { return };
    for by_admin in [false, true] {
        let case = Case::new(server);
        let case = if by_admin { case.by_admin() } else { case };
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
        let new = wanted["password"].as_str().expect("a password").to_owned();
        let shown = statements(server);
        assert!(shown.contains("SET PASSWORD") || shown.contains("ALTER USER"), "the log is on");
        assert!(!shown.contains(&new), "the clear password");
    }
}

// F06
#[test]
fn set_is_right_again_after_a_crash() {
    both(support::sets_again_after_a_crash);
}

#[test]
fn giving_up_restores_awscurrent_and_proves_it() {
    both(support::gives_up_by_restoring);
}

#[test]
fn a_password_nobody_knows_needs_the_admin() {
    let Some(server) = servers::mariadb() else { return };
    support::an_unknown_password_needs_the_admin(Case::new(server), "1045");
}

#[test]
fn the_statement_of_a_stalled_process_does_not_land() {
    both(|case| support::a_late_statement_does_not_land(&case));
}

// F05, F06
#[test]
fn a_lost_reply_is_unknown_and_the_next_set_finds_out() {
    both(support::a_lost_reply_is_unknown);
}

#[test]
fn a_lock_that_another_session_holds_is_waited_for_and_then_left() {
    both(|case| support::a_lock_is_waited_for_and_then_left(&case, "lock"));
}

#[test]
fn tls_is_verified() {
    let Some(server) = servers::mariadb() else { return };
    support::tls_is_verified(Case::new(server));
}

// F123
#[test]
fn a_rotation_touches_no_other_account_and_no_other_server() {
    let Some(server) = servers::mariadb() else { return };
    support::other_accounts_are_left_alone(Case::new(server));
}

// F92
#[test]
fn a_server_that_is_not_there_is_tried_again() {
    both(support::absent_targets_are_tried_again);
}

#[test]
fn accounts_of_one_server_rotate_at_once() {
    let Some(server) = servers::mariadb() else { return };
    support::many_accounts_rotate_at_once(server, false);
    support::many_accounts_rotate_at_once(server, true);
}

// F85, F87, F90
#[test]
fn any_name_and_any_password_work() {
    let Some(server) = servers::mariadb() else { return };
    support::any_name_works(server, 80);
}

// F10
#[test]
fn a_policy_that_rejects_a_password_asks_for_another() {
    // `strict_password_validation` is on, so that hashes are refused and the policy sees the password.
    let flags = ["--plugin-load-add=simple_password_check", "--plugin-load-add=auth_ed25519"];
    let Some(server) = servers::own(Engine::Mariadb, &flags) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let password = "Canary-ed-1.";
    let ed25519 = account(server, password, &format!("IDENTIFIED VIA ed25519 USING PASSWORD('{password}')"));
    for account in [Account::create(server), ed25519] {
        for by_admin in [false, true] {
            let case = Case::of(&account, &json!({}));
            let case = if by_admin { case.by_admin() } else { case };
            let mut weak = case.create();
            weak["password"] = json!("canary-lower");
            fails(case.set(&weak), Verdict::Rejected, "1819");
            assert!(case.logs_in(&case.password()), "AWSCURRENT still works");
            let mut strong = case.create();
            strong["password"] = json!(unique("Canary-'1'\\"));
            case.set(&strong).expect("a good one is taken");
            case.test(&strong).expect("tested");
            execute(server, &format!("SET PASSWORD FOR '{}'@'%' = PASSWORD('{}')", account.user, account.password));
        }
    }
}

#[test]
fn accounts_without_a_password_that_can_be_rotated_are_refused_clearly() {
    let Some(server) = logging() else { return };
    // Somebody else's second password, and a way beside the password, which the account itself may not write.
    let two = "IDENTIFIED VIA mysql_native_password USING PASSWORD('Canary-2') OR ed25519 USING PASSWORD('Canary-x')";
    let socket = "IDENTIFIED VIA mysql_native_password USING PASSWORD('Canary-2') OR unix_socket";
    for (identified, by_itself, by_admin) in [(two, "1227", Some("foreign-password")), (socket, "1227", None)] {
        let account = account(server, "Canary-2", identified);
        let case = Case::of(&account, &json!({}));
        fails(case.set(&case.create()), Verdict::NeedsPerson, by_itself);
        assert!(case.logs_in("Canary-2"));
        let case = case.by_admin();
        let done = case.set(&case.create());
        assert_eq!(done.as_ref().err().map(|error| error.code.as_str()), by_admin, "{done:?}");
        assert!(case.logs_in("Canary-2"));
    }
    execute(server, "INSTALL SONAME 'auth_pam'");
    let case = Case::of(&account(server, "Canary-3", "IDENTIFIED VIA pam"), &json!({})).by_admin();
    fails(case.set(&case.create()), Verdict::NeedsPerson, "auth-plugin");
}

// F61
#[test]
fn all_rows_of_an_account_change_and_rows_that_differ_are_refused() {
    let Some(server) = servers::mariadb() else { return };
    let account = Account::create(server);
    let row = |host: &str, password: &str| {
        execute(server, &format!("CREATE OR REPLACE USER '{}'@'{host}' IDENTIFIED BY '{password}'", account.user));
    };
    row("192.0.2.7", &account.password);
    let mut case = Case::of(&account, &json!({})).by_admin();
    case.options.strategy = Some(Strategy::SingleUser);
    let first = case.create();
    case.set(&first).expect("both rows are alike");
    case.test(&first).expect("the other row is verified by its hash");

    // Interrupted: one row has the next value already.
    let mut case = Case::with(server, &account.user, &first).by_admin();
    case.options.strategy = Some(Strategy::SingleUser);
    let next = case.create();
    row("192.0.2.7", next["password"].as_str().expect("text"));
    fails(case.test(&first), Verdict::Rejected, "row-differs");
    case.known = vec![("AWSPENDING".to_owned(), next.clone())];
    let left_behind = Proof::CanRestore { held: Some("AWSPENDING".to_owned()) };
    assert_eq!(case.prove().expect("proven"), left_behind, "the other row");
    case.set(&next).expect("the rest follows");
    case.test(&next).expect("both");

    // A row that is somebody's.
    let mut case = Case::with(server, &account.user, &next).by_admin();
    case.options.strategy = Some(Strategy::SingleUser);
    row("192.0.2.7", "Canary-somebody''s");
    let last = case.create();
    fails(case.set(&last), Verdict::NeedsPerson, "differing-hosts");
    assert!(case.logs_in(&case.password()));
    assert_eq!(case.prove().expect("what was never ours is left alone"), Proof::CurrentLogsIn);
    case.options.allow_differing_hosts = true;
    case.set(&last).expect("allowed");
    case.test(&last).expect("both");
}

// F51
#[test]
fn a_step_stops_at_its_login_budget() {
    let Some(server) = servers::own(Engine::Mariadb, &["--max-password-errors=3"]) else { return };
    support::a_step_stops_at_its_login_budget(Case::new(Box::leak(Box::new(server))));
}

#[test]
fn an_account_that_sees_its_own_row_only_says_so() {
    both(|case| support::hosts::a_change_of_the_own_row_alone_is_noted(&case));
}

// F126
#[test]
fn nothing_is_proven_without_the_admin_who_is_named() {
    let Some(server) = servers::mariadb() else { return };
    support::hosts::nothing_is_proven_without_the_admin(server);
}

#[test]
fn a_locked_and_a_blocked_account_are_two_answers() {
    let Some(server) = servers::own(Engine::Mariadb, &["--max-password-errors=3"]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let case = Case::new(server);
    execute(server, &format!("ALTER USER '{}'@'%' ACCOUNT LOCK", case.user));
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::NeedsPerson, "4151");
    fails(Case::with(server, &case.user, &case.current).by_admin().set(&wanted), Verdict::NeedsPerson, "3118");
    execute(server, &format!("ALTER USER '{}'@'%' ACCOUNT UNLOCK", case.user));

    for _ in 0..4 {
        assert!(!logs_in(server, &case.user, "wrong"));
    }
    fails(case.set(&wanted), Verdict::NeedsPerson, "4150");
    execute(server, "FLUSH PRIVILEGES");
    let mut wrong = case.current.clone();
    wrong["password"] = json!("Canary-wrong");
    let mut case = Case::with(server, &case.user, &wrong).by_admin();
    case.deadline = std::time::Duration::from_secs(8);
    let error = case.test(&wrong).expect_err("refused");
    assert_eq!((error.verdict, error.failed_logins), (Verdict::Rejected, 1), "{error:?}");
}

#[test]
fn a_read_only_server_and_one_with_too_many_connections_are_tried_again() {
    let Some(server) = servers::own(Engine::Mariadb, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let case = Case::new(server);
    let wanted = case.create();
    let admin = Case::with(server, &case.user, &case.current).by_admin();
    execute(server, "SET GLOBAL read_only = 1");
    fails(case.set(&wanted), Verdict::Retry, "1836");
    fails(admin.set(&wanted), Verdict::Retry, "1836");
    execute(server, "SET GLOBAL read_only = 0");
    execute(server, &format!("ALTER USER '{}'@'%' WITH MAX_CONNECTIONS_PER_HOUR 1", case.user));
    assert!(case.logs_in(&case.password()));
    fails(case.set(&wanted), Verdict::Retry, "1226");
}

#[test]
fn an_admin_without_the_right_is_told_what_to_grant() {
    let Some(server) = servers::mariadb() else { return };
    let weak = Account::create(server);
    let mut case = Case::new(server);
    case.admin = Some(weak.secret(&json!({})));
    let error = case.set(&case.create()).expect_err("may not read the catalogue");
    assert_eq!(error.verdict, Verdict::NeedsPerson);
    assert!(error.remedy.contains("GRANT CREATE USER ON *.* TO"), "{}", error.remedy);
    execute(server, &format!("GRANT SELECT ON mysql.* TO '{}'@'%'", weak.user));
    let (verdict, code) = failure(case.set(&case.create()));
    assert_eq!((verdict, code.as_str()), (Verdict::NeedsPerson, "1227"));
    execute(server, &format!("GRANT CREATE USER ON *.* TO '{}'@'%'", weak.user));
    let wanted = case.create();
    case.set(&wanted).expect("what the remedy said is enough");
    case.test(&wanted).expect("tested");
}

// F96
#[test]
fn a_server_without_tls_is_not_talked_to_in_plain_text() {
    let Some(server) = servers::own(Engine::Mariadb, &["--skip-ssl"]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let mut case = Case::new(server);
    case.current["ssl"] = json!(true);
    case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
    fails(case.set(&case.create()), Verdict::NeedsPerson, "tls-not-offered");
}
