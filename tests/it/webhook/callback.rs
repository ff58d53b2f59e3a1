//! Receivers that call back: RotationTokens, scoped credentials and what they cannot do, and AWS rotation functions.

use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};

use super::{add, current, rotate, secret_of, steps};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::receiver::{Answer, Event, Receiver};
use crate::harness::service::{Service, account_value, callback, credentials_of};
use crate::harness::wire::{Signed, call};

/// A receiver that works with what each event carries and has no key of its own. What `spy` returns goes first.
fn scoped_receiver(spy: impl Fn(&Event) -> Option<Answer> + Send + Sync + 'static) -> (Arc<Service>, Receiver) {
    let service = Service::with("first");
    let served = Arc::clone(&service);
    let receiver = Receiver::start(move |event| {
        spy(event).unwrap_or_else(|| {
            let endpoint = event.body["Endpoint"].as_str().expect("an endpoint");
            callback(&served, endpoint, &credentials_of(event), event)
        })
    });
    (service, receiver)
}

fn scoped() -> Value {
    json!({ "Mode": "callback", "Credentials": true })
}

#[test]
fn a_callback_receiver_needs_no_key_of_its_own() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, receiver) = scoped_receiver(|_| None);
    let key = add(&pawl, "back", &receiver.url, scoped());
    secret_of(&pawl, "app", "back", &account_value("first"));
    rotate(&pawl, "app");
    let value = current(&pawl, "app");
    assert!(service.takes(&value) && value["password"] != "first");
    let events = receiver.events();
    assert_eq!(steps(&events), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    for event in &events {
        assert!(event.is_signed_with(&key));
        assert!(event.body.get("Current").is_none() && event.body.get("Pending").is_none(), "no value is sent");
        let token = event.body["RotationToken"].as_str().expect("a token");
        let fits = (36..=256).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        assert!(fits, "{} characters", token.len());
    }
    // The rotation is over, and so is what its events allowed.
    let (status, answer) = call(
        &pawl.url,
        &credentials_of(&events[0]),
        "PutSecretValue",
        &json!({
        "SecretId": "app", "ClientRequestToken": events[0].body["ClientRequestToken"], "SecretString": "late" }),
    )
    .expect("an answer");
    assert_eq!(status, 400, "{answer}");
    assert_eq!(current(&pawl, "app"), value);
}

#[test]
fn scoped_credentials_cannot_do_anything_else() {
    let home = Home::new();
    let pawl = home.serve();
    let refused = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&refused);
    let (_, receiver) = scoped_receiver(move |event| {
        if event.step() != "createSecret" {
            return None;
        }
        let (url, id) = (event.body["Endpoint"].as_str()?, &event.body["SecretId"]);
        for (operation, body) in [
            ("GetSecretValue", json!({ "SecretId": "other" })),
            ("DescribeSecret", json!({ "SecretId": "other" })),
            ("PutSecretValue", json!({ "SecretId": "other", "SecretString": "x" })),
            ("PutSecretValue", json!({ "SecretId": id, "SecretString": "x" })),
            ("UpdateSecret", json!({ "SecretId": id, "Description": "x" })),
            ("DeleteSecret", json!({ "SecretId": id })),
            ("RotateSecret", json!({ "SecretId": id })),
            ("CancelRotateSecret", json!({ "SecretId": id })),
            ("PutResourcePolicy", json!({ "SecretId": id, "ResourcePolicy": "{}" })),
            ("ListSecrets", json!({})),
            ("CreateSecret", json!({ "Name": "new" })),
        ] {
            let (status, answer) = call(url, &credentials_of(event), operation, &body)?;
            seen.lock().expect("whole").push((operation, status, answer["__type"].to_string()));
        }
        None
    });
    add(&pawl, "back", &receiver.url, scoped());
    pawl.create("other", &json!({ "password": "x" }));
    secret_of(&pawl, "app", "back", &account_value("first"));
    rotate(&pawl, "app");
    let refused = refused.lock().expect("whole");
    assert_eq!(refused.len(), 11);
    for (operation, status, code) in refused.iter() {
        // A value for another version than the one that is being made is no question of rights.
        let refused = code.contains("AccessDenied") || code.contains("InvalidRequest");
        assert!(*status == 400 && refused, "{operation}: {status} {code}");
    }
}

