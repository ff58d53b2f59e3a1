//! What is due: claiming it, when the next thing is, and what was missed. The queue is rows with a due time.
//!
//! On PostgreSQL there is no leader: every node claims, and passes over what another one has locked. What is due is asked with
//! the database's clock there, so that a node whose own clock is wrong starts nothing early or late.
//! Never here: driving what was claimed.

use std::collections::HashMap;

use chrono::TimeDelta;
use engine::Time;
use engine::id::SecretId;
use engine::port::Lease;
use engine::rotation::Rotation;

use crate::instant::{instant, instant_opt, ms};
use crate::lease_clock::LeaseClock;
use crate::model::{Claim, Room, RotationCounts};
use crate::open::Inner;
use crate::sql::Flag;
use crate::tx::{Conn, Durability, Writing, snapshot};
use crate::{Store, StoreError, history, mode, rotation, secret, sql};

impl Store {
    /// Leases secrets whose rotation has something to do now, in each lane up to its room: rotations whose driver's
    /// lease ran out first, then what has been due longest. What is in a full lane is passed over.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim(&self, owner: &str, room: &Room, now: Time) -> Result<Vec<Claim>, StoreError> {
        if room.is_full() {
            return Ok(Vec::new());
        }
        // A claim that a power failure takes back was the claim of a process that is gone.
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let mut claims = Vec::new();
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        for id in found(&mut w, &clock, room, now).await? {
            match claim_one(&mut w, &clock, id, owner).await {
                Ok(claim) => claims.push(claim),
                // One row that cannot be read must not keep the others from rotating.
                Err(StoreError::Inconsistent { what }) => quarantine(&mut w, id, &what, now).await?,
                Err(error) => return Err(error),
            }
        }
        w.commit().await?;
        Ok(claims)
    }

    /// When the next claim with this room may find something: the earliest due time of what is not leased, or the end of
    /// a lease that nobody gave back. What is in a full lane does not count.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_due(&self, room: &Room) -> Result<Option<Time>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let starts = !mode::is_verify_only(&mut tx).await?;
        let mut next: Option<Time> = None;
        for lane in lanes(&mut tx).await?.iter().filter(|lane| room.of(lane) > 0) {
            let due: Option<i64> = sql::query_scalar(NEXT_DUE).bind(lane).bind(starts).fetch_optional(&mut tx).await?;
            next = next.into_iter().chain(instant_opt(due)?).min();
        }
        let clock = LeaseClock::read(&self.0, &mut tx).await?;
        let now = self.0.clock.now();
        next = next.map(|due| clock.as_shown_here(due, now)).transpose()?;
        let leased: Vec<Leased> = sql::query_as(LEASED).bind(&clock.id).fetch_all(&mut tx).await?;
        for leased in leased.into_iter().filter(|leased| room.of(&leased.lane) > 0) {
            let comparable = leased.comparable.is_some_and(|comparable| comparable.0);
            let ends = clock.ends(leased.lease_until_ms.unwrap_or(0), comparable, leased.lease_ms);
            let left = TimeDelta::milliseconds((ends - clock.since).max(0));
            let at = clock.as_shown_here(instant(leased.due_ms)?, now)?.max(now + left);
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        Ok(next)
    }

    /// At boot: what is idle and was to rotate in a window that closed while nobody was there runs late, at a moment
    /// spread over the next minutes, with a line of history. Says how many there are.
    ///
    /// # Errors
    /// The database fails.
    pub async fn spread_overdue(&self, now: Time) -> Result<u64, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let missed = sql::query_scalar(MISSED).bind(ms(now)).locking("FOR NO KEY UPDATE OF s, r SKIP LOCKED");
        let ids: Vec<i64> = missed.fetch_all(w.conn()).await?;
        let mut spread = 0;
        for id in ids.into_iter().map(SecretId) {
            match spread_one(w.conn(), &self.0, id, now).await {
                Ok(()) => spread += 1,
                Err(StoreError::Inconsistent { what }) => quarantine(&mut w, id, &what, now).await?,
                Err(error) => return Err(error),
            }
        }
        w.wake();
        w.commit().await?;
        Ok(spread)
    }

    /// Counts for `/metrics`, each from an index.
    ///
    /// # Errors
    /// The database fails.
    pub async fn rotation_counts(&self, now: Time) -> Result<RotationCounts, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let (scheduled, due, overdue): (i64, i64, i64) =
            sql::query_as(COUNT_DUE).bind(ms(now)).fetch_one(&mut tx).await?;
        let (open, parked): (i64, i64) = sql::query_as(COUNT_OPEN).fetch_one(&mut tx).await?;
        let drifted: i64 = sql::query_scalar(COUNT_DRIFTED).fetch_one(&mut tx).await?;
        let (enabled, oldest): (i64, Option<i64>) = sql::query_as(COUNT_ENABLED).fetch_one(&mut tx).await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(RotationCounts {
            enabled: count(enabled),
            scheduled: count(scheduled),
            due: count(due),
            overdue: count(overdue),
            parked: count(parked),
            open: count(open),
            drifted: count(drifted),
            oldest_current_seconds: oldest.map(|oldest| count((ms(now) - oldest) / 1000)),
        })
    }
}

