//! Table `rotation`: configuration, the machine's state, the plan, and who holds the lease.
//!
//! Owns what `due_ms` is in each state. Never here: transitions (`event.rs`), claiming (`due.rs`), lease checks
//! (`lease.rs`).

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use engine::Time;
use engine::check::LastVerified;
use engine::id::SecretId;
use engine::rotation::{Rotation, Run, Step};
use engine::schedule::{Blackouts, Limits, Rules, Schedule, Window, moment, pick};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::hold::Hold;
use crate::instant::{instant, instant_opt, ms, ms_not_before};
use crate::model::RotationConfig;
use crate::sql::Flag;
use crate::tx::Conn;
use crate::{StoreError, sql};

/// How long a rotation that a person asks for may be retried.
pub(crate) const MANUAL_WINDOW: TimeDelta = TimeDelta::hours(24);

/// A missed rotation is put off by at most this, so that a backlog does not fire at once.
const LONGEST_SPREAD: TimeDelta = TimeDelta::minutes(10);

/// A secret's rotation.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) secret: SecretId,
    pub(crate) live: bool,
    pub(crate) configured: bool,
    pub(crate) enabled: bool,
    pub(crate) builtin: bool,
    pub(crate) rotator: Option<String>,
    /// The registered rotator; empty: a built-in one.
    pub(crate) lane: String,
    pub(crate) rules: Option<Rules>,
    pub(crate) time_zone: Option<String>,
    pub(crate) options: engine::port::Options,
    pub(crate) state: Rotation,
    pub(crate) paused: bool,
    /// What keeps it from rotating since the store may be older than the target.
    pub(crate) hold: Hold,
    pub(crate) base: Option<Time>,
    pub(crate) current: Option<Time>,
    pub(crate) window: Option<Window>,
    pub(crate) due: Option<Time>,
    pub(crate) fence: i64,
    pub(crate) lease: Option<Held>,
    /// When AWSCURRENT is tried next.
    pub(crate) verify: Option<Time>,
    /// What is known of whether it logs in.
    pub(crate) verified: LastVerified,
    /// The host of AWSCURRENT's value (`target.rs`); None: nobody has looked since that changed.
    pub(crate) target: Option<String>,
    /// It is due and waits for its host (`queue.rs`).
    pub(crate) held: bool,
    /// How long the work of a rotation takes.
    pub(crate) took: Option<TimeDelta>,
}

/// A lease as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) boot: String,
    /// Since that boot.
    pub(crate) until: Duration,
}

impl Row {
    /// What was configured; None: nothing ever.
    pub(crate) fn config(&self) -> Option<RotationConfig> {
        self.configured.then(|| RotationConfig {
            enabled: self.enabled,
            rotator: self.rotator.clone(),
            rules: self.rules.clone(),
            time_zone: self.time_zone.clone(),
            options: self.options.clone(),
        })
    }

    /// A rotation is open. A trial and setting AWSCURRENT again are none, and leave plans alone; so does what is left when
    /// the plan has been made.
    pub(crate) fn rotates(&self) -> bool {
        self.state.run().is_some_and(|run| !run.trial && !run.promoted && !run.reconciles)
    }

    /// The first window after `now`; None without a schedule, or while rotation is not enabled.
    pub(crate) fn next_window(&self, now: Time, limits: Limits) -> Option<Window> {
        let rules = self.rules.as_ref().filter(|_| self.enabled)?;
        // Checked when it was written. Limits may have been tightened since: then nothing is planned, rather than
        // something nobody would accept today.
        let schedule = Schedule::parse(rules, self.time_zone.as_deref(), limits).ok()??;
        schedule.next_window(self.base.unwrap_or(now), now)
    }

    /// Plans the first window that opens after `now`. Never makes anything due at once.
    pub(crate) fn plan(&mut self, now: Time, limits: Limits) {
        self.window = self.next_window(now, limits);
    }

    /// When a window that was missed is made up for: late, within a twentieth of the interval, so that what was missed
    /// together does not run together. None where no missed window is planned.
    pub(crate) fn made_up_for(&self, arn: &str, now: Time, limits: Limits) -> Option<Time> {
        self.window.filter(|window| self.enabled && window.closes <= now)?;
        self.late(arn, now, limits, TimeDelta::zero())
    }

    /// When what was planned runs after all, from `from` on, spread as what was missed is; over `at_least` that long where
    /// much has to. None where nothing is planned.
    pub(crate) fn late(&self, arn: &str, from: Time, limits: Limits, at_least: TimeDelta) -> Option<Time> {
        let missed = self.window.filter(|_| self.enabled)?;
        let next = self.next_window(missed.opens, limits);
        let interval = next.map_or(TimeDelta::days(1), |next| next.opens - missed.opens);
        let spread = (interval / 20).min(LONGEST_SPREAD).max(at_least);
        Some(pick(arn, &Window { opens: from, closes: from + spread }))
    }

