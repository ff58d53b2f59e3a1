//! What is due: claiming it, and when the next thing is. The queue is rows with a due time.
//!
//! On PostgreSQL there is no leader: every node claims. Claims take turns by the row of table `fleet`, and pass over secrets that
//! somebody is writing. What is due is asked with the database's clock there, so that a node whose own is wrong starts nothing
//! early or late.
//! Never here: who is passed over (`queue.rs`), what was missed (`late.rs`), driving what was claimed.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use engine::Time;
use engine::id::SecretId;
use engine::port::Lease;
use engine::rotation::Rotation;
use engine::schedule::Blackouts;

use crate::instant::{instant, ms};
use crate::lease_clock::LeaseClock;
use crate::model::{Claim, Room, RotationCounts};
use crate::open::Inner;
use crate::queue::Queue;
use crate::sql::Flag;
use crate::tx::{Conn, Durability, Writing, snapshot};
use crate::{Store, StoreError, fleet, history, late, mode, rotation, secret, sql, target};

/// So many of a lane are claimed at once: a transaction is not to be long.
const AT_ONCE: u32 = 1000;

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
        // Whoever claims takes a turn, on disk; to find nothing costs none.
        if self.0.is_shared() && self.next_due(room).await?.is_none_or(|due| due > self.0.clock.now()) {
            return Ok(Vec::new());
        }
        // A claim that a power failure takes back was the claim of a process that is gone.
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        if self.0.is_shared() {
            fleet::lock(w.conn()).await?;
            // Secrets are to be held first: the store may be older than its targets.
            if mode::is_new(w.conn()).await? {
                return w.rollback().await.map(|()| Vec::new());
            }
        }
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        let now = clock.time(now)?;
        target::look_up(&mut w, now).await?;
        let fleet = fleet::load(w.conn()).await?;
        let found = found(&mut w, &clock, &fleet, room, now).await?;
        let claims = lease(&mut w, &self.0, &clock, &fleet, found, owner, now).await?;
        let starts = claims.iter().filter(|claim| claim.rotation == Rotation::Idle).count();
        fleet::spend(w.conn(), &fleet, u32::try_from(starts).unwrap_or(u32::MAX), now).await?;
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
        let mut next: Option<Time> = None;
        let fleet = fleet::load(&mut tx).await?;
        let clock = LeaseClock::read(&self.0, &mut tx).await?;
        let now = self.0.clock.now();
        let queue = Queue::of(&mut tx, &clock, &fleet, room, clock.time(now)?).await?;
        for lane in lanes(&mut tx).await?.iter().filter(|lane| room.of(lane) > 0) {
            next = next.into_iter().chain(queue.next(&mut tx, lane).await?).min();
        }
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
async fn found(
    w: &mut Writing<'_>,
    clock: &LeaseClock,
    fleet: &fleet::Row,
    room: &Room,
    now: Time,
) -> Result<Vec<SecretId>, StoreError> {
    let expired = sql::query_as(EXPIRED).bind(ms(now)).bind(&clock.id);
    let expired = expired.bind(clock.since).bind(clock.longest).bind(clock.opened).bind(clock.lease);
    let expired: Vec<(i64, String)> = expired.fetch_all(w.conn()).await?;
    let mut ids = Vec::new();
    let mut taken: HashMap<String, u32> = HashMap::new();
    for (id, lane) in expired {
        let left = room.of(&lane).min(AT_ONCE);
        let taken = taken.entry(lane).or_default();
        if *taken < left {
            *taken += 1;
            ids.push(id);
        }
    }
    let mut ids: Vec<SecretId> = ids.into_iter().map(SecretId).collect();
    let mut queue = Queue::of(w.conn(), clock, fleet, room, now).await?;
    for lane in lanes(w.conn()).await? {
        let left = room.of(&lane).min(AT_ONCE).saturating_sub(taken.get(&lane).copied().unwrap_or(0));
        ids.extend(queue.take(w, &lane, left).await?);
    }
    Ok(ids)
}

