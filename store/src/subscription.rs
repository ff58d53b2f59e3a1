//! Table `subscription`: who is told of events.
//!
//! Its keys are sealed and bound to name and settings, as a rotator's are: who may write the database, and has no keyring,
//! cannot make up a URL that events are sent to. Never here: telling anybody, judging a URL.

use std::sync::Arc;

use chrono::TimeDelta;
use crypto::{Binding, Kind};
use engine::Time;
use engine::registration::{Keys, SigningKey};
use engine::subscription::{Settings, Subscription};

use crate::instant::{instant, ms, whole_ms};
use crate::model::{Facts, SubscriptionEntry};
use crate::open::Inner;
use crate::outbox::SERVER;
use crate::registration::{new_signing_key, seal_keys, unseal_keys};
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, check, dead_letter, errand, event_log, sql};

/// One that signs, and the one before it while its receiver still goes by that.
const MOST_SIGNING_KEYS: usize = 2;
/// How many there may be: every event is weighed for each.
const MOST: i64 = 100;

impl Store {
    /// Makes a subscription, which is told of what happens from now on, and returns its signing key.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionExists`], [`StoreError::SubscriptionQuota`]; the database fails, or there are no random
    /// bytes.
    pub async fn subscribe(
        &self,
        name: &str,
        settings: &Settings,
        disabled: bool,
        by: &str,
        now: Time,
    ) -> Result<SigningKey, StoreError> {
        // What has committed before is not for it.
        while self.publish().await? > 0 {}
        let key = new_signing_key(now);
        let keys = Keys { signing: vec![key.clone()], ..Keys::default() };
        let mut w = Writing::begin(&self.0).await?;
        let count: i64 = sql::query_scalar(COUNT).fetch_one(w.conn()).await?;
        if offset(w.conn(), name).await?.is_some() {
            return Err(StoreError::SubscriptionExists(name.to_owned()));
        }
        if count >= MOST {
            return Err(StoreError::SubscriptionQuota(MOST));
        }
        check::keep_up(w.conn(), &self.0).await?;
        let (settings, sealed) = seal(&self.0, name, settings, &keys)?;
        let begins = event_log::last(w.conn()).await?;
        let query = sql::query(INSERT).bind(name).bind(settings).bind(sealed).bind(ms(now)).bind(begins);
        query.bind(i64::from(disabled)).execute(w.conn()).await?;
        w.acting(by);
        w.tell(SERVER, "subscription.created", about(name), now);
        w.commit().await?;
        Ok(key)
    }

