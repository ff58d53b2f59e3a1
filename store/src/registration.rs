//! Table `rotator`: the rotators that an operator registered. In memory; a commit that touches them ends what is there.
//!
//! Their keys are sealed and bound to name and settings: who may write the database, and has no keyring, cannot make up a
//! URL that values are sent to. He can put an old row back, with the URL and the keys it had, enable what is disabled, and
//! give a secret's rotation to another rotator that is registered (`rotation.lane`): these are in clear.
//! Never here: calling them, judging their settings.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::TimeDelta;
use crypto::{Binding, Kind, SealError};
use engine::Time;
use engine::port::{Abilities, Options};
use engine::registration::{Keys, Registration, Settings, SigningKey};
use engine::rotation::Step;
use engine::secret::SecretBytes;
use engine::strategy::Retirement;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::generation::{self, Of};
use crate::instant::{instant, instant_opt, ms, whole_ms};
use crate::model::{Facts, Lane, NewRotator, RotatorEntry};
use crate::open::Inner;
use crate::outbox::SERVER;
use crate::sql::Flag;
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, check, lane, sql};

/// As long as the hash that signs.
const SIGNING_KEY_BYTES: usize = 32;
/// One that signs, and the one before it while its receiver still goes by that.
const MOST_SIGNING_KEYS: usize = 2;

/// Every registered rotator by its name. One whose row cannot be read is kept as the reason why.
pub(crate) type All = HashMap<String, Result<Arc<Registration>, Unreadable>>;

/// Why a registration cannot be read.
#[derive(Debug, Clone)]
pub(crate) enum Unreadable {
    Sealed(SealError),
    Contents,
}

impl From<Unreadable> for StoreError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Sealed(error) => Self::Sealed(error),
            Unreadable::Contents => Self::inconsistent("a rotator's settings or keys are not readable"),
        }
    }
}

/// A fresh key to sign deliveries with, from `now` on.
#[must_use]
pub fn new_signing_key(now: Time) -> SigningKey {
    let mut bytes = vec![0; SIGNING_KEY_BYTES];
    rand::rng().fill(bytes.as_mut_slice());
    SigningKey { secret: SecretBytes::new(bytes), created: whole_ms(now), expires: None }
}

impl Store {
    /// Registers a rotator.
    ///
    /// # Errors
    /// [`StoreError::RotatorExists`]; the database fails, or there are no random bytes.
    pub async fn create_rotator(&self, new: NewRotator, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        if state(w.conn(), &new.name).await?.is_some() {
            return Err(StoreError::RotatorExists(new.name));
        }
        check::keep_up(w.conn(), &self.0).await?;
        let (settings, sealed) = seal(&self.0, &new.name, &new.settings, &new.keys)?;
        let query = sql::query(INSERT).bind(&new.name).bind(settings).bind(sealed).bind(new.disabled);
        query.bind(ms(now)).execute(w.conn()).await?;
        w.touch_rotators();
        w.tell(SERVER, "rotator.registered", Facts::of_rotator(&new.name), now);
        w.commit().await
    }

    /// The registered rotator of this name.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] where its keys do not open; or the database fails.
    pub async fn rotator(&self, name: &str) -> Result<Option<Arc<Registration>>, StoreError> {
        Ok(all(&self.0).await?.get(name).cloned().transpose()?)
    }

