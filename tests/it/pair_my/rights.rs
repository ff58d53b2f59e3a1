//! Both accounts of a pair may do the same, or testSecret says what differs.

use engine::check::Level;
use engine::outcome::Verdict;
use pawl::servers::{Engine, Server};
use serde_json::json;

use super::support::{Two, ask, each, shown};
use crate::harness::account::{Account, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::fails;

/// Servers with what the matrix needs: partial revokes on MySQL, and an admin who may grant proxies.
fn with_everything(engine: Engine) -> Option<&'static Server> {
    let flags: &[&str] = if engine == Engine::Mysql { &["--partial-revokes=ON"] } else { &[] };
    let server: &'static Server = Box::leak(Box::new(servers::own(engine, flags)?));
    let admin = &server.admin_user;
    let proxy = format!(
        "INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant) \
         VALUES ('%', '{admin}', '', '', 1);\nFLUSH PRIVILEGES"
    );
    execute(server, &proxy);
    Some(server)
}

/// Every level of rights and every setting there is, on one account.
fn matrix(user: &str, server: &Server) -> String {
    let account = format!("'{user}'@'%'");
    let common = format!(
        "CREATE TABLE app.`t``{user}` (a int, `b``` int, c int);\n\
         CREATE PROCEDURE app.p{user}() SELECT 1;\n\
         CREATE FUNCTION app.f{user}() RETURNS int DETERMINISTIC RETURN 1;\n\
         CREATE ROLE 'one{user}';\nCREATE ROLE 'two{user}';\n\
         GRANT SELECT, RELOAD, PROCESS, SHOW DATABASES, CREATE USER, REPLICATION CLIENT ON *.* TO {account};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE VIEW, TRIGGER, EVENT, LOCK TABLES ON app.* TO {account} WITH GRANT OPTION;\n\
         GRANT INSERT ON `ap\\_%`.* TO {account};\n\
         GRANT CREATE ROUTINE, EXECUTE ON `no such``schema`.* TO {account};\n\
         GRANT SELECT, DELETE ON app.`t``{user}` TO {account};\n\
         GRANT INSERT (a, `b```), UPDATE (c), REFERENCES (a) ON app.`t``{user}` TO {account} WITH GRANT OPTION;\n\
         GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE app.p{user} TO {account} WITH GRANT OPTION;\n\
         GRANT EXECUTE ON FUNCTION app.f{user} TO {account};\n\
         GRANT PROXY ON 'someone{user}'@'%' TO {account};\n\
         GRANT 'one{user}' TO {account} WITH ADMIN OPTION;\nGRANT 'two{user}' TO {account};\n\
         ALTER USER {account} REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 1001 MAX_UPDATES_PER_HOUR 1002 \
         MAX_CONNECTIONS_PER_HOUR 1003 MAX_USER_CONNECTIONS 104 PASSWORD EXPIRE INTERVAL 90 DAY"
    );
    let own = match server.engine {
        "mysql" => format!(
            "GRANT BACKUP_ADMIN, CONNECTION_ADMIN ON *.* TO {account};\n\
             GRANT XA_RECOVER_ADMIN ON *.* TO {account} WITH GRANT OPTION;\n\
             REVOKE SELECT ON mysql.* FROM {account};\nREVOKE SELECT ON sys.* FROM {account};\n\
             ALTER USER {account} DEFAULT ROLE 'one{user}', 'two{user}';\n\
             ALTER USER {account} PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 6 DAY PASSWORD REQUIRE CURRENT OPTIONAL \
             FAILED_LOGIN_ATTEMPTS 7 PASSWORD_LOCK_TIME 2"
        ),
        _ => format!(
            "GRANT DELETE HISTORY ON app.* TO {account};\nGRANT BINLOG MONITOR, CONNECTION ADMIN ON *.* TO {account};\n\
             GRANT DELETE HISTORY ON app.`t``{user}` TO {account};\n\
             SET DEFAULT ROLE 'two{user}' FOR {account};\nALTER USER {account} WITH MAX_STATEMENT_TIME 12.5"
        ),
    };
    format!("{common};\n{own}")
}

