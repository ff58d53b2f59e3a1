//! Two accounts that take turns on MySQL and MariaDB, step by step, on real servers.

mod ending;
mod rights;
mod rows;
mod support;

use std::time::Duration;

use engine::outcome::{Done, Verdict};
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use self::support::{Allows, Does, Two, each, one};
use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::{self as common, Case, Gone, Stalls, fails, failure};

#[test]
fn the_clone_is_made_and_the_two_take_turns_while_awscurrent_always_logs_in() {
    each(|server| {
        let mut two = Two::new(server);
        execute(server, &format!("GRANT SELECT ON app.* TO '{}'@'%'", two.app));
        let mut was_there = false;
        for _ in 0..4 {
            let (current, wanted) = (two.case.current.clone(), two.case.create());
            assert_ne!(wanted["username"], current["username"], "the other of the two");
            assert!([two.app.as_str(), two.clone.as_str()].contains(&support::user(&wanted)));
            two.case.attempted = false;
            let done = two.case.set(&wanted).expect("set");
            assert!(done.retains, "AWSCURRENT goes on working");
            assert_eq!(done.note.contains("rows:"), !was_there, "{}", done.note);
            two.case.attempted = true;
            let again = two.case.set(&wanted).expect("set again");
            assert_eq!((again.retains, again.note.as_str(), again.failed_logins), (true, "", 0));
            two.case.test(&wanted).expect("tested");
            two.case.test(&wanted).expect("tested again");
            assert!(support::works(server, &current) && support::works(server, &wanted), "both log in");
            two.finish(wanted);
            was_there = true;
        }
    });
}

#[test]
fn an_existing_pair_made_by_awss_functions_is_taken_over_as_it_is() {
    each(|server| {
        let two = Two::new(server);
        let admin_like = format!(
            "GRANT SELECT, INSERT ON app.* TO '{app}'@'%';\nCREATE USER '{clone}'@'%' IDENTIFIED BY 'Canary-aws';\n\
             GRANT SELECT ON app.* TO '{clone}'@'%'",
            app = two.app,
            clone = two.clone
        );
        execute(server, &admin_like);
        let wanted = two.case.create();
        let done = two.case.set(&wanted).expect("set");
        assert!(done.note.contains("INSERT ON `app`.*") && !done.note.contains("SELECT"), "{}", done.note);
        two.case.test(&wanted).expect("tested");
        assert!(!logs_in(server, &two.clone, "Canary-aws"), "its old password is over");
        // The secret may hold the clone when Pawl takes over, as it does after every other rotation of AWS's function.
        let mut two = two;
        two.finish(wanted);
        let wanted = two.case.create();
        assert_eq!(support::user(&wanted), two.app, "and not the clone of the clone");
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
    });
}

#[test]
fn two_users_that_are_named_take_turns_and_no_third_one_joins() {
    each(|server| {
        let mut two = Two::new(server);
        let other = unique("blue");
        two.case.options.users = Some([two.app.clone(), other.clone()]);
        let wanted = two.case.create();
        assert_eq!(support::user(&wanted), other);
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
        assert!(logs_in(server, &other, support::password(&wanted)));
        let mut third = wanted.clone();
        third["username"] = json!(two.clone);
        fails(two.case.set(&third), Verdict::NeedsPerson, "other-account");
        two.case.options.users = Some([unique("x"), other]);
        let error = two.case.try_create().expect_err("AWSCURRENT is neither");
        assert_eq!(error.code, "not-of-the-pair");
    });
}