    /// Every registered rotator by name, without its keys.
    ///
    /// # Errors
    /// The database fails.
    pub async fn rotators(&self) -> Result<Vec<RotatorEntry>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let raws: Vec<RawEntry> = sql::query_as(LIST).fetch_all(&mut tx).await?;
        raws.into_iter().map(RotatorEntry::try_from).collect()
    }

    /// How many secrets a rotator serves, those included that are to be deleted, and the first of their names.
    ///
    /// # Errors
    /// The database fails.
    pub async fn served_by(&self, name: &str) -> Result<(u64, Vec<String>), StoreError> {
        let mut tx = snapshot(&self.0).await?;
        lane::served(&mut tx, name).await
    }

    /// The lanes of registered rotators, by name; as a rule from memory, so it may be asked before every claim.
    ///
    /// # Errors
    /// The database fails.
    pub async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        let all = all(&self.0).await?;
        let readable = all.values().filter_map(|registration| registration.as_ref().ok());
        let lane = |registration: &Arc<Registration>| Lane {
            name: registration.name.clone(),
            concurrency: if registration.disabled { 0 } else { registration.settings.concurrency },
        };
        let mut lanes: Vec<Lane> = readable.map(lane).collect();
        lanes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(lanes)
    }

    /// Changes settings, and keys except those that sign. `seen` is when it was last changed as the caller knows it.
    ///
    /// # Errors
    /// [`StoreError::RotatorNotFound`], [`StoreError::RotatorChanged`]; or the database fails.
    pub async fn update_rotator(
        &self,
        name: &str,
        settings: &Settings,
        keys: &Keys,
        seen: Time,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let there = get(&mut w, &self.0, name).await?;
        if there.changed != seen {
            return Err(StoreError::RotatorChanged(name.to_owned()));
        }
        let keys = Keys { signing: there.keys.signing.clone(), ..keys.clone() };
        let changed = Registration { settings: settings.clone(), keys, ..there };
        self.write(w, changed, now).await
    }

    /// Lets a rotator be called, or does not call it from now on. What is open waits; a window that closes meanwhile is
    /// over: nothing starts because somebody lets things go on.
    ///
    /// # Errors
    /// [`StoreError::RotatorNotFound`]; or the database fails.
    pub async fn set_rotator_disabled(&self, name: &str, disabled: bool, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let there = get(&mut w, &self.0, name).await?;
        if there.disabled == disabled {
            return w.rollback().await;
        }
        if !disabled {
            lane::replan_missed(&mut w, &self.0, name, now).await?;
        }
        w.wake();
        self.write(w, Registration { disabled, ..there }, now).await
    }

    /// Forgets a rotator that serves nothing.
    ///
    /// # Errors
    /// [`StoreError::RotatorNotFound`], [`StoreError::RotatorInUse`]; or the database fails.
    pub async fn remove_rotator(&self, name: &str) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        // Whoever is about to be served by it holds it, and is seen here when that has ended.
        let _locked: Option<String> =
            sql::query_scalar(NAME).bind(name).locking("FOR UPDATE").fetch_optional(w.conn()).await?;
        let (count, secrets) = lane::served(w.conn(), name).await?;
        if count > 0 {
            return Err(StoreError::RotatorInUse { name: name.to_owned(), count, secrets });
        }
        let removed = sql::query(REMOVE).bind(name).execute(w.conn()).await?;
        if removed.rows_affected() != 1 {
            return Err(StoreError::RotatorNotFound(name.to_owned()));
        }
        w.touch_rotators();
        w.tell(SERVER, "rotator.removed", Facts::of_rotator(name), self.0.clock.now());
        w.commit().await
    }

    /// Adds a signing key and lets the one before it sign for `overlap` more. While two are live already nothing is
    /// changed, or with `replace` the older of them ends at once.
    ///
    /// # Errors
    /// [`StoreError::RotatorNotFound`], [`StoreError::NoSigningKey`], [`StoreError::TooManyKeys`]; the database fails, or
    /// there are no random bytes.
    pub async fn rotate_signing_key(
        &self,
        name: &str,
        overlap: TimeDelta,
        replace: bool,
        now: Time,
    ) -> Result<SigningKey, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let mut there = get(&mut w, &self.0, name).await?;
        let mut live: Vec<SigningKey> = there.keys.live(now).cloned().collect();
        if there.keys.signing.is_empty() {
            return Err(StoreError::NoSigningKey(name.to_owned()));
        }
        if live.len() >= MOST_SIGNING_KEYS {
            if !replace {
                return Err(StoreError::TooManyKeys(name.to_owned()));
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
        self.write(w, there, now).await?;
        Ok(new)
    }

    async fn write(&self, mut w: Writing<'_>, registration: Registration, now: Time) -> Result<(), StoreError> {
        let Registration { name, settings, keys, disabled, changed, .. } = registration;
        // Never the same moment twice: it tells whether somebody else was faster.
        let changed = ms(now).max(ms(changed) + 1);
        check::keep_up(w.conn(), &self.0).await?;
        let (settings, sealed) = seal(&self.0, &name, &settings, &keys)?;
        let query = sql::query(UPDATE).bind(&name).bind(settings).bind(sealed).bind(disabled);
        query.bind(changed).execute(w.conn()).await?;
        w.touch_rotators();
        w.tell(SERVER, "rotator.changed", Facts::of_rotator(&name), now);
        w.commit().await
    }
}

/// Every registered rotator as it was last committed.
async fn all(inner: &Inner) -> Result<Arc<All>, StoreError> {
    let load = async {
        let mut tx = snapshot(inner).await?;
        let raws: Vec<Raw> = sql::query_as(ALL).fetch_all(&mut tx).await?;
        Ok(raws.into_iter().map(|raw| (raw.name.clone(), raw.open(inner).map(Arc::new))).collect())
    };
    let stamp = generation::get(inner, Of::Rotators).await?;
    inner.rotators.get(stamp, load).await
}

