//! The MySQL rotator, step by step, on a real server.

use std::sync::OnceLock;

use engine::outcome::{Proof, Verdict};
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::{self as support, Case, fails, failure};

/// A server whose log shows every statement, and whose settings tests may change.
fn logging() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let flags = ["--general-log=1", "--general-log-file=general.log"];
    SERVER.get_or_init(|| servers::own(Engine::Mysql, &flags)).as_ref()
}

fn statements(server: &Server) -> String {
    let log = std::fs::read(server.dir.join("data/general.log")).expect("the log");
    String::from_utf8_lossy(&log).into_owned()
}

/// Runs a check for the account itself, for the admin, and for an admin who gives the account two passwords.
fn both(check: impl Fn(Case)) {
    let Some(server) = servers::mysql() else { return };
    check(Case::new(server));
    let mut in_place = Case::new(server).by_admin();
    in_place.options.strategy = Some(Strategy::SingleUser);
    check(in_place);
    check(Case::new(server).by_admin());
}

#[test]
fn an_account_rotates_with_each_step_twice() {
    both(support::rotates_with_each_step_twice);
}

// F73: where nobody has logged in since the change, caching_sha2_password wants the whole password, by TLS or by RSA.
#[test]
fn f73_a_login_after_the_servers_cache_was_emptied_is_proven_with_and_without_tls() {
    let Some(server) = servers::mysql() else { return };
    let over_tls = json!({ "ssl": true, "host": "localhost" });
    for extra in [json!({}), over_tls] {
        let mut case = Case::of(&Account::create(server), &extra);
        case.target_ca = Some(std::fs::read(&server.ca).expect("the authority"));
        let wanted = case.create();
        case.set(&wanted).expect("set");
        execute(server, "FLUSH PRIVILEGES");
        case.test(&wanted).expect("the new password is proven");
        execute(server, "FLUSH PRIVILEGES");
        let mut refused = wanted.clone();
        refused["password"] = json!("Canary-wrong");
        fails(case.test(&refused), Verdict::Rejected, "1045");
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
    let Some(server) = servers::mysql() else { return };
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
    let Some(server) = servers::mysql() else { return };
    support::tls_is_verified(Case::new(server));
}

// F123
#[test]
fn a_rotation_touches_no_other_account_and_no_other_server() {
    let Some(server) = servers::mysql() else { return };
    support::other_accounts_are_left_alone(Case::new(server));
}

// F92
#[test]
fn a_server_that_is_not_there_is_tried_again() {
    both(support::absent_targets_are_tried_again);
}

#[test]
fn accounts_of_one_server_rotate_at_once() {
    let Some(server) = servers::mysql() else { return };
    support::many_accounts_rotate_at_once(server, false);
    support::many_accounts_rotate_at_once(server, true);
}

// F85, F87, F90
#[test]
fn any_name_and_any_password_work() {
    let Some(server) = servers::mysql() else { return };
    support::any_name_works(server, 32);
}

// F121
#[test]
fn the_clear_password_is_not_in_the_servers_log() {
    let Some(server) = logging() else { return };
    for by_admin in [false, true] {
        let case = Case::new(server);
        let case = if by_admin { case.by_admin() } else { case };
        let (old, wanted) = (case.password(), case.create());
        execute(server, "SET GLOBAL general_log = 0;\nSET GLOBAL general_log = 1");
        let before = statements(server).len();
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
        let shown = statements(server).split_off(before);
        let new = wanted["password"].as_str().expect("a password");
        assert!(shown.contains("SET PASSWORD FOR") || shown.contains("ALTER USER"), "the log is on: {shown}");
        assert!(!shown.contains(new) && !shown.contains(&old), "a clear password: {shown}");
    }
}

#[test]
fn an_account_that_must_give_its_current_password_does() {
    let Some(server) = servers::mysql() else { return };
    let case = Case::new(server);
    execute(server, &format!("ALTER USER '{}'@'%' PASSWORD REQUIRE CURRENT", case.user));
    support::rotates_with_each_step_twice(case);
}

// F72
#[test]
fn the_rounds_and_the_plugin_of_a_row_are_kept() {
    let flags = ["--caching-sha2-password-digest-rounds=7000"];
    let Some(server) = servers::own(Engine::Mysql, &flags) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    support::rotates_with_each_step_twice(Case::new(server).by_admin());
}

#[test]
fn sha256_password_is_refused_clearly() {
    let Some(server) = servers::mysql() else { return };
    let user = unique("u");
    execute(server, &format!("CREATE USER '{user}'@'%' IDENTIFIED WITH sha256_password BY 'Canary-256'"));
    let account = Account { server, user, password: "Canary-256".to_owned() };
    let case = Case::of(&account, &json!({}));
    fails(case.set(&case.create()), Verdict::NeedsPerson, "auth-plugin");
    let case = case.by_admin();
    fails(case.set(&case.create()), Verdict::NeedsPerson, "auth-plugin");
}

// F61
#[test]
fn all_rows_of_an_account_change_together_and_rows_that_differ_are_refused() {
    let Some(server) = servers::mysql() else { return };
    let account = Account::create(server);
    let row = |host: &str, password: &str| {
        let name = format!("'{}'@'{host}'", account.user);
        execute(server, &format!("DROP USER IF EXISTS {name};\nCREATE USER {name} IDENTIFIED BY '{password}'"));
    };
    row("192.0.2.7", &account.password);
    row("192.0.2.8", &account.password);
    let mut case = Case::of(&account, &json!({})).by_admin();
    case.options.strategy = Some(Strategy::SingleUser);
    let first = case.create();
    case.set(&first).expect("all rows are alike");
    case.test(&first).expect("the other rows are verified by their hashes");

    let mut case = Case::with(server, &account.user, &first).by_admin();
    case.options.strategy = Some(Strategy::SingleUser);
    let next = case.create();
    row("192.0.2.7", next["password"].as_str().expect("text"));
    fails(case.test(&first), Verdict::Rejected, "row-differs");
    case.known = vec![("AWSPENDING".to_owned(), next.clone())];
    let left_behind = Proof::CanRestore { held: Some("AWSPENDING".to_owned()) };
    assert_eq!(case.prove().expect("proven"), left_behind, "the other row");
    case.set(&first).expect("put back");
    assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);

    row("192.0.2.7", "Canary-somebody''s");
    fails(case.set(&next), Verdict::NeedsPerson, "differing-hosts");
    assert!(case.logs_in(&case.password()));
    case.options.allow_differing_hosts = true;
    case.set(&next).expect("allowed");
    case.test(&next).expect("all");
}

