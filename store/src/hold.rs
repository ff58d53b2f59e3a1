//! Column `unproven`: what keeps a secret from rotating since the store may be older than its target, and what lets it go on. While
//! a secret is held nothing of it is due, so nobody claims it: no rotation starts, none that is open goes on, nothing is retired.
//!
//! Never here: how a target is asked (`src/looks.rs`), who looks when (`verify.rs`).

use engine::Time;
use engine::check::{LastVerified, Verified};
use engine::id::SecretId;
use engine::label::{CURRENT, PENDING};
use engine::rotation::{Rotation, Run, Step};

use crate::instant::{instant, ms};
use crate::model::{Unproven, VerifyOnly};
use crate::subject::Subject;
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, history, mode, rotation, sql};

/// So many secrets are let go at once: a write is not to be long.
const BATCH: i64 = 100;
/// So many are held at once, in two statements.
const HELD_AT_ONCE: i64 = 200;

/// What keeps a secret from rotating.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    #[default]
    None,
    /// AWSCURRENT has not been seen to log in since.
    Unproven,
    /// It has, and waits for the store to be verify-only no more.
    Proven,
    /// AWSCURRENT has not been seen, and a person asked for what is open now: that goes on.
    Asked,
}

impl Hold {
    /// As the column keeps it; what is not known there keeps the secret from rotating.
    pub(crate) fn of(column: i64) -> Self {
        match column {
            0 => Self::None,
            2 => Self::Proven,
            3 => Self::Asked,
            _ => Self::Unproven,
        }
    }

    pub(crate) fn column(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Unproven => 1,
            Self::Proven => 2,
            Self::Asked => 3,
        }
    }

    /// AWSCURRENT was seen to log in.
    pub(crate) fn proven(self) -> Self {
        if self == Self::None { Self::None } else { Self::Proven }
    }

    /// A person asked for what is opened, or for what is open to go on.
    pub(crate) fn asked(self) -> Self {
        if self == Self::None { Self::None } else { Self::Asked }
    }

    /// What a person asked for is over, and has proven nothing.
    pub(crate) fn closed(self) -> Self {
        if self == Self::Asked { Self::Unproven } else { self }
    }
}

impl rotation::Row {
    /// Nothing of it is to be done until it was seen to log in, or a person asks.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.hold, Hold::Unproven | Hold::Proven)
    }

    /// AWSCURRENT is to be seen, whatever else is known of the secret.
    pub(crate) fn is_to_be_seen(&self) -> bool {
        self.hold == Hold::Unproven && self.live && self.lane.is_empty()
    }

    /// Whether this answer of the target lets the secret go on: AWSCURRENT logs in, or the very value does that the open
    /// rotation sends. That one was set, then, and goes on to its test with nothing to set.
    pub(crate) fn is_shown_by(&self, answer: &Verified) -> bool {
        match (answer, &self.state) {
            (Verified::CurrentLogsIn, _) => true,
            (
                Verified::AnotherLogsIn { role },
                Rotation::Waiting { run, step: Step::Set | Step::Test | Step::Finish, .. }
                | Rotation::Acting { run, step: Step::Set | Step::Test | Step::Finish },
            ) => !run.trial && !run.promoted && (role == PENDING || *role == role_of(run)),
            (Verified::AnotherLogsIn { .. } | Verified::NoneLogsIn, _) => false,
        }
    }
}

/// What the value that a rotation sends is called where it is not labelled.
fn role_of(run: &Run) -> String {
    format!("candidate {} of {}", run.candidate, run.token)
}

