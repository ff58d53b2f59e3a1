//! Table `event_queue`: how far each subscription was told of each secret, and who is about to tell it.
//!
//! A subscription is told of one secret in the order of its events: what comes after one that is not taken waits, and nobody
//! else's does. Whoever tells holds a lease with a fence; a stale one settles nothing, so the worst is a repeat. Never
//! here: the sending, the events themselves.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::subscription::Subscription;
use engine::{Time, retry};

use crate::event_log::{self, Row};
use crate::instant::{instant, instant_opt, ms};
use crate::lease::millis;
use crate::lease_clock::{self, LeaseClock};
use crate::model::{Delivered, Errand, Facts, Hold, Since};
use crate::open::Inner;
use crate::outbox::SERVER;
use crate::tx::{Conn, Durability, Writing, snapshot};
use crate::{Store, StoreError, dead_letter, sql, subscription};

/// Between two tries, however often it failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How many events nobody wants are passed over before the queue is given back.
const PASSED_OVER: usize = 200;

impl Store {
    /// Hands published events to the queues of a subscription, and says whether there may be more.
    ///
    /// # Errors
    /// The database fails.
    pub async fn fan_out(&self, name: &str, now: Time) -> Result<bool, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let any = subscription::is_behind(&mut tx, name).await?;
        drop(tx);
        if !any {
            return Ok(false);
        }
        // What a power failure takes back is handed out again.
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let locked = subscription::locked(w.conn(), &self.0, name).await?;
        let Some((subscription, offset)) = locked.filter(|(there, _)| !there.disabled) else { return Ok(false) };
        let now = w.now(now).await?;
        let oldest = event_log::oldest(w.conn()).await?;
        if oldest > offset + 1 {
            missed(&mut w, name, oldest - offset - 1, now).await?;
        }
        let rows = event_log::page(w.conn(), (offset + 1).max(oldest)).await?;
        let last = rows.last().map_or(oldest - 1, |row| row.pos).max(offset);
        let more = !rows.is_empty();
        let mut seen: Vec<i64> = Vec::new();
        for row in rows {
            if wanted(&subscription, &row)? && !seen.contains(&row.secret_id) {
                seen.push(row.secret_id);
                let query = sql::query(HAND_OUT).bind(name).bind(row.secret_id).bind(row.seq - 1);
                query.bind(ms(now)).execute(w.conn()).await?;
            }
        }
        subscription::advance(w.conn(), name, last).await?;
        w.commit().await?;
        Ok(more)
    }

    /// Leases secrets of which this subscription is to be told now, at most `room`, each with the event that comes next.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim_errands(
        &self,
        subscription: &Arc<Subscription>,
        room: u32,
        now: Time,
    ) -> Result<Vec<Errand>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let now = lease_clock::now(&mut tx, now).await?;
        let any = is_due(&mut tx, &subscription.name, now).await?;
        drop(tx);
        if room == 0 || !any {
            return Ok(Vec::new());
        }
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let query = sql::query_as(DUE).bind(&subscription.name).bind(ms(now)).bind(i64::from(room));
        let due: Vec<Queue> = query.fetch_all(w.conn()).await?;
        let mut errands = dead_letter::claim(&mut w, &self.0, subscription, room, now).await?;
        let left = (room as usize).saturating_sub(errands.len());
        for queue in due.into_iter().take(left) {
            errands.extend(claim_one(&mut w, &self.0, subscription, queue, now).await?);
        }
        w.commit().await?;
        Ok(errands)
    }

    /// When the next errand of one of these subscriptions is due, as this node's clock will show it; None: nothing waits.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_errand(&self, names: &[&str]) -> Result<Option<Time>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let mut next = None;
        for name in names {
            let due: Option<i64> = next_due(&mut tx, name).await?;
            next = next.into_iter().chain(instant_opt(due)?).min();
        }
        let Some(next) = next else { return Ok(None) };
        let clock = LeaseClock::read(&self.0, &mut tx).await?;
        clock.as_shown_here(next, self.0.clock.now()).map(Some)
    }

    /// Writes down how an errand went, and goes on with the next event of its secret under the same right, where `go_on`.
    /// None: there is none, it waits, or the right was lost.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settle(
        &self,
        errand: Errand,
        how: &Delivered,
        go_on: bool,
        now: Time,
    ) -> Result<Option<Errand>, StoreError> {
        // Lost in a power failure it is sent again, as it may be at any time.
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let now = w.now(now).await?;
        if *how == Delivered::Gone {
            // Before any queue, as whoever hands events out takes them.
            subscription::locked(w.conn(), &self.0, &errand.subscription.name).await?;
        }
        let next = match errand.hold {
            Hold::DeadLetter(id) => {
                dead_letter::settle(&mut w, id, how, now).await?;
                None
            }
            Hold::Queue(fence) => settle_one(&mut w, &self.0, &errand, fence, how, go_on, now).await?,
        };
        if *how == Delivered::Gone {
            subscription::disable(w.conn(), &errand.subscription.name, now).await?;
        }
        w.commit().await?;
        Ok(next)
    }

    /// How much of an errand's right is left.
    #[must_use]
    pub fn left(&self, errand: &Errand) -> Duration {
        errand.until.saturating_sub(self.0.clock.since_boot())
    }

    /// Tells a subscription once more of everything from there on that it had, in order; what it waits for comes after.
    /// Returns the first offset.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`]; [`StoreError::EventsPruned`] where that is not kept any more; or the database
    /// fails.
    pub async fn replay(&self, name: &str, from: Since, now: Time) -> Result<i64, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let offset = event_log::offset_of(w.conn(), from).await?;
        let oldest = event_log::oldest(w.conn()).await?;
        if matches!(from, Since::Offset(_)) && offset < oldest {
            return Err(StoreError::EventsPruned { oldest });
        }
        let locked = subscription::locked(w.conn(), &self.0, name).await?;
        let (_, up_to) = locked.ok_or_else(|| StoreError::SubscriptionNotFound(name.to_owned()))?;
        let now = w.now(now).await?;
        let query = sql::query(REPLAY).bind(name).bind(offset).bind(ms(now)).bind(up_to);
        query.execute(w.conn()).await?;
        w.happens();
        w.commit().await?;
        Ok(offset)
    }
}

