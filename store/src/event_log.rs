//! Tables `event` (read, pruned) and `event_log`: the order of all events, which is given after they have committed.
//!
//! Whoever gives positions holds the one row of `event_log`, so a position that is visible has none missing before it: no
//! transaction that is still open can fill one in. Never here: what an event says, who is told of it.

use chrono::TimeDelta;
use engine::Time;

use crate::instant::{instant, ms};
use crate::model::{EventPage, Facts, OutboxEvent, Retention, Since};
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, errand, fleet, lease_clock, sql};

/// How many events get their position in one transaction.
const BATCH: i64 = 500;
/// How many are pruned in one transaction.
const PRUNED: i64 = 1000;
/// How many rows one page looks at.
const LOOKED_AT: i64 = 1000;

impl Store {
    /// Gives positions to events that have committed without one, and says how many. Any node may do that at any time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn publish(&self) -> Result<u64, StoreError> {
        if !self.any_unpublished().await? {
            return Ok(0);
        }
        // Synced: who has seen a position never sees another event there.
        let mut w = Writing::begin(&self.0).await?;
        let mut pos: i64 = sql::query_scalar(LOCK).fetch_one(w.conn()).await?;
        let ids: Vec<i64> = sql::query_scalar(UNPUBLISHED).bind(BATCH).fetch_all(w.conn()).await?;
        for id in &ids {
            pos += 1;
            sql::query(PUBLISH).bind(*id).bind(pos).execute(w.conn()).await?;
        }
        sql::query(ADVANCE).bind(pos).execute(w.conn()).await?;
        w.happens();
        w.commit().await?;
        Ok(ids.len() as u64)
    }

    async fn any_unpublished(&self) -> Result<bool, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        any_unpublished(&mut tx).await
    }

    /// Events from this offset on, at most `limit`; of one secret where its ARN or name is given. The page may be empty
    /// though there are more: go on at its `next`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn events(&self, from: i64, limit: usize, secret: Option<&str>) -> Result<EventPage, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let oldest = oldest(&mut tx).await?;
        let rows = page(&mut tx, from).await?;
        drop(tx);
        let mut next = from.max(oldest);
        let mut events = Vec::new();
        for row in rows {
            if events.len() == limit {
                break;
            }
            let event = row.event()?;
            next = event.offset + 1;
            if secret.is_none_or(|secret| event.arn == secret || event.name == secret) {
                events.push(event);
            }
        }
        Ok(EventPage { events, next, oldest })
    }

    /// The offset that the next event gets.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_offset(&self) -> Result<i64, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        Ok(last(&mut tx).await? + 1)
    }

    /// Removes one small step of what is too old or too much, oldest first, and says how many there were. Nothing goes while
    /// the clock is doubted.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prune_events(&self, keep: &Retention, now: Time) -> Result<u64, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        // What a clock that is a year ahead removes does not come back.
        if fleet::load(&mut tx).await?.fleet.clock.is_some() {
            return Ok(0);
        }
        let now = lease_clock::now(&mut tx, now).await?;
        let horizon = ms(now - TimeDelta::from_std(keep.age).unwrap_or(TimeDelta::MAX));
        let room = last(&mut tx).await? - keep.rows;
        let oldest = oldest_rows(&mut tx).await?;
        drop(tx);
        // What is kept has no hole: the first that stays ends it.
        let ended = oldest.iter().take_while(|(pos, at_ms, _)| *pos <= room || *at_ms < horizon);
        let ended: Vec<_> = ended.collect();
        let Some((cut, ..)) = ended.last() else { return Ok(0) };
        let mut secrets: Vec<i64> = ended.iter().map(|(.., secret)| *secret).collect();
        secrets.sort_unstable();
        secrets.dedup();
        let mut w = Writing::begin(&self.0).await?;
        let pruned = sql::query(PRUNE).bind(*cut).execute(w.conn()).await?.rows_affected();
        for secret in secrets {
            // Of a secret that is gone nothing is left when its last event goes.
            sql::query(FORGET_HEAD).bind(secret).execute(w.conn()).await?;
            errand::forget(w.conn(), secret).await?;
        }
        w.commit().await?;
        Ok(pruned)
    }
}

/// The first offset of what is asked for: an offset as it is, a moment's first event. Events of a moment may lie before
/// those of an earlier one (clocks differ); none that is asked for is left out.
pub(crate) async fn offset_of(conn: &mut Conn, from: Since) -> Result<i64, StoreError> {
    match from {
        Since::Offset(offset) => Ok(offset),
        Since::Time(time) => {
            let first: Option<i64> = sql::query_scalar(FIRST_AT).bind(ms(time)).fetch_one(&mut *conn).await?;
            match first {
                Some(first) => Ok(first),
                None => Ok(last(conn).await? + 1),
            }
        }
    }
}

/// The last position that was given.
pub(crate) async fn last(conn: &mut Conn) -> Result<i64, StoreError> {
    Ok(sql::query_scalar(LAST).fetch_one(conn).await?)
}

