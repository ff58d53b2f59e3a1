//! Which of what is due may be claimed: what is open before what begins, within the room of each lane, the limit of each
//! host, and the budget of starts. What has to wait for its host is marked (`held`), so that nobody who looks for work has to
//! pass it over again: a look that finds nothing costs the same however many secrets there are, and however many wait.
//!
//! On PostgreSQL whoever claims holds the row of table `fleet` first, so that no two nodes count the same room.
//! Never here: leases (`due.rs`), what an answer says about a host (`target.rs`).

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use engine::Time;
use engine::id::SecretId;
use engine::rotation::Rotation;
use engine::schedule::Blackouts;

use crate::due::Boot;
use crate::instant::{instant, ms};
use crate::model::Room;
use crate::open::Inner;
use crate::target::Away;
use crate::tx::{Conn, Writing};
use crate::{StoreError, fleet, rotation, sql, target};

/// So many are looked at beyond those that may be taken, before those that have to wait are marked.
const AHEAD: i64 = 256;
/// So often that is done in one claim; the next one goes on.
const ROUNDS: u32 = 8;

/// What there is room for, as one claim counts it down.
pub(crate) struct Queue {
    per_target: u32,
    /// How many more may begin by schedule, and when there is another.
    starts: u32,
    next_start: Option<Time>,
    at_work: HashMap<String, u32>,
    away: HashMap<String, Away>,
    probed: HashSet<String>,
    now: Time,
}

struct Found {
    id: i64,
    due: i64,
    probes: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Raw {
    secret_id: i64,
    target: Option<String>,
    due_ms: i64,
}

impl Queue {
    pub(crate) async fn of(
        conn: &mut Conn,
        inner: &Inner,
        fleet: &fleet::Row,
        room: &Room,
        now: Time,
    ) -> Result<Self, StoreError> {
        let may_start = fleet.fleet.paused.is_none() && !room.resumes_only;
        let (starts, next_start) = fleet.budget(now);
        Ok(Self {
            per_target: fleet.fleet.limits.per_target,
            starts: if may_start { starts } else { 0 },
            next_start: may_start.then_some(next_start),
            at_work: at_work(&mut *conn, &Boot::of(inner)).await?,
            away: if fleet.fleet.limits.failures == 0 { HashMap::new() } else { target::away(&mut *conn).await? },
            probed: HashSet::new(),
            now,
        })
    }

    /// The secrets of this lane that are to be claimed, at most `left`.
    pub(crate) async fn take(
        &mut self,
        w: &mut Writing<'_>,
        lane: &str,
        mut left: u32,
    ) -> Result<Vec<SecretId>, StoreError> {
        let mut ids = Vec::new();
        for kind in [OPEN, IDLE] {
            let most = if kind.begins { left.min(self.starts) } else { left };
            if most == 0 {
                continue;
            }
            let found = match lane {
                "" => self.of_hosts(w, kind, most).await?,
                lane => of_lane(w, kind, lane, most, self.now).await?,
            };
            let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
            left -= count.min(left);
            if kind.begins {
                self.starts = self.starts.saturating_sub(count);
            }
            for Found { id, probes, .. } in found {
                if let Some((target, away)) = probes.and_then(|target| self.away.get_key_value(&target)) {
                    target::probe(w.conn(), target, *away, self.now).await?;
                }
                ids.push(SecretId(id));
            }
        }
        Ok(ids)
    }

