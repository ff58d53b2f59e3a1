//! Table `target`, and column `rotation.target`: which host a secret's rotation changes, and which hosts are not reached.
//!
//! The host stands in clear, as it does in history's messages: so that a limit per host needs no unsealing. Never here: who is
//! passed over because of it (`queue.rs`).

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use engine::Time;
use engine::account;
use engine::fleet::{LONGEST_PROBE, probe_after};
use engine::id::SecretId;

use crate::event;
use crate::instant::{instant, ms};
use crate::model::{Reach, Turned, Unreachable};
use crate::open::Inner;
use crate::subject::Subject;
use crate::tx::{Conn, Durability, Writing, snapshot};
use crate::{Store, StoreError, fleet, history, secret, sql};

/// Secrets whose host is looked up in one claim, the longest due first.
const LOOKED_UP: i64 = 100;

/// A host that is left alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Away {
    /// When one of its secrets may try.
    pub(crate) probe: i64,
    pub(crate) probes: i64,
}

impl Away {
    /// A time further ahead than any probe is left by a clock that was set back.
    pub(crate) fn is_due(self, now: Time) -> bool {
        self.probe <= ms(now) || self.probe > ms(now) + longest_ms()
    }
}

impl Store {
    /// An act of this secret ended so, as far as its host goes. Says what that changes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn reached(
        &self,
        target: &str,
        secret: SecretId,
        reach: &Reach,
        now: Time,
    ) -> Result<Option<Turned>, StoreError> {
        if target.is_empty() {
            return Ok(None);
        }
        match reach {
            Reach::Answered => self.answered(target, secret, now).await,
            Reach::Failed(said) => self.not_reached(target, secret, said, now).await,
        }
    }

    async fn answered(&self, target: &str, secret: SecretId, now: Time) -> Result<Option<Turned>, StoreError> {
        {
            // Nearly always there is nothing to forget.
            let mut conn = snapshot(&self.0).await?;
            let there: Option<i64> = sql::query_scalar(FAILURES).bind(target).fetch_optional(&mut conn).await?;
            if there.is_none() {
                return Ok(None);
            }
        }
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let opened: Option<Option<i64>> = sql::query_scalar(FORGET).bind(target).fetch_optional(w.conn()).await?;
        let since = opened.flatten().map(instant).transpose()?;
        if let Some(since) = since {
            let said = format!("{target} answers again; its secrets waited since {since}");
            history::note(&mut w, secret, None, "target-back", None, &said, now).await?;
            w.wake();
        }
        w.commit().await?;
        Ok(since.map(|since| Turned::Back { since }))
    }

    async fn not_reached(
        &self,
        target: &str,
        secret: SecretId,
        said: &str,
        now: Time,
    ) -> Result<Option<Turned>, StoreError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let most = i64::from(fleet::load(w.conn()).await?.fleet.limits.failures);
        let failures: i64 = sql::query_scalar(FAILED).bind(target).bind(said).fetch_one(w.conn()).await?;
        if most == 0 || failures < most {
            w.commit().await?;
            return Ok(None);
        }
        let probe = ms(now) + wait_ms(0);
        let opened = sql::query(OPEN).bind(target).bind(ms(now)).bind(probe).execute(w.conn()).await?.rows_affected();
        if opened > 0 {
            let said = format!(
                "{target} was not reached {failures} times in a row: its secrets wait until one of them reaches it"
            );
            history::note(&mut w, secret, None, "target-away", None, &said, now).await?;
        }
        w.commit().await?;
        Ok((opened > 0).then_some(Turned::Away { failures }))
    }

    /// The names of the hosts that are left alone.
    ///
    /// # Errors
    /// The database fails.
    pub async fn away(&self) -> Result<HashSet<String>, StoreError> {
        let mut conn = snapshot(&self.0).await?;
        Ok(away(&mut conn).await?.into_keys().collect())
    }

    /// The hosts that are left alone, and how many secrets wait for each.
    ///
    /// # Errors
    /// The database fails.
    pub async fn unreachable(&self) -> Result<Vec<Unreachable>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let rows: Vec<(String, i64, i64, i64, String)> = sql::query_as(ALL_AWAY).fetch_all(&mut tx).await?;
        let mut all = Vec::with_capacity(rows.len());
        for (target, failures, opened, probe, message) in rows {
            let waiting: i64 = sql::query_scalar(COUNT_HELD).bind(&target).fetch_one(&mut tx).await?;
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            all.push(Unreachable {
                since: instant(opened)?,
                next_probe: instant(probe)?,
                failures: count(failures),
                waiting: count(waiting),
                target,
                message,
            });
        }
        Ok(all)
    }
}

fn wait_ms(probes: i64) -> i64 {
    let wait = probe_after(u32::try_from(probes).unwrap_or(u32::MAX));
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

fn longest_ms() -> i64 {
    TimeDelta::from_std(LONGEST_PROBE).map_or(i64::MAX, |longest| longest.num_milliseconds())
}

/// The hosts that are left alone.
pub(crate) async fn away(conn: &mut Conn) -> Result<HashMap<String, Away>, StoreError> {
    let rows: Vec<(String, i64, i64)> = sql::query_as(AWAY).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(target, probe, probes)| (target, Away { probe, probes })).collect())
}

