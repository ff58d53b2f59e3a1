//! WaitForCurrent: who waits is told at once, can read what it is told of, and holds nothing that others need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::sigv4::{Signer, Unsigned, sign};
use engine::port::Clock;
use pawl::clock::SystemClock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::put;
use crate::harness::pawl::{Home, Pawl};
use crate::harness::wire::{Signed, call};

const WAITERS: usize = 1000;

fn version_of(pawl: &Pawl, name: &str) -> Value {
    pawl.ask("WaitForCurrent", &json!({ "SecretId": name, "TimeoutSeconds": 0 })).expect("an answer")["VersionId"]
        .clone()
}

/// One signed call, on a client that many share.
async fn ask(http: &reqwest::Client, url: &str, by: &Signed, target: &str, body: &Value) -> Value {
    let body = body.to_string();
    let host = url.trim_start_matches("http://");
    let headers = [("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
    let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
    let signer = Signer { access_key_id: &by.access_key_id, secret: &by.secret, region: "us-east-1" };
    let mut request = http.post(url);
    for (name, value) in &headers[1..] {
        request = request.header(*name, *value);
    }
    for (name, value) in sign(&unsigned, &signer, SystemClock.now()) {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.expect("an answer");
    serde_json::from_str(&answer.text().await.expect("text")).expect("JSON")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test measures how long it waits")]
fn whoever_knows_an_old_version_is_answered_at_once_and_whoever_waits_in_vain_is_told_so() {
    let home = Home::new();
    let pawl = home.serve();
    pawl.create("app/db", &json!({ "n": 0 }));
    let first = version_of(&pawl, "app/db");
    let began = Instant::now();
    let same = pawl.ask("WaitForCurrent", &json!({ "SecretId": "app/db", "NotVersionId": first, "TimeoutSeconds": 1 }));
    assert_eq!(same.expect("an answer"), json!({ "Changed": false, "VersionId": first }));
    assert!(began.elapsed() >= Duration::from_secs(1));
    put(&pawl, "app/db", "two");
    let began = Instant::now();
    let answer =
        pawl.ask("WaitForCurrent", &json!({ "SecretId": "app/db", "NotVersionId": first })).expect("an answer");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!((&answer["Changed"], answer["VersionId"] == first), (&json!(true), false));
    let shown = pawl.run(&["secret", "wait", "app/db", "--not", first.as_str().expect("text")]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), answer["VersionId"].as_str().expect("text"));
    let late = pawl.run(&["secret", "wait", "app/db", "--timeout", "1"]);
    assert_eq!(late.status.code(), Some(5), "{late:?}");
    let missing = pawl.ask("WaitForCurrent", &json!({ "SecretId": "none" })).expect_err("no such secret");
    assert!(missing.contains("ResourceNotFoundException"), "{missing}");

    // Readers may wait for what they may read.
    let reader = pawl.json(&["key", "create", "reader", "--role", "reader", "--prefix", "app/"]);
    pawl.create("private", &json!({ "n": 0 }));
    let by = Signed {
        access_key_id: reader["AccessKeyId"].as_str().expect("an id").to_owned(),
        secret: reader["SecretAccessKey"].as_str().expect("a secret").into(),
        session_token: None,
    };
    for (name, expected) in [("app/db", 200), ("private", 400)] {
        let (status, answer) =
            call(&pawl.url, &by, "pawl.WaitForCurrent", &json!({ "SecretId": name })).expect("an answer");
        assert_eq!(status, expected, "{answer}");
    }
}

// F110
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "waiters are clients of their own, and the test measures how long they wait"
)]
fn a_thousand_waiters_are_told_at_once_of_what_they_can_read_and_end_with_the_server() {
    let files = getrlimit(Resource::Nofile);
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
    let home = Home::new();
    let pawl = home.serve();
    pawl.create("s", &json!({ "n": 0 }));
    let (first, by, url) = (version_of(&pawl, "s"), pawl.administrator(), pawl.url.clone());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let (http, by) = (Arc::new(http), Arc::new(by));
    let wait_all = |not: Value| {
        let waiters = (0..WAITERS).map(|_| {
            let (http, by, url, not) = (Arc::clone(&http), Arc::clone(&by), url.clone(), not.clone());
            runtime.spawn(async move {
                let body = json!({ "SecretId": "s", "NotVersionId": not, "TimeoutSeconds": 60 });
                let told = ask(&http, &url, &by, "pawl.WaitForCurrent", &body).await;
                if told["Changed"] != true {
                    return (told, Value::Null);
                }
                let read = ask(&http, &url, &by, "secretsmanager.GetSecretValue", &json!({ "SecretId": "s" })).await;
                (told, read)
            })
        });
        waiters.collect::<Vec<_>>()
    };
    let waiting = wait_all(first.clone());
    let in_flight = || {
        pawl.metrics().lines().any(|line| line.starts_with("pawl_api_calls_total") && line.contains("WaitForCurrent"))
    };
    // Others are served meanwhile: the waiters hold none of the few connections to the database.
    for n in 0..20 {
        pawl.create(&format!("other-{n}"), &json!({ "n": n }));
        pawl.json(&["secret", "show", &format!("other-{n}")]);
    }
    assert!(in_flight(), "the first one, that did not wait");
    let began = Instant::now();
    put(&pawl, "s", "two");
    let answers = runtime.block_on(async {
        let mut answers = vec![];
        for waiter in waiting {
            answers.push(waiter.await.expect("a waiter"));
        }
        answers
    });
    let took = began.elapsed();
    for (told, read) in &answers {
        assert_eq!((&told["Changed"], told["VersionId"] == first), (&json!(true), false), "{told}");
        assert_eq!(read["VersionId"], told["VersionId"], "what is told can be read");
    }
    assert!(took < Duration::from_secs(20), "{took:?}");

    let waiting = wait_all(answers[0].0["VersionId"].clone());
    pawl.create("between", &json!({ "n": 0 }));
    pawl.signal(rustix::process::Signal::TERM);
    let mut pawl = pawl;
    let status = pawl.ended(Duration::from_secs(20));
    assert!(status.success(), "{status}");
    drop(waiting);
}
