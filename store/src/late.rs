//! What did not run when it was to: while no server ran, in a pause of everything, in a blackout. It runs late, spread over
//! time and within the budget, with a line of history for each.
//!
//! Never here: what is due (`queue.rs`), when a window is (`engine::schedule`).

use std::collections::HashMap;

use chrono::TimeDelta;
use engine::Time;
use engine::id::SecretId;

use crate::instant::{ms, ms_not_before};
use crate::open::Inner;
use crate::tx::{Writing, glance, snapshot};
use crate::{Store, StoreError, due, fleet, history, lease_clock, rotation, sql, target};

/// Secrets in one transaction: others write in between.
const BATCH: i64 = 500;
/// The work of one rotation, to reckon how long a host needs for all of its own.
const EACH: TimeDelta = TimeDelta::seconds(2);
/// Nothing is put off for longer, however much there is.
const LONGEST: TimeDelta = TimeDelta::days(1);

impl Store {
    /// At boot: what is idle and was to rotate in a window that closed while nobody was there runs late, at a moment of its
    /// own: spread over the next minutes, and over longer where the budget, or the limit of its host, needs that for all there
    /// are. Says how many there are.
    ///
    /// # Errors
    /// The database fails; what has been spread by then stays so, and the next boot goes on.
    pub async fn spread_overdue(&self, now: Time) -> Result<u64, StoreError> {
        spread(&self.0, MISSED, MISSED_BY_TARGET, now).await
    }

    /// The same for all that is idle and due: what kept it from starting is over.
    ///
    /// # Errors
    /// As [`Store::spread_overdue`].
    pub async fn spread_due(&self, now: Time) -> Result<u64, StoreError> {
        spread(&self.0, DUE, DUE_BY_TARGET, now).await
    }
}

async fn spread(inner: &Inner, which: &'static str, counts: &'static str, now: Time) -> Result<u64, StoreError> {
    let now = lease_clock::now(&mut glance(inner).await?, now).await?;
    target::look_up_all(inner, now).await?;
    let backlog = Backlog::of(inner, counts, now).await?;
    let (mut after, mut spread) = (0, 0);
    loop {
        let mut w = Writing::begin(inner).await?;
        let now = w.now(now).await?;
        // What somebody else writes, or spreads at the same moment, is left to him.
        let query = sql::query_as(which).locking("FOR NO KEY UPDATE OF s, r SKIP LOCKED");
        let query = query.bind(ms(now)).bind(after).bind(BATCH);
        let rows: Vec<(i64, String)> = query.fetch_all(w.conn()).await?;
        let Some(last) = rows.last().map(|(id, _)| *id) else { return Ok(spread) };
        after = last;
        for (id, arn) in rows {
            let id = SecretId(id);
            match spread_one(&mut w, inner, &backlog, id, &arn, now).await {
                Ok(()) => spread += 1,
                // One row that cannot be read must not keep the others from rotating.
                Err(StoreError::Inconsistent { what }) => due::quarantine(&mut w, id, &what, now).await?,
                Err(error) => return Err(error),
            }
        }
        w.wake();
        w.commit().await?;
    }
}

async fn spread_one(
    w: &mut Writing<'_>,
    inner: &Inner,
    backlog: &Backlog,
    id: SecretId,
    arn: &str,
    now: Time,
) -> Result<(), StoreError> {
    let row = rotation::load(w.conn(), id).await?;
    let over = backlog.over(row.target.as_deref().unwrap_or_default());
    let due = row.late(arn, now, inner.options.schedule_limits, over);
    let due = due.ok_or_else(|| StoreError::inconsistent("a rotation is due without a window"))?;
    sql::query(SET_DUE).bind(id.0).bind(ms_not_before(due)).execute(w.conn()).await?;
    note_missed(w, &row, due, now).await
}

/// How much there is, and how long it takes.
struct Backlog {
    per_target: i64,
    by_budget: TimeDelta,
    of_target: HashMap<String, i64>,
}

