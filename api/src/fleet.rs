//! The installation as Pawl's own operations show it: limits, a pause of everything, the clock, hosts that are not reached.
//!
//! Never here: what limits mean (`engine::fleet`), who obeys them (`store`).

use serde::Serialize;
use store::{ClockDoubt, Fleet, Paused, Unreachable};

use crate::error::ApiError;
use crate::op::Cx;
use crate::wire::Epoch;

/// The reply of DescribeLimits and of every command to the installation.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown {
    per_target: u32,
    starts_per_minute: u32,
    target_failures: u32,
    blackouts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PausedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Doubted>,
    unreachable: Vec<Away>,
}

/// Nothing starts until it is resumed.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PausedBy {
    by: String,
    since: Epoch,
    reason: String,
}

/// A node doubts its clock.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Doubted {
    since: Epoch,
    message: String,
}

/// A host that is left alone.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Away {
    target: String,
    since: Epoch,
    failures: u64,
    waiting: u64,
    next_probe: Epoch,
    message: String,
}

impl Shown {
    /// The installation as it is now.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn now(cx: &Cx<'_>) -> Result<Self, ApiError> {
        let Fleet { limits, paused, clock, .. } = cx.state.store.fleet().await?;
        let unreachable = cx.state.store.unreachable().await?;
        Ok(Self {
            per_target: limits.per_target,
            starts_per_minute: limits.starts_a_minute,
            target_failures: limits.failures,
            blackouts: limits.blackouts.texts(),
            paused: paused.map(|Paused { since, by, reason }| PausedBy { by, since: Epoch(since), reason }),
            clock: clock.map(|ClockDoubt { since, message }| Doubted { since: Epoch(since), message }),
            unreachable: unreachable.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<Unreachable> for Away {
    fn from(host: Unreachable) -> Self {
        Self {
            target: host.target,
            since: Epoch(host.since),
            failures: host.failures,
            waiting: host.waiting,
            next_probe: Epoch(host.next_probe),
            message: host.message,
        }
    }
}