/// What waits is given the whole time again: nobody told it meanwhile.
pub(crate) async fn resume(conn: &mut Conn, name: &str, now: Time) -> Result<(), StoreError> {
    sql::query(RESUME).bind(name).bind(ms(now)).execute(conn).await?;
    Ok(())
}

/// The queues of a secret that is gone, with all its events.
pub(crate) async fn forget(conn: &mut Conn, secret: i64) -> Result<(), StoreError> {
    sql::query(FORGET).bind(secret).execute(conn).await?;
    Ok(())
}

/// Secrets of which something waits, and how many of these are tried again.
pub(crate) async fn counts(conn: &mut Conn, name: &str) -> Result<(i64, i64), StoreError> {
    Ok(sql::query_as(COUNTS).bind(name).fetch_one(conn).await?)
}

#[derive(sqlx::FromRow)]
struct Queue {
    secret_id: i64,
    seq: i64,
    attempt: i64,
    since_ms: i64,
    fence: i64,
    lease_boot: Option<String>,
    lease_until_ms: Option<i64>,
}

async fn is_due(conn: &mut Conn, name: &str, now: Time) -> Result<bool, StoreError> {
    let query = sql::query_scalar(ANY_DUE).bind(name).bind(ms(now));
    let any: Option<i64> = query.fetch_optional(conn).await?;
    Ok(any.is_some())
}

async fn next_due(conn: &mut Conn, name: &str) -> Result<Option<i64>, StoreError> {
    Ok(sql::query_scalar(NEXT_DUE).bind(name).fetch_one(conn).await?)
}

