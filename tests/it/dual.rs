//! Two passwords for one account: what logs in after every step, however often it runs and whatever else was done to
//! the account. Each check runs on MySQL and on MariaDB, by the account itself and by an admin.

mod limits;
mod mariadb;
mod mysql;
mod world;

use engine::outcome::{Proof, Verdict};
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::execute;
use crate::harness::{servers, unique};
use crate::rotator_support::{self as support, Case, fails, moves_on};

/// Who changes the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The account, which MySQL does not show its own hashes.
    Itself,
    /// The account, which may read the catalogue.
    ItselfSeeing,
    Admin,
}

/// A new account that is to have two passwords, and may.
pub(super) fn case(server: &'static Server, by: By) -> Case {
    let mut case = Case::new(server);
    case.options.strategy = Some(Strategy::DualPassword);
    if by == By::Admin {
        return case.by_admin();
    }
    may_have_two(&case);
    if by == By::ItselfSeeing {
        execute(server, &format!("GRANT SELECT ON mysql.* TO '{}'@'%'", case.user));
    }
    case
}

pub(super) fn may_have_two(case: &Case) {
    let privilege = if case.server.engine == "mysql" { "APPLICATION_PASSWORD_ADMIN" } else { "CREATE USER" };
    execute(case.server, &format!("GRANT {privilege} ON *.* TO '{}'@'%'", case.user));
}

/// Runs a check on both servers, by everybody.
pub(super) fn all(check: impl Fn(Case)) {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = servers::shared(engine) else { continue };
        for by in [By::Itself, By::ItselfSeeing, By::Admin] {
            check(case(server, by));
        }
    }
}

pub(super) fn password(value: &Value) -> String {
    value["password"].as_str().expect("a password").to_owned()
}

/// A value with this password.
pub(super) fn value(case: &Case, password: &str) -> Value {
    let mut value = case.current.clone();
    value["password"] = json!(password);
    value
}

/// Gives the account these two by hand: on MySQL `first` is its first password.
pub(super) fn give(case: &Case, first: &str, second: &str) {
    let account = format!("'{}'@'%'", case.user);
    execute(
        case.server,
        &if case.server.engine == "mysql" {
            format!(
                "ALTER USER {account} IDENTIFIED BY '{second}';\nALTER USER {account} DISCARD OLD PASSWORD;\n\
                 ALTER USER {account} IDENTIFIED BY '{first}' RETAIN CURRENT PASSWORD"
            )
        } else {
            let native = |password: &str| format!("mysql_native_password USING PASSWORD('{password}')");
            format!("ALTER USER {account} IDENTIFIED VIA {} OR {}", native(first), native(second))
        },
    );
}

/// Which of these log in.
#[track_caller]
pub(super) fn log_in(case: &Case, passwords: &[(&str, bool)]) {
    let found: Vec<(&str, bool)> = passwords.iter().map(|(password, _)| (*password, case.logs_in(password))).collect();
    assert_eq!(found, passwords);
}

#[test]
fn the_old_password_logs_in_until_it_is_retired_and_each_step_may_run_twice() {
    // F105
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        let new = password(&wanted);
        let done = case.set(&wanted).expect("set");
        assert!(done.retains && done.failed_logins == 0, "{done:?}");
        log_in(&case, &[(&old, true), (&new, true)]);
        case.attempted = true;
        for _ in 0..2 {
            let done = case.set(&wanted).expect("set again");
            assert!(done.retains && done.failed_logins == 0, "{done:?}");
            log_in(&case, &[(&old, true), (&new, true)]);
            case.test(&wanted).expect("tested");
        }
        moves_on(&mut case, wanted.clone());
        for _ in 0..2 {
            assert_eq!(case.retire().expect("retired").failed_logins, 0);
            log_in(&case, &[(&old, false), (&new, true)]);
        }
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
    });
}

#[test]
fn two_passwords_are_the_default_where_the_account_may_have_them() {
    all(|mut case| {
        case.options.strategy = None;
        assert!(case.set(&case.create()).expect("set").retains);
        assert!(case.logs_in(&case.password()));
    });
}

#[test]
fn a_second_candidate_takes_the_first_ones_place_and_awscurrent_stays() {
    all(|mut case| {
        let (old, first, second) = (case.password(), case.create(), case.create());
        case.set(&first).expect("set");
        case.known = vec![("candidate 1".to_owned(), first.clone())];
        for attempted in [false, true] {
            case.attempted = attempted;
            assert!(case.set(&second).expect("set").retains);
            log_in(&case, &[(&old, true), (&password(&first), false), (&password(&second), true)]);
        }
        case.test(&second).expect("tested");
        moves_on(&mut case, second.clone());
        case.retire().expect("retired");
        log_in(&case, &[(&old, false), (&password(&second), true)]);
    });
}

