//! Table `fleet`: the limits of the installation, its pause, the budget of starts, and what is known of clocks. One row.
//!
//! Never here: what limits mean (`engine::fleet`), who is passed over because of them (`queue.rs`), when a clock is doubted
//! (`src/clock/`).

use std::time::Duration;

use chrono::TimeDelta;
use engine::Time;
use engine::fleet::FleetLimits;
use engine::id::SecretId;
use engine::rotation::Rotation;

use crate::instant::{instant, ms, whole_ms};
use crate::lease::millis;
use crate::model::{ClockDoubt, Facts, Fleet, LimitsChange, Paused, Seen};
use crate::outbox::SERVER;
use crate::subject::Subject;
use crate::tx::{Conn, Durability, Writing, snapshot};
use crate::{Store, StoreError, sql};

/// A budget is counted within this.
const MINUTE: i64 = 60_000;
/// No more than this part of a minute's budget starts at once.
const AT_ONCE: i64 = 6;

/// The row, as claims read it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) fleet: Fleet,
    spent: i64,
}

impl Row {
    /// How many more may be started by schedule at `now`, and from when on there is another.
    pub(crate) fn budget(&self, now: Time) -> (u32, Time) {
        let Some((every, base)) = self.spent_until(now) else { return (u32::MAX, now) };
        let left = u32::try_from((ms(now) - base).max(0) / every).unwrap_or(u32::MAX);
        let next = if left > 0 { now } else { instant(base + every).unwrap_or(now) };
        (left, next)
    }

    /// The budget when so many more have been started; None where there is none to keep.
    fn spend(&self, starts: u32, now: Time) -> Option<i64> {
        let (every, base) = self.spent_until(now)?;
        Some(base + every * i64::from(starts))
    }

    /// The time that one start takes of the budget, and until when it is spent.
    fn spent_until(&self, now: Time) -> Option<(i64, i64)> {
        let a_minute = i64::from(self.fleet.limits.starts_a_minute);
        let every = (MINUTE.checked_div(a_minute)?).max(1);
        let longest = (a_minute / AT_ONCE).max(1) * every;
        // A clock that was set back leaves a time behind that no budget of ours can have.
        let spent = if self.spent > ms(now) + MINUTE { ms(now) } else { self.spent };
        Some((every, spent.max(ms(now) - longest)))
    }
}

