//! Table `history`: what was done and noted about a secret's rotations, for people.
//!
//! Never here: anything decisions depend on; any secret.

use engine::Time;
use engine::id::SecretId;
use engine::outcome::Verdict;
use engine::rotation::{Run, Step};

use crate::instant::{instant, instant_opt, ms};
use crate::model::HistoryEntry;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, registration, resolve, rotation, sql};

/// As many lines of a secret as are kept, and as can be asked for.
const MOST_LINES: i64 = 1000;

impl Store {
    /// What was done and noted about a secret's rotations, newest first.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn history(&self, id: &str, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let secret = resolve::find(&mut tx, id).await?;
        let query = sql::query_as(LATEST).bind(secret.id.0).bind(i64::from(limit));
        let raws: Vec<Raw> = query.fetch_all(&mut tx).await?;
        raws.into_iter().map(HistoryEntry::try_from).collect()
    }
}

/// How the latest trial ended, if that is among the lines that are kept.
pub(crate) async fn last_test(conn: &mut Conn, secret: SecretId) -> Result<Option<HistoryEntry>, StoreError> {
    let raw: Option<Raw> = sql::query_as(LAST_TEST).bind(secret.0).fetch_optional(conn).await?;
    raw.map(HistoryEntry::try_from).transpose()
}

/// Forgets a secret's lines but the newest [`MOST_LINES`]: a secret may rotate every few seconds for years.
pub(crate) async fn trim(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    sql::query(TRIM).bind(secret.0).bind(MOST_LINES).execute(conn).await?;
    Ok(())
}

/// Notes something.
pub(crate) async fn note(
    conn: &mut Conn,
    secret: SecretId,
    run: Option<&Run>,
    kind: &str,
    by: Option<&str>,
    message: &str,
    now: Time,
) -> Result<(), StoreError> {
    let query = sql::query(NOTE).bind(secret.0).bind(run.map(|run| run.token.as_str())).bind(kind);
    let query = query.bind(run.map_or(0, |run| i64::from(run.attempt)));
    let by = by.or(run.map(|run| run.started_by.as_str()));
    query.bind(by).bind(ms(now)).bind(message).execute(&mut *conn).await?;
    // What belongs to a rotation is trimmed when that closes.
    if run.is_none() { trim(conn, secret).await } else { Ok(()) }
}

/// A step begins; where it is sent to a registered rotator it is a delivery.
pub(crate) async fn begin(
    conn: &mut Conn,
    row: &rotation::Row,
    run: &Run,
    step: Step,
    now: Time,
) -> Result<(), StoreError> {
    let query = sql::query(BEGIN).bind(row.secret.0).bind(run.token.as_str()).bind(step.name());
    let query = query.bind(i64::from(run.attempt)).bind(&run.started_by);
    let sent = registration::is_sent(conn, &row.lane, step).await?;
    query.bind(ms(now)).bind(sent.then_some(&row.lane)).execute(conn).await?;
    Ok(())
}

/// How a step ended.
pub(crate) struct Ended {
    pub(crate) step: Step,
    pub(crate) verdict: &'static str,
    pub(crate) message: String,
    /// Of an answer over HTTP.
    pub(crate) status: Option<u16>,
}

/// The step under way ended.
pub(crate) async fn end(conn: &mut Conn, secret: SecretId, ended: &Ended, now: Time) -> Result<(), StoreError> {
    let query = sql::query(END).bind(secret.0).bind(ended.step.name());
    let query = query.bind(ms(now)).bind(ended.verdict).bind(&ended.message);
    query.bind(ended.status.map(i64::from)).execute(&mut *conn).await?;
    // The other end may be asked about its work a thousand times before anything closes.
    if ended.verdict == Verdict::InProgress.name() { trim(conn, secret).await } else { Ok(()) }
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: i64,
    token: Option<String>,
    kind: String,
    step: Option<String>,
    attempt: i64,
    actor: Option<String>,
    started_ms: i64,
    ended_ms: Option<i64>,
    verdict: Option<String>,
    message: String,
}

impl TryFrom<Raw> for HistoryEntry {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            token: raw.token,
            kind: raw.kind,
            step: raw.step,
            attempt: u32::try_from(raw.attempt).unwrap_or(u32::MAX),
            by: raw.actor,
            started: instant(raw.started_ms)?,
            ended: instant_opt(raw.ended_ms)?,
            verdict: raw.verdict,
            message: raw.message,
        })
    }
}

const LATEST: &str = "-- history::latest
SELECT id, token, kind, step, attempt, actor, started_ms, ended_ms, verdict, message
FROM history WHERE secret_id = $1 ORDER BY id DESC LIMIT $2";

const LAST_TEST: &str = "-- history::last_test
SELECT id, token, kind, step, attempt, actor, started_ms, ended_ms, verdict, message
FROM history WHERE secret_id = $1 AND kind IN ('test-succeeded', 'test-failed') ORDER BY id DESC LIMIT 1";

const TRIM: &str = "-- history::trim
DELETE FROM history WHERE secret_id = $1
  AND id <= (SELECT id FROM history WHERE secret_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";

const NOTE: &str = "-- history::note
INSERT INTO history (secret_id, token, kind, attempt, actor, started_ms, ended_ms, message)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7)";

const BEGIN: &str = "-- history::begin
INSERT INTO history (secret_id, token, kind, step, attempt, actor, started_ms, rotator)
VALUES ($1, $2, 'step', $3, $4, $5, $6, $7)";

const END: &str = "-- history::end
UPDATE history SET ended_ms = $3, verdict = $4, message = $5, status = $6
WHERE step = $2 AND ended_ms IS NULL AND id = (
    SELECT MAX(id) FROM history WHERE secret_id = $1 AND kind = 'step' AND ended_ms IS NULL)";
