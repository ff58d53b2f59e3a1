//! Rotations by webhook with the real `pawl` and a receiver on loopback: managed, issuing, retiring, keys, slow receivers.

mod callback;
mod conformance;
mod crash;
mod faults;
mod grace;
mod keys;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::pawl::{Home, Pawl};
use crate::harness::receiver::{Answer, Event, Gate, Receiver};
use crate::harness::service::{Service, account_value, issuing, managed};
use crate::harness::{free_port, wait_for};

/// Registers a receiver, and returns its signing key.
fn add(pawl: &Pawl, rotator: &str, url: &str, options: Value) -> String {
    let mut members = json!({ "Name": rotator, "Kind": "webhook", "Url": url });
    let Value::Object(options) = options else { panic!("members") };
    members.as_object_mut().expect("members").extend(options);
    let answer = pawl.ask("CreateRotator", &members).expect("registered");
    answer["SigningKey"].as_str().unwrap_or_else(|| panic!("no key in {answer}")).to_owned()
}

/// A secret that this rotator rotates when it is asked to.
fn secret_of(pawl: &Pawl, secret: &str, rotator: &str, value: &Value) {
    pawl.create(secret, value);
    pawl.json(&["rotation", "enable", secret, "--rotator", rotator]);
}

fn rotate(pawl: &Pawl, secret: &str) {
    let output = pawl.run(&["rotation", "now", secret, "--wait"]);
    assert!(output.status.success(), "{secret}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The value that AWSCURRENT has.
fn current(pawl: &Pawl, secret: &str) -> Value {
    let answer = pawl.json(&["secret", "get", secret]);
    serde_json::from_str(answer["SecretString"].as_str().expect("text")).expect("JSON")
}

fn steps(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::step).collect()
}

/// A managed receiver for a service with one account whose password is `first`.
fn managed_receiver() -> (Arc<Service>, Receiver) {
    let service = Service::with("first");
    let served = Arc::clone(&service);
    (service, Receiver::start(move |event| managed(&served, event)))
}

#[test]
fn a_managed_receiver_sets_and_tests_the_value_that_it_is_sent() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = managed_receiver();
    let key = add(&pawl, "hooked", &receiver.url, json!({}));
    secret_of(&pawl, "app", "hooked", &account_value("first"));
    rotate(&pawl, "app");
    let value = current(&pawl, "app");
    assert!(service.takes(&value) && value["password"] != "first", "AWSCURRENT logs in, and is new");
    let events = receiver.events();
    assert_eq!(steps(&events), ["setSecret", "testSecret", "finishSecret"]);
    assert!(events.iter().all(|event| event.is_signed_with(&key)), "every delivery is signed");
    let first = &events[0];
    assert_eq!((&first.body["Version"], &first.body["Mode"]), (&json!(1), &json!("managed")));
    assert_eq!(first.body["Current"]["SecretString"], account_value("first").to_string());
    let ids: Vec<_> = events.iter().map(|event| event.header("webhook-id")).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "every step has an id of its own: {ids:?}");
    let deliveries = pawl.ask("ListDeliveries", &json!({ "Name": "hooked" })).expect("deliveries");
    let sent = deliveries["Deliveries"].as_array().expect("a list").iter();
    let sent: Vec<_> =
        sent.map(|one| (one["Step"].as_str(), one["Status"].as_u64(), one["Verdict"].as_str())).collect();
    let done = ["finishSecret", "testSecret", "setSecret"].map(|step| (Some(step), Some(200), Some("done")));
    assert_eq!(sent, done, "what was sent, newest first, and nothing else");
}