#[test]
fn a_rollback_in_the_grace_changes_which_of_the_two_stays() {
    all(|mut case| {
        let (old, wanted) = (case.current.clone(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        // The old value logs in before anything is done, so that its login proves nothing.
        for attempted in [false, true, true] {
            case.attempted = attempted;
            let done = case.set(&old).expect("set");
            assert!(done.retains && done.failed_logins == 0, "{done:?}");
            log_in(&case, &[(&password(&old), true), (&password(&wanted), true)]);
            case.test(&old).expect("tested");
        }
        moves_on(&mut case, old.clone());
        case.retire().expect("retired");
        log_in(&case, &[(&password(&old), true), (&password(&wanted), false)]);
    });
}

#[test]
fn a_rollback_whose_first_set_was_lost_is_set_again() {
    all(|mut case| {
        let (old, wanted) = (case.current.clone(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        case.attempted = true;
        assert!(case.set(&old).expect("set").retains);
        moves_on(&mut case, old.clone());
        case.retire().expect("retired");
        log_in(&case, &[(&password(&old), true), (&password(&wanted), false)]);
    });
}

#[test]
fn giving_up_ends_the_candidate_and_leaves_awscurrent() {
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        case.set(&wanted).expect("set");
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        case.attempted = true;
        assert_eq!(case.prove().expect("asked"), Proof::CanRestore { held: Some("AWSPENDING".to_owned()) });
        for _ in 0..2 {
            case.restore().expect("put back");
            log_in(&case, &[(&old, true), (&password(&wanted), false)]);
        }
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        let next = case.create();
        case.known.clear();
        case.attempted = false;
        assert!(case.set(&next).expect("the next rotation").retains);
        log_in(&case, &[(&old, true), (&password(&next), true)]);
    });
}

#[test]
fn giving_up_in_a_grace_leaves_the_password_that_is_in_it() {
    all(|mut case| {
        let (old, wanted) = (case.current.clone(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        let never_sent = case.create();
        case.known.insert(0, ("AWSPENDING".to_owned(), never_sent));
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        case.restore().expect("nothing to put back");
        log_in(&case, &[(&password(&old), true), (&password(&wanted), true)]);
        // A rollback that was given up before anything was sent.
        case.in_grace = true;
        case.known = vec![("AWSPENDING".to_owned(), old.clone()), ("AWSPREVIOUS".to_owned(), old.clone())];
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        case.restore().expect("nothing to put back");
        log_in(&case, &[(&password(&old), true), (&password(&wanted), true)]);
    });
}

#[test]
fn giving_up_a_rollback_into_a_grace_leaves_the_grace_as_it_was() {
    all(|mut case| {
        let (old, wanted) = (case.current.clone(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        case.set(&old).expect("rolled back");
        case.known = vec![("AWSPENDING".to_owned(), old.clone()), ("AWSPREVIOUS".to_owned(), old.clone())];
        case.attempted = true;
        case.in_grace = true;
        for _ in 0..2 {
            case.restore().expect("put back");
            log_in(&case, &[(&password(&old), true), (&password(&wanted), true)]);
        }
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        case.known = vec![("AWSPREVIOUS".to_owned(), old.clone())];
        case.retire().expect("retired");
        log_in(&case, &[(&password(&old), false), (&password(&wanted), true)]);
    });
}

#[test]
fn giving_up_a_rollback_after_the_grace_ends_what_it_carried() {
    all(|mut case| {
        let (old, wanted) = (case.current.clone(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        case.retire().expect("retired");
        assert!(case.set(&old).expect("rolled back").retains);
        case.known = vec![("AWSPENDING".to_owned(), old.clone()), ("AWSPREVIOUS".to_owned(), old.clone())];
        case.attempted = true;
        assert!(matches!(case.prove().expect("asked"), Proof::CanRestore { .. }));
        case.restore().expect("put back");
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        log_in(&case, &[(&password(&old), false), (&password(&wanted), true)]);
    });
}

#[test]
fn a_lost_reply_is_unknown_and_the_next_set_keeps_both() {
    all(support::a_lost_reply_is_unknown);
}

#[test]
fn the_statement_of_a_stalled_process_does_not_land() {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = servers::shared(engine) else { continue };
        support::a_late_statement_does_not_land(&case(server, By::Itself));
    }
}

#[test]
fn a_lost_lease_ends_no_password() {
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        fails(case.retire_under(&support::Gone), Verdict::Retry, "lease");
        log_in(&case, &[(&old, true), (&password(&wanted), true)]);
    });
}

#[test]
fn one_password_that_was_asked_for_ends_what_an_earlier_rotation_left() {
    all(|mut case| {
        let (old, left, wanted) = (case.password(), unique("Canary-left-"), case.create());
        give(&case, &old, &left);
        case.options.strategy = Some(Strategy::SingleUser);
        case.known = vec![("AWSPREVIOUS".to_owned(), value(&case, &left))];
        let done = case.set(&wanted).expect("set");
        assert!(!done.retains, "{done:?}");
        log_in(&case, &[(&old, false), (&left, false), (&password(&wanted), true)]);
    });
}