/// A pair whose accounts are logged in to over TLS.
fn over_tls(server: &'static Server) -> Two {
    let account = Account::create(server);
    let mut two = Two::of(&account);
    two.case.current["ssl"] = json!(true);
    two.case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
    two
}

#[test]
fn rights_of_every_kind_and_every_setting_are_copied_both_ways() {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = with_everything(engine) else { continue };
        let mut two = over_tls(server);
        execute(server, &matrix(&two.app, server));
        let wanted = two.case.create();
        let done = two.case.set(&wanted).unwrap_or_else(|error| panic!("{}: {error:?}", engine.name()));
        two.case.test(&wanted).unwrap_or_else(|error| panic!("{}: {error:?}", engine.name()));
        let (app, clone) = (shown(server, &two.app), shown(server, &two.clone));
        assert_eq!(app, clone, "{}", engine.name());
        assert!(app.len() >= 12, "{app:?}");
        assert!(!done.note.contains("Canary"), "{}", done.note);

        // What is added to the clone while it is AWSCURRENT goes to the first account.
        two.finish(wanted);
        execute(server, &format!("GRANT DROP ON app.* TO '{}'@'%'", two.clone));
        execute(server, &format!("ALTER USER '{}'@'%' REQUIRE SUBJECT '/CN=it''s' AND ISSUER '/CN=i'", two.clone));
        execute(server, &format!("ALTER USER '{}'@'%' REQUIRE X509", two.app));
        execute(server, &format!("ALTER USER '{}'@'%' REQUIRE NONE", two.clone));
        // A proxy WITH GRANT OPTION brings the GRANT OPTION of everything with it, unless that was taken away again.
        execute(server, &format!("GRANT PROXY ON 'other'@'%' TO '{}'@'%' WITH GRANT OPTION", two.clone));
        execute(server, &format!("REVOKE GRANT OPTION ON *.* FROM '{}'@'%'", two.clone));
        if engine == Engine::Mysql {
            execute(server, &format!("GRANT XA_RECOVER_ADMIN ON *.* TO '{}'@'%' WITH GRANT OPTION", two.clone));
        }
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
        assert_eq!(shown(server, &two.app), shown(server, &two.clone), "{}", engine.name());
    }
}

#[test]
fn each_tls_requirement_is_copied_as_it_is() {
    each(|server| {
        for require in ["X509", "SUBJECT '/CN=it''s' AND ISSUER '/CN=i' AND CIPHER 'AES256-SHA'", "ISSUER '/CN=\"i\"'"]
        {
            let account = Account::create(server);
            // A row that we are not logged in by, so that its requirement stands in nobody's way.
            let row = format!("'{}'@'192.0.2.9'", account.user);
            execute(server, &format!("CREATE USER {row} IDENTIFIED BY '{}' REQUIRE {require}", account.password));
            let two = Two::of(&account);
            let wanted = two.case.create();
            two.case.set(&wanted).expect("set");
            two.case.test(&wanted).expect("tested");
            let clone = shown(server, &two.clone);
            assert_eq!(shown(server, &two.app), clone);
            assert!(clone.iter().any(|line| line.contains(require.split('\'').next().expect("a word"))), "{clone:?}");
        }
    });
}

/// Its views of information_schema are empty, without a word: the clone would lack everything, and nobody would know.
#[test]
fn an_admin_who_sees_single_tables_of_the_catalogue_only_changes_nothing() {
    each(|server| {
        let mut two = Two::new(server);
        let admin = Account::create(server);
        execute(server, &format!("GRANT SELECT ON app.* TO '{}'@'%'", two.app));
        execute(server, &format!("GRANT CREATE USER ON *.* TO '{}'@'%'", admin.user));
        execute(server, &format!("GRANT SELECT ON app.* TO '{}'@'%' WITH GRANT OPTION", admin.user));
        let tables = ["user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"];
        let own: &[&str] = match server.engine {
            "mysql" => &["role_edges", "global_grants", "default_roles"],
            _ => &["roles_mapping", "global_priv"],
        };
        for table in tables.iter().chain(own) {
            execute(server, &format!("GRANT SELECT ON mysql.{table} TO '{}'@'%'", admin.user));
        }
        two.case.admin = Some(admin.secret(&json!({})));
        let wanted = two.case.create();
        let error = two.case.set(&wanted).expect_err("it does not see the rights");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "rights-unseen"), "{error:?}");
        assert!(super::support::rows_of(server, &two.clone).is_empty(), "no clone was made");
        let report = two.case.check().expect("a report");
        let found = report.findings.iter().find(|found| found.code == "rights-unseen").expect("told beforehand");
        assert_eq!((found.level, &found.remedy), (Level::Problem, &error.remedy));
        execute(server, &error.remedy);
        two.case.set(&wanted).expect("after the statement that was offered");
        assert_eq!(shown(server, &two.app), shown(server, &two.clone));
    });
}

