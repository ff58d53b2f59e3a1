//! One service of each account: it reads AWSCURRENT from any node that answers, logs in with it to the database, and every
//! second one goes on using what it read. Whom the database refuses is counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::json;
use tokio::task::JoinSet;

use super::GRACE;
use super::cluster::Cluster;
use super::fleet::{Fleet, Kept, login_of};
use crate::readers::service::{Answer, Login, ask};

/// How long the half of them keeps what it read: well within the grace.
const CACHE: Duration = Duration::from_secs(3);
/// So many pieces of work a second by all of them together: two cores are shared with everything else.
const WORK: u32 = 30;
/// A login that takes longer says nothing.
const LOGIN: Duration = Duration::from_secs(20);

/// What they have seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) logins: AtomicUsize,
    pub(super) busy: AtomicUsize,
    /// Refused with a value that was read so long before that its grace may have been over.
    pub(super) outdated: AtomicUsize,
    /// Refused logins of accounts with the promise that there is none, in words.
    broken: Mutex<Vec<String>>,
    /// Refused logins of the others.
    pub(super) in_gaps: AtomicUsize,
    /// Of the others: from the first refusal to the next login.
    gaps: Mutex<Vec<Duration>>,
}

impl Seen {
    pub(super) fn broken(&self) -> MutexGuard<'_, Vec<String>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gaps(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Running services.
pub(super) struct Services {
    pub(super) seen: Arc<Seen>,
    ended: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Services {
    pub(super) fn start(cluster: &Arc<Cluster>, fleet: &Fleet) -> Self {
        let (seen, ended) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        let rest = Duration::from_secs(1) * u32::try_from(fleet.secrets.len()).expect("few") / WORK;
        for (number, kept) in fleet.secrets.iter().enumerate() {
            let service = Service {
                cluster: Arc::clone(cluster),
                kept: Arc::clone(kept),
                cache: if number % 2 == 0 { Duration::ZERO } else { CACHE },
                seen: Arc::clone(&seen),
                ended: Arc::clone(&ended),
            };
            tasks.spawn(service.work(rest));
        }
        Self { seen, ended, tasks }
    }

    /// Ends them when each has done what it is at.
    pub(super) async fn end(mut self) -> Arc<Seen> {
        self.ended.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no service failed");
        }
        self.seen
    }
}

struct Service {
    cluster: Arc<Cluster>,
    kept: Arc<Kept>,
    cache: Duration,
    seen: Arc<Seen>,
    ended: Arc<AtomicBool>,
}

impl Service {
    async fn work(self, rest: Duration) {
        let mut held: Option<(Login, Instant)> = None;
        let mut refused_since = None;
        while !self.ended.load(Ordering::SeqCst) {
            // The age counts from before the question: the answer may be older than its arrival.
            let asked = Instant::now();
            let (login, read) = match held.take().filter(|(_, read)| read.elapsed() < self.cache) {
                Some(held) => held,
                None => match current(&self.cluster, &self.kept).await {
                    Some(login) => (login, asked),
                    None => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            match knock(&self.kept, &login).await {
                Answer::In => {
                    self.seen.logins.fetch_add(1, Ordering::SeqCst);
                    let gap = refused_since.take().map(|since: Instant| since.elapsed());
                    self.seen.gaps().extend(gap.filter(|_| !self.kept.promises()));
                    held = Some((login, read));
                }
                Answer::Refused(code) => {
                    refused_since.get_or_insert_with(Instant::now);
                    self.refused(&login, read.elapsed(), &code);
                }
                Answer::Busy => {
                    self.seen.busy.fetch_add(1, Ordering::SeqCst);
                }
            }
            // Whoever is refused reads again soon.
            let rest = if refused_since.is_some() { rest.min(Duration::from_millis(200)) } else { rest };
            let rest = rest.mul_f64(rand::rng().random_range(0.5..1.5));
            tokio::time::sleep(rest).await;
        }
    }

    /// The old credential lives for the whole grace after AWSCURRENT has moved, so after it was last read.
    fn refused(&self, (user, _): &Login, age: Duration, code: &str) {
        if !self.kept.promises() {
            self.seen.in_gaps.fetch_add(1, Ordering::SeqCst);
        } else if age >= GRACE {
            self.seen.outdated.fetch_add(1, Ordering::SeqCst);
        } else {
            let line =
                format!("{}: {user} was refused ({code}) with what was read {age:?} before", self.kept.shape.name);
            self.seen.broken().push(line);
        }
    }
}

/// AWSCURRENT, as whichever node answers says.
pub(super) async fn current(cluster: &Cluster, kept: &Kept) -> Option<Login> {
    let body = json!({ "SecretId": kept.name });
    cluster.call("GetSecretValue", &body).await.and_then(|(_, answer)| login_of(&answer))
}

/// A new connection and a question.
pub(super) async fn knock(kept: &Kept, login: &Login) -> Answer {
    tokio::time::timeout(LOGIN, ask(kept.server, login)).await.unwrap_or(Answer::Busy)
}
