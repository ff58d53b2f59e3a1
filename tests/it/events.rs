//! Events over a real server and a real receiver: told at least once, in order, signed; whatever dies or refuses.

mod tail;
mod wait;

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::harness::pawl::{Home, Pawl};
use crate::harness::receiver::{Answer, Event, Gate, Receiver};
use crate::harness::service::{Service, account_value, managed};
use crate::harness::{unique, wait_for};

/// Long enough for a few tries after failures.
const LIMIT: Duration = Duration::from_secs(60);

fn taken() -> Answer {
    Answer::Json(200, json!({}))
}

/// Subscribes this receiver, and returns the signing key.
fn subscribe(pawl: &Pawl, receiver: &Receiver, flags: &[&str]) -> String {
    let verb = ["events", "subscribe", "hook", "--url", &receiver.url];
    let answer = pawl.json(&[&verb, flags].concat());
    answer["SigningKey"].as_str().expect("a key").to_owned()
}

fn put(pawl: &Pawl, name: &str, value: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), json!({ "password": value }).to_string()).expect("written");
    pawl.json(&["secret", "put", name, "--value", file.path().to_str().expect("UTF-8")]);
}

/// What the receiver has, once each, in the order in which it came first.
fn firsts(receiver: &Receiver) -> Vec<Event> {
    let mut seen = vec![];
    receiver.events().into_iter().filter(|event| seen_first(&mut seen, event)).collect()
}

fn seen_first(seen: &mut Vec<String>, event: &Event) -> bool {
    let id = event.header("webhook-id").to_owned();
    let new = !seen.contains(&id);
    seen.push(id);
    new
}

/// Order per secret: sequences only grow among what came first.
fn assert_in_order(events: &[Event]) {
    let mut last: HashMap<&str, &str> = HashMap::new();
    for event in events {
        let (subject, seq) = (event.body["subject"].as_str().unwrap_or(""), event.body["sequence"].as_str());
        let seq = seq.expect("a sequence");
        let before = last.insert(subject, seq);
        assert!(before.is_none_or(|before| before < seq), "{subject}: {seq} after {before:?}");
    }
}

/// Waits until the receiver has so many events of AWSCURRENT, each counted once.
fn current_moves(receiver: &Receiver, count: usize) -> Vec<Event> {
    wait_for(&format!("{count} moves of AWSCURRENT are told"), LIMIT, || {
        let moves = firsts(receiver).into_iter().filter(|event| event.body["data"]["label"] == "AWSCURRENT");
        let moves: Vec<Event> = moves.collect();
        (moves.len() >= count).then_some(moves)
    })
}

