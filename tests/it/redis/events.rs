//! What the examples make of events, sent to them without Pawl: authors copy these programs, so what the contract asks
//! of a receiver is held here one by one. Both are asked the same, and must answer the same.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use engine::port::Clock;
use pawl::clock::SystemClock;
use pawl::servers::{Engine, Server};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::oracle::{User, as_admin};
use super::receiver::{LANGUAGES, Receiver};
use super::relay::Relay;
use crate::harness::{servers, unique, wait_for};

const OLD_KEY: &str = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZA==";
const NEW_KEY: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldw==";
const STRANGE_KEY: &str = "whsec_c3RyYW5nZS1zdHJhbmdlLXN0cmFuZ2Utc3RyYW5nZQ==";

/// How an event is sent.
struct Delivery {
    keys: Vec<&'static str>,
    /// How old the timestamp is, which the signature covers.
    age: i64,
    /// Put into the body after it was signed.
    appended: &'static str,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { keys: vec![NEW_KEY], age: 0, appended: "" }
    }
}

/// An event of a managed secret with all it needs, and what else is given.
fn event(step: &str, members: &Value) -> Value {
    let deadline = (SystemClock.now() + TimeDelta::seconds(10)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut event = json!({
        "Version": 1, "Step": step, "Mode": "managed", "Attempt": 1, "Deadline": deadline, "TimeoutSeconds": 10,
        "SecretId": "arn:aws:secretsmanager:us-east-1:000000000000:secret:redis-AbCdEf",
        "ClientRequestToken": "5d0f4a3e-58a4-4d2c-8f67-0b6b7f0a1c11", "RotationToken": "token-token-token-token-token-token-1",
    });
    for (name, member) in members.as_object().expect("members") {
        event[name] = member.clone();
    }
    event
}

fn value(secret: &Value) -> Value {
    json!({ "SecretString": secret.to_string() })
}

/// Sends it, and returns the status and the answer's body.
fn deliver(receiver: &Receiver, event: &Value, delivery: &Delivery) -> (u16, Value) {
    pawl::boot::install_tls_provider();
    let body = event.to_string();
    let (id, timestamp) = ("msg_0123456789abcdef0123456789abcdef", SystemClock.now().timestamp() - delivery.age);
    let sign = |key: &&str| Webhook::new(key).expect("a key").sign(id, timestamp, body.as_bytes()).expect("signed");
    let signatures: Vec<String> = delivery.keys.iter().map(sign).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client");
        let request = client
            .post(receiver.url())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "));
        let answer = request.body(body + delivery.appended).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    })
}

fn send(receiver: &Receiver, step: &str, members: &Value) -> (u16, Value) {
    deliver(receiver, &event(step, members), &Delivery::default())
}

fn done(receiver: &Receiver, step: &str, members: &Value) {
    let answer = send(receiver, step, members);
    assert_eq!(answer, (200, json!({ "Status": "Done" })), "{step}: {}", receiver.log());
}

/// That the answer is an error of this kind and code.
fn assert_error(answer: &(u16, Value), status: u16, kind: &str, code: &str) {
    let error = &answer.1["Error"];
    assert_eq!((answer.0, answer.1["Status"].as_str()), (status, Some("Error")), "{kind} {code}: {answer:?}");
    assert_eq!((error["Kind"].as_str(), error["Code"].as_str()), (Some(kind), Some(code)), "{answer:?}");
    assert!(error["Message"].as_str().is_some_and(|text| text.len() > 10), "it says why: {answer:?}");
}