    /// Every subscription by name, with its keys. One that cannot be read is left out, and said in the log.
    ///
    /// # Errors
    /// The database fails.
    pub async fn subscriptions(&self) -> Result<Vec<Arc<Subscription>>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let raws = all(&mut tx).await?;
        drop(tx);
        let mut subscriptions = Vec::with_capacity(raws.len());
        for raw in raws {
            let name = raw.name.clone();
            match raw.open(&self.0) {
                Ok(subscription) => subscriptions.push(Arc::new(subscription)),
                // One row that was changed behind our back must not keep the others from being told.
                Err(error) => tracing::error!(subscription = name, %error, "a subscription cannot be read"),
            }
        }
        Ok(subscriptions)
    }

    /// One subscription, with its keys.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`], [`StoreError::Sealed`]; or the database fails.
    pub async fn subscription(&self, name: &str) -> Result<Subscription, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let raw = get(&mut tx, name).await?.ok_or_else(|| StoreError::SubscriptionNotFound(name.to_owned()))?;
        raw.open(&self.0)
    }

    /// A subscription and how far it is told.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`]; or the database fails.
    pub async fn subscription_entry(&self, name: &str) -> Result<SubscriptionEntry, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let raw = get(&mut tx, name).await?.ok_or_else(|| StoreError::SubscriptionNotFound(name.to_owned()))?;
        entry(&mut tx, raw).await
    }

    /// Every subscription by name, without its keys.
    ///
    /// # Errors
    /// The database fails.
    pub async fn subscription_entries(&self) -> Result<Vec<SubscriptionEntry>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let mut entries = Vec::new();
        for raw in all(&mut tx).await? {
            entries.push(entry(&mut tx, raw).await?);
        }
        Ok(entries)
    }

    /// Changes settings, and whether it is told. `seen` is when it was last changed as the caller knows it.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`], [`StoreError::SubscriptionChanged`]; or the database fails.
    pub async fn update_subscription(
        &self,
        name: &str,
        settings: &Settings,
        disabled: bool,
        seen: Time,
        by: &str,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let there = locked(w.conn(), &self.0, name).await?;
        let (there, _) = there.ok_or_else(|| StoreError::SubscriptionNotFound(name.to_owned()))?;
        if there.changed != seen {
            return Err(StoreError::SubscriptionChanged(name.to_owned()));
        }
        if there.disabled && !disabled {
            let now = w.now(now).await?;
            errand::resume(w.conn(), name, now).await?;
        }
        w.acting(by);
        self.write_subscription(w, Subscription { settings: settings.clone(), disabled, ..there }, now).await
    }

    /// Forgets a subscription, what it waits for and its dead letters.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`]; or the database fails.
    pub async fn unsubscribe(&self, name: &str, by: &str, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let removed = sql::query(REMOVE).bind(name).execute(w.conn()).await?;
        if removed.rows_affected() != 1 {
            return Err(StoreError::SubscriptionNotFound(name.to_owned()));
        }
        w.acting(by);
        w.tell(SERVER, "subscription.deleted", about(name), now);
        w.commit().await
    }

    /// Adds a signing key and lets the one before it sign for `overlap` more, as a rotator's.
    ///
    /// # Errors
    /// [`StoreError::SubscriptionNotFound`], [`StoreError::SubscriptionKeys`]; or the database fails.
    pub async fn rotate_subscription_key(
        &self,
        name: &str,
        overlap: TimeDelta,
        replace: bool,
        by: &str,
        now: Time,
    ) -> Result<SigningKey, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let there = locked(w.conn(), &self.0, name).await?;
        let (mut there, _) = there.ok_or_else(|| StoreError::SubscriptionNotFound(name.to_owned()))?;
        let mut live: Vec<SigningKey> = there.keys.live(now).cloned().collect();
        if live.len() >= MOST_SIGNING_KEYS {
            if !replace {
                return Err(StoreError::SubscriptionKeys(name.to_owned()));
            }
            live.drain(..=live.len() - MOST_SIGNING_KEYS);
        }
        let ends = whole_ms(now + overlap);
        for key in &mut live {
            key.expires = Some(key.expires.map_or(ends, |expires| expires.min(ends)));
        }
        let new = new_signing_key(now);
        live.push(new.clone());
        there.keys.signing = live;
        w.acting(by);
        self.write_subscription(w, there, now).await?;
        Ok(new)
    }

    async fn write_subscription(&self, mut w: Writing<'_>, it: Subscription, now: Time) -> Result<(), StoreError> {
        // Never the same moment twice: it tells whether somebody else was faster.
        let changed = ms(now).max(ms(it.changed) + 1);
        check::keep_up(w.conn(), &self.0).await?;
        let (settings, sealed) = seal(&self.0, &it.name, &it.settings, &it.keys)?;
        let query = sql::query(UPDATE).bind(&it.name).bind(settings).bind(sealed);
        query.bind(i64::from(it.disabled)).bind(changed).execute(w.conn()).await?;
        w.tell(SERVER, "subscription.changed", about(&it.name), now);
        w.commit().await
    }
}

/// A subscription as the transaction sees it, and up to where events are in its queues. Whoever else changes it waits.
pub(crate) async fn locked(
    conn: &mut Conn,
    inner: &Inner,
    name: &str,
) -> Result<Option<(Subscription, i64)>, StoreError> {
    let offset: Option<i64> = sql::query_scalar(LOCK).bind(name).fetch_optional(&mut *conn).await?;
    let Some(offset) = offset else { return Ok(None) };
    let raw = get(conn, name).await?.ok_or_else(|| StoreError::SubscriptionNotFound(name.to_owned()))?;
    Ok(Some((raw.open(inner)?, offset)))
}

/// Up to where events are in its queues; None: there is none of this name.
pub(crate) async fn offset(conn: &mut Conn, name: &str) -> Result<Option<i64>, StoreError> {
    Ok(sql::query_scalar(OFFSET).bind(name).fetch_optional(conn).await?)
}

/// Events are published that are not in its queues, and it is told of them.
pub(crate) async fn is_behind(conn: &mut Conn, name: &str) -> Result<bool, StoreError> {
    let behind: Option<i64> = sql::query_scalar(IS_BEHIND).bind(name).fetch_optional(conn).await?;
    Ok(behind.is_some())
}

pub(crate) async fn advance(conn: &mut Conn, name: &str, offset: i64) -> Result<(), StoreError> {
    sql::query(ADVANCE).bind(name).bind(offset).execute(conn).await?;
    Ok(())
}

pub(crate) async fn count_missed(conn: &mut Conn, name: &str, count: i64) -> Result<(), StoreError> {
    sql::query(COUNT_MISSED).bind(name).bind(count).execute(conn).await?;
    Ok(())
}

