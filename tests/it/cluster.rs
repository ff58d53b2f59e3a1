//! Several `pawl serve` on one PostgreSQL store: what one acknowledges all have, one at a time works on a secret, and nobody is
//! needed when a node or the store dies.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pawl::servers::Engine;
use rustix::process::Signal;
use serde_json::json;

use crate::harness::account::Account;
use crate::harness::cluster::Cluster;
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::wire::Client;
use crate::harness::{servers, unique, wait_for};

/// A token of the wire.
fn token() -> String {
    format!("{:.<32}", unique("t"))
}

// F22, F98
#[test]
fn what_one_node_acknowledged_every_node_has_at_once() {
    let Some(cluster) = Cluster::new(3) else { return };
    let nodes = cluster.serve_all();
    nodes[0].create("s", &json!({"password": "p0"}));
    for n in 1..30 {
        let value = format!("{{\"password\":\"p{n}\"}}");
        let put = json!({"SecretId": "s", "ClientRequestToken": token(), "SecretString": value});
        let writer = &nodes[n % 3];
        assert!(writer.aws("PutSecretValue", &put).expect("an answer")["VersionId"].is_string());
        for reader in &nodes {
            assert_eq!(reader.current_password("s"), format!("p{n}"));
        }
    }
    // An access key that is disabled on one node is dead on all, and so is a policy there, and a rotator.
    let made = nodes[1].ask("CreateAccessKey", &json!({"Principal": "web", "Role": "reader", "Secrets": ["s"]}));
    let made = made.expect("made");
    let key = crate::harness::wire::Signed {
        access_key_id: made["AccessKeyId"].as_str().expect("an id").to_owned(),
        secret: made["SecretAccessKey"].as_str().expect("a secret").into(),
        session_token: None,
    };
    let get = |node: &Pawl| crate::harness::wire::call(&node.url, &key, "GetSecretValue", &json!({"SecretId": "s"}));
    assert!(nodes.iter().all(|node| get(node).expect("an answer").0 == 200));
    let disable = json!({"AccessKeyId": key.access_key_id, "Enabled": false});
    nodes[2].ask("UpdateAccessKey", &disable).expect("disabled");
    assert!(nodes.iter().all(|node| get(node).expect("an answer").0 == 400));
    let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "secretsmanager:*",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Resource": "*"}]});
    let put = json!({"SecretId": "s", "ResourcePolicy": document.to_string()});
    let answer = nodes[0].aws("PutResourcePolicy", &put).expect("an answer");
    assert!(answer["ARN"].is_string(), "{answer}");
    for node in &nodes {
        let answer = node.aws("GetResourcePolicy", &json!({"SecretId": "s"})).expect("an answer");
        assert!(answer["ResourcePolicy"].is_string(), "{answer}");
    }
    // A rotator that one node registered serves on another.
    nodes[1].json(&["rotator", "add", "webhook", "hook", "https://hook.example/rotate"]);
    for node in &nodes {
        assert!(node.run(&["rotator", "show", "hook"]).status.success());
    }
}