/// The lanes in which something is planned or due, that of built-in rotators first.
async fn lanes(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    Ok(sql::query_scalar(LANES).fetch_all(conn).await?)
}

/// Leases what was found, but what would start in a blackout or run into one, which is put off; what somebody is writing; and
/// what has changed its plan.
async fn lease(
    w: &mut Writing<'_>,
    inner: &Inner,
    clock: &LeaseClock,
    fleet: &fleet::Row,
    found: Vec<SecretId>,
    owner: &str,
    now: Time,
) -> Result<Vec<Claim>, StoreError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids = if w.conn().is_shared() { had(w, clock, found, now).await? } else { found };
    let mut ready = Vec::with_capacity(ids.len());
    for (id, rows) in read(w.conn(), &ids).await? {
        match rows {
            Ok((row, secret)) => match row.starts_in(&fleet.fleet.limits.blackouts, now) {
                Some(ends) => late::put_off(w, inner, &row, &secret.arn, ends, now).await?,
                None => ready.push((row, secret)),
            },
            // One row that cannot be read must not keep the others from rotating.
            Err(StoreError::Inconsistent { what }) => quarantine(w, id, &what, now).await?,
            Err(error) => return Err(error),
        }
    }
    let query = sql::query_as(LEASE_ALL).about_several();
    let query = query.bind(sql::numbers(ready.iter().map(|(row, _)| row.secret.0))).bind(owner);
    let fences: Vec<(i64, i64)> = query.bind(&clock.id).bind(clock.since + clock.lease).fetch_all(w.conn()).await?;
    let fences: HashMap<i64, i64> = fences.into_iter().collect();
    let claim = |(row, secret): (rotation::Row, secret::Row)| {
        let fence = *fences.get(&row.secret.0)?;
        let lease = Lease { secret: row.secret, arn: secret.arn, fence };
        Some(row.claimed(lease, secret.name))
    };
    Ok(ready.into_iter().filter_map(claim).collect())
}

type Rows = Result<(rotation::Row, secret::Row), StoreError>;

/// The rows of these, in this order; each by itself, for one may not be readable.
async fn read(conn: &mut Conn, ids: &[SecretId]) -> Result<Vec<(SecretId, Rows)>, StoreError> {
    match together(conn, ids).await {
        // A text that is none fails the whole statement.
        Err(StoreError::Inconsistent { .. }) if ids.len() > 1 => {
            let mut all = Vec::with_capacity(ids.len());
            for id in ids {
                all.extend(Box::pin(read(conn, &[*id])).await?);
            }
            Ok(all)
        }
        Err(StoreError::Inconsistent { what }) => {
            Ok(ids.iter().map(|id| (*id, Err(StoreError::inconsistent(what.clone())))).collect())
        }
        all => all,
    }
}

async fn together(conn: &mut Conn, ids: &[SecretId]) -> Result<Vec<(SecretId, Rows)>, StoreError> {
    let mut rotations = rotation::load_all(conn, ids).await?;
    let mut secrets = secret::by_ids(conn, ids).await?;
    let gone = || Err(StoreError::inconsistent("a rotation is due and its secret is gone"));
    let rows = |id: &SecretId| {
        let rotation = rotations.remove(id)?;
        let secret = secrets.remove(id).unwrap_or_else(gone);
        Some((*id, rotation.and_then(|rotation| Ok((rotation, secret?)))))
    };
    Ok(ids.iter().filter_map(rows).collect())
}

/// Locks what was found, as writers of secrets do, without waiting for any of them. What one of them has is left out, and so is
/// of what was found what is true no more; drivers renew without locking the secret, so both rows are.
async fn had(
    w: &mut Writing<'_>,
    clock: &LeaseClock,
    found: Vec<SecretId>,
    now: Time,
) -> Result<Vec<SecretId>, StoreError> {
    let query = sql::query_scalar(HAVE).bind(sql::numbers(found.iter().map(|id| id.0)));
    let query = query.bind(ms(now)).bind(clock.since).locking("FOR NO KEY UPDATE OF s, r SKIP LOCKED");
    let had: Vec<i64> = query.fetch_all(w.conn()).await?;
    let had: HashSet<i64> = had.into_iter().collect();
    Ok(found.into_iter().filter(|id| had.contains(&id.0)).collect())
}