/// An account that only has the name of the second one keeps its password.
#[test]
fn a_stranger_with_the_clones_name_is_not_taken_over_until_somebody_names_both() {
    each(|server| {
        let mut two = Two::new(server);
        execute(server, &format!("GRANT SELECT ON app.* TO '{}'@'%'", two.app));
        execute(server, &format!("CREATE USER '{}'@'%' IDENTIFIED BY 'Canary-stranger'", two.clone));
        let wanted = two.case.create();
        let error = two.case.set(&wanted).expect_err("it may be anybody's");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "stranger"), "{error:?}");
        assert!(error.remedy.contains(&format!("--users {},{}", two.app, two.clone)), "{error:?}");
        assert!(logs_in(server, &two.clone, "Canary-stranger"), "its password is as it was");
        // One that this secret knows a value for is none.
        let mut known = two.case.clone();
        known.known = vec![(
            "AWSPREVIOUS".to_owned(),
            json!({"engine": server.engine, "host": server.host,
            "port": server.port, "username": two.clone, "password": "Canary-stranger"}),
        )];
        known.set(&wanted).expect("it was AWSCURRENT's before");
        execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY 'Canary-stranger'", two.clone));
        execute(server, &format!("REVOKE SELECT ON app.* FROM '{}'@'%'", two.clone));
        fails(two.case.set(&wanted), Verdict::NeedsPerson, "stranger");
        two.case.options.users = Some([two.app.clone(), two.clone.clone()]);
        two.case.set(&wanted).expect("both are named");
        two.case.test(&wanted).expect("tested");
    });
}

/// F62: the other name has to fit as well.
#[test]
fn f62_a_clone_name_that_is_too_long_is_refused_before_anything_is_made_and_two_names_help() {
    for (engine, longest) in [(Engine::Mysql, 32), (Engine::Mariadb, 128)] {
        let Some(server) = servers::shared(engine) else { continue };
        let user = format!("{:x<width$}", unique("u"), width = longest - 5);
        execute(server, &format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'Canary-long'"));
        let account = Account { server, user, password: "Canary-long".to_owned() };
        let mut case = Case::of(&account, &json!({})).by_admin();
        case.options.strategy = Some(Strategy::AlternatingUsers);
        let error = case.try_create().expect_err("too long");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "username-too-long"));
        case.options.users = Some([account.user.clone(), unique("short")]);
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
        // The longest name that has a clone.
        let user = format!("{:x<width$}", unique("u"), width = longest - 6);
        execute(server, &format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'Canary-long'"));
        let account = Account { server, user, password: "Canary-long".to_owned() };
        let mut case = Case::of(&account, &json!({})).by_admin();
        case.options.strategy = Some(Strategy::AlternatingUsers);
        let wanted = case.create();
        assert_eq!(support::user(&wanted).len(), longest);
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
    }
}

#[test]
fn nothing_is_changed_for_a_secret_whose_awscurrent_does_not_log_in() {
    each(|server| {
        let mut two = Two::new(server);
        let right = two.case.current["password"].clone();
        two.case.current["password"] = json!("Canary-guessed");
        let wanted = two.case.create();
        let error = two.case.set(&wanted).expect_err("refused");
        let found = (error.verdict, error.code.as_str(), error.failed_logins);
        assert_eq!(found, (Verdict::NeedsPerson, "current-refused", 1), "{error:?}");
        assert!(support::rows_of(server, &two.clone).is_empty(), "no clone was made");
        two.case.current["password"] = right;
        two.case.login_budget = 0;
        fails(two.case.set(&wanted), Verdict::Retry, "login-budget");
    });
}

// F70
#[test]
fn only_an_admin_of_this_server_that_is_neither_of_the_two_changes_a_pair() {
    each(|server| {
        let mut two = Two::new(server);
        let (wanted, right) = (two.case.create(), two.case.admin.clone());
        two.case.admin = None;
        fails(two.case.set(&wanted), Verdict::NeedsPerson, "no-admin");
        two.case.admin = right.clone();
        for (key, value, code) in [
            ("port", json!(1), "admin-elsewhere"),
            ("username", json!(two.app), "admin-is-account"),
            ("username", json!(two.clone), "admin-is-account"),
            ("password", json!("Canary-not-it"), "admin-refused"),
        ] {
            two.case.admin.as_mut().expect("an admin")[key] = value;
            fails(two.case.set(&wanted), Verdict::NeedsPerson, code);
            two.case.admin = right.clone();
        }
        // The admin's own account named as the second of a pair.
        two.case.options.users = Some([two.app.clone(), server.admin_user.clone()]);
        let theirs = two.case.create();
        fails(two.case.set(&theirs), Verdict::NeedsPerson, "admin-is-account");
        assert!(logs_in(server, &server.admin_user, &server.admin_password));
    });
}