impl Store {
    /// Lets go of what was held and may go on, some at a time, and ends verify-only when every account was seen and is well.
    /// Says whether there is more to do at once.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settle_holds(&self, now: Time) -> Result<bool, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let mode = mode::get(&mut tx).await?;
        if mode::is_new(&mut tx).await? {
            drop(tx);
            return mode::hold_if_new(&self.0, now).await;
        }
        let (proven, open): (i64, i64) = sql::query_as(STANDS).fetch_one(&mut tx).await?;
        drop(tx);
        match mode {
            Some(_) if open > 0 => Ok(false),
            Some(VerifyOnly { reason, since }) => {
                // What was entered meanwhile is another one, and nobody has looked for it yet.
                if !self.leave_mode(Some(since), now).await? {
                    return Ok(true);
                }
                tracing::info!(
                    verify_only.since = %since,
                    "every account was looked at and AWSCURRENT logs in: the store is verify-only no more ({reason})"
                );
                Ok(proven > 0)
            }
            None if proven > 0 => self.let_go(now).await,
            None => Ok(false),
        }
    }

    async fn let_go(&self, now: Time) -> Result<bool, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        if mode::get(w.conn()).await?.is_some() {
            return Ok(false);
        }
        let ids: Vec<i64> = sql::query_scalar(PROVEN).bind(BATCH).fetch_all(w.conn()).await?;
        let more = i64::try_from(ids.len()).is_ok_and(|count| count == BATCH);
        for id in ids.into_iter().map(SecretId) {
            match self.let_one_go(&mut w, id, now).await {
                Ok(()) => {}
                // One that cannot be read must not keep the others.
                Err(error @ (StoreError::Inconsistent { .. } | StoreError::SecretNotFound)) => {
                    tracing::error!(secret.id = id.0, %error, "a secret that was held cannot be read and stays so");
                    sql::query(HOLD_ONE).bind(id.0).execute(w.conn()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        w.wake();
        w.commit().await?;
        Ok(more)
    }

    async fn let_one_go(&self, w: &mut Writing<'_>, id: SecretId, now: Time) -> Result<(), StoreError> {
        let subject = Subject::by_id(w, id).await?;
        let mut subject = subject.ok_or_else(|| StoreError::inconsistent("a secret that is held is gone"))?;
        subject.rotation.hold = Hold::None;
        subject.replan_missed(now, self.0.options.schedule_limits);
        let said = "AWSCURRENT was seen to log in since the store was brought back: rotation goes on";
        history::note(w, id, subject.rotation.state.run(), "let-go", None, said, now).await?;
        let changed = subject.secret.changed;
        subject.save(w, changed).await
    }

    /// The secrets that are held because AWSCURRENT has not been seen to log in, by name, at most `most` of them; and how many
    /// there are.
    ///
    /// # Errors
    /// The database fails.
    pub async fn unproven(&self, most: u32) -> Result<(Vec<Unproven>, u64), StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let count: i64 = sql::query_scalar(COUNT).fetch_one(&mut tx).await?;
        let raws: Vec<Raw> = sql::query_as(UNPROVEN).bind(i64::from(most)).fetch_all(&mut tx).await?;
        Ok((raws.into_iter().map(Unproven::from).collect(), u64::try_from(count).unwrap_or(0)))
    }

    /// Lets go of what is held and cannot be looked at from here, because a person answers for it: secrets of registered
    /// rotators. Says how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn accept_unseen(&self, by: &str, now: Time) -> Result<u64, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let query = sql::query_scalar(UNSEEN).locking("FOR NO KEY UPDATE OF s");
        let ids: Vec<i64> = query.fetch_all(w.conn()).await?;
        for id in &ids {
            let said = "a person answers for AWSCURRENT, which cannot be looked at from here";
            history::note(&mut w, SecretId(*id), None, "accepted", Some(by), said, now).await?;
        }
        let accepted = sql::query(ACCEPT).execute(w.conn()).await?.rows_affected();
        w.wake();
        w.commit().await?;
        Ok(accepted)
    }
}

/// What rotates, or is in the middle of it, is held: some secrets after this one, of which it returns the last; None: there are no
/// more. Fences go on from far above: the store may be older than what a driver has in its hands.
pub(crate) async fn hold_some(conn: &mut Conn, after: i64, now: Time) -> Result<Option<i64>, StoreError> {
    // Whoever writes a secret has read its row and writes the whole of it: they are waited for, and wait.
    let query = sql::query_scalar(SOME).locking("FOR NO KEY UPDATE").bind(after).bind(HELD_AT_ONCE);
    let ids: Vec<i64> = query.fetch_all(&mut *conn).await?;
    let Some(last) = ids.last().copied() else { return Ok(None) };
    sql::query(HOLD_SOME).bind(ms(now)).bind(CURRENT).bind(after).bind(last).execute(conn).await?;
    Ok(Some(last))
}

