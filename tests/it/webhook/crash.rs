//! kill -9 of `pawl serve` around each delivery and each commit. The oracle is the service: some value that Pawl knows
//! logs in at every moment, and AWSCURRENT does when all is over.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{add, current, secret_of};
use crate::harness::pawl::Home;
use crate::harness::receiver::Receiver;
use crate::harness::service::{Service, account_value, callback, credentials_of, issuing, managed};
use crate::harness::several_at_a_time;

/// On either side of each delivery and of each commit.
const POINTS: [&str; 13] = [
    "commit::after::createSecret",
    "webhook::before-send",
    "webhook::after-answer",
    "commit::before::setSecret",
    "commit::after::setSecret",
    "webhook::before-send#2",
    "webhook::after-answer#2",
    "commit::before::testSecret",
    "commit::after::testSecret",
    "webhook::before-send#3",
    "webhook::after-answer#3",
    "commit::before::finishSecret",
    "commit::after::finishSecret",
];

/// Of a receiver that issues: around what nobody has stored yet, and the revoking of it.
const ISSUING_POINTS: [&str; 5] = [
    "webhook::before-send",
    "webhook::after-answer",
    "commit::before::createSecret",
    "commit::after::createSecret",
    "commit::after::finishSecret",
];

/// Rotates at a server that dies at `point`, and at the next one.
fn dies_and_recovers(point: &str, receiver: &Receiver, options: Value, value: &Value) -> Value {
    let home = Home::new();
    let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
    add(&pawl, "hooked", &receiver.url, options);
    secret_of(&pawl, "app", "hooked", value);
    let mut asking = pawl.ask_to_rotate("app");
    let status = pawl.ended(Duration::from_secs(60));
    asking.wait().expect("its status");
    assert_eq!(status.signal(), Some(9), "{point}: {status}; {}", home.log());
    drop(pawl);
    let pawl = home.serve();
    let view = pawl.settled("app");
    assert_eq!(view["State"], "idle", "{point}: {view}\n{}", home.log());
    let new = current(&pawl, "app");
    assert_ne!(&new, value, "{point}: the rotation was completed");
    new
}

#[test]
fn a_managed_rotation_is_completed_after_a_kill_at_any_point() {
    several_at_a_time(POINTS.to_vec(), |point| {
        let service = Service::with("first");
        let served = Arc::clone(&service);
        let receiver = Receiver::start(move |event| managed(&served, event));
        let new = dies_and_recovers(point, &receiver, json!({}), &account_value("first"));
        assert!(service.takes(&new), "{point}: AWSCURRENT logs in");
        let passwords: BTreeSet<_> =
            receiver.of("setSecret").iter().map(|event| event.body["Pending"].to_string()).collect();
        assert_eq!(passwords.len(), 1, "{point}: the same candidate throughout");
    });
}

// F119
#[test]
fn what_an_issuing_receiver_made_is_stored_or_revoked_after_a_kill_at_any_point() {
    several_at_a_time(ISSUING_POINTS.to_vec(), |point| {
        let service = Arc::new(Service::default());
        let served = Arc::clone(&service);
        let receiver = Receiver::start(move |event| issuing(&served, event));
        let first = json!({ "username": "by hand", "password": "first" });
        let new = dies_and_recovers(point, &receiver, json!({ "Issues": true, "Steps": ["revoke"] }), &first);
        assert!(service.takes(&new), "{point}: AWSCURRENT logs in");
        assert_eq!(service.users(), [new["username"].as_str().expect("a user")], "{point}: no orphan is left");
    });
}

#[test]
fn a_receiver_that_calls_back_completes_its_rotation_after_a_kill_at_any_point() {
    several_at_a_time(POINTS.to_vec(), |point| {
        let service = Service::with("first");
        let served = Arc::clone(&service);
        let receiver = Receiver::start(move |event| {
            let url = event.body["Endpoint"].as_str().expect("an endpoint");
            callback(&served, url, &credentials_of(event), event)
        });
        let options = json!({ "Mode": "callback", "Credentials": true });
        let new = dies_and_recovers(point, &receiver, options, &account_value("first"));
        assert!(service.takes(&new), "{point}: AWSCURRENT logs in");
    });
}
