//! Two PostgreSQL accounts that take turns, step by step, on a real server.

use std::sync::OnceLock;
use std::time::Duration;

use engine::outcome::{Done, Proof, Verdict};
use pawl::servers::{Engine, Server};
use serde_json::json;

use crate::harness::account::{Account, admin_secret, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::pair::{
    ask, ask_admin, client, clone_of, database, lossy_ways, owner_of, pair, rotate, shared_pair,
    stopped_at_every_moment, turn, user, value_logs_in,
};
use crate::rotator_support::{self as support, Case, Gone, SCRAMBLE, Stalls, fails, failure};

/// A server whose log shows every statement.
fn logging() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| servers::own(Engine::Postgres, &["-c", "log_statement=all"])).as_ref()
}

/// Runs a check in both shapes.
fn both(check: impl Fn(Case)) {
    let Some(server) = servers::postgres() else { return };
    check(pair(server));
    check(shared_pair(server));
}

#[test]
fn two_accounts_take_turns_and_each_old_one_ends_with_its_grace() {
    both(|mut case| {
        for _ in 0..4 {
            rotate(&mut case);
        }
        let mut ended = case.current.clone();
        ended["username"] = json!(clone_of(&case));
        ended["password"] = json!(SCRAMBLE);
        assert!(value_logs_in(&case, &ended), "the idle one has the password that is kept nowhere");
    });
}

#[test]
fn the_second_account_is_made_with_all_that_the_first_one_has() {
    let Some(server) = servers::postgres() else { return };
    for mut case in [pair(server), shared_pair(server)] {
        let (name, second, group, dbname) = (case.user.clone(), clone_of(&case), unique("grp"), database(server));
        execute(
            server,
            &format!(
                "CREATE ROLE {group}; GRANT {group} TO {name} WITH ADMIN OPTION; \
                 ALTER ROLE {name} CREATEDB BYPASSRLS CONNECTION LIMIT 7 VALID UNTIL '2099-01-02 03:04:05+00'; \
                 ALTER ROLE {name} SET search_path = \"$user\", public, \"od\"\"d, name\"; \
                 ALTER ROLE {name} SET work_mem = '5MB'; \
                 ALTER ROLE {name} IN DATABASE {dbname} SET \"my.own\" = 'it''s, \\ mine'"
            ),
        );
        turn(&mut case);
        let of = |role: &str, columns: &str| {
            ask_admin(server, "app", &format!("SELECT ROW({columns}) FROM pg_roles r WHERE rolname = '{role}'"))
        };
        let columns = "rolsuper, rolinherit, rolcreatedb, rolcreaterole, rolcanlogin, rolreplication, rolbypassrls, \
                       rolconnlimit, rolvaliduntil, (SELECT array_agg(setconfig::text || setdatabase ORDER BY 1) \
                       FROM pg_db_role_setting WHERE setrole = r.oid)";
        assert_eq!(of(&second, columns), of(&name, columns));
        let group_of =
            |role: &str| ask_admin(server, "app", &format!("SELECT pg_has_role('{role}', '{group}', 'MEMBER')"));
        assert_eq!(group_of(&second), ["t"]);
        let path = ask(&case, &case.current, "app", "SHOW search_path").expect("the second account");
        assert_eq!(path, ["\"$user\", public, \"od\"\"d, name\""]);
        let own = ask(&case, &case.current, &dbname, "SELECT current_setting('my.own')").expect("in that database");
        assert_eq!(own, ["it's, \\ mine"]);
    }
}

// F78
#[test]
fn an_account_that_expires_is_noted_and_its_second_one_expires_with_it() {
    let Some(server) = servers::postgres() else { return };
    let case = shared_pair(server);
    execute(server, &format!("ALTER ROLE {} VALID UNTIL '2099-01-02'", case.user));
    let wanted = case.create();
    case.set(&wanted).expect("set");
    let done = case.test(&wanted).expect("tested");
    assert!(done.note.contains("VALID UNTIL 2099-01-02"), "{}", done.note);
    execute(server, &format!("ALTER ROLE {} VALID UNTIL 'infinity'", case.user));
    fails(case.test(&wanted), Verdict::Rejected, "pair-differs");
    case.set(&wanted).expect("set again");
    assert_eq!(case.test(&wanted).expect("tested"), Done::default());
}

