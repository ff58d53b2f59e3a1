//! Table `access_key`: who may sign requests. In memory; a commit that touches keys or principals ends what is there.
//!
//! Never here: verifying signatures, what a role may do.

use std::collections::HashMap;
use std::sync::Arc;

use crypto::{Binding, Kind, SealError};
use engine::Time;
use engine::secret::SecretBytes;
use rand::{Rng, RngExt};

use crate::generation::{self, Of};
use crate::instant::{instant, ms};
use crate::model::{AccessKey, AccessKeyEntry, NewAccessKey, Principal, Role};
use crate::open::Inner;
use crate::principal::{self, Raw as RawPrincipal};
use crate::sql::Flag;
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, check, sql};

/// How many access keys a principal may have: two, so that they can be changed without a gap.
const MOST_KEYS: i64 = 2;
const ID_PREFIX: &str = "AKIA";
const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// How many letters follow the prefix of an id.
pub(crate) const ID_LETTERS_COUNT: usize = 16;
const SECRET_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;

/// Every access key by its id. One whose row does not open is kept as the reason why.
pub(crate) type Keys = HashMap<String, Result<Arc<AccessKey>, SealError>>;

/// The access keys as they were last committed.
pub(crate) async fn all(inner: &Inner) -> Result<Arc<Keys>, StoreError> {
    let stamp = generation::get(inner, Of::AccessKeys).await?;
    inner.access_keys.get(stamp, load(inner)).await
}

impl Store {
    /// The access key of this id. A key whose principal is gone, or has a role this binary does not know, is none.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] where its row does not open; or the database fails.
    pub async fn access_key(&self, access_key_id: &str) -> Result<Option<Arc<AccessKey>>, StoreError> {
        let keys = all(&self.0).await?;
        Ok(keys.get(access_key_id).cloned().transpose()?)
    }

