//! Faults between Pawl and the receiver of a webhook: the right verdict each (failures F113 to F120), and no request
//! where none may go.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use engine::outcome::{Proof, StepError, Verdict};
use engine::registration::Mode;
use engine::rotation::Step;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rotators::{Bend, CallerSettings, ErrorKind, Heard, Lookup, Probe};
use serde_json::json;

use crate::harness::free_port;
use crate::rotator_support::Gone;
use crate::webhook_support::receiver::{Deed, Received, Receiver};
use crate::webhook_support::{Scene, TIMEOUT, join_all, signing_key, timed, webhook, with_policy};

/// A set and a test against a receiver that does this: their errors, and how long each took.
async fn both(deed: Deed) -> ((StepError, Duration), (StepError, Duration), Receiver) {
    let receiver = Receiver::always(deed.clone());
    let scene = Scene::new(&receiver.url());
    let (set, test) = tokio::join!(timed(scene.set()), timed(scene.test()));
    let failed = |(ended, took): (Result<_, StepError>, _)| (ended.map(|_| ()).expect_err(&format!("{deed:?}")), took);
    (failed(set), failed(test), receiver)
}

/// A fault after which nobody knows whether the change happened: Unknown, and not before the event's deadline, so that
/// nothing of this call can land later; where nothing is changed, it is just asked again.
async fn leaves_a_doubt(deed: Deed, code: &str) -> Receiver {
    let ((set, took), (test, _), receiver) = both(deed.clone()).await;
    assert_eq!((set.verdict, set.code.as_str()), (Verdict::Unknown, code), "{deed:?}: {set:?}");
    assert!(took >= TIMEOUT, "{deed:?}: the verdict came after {took:?}, when the receiver may still be at work");
    assert_eq!(test.verdict, Verdict::Retry, "{deed:?}: {test:?}");
    receiver
}

#[tokio::test]
async fn f113_a_reply_that_is_lost_is_unknown_and_waited_out() {
    leaves_a_doubt(Deed::Close, "connection-lost").await;
}

#[tokio::test]
async fn f113_a_connection_that_is_reset_is_unknown_and_waited_out() {
    leaves_a_doubt(Deed::Reset, "connection-lost").await;
}

#[tokio::test]
async fn f113_a_receiver_that_is_silent_is_unknown_at_its_deadline() {
    leaves_a_doubt(Deed::Silence, "timeout").await;
}