#[test]
fn a_pair_made_by_awss_functions_is_taken_over_as_it_is() {
    let Some(server) = servers::postgres() else { return };
    let mut case = pair(server);
    let (name, second, secret) = (case.user.clone(), clone_of(&case), unique("Canary-aws-"));
    execute(
        server,
        &format!(
            "CREATE ROLE {second} WITH LOGIN PASSWORD '{secret}'; GRANT {name} TO {second}; \
             ALTER ROLE {name} CREATEDB CONNECTION LIMIT 9; ALTER ROLE {name} SET work_mem = '5MB'"
        ),
    );
    // AWS's function left the labels on the second account.
    case.current["username"] = json!(second);
    case.current["password"] = json!(secret);
    rotate(&mut case);
    assert_eq!(user(&case.current), name);
    let kept = ask_admin(server, "app", &format!("SELECT rolconnlimit FROM pg_roles WHERE rolname = '{name}'"));
    assert_eq!(kept, ["9"], "what the first account has and the second never had stays");
    rotate(&mut case);
    rotate(&mut case);
}

#[test]
fn two_accounts_that_somebody_named_take_turns() {
    let Some(server) = servers::postgres() else { return };
    let mut case = pair(server);
    let green = unique("green");
    case.options.users = Some([case.user.clone(), green.clone()]);
    rotate(&mut case);
    assert_eq!(user(&case.current), green);
    rotate(&mut case);
    assert_eq!(user(&case.current), case.user);
    case.options.users = Some([green, unique("blue")]);
    fails(case.try_create(), Verdict::NeedsPerson, "not-of-the-pair");
}

// F59
#[test]
fn aws_issue_39_no_rotation_makes_the_two_members_of_each_other() {
    both(|mut case| {
        let (name, second) = (case.user.clone(), clone_of(&case));
        for _ in 0..3 {
            rotate(&mut case);
            let sql = format!(
                "SELECT pg_has_role('{name}', '{second}', 'MEMBER') AND pg_has_role('{second}', '{name}', 'MEMBER')"
            );
            assert_eq!(ask_admin(case.server, "app", &sql), ["f"]);
        }
        // Somebody granted the first account the second one, as the answers to that issue say.
        let server = case.server;
        if user(&case.current) == second {
            rotate(&mut case);
        }
        execute(server, &format!("REVOKE {name} FROM {second}; GRANT {second} TO {name}"));
        let wanted = case.create();
        if owner_of_pair(&case) {
            case.set(&wanted).expect("the owner is what they share");
            case.test(&wanted).expect("tested");
            return;
        }
        // The second one cannot get what the first one has but by objects and grants of its own, and it has none to miss.
        case.set(&wanted).expect("nothing is missing, and no loop is made");
        execute(server, &format!("CREATE SCHEMA {name} AUTHORIZATION {name}"));
        let error = case.test(&wanted).expect_err("now something is");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "pair-differs"));
        assert!(error.message.contains(&format!("schema {name}")), "{}", error.message);
    });
}

fn owner_of_pair(case: &Case) -> bool {
    let sql = format!("SELECT 1 FROM pg_roles WHERE rolname = '{}'", owner_of(case));
    !ask_admin(case.server, "app", &sql).is_empty()
}

#[test]
fn awscurrent_must_log_in_before_another_account_is_changed() {
    both(|mut case| {
        rotate(&mut case);
        let right = case.current.clone();
        let wanted = case.create();
        case.current["password"] = json!(unique("Canary-wrong-"));
        let error = case.set(&wanted).expect_err("AWSCURRENT is refused");
        assert_eq!(
            (error.verdict, error.code.as_str(), error.failed_logins),
            (Verdict::NeedsPerson, "current-refused", 1)
        );
        case.known = vec![("version 1".to_owned(), wanted.clone())];
        fails(case.retire(), Verdict::NeedsPerson, "current-refused");
        case.current = right;
        assert!(!value_logs_in(&case, &wanted), "nothing was changed");
    });
}