async fn claim_one(
    w: &mut Writing<'_>,
    inner: &Inner,
    subscription: &Arc<Subscription>,
    queue: Queue,
    now: Time,
) -> Result<Option<Errand>, StoreError> {
    let clock = LeaseClock::read(inner, w.conn()).await?;
    let name = &subscription.name;
    if let Some(until) = queue.lease_until_ms {
        let left = clock.ends(until, queue.lease_boot.as_deref() == Some(&clock.id), None) - clock.since;
        if left > 0 {
            let query = sql::query(PUT_OFF).bind(name).bind(queue.secret_id).bind(ms(now) + left);
            query.execute(w.conn()).await?;
            return Ok(None);
        }
    }
    let Some(place) = lease(w, inner, name, queue.secret_id, queue.fence, now).await? else { return Ok(None) };
    let attempt = u32::try_from(queue.attempt).unwrap_or(u32::MAX);
    let at = Standing { secret: queue.secret_id, seq: queue.seq, attempt, since_ms: queue.since_ms };
    errand(w, subscription, at, place, now).await
}

/// Where a queue stands.
#[derive(Clone, Copy)]
struct Standing {
    secret: i64,
    seq: i64,
    attempt: u32,
    since_ms: i64,
}

/// A lease on a queue: its fence, and its end.
#[derive(Clone, Copy)]
struct Place {
    fence: i64,
    until: Duration,
}

/// None: somebody else was faster.
async fn lease(
    w: &mut Writing<'_>,
    inner: &Inner,
    name: &str,
    secret: i64,
    fence: i64,
    now: Time,
) -> Result<Option<Place>, StoreError> {
    let clock = LeaseClock::read(inner, w.conn()).await?;
    let query = sql::query_scalar(LEASE).bind(name).bind(secret).bind(fence).bind(&clock.id);
    // A process that dies leaves it due when its lease is over.
    let query = query.bind(clock.since + clock.lease).bind(ms(now) + millis(inner.options.lease));
    let fence: Option<i64> = query.fetch_optional(w.conn()).await?;
    Ok(fence.map(|fence| Place { fence, until: clock.until_here(inner.options.lease) }))
}

/// The next event of a leased queue that is wanted; where there is none the queue is given back.
async fn errand(
    w: &mut Writing<'_>,
    subscription: &Arc<Subscription>,
    mut at: Standing,
    place: Place,
    now: Time,
) -> Result<Option<Errand>, StoreError> {
    let name = &subscription.name;
    let up_to = subscription::offset(w.conn(), name).await?.unwrap_or(0);
    for _ in 0..PASSED_OVER {
        let Some(row) = event_log::next_of(w.conn(), at.secret, at.seq, up_to).await? else {
            let kept = event_log::next_kept(w.conn(), at.secret, at.seq).await?;
            if kept > at.seq + 1 {
                missed(w, name, kept - at.seq - 1, now).await?;
            }
            release(w, name, Standing { seq: kept - 1, ..at }, None).await?;
            return Ok(None);
        };
        if row.seq > at.seq + 1 {
            missed(w, name, row.seq - at.seq - 1, now).await?;
        }
        if wanted(subscription, &row)? {
            return Ok(Some(Errand {
                subscription: Arc::clone(subscription),
                event: row.event()?,
                attempt: at.attempt,
                secret: at.secret,
                hold: Hold::Queue(place.fence),
                since_ms: at.since_ms,
                until: place.until,
            }));
        }
        at = Standing { seq: row.seq, attempt: 0, ..at };
    }
    release(w, name, at, Some(ms(now))).await?;
    Ok(None)
}

