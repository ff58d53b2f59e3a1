//! PgBouncer between Pawl and PostgreSQL: what works through it, and what is found out before it does harm.

use std::io::Write as _;
use std::time::Duration;

use engine::check::Level;
use engine::outcome::{Proof, Verdict};
use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret, execute, logs_in};
use crate::harness::pawl::Home;
use crate::harness::{servers, unique};
use crate::rotator_support::{self as support, Case, fails};

/// A pooler before the shared server, with these lines in its settings.
fn pooler(lines: &[&str]) -> Option<(&'static Server, &'static Server)> {
    let server = servers::postgres()?;
    let pooler = servers::own_with(server, Engine::Pgbouncer, lines)?;
    // Kept until the process ends, which ends the server.
    Some((Box::leak(Box::new(pooler)), server))
}

/// An account that is reached through the pooler.
fn case(pooler: &'static Server, server: &'static Server) -> Case {
    let account = Account::create(server);
    Case::of(&Account { server: pooler, ..account }, &json!({}))
}

/// In each way of pooling that has transactions, by the account itself and by the admin.
fn every_way(check: impl Fn(Case)) {
    for mode in ["pool_mode = transaction", "pool_mode = session"] {
        let Some((pooler, server)) = pooler(&[mode]) else { return };
        check(case(pooler, server));
        check(case(pooler, server).by_admin());
    }
}

fn password(value: &Value) -> String {
    value["password"].as_str().expect("a password").to_owned()
}

/// The findings about poolers, by level and code.
fn poolers(case: &Case) -> Vec<(Level, String)> {
    let found = case.check().expect("a report").findings.into_iter().filter(|it| it.code.starts_with("pooler"));
    found.map(|it| (it.level, it.code)).collect()
}

/// Writes what `auth_file` lists besides the pooler's own login, and has it read.
fn list(pooler: &Server, line: &str) {
    let users = pooler.dir.join("data/users.txt");
    let mut users = std::fs::OpenOptions::new().append(true).open(users).expect("the list");
    writeln!(users, "{line}").expect("written");
    pooler.restart().expect("started again");
}

// F67
#[test]
fn an_account_rotates_through_a_pooler_with_each_step_twice() {
    every_way(support::rotates_with_each_step_twice);
}

// F67
#[test]
fn through_a_pooler_set_is_right_again_after_a_crash_and_giving_up_restores_awscurrent() {
    every_way(|case| {
        support::sets_again_after_a_crash(case.clone());
        let mut case = Case::of(&Account { server: case.server, ..Account::create(case.server) }, &json!({}));
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        assert!(matches!(case.prove().expect("another value logs in"), Proof::CanRestore { .. }));
        case.attempted = true;
        case.restore().expect("restored");
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        let error = case.test(&wanted).expect_err("refused by the pooler");
        assert_eq!((error.verdict, error.code.as_str(), error.failed_logins), (Verdict::Rejected, "28P01", 1));
    });
}

#[test]
fn the_statement_of_a_stalled_process_does_not_land_through_a_pooler() {
    every_way(|case| support::a_late_statement_does_not_land(&case));
}

// F67
#[test]
fn a_whole_rotation_goes_through_a_pooler() {
    let Some((pooler, server)) = pooler(&[]) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let admin = unique("admin-of-pooler-");
    pawl.create(&admin, &admin_secret(pooler, &json!({})));
    for extra in [json!({}), json!({"masterarn": admin})] {
        let account = Account { server: pooler, ..Account::create(server) };
        let name = pawl.create_for(&account, &extra);
        for _ in 0..2 {
            let output = pawl.run(&["rotation", "now", &name, "--wait"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let now = pawl.current_password(&name);
        for way in [pooler, server] {
            assert!(logs_in(way, &account.user, &now), "the new password by {way:?}");
            assert!(!logs_in(way, &account.user, &account.password), "the old one by {way:?}");
        }
    }
}

// F67
#[test]
fn a_pooler_with_a_list_of_passwords_is_found_out_before_anything_is_changed() {
    let Some((pooler, server)) = pooler(&[]) else { return };
    for by_admin in [false, true] {
        let case = case(pooler, server);
        assert_eq!(poolers(&case), [(Level::Warning, "pooler".to_owned())], "which list it has cannot be told");
        list(pooler, &format!("\"{}\" \"{}\"", case.user, case.password()));
        assert_eq!(poolers(&case), [(Level::Problem, "pooler-userlist".to_owned())]);
        assert_eq!(poolers(&Case::new(server)), [], "the server itself is none");
        let case = if by_admin { case.by_admin() } else { case };
        let error = case.set(&case.create()).expect_err("the list would refuse the new one");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "pooler-userlist"), "{error:?}");
        assert!(error.remedy.contains("auth_query"), "{error:?}");
        assert!(logs_in(server, &case.user, &case.password()), "nothing was changed");
    }
}

/// The verifier that the server has now.
fn verifier(server: &Server, user: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host(&server.host).port(server.port).dbname("app");
        config.user(&server.admin_user).password(&server.admin_password);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("the admin logs in");
        let ask = async {
            let row = client.query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&user]).await;
            row.expect("a role").get(0)
        };
        tokio::select! {
            verifier = ask => verifier,
            _ = connection => panic!("the connection ended"),
        }
    })
}