#[test]
fn retire_ends_the_old_account_whatever_the_settings_say_by_then() {
    both(|mut case| {
        let old = turn(&mut case);
        case.options.strategy = None;
        case.retire().expect("retired");
        assert!(!value_logs_in(&case, &old) && value_logs_in(&case, &case.current));
        case.known[0].1["host"] = json!("elsewhere.example");
        fails(case.retire(), Verdict::NeedsPerson, "other-account");
    });
}

#[test]
fn a_stranger_with_the_second_ones_name_is_not_taken_over_until_somebody_names_both() {
    both(|mut case| {
        let second = clone_of(&case);
        execute(case.server, &format!("CREATE ROLE {second} LOGIN PASSWORD 'Canary-stranger'"));
        let mut stranger = case.current.clone();
        stranger["username"] = json!(second);
        stranger["password"] = json!("Canary-stranger");
        let wanted = case.create();
        let error = case.set(&wanted).expect_err("it may be anybody's");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "stranger"), "{error:?}");
        assert!(error.remedy.contains(&format!("--users {},{second}", case.user)), "{error:?}");
        assert!(value_logs_in(&case, &stranger), "its password is as it was");
        let report = case.check().expect("a report");
        assert!(report.findings.iter().any(|found| found.code == "stranger"), "{:#?}", report.findings);
        case.options.users = Some([case.user.clone(), second]);
        case.set(&wanted).expect("both are named");
        assert!(!value_logs_in(&case, &stranger));
    });
}

// F70, F71
#[test]
fn an_idle_account_that_may_do_more_is_not_changed() {
    let Some(server) = servers::postgres() else { return };
    for (more, code) in [("SUPERUSER", "superuser"), ("CREATEROLE", "idle-has-more"), ("NOLOGIN", "nologin")] {
        let case = pair(server);
        let second = clone_of(&case);
        execute(server, &format!("CREATE ROLE {second} LOGIN PASSWORD 'Canary-second'; ALTER ROLE {second} {more}"));
        fails(case.set(&case.create()), Verdict::NeedsPerson, code);
    }
    let case = pair(server);
    let (second, group) = (clone_of(&case), unique("grp"));
    execute(server, &format!("CREATE ROLE {group}; CREATE ROLE {second} LOGIN PASSWORD 'Canary-2' IN ROLE {group}"));
    let error = case.set(&case.create()).expect_err("it would be given away");
    assert_eq!(error.code, "idle-has-more");
    assert!(error.remedy.contains(&format!("REVOKE \"{group}\" FROM \"{second}\"")), "{}", error.remedy);
    let mut value = case.current.clone();
    value["username"] = json!(second);
    value["password"] = json!("Canary-2");
    assert!(value_logs_in(&case, &value), "nothing was changed");
    let mut admin_too = pair(server);
    admin_too.options.users = Some([admin_too.user.clone(), server.admin_user.clone()]);
    fails(admin_too.set(&admin_too.create()), Verdict::NeedsPerson, "admin-is-account");
    assert!(admin_too.logs_in(&admin_too.password()), "nothing was changed");
}

#[test]
fn without_an_admin_no_pair_is_changed() {
    both(|mut case| {
        let wanted = case.create();
        case.admin = None;
        fails(case.set(&wanted), Verdict::NeedsPerson, "no-admin");
        fails(case.test(&wanted), Verdict::NeedsPerson, "no-admin");
    });
}

#[test]
fn an_admin_without_the_right_is_told_what_to_grant() {
    let Some(server) = servers::postgres() else { return };
    for mut case in [pair(server), shared_pair(server)] {
        let weak = Account::create(server);
        case.admin = Some(weak.secret(&json!({})));
        let wanted = case.create();
        let error = case.set(&wanted).expect_err("not allowed");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "42501"));
        assert!(error.remedy.contains(&format!("ALTER ROLE \"{}\" CREATEROLE", weak.user)), "{}", error.remedy);
        // What it is told is enough.
        execute(server, &format!("ALTER ROLE {} CREATEROLE", weak.user));
        rotate(&mut case);
        rotate(&mut case);
    }
}