// F51
#[test]
fn a_step_stops_at_its_login_budget() {
    let Some(server) = servers::mysql() else { return };
    let case = Case::new(server);
    let lock = "FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED";
    execute(server, &format!("ALTER USER '{}'@'%' {lock}", case.user));
    support::a_step_stops_at_its_login_budget(case);
}

#[test]
fn an_account_that_sees_its_own_row_only_says_so() {
    both(|case| support::hosts::a_change_of_the_own_row_alone_is_noted(&case));
}

// F126
#[test]
fn nothing_is_proven_without_the_admin_who_is_named() {
    let Some(server) = servers::mysql() else { return };
    support::hosts::nothing_is_proven_without_the_admin(server);
}

// F51
#[test]
fn an_account_that_locks_itself_tells_its_limit_and_a_locked_one_needs_a_person() {
    let Some(server) = servers::mysql() else { return };
    let case = Case::new(server);
    let alter = |what: &str| execute(server, &format!("ALTER USER '{}'@'%' {what}", case.user));
    alter("FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED");
    let wanted = case.create();
    let error = case.set_under(&wanted, &support::Gone).expect_err("stopped at the guard");
    assert_eq!(error.lock_limit, Some(3), "read by the account itself");
    let by_admin = Case::with(server, &case.user, &case.current).by_admin();
    let error = by_admin.test(&wanted).expect_err("refused");
    assert_eq!((error.verdict, error.failed_logins, error.lock_limit), (Verdict::Rejected, 1, Some(3)));

    while !matches!(failure(case.test(&wanted)), (Verdict::NeedsPerson, code) if code == "3955") {}
    fails(case.set(&wanted), Verdict::NeedsPerson, "3955");
    alter("ACCOUNT UNLOCK");
    assert!(case.logs_in(&case.password()), "AWSCURRENT still works");
    alter("ACCOUNT LOCK");
    fails(case.set(&wanted), Verdict::NeedsPerson, "3118");
    fails(by_admin.set(&wanted), Verdict::NeedsPerson, "3118");
    fails(case.prove(), Verdict::NeedsPerson, "3118");
    alter("ACCOUNT UNLOCK");
    case.set(&wanted).expect("unlocked");
}