/// The first position that is kept; the next one where none is.
pub(crate) async fn oldest(conn: &mut Conn) -> Result<i64, StoreError> {
    let first: Option<i64> = sql::query_scalar(OLDEST).fetch_one(&mut *conn).await?;
    match first {
        Some(first) => Ok(first),
        None => Ok(last(conn).await? + 1),
    }
}

/// Published events from here on, in order.
pub(crate) async fn page(conn: &mut Conn, from: i64) -> Result<Vec<Row>, StoreError> {
    Ok(sql::query_as(PAGE).bind(from).bind(LOOKED_AT).fetch_all(conn).await?)
}

/// The next published event of a secret after this seq.
pub(crate) async fn next_of(conn: &mut Conn, secret: i64, seq: i64, up_to: i64) -> Result<Option<Row>, StoreError> {
    Ok(sql::query_as(NEXT_OF).bind(secret).bind(seq).bind(up_to).fetch_optional(conn).await?)
}

/// The seq of the first event after this one that is kept, or else of the next one there will be.
pub(crate) async fn next_kept(conn: &mut Conn, secret: i64, seq: i64) -> Result<i64, StoreError> {
    Ok(sql::query_scalar(NEXT_KEPT).bind(secret).bind(seq).fetch_one(conn).await?)
}

async fn any_unpublished(conn: &mut Conn) -> Result<bool, StoreError> {
    let any: Option<i64> = sql::query_scalar(UNPUBLISHED).bind(1_i64).fetch_optional(conn).await?;
    Ok(any.is_some())
}

async fn oldest_rows(conn: &mut Conn) -> Result<Vec<(i64, i64, i64)>, StoreError> {
    Ok(sql::query_as(OLDEST_ROWS).bind(PRUNED).fetch_all(conn).await?)
}

/// An event as stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) event_id: String,
    pub(crate) secret_id: i64,
    pub(crate) seq: i64,
    pub(crate) pos: i64,
    pub(crate) kind: String,
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) at_ms: i64,
    pub(crate) facts: String,
}

impl Row {
    pub(crate) fn event(self) -> Result<OutboxEvent, StoreError> {
        Ok(OutboxEvent {
            facts: self.facts()?,
            id: self.event_id,
            offset: self.pos,
            seq: self.seq,
            kind: self.kind,
            arn: self.arn,
            name: self.name,
            at: instant(self.at_ms)?,
        })
    }

    pub(crate) fn facts(&self) -> Result<Facts, StoreError> {
        serde_json::from_str(&self.facts).map_err(|_| StoreError::inconsistent("an event cannot be read"))
    }
}

// The same value, written: whoever else gives positions waits for this transaction's end.
const LOCK: &str = "-- event_log::publish (lock)
UPDATE event_log SET pos = pos WHERE id = 1 RETURNING pos";

const UNPUBLISHED: &str = "-- event_log::publish (unpublished)
SELECT id FROM event WHERE pos IS NULL ORDER BY id LIMIT $1";

const PUBLISH: &str = "-- event_log::publish
UPDATE event SET pos = $2 WHERE id = $1";

const ADVANCE: &str = "-- event_log::publish (advance)
UPDATE event_log SET pos = $1 WHERE id = 1";

const LAST: &str = "-- event_log::last
SELECT pos FROM event_log WHERE id = 1";

const OLDEST: &str = "-- event_log::oldest
SELECT MIN(pos) FROM event WHERE pos IS NOT NULL";

const FIRST_AT: &str = "-- event_log::offset_of
SELECT MIN(pos) FROM event WHERE at_ms >= $1 AND pos IS NOT NULL";

const PAGE: &str = "-- event_log::page
SELECT event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts
FROM event WHERE pos IS NOT NULL AND pos >= $1 ORDER BY pos LIMIT $2";

const NEXT_OF: &str = "-- event_log::next_of
SELECT event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts
FROM event WHERE secret_id = $1 AND seq > $2 AND pos IS NOT NULL AND pos <= $3 ORDER BY seq LIMIT 1";

const NEXT_KEPT: &str = "-- event_log::next_kept
SELECT COALESCE((SELECT MIN(e.seq) FROM event e WHERE e.secret_id = $1 AND e.seq > $2),
                (SELECT h.seq + 1 FROM event_head h WHERE h.secret_id = $1 AND h.seq >= $2), $2 + 1)";

const OLDEST_ROWS: &str = "-- event_log::prune_events (oldest)
SELECT pos, at_ms, secret_id FROM event WHERE pos IS NOT NULL ORDER BY pos LIMIT $1";

const PRUNE: &str = "-- event_log::prune_events
DELETE FROM event WHERE pos IS NOT NULL AND pos <= $1";

const FORGET_HEAD: &str = "-- event_log::prune_events (head)
DELETE FROM event_head WHERE secret_id = $1 AND secret_id <> 0
  AND NOT EXISTS (SELECT 1 FROM event e WHERE e.secret_id = $1)
  AND NOT EXISTS (SELECT 1 FROM secret s WHERE s.id = $1)";
