//! `pawl keyring`: a new key in the place of the old one, while the server serves and is killed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crypto::{KeyId, Keyring};
use pawl::servers::Engine;
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing, pawl};
use crate::harness::wire::Client;
use crate::harness::{servers, wait_for};
use crate::verify_only::{backed_up, must, on_folder, stop};

const SOON: Duration = Duration::from_secs(60);

fn file(home: &Home) -> PathBuf {
    home.data().join("keyring.json")
}

fn keys(home: &Home) -> Vec<KeyId> {
    Keyring::list(&file(home)).expect("a keyring").keys
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The keys that something in the store needs.
fn needed(pawl: &Pawl) -> Vec<String> {
    let answer = pawl.json(&["keyring", "status"]);
    let keys = answer["Keys"].as_array().expect("keys").iter().filter(|key| key["Needed"] == true);
    keys.map(|key| key["KeyId"].as_str().expect("an id").to_owned()).collect()
}

fn filled(pawl: &Pawl, count: u32) {
    let client = Client::of(pawl.administrator());
    for n in 0..count {
        let token = format!("token-of-secret-{n:0>32}");
        let body =
            json!({ "Name": format!("s{n}"), "SecretString": format!("value-{n}"), "ClientRequestToken": token });
        let (status, answer) = client.call(&pawl.url, "CreateSecret", &body).expect("an answer");
        assert_eq!(status, 200, "{answer}");
    }
}

fn read(pawl: &Pawl, n: u32) -> Value {
    pawl.aws("GetSecretValue", &json!({ "SecretId": format!("s{n}") })).expect("an answer")
}

#[test]
fn a_new_key_takes_the_old_ones_place_while_values_are_read_and_written() {
    let home = Home::new();
    let pawl = home.serve();
    filled(&pawl, 150);
    let yesterday = backed_up(&home, "yesterday.db");
    let old = keys(&home)[0];
    let is_over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut served = 0u32;
            while !is_over.load(Ordering::Relaxed) {
                let n = served % 150;
                assert_eq!(read(&pawl, n)["SecretString"], format!("value-{n}"));
                served += 1;
            }
            served
        });
        let rotated = pawl.run(&["keyring", "rotate"]);
        is_over.store(true, Ordering::Relaxed);
        assert!(rotated.status.success(), "{}\n{}", said(&rotated), home.log());
        reader.join().expect("every read was answered")
    });
    assert!(served > 0);
    let new = Keyring::list(&file(&home)).expect("a keyring").primary;
    assert_ne!(new, old);
    assert_eq!(needed(&pawl), [new.to_string()]);
    let shown = said(&pawl.run(&["keyring", "status"]));
    assert!(shown.contains(&old.to_string()) && shown.contains("primary"), "{shown}");

    let unasked = pawl.run(&["keyring", "rotate", "--retire"]);
    assert_eq!(unasked.status.code(), Some(1), "nobody said yes: {}", said(&unasked));
    assert_eq!(keys(&home), [new, old]);
    let retired = pawl.run(&["keyring", "rotate", "--retire", "--yes"]);
    assert!(retired.status.success(), "{}", said(&retired));
    assert_eq!(keys(&home), [new]);
    stop(pawl);
    let pawl = home.serve();
    assert_eq!(read(&pawl, 77)["SecretString"], "value-77");
    stop(pawl);

    // The backup from before needs the old key; the file before the last change still has it.
    let from = yesterday.to_str().expect("UTF-8").to_owned();
    let refused = on_folder(&home.data(), &["restore", "--replace", "--from", &from]);
    let words = format!("sealed under key {old}, which this keyring does not have");
    assert!(!refused.status.success() && said(&refused).contains(&words), "{}", said(&refused));
    let before = Keyring::kept_beside(&file(&home)).to_str().expect("UTF-8").to_owned();
    let elsewhere = Home::new();
    must(&on_folder(&elsewhere.data(), &["restore", "--from", &from, "--keyring", &before]));
}