/// One of its secrets tries; the next one may do so later.
pub(crate) async fn probe(conn: &mut Conn, target: &str, away: Away, now: Time) -> Result<(), StoreError> {
    let next = ms(now) + wait_ms(away.probes + 1);
    sql::query(PROBE).bind(target).bind(next).execute(conn).await?;
    Ok(())
}

/// Looks up the hosts of what is due and has none yet.
pub(crate) async fn look_up(w: &mut Writing<'_>, now: Time) -> Result<(), StoreError> {
    // Whoever writes one of them, and so may change its host, is not waited for; and waits until the host is written down.
    let unseen = sql::query_scalar(UNSEEN).bind(ms(now)).bind(LOOKED_UP).locking("FOR NO KEY UPDATE SKIP LOCKED");
    let ids: Vec<i64> = unseen.fetch_all(w.conn()).await?;
    for id in ids {
        let target = match of_secret(w, SecretId(id)).await {
            // Whoever rotates it says what is wrong with it.
            Err(error) if is_unreadable(&error) => String::new(),
            target => target?,
        };
        sql::query(SEE).bind(id).bind(target).execute(w.conn()).await?;
    }
    Ok(())
}

/// The same for all that is due by now, however much that is, in transactions of their own.
pub(crate) async fn look_up_all(inner: &Inner, now: Time) -> Result<(), StoreError> {
    loop {
        let mut w = Writing::begin_as(inner, Durability::Ordered).await?;
        let left: i64 = sql::query_scalar(COUNT_UNSEEN).bind(ms(now)).fetch_one(w.conn()).await?;
        look_up(&mut w, now).await?;
        w.commit().await?;
        if left <= LOOKED_UP {
            return Ok(());
        }
    }
}

/// The host of a secret that is being written; None where that cannot be told: it is looked up when it is due.
pub(crate) async fn known(w: &mut Writing<'_>, subject: &Subject) -> Result<Option<String>, StoreError> {
    match of_subject(w, subject).await {
        Err(error) if is_unreadable(&error) => Ok(None),
        target => target.map(Some),
    }
}

fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::Sealed(_) | StoreError::Inconsistent { .. } | StoreError::SecretNotFound)
}

async fn of_secret(w: &mut Writing<'_>, id: SecretId) -> Result<String, StoreError> {
    let secret = secret::by_id(w.conn(), id).await?.ok_or(StoreError::SecretNotFound)?;
    let subject = Subject::of(w, secret).await?;
    of_subject(w, &subject).await
}

async fn of_subject(w: &mut Writing<'_>, subject: &Subject) -> Result<String, StoreError> {
    // A registered rotator knows by itself how much its receiver and its target take.
    if !subject.rotation.lane.is_empty() {
        return Ok(String::new());
    }
    let current = event::current_of(w, subject, w.inner()).await?;
    Ok(current.and_then(|(_, value)| account::server(&value.bytes)).unwrap_or_default())
}

const FAILURES: &str = "-- target::answered
SELECT failures FROM target WHERE name = $1";

const FORGET: &str = "-- target::answered (forget)
DELETE FROM target WHERE name = $1 RETURNING opened_ms";

const FAILED: &str = "-- target::not_reached
INSERT INTO target (name, failures, said) VALUES ($1, 1, $2)
ON CONFLICT (name) DO UPDATE SET failures = target.failures + 1, said = excluded.said
RETURNING failures";

const OPEN: &str = "-- target::not_reached (open)
UPDATE target SET opened_ms = $2, probe_ms = $3, probes = 0 WHERE name = $1 AND opened_ms IS NULL";

const AWAY: &str = "-- target::away
SELECT name, probe_ms, probes FROM target WHERE opened_ms IS NOT NULL";

const ALL_AWAY: &str = "-- target::unreachable
SELECT name, failures, opened_ms, probe_ms, said FROM target WHERE opened_ms IS NOT NULL ORDER BY name";

const COUNT_HELD: &str = "-- target::unreachable (held)
SELECT (SELECT COUNT(*) FROM rotation
        WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state <> 'idle' AND target = $1)
     + (SELECT COUNT(*) FROM rotation
        WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state = 'idle' AND target = $1)";

const PROBE: &str = "-- target::probe
UPDATE target SET probe_ms = $2, probes = probes + 1 WHERE name = $1";

const UNSEEN: &str = "-- target::look_up
SELECT secret_id FROM rotation
WHERE due_ms IS NOT NULL AND due_ms <= $1 AND lease_owner IS NULL AND target IS NULL
ORDER BY due_ms LIMIT $2";

const COUNT_UNSEEN: &str = "-- target::look_up_all
SELECT COUNT(*) FROM rotation
WHERE due_ms IS NOT NULL AND due_ms <= $1 AND lease_owner IS NULL AND target IS NULL";

const SEE: &str = "-- target::look_up (see)
UPDATE rotation SET target = $2 WHERE secret_id = $1";
