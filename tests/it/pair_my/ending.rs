//! The old account of a pair is ended when its grace is over, and so is a candidate of a rotation that was given up;
//! never the account that is AWSCURRENT's.

use engine::check::Sessions;
use engine::outcome::{Proof, Verdict};
use engine::strategy::Strategy;
use mysql_async::{Conn, OptsBuilder};
use pawl::servers::Server;
use serde_json::{Value, json};

use super::support::{Allows, Two, each, password, shown, user, works};
use crate::harness::account::{Account, execute, logs_in};
use crate::harness::wait_for;
use crate::rotator_support::{Gone, SCRAMBLE, fails};

/// A pair after its first rotation: the clone is AWSCURRENT's.
fn rotated(server: &'static Server) -> Two {
    let mut two = Two::new(server);
    execute(server, &format!("GRANT SELECT ON app.* TO '{}'@'%'", two.app));
    let wanted = two.case.create();
    two.case.set(&wanted).expect("set");
    two.case.test(&wanted).expect("tested");
    two.finish(wanted);
    two
}

/// Somebody logged in with this value.
async fn logged_in(server: &Server, value: &Value) -> Conn {
    let opts = OptsBuilder::default()
        .ip_or_hostname(server.host.clone())
        .tcp_port(server.port)
        .user(Some(user(value)))
        .pass(Some(password(value)))
        .prefer_socket(false);
    Conn::new(opts).await.expect("logs in")
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn retire_ends_the_old_account_alone_and_may_run_twice() {
    each(|server| {
        let two = rotated(server);
        let rights = shown(server, &two.app);
        fails(two.case.retire_under(&Gone), Verdict::Retry, "lease");
        assert!(works(server, &two.retired()), "not without the lease");
        two.case.retire().expect("retired");
        assert!(!works(server, &two.retired()), "the old credential is over");
        assert!(works(server, &two.case.current), "AWSCURRENT is as it was");
        assert!(logs_in(server, &two.app, SCRAMBLE), "a password that nobody keeps");
        two.case.retire().expect("retired again");
        assert!(works(server, &two.case.current));
        assert_eq!(shown(server, &two.app), rights, "its rights stay for its next turn");
        // What somebody has set since is not the credential that is to be ended.
        execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY 'Canary-by-hand'", two.app));
        two.case.retire().expect("retired again");
        assert!(logs_in(server, &two.app, "Canary-by-hand"));
    });
}

#[test]
fn retire_ends_the_old_account_whatever_the_settings_say_by_then() {
    each(|server| {
        let mut two = rotated(server);
        two.case.options.strategy = Some(Strategy::SingleUser);
        two.case.retire().expect("retired");
        assert!(!works(server, &two.retired()) && works(server, &two.case.current));
        let mut two = rotated(server);
        two.case.options.users = Some(["x".to_owned(), "y".to_owned()]);
        two.case.retire().expect("retired");
        assert!(!works(server, &two.retired()) && works(server, &two.case.current));
        // What is elsewhere is a person's business, and nobody may take it for ended.
        two.case.known[0].1["host"] = json!("elsewhere.example");
        fails(two.case.retire(), Verdict::NeedsPerson, "other-account");
    });
}

// F08
#[test]
fn retire_ends_every_row_and_finishes_what_was_interrupted() {
    each(|server| {
        let mut two = Two::new(server);
        let first = two.case.password();
        execute(server, &format!("CREATE USER '{}'@'10.%' IDENTIFIED BY '{first}'", two.app));
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.finish(wanted);
        let interrupted = two.case.retire_under(&Allows::calls(1));
        assert_eq!(interrupted.is_err(), server.engine == "mariadb", "MySQL changes all rows by one statement");
        two.case.retire().expect("the rest");
        assert!(!works(server, &two.retired()));
        // The row of the other host is seen by its hash alone: a lease that is gone would stop a change.
        two.case.retire_under(&Gone).expect("nothing is left to change");
    });
}

#[test]
fn what_works_is_not_ended_while_awscurrent_does_not_log_in() {
    each(|server| {
        let two = rotated(server);
        execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY 'Canary-rival'", two.clone));
        fails(two.case.retire(), Verdict::NeedsPerson, "current-refused");
        assert!(works(server, &two.retired()), "the last credential that works");
    });
}

// F111
#[test]
fn an_old_credential_that_is_still_used_is_held_and_told_until_it_is_not() {
    each(|server| {
        let mut two = rotated(server);
        two.case.hold = true;
        on_a_runtime(async {
            let (one, two_of_them) = (logged_in(server, &two.retired()).await, logged_in(server, &two.retired()).await);
            let (case, retired) = (two.case.clone(), two.retired());
            let (held, seen) = std::thread::scope(|scope| {
                let look = scope.spawn(|| (case.retire(), case.sessions()));
                look.join().expect("no panic")
            });
            let error = held.expect_err("still used");
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::InProgress, "still-used"), "{error:?}");
            assert!(error.message.contains("2 sessions") && error.message.contains("127.0.0.1"), "{}", error.message);
            assert!(error.retry_after.is_some());
            let expected = Sessions { user: two.app.clone(), from: "127.0.0.1".to_owned(), count: 2 };
            assert_eq!(seen.expect("seen"), Some(vec![expected]));
            assert!(std::thread::scope(|scope| scope.spawn(|| works(server, &retired)).join().expect("asked")));
            one.disconnect().await.expect("a goodbye");
            two_of_them.disconnect().await.expect("a goodbye");
        });
        wait_for("the sessions to be gone", std::time::Duration::from_secs(10), || two.case.retire().ok());
        assert!(!works(server, &two.retired()));
    });
}