#[test]
fn a_value_that_the_target_rejects_is_followed_by_another() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let served = Arc::clone(&service);
    let refused = Mutex::new(false);
    let receiver = Receiver::start(move |event| {
        let refuse = event.step() == "setSecret" && !std::mem::replace(&mut *refused.lock().expect("whole"), true);
        if refuse { Answer::error(422, "Rejected", "Too easy.") } else { managed(&served, event) }
    });
    add(&pawl, "picky", &receiver.url, json!({}));
    secret_of(&pawl, "app", "picky", &account_value("first"));
    rotate(&pawl, "app");
    assert!(service.takes(&current(&pawl, "app")));
    let sets = receiver.of("setSecret");
    assert_eq!(sets.len(), 2);
    assert_ne!(sets[0].body["Pending"], sets[1].body["Pending"]);
    assert_ne!(sets[0].header("webhook-id"), sets[1].header("webhook-id"), "another candidate has another id");
}

/// An issuing receiver whose answer to the first createSecret never arrives.
fn loses_the_first_credential() -> (Arc<Service>, Receiver) {
    let service = Arc::new(Service::default());
    let served = Arc::clone(&service);
    let lost = Mutex::new(false);
    let receiver = Receiver::start(move |event| {
        let answer = issuing(&served, event);
        let lose = event.step() == "createSecret" && !std::mem::replace(&mut *lost.lock().expect("whole"), true);
        if lose { Answer::Cut } else { answer }
    });
    (service, receiver)
}

#[test]
fn a_credential_whose_answer_was_lost_is_asked_for_again_under_the_same_id() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = loses_the_first_credential();
    add(&pawl, "issuer", &receiver.url, json!({ "Issues": true, "TimeoutSeconds": 2 }));
    secret_of(&pawl, "app", "issuer", &json!({ "username": "by hand", "password": "first" }));
    rotate(&pawl, "app");
    assert!(service.takes(&current(&pawl, "app")), "what was issued is AWSCURRENT");
    let creates = receiver.of("createSecret");
    assert_eq!(creates.len(), 2);
    assert_eq!(creates[0].header("webhook-id"), creates[1].header("webhook-id"));
    assert_eq!(creates[0].body["Tag"], creates[1].body["Tag"]);
    assert_eq!(service.users().len(), 1, "nothing is left over");
}

// F56
#[test]
fn a_credential_whose_answer_was_lost_is_revoked_by_its_tag_where_the_receiver_does_that() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = loses_the_first_credential();
    add(&pawl, "issuer", &receiver.url, json!({ "Issues": true, "Steps": ["revoke"], "TimeoutSeconds": 2 }));
    secret_of(&pawl, "app", "issuer", &json!({ "username": "by hand", "password": "first" }));
    rotate(&pawl, "app");
    let value = current(&pawl, "app");
    assert!(service.takes(&value), "what was issued is AWSCURRENT");
    assert_eq!(service.users(), [value["username"].as_str().expect("a user")], "the orphan is gone");
    let revoked = receiver.of("revoke");
    assert_eq!(revoked[0].body["Tags"], json!([receiver.of("createSecret")[0].body["Tag"]]));
}

#[test]
fn the_old_credential_is_retired_after_its_grace_and_not_before() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Arc::new(Service::default());
    service.set("by hand", "first");
    let served = Arc::clone(&service);
    let receiver = Receiver::start(move |event| issuing(&served, event));
    add(&pawl, "issuer", &receiver.url, json!({ "Issues": true, "Steps": ["retire"], "Grace": "5s" }));
    secret_of(&pawl, "app", "issuer", &json!({ "username": "by hand", "password": "first" }));
    rotate(&pawl, "app");
    let value = current(&pawl, "app");
    assert!(receiver.of("retire").is_empty() && service.users().len() == 2, "both work while the grace lasts");
    wait_for("the old credential is ended", Duration::from_secs(30), || (service.users().len() == 1).then_some(()));
    assert!(service.takes(&value));
    let [finished, retired] = ["finishSecret", "retire"].map(|step| receiver.of(step)[0].clone());
    let at = |event: &Event| event.header("webhook-timestamp").parse::<i64>().expect("seconds");
    assert!(at(&retired) - at(&finished) >= 4, "not before the grace is over");
}