/// An account of somebody else that is named as the second of a pair keeps its password.
#[test]
fn an_account_that_may_do_more_is_not_taken_for_the_second_of_a_pair() {
    each(|server| {
        let mut two = Two::new(server);
        let strong = Account::create(server);
        execute(server, &format!("GRANT ALL PRIVILEGES ON app.* TO '{}'@'%'", strong.user));
        two.case.options.users = Some([two.app.clone(), strong.user.clone()]);
        fails(two.case.set(&two.case.create()), Verdict::NeedsPerson, "rights-differ");
        assert!(strong.logs_in(&strong.password), "its password is as it was");
    });
}

#[test]
fn wherever_set_stops_awscurrent_logs_in_and_the_next_set_finishes() {
    each(|server| {
        let two = Two::new(server);
        execute(server, &support::rich(&two.app, server));
        let mut stopped = 0;
        loop {
            let mut fresh = two.like_new(server);
            let wanted = fresh.case.create();
            fresh.case.attempted = stopped > 0;
            let outcome = fresh.case.set_under(&wanted, &Allows::calls(stopped));
            assert!(support::works(server, &fresh.case.current), "AWSCURRENT logs in after {stopped} statements");
            assert!(!support::lets_in_without_password(server, &fresh.clone), "after {stopped} statements");
            if outcome.is_ok() {
                break;
            }
            // Whatever comes after the first accepted statement did not change nothing.
            fails(outcome, if stopped == 0 { Verdict::Retry } else { Verdict::Unknown }, "lease");
            fresh.case.attempted = true;
            fresh.case.set(&wanted).expect("the rest");
            fresh.case.test(&wanted).expect("as if it had not stopped");
            assert_eq!(support::shown(server, &fresh.app), support::shown(server, &fresh.clone));
            stopped += 1;
        }
        assert!(stopped > 3, "only {stopped} statements");
    });
}

#[test]
fn a_clone_that_is_dropped_meanwhile_is_not_made_again_by_a_grant_without_a_password() {
    each(|server| {
        let two = Two::new(server);
        execute(server, &format!("GRANT SELECT ON app.* TO '{}'@'%'", two.app));
        let wanted = two.case.create();
        // Asked before CREATE USER and before GRANT.
        let drops = Does::at(2, || execute(server, &format!("DROP USER '{}'@'%'", two.clone)));
        fails(two.case.set_under(&wanted, &drops), Verdict::Unknown, "dropped");
        assert!(support::rows_of(server, &two.clone).is_empty(), "no account was made by granting");
        two.case.set(&wanted).expect("made again");
        two.case.test(&wanted).expect("tested");
    });
}

#[test]
fn a_lost_reply_is_unknown_and_the_next_set_finds_out() {
    each(|server| {
        // The first loss is that of CREATE USER.
        common::a_lost_reply_is_unknown(Two::new(server).case);
    });
}

#[test]
fn the_statement_of_a_stalled_process_does_not_land() {
    each(|server| {
        let mut two = Two::new(server);
        let first = two.case.create();
        let late = two.case.set_under(&first, &Stalls(Duration::from_millis(4500)));
        assert!(matches!(failure(late).0, Verdict::Retry | Verdict::Unknown));
        assert!(support::rows_of(server, &two.clone).is_empty(), "no clone was made late");
        two.case.set(&first).expect("the next one finds the way free");
        two.finish(first);
        let (before, wanted) = (two.retired(), two.case.create());
        let late = two.case.set_under(&wanted, &Stalls(Duration::from_millis(4500)));
        assert!(matches!(failure(late).0, Verdict::Retry | Verdict::Unknown));
        assert!(support::works(server, &before), "its password is as it was");
        fails(two.case.set_under(&wanted, &Gone), Verdict::Retry, "lease");
        two.case.set(&wanted).expect("the next one finds the way free");
        assert_eq!(two.case.test(&wanted).expect("tested"), Done::default());
    });
}