// F67
#[test]
fn a_list_of_verifiers_refuses_the_new_password_and_proves_nothing_about_the_old_one() {
    let Some((pooler, server)) = pooler(&[]) else { return };
    let mut case = case(pooler, server);
    list(pooler, &format!("\"{}\" \"{}\"", case.user, verifier(server, &case.user)));
    // A connection to the server that stays open, as those of services do.
    assert!(logs_in(pooler, &case.user, &case.password()));
    let wanted = case.create();
    case.set(&wanted).expect("looks like auth_query");
    fails(case.test(&wanted), Verdict::Rejected, "28P01");
    case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
    case.attempted = true;
    let error = case.prove().expect_err("the pooler lets AWSCURRENT in, the server does not");
    assert_eq!(error.verdict, Verdict::Retry, "the candidate is not forgotten: {error:?}");
    assert!(logs_in(server, &case.user, &password(&wanted)) && !logs_in(server, &case.user, &case.password()));
    // What its remedy says: let it ask the server.
    let users = pooler.dir.join("data/users.txt");
    let text = std::fs::read_to_string(&users).expect("the list");
    std::fs::write(&users, text.lines().next().expect("the pooler's own login")).expect("written");
    pooler.restart().expect("started again");
    assert!(matches!(case.prove().expect("the candidate logs in"), Proof::CanRestore { .. }));
    case.restore().expect("put back");
    assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
    assert!(logs_in(server, &case.user, &case.password()));
}

#[test]
fn a_pooler_that_pools_statements_or_has_lost_its_server_is_tried_again() {
    let Some((pooling, server)) = pooler(&["pool_mode = statement"]) else { return };
    let case_of = case(pooling, server);
    assert_eq!(poolers(&case_of), [(Level::Problem, "pooler".to_owned())]);
    let error = case_of.set(&case_of.create()).expect_err("no transactions");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "08P01"), "{error:?}");
    assert!(error.remedy.contains("pool_mode"), "{error:?}");
    assert!(logs_in(server, &case_of.user, &case_of.password()), "nothing was changed");

    // A server that is away is no wrong password, though PgBouncer has one code for both.
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let Some(before) = servers::own_with(server, Engine::Pgbouncer, &["server_connect_timeout = 1"]) else { return };
    let before: &'static Server = Box::leak(Box::new(before));
    for case in [case(before, server), case(before, server).by_admin()] {
        let wanted = case.create();
        server.stop().expect("stopped");
        let error = case.set(&wanted).expect_err("away");
        assert_eq!((error.verdict, error.failed_logins), (Verdict::Retry, 0), "{error:?}");
        let error = case.prove().expect_err("away");
        assert_eq!((error.verdict, error.failed_logins), (Verdict::Retry, 0), "{error:?}");
        server.restart().expect("back");
        before.restart().expect("without its memory of the failure");
        let case = Case { deadline: Duration::from_secs(12), ..case };
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
    }
}

#[test]
fn a_pooler_that_ends_tls_needs_the_secrets_word() {
    let Some((pooler, server)) = pooler(&[]) else { return };
    let mut case = case(pooler, server);
    case.target_ca = Some(std::fs::read(&pooler.ca).expect("the CA"));
    case.current["ssl"] = json!(true);
    let error = case.set(&case.create()).expect_err("not bound");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "channel-binding"), "{error:?}");
    assert!(error.remedy.contains("channel_binding"), "{error:?}");
    case.current["channel_binding"] = json!("prefer");
    let wanted = case.create();
    case.set(&wanted).expect("set over TLS");
    case.test(&wanted).expect("tested over TLS");
    // The certificate is verified all the same.
    case.target_ca = None;
    fails(case.test(&wanted), Verdict::NeedsPerson, "tls-certificate");
    execute(server, &format!("DROP ROLE {}", case.user));
}
