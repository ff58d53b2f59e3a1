//! An installation moves from its folder into PostgreSQL, and what an operator may get wrong on the way there loses nothing.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::harness::cluster::Cluster;
use crate::harness::pawl::{Home, pawl};
use crate::verify_only::{must, stop};

/// What a command said that did not do what was asked.
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("Canary-store-"), "the password of the store is shown: {said}");
    said
}

/// Runs a verb on a folder; with `store` in the environment where there is one.
fn run(data: &Path, store: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = pawl();
    command.args(arguments).arg("--data").arg(data).env_remove("PAWL_STORE");
    command.envs(store.map(|url| ("PAWL_STORE", url)));
    command.stdin(std::process::Stdio::null()).output().expect("pawl runs")
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_store_that_moves_is_left_behind_by_nobody_and_then_served_by_nobody() {
    let Some(cluster) = Cluster::new(1) else { return };
    let home = Home::new();
    let served = home.serve();
    served.create("s", &json!({"password": "p"}));
    stop(served);
    let (data, url) = (home.data(), cluster.url.as_str());
    let credentials = fs::read(data.join("credentials")).expect("credentials");
    let serve = |store| run(&data, store, &["serve", "--listen", "127.0.0.1:0"]);

    let said = refused(&serve(Some(url)));
    assert!(said.contains("pawl store copy --from sqlite://") && said.contains("pawl.db"), "{said}");
    assert_eq!(
        fs::read(data.join("credentials")).expect("credentials"),
        credentials,
        "the only key is not overwritten"
    );

    let from = format!("sqlite://{}", data.display());
    let copy = |to: &str| pawl().args(["store", "copy", "--from", &from, "--to", to]).output().expect("pawl runs");
    assert!(refused(&copy(&format!("{from}/."))).contains("are the same store"));
    assert_eq!(refused(&copy("mysql://u:Canary-store-1@h/d")).matches("mysql is no store").count(), 1);
    assert!(must(&copy(url)).contains("moved-to says so"));

    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["store", "backup", "--to", "/nonexistent/backup.db"]]
    {
        let said = refused(&run(&data, None, arguments));
        assert!(said.contains("was moved to postgres://") && said.contains("remove"), "{arguments:?}: {said}");
    }
    let elsewhere = format!("sqlite://{}", home.path().join("third").display());
    assert!(refused(&copy(&elsewhere)).contains("was moved to postgres://"));
    let node = home.serve_with(&[], &[("PAWL_STORE", url)]);
    assert_eq!(node.current_password("s"), "p");
    drop(node);
    // And back, when somebody says so.
    fs::remove_file(data.join("moved-to")).expect("the mark is there");
    assert_eq!(home.serve().current_password("s"), "p");
}

#[test]
fn a_backup_is_of_the_store_that_is_served_and_a_restore_says_when_it_is_not() {
    let Some(cluster) = Cluster::new(1) else { return };
    let node = cluster.serve(0);
    node.create("s", &json!({"password": "p"}));
    let home = cluster.home(0);
    let config = home.path().join("pawl.toml");
    fs::write(&config, format!("store = \"{}\"\n", cluster.url)).expect("written");
    let backup = home.path().join("backup.db");
    let made = run(&home.data(), None, &["store", "backup", "--to", &text(&backup), "--config", &text(&config)]);
    let said = must(&made);
    assert!(said.contains("1 secrets") && said.contains("of the store postgres://"), "{said}");
    let keyring = text(&home.data().join("keyring.json"));
    let restored = home.path().join("restored");
    let restore = ["store", "restore", "--from", &text(&backup), "--keyring", &keyring];
    let said = must(&run(&restored, Some(&cluster.url), &restore));
    assert!(said.contains("nobody serves it yet") && said.contains("pawl store copy --from sqlite://"), "{said}");
    assert!(!said.contains("Canary-store-"), "{said}");
}

#[test]
fn a_key_of_a_shared_store_is_replaced_only_when_every_node_is_stopped() {
    let Some(cluster) = Cluster::new(2) else { return };
    let nodes = cluster.serve_all();
    let keys = || nodes[0].json(&["key", "list"])["AccessKeys"].as_array().map(Vec::len);
    let (first, second) = (cluster.home(0).data(), cluster.home(1).data());
    fs::remove_file(second.join("credentials")).expect("it was copied there");
    for role in [&[][..], &["--principal", "web", "--role", "reader", "--prefix", "app/"]] {
        let said = refused(&run(&second, Some(&cluster.url), &[&["key", "create"], role].concat()));
        assert!(said.contains("serves postgres://") && said.contains("started first"), "{said}");
    }
    assert_eq!(keys(), Some(1), "nothing was made and nothing deleted");
    // With a key a node is asked, here one that does not answer.
    let mut command = pawl();
    command.args(["key", "create", "--data"]).arg(&first);
    command.envs([("PAWL_STORE", cluster.url.as_str()), ("PAWL_ENDPOINT_URL", "http://127.0.0.1:9")]);
    let output = command.output().expect("pawl runs");
    assert_eq!(output.status.code(), Some(3));
    let said = refused(&output);
    assert!(said.contains("no server answers") && said.contains("counts for ten minutes"), "{said}");
    nodes.into_iter().for_each(stop);
    // A file with a key that is of no use is in nobody's way.
    let made = run(&first, Some(&cluster.url), &["key", "create"]);
    assert!(must(&made).contains("of the administrator is in"));
    let node = cluster.serve(0);
    assert_eq!(node.json(&["key", "list"])["AccessKeys"].as_array().map(Vec::len), Some(2));
}

#[test]
fn two_nodes_on_one_folder_are_told_to_have_one_each() {
    let Some(cluster) = Cluster::new(1) else { return };
    let _node = cluster.serve(0);
    let second = run(&cluster.home(0).data(), Some(&cluster.url), &["serve", "--listen", "127.0.0.1:0"]);
    let said = refused(&second);
    assert!(said.contains("another `pawl serve` uses this folder"), "{said}");
}

#[test]
fn a_store_that_cannot_be_connected_to_is_named_once_with_what_to_do() {
    let Some(cluster) = Cluster::new(1) else { return };
    let home = Home::new();
    let (whole, database) = cluster.url.rsplit_once('/').expect("a database");
    let wrong = cluster.url.replacen("Canary-store-", "Canary-store-not-", 1);
    let absent = format!("{whole}/{database}_absent");
    let backup = text(&home.path().join("backup.db"));
    for (url, words) in [(&wrong, "PGPASSFILE"), (&absent, "createdb")] {
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["store", "backup", "--to", &backup]] {
            let said = refused(&run(&home.data(), Some(url), arguments));
            assert!(said.contains(words), "{said}");
            assert_eq!(said.matches("postgres://").count(), 1, "{said}");
            assert!(!said.contains("PostgresUrl") && !said.contains("at line"), "{said}");
        }
    }
}