/// As the transaction sees it, which is to change it: nobody else does meanwhile.
pub(crate) async fn get(w: &mut Writing<'_>, inner: &Inner, name: &str) -> Result<Registration, StoreError> {
    let get = sql::query_as(GET).bind(name).locking("FOR NO KEY UPDATE");
    let raw: Option<Raw> = get.fetch_optional(w.conn()).await?;
    let raw = raw.ok_or_else(|| StoreError::RotatorNotFound(name.to_owned()))?;
    Ok(raw.open(inner)?)
}

/// What the rotator that serves a secret can do, with what is settled for that secret. Built-in rotators retire what
/// setSecret left working.
pub(crate) async fn abilities(conn: &mut Conn, name: &str, options: &Options) -> Result<Abilities, StoreError> {
    let ends = options.retirement() != Retirement::Never;
    if name.is_empty() {
        let retires_after = ends.then(|| options.grace().as_secs());
        return Ok(Abilities { retires_after, retires_retained: true, ..Abilities::default() });
    }
    let abilities = state(conn, name).await?.map(|(settings, _)| settings.abilities()).unwrap_or_default();
    let grace = abilities.retires_after.filter(|_| ends);
    Ok(Abilities { retires_after: grace.map(|grace| options.grace_seconds.unwrap_or(grace)), ..abilities })
}

/// Whether a step is sent to the registered rotator of this name: each, but a createSecret where Pawl makes the value.
pub(crate) async fn is_sent(conn: &mut Conn, name: &str, step: Step) -> Result<bool, StoreError> {
    if name.is_empty() || step != Step::Create {
        return Ok(!name.is_empty());
    }
    Ok(state(conn, name).await?.is_some_and(|(settings, _)| settings.makes_values()))
}

/// As [`state`], for a secret that it is to serve: it is not removed meanwhile.
pub(crate) async fn hold(conn: &mut Conn, name: &str) -> Result<Option<(Settings, bool)>, StoreError> {
    let _held: Option<String> =
        sql::query_scalar(NAME).bind(name).locking("FOR KEY SHARE").fetch_optional(&mut *conn).await?;
    state(conn, name).await
}

/// What it is, and whether it is disabled; None where there is none of this name.
pub(crate) async fn state(conn: &mut Conn, name: &str) -> Result<Option<(Settings, bool)>, StoreError> {
    let row: Option<(String, Flag)> = sql::query_as(STATE).bind(name).fetch_optional(conn).await?;
    row.map(|(settings, disabled)| Ok((read(&settings)?, disabled.0))).transpose()
}

fn read(text: &str) -> Result<Settings, Unreadable> {
    serde_json::from_str(text).map_err(|_| Unreadable::Contents)
}

/// A rotator as stored.
#[derive(sqlx::FromRow)]
struct Raw {
    name: String,
    settings: String,
    sealed: Vec<u8>,
    disabled: Flag,
    created_ms: i64,
    changed_ms: i64,
}

