//! The example rotators, run as their users run them, over a real Redis: no login is refused while a user is rotated, and
//! nobody is locked out when Pawl or the rotator dies in the middle.

mod events;
mod oracle;
mod readers;
mod receiver;
mod relay;

use std::io::Write;
use std::thread;
use std::time::Duration;

use engine::port::Clock;
use pawl::clock::SystemClock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::json;

use self::oracle::User;
use self::readers::{Ending, Readers};
use self::receiver::{LANGUAGES, Language, Receiver};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::wire::Client;
use crate::harness::{look_every, servers, wait_for};

const NAME: &str = "redis-users";
const ROTATIONS: usize = 100;

/// Registers the example with these options, and gives it the key that it is to verify with.
fn register(pawl: &Pawl, receiver: &Receiver, options: &[&str]) -> String {
    let added = pawl.json(&[&["rotator", "add", "webhook", NAME, &receiver.url()], options].concat());
    added["SigningKey"].as_str().unwrap_or_else(|| panic!("a signing key: {added}")).to_owned()
}

/// A user whose secret the example rotates when it is asked to.
fn adopt(pawl: &Pawl) -> User {
    let user = User::create(servers::redis().expect("asked for before"));
    pawl.create(&user.name, &user.secret(&user.password));
    let enabled = pawl.run(&["rotation", "enable", &user.name, "--rotator", NAME, "--schedule", "rate(30 days)"]);
    assert!(enabled.status.success(), "{}", String::from_utf8_lossy(&enabled.stderr));
    user
}

/// Asks for the rotation of this number, and returns its token.
fn ask_to_rotate(api: &Client, pawl: &Pawl, user: &User, number: usize) -> String {
    let token = format!("rotation-of-a-redis-user-number-{number:03}");
    let asked = json!({ "SecretId": user.name, "ClientRequestToken": token });
    let (status, reply) = api.call(&pawl.url, "RotateSecret", &asked).expect("a reply");
    assert_eq!(status, 200, "{reply}");
    token
}

/// The version that was made for this token is AWSCURRENT.
fn is_current(api: &Client, pawl: &Pawl, user: &User, token: &str) -> Option<()> {
    let (_, reply) = api.call(&pawl.url, "GetSecretValue", &json!({ "SecretId": user.name }))?;
    (reply["VersionId"] == token).then_some(())
}

/// Back to back, and `retire` is not declared: the password before AWSCURRENT lives until the next rotation, which begins
/// when every reader has let go of the one before that. With `retire` a grace would do the same, and take its time.
fn a_hundred_rotations(language: Language) {
    let Some(server) = servers::redis() else { return };
    let Some(mut receiver) = Receiver::new(language) else { return };
    let home = Home::new();
    let pawl = home.serve();
    receiver.start(server, &register(&pawl, &receiver, &[]));
    let user = adopt(&pawl);
    let by = pawl.administrator();
    let api = Client::of(by.clone());
    let readers = Readers::new(2, &pawl.url);
    let (logins, refused) = thread::scope(|scope| {
        let _ended = Ending(&readers);
        readers.start(scope, 0, &user, &by);
        readers.start(scope, 1, &user, &by);
        for number in 0..ROTATIONS {
            readers.make_rounds(2);
            let token = ask_to_rotate(&api, &pawl, &user, number);
            wait_for("the rotation is done", Duration::from_secs(30), || is_current(&api, &pawl, &user, &token));
        }
        readers.make_rounds(2);
        readers.end()
    });
    assert_eq!(refused, Vec::<String>::new(), "{language:?}: refused logins of {logins}\n{}", receiver.log());
    assert!(logins >= 2 * ROTATIONS, "{language:?}: {logins} logins");
    assert!(!user.logs_in(&user.password), "{language:?}: the first password is long gone");
    let log = receiver.log();
    assert!(log.matches("setSecret of").count() >= ROTATIONS, "{language:?}: all went through the example: {log}");
}

#[test]
fn no_login_is_refused_over_a_hundred_rotations_through_the_example_in_python() {
    a_hundred_rotations(Language::Python);
}