async fn settle_one(
    w: &mut Writing<'_>,
    inner: &Inner,
    errand: &Errand,
    fence: i64,
    how: &Delivered,
    go_on: bool,
    now: Time,
) -> Result<Option<Errand>, StoreError> {
    let name = &errand.subscription.name;
    let query = sql::query_scalar(FENCE).bind(name).bind(errand.secret);
    let held: Option<i64> = query.fetch_optional(w.conn()).await?;
    if held != Some(fence) {
        return Ok(None);
    }
    let past = Standing { secret: errand.secret, seq: errand.event.seq, attempt: 0, since_ms: ms(now) };
    match how {
        Delivered::Taken | Delivered::NotWanted if go_on => {
            release(w, name, past, None).await?;
            let Some(place) = lease(w, inner, name, errand.secret, fence, now).await? else { return Ok(None) };
            self::errand(w, &errand.subscription, past, place, now).await
        }
        // The claim finds out whether anything is left.
        Delivered::Taken | Delivered::NotWanted => {
            release(w, name, past, Some(ms(now))).await?;
            Ok(None)
        }
        Delivered::Failed(reason) => {
            failed(w, errand, reason, now).await?;
            Ok(None)
        }
        Delivered::Gone => {
            let stays = Standing { seq: errand.event.seq - 1, attempt: 0, ..past };
            release(w, name, stays, Some(ms(now))).await?;
            Ok(None)
        }
    }
}

/// It waits for another try, or is given up and the next one's turn.
async fn failed(w: &mut Writing<'_>, errand: &Errand, reason: &str, now: Time) -> Result<(), StoreError> {
    let name = &errand.subscription.name;
    let attempts = errand.attempt.saturating_add(1);
    // An event bears the time of the node that wrote it, which may be ahead.
    let waits_since = errand.event.at.min(now).max(instant(errand.since_ms)?);
    let patience =
        TimeDelta::seconds(i64::try_from(errand.subscription.settings.give_up_after).unwrap_or(i64::MAX / 1000));
    let at = Standing { secret: errand.secret, seq: errand.event.seq, attempt: 0, since_ms: errand.since_ms };
    if now - waits_since >= patience {
        dead_letter::keep(w.conn(), errand, attempts, reason, now).await?;
        tracing::warn!(
            subscription = name,
            event.id = errand.event.id,
            attempts,
            "an event is given up as a dead letter"
        );
        return release(w, name, at, Some(ms(now))).await;
    }
    let pause = retry::delay(attempts, rand::random()).min(LONGEST_PAUSE);
    let at = Standing { seq: errand.event.seq - 1, attempt: attempts, ..at };
    release(w, name, at, Some(ms(now) + millis(pause))).await
}

/// Gives a queue back as it stands now. Only the lease's holder calls this, in the transaction that has seen its fence.
async fn release(w: &mut Writing<'_>, name: &str, at: Standing, due_ms: Option<i64>) -> Result<(), StoreError> {
    let query = sql::query(RELEASE).bind(name).bind(at.secret).bind(at.seq).bind(due_ms);
    query.bind(i64::from(at.attempt)).bind(at.since_ms).execute(w.conn()).await?;
    Ok(())
}

/// Events are gone that this subscription was not told of: that is counted, and it is told so.
async fn missed(w: &mut Writing<'_>, name: &str, count: i64, now: Time) -> Result<(), StoreError> {
    tracing::warn!(subscription = name, count, "events were pruned before a subscription was told of them");
    subscription::count_missed(w.conn(), name, count).await?;
    let facts = Facts { subscription: Some(name.to_owned()), count: Some(count), ..Facts::default() };
    w.tell(SERVER, "subscription.events-missed", facts, now);
    Ok(())
}

/// What is about one subscription is for that alone, whatever its filter.
fn wanted(subscription: &Subscription, row: &Row) -> Result<bool, StoreError> {
    let facts = row.facts()?;
    Ok(match facts.subscription {
        Some(name) => name == subscription.name,
        None => subscription.settings.filter.passes(&row.kind, &row.name, facts.label.as_deref()),
    })
}

