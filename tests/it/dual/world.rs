//! The end of a grace in a world that is not as it was left: what AWSCURRENT logs in with is never ended.

use engine::outcome::{Proof, Verdict};

use super::{all, give, log_in, password};
use crate::harness::account::execute;
use crate::harness::unique;
use crate::rotator_support::{fails, moves_on};

#[test]
fn awscurrent_is_made_the_first_password_before_the_second_is_ended() {
    // A replica that took over knows the two in the order of before the rollback.
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        give(&case, &old, &password(&wanted));
        case.retire().expect("retired");
        log_in(&case, &[(&old, false), (&password(&wanted), true)]);
    });
}

#[test]
fn a_rivals_password_keeps_the_end_of_the_grace_from_happening() {
    all(|mut case| {
        let (old, wanted, rival) = (case.password(), case.create(), unique("Canary-rival-"));
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        give(&case, &rival, &password(&wanted));
        if case.server.engine == "mysql" {
            // Whatever ended the second password here would end AWSCURRENT.
            fails(case.retire(), Verdict::NeedsPerson, "not-to-be-ended");
        } else {
            case.retire().expect("the old one is gone already");
        }
        log_in(&case, &[(&old, false), (&password(&wanted), true), (&rival, true)]);
    });
}

#[test]
fn a_restored_backup_keeps_the_end_of_the_grace_from_happening() {
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        let account = format!("'{}'@'%'", case.user);
        execute(case.server, &format!("ALTER USER {account} IDENTIFIED BY '{old}'"));
        if case.server.engine == "mysql" {
            execute(case.server, &format!("ALTER USER {account} DISCARD OLD PASSWORD"));
        }
        fails(case.retire(), Verdict::NeedsPerson, "not-to-be-ended");
        log_in(&case, &[(&old, true), (&password(&wanted), false)]);
    });
}

#[test]
fn an_old_password_that_is_gone_already_is_nothing_to_end() {
    all(|mut case| {
        let wanted = case.create();
        case.set(&wanted).expect("set");
        moves_on(&mut case, wanted.clone());
        execute(case.server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY '{}'", case.user, password(&wanted)));
        case.retire().expect("retired");
        assert!(case.logs_in(&password(&wanted)));
    });
}

#[test]
fn a_candidate_beside_awscurrent_is_seen_and_ended_when_giving_up() {
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        give(&case, &old, &password(&wanted));
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        case.attempted = true;
        assert!(matches!(case.prove().expect("asked"), Proof::CanRestore { .. }));
        case.restore().expect("put back");
        log_in(&case, &[(&old, true), (&password(&wanted), false)]);
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
    });
}

#[test]
fn an_account_with_the_new_password_alone_is_put_back() {
    all(|mut case| {
        let (old, wanted) = (case.password(), case.create());
        let account = format!("'{}'@'%'", case.user);
        execute(case.server, &format!("ALTER USER {account} IDENTIFIED BY '{}'", password(&wanted)));
        case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
        case.attempted = true;
        assert!(matches!(case.prove().expect("asked"), Proof::CanRestore { .. }));
        case.restore().expect("put back");
        log_in(&case, &[(&old, true), (&password(&wanted), false)]);
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
    });
}
