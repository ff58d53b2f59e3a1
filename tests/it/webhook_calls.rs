//! What registered rotators are sent, in each mode, and the Lambda Invoke API: requests as they arrive.

use std::time::Duration;

use engine::outcome::{Proof, Verdict};
use engine::port::Clock;
use engine::registration::{Kind, Mode};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use pawl::clock::SystemClock;
use rotators::{CallerSettings, Probe};
use serde_json::{Value, json};

use crate::webhook_support::receiver::{Deed, Receiver};
use crate::webhook_support::{Scene, TIMEOUT, function, join_all, timed};

fn members(body: &Value) -> Vec<&str> {
    body.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn pair(password: &str) -> Value {
    json!({ "SecretString": json!({ "username": "app", "password": password }).to_string() })
}

#[tokio::test]
async fn a_managed_receiver_is_told_the_values_and_creates_nothing() {
    let receiver = Receiver::always(Deed::done());
    let scene = Scene::new(&receiver.url());
    let made = scene.create().await.expect("made here");
    let made: Value = serde_json::from_slice(made.value.expect("a value").expose()).expect("JSON");
    assert_eq!(made, json!({ "username": "app", "password": "Canary9-generated" }));
    assert!(receiver.requests().is_empty(), "the engine owns generation");

    for (step, name) in [(Step::Set, "setSecret"), (Step::Test, "testSecret"), (Step::Finish, "finishSecret")] {
        scene.step(step).await.expect(name);
        let request = receiver.requests().last().expect("a request").clone();
        assert_eq!(request.line, "POST /hook");
        assert_eq!(request.header("content-type"), "application/json");
        let body = request.json();
        assert_eq!((body["Step"].as_str(), body["Mode"].as_str()), (Some(name), Some("managed")));
        assert_eq!(body["SecretId"], json!(scene.arn));
        assert_eq!(body["ClientRequestToken"], json!(scene.run.token.as_str()));
        assert_eq!(body["Current"], pair("Canary9-\"old\""));
        assert_eq!(body["Pending"], pair("Canary9-new/+=4"));
        assert_eq!(body["Others"], json!([pair("Canary9-older")]));
        assert_eq!(body["TimeoutSeconds"], json!(TIMEOUT.as_secs() / 2), "half of a short time may go by on the way");
        for absent in ["Credentials", "Endpoint", "OtherVersions", "Restoring", "Tag"] {
            assert!(!members(&body).contains(&absent), "{absent}");
        }
    }
}

#[tokio::test]
async fn a_receiver_whose_clock_is_behind_is_told_less_than_is_left_by_what_connecting_may_take() {
    let receiver = Receiver::always(Deed::done());
    let scene = Scene::new(&receiver.url());
    scene.change(|registration| registration.settings.timeout_seconds = 10);
    let left = || SystemClock.now() + Duration::from_secs(10);
    let before = left();
    scene.set().await.expect("set");
    let body = receiver.requests()[0].json();
    assert_eq!(body["TimeoutSeconds"], json!(7));
    let deadline: engine::Time = body["Deadline"].as_str().and_then(|text| text.parse().ok()).expect("RFC 3339");
    let second = Duration::from_secs(1);
    assert!(before - second < deadline && deadline < left(), "the whole time: {deadline}");
}

#[tokio::test]
async fn a_managed_receiver_retires_the_old_value_and_keeps_the_new() {
    let receiver = Receiver::always(Deed::done());
    let mut scene = Scene::new(&receiver.url());
    scene.run.retiring = scene.material.known[1].version.clone();
    scene.material.known.remove(0);
    scene.material.wanted = scene.material.current.clone();
    scene.step(Step::Retire).await.expect("retired");
    let body = receiver.requests()[0].json();
    assert_eq!((&body["Current"], &body["Retired"]), (&pair("Canary9-\"old\""), &pair("Canary9-older")));
    scene.material.known.clear();
    let done = scene.step(Step::Retire).await.expect("nothing to do");
    assert!(done.note.contains("nothing was retired"), "{}", done.note);
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn the_key_that_gets_the_password_must_be_there() {
    let mut scene = Scene::new("http://127.0.0.1:9/");
    scene.change_webhook(|webhook| webhook.password_key = Some("token".to_owned()));
    let error = scene.create().await.expect_err("no such key");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "missing-key"));
    for value in ["plain", "{\"token\":\"x\"", "[]"] {
        scene.material.current = Some(SecretBytes::from(value));
        assert_eq!(scene.create().await.expect_err(value).code, "missing-key");
    }
    scene.change_webhook(|webhook| webhook.password_key = None);
    let made = scene.create().await.expect("the whole value is the password").value.expect("a value");
    assert_eq!(made.expose_str(), Some("Canary9-generated"));
}