fn headers_of(event: &Event) -> HeaderMap {
    let pair = |(name, value): (&String, &String)| {
        Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    event.headers.iter().filter_map(pair).collect()
}

#[test]
fn a_receiver_is_told_of_every_change_in_order_and_signed_and_never_a_value() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|_| taken());
    let key = subscribe(&pawl, &receiver, &[]);
    let canary = unique("Canary-event-");
    pawl.create("app/db", &json!({ "password": canary }));
    for n in 0..5 {
        put(&pawl, "app/db", &format!("{canary}-{n}"));
    }
    pawl.json(&["secret", "delete", "app/db", "--now"]);
    let events = wait_for("the deletion is told", LIMIT, || {
        let events = firsts(&receiver);
        events.iter().any(|event| event.body["type"] == "dev.pawl.secret.deleted").then_some(events)
    });
    assert_in_order(&events);
    let moves = events.iter().filter(|event| event.body["type"] == "dev.pawl.secret.label-updated");
    assert_eq!(moves.count(), 6, "{:?}", events.iter().map(|event| &event.body["type"]).collect::<Vec<_>>());
    let verifier =
        Webhook::from_bytes(BASE64.decode(key.trim_start_matches("whsec_")).expect("Base64")).expect("a key");
    for event in &events {
        verifier.verify(&event.raw, &headers_of(event)).expect("as the published library has it");
        assert_eq!(event.header("content-type"), "application/cloudevents+json");
        assert_eq!(event.body["id"], *event.header("webhook-id"));
        // F130
        assert!(!String::from_utf8_lossy(&event.raw).contains(&canary), "{}", event.body);
    }
    assert!(!home.log().contains(&canary) && !home.log().contains(&key));
    let entry = pawl.json(&["events", "describe", "hook"]);
    assert_eq!((&entry["WaitingSecrets"], &entry["DeadLetters"]), (&json!(0), &json!(0)), "{entry}");
    assert!(pawl.metrics().contains(r#"pawl_event_deliveries_total{subscription="hook",outcome="taken"}"#));
}

#[test]
fn a_server_that_dies_between_a_commit_and_its_delivery_tells_it_when_it_is_back() {
    for point in ["events::before_send", "events::after_answer", "events::after_answer#3"] {
        let home = Home::new();
        let receiver = Receiver::start(|_| taken());
        let mut pawl = home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
        subscribe(&pawl, &receiver, &["--filter", "label=AWSCURRENT"]);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "one").expect("written");
        let mut put = 0;
        // It dies in the middle of this; what was answered is committed.
        while put < 8 {
            let verb = if put == 0 { "create" } else { "put" };
            std::fs::write(file.path(), format!("value {put}")).expect("written");
            let path = file.path().to_str().expect("UTF-8").to_owned();
            if !pawl.run(&["secret", verb, "s", "--value", &path]).status.success() {
                break;
            }
            put += 1;
        }
        let status = pawl.ended(LIMIT);
        assert_eq!(status.signal(), Some(9), "{point}: {status}; {}", home.log());
        drop(pawl);
        let pawl = home.serve();
        let versions = pawl.aws("ListSecretVersionIds", &json!({ "SecretId": "s", "IncludeDeprecated": true }));
        let count = versions.expect("an answer")["Versions"].as_array().map_or(0, Vec::len);
        assert!(count >= put, "{point}: what was answered is there");
        let moves = current_moves(&receiver, count);
        assert_eq!(moves.len(), count, "{point}: once per id, however often it came");
        assert_in_order(&moves);
    }
}