#[test]
fn no_login_is_refused_over_a_hundred_rotations_through_the_example_in_rust() {
    a_hundred_rotations(Language::Rust);
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Pawl,
    Receiver,
    Both,
}

/// So few that they do not trip the breaker when the rotator is away for a moment.
const USERS: usize = 2;
/// Those of a rotation that the receiver sees: setSecret, testSecret, finishSecret.
const STEPS: usize = 3;
/// A dead Pawl is waited for as long as its leases last, so there are fewer of those.
const VICTIMS: [Victim; 7] =
    [Victim::Receiver, Victim::Pawl, Victim::Receiver, Victim::Both, Victim::Receiver, Victim::Pawl, Victim::Receiver];

/// Where kills are drawn from; says so when its test fails. To draw the same again, put that number into `new`.
struct Seed(u64);

impl Seed {
    fn new() -> (Self, StdRng) {
        let seed = rand::random();
        (Self(seed), StdRng::seed_from_u64(seed))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            writeln!(std::io::stderr(), "the seed of the kills was {}", self.0).unwrap_or_default();
        }
    }
}

fn steps_done(receiver: &Receiver) -> usize {
    receiver.log().matches(": done").count()
}

/// Whether the rotation that made this version ended after this time.
fn was_open_at(pawl: &Pawl, user: &User, token: &str, time: engine::Time) -> bool {
    let history = pawl.history(&user.name);
    let ended = history.iter().find(|line| line["Kind"] == "succeeded" && line["VersionId"] == token);
    let ended = ended.and_then(|line| line["Started"].as_f64()).unwrap_or_else(|| panic!("it ended: {history:?}"));
    ended > time.timestamp_millis() as f64 / 1000.0
}

fn killed_at_random(language: Language) {
    let Some(server) = servers::redis() else { return };
    let Some(mut receiver) = Receiver::new(language) else { return };
    let home = Home::new();
    let mut pawl = home.serve();
    let key = register(&pawl, &receiver, &["--timeout", "2s"]);
    receiver.start(server, &key);
    let users: Vec<User> = (0..USERS).map(|_| adopt(&pawl)).collect();
    let by = pawl.administrator();
    let api = Client::of(by.clone());
    let readers = Readers::new(USERS, &pawl.url);
    let (_seed, mut rng) = Seed::new();
    let mut open_at_kills = vec![];
    let (logins, refused) = thread::scope(|scope| {
        let _ended = Ending(&readers);
        for (number, user) in users.iter().enumerate() {
            readers.start(scope, number, user, &by);
        }
        for (number, victim) in VICTIMS.into_iter().enumerate() {
            let before = steps_done(&receiver);
            let tokens: Vec<_> = users.iter().map(|user| ask_to_rotate(&api, &pawl, user, number)).collect();
            // The last step of one is still to come; some microseconds more, so that every moment of a step is met.
            let target = before + rng.random_range(0..STEPS * USERS);
            let reached = || (steps_done(&receiver) >= target).then_some(());
            look_every(Duration::from_millis(1), "steps are done", Duration::from_secs(30), reached);
            thread::sleep(Duration::from_micros(rng.random_range(0..10_000)));
            if victim != Victim::Receiver {
                pawl.signal(Signal::KILL);
                pawl.ended(Duration::from_secs(10));
            }
            if victim != Victim::Pawl {
                receiver.kill();
            }
            let killed = SystemClock.now();
            if victim != Victim::Pawl {
                receiver.start(server, &key);
            }
            if victim != Victim::Receiver {
                pawl = home.serve();
                readers.read_from(&pawl.url);
            }
            for (user, token) in users.iter().zip(&tokens) {
                let view = pawl.settled(&user.name);
                let done = view["State"] == "idle" && is_current(&api, &pawl, user, token).is_some();
                assert!(done, "{victim:?}: {view}\n{}\n{}", home.log(), receiver.log());
            }
            let open = users.iter().zip(&tokens).filter(|(user, token)| was_open_at(&pawl, user, token, killed));
            open_at_kills.push((victim, open.count()));
            readers.make_rounds(2);
        }
        readers.end()
    });
    assert_eq!(refused, Vec::<String>::new(), "{language:?}: refused logins of {logins}\n{}", home.log());
    let hits = open_at_kills.iter().filter(|(_, open)| *open > 0).count();
    assert!(hits > VICTIMS.len() / 2, "{language:?}: kills that met no rotation prove nothing: {open_at_kills:?}");
    for user in &users {
        assert!(user.logs_in(&pawl.current_password(&user.name)), "{language:?}: AWSCURRENT logs in");
        assert!(!user.logs_in(&user.password), "{language:?}: it was rotated");
    }
}

