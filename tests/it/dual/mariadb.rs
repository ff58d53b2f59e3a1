//! Two passwords on MariaDB: its ways to log in, and what they have beside passwords.

use std::sync::OnceLock;

use engine::outcome::{Proof, Verdict};
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use super::{By, case, log_in, may_have_two, password};
use crate::harness::account::{Account, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, fails, moves_on};

/// A server that knows ed25519 and unix_socket, and whose log shows every statement.
fn logging() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let flags = ["--plugin-load-add=auth_ed25519", "--general-log=1", "--general-log-file=general.log"];
    SERVER.get_or_init(|| servers::own(Engine::Mariadb, &flags)).as_ref()
}

fn log(server: &Server) -> String {
    String::from_utf8_lossy(&std::fs::read(server.dir.join("data/general.log")).expect("the log")).into_owned()
}

/// An account that logs in in these ways; `{}` is its password.
fn account(server: &'static Server, ways: &str) -> Account {
    let (user, password) = (unique("u"), unique("Canary-first-"));
    execute(server, &format!("CREATE USER '{user}'@'%' IDENTIFIED VIA {}", ways.replace("{}", &password)));
    Account { server, user, password }
}

/// The plugins of the last ALTER USER of this account, as its log shows them.
fn last_ways(server: &Server, user: &str) -> Vec<String> {
    let log = log(server);
    let line = log.lines().rfind(|line| line.contains(&format!("ALTER USER `{user}`"))).expect("a change");
    let ways = line.split_once(" IDENTIFIED VIA ").expect("the ways").1;
    ways.split(" OR ").map(|way| way.split('`').nth(1).expect("a plugin").to_owned()).collect()
}

#[test]
fn other_ways_to_log_in_stay_as_they_are_and_where_they_are() {
    let Some(server) = logging() else { return };
    let native = "mysql_native_password";
    for (ways, with_two, with_one) in [
        (
            "mysql_native_password USING PASSWORD('{}') OR unix_socket OR mysql_native_password USING 'invalid'",
            vec![native, native, "unix_socket", native],
            vec![native, "unix_socket", native],
        ),
        (
            "mysql_native_password USING PASSWORD('{}') OR unix_socket USING 'it''s'",
            vec![native, native, "unix_socket"],
            vec![native, "unix_socket"],
        ),
    ] {
        for by_admin in [false, true] {
            let account = account(server, ways);
            let mut case = Case::of(&account, &json!({}));
            may_have_two(&case);
            case = if by_admin { case.by_admin() } else { case };
            let (old, wanted) = (case.password(), case.create());
            assert!(case.set(&wanted).expect("set").retains);
            assert_eq!(last_ways(server, &case.user), with_two, "{ways}");
            log_in(&case, &[(&old, true), (&password(&wanted), true)]);
            moves_on(&mut case, wanted.clone());
            case.retire().expect("retired");
            assert_eq!(last_ways(server, &case.user), with_one, "{ways}");
            log_in(&case, &[(&old, false), (&password(&wanted), true)]);
            let text = log(server);
            assert!(!text.contains(&password(&wanted)), "a clear password");
            let kept = |line: &&str| line.contains(&format!("ALTER USER `{}`", case.user));
            let kept = text.lines().filter(kept).all(|line| !ways.contains("it''s") || line.contains("USING 'it''s'"));
            assert!(kept, "what unix_socket maps to");
        }
    }
}

#[test]
fn an_account_whose_first_way_is_another_keeps_one_password() {
    let Some(server) = logging() else { return };
    let ed25519 = "ed25519 USING PASSWORD('{}')";
    let after = "unix_socket OR mysql_native_password USING PASSWORD('{}')";
    for (ways, by_admin) in [(ed25519, false), (ed25519, true), (after, false), (after, true)] {
        let mut case = Case::of(&account(server, ways), &json!({}));
        may_have_two(&case);
        case = if by_admin { case.by_admin() } else { case };
        let (old, wanted) = (case.password(), case.create());
        case.options.strategy = Some(Strategy::DualPassword);
        fails(case.set(&wanted), Verdict::NeedsPerson, "two-passwords");
        case.options.strategy = None;
        let done = case.set(&wanted).expect("in place");
        assert!(!done.retains && done.note.contains("alternating-users"), "{}", done.note);
        log_in(&case, &[(&old, false), (&password(&wanted), true)]);
    }
}