#[tokio::test]
async fn f113_a_request_that_is_lost_is_never_called_done() {
    let ((set, _), (test, _), receiver) = both(Deed::CloseUnread).await;
    assert!(matches!(set.verdict, Verdict::Unknown | Verdict::Retry), "{set:?}");
    assert_eq!(test.verdict, Verdict::Retry, "{test:?}");
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn f113_where_nothing_listens_nothing_was_sent() {
    let scene = Scene::new(&format!("http://127.0.0.1:{}/", free_port()));
    let (set, took) = timed(scene.set()).await;
    let set = set.expect_err("nobody is there");
    assert_eq!((set.verdict, set.code.as_str()), (Verdict::Retry, "refused"));
    assert!(took < TIMEOUT, "a call that was not made is not waited for: {took:?}");
}

#[tokio::test]
async fn f113_a_gateway_that_gives_up_while_the_receiver_works_is_waited_out_as_a_lost_reply_is() {
    let receiver = Receiver::always(Deed::Answer("502 Bad Gateway", "", String::new()));
    let mut scene = Scene::new(&receiver.url());
    scene.run.retiring = scene.material.known[1].version.clone();
    let steps = [Step::Set, Step::Restore, Step::Retire, Step::Revoke].map(|step| timed(scene.step(step)));
    for (ended, took) in join_all(steps.into()).await {
        assert_eq!(ended.expect_err("502").verdict, Verdict::Unknown);
        assert!(took >= TIMEOUT, "the verdict came after {took:?}, when the receiver may still be at work");
    }
    // What a receiver writes through the API may come late as well.
    scene.change_webhook(|webhook| (webhook.mode, webhook.password_key) = (Mode::Callback, None));
    let (create, finish) = tokio::join!(timed(scene.create()), timed(scene.step(Step::Finish)));
    for (ended, took) in [(create.0.map(|made| made.done), create.1), finish] {
        assert_eq!(ended.expect_err("502").verdict, Verdict::Retry);
        assert!(took >= TIMEOUT, "{took:?}");
    }
}

/// Never answers for a name.
struct Nobody;

#[async_trait]
impl Lookup for Nobody {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn f113_an_event_that_is_not_on_its_way_in_time_is_not_sent_at_all() {
    let scene = Scene::of(webhook("https://hooks.example/"), with_policy(&[], Arc::new(Nobody)));
    let (set, took) = timed(scene.set()).await;
    let set = set.expect_err("no way there");
    assert_eq!((set.verdict, set.code.as_str()), (Verdict::Retry, "connect-timeout"));
    assert!(took < TIMEOUT, "later it would leave the receiver less than it is told: {took:?}");
}

#[tokio::test]
async fn f114_the_same_step_asked_again_is_the_same_delivery() {
    let receiver =
        Receiver::start(|number, _| if number == 0 { Deed::Answer("503 No", "", String::new()) } else { Deed::done() });
    let mut scene = Scene::new(&receiver.url());
    let first = scene.set().await.expect_err("503");
    assert_eq!(first.verdict, Verdict::Unknown);
    scene.run.attempt = 1;
    scene.set().await.expect("done");
    scene.run.candidate = 2;
    scene.set().await.expect("done");
    let ids: Vec<_> = receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2], "another candidate is another delivery");
    let attempts: Vec<_> = receiver.requests().iter().map(|request| request.json()["Attempt"].clone()).collect();
    assert_eq!(attempts, [json!(1), json!(2), json!(2)]);
}

#[tokio::test]
async fn f115_every_delivery_verifies_by_the_published_library_and_a_bent_one_does_not() {
    let key = "Canary9-signing-key-of-32-bytes!";
    let receiver = Receiver::start(move |_, received| match verified(key, received) {
        true => Deed::done(),
        false => Deed::Answer(
            "401 Unauthorized",
            "",
            r#"{"Status":"Error","Error":{"Kind":"NeedsPerson","Code":"SIGNATURE"}}"#.to_owned(),
        ),
    });
    let scene = Scene::new(&receiver.url());
    scene.set().await.expect("rightly signed");
    let token = scene.run.token.clone();
    let probe = Probe { pending: scene.material.wanted.as_ref(), ..Probe::new("setSecret", &scene.arn, &token) };
    for bend in [Bend::Straight, Bend::UnknownStep, Bend::UnknownVersion, Bend::Deadline(-1000), Bend::Timestamp(-200)]
    {
        let observed = scene.callers.probe(&scene.registered(), Probe { bend, ..probe }).await.expect("a webhook");
        assert_eq!((observed.status, observed.heard), (Some(200), Heard::Done), "{bend:?}");
    }
    for bend in [
        Bend::NoSignature,
        Bend::WrongKey,
        Bend::TamperedBody,
        Bend::Timestamp(-600),
        Bend::Timestamp(600),
        Bend::ReplayedSignature,
    ] {
        let observed = scene.callers.probe(&scene.registered(), Probe { bend, ..probe }).await.expect("a webhook");
        assert_eq!((observed.status, observed.heard), (Some(401), Heard::Error(ErrorKind::NeedsPerson)), "{bend:?}");
    }
    let cut = scene.callers.probe(&scene.registered(), Probe { bend: Bend::CutConnection, ..probe }).await;
    assert_eq!(cut.expect("a webhook").heard, Heard::Lost);
    let bent = receiver.requests();
    assert_eq!(bent[2].json()["Step"], "danceSecret");
    assert_ne!(bent[3].json()["Version"], json!(1));
}

