//! What is done about a clock that jumps: nothing starts by schedule, it is said once, and it goes on when the clock is steady
//! again: back where it was to be, accepted by an operator, or as the database's clock says.
//!
//! Never here: what a jump is (`steady.rs`), what goes on meanwhile (`store`).

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::port::Clock;
use store::{ClockDoubt, Fleet, Store, StoreError};

use super::steady::{Jump, Steady};

/// How often the wall clock is written down.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// So close is the database's clock to one that is right.
const AGREES: TimeDelta = TimeDelta::minutes(2);

/// Looks at the clock each time the scheduler does.
pub(crate) struct Watch {
    store: Store,
    clock: Arc<Steady>,
    /// How often clocks had been accepted when this one began to be doubted.
    doubted_at: Option<i64>,
    /// Since boot.
    beat: Option<Duration>,
}

impl Watch {
    pub(crate) fn new(store: Store, clock: Arc<Steady>) -> Self {
        Self { store, clock, doubted_at: None, beat: None }
    }

    /// Whether the clock is to be gone by.
    pub(crate) async fn is_steady(&mut self, fleet: &Fleet) -> Result<bool, StoreError> {
        let Some(jump) = self.clock.jump() else {
            if self.doubted_at.take().is_some() {
                self.store.doubt_clock(None).await?;
                tracing::warn!("the clock is back where it was to be; rotations start by schedule again");
            }
            self.beat().await?;
            return Ok(true);
        };
        let Some(accepted) = self.doubted_at else {
            self.doubt(jump).await?;
            self.doubted_at = Some(fleet.accepted);
            return Ok(false);
        };
        if fleet.accepted == accepted && !self.database_agrees().await? {
            return Ok(false);
        }
        self.accept().await?;
        Ok(true)
    }

    async fn doubt(&self, jump: Jump) -> Result<(), StoreError> {
        let message = said(jump);
        tracing::error!(
            jumped_s = jump.by.num_seconds(),
            remedy = "set the clock right; if it is right, say so: `pawl clock accept`",
            "{message}; nothing starts by schedule"
        );
        self.store.doubt_clock(Some(&ClockDoubt { since: jump.since, message })).await
    }

    async fn accept(&mut self) -> Result<(), StoreError> {
        let by = self.clock.accept();
        let now = self.clock.now();
        // Other nodes go by other clocks: what they wait for is theirs.
        if !self.store.is_shared() {
            self.store.move_waits(by, now).await?;
        }
        let late = self.store.spread_due(now).await?;
        self.store.doubt_clock(None).await?;
        self.store.note_clock(now).await?;
        self.doubted_at = None;
        tracing::warn!(
            jumped_s = by.num_seconds(),
            late,
            "the clock is accepted as it is; what is due runs late, spread"
        );
        Ok(())
    }

    async fn database_agrees(&self) -> Result<bool, StoreError> {
        let Some(theirs) = self.store.database_time().await? else { return Ok(false) };
        Ok((theirs - self.clock.wall().now()).abs() <= AGREES)
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        let up = self.clock.since_boot();
        if self.beat.is_none_or(|beat| up.saturating_sub(beat) >= HEARTBEAT) {
            self.store.note_clock(self.clock.now()).await?;
            self.beat = Some(up);
        }
        Ok(())
    }
}

fn said(jump: Jump) -> String {
    // To the minute: a jump is longer than two.
    let minutes = (jump.by.abs() + TimeDelta::seconds(30)).num_minutes();
    let length = engine::span::spell(Duration::from_secs(u64::try_from(minutes).unwrap_or(0) * 60));
    let way = if jump.by > TimeDelta::zero() { "ahead of" } else { "behind" };
    let was = jump.since.format("%Y-%m-%d %H:%M:%S UTC");
    format!("the clock has jumped: it is {length} {way} where it was to be (it was to show {was})")
}
