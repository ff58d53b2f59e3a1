//! A secret with several hosts: real standbys that replicate, stop replicating, and are promoted.

mod evil;
mod family;

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use engine::check::Verified;
use engine::outcome::{Proof, Verdict};
use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret, execute, logs_in};
use crate::harness::pawl::Home;
use crate::harness::{servers, wait_for};
use crate::rotator_support::{Case, fails};

/// Kept until the process ends, which ends the server.
fn leak(server: Server) -> &'static Server {
    Box::leak(Box::new(server))
}

fn address(server: &Server) -> String {
    format!("{}:{}", server.host, server.port)
}

/// Waits until this password logs in there.
fn arrives(server: &Server, user: &str, password: &str) {
    wait_for("the standby gets the change", Duration::from_secs(20), || logs_in(server, user, password).then_some(()));
}

/// A primary and its standby.
#[derive(Clone, Copy)]
struct Cluster {
    primary: &'static Server,
    standby: &'static Server,
}

impl Cluster {
    /// PostgreSQL, the log showing every connection.
    fn postgres() -> Option<Self> {
        let primary = leak(servers::own(Engine::Postgres, &["-c", "log_connections=on"])?);
        let standby = leak(servers::own_with(primary, Engine::Postgres, &[])?);
        Some(Self { primary, standby })
    }

    /// An account whose secret lists both, and which the standby has.
    fn case(&self) -> Case {
        let account = Account::create(self.primary);
        arrives(self.standby, &account.user, &account.password);
        Case::of(&account, &json!({"hosts": [address(self.standby)]}))
    }

    /// The same, changed by an admin whose secret lists both.
    fn case_by_admin(&self) -> Case {
        let mut case = self.case();
        case.admin = Some(admin_secret(self.primary, &json!({"hosts": [address(self.standby)]})));
        case
    }
}

/// The secret with the standby as its `host`, and the primary behind it.
fn turned(mut case: Case, cluster: &Cluster) -> Case {
    for value in [Some(&mut case.current), case.admin.as_mut()].into_iter().flatten() {
        value["port"] = json!(cluster.standby.port);
        value["hosts"] = json!([address(cluster.primary)]);
    }
    case
}

fn password(value: &Value) -> String {
    value["password"].as_str().expect("a password").to_owned()
}

fn short(case: &Case) -> Case {
    Case { deadline: Duration::from_secs(3), ..case.clone() }
}

// F65, F94
#[test]
fn a_standby_is_passed_over_and_tested_whichever_host_is_listed_first() {
    let Some(cluster) = Cluster::postgres() else { return };
    for case in [cluster.case(), cluster.case_by_admin()] {
        for mut case in [case.clone(), turned(case, &cluster)] {
            case.current["password"] = json!(case.password());
            let wanted = case.create();
            let done = case.set(&wanted).expect("set at the primary");
            assert_eq!(done.failed_logins, 0);
            case.attempted = true;
            case.set(&wanted).expect("set again");
            case.test(&wanted).expect("tested at both");
            for server in [cluster.primary, cluster.standby] {
                assert!(logs_in(server, &case.user, &password(&wanted)), "proven at {server:?}");
            }
            case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
            assert!(matches!(case.prove().expect("another logs in"), Proof::CanRestore { .. }));
            case.restore().expect("put back at the primary");
            assert_eq!(case.prove().expect("proven at the primary"), Proof::CurrentLogsIn);
            arrives(cluster.standby, &case.user, &case.password());
        }
    }
}

// F64
#[test]
fn a_standby_that_lags_is_waited_for_and_costs_the_account_nothing() {
    let Some(cluster) = Cluster::postgres() else { return };
    for case in [cluster.case(), cluster.case_by_admin(), turned(cluster.case(), &cluster)] {
        execute(cluster.standby, "SELECT pg_wal_replay_pause()");
        let wanted = case.create();
        case.set(&wanted).expect("set");
        let error = short(&case).test(&wanted).expect_err("the standby does not have it");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "replica-lag"), "{error:?}");
        assert!(error.message.contains(&address(cluster.standby)) && error.message.contains(" s old"), "{error:?}");
        assert_eq!(error.failed_logins, 0, "a standby that lags is no wrong password");

        let refused = || std::fs::read_to_string(&cluster.standby.log).expect("the log").matches(&case.user).count();
        let before = refused();
        thread::scope(|scope| {
            let test = scope.spawn(|| case.test(&wanted));
            wait_for("the standby refuses it", Duration::from_secs(10), || (refused() > before).then_some(()));
            execute(cluster.standby, "SELECT pg_wal_replay_resume()");
            test.join().expect("no panic").expect("it arrives while the test waits");
        });
        assert!(logs_in(cluster.standby, &case.user, &password(&wanted)));
    }
}