#[test]
fn a_password_that_has_expired_is_changed_by_the_admin() {
    let Some(server) = servers::mysql() else { return };
    let case = Case::new(server);
    execute(server, &format!("ALTER USER '{}'@'%' PASSWORD EXPIRE", case.user));
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::NeedsPerson, "1862");
    let case = case.by_admin();
    case.set(&wanted).expect("by the admin");
    case.test(&wanted).expect("tested");
}

// F10
#[test]
fn a_policy_that_rejects_a_password_asks_for_another() {
    let Some(server) = servers::own(Engine::Mysql, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let case = Case::new(server);
    execute(server, "INSTALL COMPONENT 'file://component_validate_password'");
    let mut weak = case.create();
    weak["password"] = json!("canary");
    fails(case.set(&weak), Verdict::Rejected, "1819");
    assert!(case.logs_in(&case.password()), "AWSCURRENT still works");
    execute(server, &format!("ALTER USER '{}'@'%' PASSWORD HISTORY 5", case.user));
    let first = case.create();
    case.set(&first).expect("a good one is taken");
    let case = Case::with(server, &case.user, &first);
    let second = case.create();
    case.set(&second).expect("another one");
    let case = Case::with(server, &case.user, &second);
    fails(case.set(&first), Verdict::Rejected, "3638");
}

#[test]
fn a_read_only_server_and_one_with_too_many_connections_are_tried_again() {
    let Some(server) = servers::own(Engine::Mysql, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let case = Case::new(server);
    let wanted = case.create();
    let admin = Case::with(server, &case.user, &case.current).by_admin();
    execute(server, "SET GLOBAL super_read_only = 1");
    fails(case.set(&wanted), Verdict::Retry, "1836");
    fails(admin.set(&wanted), Verdict::Retry, "1836");
    execute(server, "SET GLOBAL super_read_only = 0;\nSET GLOBAL read_only = 0");
    execute(server, &format!("ALTER USER '{}'@'%' WITH MAX_CONNECTIONS_PER_HOUR 1", case.user));
    assert!(logs_in(server, &case.user, &case.password()));
    fails(case.set(&wanted), Verdict::Retry, "1226");
}

#[test]
fn an_account_that_must_use_tls_is_told_from_a_wrong_password_by_the_admin() {
    let Some(server) = servers::mysql() else { return };
    let case = Case::new(server);
    execute(server, &format!("ALTER USER '{}'@'%' REQUIRE SSL", case.user));
    let current = case.current.clone();
    fails(case.test(&current), Verdict::Rejected, "1045");
    let mut case = case.by_admin();
    fails(case.test(&current), Verdict::NeedsPerson, "1045");
    fails(case.prove(), Verdict::NeedsPerson, "1045");
    case.current["ssl"] = json!(true);
    case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
    assert_eq!(case.prove().expect("over TLS"), Proof::CurrentLogsIn);
}

#[test]
fn an_admin_without_the_right_is_told_what_to_grant() {
    let Some(server) = servers::mysql() else { return };
    let weak = Account::create(server);
    let mut case = Case::new(server);
    case.admin = Some(weak.secret(&json!({})));
    let error = case.set(&case.create()).expect_err("may not read the catalogue");
    assert_eq!(error.verdict, Verdict::NeedsPerson);
    assert!(error.remedy.contains("GRANT CREATE USER ON *.* TO"), "{}", error.remedy);
    execute(server, &format!("GRANT SELECT ON mysql.* TO '{}'@'%'", weak.user));
    fails(case.set(&case.create()), Verdict::NeedsPerson, "1227");
    execute(server, &format!("GRANT CREATE USER ON *.* TO '{}'@'%'", weak.user));
    let wanted = case.create();
    case.set(&wanted).expect("what the remedy said is enough");
    case.test(&wanted).expect("tested");
}
