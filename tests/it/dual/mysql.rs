//! Two passwords on MySQL: what its own rules say about them.

use std::sync::OnceLock;

use engine::outcome::Verdict;
use engine::strategy::Strategy;
use pawl::servers::{Engine, Server};
use serde_json::json;

use super::{By, case, give, log_in, may_have_two, password};
use crate::harness::account::{Account, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, fails, moves_on};

fn logging() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let flags = ["--general-log=1", "--general-log-file=general.log"];
    SERVER.get_or_init(|| servers::own(Engine::Mysql, &flags)).as_ref()
}

#[test]
fn an_empty_password_and_a_plugin_without_two_are_never_asked_to_be_kept() {
    // F76
    let Some(server) = servers::mysql() else { return };
    let empty = case(server, By::Admin);
    execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY ''", empty.user));
    let wanted = empty.create();
    assert!(!empty.set(&wanted).expect("set").retains, "an empty password is nothing to keep");
    log_in(&empty, &[("", false), (&password(&wanted), true)]);

    let user = unique("u");
    execute(server, &format!("CREATE USER '{user}'@'%' IDENTIFIED WITH sha256_password BY 'Canary-256'"));
    let account = Account { server, user, password: "Canary-256".to_owned() };
    for by_admin in [false, true] {
        let mut case = Case::of(&account, &json!({}));
        case.options.strategy = Some(Strategy::DualPassword);
        may_have_two(&case);
        let case = if by_admin { case.by_admin() } else { case };
        fails(case.set(&case.create()), Verdict::NeedsPerson, "auth-plugin");
    }
}

#[test]
fn an_account_with_a_password_history_must_see_what_it_has() {
    let Some(server) = servers::mysql() else { return };
    let mut case = case(server, By::Itself);
    execute(server, &format!("ALTER USER '{}'@'%' PASSWORD HISTORY 5", case.user));
    let (old, wanted) = (case.current.clone(), case.create());
    execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY '{}'", case.user, password(&old)));
    let error = case.set(&wanted).expect_err("it cannot tell which comes first");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "two-passwords"));
    assert!(error.remedy.contains("GRANT SELECT ON mysql.user TO"), "{}", error.remedy);
    execute(server, &format!("GRANT SELECT ON mysql.user TO '{}'@'%'", case.user));
    for attempted in [false, true] {
        case.attempted = attempted;
        assert!(case.set(&wanted).expect("set").retains);
        log_in(&case, &[(&password(&old), true), (&password(&wanted), true)]);
    }
    moves_on(&mut case, wanted.clone());
    fails(case.set(&old), Verdict::Rejected, "3638");
    log_in(&case, &[(&password(&old), true), (&password(&wanted), true)]);
    case.retire().expect("retired");
    log_in(&case, &[(&password(&old), false), (&password(&wanted), true)]);
}

#[test]
fn a_history_that_begins_in_the_grace_ends_nothing_blindly() {
    let Some(server) = servers::mysql() else { return };
    let mut case = case(server, By::Itself);
    let (old, wanted) = (case.password(), case.create());
    case.set(&wanted).expect("set");
    moves_on(&mut case, wanted.clone());
    let account = format!("'{}'@'%'", case.user);
    execute(server, &format!("ALTER USER {account} PASSWORD HISTORY 5"));
    execute(server, &format!("ALTER USER {account} IDENTIFIED BY '{}'", password(&wanted)));
    fails(case.retire(), Verdict::NeedsPerson, "not-to-be-ended");
    log_in(&case, &[(&old, true), (&password(&wanted), true)]);
    execute(server, &format!("GRANT SELECT ON mysql.user TO '{}'@'%'", case.user));
    case.retire().expect("it sees which comes first");
    log_in(&case, &[(&old, false), (&password(&wanted), true)]);
}

#[test]
fn all_rows_of_an_account_keep_the_old_password_and_lose_it_together() {
    // F61
    let Some(server) = servers::mysql() else { return };
    let mut case = case(server, By::Admin);
    let (old, other) = (case.password(), format!("'{}'@'localhost'", case.user));
    execute(server, &format!("CREATE USER {other} IDENTIFIED BY '{old}'"));
    let seconds = |case: &Case| {
        let sql = format!(
            "SELECT IF((SELECT COUNT(*) FROM mysql.user WHERE User = '{}' AND \
             JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password')) = ",
            case.user
        );
        move |rows: u8| execute(server, &format!("{sql}{rows}, 1, (SELECT 1 FROM mysql.user WHERE User <> ''))"))
    };
    let wanted = case.create();
    assert!(case.set(&wanted).expect("set").retains);
    seconds(&case)(2);
    // One row was given its new password alone, by an interrupted hand.
    moves_on(&mut case, wanted.clone());
    execute(server, &format!("ALTER USER {other} DISCARD OLD PASSWORD"));
    case.retire().expect("retired");
    seconds(&case)(0);
    log_in(&case, &[(&old, false), (&password(&wanted), true)]);
}

#[test]
fn a_first_password_that_nobody_knows_is_told_from_one_that_was_changed_just_now() {
    let Some(server) = servers::mysql() else { return };
    let case = case(server, By::Itself);
    let (old, wanted) = (case.password(), case.create());
    give(&case, "Canary-rival", &old);
    fails(case.set(&wanted), Verdict::NeedsPerson, "3891");
    log_in(&case, &[("Canary-rival", true), (&old, true), (&password(&wanted), false)]);
}

// F121
#[test]
fn no_clear_password_is_in_the_servers_log() {
    let Some(server) = logging() else { return };
    for by in [By::Itself, By::Admin] {
        let mut case = case(server, by);
        let (old, wanted) = (case.password(), case.create());
        // An account's first password was made by a statement of the test.
        let log = || {
            String::from_utf8_lossy(&std::fs::read(server.dir.join("data/general.log")).expect("the log")).into_owned()
        };
        let before = log().len();
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        case.retire().expect("retired");
        let shown = log().split_off(before);
        assert!(shown.contains("RETAIN CURRENT PASSWORD") && shown.contains("DISCARD OLD PASSWORD"), "{shown}");
        assert!(!shown.contains(&old) && !shown.contains(&password(&wanted)), "a clear password: {shown}");
    }
}
