//! `kill -9` of `pawl serve` while a function rotates: around each commit, and on either side of each call. The function
//! goes on by itself meanwhile, as one in AWS does. The database says who logs in.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use pawl::servers::Server;

use super::host::{Rotated, python};
use crate::crash::COMMITS;
use crate::harness::account::Account;
use crate::harness::pawl::Home;
use crate::harness::{servers, several_at_a_time};

/// The calls of the four steps, in their order.
const CALLS: [&str; 8] = [
    "webhook::before-send",
    "webhook::after-answer",
    "webhook::before-send#2",
    "webhook::after-answer#2",
    "webhook::before-send#3",
    "webhook::after-answer#3",
    "webhook::before-send#4",
    "webhook::after-answer#4",
];

fn dies_and_completes(python: &Path, server: &'static Server, pair: bool, point: &str) {
    let what = format!("{} at {point}", if pair { "a pair" } else { "a single user" });
    let home = Home::new();
    // Made by a server that lives: the one that is to die may do so in the first call it makes.
    let rotated = {
        let pawl = home.serve();
        let account = Account::create(server);
        match pair {
            true => Rotated::pair(python, &home, &pawl, account),
            false => Rotated::single(python, &home, &pawl, account),
        }
    };
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
    rotated.host.configure(&pawl, &rotated.key);
    rotated.ask_to_rotate(&pawl);
    let status = pawl.ended(Duration::from_secs(60));
    assert_eq!(status.signal(), Some(9), "{what}: {status}; {}", home.log());
    drop(pawl);

    let pawl = home.serve();
    rotated.host.configure(&pawl, &rotated.key);
    let view = pawl.settled(&rotated.name);
    assert_eq!(view["State"], "idle", "{what}: {view}\n{}", home.log());
    let (user, password) = rotated.current(&pawl);
    assert_ne!(password, rotated.account.password, "{what}: the rotation was completed");
    assert!(rotated.current_logs_in(&pawl), "{what}: AWSCURRENT logs in as {user}");
    let secret = pawl.json(&["secret", "show", &rotated.name]);
    assert_eq!(secret["VersionIdsToStages"].as_object().map(serde_json::Map::len), Some(2), "{what}: {secret}");
    assert!(!secret["VersionIdsToStages"].to_string().contains("AWSPENDING"), "{what}: {secret}");
    let mut tokens: Vec<_> =
        rotated.host.events().iter().map(|event| event["ClientRequestToken"].to_string()).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "{what}: one token throughout: {tokens:?}");
}

fn at_points(pair: bool, points: Vec<&'static str>) {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    several_at_a_time(points, |point| dies_and_completes(&python, server, pair, point));
}

#[test]
fn a_single_user_is_never_locked_out_by_a_process_killed_around_a_commit() {
    at_points(false, COMMITS.to_vec());
}

#[test]
fn a_single_user_is_never_locked_out_by_a_process_killed_around_a_call() {
    at_points(false, CALLS.to_vec());
}

#[test]
fn a_pair_is_never_locked_out_by_a_process_killed_around_a_call() {
    at_points(true, CALLS.to_vec());
}