#[tokio::test]
async fn a_callback_receiver_is_told_where_to_call_and_no_value() {
    let receiver = Receiver::always(Deed::done());
    let mut scene = Scene::new(&receiver.url());
    scene.change_webhook(|webhook| {
        (webhook.mode, webhook.password_key, webhook.credentials) = (Mode::Callback, None, true);
    });
    assert!(scene.create().await.expect("written by the receiver").value.is_none());
    scene.set().await.expect("set");
    scene.material.wanted = scene.material.current.clone();
    assert_eq!(scene.prove().await.expect("an answer"), Proof::CurrentLogsIn);
    let requests = receiver.requests();
    for request in &requests {
        assert!(!String::from_utf8_lossy(&request.raw).contains("\"password"), "no value");
        let body = request.json();
        assert_eq!(body["Endpoint"], json!("http://127.0.0.1:7171"));
        assert_eq!(body["RotationToken"], json!("Canary9-rotation-token-0123456789abcdef"));
        assert_eq!(body["Credentials"]["AccessKeyId"], json!("ASIAEXAMPLE"));
    }
    assert_eq!(requests[0].json()["Step"], json!("createSecret"));
    assert_eq!(requests[1].json()["OtherVersions"], json!(["p".repeat(32)]));
    let proof = requests[2].json();
    assert_eq!((&proof["Step"], &proof["Restoring"]), (&json!("testSecret"), &json!(true)));
    assert_eq!(proof["ClientRequestToken"], json!("c".repeat(32)), "AWSCURRENT's own version");
    let rejecting = Receiver::always(Deed::ok(r#"{"Status":"Error","Error":{"Kind":"Rejected"}}"#));
    scene.change_webhook(|webhook| webhook.url = rejecting.url());
    let error = scene.set().await.expect_err("rejected");
    assert_eq!(error.verdict, Verdict::NeedsPerson, "a value that the receiver wrote is not replaced");
}

#[tokio::test]
async fn check_is_asked_of_receivers_that_take_it() {
    let receiver = Receiver::always(Deed::ok(r#"{"Status":"Done","Message":"may change app"}"#));
    let scene = Scene::new(&receiver.url());
    let current = scene.material.current.as_ref();
    let check = async || scene.callers.check(&scene.registered(), &scene.arn, &scene.run.token, current).await;
    assert_eq!(check().await.expect_err("not declared").code, "no-check");
    scene.change_webhook(|webhook| webhook.checks = true);
    assert_eq!(check().await.expect("checked").note, "may change app");
    let body = receiver.requests()[0].json();
    assert_eq!((&body["Step"], &body["Current"]), (&json!("check"), &pair("Canary9-\"old\"")));
}

fn lambda(receiver: &Receiver) -> Scene {
    Scene::of(function(&format!("http://127.0.0.1:{}/", receiver.port)), CallerSettings::default())
}

#[tokio::test]
async fn a_function_gets_the_event_of_aws_and_its_return_value_is_of_no_interest() {
    let receiver = Receiver::start(|number, _| match number {
        0 => Deed::ok("null"),
        1 => Deed::ok(""),
        2 => Deed::ok(&format!("\"{}\"", "x".repeat(6 << 20))),
        _ => Deed::ok(r#"{"statusCode": 500}"#),
    });
    let scene = lambda(&receiver);
    assert!(scene.create().await.expect("created").value.is_none(), "the function writes the value by itself");
    for step in [Step::Set, Step::Test, Step::Finish] {
        scene.step(step).await.expect("done");
    }
    let steps = ["createSecret", "setSecret", "testSecret", "finishSecret"];
    let requests = receiver.requests();
    assert_eq!(requests.len(), steps.len());
    for (request, step) in requests.iter().zip(steps) {
        assert_eq!(request.line, "POST /2015-03-31/functions/function/invocations");
        assert_eq!(request.header("x-amz-invocation-type"), "RequestResponse");
        assert_eq!(request.header("authorization"), "", "the runtime interface emulator takes no signature");
        assert_eq!(
            request.json(),
            json!({ "Step": step, "SecretId": scene.arn, "ClientRequestToken": scene.run.token.as_str(),
                "RotationToken": "Canary9-rotation-token-0123456789abcdef" }),
        );
    }
}

#[tokio::test]
async fn an_invocation_is_signed_where_an_access_key_is_given() {
    let receiver = Receiver::always(Deed::ok("null"));
    let scene = lambda(&receiver);
    scene.change(|registration| {
        let Kind::Lambda(lambda) = &mut registration.settings.kind else { panic!("a function") };
        lambda.access_key_id = Some("AKIAEXAMPLE".to_owned());
        lambda.function = "arn:aws:lambda:us-east-1:1:function:f".to_owned();
    });
    let missing = scene.test().await.expect_err("no secret half");
    assert_eq!((missing.verdict, missing.code.as_str()), (Verdict::NeedsPerson, "no-access-key"));
    scene.change(|registration| registration.keys.access_key_secret = Some(SecretBytes::from("Canary9-access-key")));
    scene.test().await.expect("done");
    let request = &receiver.requests()[0];
    assert_eq!(request.header("authorization"), "AWS4-HMAC-SHA256 by the test");
    assert_eq!(request.header("x-amz-date"), "20261122T000000Z");
    let path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations";
    assert_eq!(request.line, format!("POST {path}"));
    let signed = scene.office.signed.lock().expect("no panic in the lock").clone();
    let host = format!("127.0.0.1:{}", receiver.port);
    assert_eq!(signed, [("AKIAEXAMPLE".to_owned(), format!("{host}{path}"))]);
    assert_eq!(request.header("host"), host, "the host that was signed");
}

#[tokio::test]
async fn a_function_that_fails_or_is_not_heard_of_again_leaves_a_doubt() {
    let error = r#"{"errorMessage":"no login with Canary9-new/+=4","errorType":"ValueError"}"#;
    for (deed, waits, verdict) in [
        (Deed::Answer("200 OK", "X-Amz-Function-Error: Unhandled\r\n", error.to_owned()), false, Verdict::Unknown),
        (Deed::ok(error), false, Verdict::Unknown),
        (Deed::ok("Task timed out after 3.00 seconds"), false, Verdict::Unknown),
        (Deed::Silence, true, Verdict::Unknown),
        (Deed::Close, true, Verdict::Unknown),
        (Deed::Flood { announced: false }, true, Verdict::Unknown),
        // Whatever stands before Lambda gave up waiting; the function goes on.
        (Deed::Answer("504 Gateway Timeout", "", "{}".to_owned()), true, Verdict::Unknown),
        (
            Deed::Answer("502 Bad", "X-Amzn-ErrorType: ResourceNotReadyException\r\n", "{}".to_owned()),
            false,
            Verdict::Retry,
        ),
        (
            Deed::Answer("429 Too Many", "X-Amzn-ErrorType: TooManyRequestsException\r\n", "{}".to_owned()),
            false,
            Verdict::Retry,
        ),
        (
            Deed::Answer("404 No", "X-Amzn-ErrorType: ResourceNotFoundException\r\n", "{}".to_owned()),
            false,
            Verdict::NeedsPerson,
        ),
    ] {
        let receiver = Receiver::always(deed.clone());
        let scene = lambda(&receiver);
        let ((set, took), test) = tokio::join!(timed(scene.set()), scene.test());
        let set = set.expect_err("failed");
        assert_eq!(set.verdict, verdict, "{deed:?}: {set:?}");
        assert_eq!(took >= TIMEOUT, waits, "{deed:?}: {took:?}");
        // A testSecret that the function failed leads back to setSecret; one that was lost is asked again.
        let otherwise = match (verdict, waits) {
            (Verdict::Unknown, false) => Verdict::Rejected,
            (Verdict::Unknown, true) => Verdict::Retry,
            (verdict, _) => verdict,
        };
        assert_eq!(test.expect_err("failed").verdict, otherwise, "{deed:?}");
    }
}

#[tokio::test]
async fn giving_up_tests_a_copy_of_awscurrent_and_a_function_puts_nothing_back() {
    let receiver = Receiver::start(|number, _| match number {
        0 => Deed::ok("null"),
        _ => Deed::ok(r#"{"errorMessage":"Unable to log in","errorType":"ValueError"}"#),
    });
    let mut scene = lambda(&receiver);
    assert_eq!(scene.prove().await.expect_err("no copy").code, "no-copy");
    let copy = engine::id::VersionId::new("y".repeat(32)).expect("a version id");
    scene.run = Run { copy: Some(copy.clone()), ..scene.run };
    assert_eq!(scene.prove().await.expect("proven"), Proof::CurrentLogsIn);
    assert_eq!(receiver.requests()[0].json()["ClientRequestToken"], json!(copy.as_str()));
    let error = scene.prove().await.expect_err("not proven");
    assert_eq!(error.verdict, Verdict::NeedsPerson);
    assert!(error.remedy.contains("--current-works"), "{}", error.remedy);
    let restore = scene.step(Step::Restore).await.expect_err("a function cannot");
    assert_eq!((restore.verdict, restore.code.as_str()), (Verdict::NeedsPerson, "no-restore"));
    assert!(scene.callers.probe(&scene.registered(), Probe::new("setSecret", "a", &copy)).await.is_none());
}

// F23
#[tokio::test]
async fn a_hundred_slow_calls_run_at_once() {
    let receiver = Receiver::start(|_, received| {
        if !received.raw.is_empty() {
            std::thread::sleep(Duration::from_millis(500));
        }
        Deed::done()
    });
    let scene = Scene::new(&receiver.url());
    let calls: Vec<_> = (0..100).map(|_| scene.test()).collect();
    let (ended, took) = timed(join_all(calls)).await;
    assert!(ended.into_iter().all(|ended| ended.is_ok()));
    assert!(took < TIMEOUT, "one after the other they would take 50 s; these took {took:?}");
}