    /// What waited for a host that has room now, and what has come due since, longest due first.
    async fn of_hosts(&mut self, w: &mut Writing<'_>, kind: Kind, most: u32) -> Result<Vec<Found>, StoreError> {
        let mut found = self.held(w, kind, most).await?;
        found.extend(self.fresh(w, kind, most).await?);
        found.sort_by_key(|found| found.due);
        found.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn held(&mut self, w: &mut Writing<'_>, kind: Kind, most: u32) -> Result<Vec<Found>, StoreError> {
        let targets: Vec<String> = sql::query_scalar(kind.targets).fetch_all(w.conn()).await?;
        let mut found = Vec::new();
        for target in targets {
            let room = self.room(&target).min(most);
            if room == 0 {
                continue;
            }
            let query = sql::query_as(kind.held).bind(&target).bind(ms(self.now)).bind(i64::from(room));
            let rows: Vec<Raw> = query.fetch_all(w.conn()).await?;
            found.extend(rows.into_iter().filter_map(|row| self.enter(&target, &row)));
        }
        Ok(found)
    }

    async fn fresh(&mut self, w: &mut Writing<'_>, kind: Kind, most: u32) -> Result<Vec<Found>, StoreError> {
        let mut found: Vec<Found> = Vec::new();
        let mut seen = HashSet::new();
        let enough = usize::try_from(most).unwrap_or(usize::MAX);
        for _ in 0..ROUNDS {
            let query = sql::query_as(kind.due).bind("").bind(ms(self.now)).bind(i64::from(most) + AHEAD);
            let rows: Vec<Raw> = query.fetch_all(w.conn()).await?;
            let mut marked = false;
            for row in rows.iter().filter(|row| seen.insert(row.secret_id)) {
                // Whose host nobody has looked up yet waits for the next claim, which does.
                let Some(target) = &row.target else { return Ok(found) };
                if found.len() >= enough {
                    return Ok(found);
                }
                match self.enter(target, row) {
                    Some(entered) => found.push(entered),
                    None => {
                        sql::query(HOLD).bind(row.secret_id).execute(w.conn()).await?;
                        marked = true;
                    }
                }
            }
            if !marked {
                break;
            }
        }
        Ok(found)
    }

    /// Takes a place at the host, where there is one.
    fn enter(&mut self, target: &str, row: &Raw) -> Option<Found> {
        if self.room(target) == 0 {
            return None;
        }
        let probes = self.away.contains_key(target).then(|| target.to_owned());
        if probes.is_some() {
            self.probed.insert(target.to_owned());
        }
        *self.at_work.entry(target.to_owned()).or_default() += 1;
        Some(Found { id: row.secret_id, due: row.due_ms, probes })
    }

    /// How many more may be at work at this host.
    fn room(&self, target: &str) -> u32 {
        match self.away.get(target) {
            _ if target.is_empty() => u32::MAX,
            Some(away) => u32::from(away.is_due(self.now) && !self.probed.contains(target)),
            None if self.per_target == 0 => u32::MAX,
            None => self.per_target.saturating_sub(self.at_work.get(target).copied().unwrap_or(0)),
        }
    }

    /// When a claim may find something of this lane; None: not before something else changes.
    pub(crate) async fn next(&self, conn: &mut Conn, lane: &str) -> Result<Option<Time>, StoreError> {
        let mut next: Option<Time> = None;
        for kind in [OPEN, IDLE] {
            let earliest = if kind.begins { self.next_start } else { Some(self.now) };
            let Some(earliest) = earliest else { continue };
            let due: Option<i64> = sql::query_scalar(kind.next).bind(lane).fetch_optional(&mut *conn).await?;
            let mut at = due.map(instant).transpose()?;
            if lane.is_empty() {
                at = at.into_iter().chain(self.next_held(&mut *conn, kind).await?).min();
            }
            // Of what is due already the budget may have nothing left.
            let at = at.map(|at| if at <= self.now { at.max(earliest) } else { at });
            next = next.into_iter().chain(at).min();
        }
        Ok(next)
    }

    async fn next_held(&self, conn: &mut Conn, kind: Kind) -> Result<Option<Time>, StoreError> {
        let targets: Vec<String> = sql::query_scalar(kind.targets).fetch_all(&mut *conn).await?;
        let mut next: Option<Time> = None;
        for target in targets {
            let away = self.away.get(&target);
            // Who is at work there tells when it is done.
            if away.is_none() && self.room(&target) == 0 {
                continue;
            }
            let due: Option<i64> = sql::query_scalar(kind.next_held).bind(&target).fetch_optional(&mut *conn).await?;
            let not_before = away.filter(|away| !away.is_due(self.now)).map_or(0, |away| away.probe);
            next = next.into_iter().chain(due.map(|due| instant(due.max(not_before))).transpose()?).min();
        }
        Ok(next)
    }
}

/// The longest due of a registered rotator's lane.
async fn of_lane(w: &mut Writing<'_>, kind: Kind, lane: &str, most: u32, now: Time) -> Result<Vec<Found>, StoreError> {
    let query = sql::query_as(kind.due).bind(lane).bind(ms(now)).bind(i64::from(most));
    let rows: Vec<Raw> = query.fetch_all(w.conn()).await?;
    Ok(rows.into_iter().map(|row| Found { id: row.secret_id, due: row.due_ms, probes: None }).collect())
}

#[derive(sqlx::FromRow)]
struct Leased {
    target: String,
    lease_until_ms: i64,
    comparable: i64,
    lease_ms: Option<i64>,
}

/// How many rotations and looks hold a lease at each host, on whatever node.
async fn at_work(conn: &mut Conn, boot: &Boot) -> Result<HashMap<String, u32>, StoreError> {
    let leased: Vec<Leased> = sql::query_as(AT_WORK).bind(&boot.id).fetch_all(conn).await?;
    let mut counts = HashMap::new();
    for row in leased {
        if boot.ends(row.lease_until_ms, row.comparable == 1, row.lease_ms) > boot.since {
            *counts.entry(row.target).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Why something that is due has not begun, for people; None: nothing stands in its way that we know of.
pub(crate) async fn waits_for(conn: &mut Conn, row: &rotation::Row, now: Time) -> Result<Option<String>, StoreError> {
    let Some(due) = row.due else { return Ok(None) };
    let fleet = fleet::load(&mut *conn).await?.fleet;
    let idle = row.state == Rotation::Idle;
    if let Some(paused) = fleet.paused.filter(|_| idle) {
        let (by, since, reason) = (paused.by, shown(paused.since), paused.reason);
        return Ok(Some(format!("all rotations were paused by {by} at {since}: {reason}")));
    }
    if due > now {
        let ends = if idle { row.put_off(&fleet.limits.blackouts, due) } else { None };
        return Ok(ends.map(|ends| format!("it falls into a blackout, which ends at {}", shown(ends))));
    }
    let target = row.target.clone().unwrap_or_default();
    Ok(match target::away(conn).await?.contains_key(&target) {
        true => {
            Some(format!("{target} is not reached: its secrets wait, and one of them tries once a minute at least"))
        }
        false if row.held => Some(format!("as many rotations as there may be are under way at {target}")),
        false => None,
    })
}

fn shown(time: Time) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M:%S UTC")
}

impl rotation::Row {
    /// The end of the blackout into which what starts at `at` would fall, or run.
    pub(crate) fn put_off(&self, of_all: &Blackouts, at: Time) -> Option<Time> {
        of_all.and(&self.options.blackouts).in_the_way(at, self.took.unwrap_or(TimeDelta::zero()))
    }
}

/// The statements about what is open, or about what begins.
#[derive(Clone, Copy)]
struct Kind {
    begins: bool,
    due: &'static str,
    next: &'static str,
    targets: &'static str,
    held: &'static str,
    next_held: &'static str,
}

const OPEN: Kind = Kind {
    begins: false,
    due: OPEN_DUE,
    next: NEXT_OPEN,
    targets: OPEN_TARGETS,
    held: OPEN_HELD,
    next_held: NEXT_OPEN_HELD,
};

const IDLE: Kind = Kind {
    begins: true,
    due: IDLE_DUE,
    next: NEXT_IDLE,
    targets: IDLE_TARGETS,
    held: IDLE_HELD,
    next_held: NEXT_IDLE_HELD,
};

// What all of these begin with is what their indexes begin with, word for word.
pub(crate) const OPEN_DUE: &str = "-- queue::fresh (open)
SELECT secret_id, target, due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 0 AND state <> 'idle'
  AND lane = $1 AND due_ms <= $2 ORDER BY due_ms LIMIT $3";

pub(crate) const IDLE_DUE: &str = "-- queue::fresh (idle)
SELECT secret_id, target, due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 0 AND state = 'idle'
  AND lane = $1 AND due_ms <= $2 ORDER BY due_ms LIMIT $3";

const NEXT_OPEN: &str = "-- queue::next (open)
SELECT due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 0 AND state <> 'idle'
  AND lane = $1 ORDER BY due_ms LIMIT 1";

const NEXT_IDLE: &str = "-- queue::next (idle)
SELECT due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 0 AND state = 'idle'
  AND lane = $1 ORDER BY due_ms LIMIT 1";

const OPEN_TARGETS: &str = "-- queue::held (open, targets)
WITH RECURSIVE waiting (target) AS (
    SELECT MIN(target) FROM rotation
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state <> 'idle'
    UNION ALL
    SELECT (SELECT MIN(r.target) FROM rotation r
            WHERE r.due_ms IS NOT NULL AND r.lease_owner IS NULL AND r.held = 1 AND r.state <> 'idle'
              AND r.target > waiting.target)
    FROM waiting WHERE waiting.target IS NOT NULL)
SELECT target FROM waiting WHERE target IS NOT NULL";

const IDLE_TARGETS: &str = "-- queue::held (idle, targets)
WITH RECURSIVE waiting (target) AS (
    SELECT MIN(target) FROM rotation
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state = 'idle'
    UNION ALL
    SELECT (SELECT MIN(r.target) FROM rotation r
            WHERE r.due_ms IS NOT NULL AND r.lease_owner IS NULL AND r.held = 1 AND r.state = 'idle'
              AND r.target > waiting.target)
    FROM waiting WHERE waiting.target IS NOT NULL)
SELECT target FROM waiting WHERE target IS NOT NULL";

const OPEN_HELD: &str = "-- queue::held (open)
SELECT secret_id, target, due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state <> 'idle'
  AND target = $1 AND due_ms <= $2 ORDER BY due_ms LIMIT $3";

const IDLE_HELD: &str = "-- queue::held (idle)
SELECT secret_id, target, due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state = 'idle'
  AND target = $1 AND due_ms <= $2 ORDER BY due_ms LIMIT $3";

const NEXT_OPEN_HELD: &str = "-- queue::next_held (open)
SELECT due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state <> 'idle'
  AND target = $1 ORDER BY due_ms LIMIT 1";

const NEXT_IDLE_HELD: &str = "-- queue::next_held (idle)
SELECT due_ms FROM rotation
WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state = 'idle'
  AND target = $1 ORDER BY due_ms LIMIT 1";

const HOLD: &str = "-- queue::fresh (hold)
UPDATE rotation SET held = 1 WHERE secret_id = $1";

const AT_WORK: &str = "-- queue::at_work
SELECT target, lease_until_ms, CASE WHEN lease_boot = $1 THEN 1 ELSE 0 END AS comparable, lease_ms
FROM rotation WHERE lease_owner IS NOT NULL AND lease_until_ms IS NOT NULL AND target IS NOT NULL AND target <> ''";
