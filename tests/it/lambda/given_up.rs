//! Rotations by a function that are given up in the middle, in whatever way: AWSCURRENT is proven by the function's own
//! testSecret, on a copy of it, before anything is over.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::host::{Rotated, python};
use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl};
use crate::harness::{servers, wait_for};

/// A pair whose testSecret fails, once it is at that. Returns the rotation's token, too.
fn stuck_pair(python: &Path, home: &Home, pawl: &Pawl, account: Account) -> (Rotated, String) {
    let rotated = Rotated::pair(python, home, pawl, account);
    let token = super::token();
    rotated.host.always_fails("testSecret", &token);
    rotated.rotate_as(pawl, &token);
    wait_for("testSecret fails", Duration::from_secs(30), || {
        rotated.host.steps().contains(&"testSecret".to_owned()).then_some(())
    });
    (rotated, token)
}

/// The rotation is over, AWSCURRENT was tested on a version of its own, and nothing is left of either.
fn is_proven(rotated: &Rotated, pawl: &Pawl, token: &str) -> Value {
    let view = pawl.settled(&rotated.name);
    assert_eq!(view["State"], "idle", "{view}\n{:?}", pawl.history(&rotated.name));
    let last = rotated.host.events().pop().expect("an event");
    assert_eq!(last["Step"], "testSecret");
    assert_ne!(last["ClientRequestToken"], json!(token), "the copy is a version of its own");
    assert!(rotated.current_logs_in(pawl));
    let secret = pawl.json(&["secret", "show", &rotated.name]);
    assert!(!secret["VersionIdsToStages"].to_string().contains("AWSPENDING"), "{secret}");
    secret
}

#[test]
fn an_abandoned_pair_proves_awscurrent_by_a_test_of_a_copy() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let (rotated, token) = stuck_pair(&python, &home, &pawl, Account::create(server));
    let before = rotated.current(&pawl);
    pawl.json(&["rotation", "abandon", &rotated.name]);
    let secret = is_proven(&rotated, &pawl, &token);
    assert_eq!(rotated.current(&pawl), before);
    let stages: Vec<_> = secret["VersionIdsToStages"].as_object().expect("versions").values().collect();
    assert_eq!(stages, [&json!(["AWSCURRENT"])], "neither the copy nor what was given up is left: {secret}");
    rotated.rotates(&pawl);
}

#[test]
fn an_abandoned_single_user_whose_password_was_changed_waits_for_a_person_who_puts_it_back() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    let token = super::token();
    rotated.host.always_fails("testSecret", &token);
    rotated.rotate_as(&pawl, &token);
    wait_for("the password is changed", Duration::from_secs(30), || (!rotated.current_logs_in(&pawl)).then_some(()));
    pawl.json(&["rotation", "abandon", &rotated.name]);
    let view = pawl.settled(&rotated.name);
    assert_eq!(view["State"], "parked", "AWSCURRENT does not log in, and a function cannot put it back: {view}");
    let remedy = view["Open"]["Reason"]["Remedy"].as_str().unwrap_or_default().to_owned();
    assert!(remedy.contains("AWSCURRENT"), "{view}");

    rotated.set_by_hand(&rotated.account.user, &rotated.account.password);
    pawl.json(&["rotation", "resume", &rotated.name]);
    assert_eq!(pawl.settled(&rotated.name)["State"], "idle");
    assert!(rotated.current_logs_in(&pawl));
    rotated.rotates(&pawl);
}

// F99
#[test]
fn a_rotation_that_is_cancelled_in_the_middle_is_proven_though_rotation_is_not_enabled_any_more() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let (rotated, token) = stuck_pair(&python, &home, &pawl, Account::create(server));
    let before = rotated.current(&pawl);
    let reply = pawl.aws("CancelRotateSecret", &json!({ "SecretId": rotated.name })).expect("an answer");
    assert_eq!(reply["VersionId"], json!(token), "{reply}");
    let secret = is_proven(&rotated, &pawl, &token);
    assert_eq!(secret["RotationEnabled"], false, "{secret}");
    assert_eq!(rotated.current(&pawl), before);
    rotated.rotates(&pawl);
}

#[test]
fn a_value_that_is_written_in_the_middle_stays_and_is_proven() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let (rotated, token) = stuck_pair(&python, &home, &pawl, Account::create(server));
    let value = pawl.json(&["secret", "get", &rotated.name])["SecretString"].clone();
    let (user, _) = rotated.current(&pawl);
    rotated.set_by_hand(&user, "by-hand");
    let mut value: Value = serde_json::from_str(value.as_str().expect("text")).expect("JSON");
    value["password"] = json!("by-hand");
    let put =
        json!({ "SecretId": rotated.name, "SecretString": value.to_string(), "ClientRequestToken": super::token() });
    assert!(pawl.aws("PutSecretValue", &put).expect("an answer")["VersionId"].is_string());
    is_proven(&rotated, &pawl, &token);
    assert_eq!(pawl.current_password(&rotated.name), "by-hand");
}
