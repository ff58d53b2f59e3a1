//! `pawl rotator test`: a receiver that keeps the contract passes every case, and each way of not keeping it has a case
//! that says so.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};

use engine::port::Clock;
use pawl::clock::SystemClock;
use serde_json::{Value, json};

use super::{add, current, rotate, secret_of, steps};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::receiver::{Answer, Event, Receiver};
use crate::harness::service::{Service, account_value, callback, credentials_of, issuing, managed};

/// What every receiver must refuse before it looks at the step.
fn objection(key: &str, event: &Event) -> Option<Answer> {
    let sent: i64 = event.header("webhook-timestamp").parse().unwrap_or(0);
    let now = SystemClock.now();
    if !event.is_signed_with(key) || (now.timestamp() - sent).abs() > 300 {
        return Some(Answer::error(401, "NeedsPerson", "The signature is wrong."));
    }
    if event.body["Version"] != 1 {
        return Some(Answer::error(400, "NeedsPerson", "There is no such version."));
    }
    let deadline: engine::Time = event.body["Deadline"].as_str()?.parse().expect("RFC 3339");
    (deadline <= now).then(|| Answer::error(503, "Retryable", "The deadline is over."))
}

/// A receiver that keeps the contract, but for what `work` does.
fn careful(work: impl Fn(&Event) -> Answer + Send + Sync + 'static) -> (Arc<OnceLock<String>>, Receiver) {
    let key = Arc::<OnceLock<String>>::default();
    let known = Arc::clone(&key);
    let receiver = Receiver::start(move |event| {
        objection(known.get().expect("set before it is called"), event).unwrap_or_else(|| work(event))
    });
    (key, receiver)
}

/// The report of a run, and whether the command line says that all is well.
fn tested(pawl: &Pawl, rotator: &str, secret: &str) -> (Vec<Value>, bool) {
    let output = pawl.run(&["rotator", "test", rotator, "--secret", secret, "--json"]);
    let error = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {error}"));
    (report["Cases"].as_array().expect("cases").clone(), output.status.success())
}

fn failed(cases: &[Value]) -> Vec<&str> {
    cases.iter().filter(|case| case["Passed"] != true).filter_map(|case| case["Name"].as_str()).collect()
}

#[test]
fn a_receiver_that_keeps_the_contract_passes_every_case_in_every_mode() {
    let home = Home::new();
    let pawl = home.serve();
    let services = [(); 3].map(|()| Service::with("first"));
    let [one, two, three] = services.clone();
    let receivers = [
        ("managed", &["--steps", "check"][..], careful(move |event| managed(&one, event))),
        ("issuing", &["--issues", "--steps", "revoke", "--timeout", "2s"], careful(move |event| issuing(&two, event))),
        (
            "callback",
            &["--mode", "callback", "--credentials"],
            careful(move |event| {
                let url = event.body["Endpoint"].as_str().expect("an endpoint");
                callback(&three, url, &credentials_of(event), event)
            }),
        ),
    ];
    for ((name, options, (key, receiver)), service) in receivers.iter().zip(&services) {
        key.set(add(&pawl, name, &receiver.url, options)).expect("set once");
        secret_of(&pawl, name, name, &account_value("first"));
        let (cases, all_is_well) = tested(&pawl, name, name);
        assert!(all_is_well && failed(&cases).is_empty(), "{name}: {cases:#?}");
        assert!(cases.len() >= 15, "{name}: {cases:#?}");
        let value = current(&pawl, name);
        assert!(service.takes(&value) && value["password"] != "first", "{name}: it was a real rotation");
        // The drill is over: a rotation is what it always was.
        let before = receiver.events().len();
        rotate(&pawl, name);
        let events = receiver.events();
        let after: Vec<&str> = steps(&events).into_iter().skip(before).filter(|step| *step != "createSecret").collect();
        assert_eq!(after, ["setSecret", "testSecret", "finishSecret"], "{name}");
    }
}