    /// Every access key, by principal and age.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list_access_keys(&self) -> Result<Vec<AccessKeyEntry>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let rows: Vec<Raw> = sql::query_as(ALL).fetch_all(&mut tx).await?;
        rows.into_iter().filter_map(|row| row.entry().transpose()).collect()
    }

    /// Makes another access key for a principal that is there. Its secret half is in the answer and, sealed, in the
    /// store.
    ///
    /// # Errors
    /// [`StoreError::PrincipalNotFound`], [`StoreError::KeyQuota`]; the database fails, or there are no random bytes.
    pub async fn create_access_key(&self, principal: &str, now: Time) -> Result<NewAccessKey, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        let there = principal::get(w.conn(), principal).await?;
        there.ok_or_else(|| StoreError::PrincipalNotFound(principal.to_owned()))?;
        self.insert_key(w, principal, now).await
    }

    /// The first access key of a store, for a principal that is there. None: there is one already. Of several nodes that start
    /// at once one makes it.
    ///
    /// # Errors
    /// As [`Store::create_access_key`].
    pub async fn create_first_access_key(
        &self,
        principal: &str,
        now: Time,
    ) -> Result<Option<NewAccessKey>, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        let any: Option<String> = sql::query_scalar(ANY).fetch_optional(w.conn()).await?;
        match any {
            Some(_) => w.rollback().await.map(|()| None),
            None => self.insert_key(w, principal, now).await.map(Some),
        }
    }

    /// Makes an access key for a principal, and the principal where it is new. One that is there must have the same
    /// role and scope: a second key never changes what the first may do.
    ///
    /// # Errors
    /// [`StoreError::PrincipalDiffers`], [`StoreError::KeyQuota`]; the database fails, or there are no random bytes.
    pub async fn create_principal_key(&self, new: Principal, now: Time) -> Result<NewAccessKey, StoreError> {
        let new = Principal { scope: new.scope.normal(), ..new };
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        match principal::get(w.conn(), &new.name).await? {
            None => principal::insert(w.conn(), &new, now).await?,
            Some(there) if there == new => {}
            Some(_) => return Err(StoreError::PrincipalDiffers(new.name)),
        }
        self.insert_key(w, &new.name, now).await
    }

    /// As [`Store::create_access_key`], for whoever lost the keys there are and has the data folder in hand: where the
    /// principal has all the keys it may have, a disabled one or else the oldest is deleted. Says which.
    ///
    /// # Errors
    /// As [`Store::create_access_key`], without the quota.
    pub async fn replace_access_key(
        &self,
        principal: &str,
        now: Time,
    ) -> Result<(NewAccessKey, Option<String>), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        let there = principal::get(w.conn(), principal).await?;
        there.ok_or_else(|| StoreError::PrincipalNotFound(principal.to_owned()))?;
        let full = count(w.conn(), principal).await? >= MOST_KEYS;
        let replaced: Option<String> = match full {
            true => sql::query_scalar(DELETE_LEAST).bind(principal).fetch_optional(w.conn()).await?,
            false => None,
        };
        Ok((self.insert_key(w, principal, now).await?, replaced))
    }

    async fn insert_key(&self, mut w: Writing<'_>, principal: &str, now: Time) -> Result<NewAccessKey, StoreError> {
        if count(w.conn(), principal).await? >= MOST_KEYS {
            return Err(StoreError::KeyQuota(principal.to_owned()));
        }
        let (access_key_id, secret) = generate(ID_PREFIX, &mut rand::rng());
        check::keep_up(w.conn(), &self.0).await?;
        let sealed = self.0.keyring.seal(&place(&access_key_id, principal), secret.expose())?;
        let query = sql::query(INSERT).bind(&access_key_id).bind(principal).bind(sealed);
        query.bind(ms(now)).execute(w.conn()).await?;
        w.touch_keys();
        w.commit().await?;
        Ok(NewAccessKey { access_key_id, secret, principal: principal.to_owned(), enabled: true })
    }

    /// Lets an access key sign, or refuses it from the next request on.
    ///
    /// # Errors
    /// [`StoreError::AccessKeyNotFound`], [`StoreError::LastAdministratorKey`]; or the database fails.
    pub async fn set_access_key_enabled(&self, access_key_id: &str, enabled: bool) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        if !enabled {
            keep_an_administrator(w.conn(), access_key_id).await?;
        }
        let changed = sql::query(SET_ENABLED).bind(access_key_id).bind(enabled).execute(w.conn()).await?;
        found(changed.rows_affected())?;
        w.touch_keys();
        w.commit().await
    }

    /// Deletes an access key; and its principal with the last one, the first administrator apart.
    ///
    /// # Errors
    /// As [`Store::set_access_key_enabled`].
    pub async fn delete_access_key(&self, access_key_id: &str) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        keep_an_administrator(w.conn(), access_key_id).await?;
        let changed = sql::query(DELETE).bind(access_key_id).execute(w.conn()).await?;
        found(changed.rows_affected())?;
        principal::remove_keyless(w.conn()).await?;
        w.touch_keys();
        w.commit().await
    }

    /// Is there any access key?
    ///
    /// # Errors
    /// The database fails.
    pub async fn has_access_keys(&self) -> Result<bool, StoreError> {
        Ok(!all(&self.0).await?.is_empty())
    }
}

/// A new id with this prefix, and a secret.
pub(crate) fn generate(prefix: &str, rng: &mut impl Rng) -> (String, SecretBytes) {
    let mut id = String::with_capacity(prefix.len() + ID_LETTERS_COUNT);
    id.push_str(prefix);
    id.extend((0..ID_LETTERS_COUNT).map(|_| char::from(ID_LETTERS[rng.random_range(0..ID_LETTERS.len())])));
    let secret = (0..SECRET_LENGTH).map(|_| SECRET_LETTERS[rng.random_range(0..SECRET_LETTERS.len())]).collect();
    (id, SecretBytes::new(secret))
}

/// A key and its principal as stored.
#[derive(sqlx::FromRow)]
struct Raw {
    access_key_id: String,
    sealed: Vec<u8>,
    enabled: Flag,
    created_ms: i64,
    #[sqlx(flatten)]
    principal: RawPrincipal,
}