/// Runs this with each example, on a Redis that others use too.
fn with_each(run: impl Fn(&mut Receiver, &'static Server)) {
    let Some(server) = servers::redis() else { return };
    for language in LANGUAGES {
        let Some(mut receiver) = Receiver::new(language) else { continue };
        receiver.start(server, &format!("{OLD_KEY} {NEW_KEY}"));
        run(&mut receiver, server);
    }
}

#[test]
fn a_rotation_leaves_the_old_password_valid_and_every_step_may_come_twice() {
    with_each(|receiver, server| {
        let user = User::create(server);
        let rules = user.rules();
        let (first, second) = (user.secret(&user.password), user.secret(&unique("Canary-second-")));
        let members = json!({ "Current": value(&first), "Pending": value(&second) });
        let password = second["password"].as_str().expect("a password");

        let refused = send(receiver, "testSecret", &members);
        assert_error(&refused, 422, "Rejected", "wrong-password");
        for step in ["setSecret", "testSecret", "finishSecret"] {
            for _twice in 0..2 {
                done(receiver, step, &members);
                assert!(user.logs_in(&user.password), "{step}: the old password");
                assert!(user.logs_in(password), "{step}: the new password");
            }
        }
        let receiver = &*receiver;
        std::thread::scope(|scope| {
            for _at_once in 0..4 {
                scope.spawn(|| done(receiver, "setSecret", &members));
            }
        });
        assert!(user.logs_in(&user.password) && user.logs_in(password), "four at once");
        assert_eq!(user.rules(), rules, "nothing else of the user has changed");

        let retired = json!({ "Current": value(&second), "Retired": value(&first) });
        for _twice in 0..2 {
            done(receiver, "retire", &retired);
            assert!(user.logs_in(password) && !user.logs_in(&user.password), "only AWSCURRENT's is left");
        }
        assert_eq!(user.rules(), rules);
        let log = receiver.log();
        assert!(log.contains("setSecret") && !log.contains("Canary"), "no password in the log: {log}");
    });
}

#[test]
fn on_the_way_back_nothing_that_may_be_in_use_is_taken_away() {
    with_each(|receiver, server| {
        let user = User::create(server);
        let pending = user.secret(&unique("Canary-pending-"));
        // Somebody's change at a keyboard: AWSCURRENT's password is gone.
        user.set(&["resetpass", &format!(">{}", pending["password"].as_str().expect("text"))]);
        let current = value(&user.secret(&user.password));
        let members = json!({
            "Current": current, "Pending": current, "Restoring": true, "Others": [value(&pending), { "SecretString": "?" }],
        });
        assert_error(&send(receiver, "testSecret", &members), 422, "Rejected", "wrong-password");
        done(receiver, "setSecret", &members);
        done(receiver, "testSecret", &members);
        assert!(user.logs_in(&user.password), "AWSCURRENT logs in again");
        assert!(user.logs_in(pending["password"].as_str().expect("text")), "so does what may be in use");
    });
}

// F125
#[test]
fn a_password_of_another_user_is_never_given_to_this_one() {
    with_each(|receiver, server| {
        let (user, other) = (User::create(server), User::create(server));
        let current = value(&user.secret(&user.password));
        let renamed = value(&other.secret(&unique("Canary-second-")));
        for (current, pending) in [(&current, &renamed), (&renamed, &current)] {
            let members = json!({ "Current": current, "Pending": pending, "Others": [current] });
            assert_error(&send(receiver, "setSecret", &members), 409, "NeedsPerson", "other-user");
        }
        assert!(user.logs_in(&user.password) && other.logs_in(&other.password), "nothing has changed");

        let others = json!([value(&other.secret(&other.password)), value(&user.secret("Canary-before"))]);
        let way_back = json!({ "Current": current, "Pending": current, "Restoring": true, "Others": others });
        let no_current = json!({ "Pending": current, "Others": others });
        for members in [way_back, no_current] {
            user.set(&["resetpass"]);
            done(receiver, "setSecret", &members);
            assert!(user.logs_in(&user.password) && user.logs_in("Canary-before"), "its own may be in use");
            assert!(!user.logs_in(&other.password), "the other user's is none of its passwords");
        }
    });
}

#[test]
fn a_change_is_given_no_more_time_than_is_left_and_is_not_begun_with_too_little() {
    let Some(server) = servers::redis() else { return };
    for language in LANGUAGES {
        let Some(mut receiver) = Receiver::new(language) else { continue };
        // Seconds left, how long it takes until the change can be made, for how long that may then be waited for.
        let cases = [(1, 700, None), (2, 0, Some(0..2_500)), (10, 0, Some(2_900..5_000))];
        for (left, slow, waits) in cases {
            let relay = Relay::before(server, Duration::from_millis(slow));
            receiver.kill();
            receiver.start_at(&relay.address, server, NEW_KEY);
            let user = User::create(server);
            let bare = |password: &str| value(&json!({ "username": user.name, "password": password }));
            let members = json!({
                "TimeoutSeconds": left, "Current": bare(&user.password), "Pending": bare(&unique("Canary-second-")),
            });
            let answer = send(&receiver, "setSecret", &members);
            let asked = format!("{language:?}: {left} s left, {slow} ms too slow");
            match waits {
                None => {
                    assert_error(&answer, 503, "Retryable", "too-late");
                    assert_eq!(relay.waited_for_change(), None, "{asked}: nothing was begun");
                }
                Some(span) => {
                    assert!(answer.0 == 500 && answer.1["Status"].is_null(), "{asked}: not known: {answer:?}");
                    let closed = || relay.waited_for_change();
                    let waited = wait_for("the connection is closed", Duration::from_secs(5), closed).as_millis();
                    assert!(span.contains(&waited), "{asked}: waited {waited} ms for the change");
                }
            }
        }
    }
}

#[test]
fn each_of_two_live_keys_is_taken_and_no_other_signature_is() {
    with_each(|receiver, server| {
        let user = User::create(server);
        let second = user.secret(&unique("Canary-second-"));
        let members = json!({ "Current": value(&user.secret(&user.password)), "Pending": value(&second) });
        let event = event("setSecret", &members);
        let forged = [
            Delivery { keys: vec![STRANGE_KEY], ..Delivery::default() },
            Delivery { keys: vec![], ..Delivery::default() },
            Delivery { age: 600, ..Delivery::default() },
            Delivery { age: -600, ..Delivery::default() },
            Delivery { appended: " ", ..Delivery::default() },
        ];
        for delivery in forged {
            assert_error(&deliver(receiver, &event, &delivery), 401, "NeedsPerson", "bad-signature");
        }
        assert!(!user.logs_in(second["password"].as_str().expect("text")), "nothing was changed");
        for keys in [vec![OLD_KEY], vec![NEW_KEY], vec![OLD_KEY, NEW_KEY], vec![STRANGE_KEY, NEW_KEY]] {
            let answer = deliver(receiver, &event, &Delivery { keys, ..Delivery::default() });
            assert_eq!(answer.0, 200, "{answer:?}");
        }
    });
}

#[test]
fn what_is_not_understood_or_comes_too_late_changes_nothing() {
    with_each(|receiver, server| {
        let user = User::create(server);
        let second = value(&user.secret(&unique("Canary-second-")));
        let current = value(&user.secret(&user.password));
        let with = |name: &str, member: Value| {
            let mut members = json!({ "Current": current, "Pending": second });
            members[name] = member;
            members
        };
        let past = (SystemClock.now() - TimeDelta::seconds(1)).to_rfc3339();
        let mut other_server = user.secret("Canary-x");
        other_server["port"] = json!(1);
        let mut admin = user.secret("Canary-x");
        admin["username"] = json!(server.admin_user);
        let mut nobody = user.secret("Canary-x");
        nobody["username"] = json!("nobody-at-all");
        let cases = [
            ("Version", json!(2), 400, "NeedsPerson", "unknown-version"),
            ("Step", json!("reset"), 400, "NeedsPerson", "unknown-step"),
            ("Deadline", json!(past), 503, "Retryable", "too-late"),
            ("TimeoutSeconds", json!(0), 503, "Retryable", "too-late"),
            ("Pending", json!({ "SecretString": "not JSON" }), 409, "NeedsPerson", "bad-value"),
            ("Pending", value(&json!({ "username": user.name })), 409, "NeedsPerson", "bad-value"),
            ("Pending", value(&other_server), 409, "NeedsPerson", "other-server"),
            ("Pending", value(&admin), 409, "NeedsPerson", "admin-user"),
            ("Pending", value(&nobody), 409, "NeedsPerson", "other-user"),
        ];
        for (name, member, status, kind, code) in cases {
            assert_error(&send(receiver, "setSecret", &with(name, member)), status, kind, code);
        }
        let nobody = json!({ "Current": value(&nobody), "Pending": value(&nobody) });
        assert_error(&send(receiver, "setSecret", &nobody), 409, "NeedsPerson", "no-user");
        let huge = "x".repeat(2 << 20);
        assert_eq!(send(receiver, "setSecret", &with("Pad", json!(huge))).0, 413);
        let users = as_admin(server, &["ACL", "USERS"]);
        assert!(users.lines().all(|name| name != "nobody-at-all"), "no user was made: {users}");
        assert!(user.logs_in(&user.password), "the password is as it was");
        user.set(&["off"]);
        assert_error(&send(receiver, "setSecret", &with("Attempt", json!(2))), 409, "NeedsPerson", "user-off");
        assert!(!receiver.log().contains("Canary"), "no value in the log");
    });
}

#[test]
fn check_says_beforehand_what_would_stop_a_rotation() {
    with_each(|receiver, server| {
        let user = User::create(server);
        let rules = user.rules();
        let check = |password: &str| send(receiver, "check", &json!({ "Current": value(&user.secret(password)) }));
        assert_eq!(check(&user.password), (200, json!({ "Status": "Done" })), "{}", receiver.log());
        assert_error(&check("Canary-not-it"), 409, "NeedsPerson", "current-refused");
        assert!(user.logs_in(&user.password) && user.rules() == rules, "nothing has changed");
        user.set(&["nopass"]);
        assert_error(&check(&user.password), 409, "NeedsPerson", "any-password");
    });
}

/// A Redis of this test alone; it lives as long as the test run, for its users hold on to it.
fn own_redis(arguments: &[&str]) -> Option<&'static mut Server> {
    servers::own(Engine::Redis, arguments).map(|server| Box::leak(Box::new(server)))
}