// F95
#[test]
fn what_is_taken_away_between_set_and_test_is_set_again() {
    both(|mut case| {
        let wanted = case.create();
        let (name, second) = (case.user.clone(), clone_of(&case));
        case.set(&wanted).expect("set");
        let role = if owner_of_pair(&case) { owner_of(&case) } else { name };
        execute(case.server, &format!("REVOKE {role} FROM {second}"));
        let error = case.test(&wanted).expect_err("it lacks a membership");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Rejected, "pair-differs"));
        assert!(error.remedy.contains(&format!("GRANT \"{role}\" TO \"{second}\"")), "{}", error.remedy);
        case.attempted = true;
        case.set(&wanted).expect("set again");
        case.test(&wanted).expect("tested");
        execute(case.server, &format!("DROP OWNED BY {second}; DROP ROLE {second}"));
        fails(case.test(&wanted), Verdict::Rejected, "42704");
        case.set(&wanted).expect("made again");
        case.test(&wanted).expect("tested");
    });
}

#[test]
fn settings_of_a_shared_pair_are_kept_alike() {
    let Some(server) = servers::postgres() else { return };
    let mut case = shared_pair(server);
    execute(server, &format!("ALTER ROLE {} SET work_mem = '5MB'", case.user));
    rotate(&mut case);
    // The second account is the active one now: it says what holds.
    execute(
        server,
        &format!(
            "ALTER ROLE {} SET lock_timeout = '7s'; ALTER ROLE {} RESET work_mem",
            clone_of(&case),
            clone_of(&case)
        ),
    );
    rotate(&mut case);
    let shown = |name: &str| ask(&case, &case.current, "app", &format!("SHOW {name}")).expect("asked");
    assert_eq!(shown("lock_timeout"), ["7s"]);
    assert_eq!(shown("work_mem"), ["4MB"]);
}

#[test]
fn giving_up_ends_the_candidate_and_leaves_awscurrent_as_it_is() {
    both(|mut case| {
        rotate(&mut case);
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        let alive = Proof::CanRestore { held: Some("AWSPENDING".to_owned()) };
        assert_eq!(case.prove().expect("the candidate is alive"), alive);
        assert_eq!(case.prove().expect("the candidate is alive"), alive);
        case.restore().expect("ended");
        case.restore().expect("ended again");
        assert!(!value_logs_in(&case, &wanted));
        assert!(value_logs_in(&case, &case.current));
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        case.known.clear();
        rotate(&mut case);
    });
}

#[test]
fn giving_up_what_was_never_sent_leaves_awsprevious_in_its_grace() {
    both(|mut case| {
        let old = turn(&mut case);
        let wanted = case.create();
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone()), ("AWSPREVIOUS".to_owned(), old.clone())];
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        assert!(value_logs_in(&case, &old), "the grace goes on");
    });
}

#[test]
fn giving_up_puts_back_an_awscurrent_that_is_refused() {
    both(|mut case| {
        rotate(&mut case);
        let wanted = case.create();
        case.set(&wanted).expect("set");
        execute(case.server, &format!("ALTER ROLE {} PASSWORD 'Canary-rival'", user(&case.current)));
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        assert_eq!(case.prove().expect("the admin can"), Proof::CanRestore { held: None });
        case.restore().expect("restored");
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        assert!(!value_logs_in(&case, &wanted), "and the candidate ended");
    });
}

// F81, F112
#[test]
fn an_account_that_is_still_used_is_held_and_its_sessions_are_told() {
    both(|mut case| {
        let old = turn(&mut case);
        case.hold = true;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let password = old["password"].as_str().expect("a password");
        let open = runtime.block_on(client(case.server, user(&old), password, "app")).expect("a session");
        let told = case.sessions().expect("asked").expect("the server can tell");
        assert_eq!(
            told.iter().map(|sessions| (sessions.user.as_str(), sessions.count)).collect::<Vec<_>>(),
            [(user(&old), 1)]
        );
        let error = case.retire().expect_err("somebody is there");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::InProgress, "still-used"));
        assert!(error.message.contains("127.0.0.1") && error.retry_after.is_some(), "{error:?}");
        assert!(value_logs_in(&case, &old), "nothing was ended");
        case.hold = false;
        let done = case.retire().expect("the deadline is over");
        assert!(done.note.contains("until they end"), "{}", done.note);
        assert!(!value_logs_in(&case, &old));
        runtime.block_on(open.simple_query("SELECT 1")).expect("F81: an open session goes on");
        drop((open, runtime));
        case.hold = true;
        let gone = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(25));
            case.sessions().expect("asked").expect("told").is_empty()
        });
        assert!(gone, "the server notices the end of a session");
        case.retire().expect("nobody is there");
        // Without the admin AWSCURRENT itself may ask.
        case.admin = None;
        assert_eq!(case.sessions().expect("asked"), Some(vec![]));
    });
}