#[test]
fn nobody_is_locked_out_when_pawl_or_the_example_in_python_is_killed_at_random() {
    killed_at_random(Language::Python);
}

#[test]
fn nobody_is_locked_out_when_pawl_or_the_example_in_rust_is_killed_at_random() {
    killed_at_random(Language::Rust);
}

#[test]
fn the_old_password_ends_with_its_grace_and_the_signing_key_changes_without_a_refused_event() {
    let Some(server) = servers::redis() else { return };
    for language in LANGUAGES {
        let Some(mut receiver) = Receiver::new(language) else { continue };
        let home = Home::new();
        let pawl = home.serve();
        let old = register(&pawl, &receiver, &["--steps", "check,retire", "--grace", "3s"]);
        receiver.start(server, &old);
        let user = adopt(&pawl);
        let rotate = |receiver: &Receiver| {
            let output = pawl.run(&["rotation", "now", &user.name, "--wait"]);
            assert!(output.status.success(), "{language:?}: {output:?}\n{}", receiver.log());
            pawl.current_password(&user.name)
        };
        let second = rotate(&receiver);
        // On a slow machine the grace may be over by now; nothing but retire ends it.
        let both = user.logs_in(&user.password) || receiver.log().contains("retire of");
        assert!(both && user.logs_in(&second), "{language:?}: both work while the grace lasts");
        let new = pawl.json(&["rotator", "rotate-key", NAME]);
        let new = new["SigningKey"].as_str().expect("a signing key").to_owned();
        let ended = || (!user.logs_in(&user.password)).then_some(());
        wait_for("retire, signed with both keys, ends the first password", Duration::from_secs(30), ended);
        assert!(user.logs_in(&second), "{language:?}: AWSCURRENT goes on");
        for keys in [format!("{old} {new}"), new] {
            receiver.kill();
            receiver.start(server, &keys);
            let before = pawl.current_password(&user.name);
            rotate(&receiver);
            let ended = || (!user.logs_in(&before)).then_some(());
            wait_for("the password before is ended", Duration::from_secs(30), ended);
        }
        assert!(!receiver.log().contains("bad-signature"), "{language:?}: {}", receiver.log());
        let sent = pawl.json(&["rotator", "deliveries", NAME]);
        let sent = sent["Deliveries"].as_array().expect("deliveries");
        let statuses: Vec<_> = sent.iter().filter_map(|delivery| delivery["Status"].as_u64()).collect();
        assert!(statuses.len() >= 12 && statuses.iter().all(|status| *status == 200), "{language:?}: {statuses:?}");
    }
}

/// Every case of `pawl rotator test`: whoever copies an example begins with a receiver that holds the contract.
#[test]
fn each_example_passes_the_conformance_run() {
    let Some(server) = servers::redis() else { return };
    for language in LANGUAGES {
        let Some(mut receiver) = Receiver::new(language) else { continue };
        let home = Home::new();
        let pawl = home.serve();
        receiver.start(server, &register(&pawl, &receiver, &["--steps", "check", "--timeout", "3s"]));
        let user = adopt(&pawl);
        let run = pawl.run(&["rotator", "test", NAME, "--secret", &user.name]);
        let report = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{language:?}: {report}{}", String::from_utf8_lossy(&run.stderr));
        assert!(user.logs_in(&pawl.current_password(&user.name)), "{language:?}: AWSCURRENT logs in");
        assert!(!receiver.log().contains("Canary") && !receiver.log().contains("Traceback"), "{}", receiver.log());
    }
}