/// Nobody is told any more.
pub(crate) async fn disable(conn: &mut Conn, name: &str, now: Time) -> Result<(), StoreError> {
    sql::query(DISABLE).bind(name).bind(ms(now)).execute(conn).await?;
    Ok(())
}

fn about(name: &str) -> Facts {
    Facts { subscription_name: Some(name.to_owned()), ..Facts::default() }
}

async fn all(conn: &mut Conn) -> Result<Vec<Raw>, StoreError> {
    Ok(sql::query_as(ALL).fetch_all(conn).await?)
}

async fn get(conn: &mut Conn, name: &str) -> Result<Option<Raw>, StoreError> {
    Ok(sql::query_as(GET).bind(name).fetch_optional(conn).await?)
}

async fn entry(conn: &mut Conn, raw: Raw) -> Result<SubscriptionEntry, StoreError> {
    let (waiting, failing) = errand::counts(&mut *conn, &raw.name).await?;
    let dead = dead_letter::count(conn, &raw.name).await?;
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(SubscriptionEntry {
        settings: read(&raw.settings)?,
        disabled: raw.disabled != 0,
        created: instant(raw.created_ms)?,
        changed: instant(raw.changed_ms)?,
        offset: raw.pos,
        waiting: count(waiting),
        failing: count(failing),
        dead: count(dead),
        missed: count(raw.missed),
        name: raw.name,
    })
}

#[derive(sqlx::FromRow)]
struct Raw {
    name: String,
    settings: String,
    sealed: Vec<u8>,
    disabled: i64,
    created_ms: i64,
    changed_ms: i64,
    pos: i64,
    missed: i64,
}

impl Raw {
    fn open(self, inner: &Inner) -> Result<Subscription, StoreError> {
        Ok(Subscription {
            keys: unseal_keys(inner, &place(&self.name, &self.settings), &self.sealed)?,
            settings: read(&self.settings)?,
            disabled: self.disabled != 0,
            created: instant(self.created_ms)?,
            changed: instant(self.changed_ms)?,
            name: self.name,
        })
    }
}

fn read(settings: &str) -> Result<Settings, StoreError> {
    serde_json::from_str(settings).map_err(|_| StoreError::inconsistent("a subscription's settings are not readable"))
}

fn seal(inner: &Inner, name: &str, settings: &Settings, keys: &Keys) -> Result<(String, Vec<u8>), StoreError> {
    let settings = serde_json::to_string(settings)
        .map_err(|_| StoreError::inconsistent("a subscription cannot be written as JSON"))?;
    let sealed = seal_keys(inner, &place(name, &settings), keys)?;
    Ok((settings, sealed))
}

pub(crate) fn place<'a>(name: &'a str, settings: &'a str) -> Binding<'a> {
    Binding { kind: Kind::Subscription, owner: name, version: settings, candidate: 0 }
}

const COUNT: &str = "-- subscription::subscribe (count)
SELECT COUNT(*) FROM subscription";

const INSERT: &str = "-- subscription::subscribe
INSERT INTO subscription (name, settings, sealed, created_ms, changed_ms, pos, disabled)
VALUES ($1, $2, $3, $4, $4, $5, $6)";

const ALL: &str = "-- subscription::all
SELECT name, settings, sealed, disabled, created_ms, changed_ms, pos, missed FROM subscription ORDER BY name";

const GET: &str = "-- subscription::get
SELECT name, settings, sealed, disabled, created_ms, changed_ms, pos, missed FROM subscription WHERE name = $1";

// The same value, written: whoever else changes it waits for this transaction's end.
const LOCK: &str = "-- subscription::locked
UPDATE subscription SET pos = pos WHERE name = $1 RETURNING pos";

const OFFSET: &str = "-- subscription::offset
SELECT pos FROM subscription WHERE name = $1";

const IS_BEHIND: &str = "-- subscription::is_behind
SELECT s.pos FROM subscription s WHERE s.name = $1 AND s.disabled = 0
  AND s.pos < (SELECT l.pos FROM event_log l WHERE l.id = 1)";

const ADVANCE: &str = "-- subscription::advance
UPDATE subscription SET pos = $2 WHERE name = $1";

const COUNT_MISSED: &str = "-- subscription::count_missed
UPDATE subscription SET missed = missed + $2 WHERE name = $1";

const DISABLE: &str = "-- subscription::disable
UPDATE subscription SET disabled = 1, changed_ms = $2 WHERE name = $1";

const UPDATE: &str = "-- subscription::write_subscription
UPDATE subscription SET settings = $2, sealed = $3, disabled = $4, changed_ms = $5 WHERE name = $1";

const REMOVE: &str = "-- subscription::unsubscribe
DELETE FROM subscription WHERE name = $1";