    /// The moment in a window: so early that the work is done when it closes, as far as its length is known.
    pub(crate) fn moment(&self, arn: &str, window: &Window) -> Time {
        moment(arn, window, self.took)
    }

    /// The last second of the window that is planned.
    pub(crate) fn next_rotation(&self) -> Option<Time> {
        let window = self.window.filter(|_| self.enabled)?;
        Some(window.next_rotation_date())
    }

    /// As the column keeps it; None: nothing is known.
    fn verified_json(&self) -> Result<Option<String>, StoreError> {
        let known = self.verified != LastVerified::default();
        known.then(|| to_json(&self.verified)).transpose()
    }

    /// When something is to be done in this state; `now` is the moment of the commit.
    pub(crate) fn set_due(&mut self, arn: &str, now: Time) {
        self.due = match &self.state {
            _ if self.paused || !self.live || self.is_held() => None,
            Rotation::Idle => self.window.filter(|_| self.enabled).map(|window| self.moment(arn, &window)),
            Rotation::Waiting { not_before, .. } => Some(*not_before),
            // At once, for whoever gets the lease when it is free.
            Rotation::Acting { .. } => Some(now),
            Rotation::Parked { .. } => None,
        };
    }
}

#[derive(sqlx::FromRow)]
struct Raw {
    secret_id: i64,
    live: Flag,
    configured: Flag,
    enabled: Flag,
    builtin: Flag,
    rotator: Option<String>,
    lane: String,
    rules: Option<String>,
    time_zone: Option<String>,
    options: String,
    body: String,
    paused: Flag,
    unproven: i64,
    base_ms: Option<i64>,
    current_ms: Option<i64>,
    window_opens_ms: Option<i64>,
    window_closes_ms: Option<i64>,
    due_ms: Option<i64>,
    fence: i64,
    lease_owner: Option<String>,
    lease_boot: Option<String>,
    lease_until_ms: Option<i64>,
    verify_ms: Option<i64>,
    verified: Option<String>,
    target: Option<String>,
    held: i64,
    took_ms: Option<i64>,
    blackouts: Option<String>,
}

impl TryFrom<Raw> for Row {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let window = match (raw.window_opens_ms, raw.window_closes_ms) {
            (Some(opens), Some(closes)) => Some(Window { opens: instant(opens)?, closes: instant(closes)? }),
            _ => None,
        };
        let lease = match (raw.lease_owner, raw.lease_boot, raw.lease_until_ms) {
            (Some(_), Some(boot), Some(until)) => {
                Some(Held { boot, until: Duration::from_millis(u64::try_from(until).unwrap_or(0)) })
            }
            _ => None,
        };
        Ok(Self {
            secret: SecretId(raw.secret_id),
            live: raw.live.0,
            configured: raw.configured.0,
            enabled: raw.enabled.0,
            builtin: raw.builtin.0,
            rotator: raw.rotator,
            lane: raw.lane,
            rules: raw.rules.as_deref().map(|text| from_json("rules", text)).transpose()?,
            time_zone: raw.time_zone,
            options: engine::port::Options {
                blackouts: blackouts(raw.blackouts.as_deref()),
                ..from_json("options", &raw.options)?
            },
            state: healed(from_json("state", &raw.body)?),
            paused: raw.paused.0,
            hold: Hold::of(raw.unproven),
            base: instant_opt(raw.base_ms)?,
            current: instant_opt(raw.current_ms)?,
            window,
            due: instant_opt(raw.due_ms)?,
            fence: raw.fence,
            lease,
            verify: instant_opt(raw.verify_ms)?,
            // Nothing that is decided by it is worth a rotation that cannot be read.
            verified: raw.verified.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            target: raw.target,
            held: raw.held == 1,
            took: raw.took_ms.and_then(TimeDelta::try_milliseconds),
        })
    }
}

/// Keeps its driver from renewing until this transaction has ended. SQLite has one writer.
pub(crate) async fn lock(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    if conn.is_shared() {
        let _locked: Option<i64> =
            sql::query_scalar(LOCK).bind(secret.0).locking("FOR NO KEY UPDATE").fetch_optional(conn).await?;
    }
    Ok(())
}

/// The rotation of a secret.
pub(crate) async fn load(conn: &mut Conn, secret: SecretId) -> Result<Row, StoreError> {
    let raw: Option<Raw> = sql::query_as(LOAD).bind(secret.0).fetch_optional(conn).await?;
    // Every secret has one, so without one there is no secret.
    raw.ok_or(StoreError::SecretNotFound)?.try_into()
}

