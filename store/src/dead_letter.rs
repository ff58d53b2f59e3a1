//! Table `dead_letter`: events that a receiver did not take in time, kept whole, to be sent once more or thrown away.
//!
//! Never here: when an event is given up (`errand.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::Time;
use engine::subscription::Subscription;

use crate::event_log::Row;
use crate::instant::{instant, ms};
use crate::lease::millis;
use crate::model::{DeadLetter, Delivered, Errand, Hold};
use crate::open::Inner;
use crate::tx::{Conn, Writing, glance, snapshot};
use crate::{Store, StoreError, lease_clock, sql, subscription};

/// How many are kept for one subscription; the oldest give way.
const MOST: i64 = 10_000;

impl Store {
    /// What a subscription did not take, newest first, before that one where it is given.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`]; or the database fails.
    pub async fn dead_letters(
        &self,
        name: &str,
        limit: u32,
        before: Option<i64>,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        if subscription::offset(&mut tx, name).await?.is_none() {
            return Err(StoreError::SubscriptionNotFound(name.to_owned()));
        }
        let rows = list(&mut tx, name, limit, before.unwrap_or(i64::MAX)).await?;
        rows.into_iter().map(Raw::letter).collect()
    }

    /// Sends dead letters once more: these, or all. Says how many.
    ///
    /// # Errors
    /// As [`Store::dead_letters`]; [`StoreError::DeadLetterNotFound`], and nothing was done.
    pub async fn redeliver_dead_letters(&self, name: &str, ids: Option<&[i64]>, now: Time) -> Result<u64, StoreError> {
        let now = lease_clock::now(&mut glance(&self.0).await?, now).await?;
        self.each_dead_letter(name, ids, Change::Send(now)).await
    }

    /// Throws dead letters away: these, or all. Says how many.
    ///
    /// # Errors
    /// As [`Store::redeliver_dead_letters`].
    pub async fn discard_dead_letters(&self, name: &str, ids: Option<&[i64]>) -> Result<u64, StoreError> {
        self.each_dead_letter(name, ids, Change::Discard).await
    }

    async fn each_dead_letter(&self, name: &str, ids: Option<&[i64]>, change: Change) -> Result<u64, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        if subscription::offset(w.conn(), name).await?.is_none() {
            return Err(StoreError::SubscriptionNotFound(name.to_owned()));
        }
        let mut changed = 0;
        match ids {
            None => changed += change.carry_out(w.conn(), name, None).await?,
            Some(ids) => {
                let named: BTreeSet<i64> = ids.iter().copied().collect();
                for id in named {
                    if change.carry_out(w.conn(), name, Some(id)).await? == 0 {
                        return Err(StoreError::DeadLetterNotFound { subscription: name.to_owned(), id });
                    }
                    changed += 1;
                }
            }
        }
        w.happens();
        w.commit().await?;
        Ok(changed)
    }
}

#[derive(Clone, Copy)]
enum Change {
    Send(Time),
    Discard,
}

impl Change {
    async fn carry_out(self, conn: &mut Conn, name: &str, id: Option<i64>) -> Result<u64, StoreError> {
        let (first, last) = id.map_or((0, i64::MAX), |id| (id, id));
        let done = match self {
            Self::Send(now) => {
                let query = sql::query(SEND).bind(name).bind(first).bind(last).bind(ms(now));
                query.execute(conn).await?
            }
            Self::Discard => sql::query(DISCARD).bind(name).bind(first).bind(last).execute(conn).await?,
        };
        Ok(done.rows_affected())
    }
}

/// An event is given up.
pub(crate) async fn keep(
    conn: &mut Conn,
    errand: &Errand,
    attempts: u32,
    reason: &str,
    now: Time,
) -> Result<(), StoreError> {
    let event = &errand.event;
    let facts = serde_json::to_string(&event.facts)
        .map_err(|_| StoreError::inconsistent("an event cannot be written as JSON"))?;
    let query = sql::query(KEEP).bind(&errand.subscription.name).bind(&event.id).bind(errand.secret).bind(event.seq);
    let query = query.bind(event.offset).bind(&event.kind).bind(&event.arn).bind(&event.name).bind(ms(event.at));
    let query = query.bind(facts).bind(i64::from(attempts)).bind(ms(now)).bind(reason);
    query.execute(&mut *conn).await?;
    sql::query(TRIM).bind(&errand.subscription.name).bind(MOST).execute(conn).await?;
    Ok(())
}