// Issue 6, line 4; F17.
// F17, F22
#[test]
fn a_hundred_parallel_rotatesecret_over_three_nodes_open_one_rotation() {
    let Some(cluster) = Cluster::new(3) else { return };
    let nodes = cluster.serve_all();
    // Nobody answers there, so that the rotation stays open while everybody asks.
    let value = json!({"engine": "postgres", "host": "127.0.0.1", "port": 9, "username": "u", "password": "p"});
    nodes[0].create("s", &value);
    let (accepted, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for n in 0..100 {
            let (node, accepted, refused) = (&nodes[n % 3], &accepted, &refused);
            scope.spawn(move || {
                let ask = json!({"SecretId": "s", "ClientRequestToken": token()});
                let answer = node.aws("RotateSecret", &ask).expect("an answer");
                if answer["VersionId"].is_string() {
                    accepted.fetch_add(1, Ordering::Relaxed);
                } else {
                    let said = answer["Message"].as_str().unwrap_or_default();
                    assert!(said.starts_with("A previous rotation isn't complete"), "{answer}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!((accepted.into_inner(), refused.into_inner()), (1, 99), "{}", cluster.logs());
    let secret = nodes[1].json(&["secret", "show", "s"]);
    assert_eq!(secret["VersionIdsToStages"].as_object().map(serde_json::Map::len), Some(2), "{secret}");
    let created = nodes[2].history("s").into_iter().filter(|line| line["Step"] == "createSecret").count();
    assert!(created <= 1, "one rotation made one value");
}

/// Another node ends what a node began that was stopped by `signal` at this point.
fn another_node_goes_on(variable: &str, point: &str) -> Option<(Cluster, Pawl, Pawl, String, Account)> {
    let target = servers::postgres()?;
    let cluster = Cluster::new(2)?;
    let account = Account::create(target);
    let first = cluster.serve_with(0, &[], &[(variable, point)]);
    let name = first.create_for(&account, &nothing());
    let mut asking = first.ask_to_rotate(&name);
    wait_for("the first node has the rotation", Duration::from_secs(30), || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", first.id())).unwrap_or_default();
        status.rsplit(") ").next().is_none_or(|rest| rest.starts_with(['T', 'Z'])).then_some(())
    });
    let second = cluster.serve(1);
    let view = second.settled(&name);
    assert_eq!(view["State"], "idle", "{point}: {view}\n{}", cluster.logs());
    assert!(account.logs_in(&second.current_password(&name)), "{point}: AWSCURRENT logs in");
    assert!(!account.logs_in(&account.password), "{point}: the rotation was completed");
    // A process that is stopped answers nobody.
    let _ended = asking.kill();
    let _reaped = asking.wait();
    Some((cluster, first, second, name, account))
}

// F21
#[test]
fn another_node_ends_the_rotation_of_one_that_was_killed() {
    for point in ["set::before_change", "set::after_change", "commit::before::setSecret"] {
        another_node_goes_on("PAWL_CRASH_AT", point);
    }
}

// F19
#[test]
fn a_node_that_slept_past_its_lease_does_nothing_when_it_wakes() {
    for point in ["set::before_change", "commit::before::setSecret"] {
        let Some((cluster, first, second, name, account)) = another_node_goes_on("PAWL_STOP_AT", point) else { return };
        // Another rotation, so that what the sleeper holds is two passwords old.
        assert!(second.run(&["rotation", "now", &name, "--wait"]).status.success(), "{}", cluster.logs());
        let password = second.current_password(&name);
        let before = cluster.home(0).log().len();
        first.signal(Signal::CONT);
        wait_for("the late node notices", Duration::from_secs(30), || {
            let log = cluster.home(0).log();
            let said = log.get(before..)?;
            (said.contains("lease was lost") || said.contains("setSecret of")).then_some(())
        });
        assert_eq!(first.current_password(&name), password, "{point}: it serves what the other made");
        assert!(account.logs_in(&password), "{point}: the late statement landed\n{}", cluster.logs());
    }
}

// F03, F28
#[test]
fn a_store_that_restarts_loses_nothing_that_was_acknowledged_and_nodes_recover_by_themselves() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let cluster = Cluster::on(&server, 3, "");
    let nodes = cluster.serve_all();
    for n in 0..3 {
        nodes[0].create(&format!("s{n}"), &json!({"n": 0}));
    }
    let stop = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|n| {
                let (node, stop) = (&nodes[n], &stop);
                scope.spawn(move || {
                    let client = Client::of(node.administrator());
                    let mut acknowledged = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let token = token();
                        let put = json!({"SecretId": format!("s{n}"), "ClientRequestToken": token, "SecretString": token,
                            "VersionStages": [token]});
                        // Without a label of its own a version is pruned; twenty fit.
                        let put = if acknowledged.len() < 15 { put } else { break };
                        if let Some((200, _)) = client.call(&node.url, "PutSecretValue", &put) {
                            acknowledged.push(token);
                        }
                        thread::yield_now();
                    }
                    acknowledged
                })
            })
            .collect();
        wait_for("something is written", Duration::from_secs(20), || {
            let listed = nodes[0].aws("ListSecretVersionIds", &json!({"SecretId": "s0"}))?;
            (listed["Versions"].as_array()?.len() > 2).then_some(())
        });
        server.kill().expect("killed");
        server.restart().expect("restarted");
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("ends")).collect();
        stop.store(true, Ordering::Relaxed);
        written
    });
    for (n, tokens) in written.iter().enumerate() {
        assert_eq!(tokens.len(), 15, "the node went on by itself");
        for token in tokens {
            let get = json!({"SecretId": format!("s{n}"), "VersionId": token});
            let answer = nodes[(n + 1) % 3].aws("GetSecretValue", &get).expect("an answer");
            assert_eq!(answer["SecretString"].as_str(), Some(token.as_str()), "{answer}");
        }
    }
}