#[test]
fn all_privileges_are_copied() {
    each(|server| {
        let two = Two::new(server);
        execute(server, &format!("GRANT ALL PRIVILEGES ON *.* TO '{}'@'%' WITH GRANT OPTION", two.app));
        execute(server, &format!("GRANT ALL PRIVILEGES ON app.* TO '{}'@'%'", two.app));
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
        assert_eq!(shown(server, &two.app), shown(server, &two.clone));
    });
}

/// aws#38: grants given later were not on the clone.
#[test]
fn f58_grants_added_between_rotations_are_on_the_clone_after_the_next_one() {
    each(|server| {
        let mut two = Two::new(server);
        for privilege in ["SELECT", "INSERT", "UPDATE"] {
            execute(
                server,
                &format!("GRANT {privilege} ON app.* TO '{}'@'%'", super::support::user(&two.case.current)),
            );
            let wanted = two.case.create();
            let done = two.case.set(&wanted).expect("set");
            assert!(done.note.contains(&format!("{privilege} ON `app`.*")), "{}", done.note);
            two.case.test(&wanted).expect("tested");
            assert_eq!(shown(server, &two.app), shown(server, &two.clone));
            two.finish(wanted);
        }
    });
}

/// F95: a test that only logs in does not see that rights are missing.
#[test]
fn f95_what_the_candidate_lacks_fails_its_test_by_name_and_the_next_set_gives_it() {
    each(|server| {
        let two = Two::new(server);
        let (app, clone) = (format!("'{}'@'%'", two.app), format!("'{}'@'%'", two.clone));
        let role = unique("role");
        execute(
            server,
            &format!(
                "CREATE TABLE app.`{role}` (a int);\nCREATE PROCEDURE app.`{role}`() SELECT 1;\nCREATE ROLE '{role}';\n\
                 GRANT '{role}' TO {app};\nGRANT RELOAD ON *.* TO {app};\n\
                 GRANT SELECT ON app.* TO {app} WITH GRANT OPTION;\nGRANT DELETE, UPDATE (a) ON app.`{role}` TO {app};\n\
                 GRANT EXECUTE ON PROCEDURE app.`{role}` TO {app}"
            ),
        );
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
        for (taken, named) in [
            (format!("REVOKE RELOAD ON *.* FROM {clone}"), "RELOAD ON *.*".to_owned()),
            (format!("REVOKE SELECT ON app.* FROM {clone}"), "SELECT ON `app`.*".to_owned()),
            (format!("REVOKE GRANT OPTION ON app.* FROM {clone}"), "GRANT OPTION ON `app`.*".to_owned()),
            (format!("REVOKE DELETE ON app.`{role}` FROM {clone}"), format!("DELETE ON `app`.`{role}`")),
            (format!("REVOKE UPDATE (a) ON app.`{role}` FROM {clone}"), format!("UPDATE (`a`) ON `app`.`{role}`")),
            (
                format!("REVOKE EXECUTE ON PROCEDURE app.`{role}` FROM {clone}"),
                format!("EXECUTE ON PROCEDURE `app`.`{role}`"),
            ),
            (format!("REVOKE '{role}' FROM {clone}"), format!("the role `{role}`")),
            (format!("ALTER USER {clone} REQUIRE SSL"), "REQUIRE NONE".to_owned()),
            (format!("ALTER USER {clone} WITH MAX_USER_CONNECTIONS 3"), "MAX_USER_CONNECTIONS 0".to_owned()),
            (format!("ALTER USER {clone} PASSWORD EXPIRE NEVER"), "PASSWORD EXPIRE DEFAULT".to_owned()),
        ] {
            execute(server, &taken);
            let refused = taken.contains("REQUIRE SSL");
            let mut case = two.case.clone();
            if refused {
                case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
            }
            let mut tested = wanted.clone();
            if refused {
                tested["ssl"] = json!(true);
            }
            let error = case.test(&tested).expect_err(&taken);
            let found = (error.verdict, error.code.as_str());
            assert_eq!(found, (Verdict::Rejected, "rights-differ"), "{taken}: {error:?}");
            assert!(error.message.contains(&named), "{taken}: {}", error.message);
            two.case.set(&wanted).unwrap_or_else(|error| panic!("{taken}: {error:?}"));
            two.case.test(&wanted).unwrap_or_else(|error| panic!("{taken}: {error:?}"));
        }
    });
}