#[test]
fn a_check_reads_its_secret_before_there_is_a_rotation_and_writes_nothing() {
    let home = Home::new();
    let pawl = home.serve();
    let (_, receiver) = scoped_receiver(|event| {
        let (url, id) = (event.body["Endpoint"].as_str()?, &event.body["SecretId"]);
        let (read, _) = call(url, &credentials_of(event), "GetSecretValue", &json!({ "SecretId": id }))?;
        let value = json!({ "SecretId": id, "ClientRequestToken": event.body["ClientRequestToken"],
                            "RotationToken": event.body["RotationToken"], "SecretString": "x" });
        let (written, answer) = call(url, &credentials_of(event), "PutSecretValue", &value)?;
        Some(Answer::error(422, "NeedsPerson", &format!("read: {read}, written: {written} {}.", answer["__type"])))
    });
    add(&pawl, "back", &receiver.url, json!({ "Mode": "callback", "Credentials": true, "Steps": ["check"] }));
    pawl.create("app", &account_value("first"));
    let refused = pawl.run(&["rotation", "enable", "app", "--rotator", "back", "--now"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("read: 200, written: 400 ") && said.contains("AccessDeniedException"), "{said}");
    assert_eq!(current(&pawl, "app"), account_value("first"));
}

/// Puts a value with this RotationToken, and returns the status.
fn put(pawl: &Pawl, id: &Value, token: &Value, rotation: Option<&str>) -> (u16, Value) {
    let mut body = json!({ "SecretId": id, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"],
                           "SecretString": account_value("put").to_string() });
    if let Some(rotation) = rotation {
        body["RotationToken"] = rotation.into();
    }
    call(&pawl.url, &pawl.administrator(), "PutSecretValue", &body).expect("an answer")
}

#[test]
fn a_wrong_or_foreign_rotation_token_is_refused_and_an_absent_one_is_taken() {
    let home = Home::new();
    let pawl = home.serve();
    let tokens: Arc<Mutex<Vec<(Value, Value, String)>>> = Arc::default();
    let seen = Arc::clone(&tokens);
    let receiver = Receiver::start(move |event| {
        let text = event.body["RotationToken"].as_str().expect("a token").to_owned();
        let (id, token) = (event.body["SecretId"].clone(), event.body["ClientRequestToken"].clone());
        seen.lock().expect("whole").push((id, token, text));
        Answer::Json(202, json!({ "Status": "InProgress", "RetryAfterSeconds": 600 }))
    });
    add(&pawl, "back", &receiver.url, json!({ "Mode": "callback" }));
    for secret in ["one", "two"] {
        secret_of(&pawl, secret, "back", &account_value("first"));
        pawl.json(&["rotation", "now", secret]);
    }
    crate::harness::wait_for("both were asked", std::time::Duration::from_secs(30), || {
        (tokens.lock().expect("whole").len() == 2).then_some(())
    });
    let [(id, token, own), (_, _, foreign)] = <[_; 2]>::try_from(tokens.lock().expect("whole").clone()).expect("two");
    let mut wrong = own.clone();
    wrong.replace_range(..1, if own.starts_with('a') { "b" } else { "a" });
    for (what, given) in
        [("another secret's", foreign.as_str()), ("a changed", &wrong), ("an invented", &"0".repeat(40))]
    {
        let (status, answer) = put(&pawl, &id, &token, Some(given));
        assert_eq!(status, 400, "{what} token was taken");
        assert!(answer["__type"].as_str().is_some_and(|code| code.contains("InvalidParameter")), "{what}: {answer}");
    }
    let (status, answer) = put(&pawl, &id, &token, None);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_rotation_token_is_good_until_its_deadline_and_no_longer() {
    let home = Home::new();
    let pawl = home.serve();
    let first: Arc<OnceLock<(Value, Value, String)>> = Arc::default();
    let seen = Arc::clone(&first);
    let receiver = Receiver::start(move |event| {
        let text = event.body["RotationToken"].as_str().expect("a token").to_owned();
        let _later = seen.set((event.body["SecretId"].clone(), event.body["ClientRequestToken"].clone(), text));
        Answer::Json(202, json!({ "Status": "InProgress", "RetryAfterSeconds": 600 }))
    });
    add(&pawl, "back", &receiver.url, json!({ "Mode": "callback", "TimeoutSeconds": 2 }));
    secret_of(&pawl, "app", "back", &account_value("first"));
    pawl.json(&["rotation", "now", "app"]);
    let limit = std::time::Duration::from_secs(30);
    let (id, token, rotation) = crate::harness::wait_for("it was asked", limit, || first.get().cloned());
    let refused = |answer: &Value| answer["__type"].as_str().is_some_and(|code| code.contains("InvalidParameter"));
    // Each try is of another version, which the token is not for; what counts is what it says of its own, when it is over.
    let (status, answer) = put(&pawl, &id, &json!("another-version-than-the-tokens-own-0001"), Some(&rotation));
    assert!(status == 400 && refused(&answer), "{answer}");
    let deadline = receiver.events()[0].body["Deadline"].as_str().expect("a deadline").to_owned();
    crate::harness::wait_for("the deadline passes", limit, || {
        use engine::port::Clock;
        let deadline: engine::Time = deadline.parse().expect("RFC 3339");
        (pawl::clock::SystemClock.now() > deadline).then_some(())
    });
    let (status, answer) = put(&pawl, &id, &token, Some(&rotation));
    assert!(status == 400 && refused(&answer), "{status} {answer}");
}

/// A function behind the Invoke API, with a standing key as functions in AWS's template have it.
fn function(service: &Arc<Service>, access: &Arc<OnceLock<(String, Signed)>>) -> Receiver {
    let (served, known) = (Arc::clone(service), Arc::clone(access));
    Receiver::start(move |event| {
        let (url, by) = known.get().expect("set before it rotates");
        match callback(&served, url, by, event) {
            Answer::Json(200, _) => Answer::Json(200, Value::Null),
            Answer::Json(_, error) => {
                Answer::Json(200, json!({ "errorMessage": error["Error"]["Message"], "errorType": "ValueError" }))
            }
            Answer::Cut => Answer::Cut,
        }
    })
}

#[test]
fn a_rotation_function_behind_the_invoke_api_rotates_a_secret() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, access) = (Service::with("first"), Arc::<OnceLock<_>>::default());
    let emulator = function(&service, &access);
    let _first = access.set((pawl.url.clone(), pawl.administrator()));
    pawl.ask("CreateRotator", &json!({ "Name": "fn", "Kind": "lambda", "Endpoint": emulator.url }))
        .expect("registered");
    secret_of(&pawl, "app", "arn:aws:lambda:us-east-1:000000000000:function:fn", &account_value("first"));
    rotate(&pawl, "app");
    let value = current(&pawl, "app");
    assert!(service.takes(&value) && value["password"] != "first");
    let events = emulator.events();
    assert_eq!(steps(&events), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    for event in &events {
        assert_eq!(event.path, "/2015-03-31/functions/function/invocations");
        let mut members: Vec<_> = event.body.as_object().expect("an object").keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["ClientRequestToken", "RotationToken", "SecretId", "Step"], "AWS's four and nothing more");
        assert!(event.header("authorization").is_empty(), "the emulator takes no signature");
    }
}

#[test]
fn a_function_is_called_with_a_signature_where_it_has_a_key() {
    let home = Home::new();
    let pawl = home.serve();
    let (service, access) = (Service::with("first"), Arc::<OnceLock<_>>::default());
    let endpoint = function(&service, &access);
    let _first = access.set((pawl.url.clone(), pawl.administrator()));
    let signed = json!({ "Name": "fn", "Kind": "lambda", "Endpoint": endpoint.url, "Function": "rotate-app",
        "Region": "eu-west-1", "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "the/secret/half" });
    pawl.ask("CreateRotator", &signed).expect("registered");
    secret_of(&pawl, "app", "fn", &account_value("first"));
    rotate(&pawl, "app");
    for event in endpoint.events() {
        assert_eq!(event.path, "/2015-03-31/functions/rotate-app/invocations");
        let said = event.header("authorization");
        assert!(said.contains("Credential=AKIDEXAMPLE/") && said.contains("/eu-west-1/lambda/aws4_request"), "{said}");
    }
}