#[derive(sqlx::FromRow)]
struct Leased {
    due_ms: i64,
    lane: String,
    lease_until_ms: Option<i64>,
    comparable: Option<Flag>,
    lease_ms: Option<i64>,
}

/// What may be claimed, each lane within its room.
async fn found(w: &mut Writing<'_>, clock: &LeaseClock, room: &Room, now: Time) -> Result<Vec<SecretId>, StoreError> {
    let now = clock.now_ms(now);
    let starts = !mode::is_verify_only(w.conn()).await?;
    let expired = sql::query_as(EXPIRED).on_postgres(EXPIRED_OF_MANY).bind(now).bind(&clock.id);
    let expired = expired.bind(clock.since).bind(clock.longest).bind(clock.opened).bind(clock.lease).bind(starts);
    let expired: Vec<(i64, String)> = expired.fetch_all(w.conn()).await?;
    let mut ids = Vec::new();
    let mut taken: HashMap<String, u32> = HashMap::new();
    for (id, lane) in expired {
        let left = room.of(&lane);
        let taken = taken.entry(lane).or_default();
        if *taken < left {
            *taken += 1;
            ids.push(id);
        }
    }
    for lane in lanes(w.conn()).await? {
        let left = room.of(&lane).saturating_sub(taken.get(&lane).copied().unwrap_or(0));
        if left > 0 {
            let due = sql::query_scalar(DUE).on_postgres(DUE_OF_MANY).bind(&lane).bind(now).bind(i64::from(left));
            let due = due.bind(starts);
            let due: Vec<i64> = due.fetch_all(w.conn()).await?;
            ids.extend(due);
        }
    }
    Ok(ids.into_iter().map(SecretId).collect())
}

/// The lanes in which something is planned or due, that of built-in rotators first.
async fn lanes(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    Ok(sql::query_scalar(LANES).fetch_all(conn).await?)
}

async fn claim_one(w: &mut Writing<'_>, clock: &LeaseClock, id: SecretId, owner: &str) -> Result<Claim, StoreError> {
    let row = rotation::load(w.conn(), id).await?;
    let secret = secret::by_id(w.conn(), id).await?;
    let secret = secret.ok_or_else(|| StoreError::inconsistent("a rotation is due and its secret is gone"))?;
    let query = sql::query_scalar(LEASE).bind(id.0).bind(owner);
    let fence: i64 = query.bind(&clock.id).bind(clock.since + clock.lease).fetch_one(w.conn()).await?;
    Ok(Claim {
        lease: Lease { secret: id, arn: secret.arn, fence },
        name: secret.name,
        window: row.window.filter(|_| row.state == Rotation::Idle),
        rotation: row.state,
        rotator: row.rotator,
        lane: row.lane,
    })
}

/// Takes a row that cannot be read out of the queue until somebody looks at it.
async fn quarantine(w: &mut Writing<'_>, id: SecretId, what: &str, now: Time) -> Result<(), StoreError> {
    tracing::error!(secret.id = id.0, what, "a rotation cannot be read and is set aside");
    sql::query(SET_ASIDE).bind(id.0).execute(w.conn()).await?;
    history::note(w.conn(), id, None, "set-aside", None, what, now).await
}

async fn spread_one(conn: &mut Conn, inner: &Inner, id: SecretId, now: Time) -> Result<(), StoreError> {
    let row = rotation::load(&mut *conn, id).await?;
    let secret = secret::by_id(&mut *conn, id).await?;
    let secret = secret.ok_or_else(|| StoreError::inconsistent("a rotation is due and its secret is gone"))?;
    let (arn, limits) = (&secret.arn, inner.options.schedule_limits);
    let due = row.made_up_for(arn, now, limits);
    let due = due.ok_or_else(|| StoreError::inconsistent("a rotation is due without a window"))?;
    sql::query(SET_DUE).bind(id.0).bind(ms(due)).execute(&mut *conn).await?;
    note_missed(conn, &row, due, now).await
}

/// A line of history about a window that is made up for at `due`.
pub(crate) async fn note_missed(conn: &mut Conn, row: &rotation::Row, due: Time, now: Time) -> Result<(), StoreError> {
    let closed = row.window.map_or(now, |window| window.closes);
    let message = format!("the window that closed at {closed} was missed; rotating at {due}");
    history::note(conn, row.secret, None, "missed-window", None, &message, now).await
}

// One step of the index for each lane, however many secrets are in it.
const LANES: &str = "-- due::lanes
WITH RECURSIVE planned (lane) AS (
    SELECT MIN(lane) FROM rotation WHERE due_ms IS NOT NULL
    UNION ALL
    SELECT (SELECT MIN(r.lane) FROM rotation r WHERE r.due_ms IS NOT NULL AND r.lane > planned.lane)
    FROM planned WHERE planned.lane IS NOT NULL)