impl Raw {
    fn open(self, inner: &Inner) -> Result<Registration, Unreadable> {
        let keys = unseal_keys(inner, &place(&self.name, &self.settings), &self.sealed)?;
        let date = |ms| instant(ms).map_err(|_| Unreadable::Contents);
        Ok(Registration {
            settings: read(&self.settings)?,
            keys,
            disabled: self.disabled.0,
            created: date(self.created_ms)?,
            changed: date(self.changed_ms)?,
            name: self.name,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RawEntry {
    name: String,
    settings: String,
    disabled: Flag,
    created_ms: i64,
    changed_ms: i64,
    secrets: i64,
}

impl TryFrom<RawEntry> for RotatorEntry {
    type Error = StoreError;

    fn try_from(raw: RawEntry) -> Result<Self, StoreError> {
        Ok(Self {
            settings: read(&raw.settings)?,
            disabled: raw.disabled.0,
            created: instant(raw.created_ms)?,
            changed: instant(raw.changed_ms)?,
            secrets: u64::try_from(raw.secrets).unwrap_or(0),
            name: raw.name,
        })
    }
}

/// What is sealed. Every secret is in Base64, so that it is read without another copy of it.
#[derive(Serialize, Deserialize)]
struct Plain<'a> {
    #[serde(borrow)]
    signing: Vec<PlainKey<'a>>,
    access_key_secret: Option<&'a str>,
    client_key: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct PlainKey<'a> {
    secret: &'a str,
    created_ms: i64,
    expires_ms: Option<i64>,
}

/// The settings as they are stored, and the keys sealed for them.
fn seal(inner: &Inner, name: &str, settings: &Settings, keys: &Keys) -> Result<(String, Vec<u8>), StoreError> {
    let unspeakable = |_| StoreError::inconsistent("a rotator cannot be written as JSON");
    let settings = serde_json::to_string(settings).map_err(unspeakable)?;
    let sealed = seal_keys(inner, &place(name, &settings), keys)?;
    Ok((settings, sealed))
}

/// Keys, sealed for this place.
pub(crate) fn seal_keys(inner: &Inner, place: &Binding<'_>, keys: &Keys) -> Result<Vec<u8>, StoreError> {
    let unspeakable = |_| StoreError::inconsistent("keys cannot be written as JSON");
    let spelled = |secret: &SecretBytes| SecretBytes::from(BASE64.encode(secret.expose()));
    let signing: Vec<_> = keys.signing.iter().map(|key| (spelled(&key.secret), key)).collect();
    let access_key_secret = keys.access_key_secret.as_ref().map(spelled);
    let client_key = keys.client_key.as_ref().map(spelled);
    let plain = Plain {
        signing: signing.iter().map(|(secret, key)| plain_key(secret, key)).collect(),
        access_key_secret: access_key_secret.as_ref().and_then(SecretBytes::expose_str),
        client_key: client_key.as_ref().and_then(SecretBytes::expose_str),
    };
    // Written in one place only: text that has to grow leaves copies behind.
    let mut text = Vec::with_capacity(room_for(&plain));
    let written = serde_json::to_writer(&mut text, &plain);
    let text = SecretBytes::new(text);
    written.map_err(unspeakable)?;
    Ok(inner.keyring.seal(place, text.expose())?)
}

/// What [`seal_keys`] made for the same place.
pub(crate) fn unseal_keys(inner: &Inner, place: &Binding<'_>, sealed: &[u8]) -> Result<Keys, Unreadable> {
    open_keys(&inner.keyring.open(place, sealed).map_err(Unreadable::Sealed)?)
}

fn plain_key<'a>(secret: &'a SecretBytes, key: &SigningKey) -> PlainKey<'a> {
    let secret = secret.expose_str().unwrap_or_default();
    PlainKey { secret, created_ms: ms(key.created), expires_ms: key.expires.map(ms) }
}

fn room_for(plain: &Plain<'_>) -> usize {
    let of = |text: Option<&str>| text.map_or(0, str::len);
    256 + plain.signing.iter().map(|key| key.secret.len() + 128).sum::<usize>()
        + of(plain.access_key_secret)
        + of(plain.client_key)
}

fn open_keys(text: &[u8]) -> Result<Keys, Unreadable> {
    let plain: Plain<'_> = serde_json::from_slice(text).map_err(|_| Unreadable::Contents)?;
    let read = |text: &str| BASE64.decode(text).map(SecretBytes::new).map_err(|_| Unreadable::Contents);
    let key = |key: PlainKey<'_>| {
        let dates = (instant(key.created_ms), instant_opt(key.expires_ms));
        let (Ok(created), Ok(expires)) = dates else { return Err(Unreadable::Contents) };
        Ok(SigningKey { secret: read(key.secret)?, created, expires })
    };
    Ok(Keys {
        signing: plain.signing.into_iter().map(key).collect::<Result<_, _>>()?,
        access_key_secret: plain.access_key_secret.map(read).transpose()?,
        client_key: plain.client_key.map(read).transpose()?,
    })
}

pub(crate) fn place<'a>(name: &'a str, settings: &'a str) -> Binding<'a> {
    Binding { kind: Kind::Rotator, owner: name, version: settings, candidate: 0 }
}

const NAME: &str = "-- registration::hold
SELECT name FROM rotator WHERE name = $1";

const ALL: &str = "-- registration::all
SELECT name, settings, sealed, disabled, created_ms, changed_ms FROM rotator";

const GET: &str = "-- registration::get
SELECT name, settings, sealed, disabled, created_ms, changed_ms FROM rotator WHERE name = $1";

const STATE: &str = "-- registration::state
SELECT settings, disabled FROM rotator WHERE name = $1";

const LIST: &str = "-- registration::rotators
SELECT name, settings, disabled, created_ms, changed_ms,
       (SELECT COUNT(*) FROM rotation r JOIN secret s ON s.id = r.secret_id
        WHERE r.lane = rotator.name AND r.lane <> '' AND s.gone = 0) AS secrets
FROM rotator ORDER BY name";

const INSERT: &str = "-- registration::create_rotator
INSERT INTO rotator (name, settings, sealed, disabled, created_ms, changed_ms) VALUES ($1, $2, $3, $4, $5, $5)";

const UPDATE: &str = "-- registration::write
UPDATE rotator SET settings = $2, sealed = $3, disabled = $4, changed_ms = $5 WHERE name = $1";

const REMOVE: &str = "-- registration::remove_rotator
DELETE FROM rotator WHERE name = $1";
