//! The same for MySQL and MariaDB, whose servers may lock an account after refused logins.

use std::thread;
use std::time::Duration;

use engine::outcome::{Proof, Verdict};
use pawl::servers::{Engine, Server};
use serde_json::json;

use super::{Cluster, address, arrives, leak, password, short, turned};
use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique, wait_for};
use crate::rotator_support::{Case, fails};

/// What the two servers call things.
struct Words {
    begin: fn(&Server) -> String,
    stop: &'static str,
    start: &'static str,
    promote: &'static str,
    limited: &'static str,
}

const MARIADB: Words = Words {
    begin: |primary| {
        format!(
            "CHANGE MASTER TO MASTER_HOST = '{}', MASTER_PORT = {}, MASTER_USER = '{}', MASTER_PASSWORD = '{}', \
             MASTER_USE_GTID = slave_pos;\nSTART SLAVE;\nSET GLOBAL read_only = 1",
            primary.host, primary.port, primary.admin_user, primary.admin_password
        )
    },
    stop: "STOP SLAVE SQL_THREAD",
    start: "START SLAVE SQL_THREAD",
    promote: "STOP SLAVE;\nSET GLOBAL read_only = 0",
    limited: "",
};

const MYSQL: Words = Words {
    begin: |primary| {
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{}', SOURCE_PORT = {}, SOURCE_USER = '{}', \
             SOURCE_PASSWORD = '{}', GET_SOURCE_PUBLIC_KEY = 1;\nSTART REPLICA;\nSET GLOBAL super_read_only = 1",
            primary.host, primary.port, primary.admin_user, primary.admin_password
        )
    },
    stop: "STOP REPLICA SQL_THREAD",
    start: "START REPLICA SQL_THREAD",
    promote: "STOP REPLICA;\nSET GLOBAL super_read_only = 0;\nSET GLOBAL read_only = 0",
    limited: " FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED",
};

fn cluster(engine: Engine) -> Option<(Cluster, Words)> {
    let words = if engine == Engine::Mysql { MYSQL } else { MARIADB };
    // MariaDB's limit is the server's, MySQL's is the account's.
    let limit: &[&str] = if engine == Engine::Mysql { &[] } else { &["--max-password-errors=3"] };
    let with = |own: &[&str]| servers::own(engine, &[own, limit].concat()).map(leak);
    let primary = with(&["--log-bin=changes", "--server-id=1"])?;
    let standby = with(&["--log-bin=changes", "--server-id=2"])?;
    execute(standby, &(words.begin)(primary));
    Some((Cluster { primary, standby }, words))
}

fn case(cluster: &Cluster, words: &Words) -> Case {
    let account = Account { server: cluster.primary, user: unique("u"), password: unique("Canary-first-") };
    let create = format!("CREATE USER '{}'@'%' IDENTIFIED BY '{}'{}", account.user, account.password, words.limited);
    execute(cluster.primary, &create);
    arrives(cluster.standby, &account.user, &account.password);
    // So that either can be logged into by the harness: its database is not what this is about.
    Case::of(&account, &json!({"hosts": [address(cluster.standby)], "dbname": null}))
}

fn both(check: impl Fn(Cluster, Words) + Sync) {
    thread::scope(|scope| {
        for engine in [Engine::Mariadb, Engine::Mysql] {
            let check = &check;
            scope.spawn(move || {
                if let Some((cluster, words)) = cluster(engine) {
                    check(cluster, words);
                }
            });
        }
    });
}