fn verified(key: &str, received: &Received) -> bool {
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let value = HeaderValue::from_str(received.header(name)).expect("printable");
        headers.insert(HeaderName::from_static(name), value);
    }
    let library = standardwebhooks::Webhook::from_bytes(key.as_bytes().to_vec()).expect("a key");
    library.verify(&received.raw, &headers).is_ok()
}

#[tokio::test]
async fn f116_a_key_changed_in_the_middle_of_deliveries_signs_from_the_next_one_on_beside_the_old() {
    let (old, new) = ("Canary9-signing-key-of-32-bytes!", "Canary9-the-key-that-comes-after");
    let known = Arc::new(Mutex::new(old));
    let asked = Arc::clone(&known);
    let receiver = Receiver::start(move |_, received| match verified(*asked.lock().expect("no panic"), received) {
        true => Deed::done(),
        false => Deed::Answer("401 Unauthorized", "", String::new()),
    });
    let scene = Scene::new(&receiver.url());
    scene.set().await.expect("the old key");
    scene.change(|registration| registration.keys.signing.push(signing_key(new)));
    scene.test().await.expect("the receiver still has the old key");
    *known.lock().expect("no panic") = new;
    scene.step(Step::Finish).await.expect("the receiver has the new key");
    scene.change(|registration| drop(registration.keys.signing.remove(0)));
    scene.test().await.expect("the old key is gone");
    *known.lock().expect("no panic") = old;
    let refused = scene.test().await.expect_err("the receiver was never told");
    assert_eq!((refused.verdict, refused.code.as_str()), (Verdict::NeedsPerson, "forbidden"));
}

#[tokio::test]
async fn f117_a_redirect_to_a_metadata_address_is_not_followed() {
    let elsewhere = Receiver::always(Deed::done());
    for location in ["http://169.254.169.254/latest/meta-data/".to_owned(), elsewhere.url()] {
        for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let headers: &'static str = format!("Location: {location}\r\n").leak();
            let ((set, took), (test, _), receiver) = both(Deed::Answer(status, headers, String::new())).await;
            for error in [set, test] {
                assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "redirect"), "{status}");
            }
            assert!(took < TIMEOUT, "nothing was begun, so nothing is waited for");
            assert_eq!(receiver.requests().len(), 2, "one request a step");
        }
    }
    assert_eq!(elsewhere.accepted(), 0, "nobody went there");
}

// F25
#[tokio::test]
async fn f117_a_slow_drip_ends_at_the_deadline() {
    leaves_a_doubt(Deed::Drip, "timeout").await;
}

#[tokio::test]
async fn f117_what_is_not_http_or_ends_too_soon_is_no_answer() {
    leaves_a_doubt(Deed::Raw("SSH-2.0-OpenSSH_9.2\r\n"), "not-http").await;
    leaves_a_doubt(Deed::Raw("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"Status\":"), "connection-lost").await;
}

#[tokio::test]
async fn f117_of_an_endless_body_no_more_than_the_cap_is_read() {
    for announced in [true, false] {
        let receiver = leaves_a_doubt(Deed::Flood { announced }, "answer-too-large").await;
        // What was written and never read waited in the buffers of two sockets.
        assert!(receiver.written() < 64 << 20, "{} bytes went out", receiver.written());
    }
}

#[tokio::test]
async fn f117_a_status_says_what_was_done_where_the_body_does_not() {
    for (status, headers, set_verdict, test_verdict, wait) in [
        ("500 Internal Server Error", "", Verdict::Unknown, Verdict::Retry, None),
        ("504 Gateway Timeout", "", Verdict::Unknown, Verdict::Retry, None),
        ("408 Request Timeout", "", Verdict::Unknown, Verdict::Retry, None),
        ("429 Too Many Requests", "Retry-After: 7\r\n", Verdict::Retry, Verdict::Retry, Some(7)),
        ("503 Service Unavailable", "Retry-After: 5\r\n", Verdict::Retry, Verdict::Retry, Some(5)),
        ("202 Accepted", "Retry-After: 3\r\n", Verdict::InProgress, Verdict::InProgress, Some(3)),
        ("404 Not Found", "", Verdict::NeedsPerson, Verdict::NeedsPerson, None),
    ] {
        let ((set, took), (test, tested), _) = both(Deed::Answer(status, headers, String::new())).await;
        assert_eq!((set.verdict, test.verdict), (set_verdict, test_verdict), "{status}");
        assert_eq!(set.retry_after, wait.map(Duration::from_secs), "{status}");
        assert_eq!(took >= TIMEOUT, set_verdict == Verdict::Unknown, "{status}: {took:?}");
        assert!(tested < TIMEOUT, "{status}: a test has changed nothing that could land later");
    }
}