#[test]
fn a_redis_that_would_forget_or_cannot_save_is_for_a_person() {
    let password = unique("admin-");
    let users = format!("--aclfile  --user default off --user admin on >{password} ~* &* +@all");
    let Some(forgetful) = own_redis(&users.split(' ').collect::<Vec<_>>()) else { return };
    forgetful.admin_password = password;
    let Some(full) = own_redis(&[]) else { return };
    let (forgetful, full): (&Server, &Server) = (forgetful, full);
    for language in LANGUAGES {
        for (server, code, lets_in) in [(forgetful, "no-acl-file", false), (full, "not-saved", true)] {
            let Some(mut receiver) = Receiver::new(language) else { continue };
            receiver.start(server, NEW_KEY);
            let user = User::create(server);
            let second = user.secret(&unique("Canary-second-"));
            let members = json!({ "Current": value(&user.secret(&user.password)), "Pending": value(&second) });
            let data = server.dir.join("data");
            if lets_in {
                std::fs::rename(&data, server.dir.join("gone")).expect("moved away");
            }
            let answer = send(&receiver, "setSecret", &members);
            if lets_in {
                std::fs::rename(server.dir.join("gone"), &data).expect("moved back");
            }
            assert_error(&answer, 409, "NeedsPerson", code);
            assert_eq!(user.logs_in(second["password"].as_str().expect("text")), lets_in, "{code}");
            assert!(user.logs_in(&user.password), "{code}: the old password");
        }
    }
}

#[test]
fn a_redis_that_restarts_knows_both_and_one_that_is_gone_or_silent_is_told_apart() {
    for language in LANGUAGES {
        let Some(mut receiver) = Receiver::new(language) else { continue };
        let Some(server) = own_redis(&[]) else { return };
        let server: &'static Server = server;
        receiver.start(server, NEW_KEY);
        let user = User::create(server);
        let second = user.secret(&unique("Canary-second-"));
        let members = json!({ "Current": value(&user.secret(&user.password)), "Pending": value(&second) });
        done(&receiver, "setSecret", &members);

        server.kill().expect("killed");
        assert_error(&send(&receiver, "setSecret", &members), 503, "Retryable", "unreachable");
        server.restart().expect("started again");
        done(&receiver, "testSecret", &members);
        assert!(user.logs_in(&user.password), "the old password as well");

        server.pause().expect("paused");
        let (status, body) = send(&receiver, "setSecret", &members);
        server.resume().expect("resumed");
        assert!(status == 500 && body["Status"].is_null(), "what became of it is not known: {status} {body}");
        server.stop().expect("stopped");
    }
}
