//! A receiver of webhooks on loopback: plain HTTP/1.1, a thread a connection, and every event kept for the test to see.
//!
//! Also the Invoke API of AWS Lambda: an event is whatever was posted. Never here: what an event does (`service.rs`).

#![expect(clippy::disallowed_methods, reason = "a receiver is a process of its own")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::schema::Schema;

/// What was posted.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) path: String,
    /// By their names in small letters.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) raw: Vec<u8>,
    pub(crate) body: Value,
}

impl Event {
    pub(crate) fn step(&self) -> &str {
        self.body["Step"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether one of its signatures was made with this key (`whsec_…`), as Standard Webhooks has it.
    pub(crate) fn is_signed_with(&self, key: &str) -> bool {
        let key = BASE64.decode(key.trim_start_matches("whsec_")).expect("Base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        mac.update(format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.raw);
        let right = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|one| one == right)
    }
}

/// What the receiver says.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Json(u16, Value),
    /// The connection ends without an answer.
    Cut,
}

impl Answer {
    pub(crate) fn done() -> Self {
        Self::Json(200, json!({ "Status": "Done" }))
    }

    pub(crate) fn error(status: u16, kind: &str, message: &str) -> Self {
        Self::Json(status, json!({ "Status": "Error", "Error": { "Kind": kind, "Code": "test", "Message": message } }))
    }
}

/// A running receiver; it goes with the test's process.
pub(crate) struct Receiver {
    pub(crate) url: String,
    events: Arc<Mutex<Vec<Event>>>,
    /// What of them is not as docs/webhook/event.schema.json says.
    undocumented: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Answers every event with what `answer` makes of it.
    pub(crate) fn start(answer: impl Fn(&Event) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let events = Arc::new(Mutex::new(vec![]));
        let undocumented = Arc::new(Mutex::new(vec![]));
        let (kept, answer, wrong) = (Arc::clone(&events), Arc::new(answer), Arc::clone(&undocumented));
        let schema = Schema::of("event");
        let schema = Arc::new((schema.words(), schema));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (kept, answer, wrong) = (Arc::clone(&kept), Arc::clone(&answer), Arc::clone(&wrong));
                let schema = Arc::clone(&schema);
                let answer = move |event: &Event| {
                    // What a conformance run asks in another version, or with another step, is meant to be wrong.
                    if event.body["Version"] == 1 && schema.0.iter().any(|word| word == event.step()) {
                        locked(&wrong).extend(schema.1.wrong_with(&event.body));
                    }
                    answer(event)
                };
                // A peer that goes away in the middle is what some tests are about.
                thread::spawn(move || serve(connection, &kept, &answer));
            }
        });
        Self { url, events, undocumented }
    }

    /// All events until now. Each was as the published contract has it, or the test fails.
    pub(crate) fn events(&self) -> Vec<Event> {
        let wrong = locked(&self.undocumented);
        assert!(wrong.is_empty(), "events that docs/webhook/event.schema.json does not have: {wrong:?}");
        drop(wrong);
        locked(&self.events).clone()
    }

    /// Those of one step.
    pub(crate) fn of(&self, step: &str) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.step() == step).collect()
    }
}

/// One connection: requests until it ends.
fn serve(connection: TcpStream, kept: &Mutex<Vec<Event>>, answer: &dyn Fn(&Event) -> Answer) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut writer = connection;
    loop {
        let event = read(&mut reader)?;
        locked(kept).push(event.clone());
        let Answer::Json(status, body) = answer(&event) else { return None };
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

fn read(reader: &mut impl BufRead) -> Option<Event> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut raw = vec![0; length];
    reader.read_exact(&mut raw).ok()?;
    let body = serde_json::from_slice(&raw).unwrap_or_default();
    Some(Event { path, headers, raw, body })
}

/// A test that failed elsewhere has not spoilt what is in here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds whoever comes until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *locked(&self.open) = true;
        self.opened.notify_all();
    }

    pub(crate) fn pass(&self) {
        let held = self.opened.wait_while(locked(&self.open), |open| !*open);
        drop(held.unwrap_or_else(PoisonError::into_inner));
    }
}