impl rotation::Row {
    /// The end of the blackout into which it would start, or run.
    fn starts_in(&self, of_all: &Blackouts, now: Time) -> Option<Time> {
        self.put_off(of_all, now).filter(|_| self.state == Rotation::Idle)
    }

    fn claimed(self, lease: Lease, name: String) -> Claim {
        Claim {
            lease,
            name,
            window: self.window.filter(|_| self.state == Rotation::Idle),
            rotation: self.state,
            rotator: self.rotator,
            target: self.target.filter(|_| self.lane.is_empty()).unwrap_or_default(),
            lane: self.lane,
        }
    }
}

/// Takes a row that cannot be read out of the queue until somebody looks at it.
pub(crate) async fn quarantine(w: &mut Writing<'_>, id: SecretId, what: &str, now: Time) -> Result<(), StoreError> {
    tracing::error!(secret.id = id.0, what, "a rotation cannot be read and is set aside");
    sql::query(SET_ASIDE).bind(id.0).execute(w.conn()).await?;
    history::note(w, id, None, "set-aside", None, what, now).await
}

// One step of the index for each lane, however many secrets are in it.
const LANES: &str = "-- due::lanes
WITH RECURSIVE planned (lane) AS (
    SELECT MIN(lane) FROM rotation WHERE due_ms IS NOT NULL
    UNION ALL
    SELECT (SELECT MIN(r.lane) FROM rotation r WHERE r.due_ms IS NOT NULL AND r.lane > planned.lane)
    FROM planned WHERE planned.lane IS NOT NULL)
SELECT lane FROM planned WHERE lane IS NOT NULL";

// A step that was cut short is resumed when its lease is over, whatever the wall clock says. The plus sign keeps the planner on the few that are leased, away from all that is due.
const EXPIRED: &str = "-- due::found (expired)
SELECT secret_id, lane FROM rotation
WHERE lease_owner IS NOT NULL AND (+due_ms <= $1 OR state = 'acting' AND +due_ms IS NOT NULL)
  AND CASE WHEN lease_boot = $2 AND lease_until_ms <= $3 + $4 THEN lease_until_ms
           ELSE $5 + COALESCE(lease_ms, $6) END <= $3
ORDER BY lease_until_ms";

pub(crate) const LEASE: &str = "-- due::lease
UPDATE rotation SET fence = fence + 1, lease_owner = $2, lease_boot = $3, lease_until_ms = $4, lease_ms = NULL,
       held = 0
WHERE secret_id = $1 RETURNING fence";

const LEASE_ALL: &str = "-- due::lease_all
UPDATE rotation SET fence = fence + 1, lease_owner = $2, lease_boot = $3, lease_until_ms = $4, lease_ms = NULL, held = 0
WHERE secret_id IN (SELECT value FROM json_each('[' || $1 || ']')) RETURNING secret_id, fence";

const HAVE: &str = "-- due::had
SELECT s.id FROM secret s JOIN rotation r ON r.secret_id = s.id
WHERE s.id = ANY(CAST('{' || $1 || '}' AS BIGINT[])) AND r.due_ms IS NOT NULL
  AND (r.lease_owner IS NULL AND r.due_ms <= $2
       OR r.lease_owner IS NOT NULL AND r.lease_until_ms <= $3 AND (r.due_ms <= $2 OR r.state = 'acting'))";

const LEASED: &str = "-- due::next_due (leased)
SELECT due_ms, lane, lease_until_ms, lease_boot = $1 AS comparable, lease_ms
FROM rotation WHERE lease_owner IS NOT NULL AND +due_ms IS NOT NULL";

const SET_ASIDE: &str = "-- due::quarantine
UPDATE rotation SET due_ms = NULL, lease_owner = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE secret_id = $1";

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