#[test]
fn a_deadline_ends_what_is_still_used() {
    each(|server| {
        let two = rotated(server);
        on_a_runtime(async {
            let open = logged_in(server, &two.retired()).await;
            std::thread::scope(|scope| {
                scope.spawn(|| two.case.retire().expect("not held")).join().expect("no panic");
            });
            open.disconnect().await.expect("a goodbye");
        });
        assert!(!works(server, &two.retired()));
    });
}

#[test]
fn an_admin_who_may_not_see_sessions_says_so_and_holds() {
    each(|server| {
        let mut two = rotated(server);
        let admin = Account::create(server);
        execute(
            server,
            &format!("GRANT CREATE USER ON *.* TO '{0}'@'%';\nGRANT SELECT ON mysql.* TO '{0}'@'%'", admin.user),
        );
        two.case.admin = Some(admin.secret(&json!({})));
        two.case.hold = true;
        fails(two.case.retire(), Verdict::InProgress, "sessions-unseen");
        let error = two.case.sessions().expect_err("cannot be seen");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "sessions-unseen"));
        let statement = error.remedy.strip_prefix("Run ").and_then(|rest| rest.strip_suffix('.')).expect("a statement");
        execute(server, statement);
        assert_eq!(two.case.sessions().expect("seen"), Some(vec![]));
        two.case.retire().expect("retired");
    });
}

#[test]
fn giving_up_ends_the_candidate_in_the_idle_account_and_nothing_else() {
    each(|server| {
        let mut two = rotated(server);
        let previous = two.retired();
        // Nothing was set yet: AWSPREVIOUS stays what it is.
        let wanted = two.case.create();
        two.case.known = vec![("AWSPENDING".to_owned(), wanted.clone()), ("AWSPREVIOUS".to_owned(), previous.clone())];
        assert_eq!(two.case.prove().expect("proven"), Proof::CurrentLogsIn);
        two.case.restore().expect("nothing to do");
        assert!(works(server, &previous) && works(server, &two.case.current));

        two.case.set(&wanted).expect("set");
        let held = Some("AWSPENDING".to_owned());
        assert_eq!(two.case.prove().expect("the candidate is alive"), Proof::CanRestore { held: held.clone() });
        fails(two.case.restore_under(&Gone), Verdict::Retry, "lease");
        assert_eq!(two.case.prove().expect("it is still alive"), Proof::CanRestore { held });
        two.case.restore().expect("restored");
        assert!(!works(server, &wanted), "the candidate is over");
        assert!(works(server, &two.case.current), "AWSCURRENT is as it was");
        assert_eq!(two.case.prove().expect("proven"), Proof::CurrentLogsIn);
        two.case.restore().expect("restored again");
        assert_eq!(two.case.prove().expect("proven again"), Proof::CurrentLogsIn);
    });
}

#[test]
fn giving_up_a_first_rotation_ends_the_clone_that_was_just_made() {
    each(|server| {
        let mut two = Two::new(server);
        let wanted = two.case.create();
        two.case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        assert_eq!(two.case.prove().expect("there is no clone yet"), Proof::CurrentLogsIn);
        two.case.set(&wanted).expect("set");
        assert!(matches!(two.case.prove().expect("alive"), Proof::CanRestore { .. }));
        two.case.restore().expect("restored");
        assert_eq!(two.case.prove().expect("proven"), Proof::CurrentLogsIn);
        assert!(!works(server, &wanted));
    });
}

#[test]
fn giving_up_sets_awscurrent_again_where_a_rival_changed_it() {
    each(|server| {
        let mut two = rotated(server);
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY 'Canary-rival'", two.clone));
        assert!(matches!(two.case.prove().expect("can"), Proof::CanRestore { .. }));
        two.case.restore().expect("restored");
        assert!(works(server, &two.case.current) && !works(server, &wanted));
        assert_eq!(two.case.prove().expect("proven"), Proof::CurrentLogsIn);
    });
}

#[test]
fn an_account_that_was_ended_takes_its_next_turn() {
    each(|server| {
        let mut two = rotated(server);
        two.case.retire().expect("retired");
        let wanted = two.case.create();
        assert_eq!(user(&wanted), two.app);
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
        assert!(works(server, &wanted) && works(server, &two.case.current));
        two.finish(wanted);
        two.case.retire().expect("retired");
        assert!(!works(server, &two.retired()) && works(server, &two.case.current));
    });
}
