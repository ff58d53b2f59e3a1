//! Table `store_mode`: whether rotations may start. After a restore or a failover that may have lost what was acknowledged they
//! may not: what the store says of accounts is looked at first.
//!
//! Never here: looking at accounts.

use engine::Time;

use crate::instant::{instant_opt, ms};
use crate::sql::Flag;
use crate::tx::{Conn, Writing, glance};
use crate::{Store, StoreError, sql};

/// Why nothing starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOnly {
    /// What happened, in a sentence.
    pub reason: String,
    /// Since when.
    pub since: Option<Time>,
}

impl Store {
    /// Why no rotation starts just now; None: they may.
    ///
    /// # Errors
    /// The database fails.
    pub async fn verify_only(&self) -> Result<Option<VerifyOnly>, StoreError> {
        let mut conn = glance(&self.0).await?;
        let (on, reason, since): (Flag, String, Option<i64>) = sql::query_as(GET).fetch_one(&mut conn).await?;
        Ok(on.0.then_some(VerifyOnly { reason, since: instant_opt(since)? }))
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
    pub async fn leave_verify_only(&self) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        sql::query(LEAVE).execute(w.conn()).await?;
        w.wake();
        w.commit().await
    }
}

/// Whether rotations may not start, in this transaction.
pub(crate) async fn is_verify_only(conn: &mut Conn) -> Result<bool, StoreError> {
    let (on, ..): (Flag, String, Option<i64>) = sql::query_as(GET).fetch_one(conn).await?;
    Ok(on.0)
}

const GET: &str = "-- mode::verify_only
SELECT verify_only, reason, since_ms FROM store_mode WHERE id = 1";

const ENTER: &str = "-- mode::enter_verify_only
UPDATE store_mode SET verify_only = 1, reason = $1, since_ms = $2 WHERE id = 1 AND verify_only = 0";

const LEAVE: &str = "-- mode::leave_verify_only
UPDATE store_mode SET verify_only = 0, reason = '', since_ms = NULL WHERE id = 1";
