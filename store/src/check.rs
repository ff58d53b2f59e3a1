//! Table `store_check`: the row that shows whether a keyring belongs to a store. The key that seals it is the one that seals
//! everything new, whatever a node's file says is primary: so nodes change together.
//!
//! Never here: what else is sealed.

use crypto::{Binding, KeyId, Keyring, Kind, SealError};
use engine::Time;
use engine::id::VersionId;

use crate::instant::ms;
use crate::open::Inner;
use crate::tx::{Conn, Writing};
use crate::{OpenError, StoreError, copy, keynode, secret, sql};

/// A new store gets a check row sealed by its keyring; an old one must have its row opened by it. Of several nodes that make it
/// at once one is first, and the others are held to its row.
pub(crate) async fn keyring(inner: &Inner) -> Result<(), OpenError> {
    let mut w = Writing::begin(inner).await?;
    copy::refuse_half(w.conn()).await?;
    if get(w.conn()).await?.is_none() {
        if secret::any(w.conn()).await? {
            return Err(StoreError::inconsistent("there are secrets and no check row").into());
        }
        insert(w.conn(), &inner.keyring, inner.clock.now()).await?;
    }
    belongs(w.conn(), &inner.keyring).await?;
    if matches!(w.conn(), Conn::Sqlite(_)) {
        // One process has it, and that is this one.
        keynode::forget_all(w.conn()).await?;
    }
    Ok(w.commit().await?)
}

/// The keyring opens the check row, and seals with its key from now on.
pub(crate) async fn belongs(conn: &mut Conn, keyring: &Keyring) -> Result<(), OpenError> {
    let Some(row) = get(conn).await? else {
        return Err(StoreError::inconsistent("there is no check row: this is no store").into());
    };
    match keyring.open(&place(&row.store_id), &row.sealed) {
        Ok(_) => Ok(keyring.seal_under(row.key()?).map_err(StoreError::from)?),
        Err(SealError::UnknownKey(_) | SealError::Forged | SealError::Format) if conn.is_shared() => {
            Err(OpenError::ForeignStore)
        }
        Err(SealError::UnknownKey(_) | SealError::Forged | SealError::Format) => Err(OpenError::WrongKeyring),
        Err(error) => Err(StoreError::from(error).into()),
    }
}

/// The row as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    store_id: String,
    sealed: Vec<u8>,
    replaced: String,
}

impl Row {
    /// The key that seals everything new.
    pub(crate) fn key(&self) -> Result<KeyId, StoreError> {
        Ok(crypto::sealed_under(&self.sealed)?)
    }

    /// That key has sealed before, and another one has taken its place.
    pub(crate) fn has_replaced(&self, key: KeyId) -> bool {
        let id = key.to_string();
        self.replaced.split_whitespace().any(|replaced| replaced == id)
    }
}

pub(crate) async fn get(conn: &mut Conn) -> Result<Option<Row>, StoreError> {
    Ok(sql::query_as(CHECK).fetch_optional(conn).await?)
}

/// The row of a store that is open.
pub(crate) async fn row(conn: &mut Conn) -> Result<Row, StoreError> {
    get(conn).await?.ok_or_else(|| StoreError::inconsistent("there is no check row"))
}

/// Seals the row anew under `key`, which is the keyring's primary one; false: somebody else was faster.
pub(crate) async fn rewrap(conn: &mut Conn, keyring: &Keyring, row: &Row, key: KeyId) -> Result<bool, StoreError> {
    let sealed = keyring.rewrap(&place(&row.store_id), &row.sealed)?;
    if crypto::sealed_under(&sealed)? != key {
        // Whoever seals at the same moment goes by the row as it still is.
        return Err(StoreError::Again);
    }
    let query = sql::query(REWRAP).bind(sealed).bind(&row.sealed).bind(row.key()?.to_string());
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

/// What is sealed in this transaction is sealed under the key that the store says: a node that was asleep while the key was changed
/// may not know of it yet.
pub(crate) async fn keep_up(conn: &mut Conn, inner: &Inner) -> Result<(), StoreError> {
    if !conn.is_shared() {
        return Ok(());
    }
    let stored = row(conn).await?.key()?;
    if stored == inner.keyring.primary_id() {
        return Ok(());
    }
    if !inner.keyring.key_ids().contains(&stored) {
        // It may be in the file by now; where it is not, nothing can be sealed here.
        let _changed = inner.keyring.reread();
    }
    Ok(inner.keyring.seal_under(stored)?)
}

async fn insert(conn: &mut Conn, keyring: &Keyring, now: Time) -> Result<(), StoreError> {
    let store_id = VersionId::random(&mut rand::rng());
    let sealed = keyring.seal(&place(store_id.as_str()), b"pawl")?;
    let query = sql::query(INSERT).bind(store_id.as_str()).bind(sealed);
    query.bind(ms(now)).execute(conn).await?;
    Ok(())
}

fn place(store_id: &str) -> Binding<'_> {
    Binding { kind: Kind::Check, owner: store_id, version: "", candidate: 0 }
}

const CHECK: &str = "-- check::get
SELECT store_id, sealed, replaced FROM store_check WHERE id = 1";

const INSERT: &str = "-- check::insert
INSERT INTO store_check (id, store_id, sealed, created_ms) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING";

const REWRAP: &str = "-- check::rewrap
UPDATE store_check SET sealed = $1, replaced = replaced || ' ' || CAST($3 AS TEXT) WHERE id = 1 AND sealed = $2";