impl Backlog {
    async fn of(inner: &Inner, counts: &'static str, now: Time) -> Result<Self, StoreError> {
        let mut tx = snapshot(inner).await?;
        let limits = fleet::load(&mut tx).await?.fleet.limits;
        let counts: Vec<(String, i64)> = sql::query_as(counts).bind(ms(now)).fetch_all(&mut tx).await?;
        let all: i64 = counts.iter().map(|(_, count)| count).sum();
        let minutes = all.checked_div(i64::from(limits.starts_a_minute)).unwrap_or(0);
        Ok(Self {
            per_target: i64::from(limits.per_target),
            by_budget: TimeDelta::minutes(minutes.min(LONGEST.num_minutes())),
            of_target: counts.into_iter().filter(|(target, _)| !target.is_empty()).collect(),
        })
    }

    /// Over how long a secret at this host is spread, at least.
    fn over(&self, target: &str) -> TimeDelta {
        let of_target = self.of_target.get(target).copied().unwrap_or(0).min(LONGEST.num_seconds());
        let rounds = of_target.checked_div(self.per_target).unwrap_or(0);
        let at_host = EACH * i32::try_from(rounds).unwrap_or(i32::MAX);
        self.by_budget.max(at_host).min(LONGEST)
    }
}

/// What would start in a blackout starts after it, at `ends` and a bit.
pub(crate) async fn put_off(
    w: &mut Writing<'_>,
    inner: &Inner,
    row: &rotation::Row,
    arn: &str,
    ends: Time,
    now: Time,
) -> Result<(), StoreError> {
    let due = row.late(arn, ends, inner.options.schedule_limits, TimeDelta::zero()).unwrap_or(ends);
    sql::query(SET_DUE).bind(row.secret.0).bind(ms_not_before(due)).execute(w.conn()).await?;
    let message = format!("a blackout is in the way until {ends}; rotating at {due}");
    history::note(w, row.secret, None, "put-off", None, &message, now).await
}

/// A line of history about a window that is made up for at `due`.
pub(crate) async fn note_missed(
    w: &mut Writing<'_>,
    row: &rotation::Row,
    due: Time,
    now: Time,
) -> Result<(), StoreError> {
    let message = match row.window.map(|window| window.closes) {
        Some(closes) if closes > now => format!("the planned moment was missed; rotating at {due}"),
        closes => {
            format!("the window that closed at {} was missed; rotating at {due}", closes.unwrap_or(now))
        }
    };
    history::note(w, row.secret, None, "missed-window", None, &message, now).await
}

const MISSED: &str = "-- late::spread_overdue
SELECT r.secret_id, s.arn FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.due_ms IS NOT NULL AND r.due_ms <= $1 AND r.state = 'idle'
  AND r.window_closes_ms <= $1 AND r.due_ms < r.window_closes_ms
  AND r.secret_id > $2 ORDER BY r.secret_id LIMIT $3";

const MISSED_BY_TARGET: &str = "-- late::spread_overdue (counts)
SELECT COALESCE(target, ''), COUNT(*) FROM rotation
WHERE due_ms IS NOT NULL AND due_ms <= $1 AND state = 'idle'
  AND window_closes_ms <= $1 AND due_ms < window_closes_ms
GROUP BY COALESCE(target, '')";

const DUE: &str = "-- late::spread_due
SELECT r.secret_id, s.arn FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.due_ms IS NOT NULL AND r.due_ms <= $1 AND r.state = 'idle' AND r.lease_owner IS NULL
  AND r.secret_id > $2 ORDER BY r.secret_id LIMIT $3";

const DUE_BY_TARGET: &str = "-- late::spread_due (counts)
SELECT COALESCE(target, ''), COUNT(*) FROM rotation
WHERE due_ms IS NOT NULL AND due_ms <= $1 AND state = 'idle' AND lease_owner IS NULL
GROUP BY COALESCE(target, '')";

const SET_DUE: &str = "-- late::spread_one
UPDATE rotation SET due_ms = $2, held = 0 WHERE secret_id = $1";