#[test]
fn a_receiver_that_verifies_nothing_fails_by_name() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let served = Arc::clone(&service);
    // Every step is Done, and so is every login.
    let receiver = Receiver::start(move |event| {
        if event.step() == "setSecret" {
            managed(&served, event);
        }
        Answer::done()
    });
    add(&pawl, "lax", &receiver.url, &[]);
    secret_of(&pawl, "app", "lax", &account_value("first"));
    let (cases, all_is_well) = tested(&pawl, "lax", "app");
    assert!(!all_is_well);
    let wrong = failed(&cases);
    for name in [
        "an event without a signature is refused",
        "an event signed with another key is refused",
        "an event that was changed after it was signed is refused",
        "an event of ten minutes ago is refused",
        "an event of ten minutes from now is refused",
        "an old signature under a new timestamp is refused",
        "a step that does not exist is refused",
        "a version of the contract that does not exist is refused",
        "an event whose deadline is over is not carried out",
        "testSecret of a wrong password is Rejected",
    ] {
        assert!(wrong.contains(&name), "{name}: {cases:#?}");
    }
    assert_eq!(wrong.len(), 10, "{cases:#?}");
    assert!(cases.iter().all(|case| case["Why"].as_str().is_some_and(|why| !why.is_empty())));
    assert!(service.takes(&current(&pawl, "app")), "the target and AWSCURRENT agree all the same");
}

#[test]
fn a_receiver_that_remembers_instead_of_looking_fails_where_a_step_comes_twice() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let (served, done) = (Arc::clone(&service), Mutex::new(HashSet::new()));
    let (key, receiver) = careful(move |event| match managed(&served, event) {
        Answer::Json(200, _) if !done.lock().expect("whole").insert(event.header("webhook-id").to_owned()) => {
            Answer::error(409, "Retryable", "That was done already.")
        }
        answer => answer,
    });
    key.set(add(&pawl, "once", &receiver.url, &[])).expect("set once");
    secret_of(&pawl, "app", "once", &account_value("first"));
    let (cases, _) = tested(&pawl, "once", "app");
    let wrong = failed(&cases);
    assert!(wrong.contains(&"every step of a rotation is carried out"), "{cases:#?}");
}

#[test]
fn work_that_takes_its_time_is_asked_for_again() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let (served, begun) = (Arc::clone(&service), Mutex::new(HashSet::new()));
    let (key, receiver) = careful(move |event| match begun.lock().expect("whole").insert(event.step().to_owned()) {
        true => Answer::Json(202, json!({ "Status": "InProgress", "RetryAfterSeconds": 1 })),
        false => managed(&served, event),
    });
    key.set(add(&pawl, "slow", &receiver.url, &[])).expect("set once");
    secret_of(&pawl, "app", "slow", &account_value("first"));
    let (cases, all_is_well) = tested(&pawl, "slow", "app");
    assert!(all_is_well, "{cases:#?}");
    assert!(service.takes(&current(&pawl, "app")));
}

#[test]
fn a_rotation_function_is_asked_for_each_step_twice() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let (served, url, by) = (Arc::clone(&service), pawl.url.clone(), pawl.administrator());
    let receiver = Receiver::start(move |event| match callback(&served, &url, &by, event) {
        Answer::Json(200, _) => Answer::Json(200, Value::Null),
        other => panic!("{other:?}"),
    });
    pawl.json(&["rotator", "add", "lambda", "fn", "--endpoint", &receiver.url]);
    secret_of(&pawl, "app", "fn", &account_value("first"));
    let (cases, all_is_well) = tested(&pawl, "fn", "app");
    assert!(all_is_well && cases.len() == 4, "{cases:#?}");
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert!(receiver.of(step).len() >= 2, "{step}");
    }
}

#[test]
fn a_run_wants_a_secret_of_that_rotator_and_says_which() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|event| panic!("{} was sent", event.step()));
    add(&pawl, "hooked", &receiver.url, &[]);
    pawl.create("foreign", &account_value("first"));
    for (secret, said) in [("foreign", "not rotated by hooked"), ("missing", "can't find the specified secret")] {
        let output = pawl.run(&["rotator", "test", "hooked", "--secret", secret]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{secret}: {error}");
    }
    let output = pawl.run(&["rotator", "test", "nobody", "--secret", "foreign"]);
    assert!(!output.status.success());
    assert_eq!(receiver.events().len(), 0);
}