#[tokio::test]
async fn f118_a_200_that_says_something_else_is_not_success() {
    let bodies = [
        "",
        "OK",
        "{\"Status\":\"Done\"",
        r#"{"status":"Done"}"#,
        r#"{"error":"could not"}"#,
        r#"{"Status":"Done","Error":{"Kind":"Retryable"}}"#,
    ];
    join_all(bodies.map(|body| leaves_a_doubt(Deed::ok(body), "bad-answer")).into()).await;
    let ((set, took), (test, _), _) =
        both(Deed::ok(r#"{"Status":"Error","Error":{"Kind":"Rejected","Code":"WEAK"}}"#)).await;
    assert!(took < TIMEOUT, "the receiver's own word is not waited for");
    for error in [set, test] {
        assert_eq!((error.verdict, error.code.as_str(), error.status), (Verdict::Rejected, "WEAK", Some(200)));
    }
}

#[tokio::test]
async fn f119_a_credential_that_was_issued_and_lost_is_asked_for_again_or_revoked_by_its_tag() {
    let receiver = Receiver::start(|number, _| match number {
        0 => Deed::Close,
        1 => Deed::ok(r#"{"Status":"Done","SecretString":"Canary9-issued-77","Message":"made Canary9-issued-77"}"#),
        2 => Deed::ok(r#"{"Status":"Done"}"#),
        _ => Deed::done(),
    });
    let mut scene = Scene::new(&receiver.url());
    scene.change_webhook(|webhook| (webhook.issues, webhook.password_key) = (true, None));
    scene.run = engine::rotation::Run { candidate: 0, issued: 1, ..scene.run };
    let (lost, took) = timed(scene.create()).await;
    assert_eq!(lost.expect_err("the answer was lost").verdict, Verdict::Unknown);
    assert!(took >= TIMEOUT);
    scene.run.issued = 2;
    let made = scene.create().await.expect("made");
    assert_eq!(made.value.expect("a value").expose_str(), Some("Canary9-issued-77"));
    assert_eq!(made.done.note, "made [redacted]");
    assert_eq!(scene.create().await.expect_err("no value").verdict, Verdict::Unknown);
    let requests = receiver.requests();
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"), "the same thing is asked for");
    assert_eq!(requests[1].json()["Tag"], json!(format!("{}-1", scene.run.token)));

    // A receiver that revokes is asked for another one, after the lost one was ended.
    scene.change_webhook(|webhook| webhook.revokes = true);
    scene.run.revoked = 0;
    scene.step(Step::Revoke).await.expect("revoked");
    let revoke = receiver.requests().last().expect("a request").json();
    assert_eq!(revoke["Step"], "revoke");
    assert_eq!(revoke["Tags"], json!([format!("{}-1", scene.run.token), format!("{}-2", scene.run.token)]));
}

#[tokio::test]
async fn f120_an_answer_in_another_version_of_the_contract_is_refused() {
    let answers =
        ["2", "0", "\"1\"", "1.5"].map(|version| Deed::ok(&format!(r#"{{"Status":"Done","Version":{version}}}"#)));
    join_all(answers.map(|answer| leaves_a_doubt(answer, "bad-answer")).into()).await;
    let receiver = Receiver::always(Deed::ok(r#"{"Status":"Done","Version":1}"#));
    Scene::new(&receiver.url()).set().await.expect("this version");
}

#[tokio::test]
async fn f122_a_receiver_that_says_everything_it_was_told_gets_none_of_it_into_an_error() {
    for kind in ["Retryable", "Rejected", "NeedsPerson"] {
        let ((set, _), (test, _), receiver) = both(Deed::Echo(kind)).await;
        for error in [set, test] {
            assert!(error.message.contains("[redacted]") && error.message.len() < 900, "{}", error.message);
            let signature = receiver.requests()[0].header("webhook-signature").to_owned();
            assert!(!error.message.contains(&signature), "{}", error.message);
        }
    }
}

#[tokio::test]
async fn f122_a_receiver_that_says_what_it_read_or_made_by_itself_gets_none_of_it_into_an_error() {
    let says = "have Canary9-\"old\" and Canary9-new/+=4 and Canary9-older, made Written-7f8e9d0c1b2a";
    let body = json!({ "Status": "Error", "Error": { "Kind": "Retryable", "Code": "x", "Message": says } }).to_string();
    let receiver = Receiver::always(Deed::Answer("500 Oops", "", body));
    let mut scene = Scene::new(&receiver.url());
    scene.change_webhook(|webhook| {
        (webhook.mode, webhook.password_key, webhook.checks) = (Mode::Callback, None, true);
    });
    // Each error is searched for the values on its way back; the value that was just made is known to nobody here.
    let made = scene.create().await.map(|made| made.done).expect_err("reported");
    let revoked = scene.step(Step::Revoke).await.expect_err("reported");
    for error in [&made, &revoked] {
        assert!(error.message.contains("[redacted]") && !error.message.contains("Written"), "{}", error.message);
    }
    scene.run.retiring = scene.material.known[1].version.clone();
    for step in [Step::Set, Step::Test, Step::Finish, Step::Restore, Step::Retire] {
        let error = scene.step(step).await.expect_err("reported");
        assert!(error.message.contains("have [redacted] and [redacted] and"), "{step}: {}", error.message);
    }
    let current = scene.material.current.as_ref();
    let check = scene.callers.check(&scene.registered(), &scene.arn, &scene.run.token, current).await;
    let check = check.expect_err("reported").message;
    assert!(check.contains("have [redacted] and") && !check.contains("\"old\""), "{check}");
}

#[tokio::test]
async fn nothing_is_sent_when_the_lease_is_gone_or_the_rotator_disabled() {
    let receiver = Receiver::always(Deed::done());
    let scene = Scene::new(&receiver.url());
    for step in [Step::Set, Step::Finish, Step::Retire, Step::Revoke, Step::Restore] {
        let mut retiring = Scene::new(&receiver.url());
        retiring.run.retiring = retiring.material.known[1].version.clone();
        let error = retiring.step_under(step, &Gone).await.expect_err("the lease is gone");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "lease"), "{step}");
    }
    scene.change(|registration| registration.disabled = true);
    let error = scene.set().await.expect_err("disabled");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "rotator-disabled"));
    *scene.office.registration.lock().expect("no panic") = None;
    assert_eq!(receiver.accepted(), 0);
}

// F54
#[tokio::test]
async fn a_receiver_that_fails_five_times_is_left_alone_for_a_while() {
    let receiver = Receiver::always(Deed::Answer("500 Oops", "", String::new()));
    let scene = Scene::new(&receiver.url());
    for _ in 0..5 {
        assert_eq!(scene.test().await.expect_err("500").code, "failed");
    }
    let error = scene.test().await.expect_err("left alone");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "circuit-open"));
    assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(20)), "{error:?}");
    assert_eq!(receiver.requests().len(), 5, "no call was made");
    assert!(scene.callers.breaker("hook").open_until.is_some());
    let reporting = Receiver::always(Deed::Echo("Retryable"));
    let scene = Scene::new(&reporting.url());
    for _ in 0..7 {
        assert_eq!(scene.test().await.expect_err("reported").code, "ECHO", "a receiver that says what is wrong works");
    }
}

#[tokio::test]
async fn giving_up_asks_the_receiver_whether_awscurrent_logs_in_and_to_put_it_back() {
    let receiver = Receiver::start(|number, _| match number {
        0 => Deed::ok(r#"{"Status":"Error","Error":{"Kind":"Rejected","Code":"WRONGPASS"}}"#),
        _ => Deed::done(),
    });
    let mut scene = Scene::new(&receiver.url());
    scene.material.wanted = scene.material.current.clone();
    assert_eq!(scene.prove().await.expect("an answer"), Proof::CanRestore { held: None });
    scene.run.restores = 1;
    scene.step(Step::Restore).await.expect("put back");
    assert_eq!(scene.prove().await.expect("an answer"), Proof::CurrentLogsIn);
    let requests = receiver.requests();
    let current = scene.material.current.as_ref().and_then(|value| value.expose_str()).expect("text");
    for request in &requests {
        assert_eq!(request.json()["Restoring"], json!(true));
        assert_eq!(request.json()["Pending"], json!({ "SecretString": current }));
    }
    assert_ne!(requests[0].header("webhook-id"), requests[2].header("webhook-id"), "asked anew after it was put back");
}

/// Answers for every name what it was given last.
struct Names(Mutex<Vec<IpAddr>>);

#[async_trait]
impl Lookup for Names {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.lock().expect("no panic in the lock").clone())
    }
}

