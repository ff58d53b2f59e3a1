//! What watches a cell, independently of Pawl: over its own connections it asks the database who logs in, all the time, and
//! the API which label says what. It knows nothing of how rotations work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pawl::servers::Server;
use serde_json::{Value, json};

use crate::harness::account::{Answer, answer};
use crate::harness::pawl::Pawl;
use crate::harness::wire::{Client, Signed};

/// Between two samples: eight cells share two cores with the databases.
const PAUSE: Duration = Duration::from_millis(300);

/// What to watch.
pub(super) struct Watched {
    pub(super) server: &'static Server,
    pub(super) name: String,
    /// AWSCURRENT logs in at every moment. Without this promise AWSPENDING may do so in its place.
    pub(super) promised: bool,
}

/// What it has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Samples in which the database answered.
    pub(super) samples: u32,
    /// Of those, while Pawl answered as well.
    pub(super) told: u32,
    /// Questions to a Pawl that was there, and did not answer within three seconds.
    pub(super) unanswered: u32,
    /// What must not be.
    pub(super) wrong: Vec<String>,
}

/// A running watch.
pub(super) struct Oracle {
    shared: Arc<Shared>,
    sampling: Option<JoinHandle<()>>,
}

struct Shared {
    watched: Watched,
    by: Signed,
    /// Where Pawl answers; None while it is down.
    url: Mutex<Option<String>>,
    /// The newest AWSCURRENT that was read.
    last: Mutex<Option<Value>>,
    seen: Mutex<Seen>,
    ended: AtomicBool,
}

impl Oracle {
    #[expect(clippy::disallowed_methods, reason = "it watches while the test goes on")]
    pub(super) fn watch(pawl: &Pawl, watched: Watched) -> Self {
        let shared = Arc::new(Shared {
            watched,
            by: pawl.administrator(),
            url: Mutex::new(Some(pawl.url.clone())),
            last: Mutex::default(),
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let watching = Arc::clone(&shared);
        let sampling = thread::spawn(move || {
            let client = Client::hasty(watching.by.clone());
            while !watching.ended.load(Ordering::SeqCst) {
                watching.sample(&client);
                thread::sleep(PAUSE);
            }
        });
        Self { shared, sampling: Some(sampling) }
    }

    /// Pawl answers here from now on; None: nowhere.
    pub(super) fn moved(&self, url: Option<&str>) {
        *lock(&self.shared.url) = url.map(str::to_owned);
    }

    /// One sample at once, with whatever Pawl says this moment.
    pub(super) fn look(&self) {
        self.shared.sample(&Client::hasty(self.shared.by.clone()));
    }

    /// Ends the watch, and says what was seen.
    pub(super) fn end(&mut self) -> Seen {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(sampling) = self.sampling.take() {
            sampling.join().expect("the oracle itself does not fail");
        }
        std::mem::take(&mut lock(&self.shared.seen))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn sample(&self, client: &Client) {
        match self.read(client, "AWSCURRENT") {
            Some(current) => {
                *lock(&self.last) = Some(current.clone());
                self.judge(client, &current);
            }
            // What it read last may have been retired in the moment before Pawl went: it proves nothing when it is refused.
            None => {
                let last = lock(&self.last).clone();
                if let Some(last) = last.filter(|last| matches!(self.ask(last), Answer::In)) {
                    lock(&self.seen).samples += 1;
                    drop(last);
                }
            }
        }
    }

    /// AWSCURRENT as it was read a moment ago.
    fn judge(&self, client: &Client, current: &Value) {
        match self.ask(current) {
            Answer::Busy => return,
            Answer::In => {}
            Answer::Refused(why) => {
                let promised = self.watched.promised;
                // Labels move, and graces end: only what is AWSCURRENT still was refused by mistake.
                if self.read(client, "AWSCURRENT").as_ref() != Some(current) {
                    return;
                }
                // Who does not answer in time says nothing.
                let Some(pending) = self.answered(client, "AWSPENDING") else { return };
                let pending = value_of(&pending);
                let pending_logs_in = match pending.as_ref().map(|pending| self.ask(pending)) {
                    // The target went away between the two questions.
                    Some(Answer::Busy) => return,
                    answer => matches!(answer, Some(Answer::In)),
                };
                // Between the two questions finishSecret may have come.
                let moved = self.read(client, "AWSCURRENT").as_ref() != Some(current);
                if !moved && (promised || !pending_logs_in) && matches!(self.ask(current), Answer::Refused(_)) {
                    let user = &current["username"];
                    let with = match (pending.is_some(), pending_logs_in) {
                        (_, true) => "AWSPENDING logs in",
                        (true, false) => "AWSPENDING neither",
                        (false, false) => "there is no AWSPENDING",
                    };
                    lock(&self.seen).wrong.push(format!("AWSCURRENT ({user}) was refused: {why}; {with}"));
                }
            }
        }
        let mut seen = lock(&self.seen);
        seen.samples += 1;
        seen.told += 1;
    }

    fn answered(&self, client: &Client, stage: &str) -> Option<(u16, Value)> {
        let url = lock(&self.url).clone()?;
        let body = json!({ "SecretId": self.watched.name, "VersionStage": stage });
        let answer = client.call(&url, "GetSecretValue", &body);
        lock(&self.seen).unanswered += u32::from(answer.is_none());
        answer
    }

    fn read(&self, client: &Client, stage: &str) -> Option<Value> {
        value_of(&self.answered(client, stage)?)
    }

    fn ask(&self, value: &Value) -> Answer {
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        answer(self.watched.server, text("username"), text("password"))
    }
}

/// The value in an answer that has one.
fn value_of((status, answer): &(u16, Value)) -> Option<Value> {
    let text = answer["SecretString"].as_str().filter(|_| *status == 200)?;
    serde_json::from_str(text).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is whole at every moment, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
