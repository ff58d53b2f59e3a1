//! The signing key is changed while deliveries are under way: none is refused, and a key that has ended signs nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{add, current, rotate, secret_of};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::receiver::{Answer, Event, Gate, Receiver};
use crate::harness::service::{Service, account_value, managed};
use crate::harness::wait_for;

const LIMIT: Duration = Duration::from_secs(30);
const SECRETS: [&str; 3] = ["app/1", "app/2", "app/3"];

/// A receiver that looks at the signature when an event comes, and holds the event until the test lets it go.
struct Holding {
    keys: Mutex<Vec<String>>,
    gate: Mutex<Arc<Gate>>,
    refused: Mutex<Vec<Event>>,
    services: [Arc<Service>; 3],
}

impl Holding {
    fn start() -> (Arc<Self>, Receiver) {
        let this = Arc::new(Self {
            keys: Mutex::default(),
            gate: Mutex::default(),
            refused: Mutex::default(),
            services: SECRETS.map(|_| Service::with("first")),
        });
        let holding = Arc::clone(&this);
        (this, Receiver::start(move |event| holding.answer(event)))
    }

    fn answer(&self, event: &Event) -> Answer {
        if !locked(&self.keys).iter().any(|key| event.is_signed_with(key)) {
            locked(&self.refused).push(event.clone());
            return Answer::error(401, "NeedsPerson", "The signature is wrong.");
        }
        let gate = Arc::clone(&locked(&self.gate));
        gate.pass();
        let arn = event.body["SecretId"].as_str().unwrap_or_default();
        let mut all = SECRETS.iter().zip(&self.services);
        let (_, service) = all.find(|(secret, _)| arn.contains(**secret)).expect("one of ours");
        managed(service, event)
    }

    /// What the receiver goes by from now on.
    fn knows(&self, keys: &[&str]) {
        *locked(&self.keys) = keys.iter().map(|key| (*key).to_owned()).collect();
    }

    fn close(&self) {
        *locked(&self.gate) = Arc::default();
    }

    fn open(&self) {
        locked(&self.gate).open();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a rotation of each secret, does `meanwhile` while the receiver holds the first event of each, lets them go,
/// and returns all events of these rotations when they have ended.
fn while_held(pawl: &Pawl, holding: &Holding, receiver: &Receiver, meanwhile: impl FnOnce()) -> Vec<Event> {
    let before = receiver.events().len();
    holding.close();
    for secret in SECRETS {
        pawl.json(&["rotation", "now", secret]);
    }
    wait_for("each is held", LIMIT, || (receiver.events().len() == before + SECRETS.len()).then_some(()));
    meanwhile();
    holding.open();
    for (secret, service) in SECRETS.iter().zip(&holding.services) {
        let view = pawl.settled(secret);
        assert_eq!(view["State"], "idle", "{view}");
        assert!(service.takes(&current(pawl, secret)), "{secret}: AWSCURRENT logs in");
    }
    receiver.events().split_off(before)
}

/// Makes a new key, and returns it.
fn rotate_key(pawl: &Pawl, options: &[&str]) -> String {
    let answer = pawl.json(&[&["rotator", "rotate-key", "hooked"], options].concat());
    answer["SigningKey"].as_str().unwrap_or_else(|| panic!("no key in {answer}")).to_owned()
}

fn signed_with<'e>(events: &'e [Event], key: &str) -> Vec<&'e Event> {
    events.iter().filter(|event| event.is_signed_with(key)).collect()
}

#[test]
fn f116_no_delivery_is_refused_while_the_key_is_changed_twice_under_way_and_an_ended_key_signs_nothing() {
    let home = Home::new();
    let pawl = home.serve();
    let (holding, receiver) = Holding::start();
    let first = add(&pawl, "hooked", &receiver.url, json!({ "TimeoutSeconds": 60 }));
    for secret in SECRETS {
        secret_of(&pawl, secret, "hooked", &account_value("first"));
    }

    // The key is changed while three deliveries are held; the author knows the old one only.
    holding.knows(&[&first]);
    let mut second = String::new();
    let events = while_held(&pawl, &holding, &receiver, || second = rotate_key(&pawl, &["--overlap", "1h"]));
    assert_eq!(signed_with(&events, &first).len(), 9, "the old key signs on");
    assert_eq!(signed_with(&events, &second).len(), 6, "what was not sent yet is signed by both");

    // A third key would end the one that the author may still have.
    let refused = pawl.run(&["rotator", "rotate-key", "hooked"]);
    assert!(!refused.status.success());

    // The author moves to the new key while deliveries are held.
    holding.knows(&[&first, &second]);
    let events = while_held(&pawl, &holding, &receiver, || holding.knows(&[&second]));
    assert_eq!((signed_with(&events, &first).len(), signed_with(&events, &second).len()), (9, 9));

    // The oldest is ended knowingly, again with deliveries held, and the author follows at once.
    let mut third = String::new();
    let events = while_held(&pawl, &holding, &receiver, || {
        third = rotate_key(&pawl, &["--overlap", "10s", "--replace"]);
        holding.knows(&[&second, &third]);
    });
    assert_eq!(signed_with(&events, &first).len(), 3, "what was sent before; then the first key is over");
    assert_eq!((signed_with(&events, &second).len(), signed_with(&events, &third).len()), (9, 6));

    // When the overlap is over, the newest key alone signs.
    holding.knows(&[&third]);
    let alone = wait_for("the overlap is over", LIMIT, || {
        let before = receiver.events().len();
        rotate(&pawl, SECRETS[0]);
        let events = receiver.events().split_off(before);
        signed_with(&events, &second).is_empty().then_some(events)
    });
    assert_eq!(signed_with(&alone, &third).len(), 3);
    let signatures: Vec<_> = alone.iter().map(|event| event.header("webhook-signature")).collect();
    assert!(signatures.iter().all(|signatures| signatures.split(' ').count() == 1), "{signatures:?}");
    let refused: Vec<Value> = locked(&holding.refused).iter().map(|event| event.body.clone()).collect();
    assert_eq!(refused, Vec::<Value>::new(), "every delivery was taken");
}