#[test]
fn an_issuing_receiver_makes_the_first_value_of_a_secret() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Arc::new(Service::default());
    let served = Arc::clone(&service);
    let receiver = Receiver::start(move |event| issuing(&served, event));
    add(&pawl, "issuer", &receiver.url, json!({ "Issues": true, "Steps": ["retire", "revoke"] }));
    pawl.aws("CreateSecret", &json!({ "Name": "app", "ClientRequestToken": "there-is-no-version-of-this-secret-yet" }))
        .expect("created");
    pawl.json(&["rotation", "enable", "app", "--rotator", "issuer", "--now"]);
    assert_eq!(pawl.settled("app")["State"], "idle");
    assert!(service.takes(&current(&pawl, "app")));
    assert_eq!(steps(&receiver.events()), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    assert!(receiver.events()[0].body.get("Current").is_none());
    let deliveries = pawl.ask("ListDeliveries", &json!({ "Name": "issuer" })).expect("deliveries");
    let first = &deliveries["Deliveries"][3];
    assert_eq!((&first["Step"], &first["Status"]), (&json!("createSecret"), &json!(200)), "{deliveries}");
}

#[test]
fn what_is_configured_is_tested_without_changing_anything() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = managed_receiver();
    add(&pawl, "hooked", &receiver.url, json!({}));
    pawl.create("app", &account_value("first"));
    let test = json!({ "SecretId": "app", "RotationLambdaARN": "hooked", "RotateImmediately": false,
                       "ClientRequestToken": "a-version-that-only-tests-what-is-there" });
    pawl.aws("RotateSecret", &test).expect("asked");
    let tested = wait_for("the test ends", Duration::from_secs(30), || {
        let test = pawl.status("app")["LastTest"].clone();
        test.is_object().then_some(test)
    });
    assert_eq!(tested["Succeeded"], true, "{tested}");
    assert_eq!(steps(&receiver.events()), ["testSecret"]);
    assert!(service.takes(&account_value("first")) && current(&pawl, "app") == account_value("first"));
}

#[test]
fn a_schedule_has_the_receiver_called() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = managed_receiver();
    add(&pawl, "hooked", &receiver.url, json!({}));
    pawl.create("app", &account_value("first"));
    pawl.json(&["rotation", "enable", "app", "--rotator", "hooked", "--schedule", "rate(2 seconds)"]);
    wait_for("it was rotated twice", Duration::from_secs(60), || {
        (receiver.of("finishSecret").len() >= 2).then_some(())
    });
    pawl.json(&["rotation", "disable", "app"]);
    assert_eq!(pawl.settled("app")["State"], "idle");
    assert!(service.takes(&current(&pawl, "app")));
}

#[test]
fn giving_up_has_the_receiver_put_awscurrent_back() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let served = Arc::clone(&service);
    let receiver = Receiver::start(move |event| match (event.step(), event.body["Restoring"] == true) {
        ("testSecret", false) => Answer::error(500, "NeedsPerson", "The service is being moved."),
        _ => managed(&served, event),
    });
    add(&pawl, "hooked", &receiver.url, json!({}));
    secret_of(&pawl, "app", "hooked", &account_value("first"));
    pawl.json(&["rotation", "now", "app"]);
    let view = pawl.settled("app");
    assert_eq!((&view["State"], &view["Open"]["Step"]), (&json!("parked"), &json!("testSecret")), "{view}");
    assert!(!service.takes(&account_value("first")), "the new value is set");
    pawl.json(&["rotation", "abandon", "app"]);
    assert_eq!(pawl.settled("app")["State"], "idle");
    assert_eq!(current(&pawl, "app"), account_value("first"));
    assert!(service.takes(&account_value("first")), "AWSCURRENT logs in again");
    let restored = receiver.of("setSecret").pop().expect("an event");
    assert_eq!(restored.body["Pending"]["SecretString"], account_value("first").to_string());
}