/// The rotations of these secrets, as far as they are there; each by itself, for one may not be readable.
pub(crate) async fn load_all(
    conn: &mut Conn,
    secrets: &[SecretId],
) -> Result<HashMap<SecretId, Result<Row, StoreError>>, StoreError> {
    let query = sql::query_as(LOAD_ALL).about_several();
    let raws: Vec<Raw> = query.bind(sql::numbers(secrets.iter().map(|id| id.0))).fetch_all(conn).await?;
    Ok(raws.into_iter().map(|raw| (SecretId(raw.secret_id), raw.try_into())).collect())
}

/// The row every secret has from its creation on.
pub(crate) async fn insert(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    sql::query(INSERT).bind(secret.0).execute(conn).await?;
    Ok(())
}

/// Writes all but the lease. Whatever it waited for may be another host, or none: that is asked again.
pub(crate) async fn save(conn: &mut Conn, row: &Row) -> Result<(), StoreError> {
    sql::query(SAVE)
        .bind(row.secret.0)
        .bind(row.live)
        .bind(row.configured)
        .bind(row.enabled)
        .bind(row.builtin)
        .bind(&row.rotator)
        .bind(row.rules.as_ref().map(to_json).transpose()?)
        .bind(&row.time_zone)
        .bind(to_json(&row.options)?)
        .bind(row.state.state_name())
        .bind(to_json(&row.state)?)
        .bind(row.paused)
        .bind(row.base.map(ms))
        .bind(row.current.map(ms))
        .bind(row.window.map(|window| ms(window.opens)))
        .bind(row.window.map(|window| ms(window.closes)))
        .bind(row.due.map(ms_not_before))
        .bind(&row.lane)
        .bind(row.verify.map(ms))
        .bind(row.verified_json()?)
        .bind(&row.target)
        .bind(row.took.map(|took| took.num_milliseconds()))
        .bind((!row.options.blackouts.is_empty()).then(|| row.options.blackouts.to_string()))
        .bind(row.hold.column())
        .execute(conn)
        .await?;
    Ok(())
}

/// A trial that an earlier binary had in its hands has lost its mark. It is one all the same: no rotation comes to its
/// test without a candidate.
fn healed(state: Rotation) -> Rotation {
    let mark = |run: Run| Run { trial: run.trial || run.candidate == 0, ..run };
    match state {
        Rotation::Waiting { run, step: step @ Step::Test, not_before } => {
            Rotation::Waiting { run: mark(run), step, not_before }
        }
        Rotation::Acting { run, step: step @ Step::Test } => Rotation::Acting { run: mark(run), step },
        Rotation::Parked { run, step: step @ Step::Test, reason } => Rotation::Parked { run: mark(run), step, reason },
        other => other,
    }
}

/// Times that cannot be read must not keep a secret from being served; whoever wrote them was told if they could not be.
fn blackouts(text: Option<&str>) -> Blackouts {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::inconsistent("a rotation cannot be written as JSON"))
}

/// The message names the column, not what is in it.
fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::inconsistent(format!("a rotation's {column} is not readable")))
}

const LOCK: &str = "-- rotation::lock
SELECT secret_id FROM rotation WHERE secret_id = $1";

const LOAD: &str = "-- rotation::load
SELECT secret_id, live, configured, enabled, builtin, rotator, lane, rules, time_zone, options, body, paused, unproven, base_ms,
       current_ms, window_opens_ms, window_closes_ms, due_ms, fence, lease_owner, lease_boot, lease_until_ms, verify_ms,
       verified, target, held, took_ms, blackouts
FROM rotation WHERE secret_id = $1";

const LOAD_ALL: &str = "-- rotation::load_all
SELECT secret_id, live, configured, enabled, builtin, rotator, lane, rules, time_zone, options, body, paused, unproven, base_ms,
       current_ms, window_opens_ms, window_closes_ms, due_ms, fence, lease_owner, lease_boot, lease_until_ms, verify_ms,
       verified, target, held, took_ms, blackouts
FROM rotation WHERE secret_id IN (SELECT value FROM json_each('[' || $1 || ']'))";

const INSERT: &str = "-- rotation::insert
INSERT INTO rotation (secret_id) VALUES ($1)";

const SAVE: &str = "-- rotation::save
UPDATE rotation SET live = $2, configured = $3, enabled = $4, builtin = $5, rotator = $6, rules = $7, time_zone = $8,
       options = $9, state = $10, body = $11, paused = $12, base_ms = $13, current_ms = $14, window_opens_ms = $15,
       window_closes_ms = $16, due_ms = $17, lane = $18, verify_ms = $19, verified = $20, target = $21,
       took_ms = $22, blackouts = $23, unproven = $24, held = 0
WHERE secret_id = $1";