// F15, F109
#[test]
fn a_receiver_that_is_down_or_hangs_changes_no_rotation_and_is_told_of_all_of_it_later() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Service::with("first");
    let rotated = Arc::clone(&service);
    let rotator = Receiver::start(move |event| managed(&rotated, event));
    let (down, gate, calls) = (Arc::new(AtomicBool::new(true)), Arc::new(Gate::default()), Arc::new(AtomicU32::new(0)));
    let (is_down, held) = (Arc::clone(&down), Arc::clone(&gate));
    let receiver = Receiver::start(move |_| {
        // Refuses, cuts the connection, hangs: in turn.
        match (is_down.load(Ordering::SeqCst), calls.fetch_add(1, Ordering::SeqCst) % 3) {
            (false, _) => taken(),
            (true, 0) => Answer::Json(500, json!({ "error": "no" })),
            (true, 1) => Answer::Cut,
            (true, _) => {
                held.pass();
                Answer::Cut
            }
        }
    });
    subscribe(&pawl, &receiver, &[]);
    pawl.json(&["rotator", "add", "webhook", "svc", &rotator.url]);
    pawl.create("s", &account_value("first"));
    pawl.json(&["rotation", "enable", "s", "--rotator", "svc"]);
    for _ in 0..3 {
        let done = pawl.run(&["rotation", "now", "s", "--wait", "--timeout", "30"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(service.takes(&account_value(&pawl.current_password("s"))), "AWSCURRENT logs in");
    }
    assert!(pawl.history("s").iter().all(|line| line["Kind"] != "parked"), "no verdict hangs on it");
    down.store(false, Ordering::SeqCst);
    gate.open();
    // The first value, and three rotations.
    let moves = current_moves(&receiver, 4);
    assert_eq!(moves.len(), 4);
    let all = wait_for("the last one is told", LIMIT, || {
        let all = firsts(&receiver);
        let done = all.iter().filter(|event| event.body["type"] == "dev.pawl.rotation.succeeded").count();
        (done == 3).then_some(all)
    });
    assert_in_order(&all);
    let text: String = all.iter().map(|event| event.body.to_string()).collect();
    assert!(!text.contains(&pawl.current_password("s")), "no value is told");
}

#[test]
fn what_one_secret_waits_for_keeps_no_other_back() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|event| match event.body["data"]["secretName"] == "stuck" {
        true => Answer::Json(500, json!({})),
        false => taken(),
    });
    subscribe(&pawl, &receiver, &["--filter", "label=AWSCURRENT"]);
    pawl.create("stuck", &json!({ "n": 0 }));
    pawl.create("free", &json!({ "n": 0 }));
    for n in 0..3 {
        put(&pawl, "stuck", &format!("{n}"));
        put(&pawl, "free", &format!("{n}"));
    }
    let told = |name: &str| {
        let events = receiver.events().into_iter().filter(|event| event.body["data"]["secretName"] == *name);
        events.map(|event| event.body["sequence"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    wait_for("the free one is told of all", LIMIT, || (told("free").len() == 4).then_some(()));
    let mut stuck = told("stuck");
    stuck.dedup();
    assert_eq!(stuck.len(), 1, "nothing overtakes what was not taken");
    let entry = pawl.json(&["events", "describe", "hook"]);
    assert_eq!(entry["FailingSecrets"], 1, "{entry}");
}

#[test]
fn what_is_not_taken_in_time_is_a_dead_letter_that_can_be_sent_again() {
    let home = Home::new();
    let pawl = home.serve();
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let receiver = Receiver::start(move |_| match is_down.load(Ordering::SeqCst) {
        true => Answer::Json(503, json!({})),
        false => taken(),
    });
    subscribe(&pawl, &receiver, &["--filter", "label=AWSCURRENT", "--give-up-after", "1s"]);
    pawl.create("s", &json!({ "n": 0 }));
    let letters = || pawl.json(&["events", "dead-letters", "hook"])["DeadLetters"].clone();
    let letter = wait_for("it is given up", LIMIT, || letters().get(0).cloned());
    assert_eq!((&letter["Event"]["Label"], &letter["Event"]["SecretName"]), (&json!("AWSCURRENT"), &json!("s")));
    assert!(letter["Reason"].as_str().is_some_and(|reason| reason.ends_with("answered 503.")), "{letter}");
    down.store(false, Ordering::SeqCst);
    put(&pawl, "s", "next");
    current_moves(&receiver, 2);
    let before = receiver.events().len();
    let id = letter["DeadLetterId"].to_string();
    assert_eq!(pawl.json(&["events", "dead-letters", "hook", "--redeliver", "--id", &id])["Count"], 1);
    wait_for("it is taken, and dead no longer", LIMIT, || (letters() == json!([])).then_some(()));
    let again = &receiver.events()[before..];
    assert_eq!((again.len(), &again[0].body["id"]), (1, &letter["Event"]["Id"]));

    down.store(true, Ordering::SeqCst);
    put(&pawl, "s", "another");
    wait_for("it is given up", LIMIT, || letters().get(0).cloned());
    assert_eq!(pawl.json(&["events", "dead-letters", "hook", "--discard"])["Count"], 1);
    assert_eq!(letters(), json!([]));
}

#[test]
fn a_replay_sends_the_same_events_again_and_shapes_of_aws_are_what_they_are() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|_| taken());
    subscribe(&pawl, &receiver, &["--format", "eventbridge"]);
    pawl.create("s", &json!({ "n": 0 }));
    put(&pawl, "s", "two");
    let told = |count: usize| {
        wait_for(&format!("{count} deliveries"), LIMIT, || {
            let events = receiver.events();
            (events.len() >= count).then_some(events)
        })
    };
    let first = told(2);
    let secret = pawl.json(&["secret", "show", "s"]);
    for event in &first {
        assert_eq!(event.body["detail-type"], "Secret Label Updated");
        assert_eq!(event.body["resources"], json!([secret["ARN"]]));
        assert_eq!(event.header("content-type"), "application/json");
    }
    let current = secret["VersionIdsToStages"].as_object().expect("versions").iter();
    let current = current.clone().find(|(_, stages)| stages[0] == "AWSCURRENT").expect("one").0;
    assert_eq!(first[1].body["detail"], json!({ "name": "s", "labelUpdated": "AWSCURRENT", "versionId": current }));
    assert_eq!(pawl.json(&["events", "replay", "hook", "--from", "1"])["FromOffset"], 1);
    let again = told(4);
    for n in 0..2 {
        assert_eq!(again[n].raw, again[n + 2].raw, "the very same");
        assert_eq!(again[n].header("webhook-id"), again[n + 2].header("webhook-id"));
    }
}

