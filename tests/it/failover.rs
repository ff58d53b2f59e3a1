//! The store's own failover: a real standby that lacks what was acknowledged last is promoted, and nodes that were serving go on
//! with it. What it does not know is reported and never overwritten; nobody is locked out.

use std::time::Duration;

use pawl::servers::{Engine, Server};

use crate::harness::account::{Account, execute, told};
use crate::harness::chaos::Link;
use crate::harness::cluster::Cluster;
use crate::harness::pawl::{Pawl, nothing};
use crate::harness::{servers, wait_for};
use crate::verify_only::{SOON, adopted, held, held_count, rotates, store, with_admin};

/// A store that has a standby, and its nodes' way to it, which may come to lead to the other server.
struct Replicated {
    primary: Server,
    standby: Server,
    link: Link,
    cluster: Cluster,
}

impl Replicated {
    fn with_nodes(count: usize) -> Option<Self> {
        let primary = servers::own(Engine::Postgres, &[])?;
        let standby = servers::own_with(&primary, Engine::Postgres, &[])?;
        let link = Link::to(&primary.host, primary.port);
        let mut cluster = Cluster::on(&primary, count, "");
        let (direct, linked) = (format!(":{}/", primary.port), format!(":{}/", link.port));
        cluster.url = cluster.url.replace(&direct, &linked);
        Some(Self { primary, standby, link, cluster })
    }

    /// The standby has everything up to now, and gets nothing any more.
    fn cut_off(&self) {
        let Self { primary, standby, .. } = self;
        let here = told(primary, "SELECT pg_current_wal_lsn()::text");
        let has = format!("SELECT (pg_last_wal_replay_lsn() >= '{here}'::pg_lsn)::text");
        wait_for("the standby has caught up", SOON, || (told(standby, &has) == "true").then_some(()));
        execute(standby, "ALTER SYSTEM SET primary_conninfo = ''");
        execute(standby, "SELECT pg_reload_conf()");
        let alone = "SELECT count(*)::text FROM pg_stat_replication";
        wait_for("nobody replicates", SOON, || (told(primary, alone) == "0").then_some(()));
    }

    fn fails_over(&self) {
        let Self { primary, standby, link, .. } = self;
        link.refuse();
        primary.kill().expect("killed");
        execute(standby, "SELECT pg_promote()");
        let promoted = "SELECT pg_is_in_recovery()::text";
        wait_for("it is promoted", SOON, || (told(standby, promoted) == "false").then_some(()));
        link.lead_to(&standby.host, standby.port);
    }
}

fn says_verify_only(pawl: &Pawl) -> Option<String> {
    let ran = pawl.run(&["store", "status"]);
    let said = String::from_utf8(ran.stdout).expect("UTF-8");
    said.contains("timeline").then_some(said)
}

// F11
#[test]
fn a_failover_that_loses_what_was_acknowledged_is_noticed_and_nothing_is_overwritten() {
    let (Some(replicated), Some(target)) = (Replicated::with_nodes(2), servers::postgres()) else { return };
    let cluster = &replicated.cluster;
    let nodes = cluster.serve_all();
    let (moved, still) = (Account::create(target), Account::create(target));
    let extra = with_admin(&nodes[0], target);
    let (name, other) = (adopted(&nodes[0], &moved, &extra), adopted(&nodes[0], &still, &nothing()));
    rotates(&nodes[1], &name);
    let known = nodes[0].current_password(&name);
    replicated.cut_off();
    rotates(&nodes[0], &name);
    let lost = nodes[1].current_password(&name);
    assert!(moved.logs_in(&lost) && !moved.logs_in(&known), "services have it already");

    replicated.fails_over();

    for node in &nodes {
        let said = wait_for("the failover is noticed", SOON, || says_verify_only(node));
        assert!(said.contains("may have lost what was acknowledged"), "{said}");
    }
    wait_for("the accounts were looked at", SOON, || (held_count(&nodes[1]) == 1).then_some(()));
    let found = wait_for("it is reported", SOON, || held(&nodes[0], &name).filter(|held| held["Drifted"] == true));
    assert!(found.to_string().contains("rotation reconcile"), "{found}");
    assert!(moved.logs_in(&lost), "nothing was overwritten\n{}", cluster.logs());
    assert_eq!(nodes[0].current_password(&name), known, "the store says what it knows");
    let refused = nodes[1].run(&["rotation", "now", &name]);
    assert!(!refused.status.success(), "a rotation would begin from what does not log in");
    // What a person decides brings both together again, and everything goes on.
    nodes[1].json(&["rotation", "reconcile", &name, "--wait"]);
    wait_for("the store is as usual", SOON, || store(&nodes[0])["VerifyOnly"].is_null().then_some(()));
    for (secret, account) in [(&name, &moved), (&other, &still)] {
        wait_for("it is let go", SOON, || nodes[0].status(secret)["Held"].is_null().then_some(()));
        rotates(&nodes[0], secret);
        assert!(account.logs_in(&nodes[1].current_password(secret)), "{}", cluster.logs());
    }
}

// F11
#[test]
fn a_node_in_the_middle_of_a_rotation_at_a_failover_does_nothing_that_the_new_server_does_not_know_of() {
    let (Some(replicated), Some(target)) = (Replicated::with_nodes(1), servers::postgres()) else { return };
    let cluster = &replicated.cluster;
    // It has committed that it begins to set a password of which the standby will never hear.
    let latch = cluster.home(0).path().join("latch");
    std::fs::create_dir(&latch).expect("a folder");
    let variables = [("PAWL_LATCH", latch.to_str().expect("UTF-8")), ("PAWL_LATCH_AT", "material::before::setSecret")];
    let node = cluster.serve_with(0, &[], &variables);
    let account = Account::create(target);
    let name = adopted(&node, &account, &nothing());
    replicated.cut_off();
    std::fs::write(latch.join("armed"), "hold").expect("armed");
    let mut asking = node.ask_to_rotate(&name);
    let reached = latch.join("reached");
    wait_for("it is held", SOON, || reached.exists().then_some(()));
    replicated.fails_over();
    wait_for("the failover is noticed", SOON, || says_verify_only(&node));
    std::fs::remove_file(reached).expect("it was held");
    let _ended = asking.kill();
    let _reaped = asking.wait();
    wait_for("the store is as usual", Duration::from_secs(90), || store(&node)["VerifyOnly"].is_null().then_some(()));
    assert_eq!(node.current_password(&name), account.password);
    assert!(account.logs_in(&account.password), "the target was not touched\n{}", cluster.logs());
    wait_for("it is let go", SOON, || node.status(&name)["Held"].is_null().then_some(()));
    rotates(&node, &name);
    assert!(account.logs_in(&node.current_password(&name)), "{}", cluster.logs());
}
