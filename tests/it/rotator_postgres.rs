//! The PostgreSQL rotator, step by step, on a real server.

use std::sync::OnceLock;

use engine::outcome::{Proof, Verdict};
use pawl::servers::{Engine, Server};
use serde_json::json;

use crate::harness::account::{Account, admin_secret, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::{self as support, Case, fails};

/// A server whose log shows every statement, and whose settings tests may change.
fn logging() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| servers::own(Engine::Postgres, &["-c", "log_statement=all"])).as_ref()
}

/// Runs a check for the account itself and for the admin.
fn both(check: impl Fn(Case)) {
    let Some(server) = servers::postgres() else { return };
    check(Case::new(server));
    check(Case::new(server).by_admin());
}

#[test]
fn an_account_rotates_with_each_step_twice() {
    both(support::rotates_with_each_step_twice);
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
    let Some(server) = servers::postgres() else { return };
    support::an_unknown_password_needs_the_admin(Case::new(server), "28P01");
}

#[test]
fn the_statement_of_a_stalled_process_does_not_land() {
    both(|case| support::a_late_statement_does_not_land(&case));
}

#[test]
fn tls_is_verified_with_channel_binding() {
    let Some(server) = servers::postgres() else { return };
    support::tls_is_verified(Case::new(server));
}

// F123
#[test]
fn a_rotation_touches_no_other_account_and_no_other_server() {
    let Some(server) = servers::postgres() else { return };
    support::other_accounts_are_left_alone(Case::new(server));
}

// F92
#[test]
fn a_server_that_is_not_there_is_tried_again() {
    both(support::absent_targets_are_tried_again);
}

// F69
#[test]
fn accounts_of_one_server_rotate_at_once() {
    let Some(server) = servers::postgres() else { return };
    support::many_accounts_rotate_at_once(server, false);
    support::many_accounts_rotate_at_once(server, true);
}

#[test]
fn the_clear_password_is_in_no_statement_of_the_servers_log() {
    let Some(server) = logging() else { return };
    for by_admin in [false, true] {
        let case = Case::new(server);
        let case = if by_admin { case.by_admin() } else { case };
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
        let log = std::fs::read_to_string(&server.log).expect("the log");
        let new = wanted["password"].as_str().expect("a password");
        assert!(log.contains(&format!("ALTER ROLE \"{}\" PASSWORD 'SCRAM-SHA-256$4096:", case.user)), "the verifier");
        assert!(!log.contains(new), "the clear password");
    }
}

// F85, F87, F90
#[test]
fn any_name_and_any_password_work() {
    let Some(server) = servers::postgres() else { return };
    support::any_name_works(server, 63);
    for name in ["current_user", "имя пользователя 🦀"] {
        support::rotates_under_this_name(server, name, &[unique("Canary-a"), unique("Canary-b"), unique("Canary-c")]);
    }
}

// F72
#[test]
fn an_md5_account_stays_md5_unless_scram_is_allowed() {
    let Some(server) = logging() else { return };
    // Without the md5 method of pg_hba.conf such an account cannot log in at all.
    let hba = server.dir.join("data/pg_hba.conf");
    let lines = std::fs::read_to_string(&hba).expect("pg_hba.conf");
    std::fs::write(&hba, lines.replace("scram-sha-256", "md5")).expect("written");
    execute(server, "SELECT pg_reload_conf()");
    let limited = unique("limited");
    execute(server, &format!("CREATE ROLE {limited} LOGIN CREATEROLE PASSWORD 'Canary-limited'"));
    let mut no_superuser = admin_secret(server, &json!({}));
    no_superuser["username"] = json!(limited);
    no_superuser["password"] = json!("Canary-limited");

    for admin in [None, Some(admin_secret(server, &json!({}))), Some(no_superuser)] {
        for ssl in [false, true] {
            let (user, password) = (unique("md"), unique("Canary-md5-"));
            let create = format!("SET password_encryption = 'md5'; CREATE ROLE {user} LOGIN PASSWORD '{password}'");
            execute(server, &create);
            let account = Account { server, user, password };
            let mut case = Case::of(&account, &json!({"ssl": ssl}));
            case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
            case.admin.clone_from(&admin);
            let wanted = case.create();
            fails(case.set(&wanted), Verdict::NeedsPerson, "md5");
            assert!(case.logs_in(&case.password()), "nothing was changed");
            case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
            assert_eq!(case.prove().expect("giving up is possible"), Proof::CurrentLogsIn);
            fails(case.test(&wanted), Verdict::Rejected, "28P01");
            case.options.allow_md5_upgrade = true;
            case.set(&wanted).expect("allowed");
            case.options.allow_md5_upgrade = false;
            case.test(&wanted).expect("tested");
        }
    }
}

// F92
#[test]
fn a_role_that_may_not_log_in_is_told_from_a_wrong_password() {
    let Some(server) = servers::postgres() else { return };
    let cases = [("VALID UNTIL '2001-01-01'", "expired", "28P01"), ("NOLOGIN", "nologin", "28000")];
    for (change, by_admin, by_itself) in cases {
        let mut case = Case::new(server);
        execute(server, &format!("ALTER ROLE {} {change}", case.user));
        let wanted = case.create();
        fails(case.set(&wanted), Verdict::NeedsPerson, by_itself);
        case = case.by_admin();
        fails(case.set(&wanted), Verdict::NeedsPerson, by_admin);
        fails(case.prove(), Verdict::NeedsPerson, if change == "NOLOGIN" { "28000" } else { by_admin });
    }
    let case = Case::new(server).by_admin();
    let current = case.current.clone();
    execute(server, &format!("DROP ROLE {}", case.user));
    fails(case.set(&current), Verdict::NeedsPerson, "42704");
    fails(case.test(&current), Verdict::NeedsPerson, "42704");
    fails(case.prove(), Verdict::NeedsPerson, "42704");
}