// F25
#[test]
fn one_slow_receiver_delays_nobody_else() {
    let home = Home::new();
    // One place for everything that is built in: a slow receiver must not take that either.
    let pawl = home.serve_with(&["--permits", "1"], &[]);
    let (_, quick) = managed_receiver();
    let (slow_service, gate) = (Service::with("first"), Arc::new(Gate::default()));
    let (served, held) = (Arc::clone(&slow_service), Arc::clone(&gate));
    let slow = Receiver::start(move |event| {
        held.pass();
        managed(&served, event)
    });
    add(&pawl, "slow", &slow.url, json!({ "Concurrency": 1, "TimeoutSeconds": 60 }));
    add(&pawl, "quick", &quick.url, json!({}));
    for secret in ["slow/1", "slow/2", "slow/3"] {
        secret_of(&pawl, secret, "slow", &account_value("first"));
        pawl.json(&["rotation", "now", secret]);
    }
    wait_for("the slow receiver has one", Duration::from_secs(30), || (!slow.events().is_empty()).then_some(()));
    secret_of(&pawl, "quick/1", "quick", &account_value("first"));
    rotate(&pawl, "quick/1");
    assert_eq!(slow.events().len(), 1, "one at a time, as it was asked for");
    gate.open();
    for secret in ["slow/1", "slow/2", "slow/3"] {
        assert_eq!(pawl.settled(secret)["State"], "idle");
    }
}

// F23
#[test]
fn as_many_rotations_of_one_receiver_are_under_way_as_it_takes() {
    const MANY: usize = 60;
    let home = Home::new();
    let pawl = home.serve_with(&["--permits", "1"], &[]);
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let receiver = Receiver::start(move |event| {
        held.pass();
        managed(&Service::default(), event)
    });
    add(&pawl, "wide", &receiver.url, json!({ "Concurrency": MANY, "TimeoutSeconds": 60, "Steps": ["check"] }));
    for n in 0..MANY {
        let value = account_value("first").to_string();
        let token = |what: &str| format!("{what}-version-of-the-secret-number-{n:03}");
        let create = json!({ "Name": format!("app/{n}"), "SecretString": value, "ClientRequestToken": token("first") });
        pawl.aws("CreateSecret", &create).expect("created");
        let rotate =
            json!({ "SecretId": format!("app/{n}"), "RotationLambdaARN": "wide", "ClientRequestToken": token("next") });
        pawl.aws("RotateSecret", &rotate).expect("asked");
    }
    let limit = Duration::from_secs(60);
    wait_for("all are under way at once", limit, || (receiver.events().len() == MANY).then_some(()));
    gate.open();
    wait_for("every value is set", limit, || (receiver.of("testSecret").len() >= MANY).then_some(()));
}

