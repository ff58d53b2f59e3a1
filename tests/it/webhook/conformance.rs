//! `pawl rotator test`: a receiver that keeps the contract passes every case, and each way of not keeping it has a case
//! that says so.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

use engine::port::Clock;
use pawl::clock::SystemClock;
use serde_json::{Value, json};

use super::{add, current, rotate, secret_of, steps};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::receiver::{Answer, Event, Receiver};
use crate::harness::service::{Service, account_value, callback, credentials_of, issuing, managed};
use crate::harness::unique;

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

/// The report of a run.
fn tested(pawl: &Pawl, rotator: &str, secret: &str) -> Vec<Value> {
    let mut asked = json!({ "Name": rotator, "SecretId": secret });
    loop {
        let report = pawl.ask("TestRotator", &asked).expect("a report");
        if report["Finished"] == true {
            return report["Cases"].as_array().expect("cases").clone();
        }
        asked["Run"] = report["Run"].clone();
    }
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
        ("managed", json!({ "Steps": ["check"] }), careful(move |event| managed(&one, event))),
        (
            "issuing",
            json!({ "Issues": true, "Steps": ["revoke"], "TimeoutSeconds": 2 }),
            careful(move |event| issuing(&two, event)),
        ),
        (
            "callback",
            json!({ "Mode": "callback", "Credentials": true }),
            careful(move |event| {
                let url = event.body["Endpoint"].as_str().expect("an endpoint");
                callback(&three, url, &credentials_of(event), event)
            }),
        ),
    ];
    for ((name, options, (key, receiver)), service) in receivers.into_iter().zip(&services) {
        key.set(add(&pawl, name, &receiver.url, options)).expect("set once");
        secret_of(&pawl, name, name, &account_value("first"));
        let cases = tested(&pawl, name, name);
        assert!(failed(&cases).is_empty(), "{name}: {cases:#?}");
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
    add(&pawl, "lax", &receiver.url, json!({}));
    secret_of(&pawl, "app", "lax", &account_value("first"));
    let cases = tested(&pawl, "lax", "app");
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
    key.set(add(&pawl, "once", &receiver.url, json!({}))).expect("set once");
    secret_of(&pawl, "app", "once", &account_value("first"));
    let cases = tested(&pawl, "once", "app");
    let wrong = failed(&cases);
    assert!(wrong.contains(&"every step of a rotation is carried out"), "{cases:#?}");
}

#[test]
fn work_that_takes_its_time_is_asked_for_again() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let (served, begun) = (Arc::clone(&service), Mutex::new(HashSet::new()));
    let (key, receiver) = careful(move |event| {
        let is_step = ["setSecret", "testSecret", "finishSecret"].contains(&event.step());
        match is_step && begun.lock().expect("whole").insert(event.step().to_owned()) {
            true => Answer::Json(202, json!({ "Status": "InProgress", "RetryAfterSeconds": 1 })),
            false => managed(&served, event),
        }
    });
    key.set(add(&pawl, "slow", &receiver.url, json!({}))).expect("set once");
    secret_of(&pawl, "app", "slow", &account_value("first"));
    let cases = tested(&pawl, "slow", "app");
    assert!(failed(&cases).is_empty(), "{cases:#?}");
    assert!(service.takes(&current(&pawl, "app")));
}

#[test]
fn a_rotation_function_is_asked_for_each_step_twice_however_long_it_may_take() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let (served, url, by) = (Arc::clone(&service), pawl.url.clone(), pawl.administrator());
    let receiver = Receiver::start(move |event| match callback(&served, &url, &by, event) {
        Answer::Json(200, _) => Answer::Json(200, Value::Null),
        other => panic!("{other:?}"),
    });
    pawl.ask(
        "CreateRotator",
        &json!({ "Name": "fn", "Kind": "lambda", "Endpoint": receiver.url, "TimeoutSeconds": 900 }),
    )
    .expect("registered");
    secret_of(&pawl, "app", "fn", &account_value("first"));
    let cases = tested(&pawl, "fn", "app");
    assert!(failed(&cases).is_empty() && cases.len() == 4, "{cases:#?}");
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert!(receiver.of(step).len() >= 2, "{step}");
    }
}

/// An issuer that remembers nothing: each createSecret is another credential, and a tag names all that it made.
fn forgetful(service: &Service, event: &Event) -> Answer {
    match event.step() {
        "createSecret" => {
            let (user, password) =
                (unique(&format!("{}.", event.body["Tag"].as_str().unwrap_or_default())), unique("p"));
            service.set(&user, &password);
            let value = json!({ "username": user, "password": password }).to_string();
            Answer::Json(200, json!({ "Status": "Done", "SecretString": value }))
        }
        "revoke" => {
            for tag in event.body["Tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let made = service.users().into_iter().filter(|user| user.starts_with(&format!("{tag}.")));
                made.for_each(|user| service.remove(&user));
            }
            Answer::done()
        }
        _ => issuing(service, event),
    }
}

#[test]
fn a_run_leaves_no_credential_behind_but_the_stored_one_and_the_one_before_it() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Arc::new(Service::default());
    service.set("by hand", "first");
    let served = Arc::clone(&service);
    let (key, receiver) = careful(move |event| forgetful(&served, event));
    // A long timeout does not make the run wait for it.
    let options = json!({ "Issues": true, "Steps": ["revoke"], "TimeoutSeconds": 900 });
    key.set(add(&pawl, "issuer", &receiver.url, options)).expect("set once");
    secret_of(&pawl, "app", "issuer", &json!({ "username": "by hand", "password": "first" }));
    let cases = tested(&pawl, "issuer", "app");
    assert!(failed(&cases).is_empty(), "{cases:#?}");
    let stored = current(&pawl, "app")["username"].as_str().expect("a user").to_owned();
    assert_eq!(service.users(), BTreeSet::from([stored, "by hand".to_owned()]).into_iter().collect::<Vec<_>>());
    assert!(receiver.of("createSecret").len() >= 2, "one was cut");
}

#[test]
fn a_run_wants_a_secret_of_that_rotator_and_says_which() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|event| panic!("{} was sent", event.step()));
    add(&pawl, "hooked", &receiver.url, json!({}));
    pawl.create("foreign", &account_value("first"));
    for (rotator, secret, said) in [
        ("hooked", "foreign", "not rotated by hooked"),
        ("hooked", "missing", "can't find the specified secret"),
        ("nobody", "foreign", "nobody"),
    ] {
        let refused = pawl.ask("TestRotator", &json!({ "Name": rotator, "SecretId": secret }));
        assert!(refused.as_ref().is_err_and(|error| error.contains(said)), "{rotator}, {secret}: {refused:?}");
    }
    assert_eq!(receiver.events().len(), 0);
}

#[test]
fn the_command_line_shows_what_failed_and_why_it_matters() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|_| Answer::done());
    add(&pawl, "lax", &receiver.url, json!({ "Steps": ["check"] }));
    secret_of(&pawl, "app", "lax", &account_value("first"));
    let output = pawl.run(&["rotator", "test", "lax", "--secret", "app"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(
        progress.contains("lax is being tested with app, which is rotated") && progress.contains("failed"),
        "{progress}"
    );
    for line in [
        "ok    the step check says that all is well",
        "FAIL  an event signed with another key is refused",
        "why it matters: Whoever reaches the URL could change the credential.",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let checked = pawl.run(&["rotator", "check", "lax", "--secret", "app"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