impl Raw {
    fn entry(self) -> Result<Option<AccessKeyEntry>, StoreError> {
        let created = instant(self.created_ms)?;
        let Self { access_key_id, enabled: Flag(enabled), .. } = self;
        Ok(self.principal.read().map(|principal| AccessKeyEntry { access_key_id, principal, enabled, created }))
    }

    fn open(self, inner: &Inner) -> Option<(String, Result<Arc<AccessKey>, SealError>)> {
        let id = self.access_key_id;
        let Some(principal) = self.principal.read() else {
            tracing::warn!(access_key_id = %id, "the principal of an access key cannot be read; the key is refused");
            return None;
        };
        let opened = inner.keyring.open(&place(&id, &principal.name), &self.sealed).map(|mut plain| {
            let secret = SecretBytes::new(std::mem::take(&mut *plain));
            let principal = Arc::new(principal);
            Arc::new(AccessKey { access_key_id: id.clone(), secret, principal, enabled: self.enabled.0 })
        });
        Some((id, opened))
    }
}

async fn load(inner: &Inner) -> Result<Keys, StoreError> {
    let mut tx = snapshot(inner).await?;
    let rows: Vec<Raw> = sql::query_as(ALL).fetch_all(&mut tx).await?;
    Ok(rows.into_iter().filter_map(|row| row.open(inner)).collect())
}

async fn count(conn: &mut Conn, principal: &str) -> Result<i64, StoreError> {
    Ok(sql::query_scalar(COUNT).bind(principal).fetch_one(conn).await?)
}

/// Nobody locks himself out: refuses where this key is enabled, an administrator's, and the only one of that kind.
async fn keep_an_administrator(conn: &mut Conn, access_key_id: &str) -> Result<(), StoreError> {
    let enabled: Vec<String> =
        sql::query_scalar(ADMINISTRATORS).bind(Role::Administrator.name()).fetch_all(conn).await?;
    match enabled.as_slice() {
        [last] if last == access_key_id => Err(StoreError::LastAdministratorKey),
        _ => Ok(()),
    }
}

fn found(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::AccessKeyNotFound) }
}

/// The principal is bound too: who may write the database cannot make a key somebody else's.
pub(crate) fn place<'a>(access_key_id: &'a str, principal: &'a str) -> Binding<'a> {
    Binding { kind: Kind::AccessKey, owner: access_key_id, version: principal, candidate: 0 }
}

const ALL: &str = "-- key::load
SELECT k.access_key_id, k.sealed, k.enabled, k.created_ms, p.name, p.role, p.prefixes, p.secrets
FROM access_key k JOIN principal p ON p.name = k.principal
ORDER BY k.principal, k.created_ms, k.access_key_id";

const ANY: &str = "-- key::create_first_access_key
SELECT access_key_id FROM access_key LIMIT 1";

const COUNT: &str = "-- key::count
SELECT COUNT(*) FROM access_key WHERE principal = $1";

const INSERT: &str = "-- key::insert
INSERT INTO access_key (access_key_id, principal, sealed, created_ms) VALUES ($1, $2, $3, $4)";

const SET_ENABLED: &str = "-- key::set_access_key_enabled
UPDATE access_key SET enabled = $2 WHERE access_key_id = $1";

const DELETE: &str = "-- key::delete_access_key
DELETE FROM access_key WHERE access_key_id = $1";

const DELETE_LEAST: &str = "-- key::replace_access_key
DELETE FROM access_key WHERE access_key_id = (
    SELECT access_key_id FROM access_key WHERE principal = $1 ORDER BY enabled, created_ms, access_key_id LIMIT 1)
RETURNING access_key_id";

const ADMINISTRATORS: &str = "-- key::keep_an_administrator
SELECT k.access_key_id FROM access_key k JOIN principal p ON p.name = k.principal
WHERE p.role = $1 AND k.enabled = 1";