#[test]
fn a_node_whose_store_is_gone_says_that_it_is_not_reached_and_why() {
    let Some(server) = servers::own(Engine::Postgres, &[]) else { return };
    let cluster = Cluster::on(&server, 1, "");
    let node = cluster.serve(0);
    server.kill().expect("killed");
    let said = |arguments: &[&str]| String::from_utf8_lossy(&node.run(arguments).stderr).into_owned();
    wait_for("it says so", Duration::from_secs(60), || {
        said(&["health"]).contains("not ready: the store is not reached: connection refused").then_some(())
    });
    let failed = said(&["secret", "list"]);
    assert!(failed.contains("InternalServiceError") && failed.contains("`pawl health` says"), "{failed}");
    assert!(cluster.logs().contains("the store is not reached: connection refused"), "{}", cluster.logs());
    server.restart().expect("restarted");
    wait_for("it is ready again", Duration::from_secs(60), || node.run(&["health"]).status.success().then_some(()));
}

#[test]
fn nodes_rotate_without_notifications_and_without_advisory_locks() {
    let Some(server) = servers::postgres() else { return };
    let cluster = Cluster::on(server, 2, "?notify=off&advisory_locks=off");
    let nodes = cluster.serve_all();
    let account = Account::create(server);
    let name = nodes[0].create_for(&account, &nothing());
    for node in [&nodes[0], &nodes[1], &nodes[0]] {
        assert!(node.run(&["rotation", "now", &name, "--wait"]).status.success(), "{}", cluster.logs());
    }
    assert!(account.logs_in(&nodes[1].current_password(&name)));
}

#[test]
fn of_two_nodes_that_make_the_store_at_once_one_serves_and_the_other_is_told_whose_keyring_to_take() {
    let Some(server) = servers::postgres() else { return };
    let cluster = Cluster::on(server, 1, "");
    let homes = [Home::new(), Home::new()];
    let mut started: Vec<_> = homes
        .iter()
        .map(|home| {
            let log = std::fs::File::create(home.path().join("log")).expect("a log");
            let mut command = crate::harness::pawl::pawl();
            command
                .args(["serve", "--listen", "127.0.0.1:0", "--data"])
                .arg(home.data())
                .env("PAWL_STORE", &cluster.url);
            command.stdout(log.try_clone().expect("a second handle")).stderr(log).spawn().expect("pawl starts")
        })
        .collect();
    let served = wait_for("one serves and one has ended", Duration::from_secs(60), || {
        let ended: Vec<bool> =
            started.iter_mut().map(|child| child.try_wait().expect("its status").is_some()).collect();
        let serves = |n: usize| !ended[n] && homes[n].log().contains(" listens on ");
        (0..2).find(|n| serves(*n) && ended[1 - n])
    });
    let said = homes[1 - served].log();
    for child in &mut started {
        let _ended = child.kill();
        let _reaped = child.wait();
    }
    assert!(said.contains("keyring") && said.to_lowercase().contains("copy the keyring"), "{said}");
    assert!(!said.contains("Canary-store-"), "the password of the store is not shown: {said}");
    assert!(
        !homes[1 - served].data().join("keyring.json").exists(),
        "a keyring that sealed nothing is not left behind"
    );
}
