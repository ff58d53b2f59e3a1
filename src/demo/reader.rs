//! A service as its owners write them: reads AWSCURRENT, logs in with it, does that again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use engine::id::VersionId;
use engine::outcome::{StepError, Verdict};
use engine::port::{Clock, Guard, Material, StepContext};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use rotators::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cli::client::Client;
use crate::cli::{CliError, Connection, fresh_token};
use crate::clock::SystemClock;

/// How long a reader rests between two logins.
const REST: Duration = Duration::from_millis(20);

/// What a reader has seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Logins it tried.
    pub(super) logins: u64,
    /// Those that the database refused.
    pub(super) refused: u64,
}

#[derive(Default)]
struct Counters {
    logins: AtomicU64,
    refused: AtomicU64,
}

/// A running reader.
pub(super) struct Reader {
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Reader {
    pub(super) fn start(name: String, connection: &Connection) -> Result<Self, CliError> {
        let client = Client::new(connection)?;
        let counters = Arc::new(Counters::default());
        let counting = Arc::clone(&counters);
        let task = tokio::spawn(async move {
            loop {
                read_and_log_in(&client, &name, &counting).await;
                tokio::time::sleep(REST).await;
            }
        });
        Ok(Self { counters, task })
    }

    pub(super) fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally { logins: read(&self.counters.logins), refused: read(&self.counters.refused) }
    }

    pub(super) async fn stop(self) -> Tally {
        self.task.abort();
        let tally = self.tally();
        // Cancelled, as asked.
        let _aborted = self.task.await;
        tally
    }
}

async fn read_and_log_in(client: &Client, name: &str, counters: &Counters) {
    let Ok(value) = client.aws("GetSecretValue", json!({ "SecretId": name })).await else { return };
    counters.logins.fetch_add(1, Ordering::Relaxed);
    if logs_in(&value).await.is_err() {
        counters.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Logs in with an answer of GetSecretValue, as testSecret does.
pub(super) async fn logs_in(answer: &Value) -> Result<(), StepError> {
    let broken = |what: &str| StepError::new(Verdict::NeedsPerson, "demo", what);
    let value = answer["SecretString"].as_str().ok_or_else(|| broken("no text value"))?;
    let registry = Registry::new(&rotators::Settings::default()).map_err(|_| broken("no registry"))?;
    let value = SecretBytes::from(value);
    let engine = rotators::engine_of(&value).ok_or_else(|| broken("no engine"))?;
    let rotator = registry.get(engine).ok_or_else(|| broken("no rotator"))?;
    let token = VersionId::new(fresh_token()).map_err(|_| broken("no token"))?;
    let run = Run::new(token, String::new(), SystemClock.now());
    let material = Material { wanted: Some(value), ..Material::default() };
    let nothing = SecretBytes::from("");
    let cx = StepContext {
        arn: "demo",
        step: Step::Test,
        run: &run,
        material: &material,
        attempted: false,
        login_budget: 1,
        deadline: Duration::from_secs(5),
        guard: &NothingChanges,
        scramble: &nothing,
        hold: false,
    };
    rotator.test(&cx).await.map(drop)
}

/// A reader changes nothing.
struct NothingChanges;

#[async_trait]
impl Guard for NothingChanges {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        Err(StepError::new(Verdict::NeedsPerson, "demo", "a reader changes nothing"))
    }
}