SELECT lane FROM planned WHERE lane IS NOT NULL";

const DUE: &str = "-- due::found
SELECT secret_id FROM rotation
WHERE lane = $1 AND due_ms IS NOT NULL AND due_ms <= $2 AND lease_owner IS NULL AND ($4 = 1 OR state <> 'idle')
ORDER BY due_ms LIMIT $3";

// What another node has, or writes, is not waited for: the row of the secret is what its writers lock, and the row of the
// rotation is looked at again when it is locked.
const DUE_OF_MANY: &str = "-- due::found
SELECT r.secret_id FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.lane = $1 AND r.due_ms IS NOT NULL AND r.due_ms <= $2 AND r.lease_owner IS NULL AND ($4 = 1 OR r.state <> 'idle')
ORDER BY r.due_ms LIMIT $3 FOR NO KEY UPDATE OF s, r SKIP LOCKED";

// A step that was cut short is resumed when its lease is over, whatever the wall clock says. The plus sign keeps the planner on the few that are leased, away from all that is due.
const EXPIRED: &str = "-- due::found (expired)
SELECT secret_id, lane FROM rotation
WHERE lease_owner IS NOT NULL AND (+due_ms <= $1 OR state = 'acting' AND +due_ms IS NOT NULL)
  AND CASE WHEN lease_boot = $2 AND lease_until_ms <= $3 + $4 THEN lease_until_ms
           ELSE $5 + COALESCE(lease_ms, $6) END <= $3
  AND ($7 = 1 OR state <> 'idle')
ORDER BY lease_until_ms";

const EXPIRED_OF_MANY: &str = "-- due::found (expired)
SELECT r.secret_id, r.lane FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.lease_owner IS NOT NULL AND (r.due_ms <= $1 OR r.state = 'acting' AND r.due_ms IS NOT NULL)
  AND r.lease_until_ms <= $3 AND ($7 = 1 OR r.state <> 'idle')
ORDER BY r.lease_until_ms LIMIT 1000 FOR NO KEY UPDATE OF s, r SKIP LOCKED";

pub(crate) const LEASE: &str = "-- due::claim_one
UPDATE rotation SET fence = fence + 1, lease_owner = $2, lease_boot = $3, lease_until_ms = $4, lease_ms = NULL
WHERE secret_id = $1 RETURNING fence";

const NEXT_DUE: &str = "-- due::next_due
SELECT due_ms FROM rotation
WHERE lane = $1 AND due_ms IS NOT NULL AND lease_owner IS NULL AND ($2 = 1 OR state <> 'idle')
ORDER BY due_ms LIMIT 1";

const LEASED: &str = "-- due::next_due (leased)
SELECT due_ms, lane, lease_until_ms, lease_boot = $1 AS comparable, lease_ms
FROM rotation WHERE lease_owner IS NOT NULL AND +due_ms IS NOT NULL";

const MISSED: &str = "-- due::spread_overdue
SELECT r.secret_id FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.due_ms IS NOT NULL AND r.due_ms <= $1 AND r.state = 'idle'
  AND r.window_closes_ms <= $1 AND r.due_ms < r.window_closes_ms ORDER BY r.secret_id";

const SET_ASIDE: &str = "-- due::quarantine
UPDATE rotation SET due_ms = NULL, lease_owner = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE secret_id = $1";

const SET_DUE: &str = "-- due::spread_one
UPDATE rotation SET due_ms = $2 WHERE secret_id = $1";

const COUNT_DUE: &str = "-- due::rotation_counts
SELECT (SELECT COUNT(*) FROM rotation WHERE due_ms IS NOT NULL AND state = 'idle'),
       (SELECT COUNT(*) FROM rotation WHERE due_ms IS NOT NULL AND due_ms <= $1),
       (SELECT COUNT(*) FROM rotation WHERE due_ms IS NOT NULL AND due_ms <= $1 AND state = 'idle'
                                        AND window_closes_ms <= $1)";

const COUNT_OPEN: &str = "-- due::rotation_counts (open)
SELECT (SELECT COUNT(*) FROM rotation WHERE live = 1 AND state <> 'idle'),
       (SELECT COUNT(*) FROM rotation WHERE live = 1 AND state <> 'idle' AND state = 'parked')";

const COUNT_DRIFTED: &str = "-- due::rotation_counts (drifted)
SELECT COUNT(*) FROM rotation WHERE live = 1 AND verified LIKE '%\"drifted\":true%'";

const COUNT_ENABLED: &str = "-- due::rotation_counts (enabled)
SELECT (SELECT COUNT(*) FROM rotation WHERE live = 1 AND enabled = 1),
       (SELECT MIN(current_ms) FROM rotation WHERE live = 1 AND enabled = 1)";