#[test]
fn a_subscription_may_not_make_the_server_knock_at_doors_inside() {
    let home = Home::new();
    let pawl = home.serve();
    for (url, why) in [
        ("http://hook.example/", "https is required"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
        ("https://user:word@hook.example/", "user name or password"),
        ("ftp://hook.example/", "is not https"),
    ] {
        let refused = pawl.ask("CreateSubscription", &json!({ "Name": "hook", "Url": url })).expect_err(url);
        assert!(refused.contains("InvalidParameterException") && refused.contains(why), "{url}: {refused}");
        assert!(!refused.contains("word@"), "{refused}");
    }
    let reader = pawl.json(&["key", "create", "reader", "--role", "reader", "--prefix", "app/"]);
    let by = crate::harness::wire::Signed {
        access_key_id: reader["AccessKeyId"].as_str().expect("an id").to_owned(),
        secret: reader["SecretAccessKey"].as_str().expect("a secret").into(),
        session_token: None,
    };
    for operation in ["ListEvents", "ListSubscriptions", "CreateSubscription"] {
        let body = json!({ "Name": "mine", "Url": "https://hook.example/" });
        let (status, answer) =
            crate::harness::wire::call(&pawl.url, &by, &format!("pawl.{operation}"), &body).expect("an answer");
        assert_eq!((status, &answer["__type"]), (400, &json!("AccessDeniedException")), "{operation}: {answer}");
    }
}

#[test]
fn a_key_is_rotated_with_both_signing_for_a_while() {
    let home = Home::new();
    let pawl = home.serve();
    let receiver = Receiver::start(|_| taken());
    let old = subscribe(&pawl, &receiver, &["--filter", "label=AWSCURRENT"]);
    let new = pawl.json(&["events", "rotate-key", "hook", "--overlap", "1h"]);
    let new = new["SigningKey"].as_str().expect("a key").to_owned();
    pawl.create("s", &json!({ "n": 0 }));
    let event = current_moves(&receiver, 1).remove(0);
    assert!(event.is_signed_with(&old) && event.is_signed_with(&new));
    let third = pawl.run(&["events", "rotate-key", "hook"]);
    assert!(String::from_utf8_lossy(&third.stderr).contains("Two signing keys"), "{third:?}");
    pawl.json(&["events", "disable", "hook"]);
    put(&pawl, "s", "two");
    assert_eq!(pawl.json(&["events", "list"])["Subscriptions"][0]["Enabled"], false);
    pawl.json(&["events", "enable", "hook"]);
    current_moves(&receiver, 2);
    pawl.json(&["events", "delete", "hook"]);
    assert_eq!(pawl.json(&["events", "list"])["Subscriptions"], Value::Array(vec![]));
}
