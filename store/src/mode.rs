//! Table `store_mode`: whether rotations may start. After a restore or a failover that may have lost what was acknowledged they
//! may not: what the store says of accounts is looked at first.
//!
//! Never here: looking at accounts.

use engine::Time;

use crate::instant::{instant, ms};
use crate::tx::{Writing, glance};
use crate::{Store, StoreError, sql};

/// Why nothing starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOnly {
    /// What happened, in a sentence.
    pub reason: String,
    /// Since when.
    pub since: Time,
}

impl Store {
    /// Why no rotation starts just now; None: they may.
    ///
    /// # Errors
    /// The database fails.
    pub async fn verify_only(&self) -> Result<Option<VerifyOnly>, StoreError> {
        let mut conn = glance(&self.0).await?;
        let row: Option<(String, i64)> = sql::query_as(GET).fetch_optional(&mut conn).await?;
        row.map(|(reason, since)| Ok(VerifyOnly { reason, since: instant(since)? })).transpose()
    }

    /// No rotation starts from now on. Where that is so already, the first reason stays.
    ///
    /// # Errors
    /// The database fails.
    pub async fn enter_verify_only(&self, reason: &str, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        sql::query(ENTER).bind(reason).bind(ms(now)).execute(w.conn()).await?;
        w.commit().await
    }

    /// Rotations may start again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn leave_verify_only(&self, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        sql::query(LEAVE).bind(ms(now)).execute(w.conn()).await?;
        w.wake();
        w.commit().await
    }
}

const GET: &str = "-- mode::verify_only
SELECT reason, since_ms FROM store_mode WHERE id = 1 AND verify_only = 1";

const ENTER: &str = "-- mode::enter_verify_only
INSERT INTO store_mode (id, verify_only, reason, since_ms) VALUES (1, 1, $1, $2)
ON CONFLICT (id) DO UPDATE SET verify_only = 1, since_ms = excluded.since_ms,
    reason = CASE WHEN store_mode.verify_only = 1 THEN store_mode.reason ELSE excluded.reason END";

const LEAVE: &str = "-- mode::leave_verify_only
UPDATE store_mode SET verify_only = 0, since_ms = $1 WHERE id = 1 AND verify_only = 1";