impl Store {
    /// Limits, pause and clock of the installation.
    ///
    /// # Errors
    /// The database fails.
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        Ok(load(&mut tx).await?.fleet)
    }

    /// Changes the limits, for every node from its next claim on.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_limits(&self, change: LimitsChange) -> Result<Fleet, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        lock(w.conn()).await?;
        let mut fleet = load(w.conn()).await?.fleet;
        let limits = &mut fleet.limits;
        limits.per_target = change.per_target.unwrap_or(limits.per_target);
        limits.starts_a_minute = change.starts_a_minute.unwrap_or(limits.starts_a_minute);
        limits.failures = change.failures.unwrap_or(limits.failures);
        limits.blackouts = change.blackouts.unwrap_or_else(|| limits.blackouts.clone());
        let json = serde_json::to_string(limits)
            .map_err(|_| StoreError::inconsistent("the limits cannot be written as JSON"))?;
        sql::query(SET_LIMITS).bind(json).execute(w.conn()).await?;
        w.wake();
        w.commit().await?;
        Ok(fleet)
    }

    /// Nothing starts any more, on any node, until it is resumed. What is open goes on: a rotation that is half done is
    /// safest when it is done. Who paused first, and why, stays.
    ///
    /// # Errors
    /// The database fails.
    pub async fn pause_all(&self, reason: &str, by: &str, now: Time) -> Result<Fleet, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        lock(w.conn()).await?;
        let paused = sql::query(PAUSE).bind(ms(now)).bind(by).bind(reason).execute(w.conn()).await?.rows_affected();
        if paused > 0 {
            w.tell(SERVER, "server.paused", Facts { actor: Some(by.to_owned()), ..Facts::default() }, now);
        }
        let fleet = load(w.conn()).await?.fleet;
        w.commit().await?;
        Ok(fleet)
    }

    /// Ends a pause. What was due meanwhile runs late, spread, as after a time in which no server ran. Says how many there
    /// are; None where nothing was paused.
    ///
    /// # Errors
    /// The database fails.
    pub async fn resume_all(&self, by: &str, now: Time) -> Result<Option<u64>, StoreError> {
        if self.fleet().await?.paused.is_none() {
            return Ok(None);
        }
        // Before anything may start again, so that nothing starts at once.
        let late = self.spread_due(now).await?;
        let mut w = Writing::begin(&self.0).await?;
        lock(w.conn()).await?;
        if sql::query(UNPAUSE).execute(w.conn()).await?.rows_affected() > 0 {
            w.tell(SERVER, "server.resumed", Facts { actor: Some(by.to_owned()), ..Facts::default() }, now);
        }
        w.wake();
        w.commit().await?;
        Ok(Some(late))
    }

    /// Writes down what the wall clock shows, for the next start to compare with.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_clock(&self, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        self.seen(&mut w, now).await?;
        w.commit().await
    }

    async fn trust(&self, w: &mut Writing<'_>) -> Result<(), StoreError> {
        if sql::query(TRUST).execute(w.conn()).await?.rows_affected() > 0 {
            w.tell(SERVER, "server.clock-trusted", Facts::default(), self.0.clock.now());
        }
        Ok(())
    }

    async fn seen(&self, w: &mut Writing<'_>, now: Time) -> Result<(), StoreError> {
        let up = millis(self.0.clock.since_boot());
        sql::query(SEEN).bind(ms(now)).bind(&self.0.options.boot_id).bind(up).execute(w.conn()).await?;
        Ok(())
    }

    /// When the wall clock was last written down; None: never.
    ///
    /// # Errors
    /// The database fails.
    pub async fn last_seen(&self) -> Result<Option<Seen>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let seen: (Option<i64>, Option<String>, Option<i64>) = sql::query_as(LAST_SEEN).fetch_one(&mut tx).await?;
        let (Some(at), Some(boot), Some(up)) = seen else { return Ok(None) };
        let since_boot = Duration::from_millis(u64::try_from(up).unwrap_or(0));
        Ok(Some(Seen { at: instant(at)?, boot, since_boot }))
    }

    /// A node doubts its clock, or (None) no more.
    ///
    /// # Errors
    /// The database fails.
    pub async fn doubt_clock(&self, doubt: Option<&ClockDoubt>) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        match doubt {
            Some(doubt) => {
                sql::query(DOUBT).bind(ms(doubt.since)).bind(doubt.message.as_str()).execute(w.conn()).await?;
                w.tell(SERVER, "server.clock-doubted", Facts::default(), doubt.since);
            }
            None => self.trust(&mut w).await?,
        }
        w.commit().await
    }

    /// An operator says that the clock is right as it is, at `wall`: nodes that doubt theirs go by it from their next look on,
    /// and starts compare with it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn accept_clock(&self, wall: Time) -> Result<Fleet, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        lock(w.conn()).await?;
        sql::query(ACCEPT).execute(w.conn()).await?;
        self.trust(&mut w).await?;
        self.seen(&mut w, wall).await?;
        let fleet = load(w.conn()).await?.fleet;
        w.wake();
        w.commit().await?;
        Ok(fleet)
    }

    /// The clock that everything was counted by is set by so much: what waits (a retry, the end of a grace) goes on waiting
    /// for as long as it would have. For a store that one process owns.
    ///
    /// # Errors
    /// The database fails; then nothing is moved, or some secrets of many.
    pub async fn move_waits(&self, by: TimeDelta, now: Time) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let mut w = Writing::begin(&self.0).await?;
            let ids: Vec<i64> = sql::query_scalar(WAITING).bind(after).fetch_all(w.conn()).await?;
            let Some(last) = ids.last().copied() else { return Ok(()) };
            after = last;
            for id in ids.into_iter().map(SecretId) {
                let Ok(Some(mut subject)) = Subject::by_id(&mut w, id).await else { continue };
                subject.rotation.state = moved(subject.rotation.state.clone(), by);
                subject.rotation.set_due(&subject.secret.arn, now);
                // Nothing of the secret itself has changed.
                let changed = subject.secret.changed;
                subject.save(&mut w, changed).await?;
            }
            w.wake();
            w.commit().await?;
        }
    }
}

fn moved(state: Rotation, by: TimeDelta) -> Rotation {
    let Rotation::Waiting { mut run, step, not_before } = state else { return state };
    let later = |time: Time| time.checked_add_signed(by).unwrap_or(time);
    run.retire_at = run.retire_at.map(later);
    run.working_since = run.working_since.map(later);
    run.window_ends = later(run.window_ends);
    Rotation::Waiting { run, step, not_before: later(not_before) }
}

/// Claims take turns, on whatever node: each counts what the one before has taken. First of all in a transaction.
pub(crate) async fn lock(conn: &mut Conn) -> Result<(), StoreError> {
    sql::query(TURN).execute(conn).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Raw {
    settings: String,
    spent_ms: i64,
    paused_ms: Option<i64>,
    paused_by: Option<String>,
    paused_reason: Option<String>,
    accepted: i64,
    clock_ms: Option<i64>,
    clock_said: Option<String>,
}

pub(crate) async fn load(conn: &mut Conn) -> Result<Row, StoreError> {
    let raw: Raw = sql::query_as(LOAD).fetch_one(conn).await?;
    let paused = raw.paused_ms.map(|since| {
        let (by, reason) = (raw.paused_by.unwrap_or_default(), raw.paused_reason.unwrap_or_default());
        Ok::<_, StoreError>(Paused { since: instant(since)?, by, reason })
    });
    let clock = raw.clock_ms.map(|since| {
        Ok::<_, StoreError>(ClockDoubt { since: instant(since)?, message: raw.clock_said.unwrap_or_default() })
    });
    Ok(Row {
        fleet: Fleet {
            limits: limits(&raw.settings),
            paused: paused.transpose()?,
            clock: clock.transpose()?,
            accepted: raw.accepted,
        },
        spent: raw.spent_ms,
    })
}

/// Limits that cannot be read must not keep everything from rotating: the defaults hold then.
fn limits(text: &str) -> FleetLimits {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the limits of this installation cannot be read: the defaults hold");
        FleetLimits::default()
    })
}

