//! Services that use a secret while it is rotated: each reads AWSCURRENT and logs in with it, and with what it read the
//! time before, over and over. A refused login is what nobody may see.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Duration;

use serde_json::{Value, json};

use super::oracle::{User, logs_in};
use crate::harness::wait_for;
use crate::harness::wire::{Client, Signed};

/// What the readers have seen.
#[derive(Default)]
pub(crate) struct Readers {
    /// Where Pawl is now: another port after each of its deaths.
    url: Mutex<String>,
    rounds: Vec<AtomicUsize>,
    logins: AtomicUsize,
    refused: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Readers {
    /// So many, none of which reads yet.
    pub(crate) fn new(count: usize, url: &str) -> Self {
        let rounds = std::iter::repeat_with(AtomicUsize::default).take(count).collect();
        Self { url: Mutex::new(url.to_owned()), rounds, ..Self::default() }
    }

    /// Starts the reader of this number, of a user whose secret has its name.
    pub(crate) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        number: usize,
        user: &'scope User,
        by: &Signed,
    ) {
        let by = by.clone();
        scope.spawn(move || {
            let api = Client::of(by);
            let mut before = None;
            while !self.ended.load(Ordering::SeqCst) {
                // Nobody answers while Pawl is dead; then there is nothing to log in with.
                if let Some(password) = current(&api, &self.url(), &user.name) {
                    self.log_in(user, &password, "AWSCURRENT");
                    if let Some(before) = before.replace(password) {
                        self.log_in(user, &before, "the value read just before");
                    }
                    self.rounds[number].fetch_add(1, Ordering::SeqCst);
                }
            }
        });
    }

    fn log_in(&self, user: &User, password: &str, what: &str) {
        match logs_in(user.server, &user.name, password) {
            Some(true) => _ = self.logins.fetch_add(1, Ordering::SeqCst),
            Some(false) => {
                let so_far = self.logins.load(Ordering::SeqCst);
                self.refused
                    .lock()
                    .expect("no reader failed")
                    .push(format!("{} with {what} after {so_far}", user.name));
            }
            None => panic!("this Redis is never stopped"),
        }
    }

    /// Where to read from now on.
    pub(crate) fn read_from(&self, url: &str) {
        url.clone_into(&mut self.url.lock().expect("no reader failed"));
    }

    fn url(&self) -> String {
        self.url.lock().expect("no reader failed").clone()
    }

    /// Waits until each has read and logged in so many times more, from its beginning.
    pub(crate) fn make_rounds(&self, count: usize) {
        let targets: Vec<_> = self.rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst) + count).collect();
        wait_for("the readers read", Duration::from_secs(60), || {
            let reached =
                self.rounds.iter().zip(&targets).all(|(rounds, target)| rounds.load(Ordering::SeqCst) >= *target);
            reached.then_some(())
        });
    }

    /// Ends them, and says how often they logged in and who was refused.
    pub(crate) fn end(&self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::SeqCst);
        let refused = std::mem::take(&mut *self.refused.lock().expect("no reader failed"));
        (self.logins.load(Ordering::SeqCst), refused)
    }
}

/// Ends readers when a test fails, which would otherwise wait for them for ever.
pub(crate) struct Ending<'a>(pub(crate) &'a Readers);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

/// The password that AWSCURRENT has, where Pawl answers.
pub(crate) fn current(api: &Client, url: &str, name: &str) -> Option<String> {
    let (status, reply) = api.call(url, "GetSecretValue", &json!({ "SecretId": name }))?;
    assert_eq!(status, 200, "{reply}");
    let value: Value = serde_json::from_str(reply["SecretString"].as_str().expect("text")).expect("JSON");
    Some(value["password"].as_str().expect("a password").to_owned())
}
