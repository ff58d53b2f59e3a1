//! An account may have several rows `'user'@'host'`: all have their counterparts (F61), each with its own rights.

use engine::outcome::Verdict;
use pawl::servers::{Engine, Server};

use super::support::{Two, each, password, rows_of, shown, works};
use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::fails;

#[test]
fn f61_every_row_of_the_account_has_its_counterpart_with_its_own_rights() {
    each(|server| {
        let mut two = Two::new(server);
        let (app, first) = (two.app.clone(), two.case.password());
        execute(
            server,
            &format!(
                "CREATE USER '{app}'@'192.0.2.7' IDENTIFIED BY '{first}';\nGRANT SELECT ON app.* TO '{app}'@'192.0.2.7';\n\
                 GRANT INSERT ON app.* TO '{app}'@'%'"
            ),
        );
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("the other row is verified by its hash");
        assert_eq!(rows_of(server, &two.clone), ["%", "192.0.2.7"]);
        assert_eq!(shown(server, &two.app), shown(server, &two.clone));
        two.finish(wanted);
        // A row that was made by hand since, with AWSCURRENT's password: it gets its counterpart.
        execute(server, &format!("CREATE USER '{}'@'10.%' IDENTIFIED BY '{}'", two.clone, password(&two.case.current)));
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
        assert_eq!(rows_of(server, &two.app), ["%", "10.%", "192.0.2.7"]);
        // One row that something else changes is found by its hash.
        execute(server, &format!("ALTER USER '{}'@'10.%' IDENTIFIED BY 'Canary-rival'", two.app));
        let error = two.case.test(&wanted).expect_err("differs");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Rejected, "row-differs"));
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
    });
}

#[test]
fn f61_a_row_that_only_the_idle_account_has_is_named_and_nothing_is_changed() {
    each(|server| {
        let two = Two::new(server);
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        execute(server, &format!("CREATE USER '{}'@'10.%' IDENTIFIED BY 'Canary-own'", two.clone));
        for error in [two.case.test(&wanted).expect_err("differs"), two.case.set(&wanted).expect_err("differs")] {
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "row-alone"), "{error:?}");
            let row = format!("`{}`@`10.%`", two.clone);
            assert!(error.message.contains(&row) && error.remedy.contains(&format!("DROP USER {row}")), "{error:?}");
        }
    });
}

/// Whoever may use another row has another password: readers of this secret must not get what that row may do.
#[test]
fn f61_a_row_with_another_password_is_not_copied_unless_that_is_allowed() {
    each(|server| {
        let two = Two::new(server);
        execute(
            server,
            &format!(
                "CREATE USER '{app}'@'192.0.2.7' IDENTIFIED BY 'Canary-strong';\nGRANT ALL ON app.* TO '{app}'@'192.0.2.7'",
                app = two.app
            ),
        );
        let wanted = two.case.create();
        fails(two.case.set(&wanted), Verdict::NeedsPerson, "differing-hosts");
        assert!(rows_of(server, &two.clone).is_empty());
        let mut case = two.case.clone();
        case.options.allow_differing_hosts = true;
        case.set(&wanted).expect("allowed");
        case.test(&wanted).expect("tested");
        assert_eq!(shown(server, &two.app), shown(server, &two.clone));
    });
}

#[test]
fn an_idle_account_that_somebody_has_locked_needs_a_person() {
    each(|server| {
        let two = Two::new(server);
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        execute(server, &format!("ALTER USER '{}'@'%' ACCOUNT LOCK", two.clone));
        fails(two.case.set(&two.case.create()), Verdict::NeedsPerson, "3118");
        execute(server, &format!("ALTER USER '{}'@'%' ACCOUNT UNLOCK", two.clone));
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
    });
}

#[test]
fn the_idle_account_gets_the_plugin_of_the_active_one() {
    let Some(server) = servers::own(Engine::Mariadb, &["--plugin-load-add=auth_ed25519"]) else { return };
    let server: &'static Server = Box::leak(Box::new(server));
    let account = Account { server, user: unique("u"), password: "Canary-ed".to_owned() };
    let ed25519 = "IDENTIFIED VIA ed25519 USING PASSWORD('Canary-ed')";
    execute(server, &format!("CREATE USER '{}'@'%' {ed25519}", account.user));
    let two = Two::of(&account);
    execute(server, &format!("CREATE USER '{}'@'%' IDENTIFIED BY 'Canary-native'", two.clone));
    let wanted = two.case.create();
    two.case.set(&wanted).expect("set");
    two.case.test(&wanted).expect("tested");
    assert_eq!(shown(server, &two.app), shown(server, &two.clone), "clients of the one can talk to the other");
    assert!(works(server, &wanted));
}

#[test]
fn an_idle_account_whose_plugin_cannot_be_rotated_is_refused_and_left_alone() {
    let sha256 = (Engine::Mysql, "IDENTIFIED WITH sha256_password BY 'Canary-old'");
    let several = (Engine::Mariadb, "IDENTIFIED VIA mysql_native_password USING PASSWORD('Canary-old') OR unix_socket");
    for (engine, identified) in [sha256, several] {
        let Some(server) = servers::shared(engine) else { continue };
        let two = Two::new(server);
        execute(server, &format!("CREATE USER '{}'@'%' {identified}", two.clone));
        let before = shown(server, &two.clone);
        fails(two.case.set(&two.case.create()), Verdict::NeedsPerson, "auth-plugin");
        assert_eq!(shown(server, &two.clone), before);
    }
}

/// What dual passwords left behind is no way in any more.
#[test]
fn a_second_password_of_the_idle_account_ends_with_its_turn() {
    let Some(server) = servers::shared(Engine::Mysql) else { return };
    let mut two = Two::new(server);
    let wanted = two.case.create();
    two.case.set(&wanted).expect("set");
    let retain = "IDENTIFIED BY 'Canary-second' RETAIN CURRENT PASSWORD";
    execute(server, &format!("ALTER USER '{}'@'%' {retain}", two.clone));
    assert!(works(server, &wanted) && logs_in(server, &two.clone, "Canary-second"));
    let next = two.case.create();
    two.case.set(&next).expect("set");
    assert!(works(server, &next));
    assert!(!works(server, &wanted) && !logs_in(server, &two.clone, "Canary-second"), "neither of the two");

    two.finish(next);
    let old = two.retired();
    execute(server, &format!("ALTER USER '{}'@'%' IDENTIFIED BY 'Canary-second'", two.app));
    let again = format!("ALTER USER '{}'@'%' IDENTIFIED BY '{}' RETAIN CURRENT PASSWORD", two.app, password(&old));
    execute(server, &again);
    assert!(works(server, &old) && logs_in(server, &two.app, "Canary-second"));
    two.case.retire().expect("retired");
    assert!(!works(server, &old) && !logs_in(server, &two.app, "Canary-second"), "neither of the two");
}

// F23
#[test]
fn many_pairs_of_one_server_take_their_turns_at_once() {
    each(|server| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut two = Two::new(server);
                    execute(server, &format!("GRANT SELECT, INSERT ON app.* TO '{}'@'%'", two.app));
                    for _ in 0..2 {
                        let wanted = two.case.create();
                        // A conflict is Retry by the table; a few of those may happen, and nothing else.
                        let done = (0..20).any(|_| match two.case.set(&wanted) {
                            Ok(_) => true,
                            Err(error) => {
                                assert_eq!(error.verdict, Verdict::Retry, "{error:?}");
                                false
                            }
                        });
                        assert!(done, "not set after twenty conflicts");
                        two.case.test(&wanted).expect("tested");
                        two.finish(wanted);
                    }
                });
            }
        });
    });
}