// F17
#[test]
fn two_rotations_of_one_pair_do_not_work_at_the_same_time() {
    each(|server| {
        let two = Two::new(server);
        let wanted = two.case.create();
        one(
            &two.case,
            |case| drop(case.set(&wanted)),
            || {
                fails(two.case.set(&wanted), Verdict::Retry, "lock");
            },
        );
        two.case.set(&wanted).expect("the way is free");
    });
}

#[test]
fn no_clear_password_of_either_account_is_in_the_servers_log() {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let flags = ["--general-log=1", "--general-log-file=general.log"];
        let Some(server) = servers::own(engine, &flags) else { continue };
        let server: &'static Server = Box::leak(Box::new(server));
        let mut two = Two::new(server);
        execute(server, "SET GLOBAL general_log = 0;\nSET GLOBAL general_log = 1");
        let log = || std::fs::read(server.dir.join("data/general.log")).expect("the log");
        let before = log().len();
        for _ in 0..2 {
            let wanted = two.case.create();
            two.case.set(&wanted).expect("set");
            two.case.test(&wanted).expect("tested");
            two.finish(wanted);
            two.case.retire().expect("retired");
        }
        let said = String::from_utf8_lossy(&log().split_off(before)).into_owned();
        assert!(said.contains("CREATE USER") && said.contains("ALTER USER"), "the log is on: {said}");
        assert!(!said.contains("Canary"), "a clear password: {said}");
    }
}

#[test]
fn a_policy_that_takes_clear_text_only_is_met_when_the_clone_is_made_and_when_it_is_ended() {
    let flags = ["--plugin-load-add=simple_password_check"];
    let Some(server) = servers::own(Engine::Mariadb, &flags) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let account = Account { server, user: unique("u"), password: "Canary-first-1.".to_owned() };
    execute(server, &format!("CREATE USER '{}'@'%' IDENTIFIED BY '{}'", account.user, account.password));
    let mut two = Two::of(&account);
    let mut weak = two.case.create();
    weak["password"] = json!("canary-lower");
    fails(two.case.set(&weak), Verdict::Rejected, "1819");
    assert!(support::rows_of(server, &two.clone).is_empty());
    let wanted = two.case.create();
    two.case.set(&wanted).expect("a good one is taken");
    two.case.test(&wanted).expect("tested");
    two.finish(wanted);
    two.case.retire().expect("retired");
    assert!(!support::works(server, &two.retired()));
}

#[test]
fn a_pair_with_awkward_names_works() {
    each(|server| {
        for name in ["quo'te\"", "back\\slash\\", "tick`tick``", "im@sign", "имя", "$ %_"] {
            let user = format!("{name}{}", unique(""));
            let literal = format!("'{}'", user.replace('\\', "\\\\").replace('\'', "''"));
            let schema = format!("`{}\\_%`", user.replace('`', "``"));
            execute(
                server,
                &format!(
                    "CREATE USER {literal}@'%' IDENTIFIED BY 'Canary-odd';\nGRANT SELECT ON {schema}.* TO {literal}@'%'"
                ),
            );
            let account = Account { server, user, password: "Canary-odd".to_owned() };
            let mut case = Case::of(&account, &json!({})).by_admin();
            case.options.strategy = Some(Strategy::AlternatingUsers);
            case.options.users = Some([account.user.clone(), format!("2{}", account.user)]);
            let wanted = case.create();
            let done = case.set(&wanted).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert!(done.note.contains("SELECT ON"), "{}", done.note);
            case.test(&wanted).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert!(support::works(server, &wanted));
        }
    });
}