// What was idle has nothing behind it that is still to be told.
const HAND_OUT: &str = "-- errand::fan_out
INSERT INTO event_queue (subscription, secret_id, seq, due_ms, since_ms) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (subscription, secret_id) DO UPDATE SET
    seq = CASE WHEN event_queue.due_ms IS NULL AND event_queue.seq < excluded.seq THEN excluded.seq
               ELSE event_queue.seq END,
    since_ms = CASE WHEN event_queue.due_ms IS NULL THEN excluded.since_ms ELSE event_queue.since_ms END,
    due_ms = COALESCE(event_queue.due_ms, excluded.due_ms)";

const ANY_DUE: &str = "-- errand::claim_errands (any)
SELECT due_ms FROM event_queue WHERE subscription = $1 AND due_ms IS NOT NULL AND due_ms <= $2
UNION ALL
SELECT due_ms FROM dead_letter WHERE subscription = $1 AND due_ms IS NOT NULL AND due_ms <= $2 LIMIT 1";

const DUE: &str = "-- errand::claim_errands
SELECT secret_id, seq, attempt, since_ms, fence, lease_boot, lease_until_ms FROM event_queue
WHERE subscription = $1 AND due_ms IS NOT NULL AND due_ms <= $2 ORDER BY due_ms LIMIT $3";

const NEXT_DUE: &str = "-- errand::next_errand
SELECT MIN(due_ms) FROM (
    SELECT MIN(due_ms) AS due_ms FROM event_queue WHERE subscription = $1 AND due_ms IS NOT NULL
    UNION ALL
    SELECT MIN(due_ms) AS due_ms FROM dead_letter WHERE subscription = $1 AND due_ms IS NOT NULL) AS due";

const LEASE: &str = "-- errand::lease
UPDATE event_queue SET fence = fence + 1, lease_boot = $4, lease_until_ms = $5, due_ms = $6
WHERE subscription = $1 AND secret_id = $2 AND fence = $3 RETURNING fence";

const PUT_OFF: &str = "-- errand::claim_errands (leased)
UPDATE event_queue SET due_ms = $3 WHERE subscription = $1 AND secret_id = $2";

// The same value, written: who hands events out waits for this transaction's end, and finds the queue as it leaves it.
const FENCE: &str = "-- errand::settle (fence)
UPDATE event_queue SET fence = fence WHERE subscription = $1 AND secret_id = $2 RETURNING fence";

const RELEASE: &str = "-- errand::release
UPDATE event_queue SET seq = $3, due_ms = $4, attempt = $5, since_ms = $6, lease_boot = NULL, lease_until_ms = NULL
WHERE subscription = $1 AND secret_id = $2";

// Whoever is sending just now settles nothing any more, and is waited for.
const REPLAY: &str = "-- errand::replay
INSERT INTO event_queue (subscription, secret_id, seq, due_ms, since_ms)
SELECT $1, e.secret_id, MIN(e.seq) - 1, $3, $3 FROM event e
WHERE e.pos IS NOT NULL AND e.pos >= $2 AND e.pos <= $4 GROUP BY e.secret_id
ON CONFLICT (subscription, secret_id) DO UPDATE SET
    seq = CASE WHEN excluded.seq < event_queue.seq THEN excluded.seq ELSE event_queue.seq END,
    due_ms = excluded.due_ms, since_ms = excluded.since_ms, attempt = 0, fence = event_queue.fence + 1";

const RESUME: &str = "-- errand::resume
UPDATE event_queue SET since_ms = $2, due_ms = $2, attempt = 0 WHERE subscription = $1 AND due_ms IS NOT NULL";

const FORGET: &str = "-- errand::forget
DELETE FROM event_queue WHERE secret_id = $1 AND due_ms IS NULL
  AND NOT EXISTS (SELECT 1 FROM event_head h WHERE h.secret_id = $1)";

const COUNTS: &str = "-- errand::counts
SELECT COUNT(*), COALESCE(SUM(CASE WHEN attempt > 0 THEN 1 ELSE 0 END), 0) FROM event_queue
WHERE subscription = $1 AND due_ms IS NOT NULL";
