//! Who logs in, asked of the databases themselves: while nodes die, that some known value of each account does; and when all is
//! quiet, that AWSCURRENT does and the value before it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use super::cluster::Cluster;
use super::fleet::{Fleet, Kept, login_of};
use super::services::knock;
use crate::readers::service::{Answer, Login};

/// Between two looks at an account.
const BETWEEN: Duration = Duration::from_millis(150);
/// A value may die while the others are read; a lockout stays.
const LOCKED_OUT: Duration = Duration::from_secs(10);

/// A task that looks at one account after another.
pub(super) struct Oracle {
    looks: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Oracle {
    pub(super) fn start(cluster: &Arc<Cluster>, fleet: &Arc<Fleet>) -> Self {
        let (looks, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (cluster, fleet) = (Arc::clone(cluster), Arc::clone(fleet));
        let (counted, stop) = (Arc::clone(&looks), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let kept = &fleet.secrets[rand::rng().random_range(0..fleet.secrets.len())];
                assert!(
                    some_value_logs_in(&cluster, kept).await,
                    "LOCKOUT of {}\n{}",
                    kept.name,
                    cluster.log(&kept.name)
                );
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(BETWEEN).await;
            }
        });
        Self { looks, ended, task }
    }

    /// Ends it; returns at how many accounts it has looked.
    pub(super) async fn end(self) -> usize {
        self.ended.store(true, Ordering::SeqCst);
        self.task.await.expect("no account was locked out");
        self.looks.load(Ordering::SeqCst)
    }

    /// Whether it has seen a lockout, or failed.
    pub(super) fn has_failed(&self) -> bool {
        self.task.is_finished()
    }
}

async fn some_value_logs_in(cluster: &Cluster, kept: &Kept) -> bool {
    let until = Instant::now() + LOCKED_OUT;
    loop {
        for stage in ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"] {
            let Some(login) = value(cluster, kept, stage).await else { continue };
            if !matches!(knock(kept, &login).await, Answer::Refused(_)) {
                return true;
            }
        }
        if Instant::now() >= until {
            return false;
        }
    }
}

async fn value(cluster: &Cluster, kept: &Kept, stage: &str) -> Option<Login> {
    let (_, answer) = cluster.insist("GetSecretValue", &json!({ "SecretId": kept.name, "VersionStage": stage })).await;
    login_of(&answer)
}

/// When no rotation is open: AWSCURRENT logs in, and what was AWSCURRENT before does not. Returns what is wrong.
pub(super) async fn wrong_when_quiet(cluster: &Arc<Cluster>, fleet: &Fleet) -> Vec<String> {
    const AT_ONCE: usize = 4;
    let mut wrong = vec![];
    let mut tasks = JoinSet::new();
    let mut waiting = fleet.secrets.iter();
    loop {
        while tasks.len() < AT_ONCE {
            let Some(kept) = waiting.next() else { break };
            let (cluster, kept) = (Arc::clone(cluster), Arc::clone(kept));
            tasks.spawn(async move { wrong_with(&cluster, &kept).await });
        }
        let Some(done) = tasks.join_next().await else { return wrong };
        wrong.extend(done.expect("it was looked at"));
    }
}

async fn wrong_with(cluster: &Cluster, kept: &Kept) -> Vec<String> {
    let mut wrong = vec![];
    let say = |what: &str| format!("{} ({}): {what}", kept.name, kept.shape.name);
    match value(cluster, kept, "AWSCURRENT").await {
        Some(login) if is_let_in(kept, &login).await => {}
        Some(_) => wrong.push(say("AWSCURRENT does not log in")),
        None => wrong.push(say("AWSCURRENT has no value")),
    }
    match value(cluster, kept, "AWSPREVIOUS").await {
        Some(login) if is_let_in(kept, &login).await => {
            wrong.push(say("the credential before AWSCURRENT still logs in"));
        }
        _ => {}
    }
    wrong
}

/// Asks again where the database was too busy to say.
async fn is_let_in(kept: &Kept, login: &Login) -> bool {
    for _ in 0..10 {
        match knock(kept, login).await {
            Answer::In => return true,
            Answer::Refused(_) => return false,
            Answer::Busy => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
    panic!("{} does not say who logs in", kept.server.engine)
}
