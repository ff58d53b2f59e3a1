//! Table `store_mode`: after a restore, or a failover that lost writes, the store may be older than its targets. Until every
//! account was looked at, nothing is changed at any of them: the store is *verify-only*.
//!
//! Never here: which secrets are held meanwhile (`hold.rs`).

use engine::Time;

use crate::instant::{instant, ms};
use crate::model::VerifyOnly;
use crate::open::Inner;
use crate::tx::{Conn, Writing, glance};
use crate::{Store, StoreError, hold, sql};

impl Store {
    /// Why nothing is changed at any target for now; None: everything is as usual.
    ///
    /// # Errors
    /// The database fails.
    pub async fn verify_only(&self) -> Result<Option<VerifyOnly>, StoreError> {
        let mut conn = glance(&self.0).await?;
        get(&mut conn).await
    }

    /// How often the store was brought back: restored, or failed over with writes lost.
    ///
    /// # Errors
    /// The database fails.
    pub async fn epoch(&self) -> Result<i64, StoreError> {
        let mut conn = glance(&self.0).await?;
        let epoch: Option<i64> = sql::query_scalar(EPOCH).fetch_optional(&mut conn).await?;
        Ok(epoch.unwrap_or(0))
    }

    /// From now on accounts are looked at and nothing is changed: every secret that rotates is held until AWSCURRENT was seen to
    /// log in. A store that is verify-only already keeps its first reason, and looks at every account again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn enter_verify_only(&self, reason: &str, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        enter(w.conn(), reason, now).await?;
        w.wake();
        w.commit().await
    }

    /// Everything is as usual from now on, but for secrets whose AWSCURRENT has not been seen to log in: those stay held.
    ///
    /// # Errors
    /// The database fails.
    pub async fn leave_verify_only(&self, now: Time) -> Result<(), StoreError> {
        self.leave_mode(None, now).await.map(drop)
    }

    /// The same of the one that was entered at `since`, or of whichever there is. False: there is none whose secrets were held.
    pub(crate) async fn leave_mode(&self, since: Option<Time>, now: Time) -> Result<bool, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let left = sql::query(LEAVE).bind(ms(now)).bind(since.map(ms)).execute(w.conn()).await?.rows_affected();
        w.wake();
        w.commit().await?;
        Ok(left > 0)
    }
}

/// Whoever opens the store after this commit only looks; and what drivers of before still have to say is refused.
pub(crate) async fn enter(conn: &mut Conn, reason: &str, now: Time) -> Result<(), StoreError> {
    sql::query(ENTER).bind(reason).bind(ms(now)).execute(&mut *conn).await?;
    let mut after = Some(0);
    while let Some(from) = after {
        after = hold::hold_some(conn, from, now).await?;
    }
    sql::query(HELD).execute(conn).await?;
    Ok(())
}

/// Whoever has found out that the store was brought back, secrets are held because of it, some in each transaction however many
/// there are; nothing is claimed before all of them are. Says whether that is so now: where another node is at it, it is left to
/// that one, and nodes that have begun at the same time take turns.
pub(crate) async fn hold_if_new(inner: &Inner, now: Time) -> Result<bool, StoreError> {
    let (mut held_for, mut after) = (None, 0);
    loop {
        let mut w = Writing::begin(inner).await?;
        let lock = if held_for.is_none() { "FOR NO KEY UPDATE SKIP LOCKED" } else { "FOR NO KEY UPDATE" };
        let since: Option<i64> = sql::query_scalar(NEW).locking(lock).fetch_optional(w.conn()).await?;
        if since.is_none() {
            let is_done = !is_new(w.conn()).await?;
            return w.rollback().await.map(|()| is_done);
        }
        if since != held_for {
            // It was entered once more meanwhile: what was held before may have been seen since.
            (held_for, after) = (since, 0);
        }
        let now = w.now(now).await?;
        let Some(last) = hold::hold_some(w.conn(), after, now).await? else {
            sql::query(HELD).execute(w.conn()).await?;
            w.wake();
            return w.commit().await.map(|()| true);
        };
        after = last;
        w.commit().await?;
    }
}

/// Are secrets to be held that are not yet?
pub(crate) async fn is_new(conn: &mut Conn) -> Result<bool, StoreError> {
    let since: Option<i64> = sql::query_scalar(NEW).fetch_optional(conn).await?;
    Ok(since.is_some())
}

pub(crate) async fn get(conn: &mut Conn) -> Result<Option<VerifyOnly>, StoreError> {
    let row: Option<(String, i64)> = sql::query_as(GET).fetch_optional(conn).await?;
    row.map(|(reason, since)| Ok(VerifyOnly { reason, since: instant(since)? })).transpose()
}

const GET: &str = "-- mode::get
SELECT reason, since_ms FROM store_mode WHERE id = 1 AND verify_only = 1";

const ENTER: &str = "-- mode::enter_verify_only
INSERT INTO store_mode (id, verify_only, reason, since_ms) VALUES (1, 1, $1, $2)
ON CONFLICT (id) DO UPDATE SET verify_only = 1, since_ms = excluded.since_ms, held_ms = NULL,
    reason = CASE WHEN store_mode.verify_only = 1 THEN store_mode.reason ELSE excluded.reason END";

const EPOCH: &str = "-- mode::epoch
SELECT epoch FROM store_mode WHERE id = 1";

const HELD: &str = "-- mode::hold_if_new (held)
UPDATE store_mode SET epoch = epoch + 1, held_ms = since_ms
WHERE id = 1 AND verify_only = 1 AND (held_ms IS NULL OR held_ms <> since_ms)";

const NEW: &str = "-- mode::is_new
SELECT since_ms FROM store_mode WHERE id = 1 AND verify_only = 1 AND (held_ms IS NULL OR held_ms <> since_ms)";

const LEAVE: &str = "-- mode::leave_verify_only
UPDATE store_mode SET verify_only = 0, since_ms = $1
WHERE id = 1 AND verify_only = 1 AND held_ms = since_ms AND COALESCE($2, since_ms) = since_ms";
