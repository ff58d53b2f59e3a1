//! Services as their owners write them: each reads AWSCURRENT, logs in with it, does that again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::id::VersionId;
use engine::outcome::{StepError, Verdict};
use engine::port::{Clock, Guard, Material, StepContext};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use rotators::Registry;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli::client::Client;
use crate::cli::{CliError, Connection, fresh_token};
use crate::clock::SystemClock;

/// How long a reader rests between two logins, where it is alone.
const REST: Duration = Duration::from_millis(20);

/// What the readers of one account have seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Logins they tried.
    pub(super) logins: u64,
    /// Those that the database refused.
    pub(super) refused: u64,
    /// The longest time from a refusal to the next login that was let in.
    pub(super) longest_gap: Option<Duration>,
}

#[derive(Default)]
struct Counted {
    tally: Tally,
    /// Since when nobody was let in.
    refused_since: Option<Duration>,
}

/// Running readers of one account.
pub(super) struct Readers {
    counted: Arc<Mutex<Counted>>,
    tasks: JoinSet<()>,
}

impl Readers {
    pub(super) fn start(name: &str, count: usize, connection: &Connection) -> Result<Self, CliError> {
        let client = Arc::new(Client::new(connection)?);
        let counted = Arc::<Mutex<Counted>>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (name, client, counted) = (name.to_owned(), Arc::clone(&client), Arc::clone(&counted));
            tasks.spawn(async move {
                loop {
                    read_and_log_in(&client, &name, &counted).await;
                    // So many more of them, so much more rest: two cores serve the databases as well.
                    tokio::time::sleep(REST * u32::try_from(count).unwrap_or(1)).await;
                }
            });
        }
        Ok(Self { counted, tasks })
    }

    pub(super) fn tally(&self) -> Tally {
        lock(&self.counted).tally
    }

    pub(super) async fn stop(mut self) -> Tally {
        self.tasks.shutdown().await;
        self.tally()
    }
}

fn lock(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_and_log_in(client: &Client, name: &str, counted: &Mutex<Counted>) {
    let Ok(value) = client.aws("GetSecretValue", json!({ "SecretId": name })).await else { return };
    let answer = logs_in(&value).await;
    let now = SystemClock.since_boot();
    let mut counted = lock(counted);
    match answer {
        Ok(()) => {
            counted.tally.logins += 1;
            let gap = counted.refused_since.take().map(|since| now.saturating_sub(since));
            counted.tally.longest_gap = counted.tally.longest_gap.max(gap);
        }
        Err(error) if error.verdict == Verdict::Rejected => {
            counted.tally.logins += 1;
            counted.tally.refused += 1;
            counted.refused_since.get_or_insert(now);
        }
        // Nobody answered: that says nothing about the password.
        Err(_) => {}
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