#[test]
fn the_statement_of_a_stalled_process_does_not_land_on_a_pair() {
    both(|mut case| {
        support::a_late_statement_does_not_land(&case);
        let old = turn(&mut case);
        let (verdict, code) = failure(case.retire_under(&Stalls(Duration::from_millis(4500))));
        assert!(matches!(verdict, Verdict::Retry | Verdict::Unknown), "{verdict:?} {code}");
        fails(case.retire_under(&Gone), Verdict::Retry, "lease");
        assert!(value_logs_in(&case, &old), "nothing was ended");
        case.retire().expect("retired");
        assert!(!value_logs_in(&case, &old));
    });
}

#[test]
fn a_lost_reply_of_a_pair_is_unknown_and_the_next_set_finds_out() {
    both(|mut case| {
        rotate(&mut case);
        support::a_lost_reply_is_unknown(case);
    });
}

// F08
#[test]
fn a_lost_reply_of_retire_or_of_giving_up_is_unknown_and_doing_it_again_ends_the_account() {
    both(|mut case| {
        rotate(&mut case);
        let old = turn(&mut case);
        for way in lossy_ways(&case) {
            let (verdict, code) = failure(way.retire());
            assert_eq!(verdict, Verdict::Unknown, "{code}");
            assert!(value_logs_in(&case, &case.current));
        }
        case.retire().expect("retired");
        assert!(!value_logs_in(&case, &old));
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        for way in lossy_ways(&case) {
            let (verdict, code) = failure(way.restore());
            assert_eq!(verdict, Verdict::Unknown, "{code}");
            assert!(value_logs_in(&case, &case.current));
        }
        case.restore().expect("ended");
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        assert!(!value_logs_in(&case, &wanted));
    });
}

#[test]
fn a_step_that_is_stopped_at_any_moment_leaves_awscurrent_working_and_is_finished_by_the_next() {
    both(|mut case| {
        let wanted = case.create();
        case.attempted = true;
        let works = |case: &Case| assert!(value_logs_in(case, &case.current), "AWSCURRENT");
        stopped_at_every_moment(&case, |case| case.set(&wanted), || works(&case));
        case.test(&wanted).expect("tested");
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        stopped_at_every_moment(&case, Case::restore, || works(&case));
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        let old = turn(&mut case);
        stopped_at_every_moment(&case, Case::retire, || works(&case));
        assert!(!value_logs_in(&case, &old));
    });
}

#[test]
fn a_pair_finds_its_server_again() {
    both(support::absent_targets_are_tried_again);
}

// F69, F23
#[test]
fn fifty_pairs_of_one_server_rotate_at_once() {
    let Some(server) = servers::postgres() else { return };
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let case = pair(server);
                let wanted = case.create();
                let done = (0..60).any(|_| match case.set(&wanted) {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.verdict, Verdict::Retry, "{error:?}");
                        false
                    }
                });
                assert!(done, "not set after sixty conflicts");
                case.test(&wanted).expect("tested");
            });
        }
    });
}