/// The policy lets 127.0.0.2 stand for a public address; 127.0.0.1 is the private one.
const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn dns_that_answers_a_public_address_first_and_a_private_one_second_does_not_get_through() {
    let public = Receiver::on(ALLOWED, free_port(), |number, _| match number {
        0 | 1 => Deed::done(),
        _ => Deed::Close,
    });
    let private = Receiver::on(Ipv4Addr::LOCALHOST, public.port, |_, _| Deed::done());
    let names = Arc::new(Names(Mutex::new(vec![ALLOWED.into()])));
    let settings = with_policy(&["127.0.0.2"], Arc::<Names>::clone(&names));
    let scene = Scene::of(webhook(&format!("http://rebind.example:{}/", public.port)), settings);
    scene.test().await.expect("the first answer is allowed");

    *names.0.lock().expect("no panic") = vec![Ipv4Addr::LOCALHOST.into()];
    scene.test().await.expect("over the connection to the address that was judged");
    assert_eq!(public.accepted(), 1, "the connection was used again");
    // The receiver closes it now: the next call asks DNS again.
    assert_eq!(scene.test().await.expect_err("cut").verdict, Verdict::Retry);
    for step in [Step::Set, Step::Test] {
        let refused = scene.step(step).await.expect_err("the second answer is private");
        assert_eq!((refused.verdict, refused.code.as_str()), (Verdict::NeedsPerson, "egress"), "{refused:?}");
    }
    *names.0.lock().expect("no panic") = vec![ALLOWED.into(), Ipv4Addr::LOCALHOST.into()];
    assert_eq!(scene.test().await.expect_err("one of the two is private").code, "egress");
    assert_eq!(private.accepted(), 0, "nobody went there");
}

#[tokio::test]
async fn an_inner_address_is_refused_where_a_name_leads_to_it_and_where_it_is_spelled_out() {
    let inside = Receiver::always(Deed::done());
    let names = Arc::new(Names(Mutex::new(vec![Ipv4Addr::LOCALHOST.into()])));
    let named = Scene::of(webhook(&format!("https://hooks.example:{}/", inside.port)), with_policy(&[], names));
    assert_eq!(named.test().await.expect_err("resolves to loopback").code, "egress");
    for host in ["169.254.169.254", "0xa9fea9fe", "[::ffff:10.0.0.1]", "10.0.0.1", "[fd00:ec2::254]"] {
        let spelled = Scene::of(webhook(&format!("https://{host}/")), CallerSettings::default());
        let error = spelled.test().await.expect_err(host);
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "egress"), "{host}");
    }
    assert_eq!(inside.accepted(), 0);
}