// F64, F94
#[test]
fn a_preflight_and_a_verify_look_at_every_host() {
    let Some(cluster) = Cluster::postgres() else { return };
    for case in [cluster.case(), turned(cluster.case_by_admin(), &cluster)] {
        let report = case.check().expect("a report");
        assert!(report.passes(), "{report:?}");
        let servers: Vec<_> = report.servers.iter().map(|server| (server.address.clone(), server.standby)).collect();
        assert_eq!(servers, [(address(cluster.primary), false), (address(cluster.standby), true)]);
        assert_eq!(case.verify().expect("an answer"), Verified::CurrentLogsIn);
    }
    let mut case = cluster.case();
    execute(cluster.standby, "SELECT pg_wal_replay_pause()");
    let wanted = case.create();
    case.set(&wanted).expect("set");
    case.known = vec![("AWSPREVIOUS".to_owned(), std::mem::replace(&mut case.current, wanted))];
    let found = Verified::AnotherLogsIn { role: "AWSPREVIOUS".to_owned() };
    assert_eq!(case.verify().expect("an answer"), found, "the standby has the old one");
    cluster.standby.stop().expect("stopped");
    let report = case.check().expect("a report");
    assert!(!report.passes() && report.findings.iter().any(|it| it.code == "unreachable"), "{report:?}");
    fails(case.verify(), Verdict::Retry, "refused");
}

// F65
#[test]
fn a_failover_in_the_middle_of_a_rotation_moves_it_to_the_new_primary() {
    let Some(cluster) = Cluster::postgres() else { return };
    let (going_on, giving_up) = (cluster.case(), cluster.case_by_admin());
    let wanted = going_on.create();
    going_on.set(&wanted).expect("set");
    let other = giving_up.create();
    giving_up.set(&other).expect("set");
    arrives(cluster.standby, &going_on.user, &password(&wanted));
    arrives(cluster.standby, &giving_up.user, &password(&other));
    cluster.primary.stop().expect("stopped");
    // Neither host takes writes now.
    let going_on = Case { attempted: true, known: vec![], ..going_on };
    fails(short(&going_on).prove(), Verdict::Retry, "no-primary");
    execute(cluster.standby, "SELECT pg_promote()");

    let error = short(&going_on).test(&wanted).expect_err("not proven everywhere");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "refused"), "{error:?}");
    going_on.set(&wanted).expect("it is there already");
    let fresh = Case { attempted: false, ..going_on.clone() };
    let error = fresh.set(&fresh.create()).expect_err("nothing is begun while a host is away");
    assert!(error.verdict == Verdict::Retry && error.message.contains("Nothing was changed"), "{error:?}");

    let giving_up = Case { known: vec![("AWSPENDING".to_owned(), other)], attempted: true, ..giving_up };
    assert!(matches!(giving_up.prove().expect("the new primary"), Proof::CanRestore { .. }));
    giving_up.restore().expect("put back at the new primary");
    assert_eq!(giving_up.prove().expect("proven there"), Proof::CurrentLogsIn);
    assert!(logs_in(cluster.standby, &giving_up.user, &giving_up.password()));

    // The old primary comes back as a standby of the new one.
    follow(cluster.primary, cluster.standby);
    arrives(cluster.primary, &giving_up.user, &giving_up.password());
    going_on.test(&wanted).expect("proven at both again");
}

/// Makes a stopped server a standby.
fn follow(server: &Server, primary: &Server) {
    let data = server.dir.join("data");
    let mut settings =
        std::fs::OpenOptions::new().append(true).open(data.join("postgresql.auto.conf")).expect("its settings");
    writeln!(
        settings,
        "primary_conninfo = 'host={} port={} user={} password={}'",
        primary.host, primary.port, primary.admin_user, primary.admin_password
    )
    .expect("written");
    std::fs::write(data.join("standby.signal"), "").expect("written");
    server.restart().expect("a standby");
}

// F66
#[test]
fn a_change_that_a_failover_lost_is_made_again() {
    let Some(cluster) = Cluster::postgres() else { return };
    let mut case = cluster.case();
    execute(cluster.standby, "ALTER SYSTEM SET primary_conninfo = ''");
    execute(cluster.standby, "SELECT pg_reload_conf()");
    wait_for("nothing is sent any more", Duration::from_secs(20), || {
        // The log of the standby says when its receiver has ended.
        let log = std::fs::read_to_string(&cluster.standby.log).expect("the log");
        log.contains("terminating walreceiver process").then_some(())
    });
    let wanted = case.create();
    case.set(&wanted).expect("set, and not sent on");
    case.attempted = true;
    fails(short(&case).test(&wanted), Verdict::Retry, "replica-lag");
    cluster.primary.kill().expect("killed");
    execute(cluster.standby, "SELECT pg_promote()");

    fails(short(&case).test(&wanted), Verdict::Rejected, "28P01");
    let done = case.set(&wanted).expect("made again at the new primary");
    assert_eq!(done.failed_logins, 1, "the value that may have arrived was tried first");
    assert!(logs_in(cluster.standby, &case.user, &password(&wanted)));
    fails(short(&case).test(&wanted), Verdict::Retry, "refused");
}