#[test]
fn a_key_that_is_needed_stays_and_a_rotation_of_keys_that_was_killed_goes_on() {
    let home = Home::new();
    let served = home.serve();
    filled(&served, 400);
    let old = keys(&home)[0];
    let added = served.run(&["keyring", "rotate", "--add-only"]);
    assert!(added.status.success() && said(&added).contains("copy"), "{}", said(&added));
    let new = Keyring::list(&file(&home)).expect("a keyring").next.expect("it waits");
    assert_eq!(needed(&served), [old.to_string()]);
    let early = served.run(&["keyring", "rotate", "--retire", "--yes"]);
    assert!(said(&early).contains("no old key"), "the one that seals is none: {}", said(&early));

    let mut command = pawl();
    command.args(["keyring", "rotate", "--endpoint-url", &served.url, "--data"]).arg(home.data());
    let mut rotating =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("runs");
    wait_for("the new key is primary in the file", SOON, || {
        (Keyring::list(&file(&home)).ok()?.primary == new).then_some(())
    });
    rotating.kill().expect("our own child");
    rotating.wait().expect("its status");
    drop(served);

    let served = home.serve();
    let finished = served.run(&["keyring", "rotate"]);
    assert!(finished.status.success(), "{}\n{}", said(&finished), home.log());
    // Where the server had gone to its end by itself, the second command is a rotation of its own, to a third key.
    let primary = Keyring::list(&file(&home)).expect("a keyring").primary;
    assert!(primary == new || keys(&home).len() == 3, "{}", said(&finished));
    assert_eq!(needed(&served), [primary.to_string()]);
    for n in [0, 133, 399] {
        assert_eq!(read(&served, n)["SecretString"], format!("value-{n}"));
    }
}

#[test]
fn the_keyring_of_another_store_is_refused_and_stays_as_it_is() {
    let (home, other) = (Home::new(), Home::new());
    let served = home.serve();
    stop(other.serve());
    let before = std::fs::read(file(&other)).expect("a keyring");
    let wrong = file(&other).to_str().expect("UTF-8").to_owned();
    for arguments in
        [&["keyring", "rotate"][..], &["keyring", "rotate", "--add-only"], &["keyring", "rotate", "--retire"]]
    {
        let output = served.run(&[arguments, &["--keyring", &wrong]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        let words = format!("does not have key {}, which seals this store", keys(&home)[0]);
        assert!(said(&output).contains(&words), "{arguments:?}: {}", said(&output));
    }
    let status = served.run(&["keyring", "status", "--keyring", &wrong]);
    assert!(status.status.success() && said(&status).contains("warning: "), "{}", said(&status));
    assert_eq!(std::fs::read(file(&other)).expect("a keyring"), before);
}

#[test]
fn an_export_opens_the_store_elsewhere_and_overwrites_nothing() {
    let home = Home::new();
    let served = home.serve();
    filled(&served, 1);
    let to = home.path().join("keyring-export.json");
    let name = to.to_str().expect("UTF-8").to_owned();
    let made = served.run(&["keyring", "export", "--to", &name]);
    assert!(made.status.success(), "{}", said(&made));
    assert_eq!(std::fs::metadata(&to).expect("it is there").permissions().mode() & 0o777, 0o600);
    let again = served.run(&["keyring", "export", "--to", &name]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("is there already and is not overwritten"), "{}", said(&again));
    let printed = served.run(&["keyring", "export"]);
    assert_eq!(String::from_utf8_lossy(&printed.stdout), std::fs::read_to_string(&to).expect("text"));
    let text = std::fs::read_to_string(&to).expect("text");
    let key = text.split("\"key\": \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key").to_owned();
    assert!(!said(&made).contains(&key) && !home.log().contains(&key), "a key is in no log");
    stop(served);
    std::fs::remove_file(file(&home)).expect("lost");
    let served = home.serve_with(&["--keyring", &name], &[]);
    assert_eq!(read(&served, 0)["SecretString"], "value-0");
}

// F124
#[test]
fn a_rotation_that_was_cut_short_is_finished_while_the_keys_change() {
    let Some(server) = servers::shared(Engine::Postgres) else { return };
    for point in ["set::before_change", "set::after_commit", "commit::before::testSecret"] {
        let home = Home::new();
        let mut served = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
        let account = Account::create(server);
        let name = served.create_for(&account, &nothing());
        let mut asking = served.ask_to_rotate(&name);
        served.ended(SOON);
        asking.wait().expect("its status");
        drop(served);
        let old = keys(&home)[0];
        Keyring::add_next(&file(&home)).expect("a new key");
        let new = Keyring::use_next(&file(&home)).expect("it is primary");
        let served = home.serve();
        let view = served.settled(&name);
        assert_eq!(view["State"], "idle", "{point}: {view}\n{}", home.log());
        let password = served.current_password(&name);
        assert!(password != account.password && account.logs_in(&password), "{point}");
        wait_for("the old key is needed no more", SOON, || (needed(&served) == [new.to_string()]).then_some(()));
        stop(served);
        Keyring::take_out(&file(&home), old).expect("taken out");
        let served = home.serve();
        assert_eq!(served.current_password(&name), password);
    }
}