#[test]
fn a_right_that_only_the_idle_account_has_is_named_with_both_statements_and_never_taken_away() {
    each(|server| {
        let two = Two::new(server);
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        execute(server, &format!("GRANT INSERT ON app.* TO '{}'@'%'", two.clone));
        execute(server, &format!("GRANT DELETE ON app.* TO '{}'@'%'", two.app));
        let before = shown(server, &two.clone);
        for error in [two.case.test(&wanted).expect_err("differs"), two.case.set(&wanted).expect_err("differs")] {
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "rights-differ"), "{error:?}");
            assert!(error.message.contains("INSERT ON `app`.*"), "{}", error.message);
            assert!(error.message.contains("It lacks: DELETE ON `app`.*"), "both directions: {}", error.message);
            let give = format!("GRANT INSERT ON `app`.* TO `{}`@`%`", two.app);
            let take = format!("REVOKE INSERT ON `app`.* FROM `{}`@`%`", two.clone);
            assert!(error.remedy.contains(&give) && error.remedy.contains(&take), "{}", error.remedy);
        }
        assert_eq!(shown(server, &two.clone), before, "nothing was taken");
        // Either statement mends it.
        execute(server, &format!("REVOKE INSERT ON `app`.* FROM `{}`@`%`", two.clone));
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("tested");
    });
}

#[test]
fn a_grant_for_what_is_gone_is_left_out_and_the_rest_is_copied() {
    each(|server| {
        let two = Two::new(server);
        let name = unique("gone");
        execute(
            server,
            &format!(
                "CREATE TABLE app.{name} (a int, b int);\nCREATE TABLE app.half{name} (a int, b int);\n\
                 CREATE PROCEDURE app.{name}() SELECT 1;\n\
                 GRANT SELECT ON app.{name} TO '{app}'@'%';\nGRANT SELECT (a), INSERT (b) ON app.half{name} TO '{app}'@'%';\n\
                 GRANT EXECUTE ON PROCEDURE app.{name} TO '{app}'@'%';\nGRANT UPDATE ON app.* TO '{app}'@'%';\n\
                 DROP TABLE app.{name};\nALTER TABLE app.half{name} DROP COLUMN a;\nDROP PROCEDURE app.{name}",
                app = two.app
            ),
        );
        let wanted = two.case.create();
        two.case.set(&wanted).expect("set");
        two.case.test(&wanted).expect("what nobody can repeat is no difference");
        let clone = shown(server, &two.clone);
        let has = |text: &str| clone.iter().any(|line| line.contains(text));
        assert!(has("UPDATE ON `app`.*") && has("INSERT (`b`)") && !has("SELECT"), "{clone:?}");
    });
}