// F123
#[test]
fn an_admin_is_sent_only_to_hosts_that_its_secret_lists() {
    let Some(cluster) = Cluster::postgres() else { return };
    let mut case = turned(cluster.case(), &cluster);
    let log = || std::fs::read_to_string(&cluster.standby.log).expect("the log");
    execute(cluster.standby, "ALTER SYSTEM SET log_connections = on");
    execute(cluster.standby, "SELECT pg_reload_conf()");
    wait_for("connections are logged", Duration::from_secs(10), || {
        logs_in(cluster.standby, &case.user, &case.password());
        log().contains(&format!("authorized: user={}", case.user)).then_some(())
    });
    let seen = || log().matches("authorized: user=admin").count();
    let (before, wanted) = (seen(), case.create());
    case.set(&wanted).expect("set by the account itself");
    // The admin's secret has one of the two alone: a new credential that it sets would be shown to the other.
    for server in [cluster.primary, cluster.standby] {
        case.admin = Some(admin_secret(server, &json!({})));
        let error = case.set(&case.create()).expect_err("not in the admin's secret");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "admin-elsewhere"), "{error:?}");
    }
    // It puts AWSCURRENT back where it is listed.
    case.admin = Some(admin_secret(cluster.primary, &json!({})));
    case.attempted = true;
    case.known = vec![("AWSPENDING".to_owned(), wanted)];
    assert!(matches!(case.prove().expect("by the primary"), Proof::CanRestore { .. }));
    case.restore().expect("put back at the primary");
    let (wanted, next) = (case.current.clone(), case.create());
    case.test(&wanted).expect("tested");
    assert_eq!(seen(), before, "the standby never saw the admin");
    // And a new value brings no host of its own.
    case.admin = None;
    let mut elsewhere = next.clone();
    elsewhere["hosts"] = json!([address(cluster.primary), "192.0.2.1"]);
    fails(case.set(&elsewhere), Verdict::NeedsPerson, "other-account");
    assert!(logs_in(cluster.primary, &case.user, &password(&wanted)), "nothing was changed");
}

#[test]
fn a_secret_with_one_host_costs_not_one_connection_more() {
    let Some(cluster) = Cluster::postgres() else { return };
    let case = Case::of(&Account::create(cluster.primary), &json!({"hosts": []}));
    let wanted = case.create();
    let logins = || {
        let log = std::fs::read_to_string(&cluster.primary.log).expect("the log");
        log.matches(&format!("connection authorized: user={}", case.user)).count()
    };
    case.set(&wanted).expect("set");
    assert_eq!(logins(), 1);
    case.test(&wanted).expect("tested");
    assert_eq!(logins(), 2);
}

// F63, F94, F14
#[test]
fn a_host_that_refuses_awscurrent_stops_a_rotation_before_it_changes_anything() {
    let Some(cluster) = Cluster::postgres() else { return };
    let Some(stranger) = servers::postgres() else { return };
    let mut case = cluster.case();
    case.current["hosts"] = json!([address(stranger)]);
    let error = case.set(&case.create()).expect_err("the other host has no such account");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "host-differs"), "{error:?}");
    assert!(error.message.contains(&address(stranger)) && !error.remedy.is_empty(), "{error:?}");
    assert!(logs_in(cluster.primary, &case.user, &case.password()), "nothing was changed");
}

// F64, F14
#[test]
fn a_whole_rotation_waits_for_a_standby_and_then_moves_awscurrent() {
    let Some(cluster) = Cluster::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(cluster.primary);
    arrives(cluster.standby, &account.user, &account.password);
    let name = pawl.create_for(&account, &json!({"hosts": [address(cluster.standby)]}));
    execute(cluster.standby, "SELECT pg_wal_replay_pause()");
    pawl.json(&["rotation", "now", &name]);
    wait_for("the standby is waited for", Duration::from_secs(60), || {
        let history = pawl.history(&name);
        let lags = |entry: &Value| entry["Message"].as_str().is_some_and(|text| text.contains("yet; the last change"));
        history.iter().any(lags).then_some(())
    });
    assert_eq!(pawl.current_password(&name), account.password, "AWSCURRENT does not move before");
    execute(cluster.standby, "SELECT pg_wal_replay_resume()");
    assert_eq!(pawl.settled(&name)["State"], "idle");
    let now = pawl.current_password(&name);
    assert_ne!(now, account.password);
    for server in [cluster.primary, cluster.standby] {
        assert!(logs_in(server, &account.user, &now), "{server:?}");
    }
}
