//! Functions that fail, and the ways in which Lambda fails them: the step is asked for again, under the same token, until
//! the rotation is complete.

use std::path::Path;

use serde_json::{Value, json};

use super::host::{Rotated, python};
use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl};
use crate::harness::{servers, several_at_a_time};

fn failed(line: &Value, step: &str) -> bool {
    line["Kind"] == "step" && line["Step"] == step && line["Verdict"] != "done"
}

/// One rotation in which the step goes wrong so, once each.
fn completes_all_the_same(python: &Path, home: &Home, pawl: &Pawl, account: Account, step: &str, faults: &[&str]) {
    let rotated = Rotated::single(python, home, pawl, account);
    rotated.host.fails(step, faults);
    let token = rotated.rotate(pawl);
    rotated.completed(pawl, &token);
    let what = format!("{step} {faults:?}: {:?}", rotated.host.steps());
    let events = rotated.host.events();
    assert!(events.iter().all(|event| event["ClientRequestToken"] == json!(token)), "{what}");
    let times = events.iter().filter(|event| event["Step"] == step).count();
    assert!(times > faults.len(), "it is asked for again: {what}");
    let others: Vec<_> = events.iter().filter(|event| event["Step"] != step).map(|event| &event["Step"]).collect();
    // A proof goes stale while a step waits, so that finishSecret may be preceded by another testSecret.
    assert!(others.len() >= 3, "{what}");
    let lines = pawl.history(&rotated.name);
    let said: Vec<_> = lines.iter().filter(|line| failed(line, step)).collect();
    assert_eq!(said.len(), faults.len(), "each has its line in the history: {what}\n{said:?}");
}

fn each_step(faults: &[&'static [&'static str]]) {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let cases: Vec<_> =
        super::STEPS.iter().flat_map(|step| faults.iter().map(move |faults| (*step, *faults))).collect();
    several_at_a_time(cases, |(step, faults)| {
        completes_all_the_same(&python, &home, &pawl, Account::create(server), step, faults);
    });
}

#[test]
fn a_function_that_fails_before_or_after_its_work_is_called_again() {
    each_step(&[&["refuse"], &["after"], &["exit", "after"]]);
}

#[test]
fn a_function_that_is_throttled_or_not_ready_is_called_again() {
    each_step(&[&["throttle", "pending"], &["service"]]);
}

#[test]
fn a_call_whose_request_or_reply_is_lost_is_made_again() {
    each_step(&[&["unheard"], &["cut"]]);
}

#[test]
fn a_function_that_runs_out_of_time_is_called_again() {
    each_step(&[&["timeout"], &["hang"]]);
}

#[test]
fn create_secret_that_writes_nothing_is_asked_again_and_said_to_have_written_nothing() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    rotated.host.fails("createSecret", &["nothing"]);
    rotated.rotates(&pawl);
    assert_eq!(rotated.host.steps(), ["createSecret", "createSecret", "setSecret", "testSecret", "finishSecret"]);
    let said: Vec<_> = pawl.history(&rotated.name).iter().map(|line| line["Message"].to_string()).collect();
    assert!(said.iter().any(|message| message.contains("none was written for this version")), "{said:?}");
}

// F91
#[test]
fn a_test_secret_that_fails_is_preceded_by_another_set_secret_when_it_comes_again() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    rotated.host.fails("testSecret", &["refuse"]);
    rotated.rotates(&pawl);
    let steps = rotated.host.steps();
    assert_eq!(steps, ["createSecret", "setSecret", "testSecret", "setSecret", "testSecret", "finishSecret"]);
}

#[test]
fn finish_secret_may_leave_the_label_to_pawl() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    rotated.host.fails("finishSecret", &["nothing"]);
    rotated.rotates(&pawl);
    assert_eq!(rotated.host.steps(), super::STEPS);
}

// F18
#[test]
fn a_function_that_takes_longer_than_a_lease_is_called_once() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    pawl.json(&["rotator", "update", rotated.rotator(), "--timeout", "60s"]);
    rotated.host.fails("setSecret", &["slow"]);
    rotated.rotates(&pawl);
    assert_eq!(rotated.host.steps(), super::STEPS);
}

#[test]
fn a_function_that_repeats_its_secret_in_an_error_is_redacted_wherever_it_is_shown() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    for step in super::STEPS {
        rotated.host.fails(step, &["leak"]);
    }
    rotated.rotates(&pawl);
    let (_, password) = rotated.current(&pawl);
    let tokens: Vec<Value> = rotated.host.events().iter().map(|event| event["RotationToken"].clone()).collect();
    let history = json!(pawl.history(&rotated.name)).to_string();
    let deliveries = pawl.json(&["rotator", "deliveries", rotated.rotator()]).to_string();
    assert!(history.contains("could not set"), "what else it said is kept: {history}");
    for shown in [history, deliveries, home.log()] {
        assert!(!shown.contains(&password), "{shown}");
        for token in &tokens {
            assert!(!shown.contains(token.as_str().expect("text")), "{shown}");
        }
    }
}