// F63, F64, F65, F94
#[test]
fn mysql_and_mariadb_standbys_are_never_written_to_and_are_waited_for_without_being_locked() {
    both(|cluster, words| {
        for case in [case(&cluster, &words), turned(case(&cluster, &words), &cluster)] {
            execute(cluster.standby, words.stop);
            let old = case.password();
            let wanted = case.create();
            case.set(&wanted).expect("set at the primary");
            assert!(logs_in(cluster.primary, &case.user, &password(&wanted)));
            assert!(logs_in(cluster.standby, &case.user, &old), "the standby was not written to");
            let error = Case { deadline: Duration::from_secs(9), ..case.clone() }.test(&wanted).expect_err("it lags");
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "replica-lag"), "{error:?}");
            assert_eq!(error.failed_logins, 0, "AWSCURRENT set the server's count back each time");
            assert!(logs_in(cluster.standby, &case.user, &old), "the account is not locked there");
            execute(cluster.standby, words.start);
            case.test(&wanted).expect("it arrives while the test waits");
            assert!(logs_in(cluster.standby, &case.user, &password(&wanted)));
        }

        // An account that the standby lacks: its change would stop the replication.
        let account = Account { server: cluster.primary, user: unique("u"), password: unique("Canary-first-") };
        let create = format!("CREATE USER '{}'@'%' IDENTIFIED BY '{}'", account.user, account.password);
        execute(cluster.primary, &format!("SET SESSION sql_log_bin = 0;\n{create}"));
        let lacks = Case::of(&account, &json!({"hosts": [address(cluster.standby)], "dbname": null}));
        fails(lacks.set(&lacks.create()), Verdict::Retry, "host-differs");
        assert!(logs_in(cluster.primary, &account.user, &account.password), "nothing was changed");

        with_an_admin(&cluster, &words);

        // A failover in the middle: giving up is the new primary's.
        let case = case(&cluster, &words);
        let wanted = case.create();
        case.set(&wanted).expect("set");
        arrives(cluster.standby, &case.user, &password(&wanted));
        cluster.primary.kill().expect("killed");
        let case = Case { attempted: true, known: vec![("AWSPENDING".to_owned(), wanted)], ..case };
        fails(short(&case).restore(), Verdict::Retry, "no-primary");
        execute(cluster.standby, words.promote);
        assert!(matches!(case.prove().expect("the new primary"), Proof::CanRestore { .. }));
        case.restore().expect("put back");
        assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
        wait_for("the new primary has it", Duration::from_secs(5), || {
            logs_in(cluster.standby, &case.user, &case.password()).then_some(())
        });
    });
}

/// An admin sees in the catalogue whether a login can be right: none is refused. It sees a missing account as well.
fn with_an_admin(cluster: &Cluster, words: &Words) {
    let boss = Account { server: cluster.primary, user: unique("boss"), password: unique("Canary-boss-") };
    let create = format!("CREATE USER '{}'@'%' IDENTIFIED BY '{}'", boss.user, boss.password);
    let grant = format!("GRANT ALL PRIVILEGES ON *.* TO '{}'@'%' WITH GRANT OPTION", boss.user);
    execute(cluster.primary, &format!("{create};\n{grant}"));
    arrives(cluster.standby, &boss.user, &boss.password);
    let mut case = case(cluster, words);
    case.admin = Some(boss.secret(&json!({"hosts": [address(cluster.standby)]})));

    // The other of two accounts that take turns.
    let idle = Account { server: cluster.primary, user: format!("{}_clone", case.user), password: unique("Canary-2") };
    let create = format!("CREATE USER '{}'@'%' IDENTIFIED BY '{}'", idle.user, idle.password);
    execute(cluster.primary, &format!("SET SESSION sql_log_bin = 0;\n{create}"));
    let mut turn = case.create();
    turn["username"] = json!(idle.user);
    let error = case.set(&turn).expect_err("the standby lacks it");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "host-differs"), "{error:?}");
    assert!(error.message.contains("lacks the account"), "{error:?}");
    assert!(logs_in(cluster.primary, &idle.user, &idle.password), "nothing was changed");

    execute(cluster.standby, words.stop);
    let wanted = case.create();
    case.set(&wanted).expect("set by the admin at the primary");
    // Were one login refused, nothing would set the count back.
    case.known = vec![("AWSCURRENT".to_owned(), wanted.clone())];
    case.login_budget = 1;
    let error = Case { deadline: Duration::from_secs(6), ..case.clone() }.test(&wanted).expect_err("it lags");
    assert_eq!((error.code.as_str(), error.failed_logins), ("replica-lag", 0), "{error:?}");
    execute(cluster.standby, words.start);
    case.test(&wanted).expect("it arrives while the test waits");
}