// F62, F87
#[test]
fn names_of_any_kind_take_turns_and_one_that_does_not_fit_is_refused() {
    let Some(server) = servers::postgres() else { return };
    for name in [unique("q\"uo'te\\ "), format!("{}{}", unique("long"), "x".repeat(40)), unique("имя; DROP ROLE x; --")]
    {
        let (quoted, password) = (name.replace('"', "\"\""), unique("Canary-name-"));
        execute(server, &format!("CREATE ROLE \"{quoted}\" LOGIN PASSWORD '{password}'"));
        let mut case = Case::of(&Account { server, user: name, password }, &json!({})).by_admin();
        case.options.strategy = Some(engine::strategy::Strategy::AlternatingUsers);
        rotate(&mut case);
        rotate(&mut case);
    }
    let user = format!("{:x<58}", unique("long"));
    let account = Account { server, user, password: unique("Canary-long-") };
    execute(server, &format!("CREATE ROLE {} LOGIN PASSWORD '{}'", account.user, account.password));
    let mut case = Case::of(&account, &json!({})).by_admin();
    case.options.strategy = Some(engine::strategy::Strategy::AlternatingUsers);
    fails(case.try_create(), Verdict::NeedsPerson, "username-too-long");
    case.options.users = Some([case.user.clone(), unique("short")]);
    rotate(&mut case);
}

// F121
#[test]
fn no_clear_password_of_a_pair_is_in_the_servers_log() {
    let Some(server) = logging() else { return };
    for mut case in [pair(server), shared_pair(server)] {
        for _ in 0..2 {
            rotate(&mut case);
            let wanted = case.create();
            case.set(&wanted).expect("set");
            case.known = vec![("AWSPENDING".to_owned(), wanted)];
            case.restore().expect("ended");
            case.known.clear();
        }
        let log = std::fs::read_to_string(&server.log).expect("the log");
        assert!(log.contains(&format!("CREATE ROLE \"{}\" LOGIN PASSWORD 'SCRAM-SHA-256$4096:", clone_of(&case))));
        for clear in [case.password().as_str(), SCRAMBLE, "Canary-9next"] {
            assert!(!log.contains(clear), "a clear password");
        }
    }
}

// F72
#[test]
fn an_md5_pair_stays_md5_unless_scram_is_allowed() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let hba = server.dir.join("data/pg_hba.conf");
    let lines = std::fs::read_to_string(&hba).expect("pg_hba.conf");
    std::fs::write(&hba, lines.replace("scram-sha-256", "md5")).expect("written");
    execute(server, "SELECT pg_reload_conf()");
    let mut case = pair(server);
    let name = case.user.clone();
    let password = case.password();
    let md5 = |role: &str| format!("SET password_encryption = 'md5'; ALTER ROLE {role} PASSWORD '{password}'");
    execute(server, &md5(&name));
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::NeedsPerson, "md5");
    execute(server, &format!("ALTER ROLE {name} PASSWORD '{password}'"));
    case.set(&wanted).expect("SCRAM");
    execute(server, &md5(&clone_of(&case)));
    fails(case.set(&wanted), Verdict::NeedsPerson, "md5");
    case.options.allow_md5_upgrade = true;
    rotate(&mut case);
}

#[test]
fn an_account_whose_role_is_set_at_login_changes_itself() {
    let Some(server) = servers::postgres() else { return };
    let mut case = shared_pair(server);
    case.options.strategy = None;
    support::rotates_with_each_step_twice(case.clone());
    case = shared_pair(server);
    case.options.strategy = None;
    case.admin = None;
    support::rotates_with_each_step_twice(case.clone());
}

#[test]
fn the_admin_runs_nothing_that_the_account_has_made() {
    let Some(server) = servers::postgres() else { return };
    let mut case = pair(server);
    let dbname = database(server);
    execute(server, &format!("ALTER DATABASE {dbname} OWNER TO {}", case.user));
    // A function that is a better match for what is asked than the server's own, if it is looked for here.
    let trap = "CREATE SCHEMA admin; \
                CREATE FUNCTION public.trap(text, text) RETURNS bool LANGUAGE plpgsql AS \
                $$BEGIN IF current_user = 'admin' THEN RAISE 'trapped'; END IF; RETURN true; END$$; \
                CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = varchar, FUNCTION = public.trap); \
                CREATE FUNCTION public.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1'";
    let trap = trap.replace("public.trap(text, text)", "public.trap(name, varchar)");
    ask(&case, &case.current, &dbname, &trap).expect("the account may make that");
    case.current["dbname"] = json!(dbname);
    case.admin = Some(admin_secret(server, &json!({"dbname": dbname})));
    rotate(&mut case);
}