/// So many were started by schedule.
pub(crate) async fn spend(conn: &mut Conn, row: &Row, starts: u32, now: Time) -> Result<(), StoreError> {
    if let Some(spent) = row.spend(starts, now).filter(|_| starts > 0) {
        sql::query(SPEND).bind(spent).execute(conn).await?;
    }
    Ok(())
}

/// What a person is told who asks for a start while everything is paused, or in a blackout.
pub(crate) async fn may_start(
    conn: &mut Conn,
    row: &crate::rotation::Row,
    anyway: bool,
    now: Time,
) -> Result<(), StoreError> {
    let fleet = load(conn).await?.fleet;
    if let Some(Paused { since, by, reason }) = fleet.paused {
        return Err(StoreError::AllPaused { by, since: whole_ms(since), reason });
    }
    match fleet.limits.blackouts.and(&row.options.blackouts).in_the_way(now, TimeDelta::zero()) {
        Some(ends) if !anyway => Err(StoreError::Blackout { ends }),
        _ => Ok(()),
    }
}

const LOAD: &str = "-- fleet::load
SELECT settings, spent_ms, paused_ms, paused_by, paused_reason, accepted, clock_ms, clock_said FROM fleet WHERE id = 1";

const TURN: &str = "-- fleet::lock
UPDATE fleet SET turn = turn + 1 WHERE id = 1";

const SPEND: &str = "-- fleet::spend
UPDATE fleet SET spent_ms = $1 WHERE id = 1";

const SET_LIMITS: &str = "-- fleet::set_limits
UPDATE fleet SET settings = $1 WHERE id = 1";

const PAUSE: &str = "-- fleet::pause_all
UPDATE fleet SET paused_ms = $1, paused_by = $2, paused_reason = $3 WHERE id = 1 AND paused_ms IS NULL";

const UNPAUSE: &str = "-- fleet::resume_all
UPDATE fleet SET paused_ms = NULL, paused_by = NULL, paused_reason = NULL
WHERE id = 1 AND paused_ms IS NOT NULL";

const SEEN: &str = "-- fleet::note_clock
UPDATE fleet SET seen_ms = $1, seen_boot = $2, seen_up_ms = $3 WHERE id = 1";

const LAST_SEEN: &str = "-- fleet::last_seen
SELECT seen_ms, seen_boot, seen_up_ms FROM fleet WHERE id = 1";

const DOUBT: &str = "-- fleet::doubt_clock
UPDATE fleet SET clock_ms = $1, clock_said = $2 WHERE id = 1";

const ACCEPT: &str = "-- fleet::accept_clock
UPDATE fleet SET accepted = accepted + 1 WHERE id = 1";

const TRUST: &str = "-- fleet::trust
UPDATE fleet SET clock_ms = NULL, clock_said = NULL WHERE id = 1 AND clock_ms IS NOT NULL";

const WAITING: &str = "-- fleet::move_waits
SELECT secret_id FROM rotation
WHERE live = 1 AND state <> 'idle' AND state = 'waiting' AND secret_id > $1 ORDER BY secret_id LIMIT 200";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(starts_a_minute: u32, spent: i64) -> Row {
        let limits = FleetLimits { starts_a_minute, ..FleetLimits::default() };
        Row { fleet: Fleet { limits, paused: None, clock: None, accepted: 0 }, spent }
    }

    fn at(ms: i64) -> Time {
        instant(ms).expect("an instant")
    }

    #[test]
    fn a_budget_is_spent_evenly_and_never_saved_up() {
        let now = 1_773_135_420_000;
        assert_eq!(row(60, 0).budget(at(now)), (10, at(now)), "a sixth at once, however long nothing started");
        let spent = row(60, 0).spend(10, at(now)).expect("a budget");
        assert_eq!(row(60, spent).budget(at(now)), (0, at(now + 1000)));
        assert_eq!(row(60, spent).budget(at(now + 3000)).0, 3);
        assert_eq!(row(0, spent).budget(at(now)).0, u32::MAX, "0 is no limit");
        assert_eq!(row(1, 0).budget(at(now)).0, 1, "one is one");
    }

    #[test]
    fn a_clock_that_was_set_back_stops_no_budget() {
        let now = 1_773_135_420_000;
        assert!(row(60, now + 3_600_000).budget(at(now)).1 <= at(now + 1000));
    }

    #[test]
    fn limits_that_cannot_be_read_are_the_defaults() {
        assert_eq!(limits("{\"per_target\":\"many\"}"), FleetLimits::default());
    }
}