/// Is the secret held? One that begins to be rotated while the store is verify-only is from now on.
pub(crate) async fn hold_new(conn: &mut Conn, subject: &mut Subject, now: Time) -> Result<bool, StoreError> {
    let is_new = subject.rotation.hold == Hold::None && mode::get(conn).await?.is_some();
    // Without a value there is nothing to see.
    if is_new && subject.labels.holder(CURRENT).is_some() {
        let row = &mut subject.rotation;
        (row.hold, row.due) = (Hold::Unproven, None);
        row.verify = row.is_to_be_seen().then_some(now).or(row.verify);
    }
    Ok(is_new || subject.rotation.is_held())
}

#[derive(sqlx::FromRow)]
struct Raw {
    name: String,
    arn: String,
    lane: String,
    state: String,
    verified: Option<String>,
    since_ms: Option<i64>,
}

impl From<Raw> for Unproven {
    fn from(raw: Raw) -> Self {
        let verified: LastVerified = raw.verified.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let since = raw.since_ms.and_then(|since| instant(since).ok());
        // What was found before the store was brought back says nothing about now.
        let is_new = |at: Option<Time>| at.is_some_and(|at| since.is_none_or(|since| at >= since));
        let failure = verified.failure.clone().filter(|failure| is_new(Some(failure.at)));
        let answer = verified.answer.clone().filter(|_| is_new(verified.at));
        Self {
            name: raw.name,
            arn: raw.arn,
            lane: raw.lane,
            is_open: raw.state != "idle",
            verified: LastVerified { answer, failure, ..verified },
        }
    }
}

const STANDS: &str = "-- hold::settle_holds
SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM rotation WHERE unproven = 2 LIMIT 1) AS proven),
       (SELECT COUNT(*) FROM (SELECT 1 FROM rotation WHERE unproven IN (1, 3) AND live = 1 LIMIT 1) AS unproven)";

const PROVEN: &str = "-- hold::let_go
SELECT secret_id FROM rotation WHERE unproven = 2 ORDER BY secret_id LIMIT $1";

const HOLD_ONE: &str = "-- hold::let_go (unreadable)
UPDATE rotation SET unproven = 1, due_ms = NULL WHERE secret_id = $1";

const SOME: &str = "-- hold::hold_some (lock)
SELECT id FROM secret WHERE id > $1 ORDER BY id LIMIT $2";

const HOLD_SOME: &str = "-- hold::hold_some
UPDATE rotation SET unproven = 1, due_ms = NULL, fence = fence + 1000, verify_ms = CASE WHEN lane = '' THEN $1 ELSE verify_ms END
WHERE secret_id > $3 AND secret_id <= $4
  AND (state <> 'idle' OR configured = 1
       AND EXISTS (SELECT 1 FROM label l WHERE l.secret_id = rotation.secret_id AND l.label = $2))";

const COUNT: &str = "-- hold::unproven (count)
SELECT COUNT(*) FROM rotation WHERE unproven IN (1, 3) AND live = 1";

const UNPROVEN: &str = "-- hold::unproven
SELECT s.name, s.arn, r.lane, r.state, r.verified, (SELECT since_ms FROM store_mode WHERE id = 1 AND verify_only = 1) AS since_ms
FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.unproven IN (1, 3) AND r.live = 1 ORDER BY s.name LIMIT $1";

const UNSEEN: &str = "-- hold::accept_unseen
SELECT r.secret_id FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.unproven = 1 AND r.live = 1 AND r.lane <> '' ORDER BY r.secret_id";

const ACCEPT: &str = "-- hold::accept_unseen (accept)
UPDATE rotation SET unproven = 2 WHERE unproven = 1 AND live = 1 AND lane <> ''";