#[test]
fn a_receiver_that_is_away_is_left_alone_for_a_while_and_that_is_shown() {
    let home = Home::new();
    let pawl = home.serve();
    add(&pawl, "away", &format!("http://127.0.0.1:{}", free_port()), json!({}));
    for n in 0..5 {
        secret_of(&pawl, &format!("app/{n}"), "away", &account_value("first"));
        pawl.json(&["rotation", "now", &format!("app/{n}")]);
    }
    wait_for("it is left alone", Duration::from_secs(30), || {
        let shown = pawl.ask("DescribeRotator", &json!({ "Name": "away" })).expect("shown");
        shown["NotCalledUntil"].is_number().then_some(())
    });
    let shown = pawl.run(&["rotator", "show", "away"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.lines().filter(|line| line.starts_with("not called")).count(), 1, "{shown}");
    // One is kept back, and sent no sooner because somebody asks for it.
    secret_of(&pawl, "late", "away", &account_value("first"));
    pawl.json(&["rotation", "now", "late"]);
    let kept = wait_for("it is kept back", Duration::from_secs(30), || {
        let list = pawl.ask("ListDeliveries", &json!({ "Name": "away" })).expect("deliveries");
        let late = list["Deliveries"].as_array()?.iter().find(|one| one["SecretName"] == "late")?.clone();
        (late["Verdict"] == "retry").then_some(late)
    });
    assert!(kept.get("Status").is_none() && kept["Message"].to_string().contains("left alone"), "{kept}");
    let again = pawl.run(&["rotator", "redeliver", "away", &kept["Id"].to_string()]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && said.contains("is not called until "), "{said}");
    let metrics = pawl.metrics();
    assert!(metrics.contains(r#"pawl_rotator_breaker_open{rotator="away"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"pawl_rotator_deliveries_total{rotator="away",outcome="retry"}"#), "{metrics}");
}

#[test]
fn a_disabled_rotator_is_not_called_and_goes_on_when_it_is_enabled() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = managed_receiver();
    let (known, refuse) = (Arc::clone(&service), Arc::new(Mutex::new(true)));
    let refusing = Arc::clone(&refuse);
    let flaky = Receiver::start(move |event| match *refusing.lock().expect("whole") {
        true => Answer::error(503, "Retryable", "Not now."),
        false => managed(&known, event),
    });
    drop(receiver);
    add(&pawl, "hooked", &flaky.url, json!({}));
    secret_of(&pawl, "app", "hooked", &account_value("first"));
    pawl.json(&["rotation", "now", "app"]);
    wait_for("it was called", Duration::from_secs(30), || (!flaky.events().is_empty()).then_some(()));
    pawl.ask("UpdateRotator", &json!({ "Name": "hooked", "Enabled": false })).expect("disabled");
    let refused = pawl.run(&["rotation", "enable", "app", "--rotator", "hooked", "--now"]);
    assert!(!refused.status.success(), "nothing begins with a disabled rotator");
    *refuse.lock().expect("whole") = false;
    pawl.ask("UpdateRotator", &json!({ "Name": "hooked", "Enabled": true })).expect("enabled");
    assert_eq!(pawl.settled("app")["State"], "idle");
    assert!(service.takes(&current(&pawl, "app")));
}

#[test]
fn a_check_that_fails_keeps_rotation_from_being_enabled_and_changes_nothing() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|event| match event.step() {
        "check" => Answer::error(422, "NeedsPerson", "The account may not change its password."),
        other => panic!("{other} was sent"),
    });
    add(&pawl, "checking", &receiver.url, json!({ "Steps": ["check"] }));
    pawl.create("app", &account_value("first"));
    let refused = pawl.run(&["rotation", "enable", "app", "--rotator", "checking", "--now"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("may not change its password"), "{said}");
    assert!(said.trim_end().ends_with("then enable it again.") && !said.contains("resume"), "{said}");
    let shown = pawl.json(&["secret", "show", "app"]);
    assert!(shown["RotationEnabled"] != true && shown["RotationLambdaARN"].is_null(), "nothing is stored: {shown}");
    let event = &receiver.events()[0];
    assert_eq!(event.body["Current"]["SecretString"], account_value("first").to_string());
    let checked = pawl.ask("CheckRotator", &json!({ "Name": "checking", "SecretId": "app" })).expect("a report");
    assert_eq!(checked["Cases"][0]["Passed"], false, "{checked}");
}

#[test]
fn the_egress_policy_of_the_settings_decides_what_may_be_registered() {
    let home = Home::new();
    let pawl = home.serve_with(&["--egress-allow", "10.1.0.0/16,hooks.internal"], &[]);
    for url in ["http://169.254.169.254/", "https://192.168.0.1/", "http://93.184.215.14/"] {
        let refused = pawl.ask("CreateRotator", &json!({ "Name": "bad", "Kind": "webhook", "Url": url }));
        assert!(refused.is_err(), "{url} was taken");
    }
    for (name, url) in [("a", "https://10.1.2.3/"), ("b", "http://hooks.internal/"), ("c", "https://example.com/x")] {
        add(&pawl, name, url, json!({}));
    }
}