/// Dead letters that are to be sent once more. One whose sender died comes up again when the lease would be over.
pub(crate) async fn claim(
    w: &mut Writing<'_>,
    inner: &Inner,
    subscription: &Arc<Subscription>,
    room: u32,
    now: Time,
) -> Result<Vec<Errand>, StoreError> {
    let query = sql::query_as(DUE).bind(&subscription.name).bind(ms(now)).bind(i64::from(room));
    let due: Vec<Raw> = query.fetch_all(w.conn()).await?;
    let mut errands = Vec::with_capacity(due.len());
    for raw in due {
        let again = ms(now) + millis(inner.options.lease);
        let query = sql::query(CLAIM).bind(raw.id).bind(raw.due_ms).bind(again);
        if query.execute(w.conn()).await?.rows_affected() == 0 {
            continue;
        }
        let id = raw.id;
        let attempt = u32::try_from(raw.attempts).unwrap_or(u32::MAX);
        let event = raw.row().event()?;
        errands.push(Errand {
            subscription: Arc::clone(subscription),
            event,
            attempt,
            secret: 0,
            hold: Hold::DeadLetter(id),
            since_ms: ms(now),
            until: inner.clock.since_boot() + inner.options.lease,
        });
    }
    Ok(errands)
}

/// It was taken and goes, or it was not and stays.
pub(crate) async fn settle(w: &mut Writing<'_>, id: i64, how: &Delivered, now: Time) -> Result<(), StoreError> {
    match how {
        Delivered::Taken | Delivered::NotWanted => sql::query(REMOVE).bind(id).execute(w.conn()).await?,
        Delivered::Failed(reason) => sql::query(FAILED).bind(id).bind(ms(now)).bind(reason).execute(w.conn()).await?,
        Delivered::Gone => {
            let reason = "the receiver says that it is gone (410)";
            sql::query(FAILED).bind(id).bind(ms(now)).bind(reason).execute(w.conn()).await?
        }
    };
    Ok(())
}

pub(crate) async fn count(conn: &mut Conn, name: &str) -> Result<i64, StoreError> {
    Ok(sql::query_scalar(COUNT).bind(name).fetch_one(conn).await?)
}

async fn list(conn: &mut Conn, name: &str, limit: u32, before: i64) -> Result<Vec<Raw>, StoreError> {
    let query = sql::query_as(LIST).bind(name).bind(before).bind(i64::from(limit));
    Ok(query.fetch_all(conn).await?)
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: i64,
    event_id: String,
    secret_id: i64,
    seq: i64,
    pos: i64,
    kind: String,
    arn: String,
    name: String,
    at_ms: i64,
    facts: String,
    attempts: i64,
    failed_ms: i64,
    reason: String,
    due_ms: Option<i64>,
}

impl Raw {
    fn letter(self) -> Result<DeadLetter, StoreError> {
        Ok(DeadLetter {
            id: self.id,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            failed: instant(self.failed_ms)?,
            reason: self.reason.clone(),
            redelivering: self.due_ms.is_some(),
            event: self.row().event()?,
        })
    }

    fn row(self) -> Row {
        let Self { event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts, .. } = self;
        Row { event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts }
    }
}

const KEEP: &str = "-- dead_letter::keep
INSERT INTO dead_letter (subscription, event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts, attempts, failed_ms,
                         reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (subscription, event_id) DO UPDATE SET
    attempts = excluded.attempts, failed_ms = excluded.failed_ms, reason = excluded.reason";

const TRIM: &str = "-- dead_letter::keep (trim)
DELETE FROM dead_letter WHERE subscription = $1
  AND id <= (SELECT id FROM dead_letter WHERE subscription = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";

const DUE: &str = "-- dead_letter::claim
SELECT id, event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts, attempts, failed_ms, reason, due_ms
FROM dead_letter WHERE subscription = $1 AND due_ms IS NOT NULL AND due_ms <= $2 ORDER BY due_ms, id LIMIT $3";

const CLAIM: &str = "-- dead_letter::claim (take)
UPDATE dead_letter SET due_ms = $3, attempts = attempts + 1 WHERE id = $1 AND due_ms = $2";

const FAILED: &str = "-- dead_letter::settle (failed)
UPDATE dead_letter SET due_ms = NULL, failed_ms = $2, reason = $3 WHERE id = $1";

const REMOVE: &str = "-- dead_letter::settle
DELETE FROM dead_letter WHERE id = $1";

const SEND: &str = "-- dead_letter::redeliver_dead_letters
UPDATE dead_letter SET due_ms = $4 WHERE subscription = $1 AND id >= $2 AND id <= $3";

const DISCARD: &str = "-- dead_letter::discard_dead_letters
DELETE FROM dead_letter WHERE subscription = $1 AND id >= $2 AND id <= $3";

const COUNT: &str = "-- dead_letter::count
SELECT COUNT(*) FROM dead_letter WHERE subscription = $1";

const LIST: &str = "-- dead_letter::dead_letters
SELECT id, event_id, secret_id, seq, pos, kind, arn, name, at_ms, facts, attempts, failed_ms, reason, due_ms
FROM dead_letter WHERE subscription = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