#[test]
fn an_admin_without_the_right_is_told_what_to_grant() {
    let Some(server) = servers::postgres() else { return };
    let weak = Account::create(server);
    let mut case = Case::new(server);
    case.admin = Some(weak.secret(&json!({})));
    let error = case.set(&case.create()).expect_err("not allowed");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "42501"));
    assert!(error.remedy.contains("CREATEROLE"), "{}", error.remedy);
    assert!(case.logs_in(&case.password()));
}

// F79
#[test]
fn too_many_connections_and_a_missing_database_are_two_answers() {
    let Some(server) = servers::postgres() else { return };
    let mut case = Case::new(server);
    execute(server, &format!("ALTER ROLE {} CONNECTION LIMIT 0", case.user));
    fails(case.set(&case.create()), Verdict::Retry, "53300");
    execute(server, &format!("ALTER ROLE {} CONNECTION LIMIT -1", case.user));
    case.current["dbname"] = json!("nowhere");
    fails(case.set(&case.create()), Verdict::NeedsPerson, "3D000");
}

// F93
#[test]
fn a_login_that_any_password_passes_proves_nothing() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let hba = server.dir.join("data/pg_hba.conf");
    let lines = std::fs::read_to_string(&hba).expect("pg_hba.conf");
    let case = Case::new(server);
    std::fs::write(&hba, format!("host all {} 127.0.0.1/32 trust\n{lines}", case.user)).expect("written");
    execute(server, "SELECT pg_reload_conf()");
    let wanted = case.create();
    for ssl in [false, true] {
        let mut case = Case::with(server, &case.user, &case.current);
        case.current["ssl"] = json!(ssl);
        case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
        let mut wanted = wanted.clone();
        wanted["ssl"] = json!(ssl);
        fails(case.set(&wanted), Verdict::NeedsPerson, "no-password-asked");
        fails(case.test(&wanted), Verdict::NeedsPerson, "no-password-asked");
        fails(case.prove(), Verdict::NeedsPerson, "no-password-asked");
    }
    // And where the server lets nobody in, that is another answer again.
    std::fs::write(&hba, format!("host all {} 127.0.0.1/32 reject\n{lines}", case.user)).expect("written");
    execute(server, "SELECT pg_reload_conf()");
    fails(case.set(&wanted), Verdict::NeedsPerson, "28000");
}

// F65
#[test]
fn a_standby_is_waited_for_and_not_changed() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let case = Case::new(server);
    execute(server, "CHECKPOINT");
    server.stop().expect("stopped");
    std::fs::write(server.dir.join("data/standby.signal"), "").expect("written");
    server.restart().expect("a hot standby");
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::Retry, "25006");
    fails(case.prove(), Verdict::Retry, "25006");
    fails(Case::with(server, &case.user, &case.current).by_admin().set(&wanted), Verdict::Retry, "25006");
}

// F96
#[test]
fn a_server_without_tls_is_not_talked_to_in_plain_text() {
    let Some(server) = servers::own(Engine::Postgres, &["-c", "ssl=off"]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let mut case = Case::new(server);
    case.current["ssl"] = json!(true);
    case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
    fails(case.set(&case.create()), Verdict::NeedsPerson, "tls-not-offered");
}

// F05, F06
#[test]
fn a_lost_reply_is_unknown_and_the_next_set_finds_out() {
    both(support::a_lost_reply_is_unknown);
}

#[test]
fn a_lock_that_another_session_holds_is_waited_for_and_then_left() {
    let Some(server) = servers::postgres() else { return };
    support::a_lock_is_waited_for_and_then_left(&Case::new(server), "55P03");
    // A lock of PostgreSQL belongs to one database: it is the account's, whatever the admin's secret says.
    let mut case = Case::new(server).by_admin();
    case.admin.as_mut().expect("by admin")["dbname"] = json!("postgres");
    support::a_lock_is_waited_for_and_then_left(&case, "55P03");
}

#[test]
fn an_admin_who_may_not_enter_the_accounts_database_is_told_what_to_grant() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let limited = unique("limited");
    execute(server, &format!("CREATE ROLE {limited} LOGIN CREATEROLE PASSWORD 'Canary-limited'"));
    execute(server, "REVOKE CONNECT ON DATABASE app FROM PUBLIC");
    let mut case = Case::new(server).by_admin();
    let admin = case.admin.as_mut().expect("by admin");
    admin["username"] = json!(limited);
    admin["password"] = json!("Canary-limited");
    let error = case.set(&case.create()).expect_err("the admin stays outside");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "42501"));
    assert!(error.remedy.contains("GRANT CONNECT ON DATABASE"), "{}", error.remedy);
}

// F51
#[test]
fn a_step_stops_at_its_login_budget() {
    let Some(server) = servers::postgres() else { return };
    support::a_step_stops_at_its_login_budget(Case::new(server));
}