/// The copy of grants fails where the rotator may not give them on.
#[test]
fn f60_aws_90_a_right_without_grant_option_is_named_with_the_grant_that_the_admin_needs() {
    each(|server| {
        let two = Two::new(server);
        let admin = Account::create(server);
        let name = unique("n");
        let app = format!("'{}'@'%'", two.app);
        execute(
            server,
            &format!(
                "CREATE TABLE app.{name} (a int);\nCREATE FUNCTION app.{name}() RETURNS int DETERMINISTIC RETURN 1;\n\
                 CREATE ROLE '{name}';\nGRANT '{name}' TO {app};\nGRANT RELOAD ON *.* TO {app};\n\
                 GRANT SELECT ON app.* TO {app} WITH GRANT OPTION;\nGRANT INSERT, UPDATE (a) ON app.{name} TO {app};\n\
                 GRANT EXECUTE ON FUNCTION app.{name} TO {app};\n\
                 GRANT CREATE USER ON *.* TO '{admin}'@'%';\nGRANT SELECT ON mysql.* TO '{admin}'@'%'",
                admin = admin.user
            ),
        );
        if server.engine == "mysql" {
            execute(server, &format!("GRANT BACKUP_ADMIN ON *.* TO {app}"));
        }
        let mut case = two.case.clone();
        case.admin = Some(admin.secret(&json!({})));
        let wanted = case.create();
        let mut said = Vec::new();
        while let Err(error) = case.set(&wanted) {
            let found = (error.verdict, error.code.as_str());
            assert_eq!(found, (Verdict::NeedsPerson, "no-grant-option"), "{error:?}");
            assert!(two.case.logs_in(&two.case.password()), "AWSCURRENT works");
            let statement = error.remedy.strip_prefix("Run ").and_then(|rest| rest.strip_suffix("; then resume."));
            let statement = statement.expect("a statement to paste").to_owned();
            assert!(!said.contains(&statement), "it did not help: {statement}");
            execute(server, &statement);
            said.push(statement);
        }
        case.test(&wanted).expect("tested");
        let expected = if server.engine == "mysql" { 6 } else { 5 };
        assert_eq!(said.len(), expected, "{said:#?}");
        assert_eq!(shown(server, &two.app), shown(server, &two.clone));
    });
}

#[test]
fn a_default_role_that_the_admin_may_not_set_is_named_with_the_statement() {
    let Some(server) = servers::shared(Engine::Mariadb) else { return };
    let two = Two::new(server);
    let admin = Account::create(server);
    let role = unique("role");
    execute(
        server,
        &format!(
            "CREATE ROLE '{role}';\nGRANT '{role}' TO '{app}'@'%';\nSET DEFAULT ROLE '{role}' FOR '{app}'@'%';\n\
             GRANT CREATE USER ON *.* TO '{admin}'@'%';\nGRANT SELECT ON mysql.* TO '{admin}'@'%';\n\
             GRANT '{role}' TO '{admin}'@'%' WITH ADMIN OPTION",
            app = two.app,
            admin = admin.user
        ),
    );
    let mut case = two.case.clone();
    case.admin = Some(admin.secret(&json!({})));
    let wanted = case.create();
    let error = case.set(&wanted).expect_err("may not");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "no-default-role"), "{error:?}");
    let statement = format!("SET DEFAULT ROLE `{role}` FOR `{}`@`%`", two.clone);
    assert!(error.remedy.contains(&statement), "{}", error.remedy);
    execute(server, &statement);
    case.set(&wanted).expect("set");
    case.test(&wanted).expect("tested");
}

#[test]
fn an_admin_who_may_not_read_the_catalogue_is_told_so_before_anything_is_changed() {
    each(|server| {
        let two = Two::new(server);
        let admin = Account::create(server);
        let mut case = two.case.clone();
        case.admin = Some(admin.secret(&json!({})));
        let error = case.set(&case.create()).expect_err("may not read");
        assert_eq!(error.verdict, Verdict::NeedsPerson);
        assert!(error.remedy.contains("GRANT SELECT ON mysql.* TO"), "{}", error.remedy);
        execute(server, &format!("GRANT SELECT ON mysql.* TO '{}'@'%'", admin.user));
        fails(case.set(&case.create()), Verdict::NeedsPerson, "1227");
        assert!(ask(server, &format!("SELECT Host FROM mysql.user WHERE User = '{}'", two.clone)).is_empty());
    });
}
