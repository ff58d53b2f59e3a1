//! What two passwords take, and that there are only two.

use engine::outcome::Verdict;
use engine::strategy::Strategy;
use pawl::servers::Engine;

use super::{By, all, case, give, log_in, password, value};
use crate::harness::account::execute;
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, fails, moves_on};

/// The statement that a remedy or a note gives.
fn statement(text: &str) -> &str {
    let from = text.find("GRANT").expect("a statement to paste");
    let text = &text[from..];
    &text[..text.find(';').expect("its end")]
}

#[test]
fn without_the_privilege_the_grant_is_told_and_mends_it() {
    // F74
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = servers::shared(engine) else { continue };
        let mut case = Case::new(server);
        let (old, wanted) = (case.password(), case.create());
        case.options.strategy = Some(Strategy::DualPassword);
        fails(case.set(&wanted), Verdict::NeedsPerson, "two-passwords");
        log_in(&case, &[(&old, true), (&password(&wanted), false)]);
        let error = case.set(&wanted).expect_err("still refused");
        execute(server, statement(&error.remedy));
        assert!(case.set(&wanted).expect("what the remedy said is enough").retains);
        log_in(&case, &[(&old, true), (&password(&wanted), true)]);
    }
}

#[test]
fn without_the_privilege_and_unasked_the_password_is_changed_in_place_and_the_history_says_why() {
    // F74
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = servers::shared(engine) else { continue };
        let case = Case::new(server);
        let (old, wanted) = (case.password(), case.create());
        let done = case.set(&wanted).expect("set");
        assert!(!done.retains && done.note.contains("in place"), "{}", done.note);
        assert!(!done.note.contains("Canary"), "{}", done.note);
        log_in(&case, &[(&old, false), (&password(&wanted), true)]);
        execute(server, statement(&done.note));
        let mut case = Case::with(server, &case.user, &wanted);
        case.options.strategy = Some(Strategy::DualPassword);
        assert!(case.set(&case.create()).expect("what the note said is enough").retains);
    }
}

#[test]
fn there_are_only_two_and_a_rotation_in_the_grace_ends_the_oldest() {
    // F75: why the machine defers it.
    all(|mut case| {
        let (oldest, first) = (case.password(), case.create());
        case.set(&first).expect("set");
        moves_on(&mut case, first.clone());
        let second = case.create();
        assert!(case.set(&second).expect("set").retains);
        log_in(&case, &[(&oldest, false), (&password(&first), true), (&password(&second), true)]);
    });
}

#[test]
fn a_second_password_of_somebody_else_is_not_ended_unseen() {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = servers::shared(engine) else { continue };
        for by in [By::ItselfSeeing, By::Admin] {
            let mut case = case(server, by);
            let (old, foreign, wanted) = (case.password(), unique("Canary-foreign-"), case.create());
            give(&case, &old, &foreign);
            fails(case.set(&wanted), Verdict::NeedsPerson, "foreign-password");
            log_in(&case, &[(&old, true), (&foreign, true), (&password(&wanted), false)]);
            case.options.strategy = None;
            fails(case.set(&wanted), Verdict::NeedsPerson, "foreign-password");
            // One password was asked for: theirs is left as it is.
            case.options.strategy = Some(Strategy::SingleUser);
            case.set(&wanted).expect("in place");
            log_in(&case, &[(&old, false), (&foreign, true), (&password(&wanted), true)]);
        }
    }
}

#[test]
fn where_awscurrent_is_refused_already_the_new_password_is_set_all_the_same() {
    // A rival has set a password of its own: only an admin still gets in.
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = servers::shared(engine) else { continue };
        let case = case(server, By::Admin);
        execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY 'Canary-rival'", case.user));
        let wanted = case.create();
        case.set(&wanted).expect("set");
        case.test(&wanted).expect("tested");
        log_in(&case, &[("Canary-rival", false), (&password(&wanted), true)]);
    }
}

#[test]
fn an_interrupted_rotation_in_place_is_gone_on_with_beside() {
    // The first candidate was set in place, when the account could not have two.
    all(|mut case| {
        let (first, second) = (case.create(), case.create());
        execute(case.server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY '{}'", case.user, password(&first)));
        case.known = vec![("candidate 1".to_owned(), value(&case, &password(&first)))];
        case.attempted = true;
        case.set(&first).expect("it is there already");
        case.set(&second).expect("set");
        case.test(&second).expect("tested");
    });
}