#[test]
fn one_password_is_replaced_among_other_ways_too() {
    let Some(server) = logging() else { return };
    let mut case = Case::of(&account(server, "unix_socket OR ed25519 USING PASSWORD('{}')"), &json!({})).by_admin();
    case.options.strategy = Some(Strategy::SingleUser);
    let (old, wanted) = (case.password(), case.create());
    case.set(&wanted).expect("set");
    assert_eq!(last_ways(server, &case.user), ["unix_socket", "ed25519"]);
    log_in(&case, &[(&old, false), (&password(&wanted), true)]);
    // Without the privilege SET PASSWORD is all there is, which would fail here after its change.
    case.admin = None;
    case.current = wanted;
    fails(case.set(&case.create()), Verdict::NeedsPerson, "1227");
    assert!(case.logs_in(&case.password()));
}

#[test]
fn where_only_clear_text_is_taken_there_are_not_two() {
    let flags = ["--plugin-load-add=simple_password_check"];
    let Some(server) = servers::own(Engine::Mariadb, &flags) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let strong = || json!(unique("Canary-1."));
    let mut dual = case(server, By::Admin);
    let mut wanted = dual.create();
    wanted["password"] = strong();
    fails(dual.set(&wanted), Verdict::NeedsPerson, "two-passwords");
    dual.options.strategy = None;
    let done = dual.set(&wanted).expect("in place");
    assert!(!done.retains && done.note.contains("SET GLOBAL strict_password_validation = OFF;"), "{}", done.note);
    execute(server, "SET GLOBAL strict_password_validation = OFF");
    dual.current = wanted;
    let mut next = dual.create();
    next["password"] = strong();
    assert!(dual.set(&next).expect("what the note said is enough").retains);
    // Switched on again in the grace: the end of it takes clear text, and comes.
    execute(server, "SET GLOBAL strict_password_validation = ON");
    let old = dual.password();
    moves_on(&mut dual, next.clone());
    dual.retire().expect("retired");
    log_in(&dual, &[(&old, false), (&password(&next), true)]);
}

#[test]
fn rows_of_other_hosts_follow_one_by_one_and_an_interruption_between_them_is_gone_on_with() {
    // F61
    let Some(server) = servers::mariadb() else { return };
    let mut case = case(server, By::Admin);
    let (old, wanted) = (case.password(), case.create());
    let native = |password: &str| format!("mysql_native_password USING PASSWORD('{password}')");
    let other = format!("'{}'@'192.0.2.7'", case.user);
    execute(server, &format!("CREATE USER {other} IDENTIFIED VIA {}", native(&old)));
    execute(server, &format!("ALTER USER {other} IDENTIFIED VIA {} OR {}", native(&password(&wanted)), native(&old)));
    case.attempted = true;
    assert!(case.set(&wanted).expect("the rest follows").retains);
    case.test(&wanted).expect("both rows");
    moves_on(&mut case, wanted.clone());
    execute(server, &format!("ALTER USER {other} IDENTIFIED VIA {}", native(&password(&wanted))));
    case.retire().expect("the rest follows");
    log_in(&case, &[(&old, false), (&password(&wanted), true)]);
    // Giving up: one row has a candidate beside AWSCURRENT.
    let next = case.create();
    let both = format!("{} OR {}", native(&password(&next)), native(&password(&wanted)));
    execute(server, &format!("ALTER USER {other} IDENTIFIED VIA {both}"));
    case.known = vec![("AWSPENDING".to_owned(), next)];
    assert_eq!(case.prove().expect("asked"), Proof::CanRestore { held: Some("AWSPENDING".to_owned()) });
    case.restore().expect("put back");
    assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
}
