//! Table `access_key`: who may sign requests. Loaded when the store is opened, since this process owns it.
//!
//! Never here: verifying signatures.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crypto::{Binding, Kind};
use engine::Time;
use engine::secret::SecretBytes;
use rand::{Rng, RngExt};

use crate::instant::ms;
use crate::model::{AccessKey, NewAccessKey};
use crate::open::Inner;
use crate::tx::{Writing, snapshot};
use crate::{Store, StoreError};

const ID_PREFIX: &str = "AKIA";
const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_LENGTH: usize = 16;
const SECRET_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;

/// Every access key by its id. One whose row does not open is kept as the reason why.
#[derive(Default)]
pub(crate) struct AccessKeys(RwLock<HashMap<String, Result<AccessKey, crypto::SealError>>>);

impl AccessKeys {
    pub(crate) async fn load(&self, inner: &Inner) -> Result<(), StoreError> {
        let mut tx = snapshot(inner).await?;
        let rows: Vec<Raw> = sqlx::query_as(ALL).fetch_all(&mut *tx).await?;
        let keys = rows.into_iter().map(|row| (row.access_key_id.clone(), open(inner, row)));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.collect();
        Ok(())
    }
}

impl Store {
    /// The access key of this id.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] where its row does not open.
    #[expect(clippy::unused_async, reason = "a PostgreSQL store will have to ask")]
    pub async fn access_key(&self, access_key_id: &str) -> Result<Option<AccessKey>, StoreError> {
        let keys = self.0.access_keys.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.get(access_key_id).cloned().transpose()?)
    }

    /// Makes an access key for `principal`. Its secret half is in the answer and, sealed, in the store.
    ///
    /// # Errors
    /// The database fails, or there are no random bytes.
    pub async fn create_access_key(&self, principal: &str, now: Time) -> Result<NewAccessKey, StoreError> {
        let new = generate(principal, &mut rand::rng());
        let binding = place(&new.access_key_id, principal);
        let sealed = self.0.keyring.seal(&binding, new.secret.expose())?;
        let mut w = Writing::begin(&self.0).await?;
        let query = sqlx::query(INSERT).bind(&new.access_key_id).bind(principal).bind(sealed);
        query.bind(ms(now)).execute(w.conn()).await?;
        w.commit().await?;
        let key = AccessKey {
            access_key_id: new.access_key_id.clone(),
            secret: new.secret.clone(),
            principal: principal.to_owned(),
            enabled: true,
        };
        let mut keys = self.0.access_keys.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(new.access_key_id.clone(), Ok(key));
        Ok(new)
    }

    /// Is there any access key?
    ///
    /// # Errors
    /// None today.
    #[expect(clippy::unused_async, reason = "a PostgreSQL store will have to ask")]
    pub async fn has_access_keys(&self) -> Result<bool, StoreError> {
        let keys = self.0.access_keys.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(!keys.is_empty())
    }
}

#[derive(sqlx::FromRow)]
struct Raw {
    access_key_id: String,
    principal: String,
    sealed: Vec<u8>,
    enabled: bool,
}

fn open(inner: &Inner, row: Raw) -> Result<AccessKey, crypto::SealError> {
    let mut plain = inner.keyring.open(&place(&row.access_key_id, &row.principal), &row.sealed)?;
    Ok(AccessKey {
        secret: SecretBytes::new(std::mem::take(&mut *plain)),
        access_key_id: row.access_key_id,
        principal: row.principal,
        enabled: row.enabled,
    })
}

/// The principal is bound too: who may write the database cannot make a key somebody else's.
fn place<'a>(access_key_id: &'a str, principal: &'a str) -> Binding<'a> {
    Binding { kind: Kind::AccessKey, owner: access_key_id, version: principal, candidate: 0 }
}

fn generate(principal: &str, rng: &mut impl Rng) -> NewAccessKey {
    let mut access_key_id = String::from(ID_PREFIX);
    access_key_id.extend((0..ID_LENGTH).map(|_| char::from(ID_LETTERS[rng.random_range(0..ID_LETTERS.len())])));
    let secret = (0..SECRET_LENGTH).map(|_| SECRET_LETTERS[rng.random_range(0..SECRET_LETTERS.len())]).collect();
    NewAccessKey { access_key_id, secret: SecretBytes::new(secret), principal: principal.to_owned(), enabled: true }
}

const ALL: &str = "-- key::load
SELECT access_key_id, principal, sealed, enabled FROM access_key";

const INSERT: &str = "-- key::insert
INSERT INTO access_key (access_key_id, principal, sealed, created_ms) VALUES ($1, $2, $3, $4)";
