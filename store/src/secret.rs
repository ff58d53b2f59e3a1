//! Table `secret`: names, ARNs, dates and the wrapped data key.
//!
//! Never here: values, labels, what may be done to a secret that is to be deleted (callers ask [`Row::live`]).

use std::collections::HashMap;

use crypto::{DataKey, Keyring};
use engine::Time;
use engine::id::SecretId;

use crate::instant::{instant, instant_opt, ms};
use crate::sql::Flag;
use crate::tx::Conn;
use crate::{StoreError, sql};

/// A secret's own row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: SecretId,
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) description: Option<String>,
    pub(crate) kms_key_id: Option<String>,
    pub(crate) data_key: Vec<u8>,
    pub(crate) tagged: bool,
    pub(crate) created: Time,
    pub(crate) changed: Time,
    pub(crate) accessed: Option<Time>,
    pub(crate) rotated: Option<Time>,
    /// When it really goes.
    pub(crate) deleted: Option<Time>,
}

impl Row {
    /// Refuses a secret that is to be deleted.
    pub(crate) fn live(&self) -> Result<(), StoreError> {
        match self.deleted {
            None => Ok(()),
            Some(_) => Err(StoreError::MarkedForDeletion),
        }
    }

    /// Its data key, unwrapped.
    pub(crate) fn key(&self, keyring: &Keyring) -> Result<DataKey, StoreError> {
        Ok(keyring.unwrap(&self.arn, &self.data_key)?)
    }
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: i64,
    arn: String,
    name: String,
    token: String,
    description: Option<String>,
    kms_key_id: Option<String>,
    data_key: Vec<u8>,
    tagged: Flag,
    created_ms: i64,
    changed_ms: i64,
    accessed_ms: Option<i64>,
    rotated_ms: Option<i64>,
    deleted_ms: Option<i64>,
}

impl TryFrom<Raw> for Row {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        Ok(Self {
            id: SecretId(raw.id),
            arn: raw.arn,
            name: raw.name,
            token: raw.token,
            description: raw.description,
            kms_key_id: raw.kms_key_id,
            data_key: raw.data_key,
            tagged: raw.tagged.0,
            created: instant(raw.created_ms)?,
            changed: instant(raw.changed_ms)?,
            accessed: instant_opt(raw.accessed_ms)?,
            rotated: instant_opt(raw.rotated_ms)?,
            deleted: instant_opt(raw.deleted_ms)?,
        })
    }
}

/// The secret of this number, unless it is gone.
pub(crate) async fn by_id(conn: &mut Conn, id: SecretId) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(BY_ID).bind(id.0).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The secrets of these numbers, as far as they are not gone; each by itself, for one may not be readable.
pub(crate) async fn by_ids(
    conn: &mut Conn,
    ids: &[SecretId],
) -> Result<HashMap<SecretId, Result<Row, StoreError>>, StoreError> {
    let query = sql::query_as(BY_IDS).about_several().bind(sql::numbers(ids.iter().map(|id| id.0)));
    let raws: Vec<Raw> = query.fetch_all(conn).await?;
    Ok(raws.into_iter().map(|raw| (SecretId(raw.id), Row::try_from(raw))).collect())
}

/// What keeps every other writer of the secret away until the transaction has ended, and lets rows refer to it.
const LOCK: &str = "FOR NO KEY UPDATE";

/// The same for whoever is to write it: writers of one secret take turns.
pub(crate) async fn lock_by_id(conn: &mut Conn, id: SecretId) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(BY_ID).bind(id.0).locking(LOCK).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The same for whoever is to write it.
pub(crate) async fn lock_by_name(conn: &mut Conn, name: &str) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(BY_NAME).bind(name).locking(LOCK).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The same for whoever is to write it.
pub(crate) async fn lock_by_arn(conn: &mut Conn, arn: &str) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(BY_ARN).bind(arn).locking(LOCK).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The secret of this name, unless it is gone.
pub(crate) async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(BY_NAME).bind(name).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The secret of this full ARN, unless it is gone.
pub(crate) async fn by_arn(conn: &mut Conn, arn: &str) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(BY_ARN).bind(arn).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// Has this ARN ever been given to a secret that still has a row?
pub(crate) async fn arn_taken(conn: &mut Conn, arn: &str) -> Result<bool, StoreError> {
    let row: Option<i64> = sql::query_scalar(ARN_TAKEN).bind(arn).fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// Inserts a secret; its `id` is ignored and the new one returned.
pub(crate) async fn insert(conn: &mut Conn, row: &Row) -> Result<SecretId, StoreError> {
    let id = sql::query_scalar(INSERT)
        .bind(&row.arn)
        .bind(&row.name)
        .bind(&row.token)
        .bind(&row.description)
        .bind(&row.kms_key_id)
        .bind(&row.data_key)
        .bind(row.tagged)
        .bind(ms(row.created))
        .bind(ms(row.changed))
        .fetch_one(conn)
        .await?;
    Ok(SecretId(id))
}

/// Writes what may change of a secret, its dates of access apart.
pub(crate) async fn update(conn: &mut Conn, row: &Row) -> Result<(), StoreError> {
    sql::query(UPDATE)
        .bind(row.id.0)
        .bind(&row.description)
        .bind(&row.kms_key_id)
        .bind(row.tagged)
        .bind(ms(row.changed))
        .bind(row.rotated.map(ms))
        .bind(row.deleted.map(ms))
        .execute(conn)
        .await?;
    Ok(())
}

/// A value was read on the day beginning at `day_ms`. Days only go forward.
pub(crate) async fn accessed(conn: &mut Conn, id: SecretId, day_ms: i64) -> Result<(), StoreError> {
    sql::query(ACCESSED).bind(id.0).bind(day_ms).execute(conn).await?;
    Ok(())
}

/// Deleted for good, kept for its unresolved candidates: answers to nothing, and its name is free.
pub(crate) async fn bury(conn: &mut Conn, id: SecretId) -> Result<(), StoreError> {
    sql::query(BURY).bind(id.0).execute(conn).await?;
    Ok(())
}

/// Removes the row; everything else of the secret must be gone or go with it.
pub(crate) async fn remove(conn: &mut Conn, id: SecretId) -> Result<(), StoreError> {
    sql::query(REMOVE).bind(id.0).execute(conn).await?;
    Ok(())
}

/// Secrets to be removed at `now`: those whose window has ended, and buried ones that nothing holds any more. What
/// somebody else is writing, or removing, is left to the next time.
pub(crate) async fn ended(conn: &mut Conn, now: Time) -> Result<Vec<SecretId>, StoreError> {
    let ids: Vec<i64> =
        sql::query_scalar(ENDED).bind(ms(now)).locking("FOR UPDATE SKIP LOCKED").fetch_all(conn).await?;
    Ok(ids.into_iter().map(SecretId).collect())
}

/// Is there any secret at all, gone ones included?
pub(crate) async fn any(conn: &mut Conn) -> Result<bool, StoreError> {
    let row: Option<i64> = sql::query_scalar(ANY).fetch_optional(conn).await?;
    Ok(row.is_some())
}

const BY_ID: &str = "-- secret::by_id
SELECT id, arn, name, token, description, kms_key_id, data_key, tagged,
       created_ms, changed_ms, accessed_ms, rotated_ms, deleted_ms
FROM secret WHERE id = $1 AND gone = 0";

const BY_IDS: &str = "-- secret::by_ids
SELECT id, arn, name, token, description, kms_key_id, data_key, tagged,
       created_ms, changed_ms, accessed_ms, rotated_ms, deleted_ms
FROM secret WHERE id IN (SELECT value FROM json_each('[' || $1 || ']')) AND gone = 0";

const BY_NAME: &str = "-- secret::by_name
SELECT id, arn, name, token, description, kms_key_id, data_key, tagged,
       created_ms, changed_ms, accessed_ms, rotated_ms, deleted_ms
FROM secret WHERE name = $1 AND gone = 0";

const BY_ARN: &str = "-- secret::by_arn
SELECT id, arn, name, token, description, kms_key_id, data_key, tagged,
       created_ms, changed_ms, accessed_ms, rotated_ms, deleted_ms
FROM secret WHERE arn = $1 AND gone = 0";

const ARN_TAKEN: &str = "-- secret::arn_taken
SELECT id FROM secret WHERE arn = $1";

const INSERT: &str = "-- secret::insert
INSERT INTO secret (arn, name, token, description, kms_key_id, data_key, tagged, created_ms, changed_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";

const UPDATE: &str = "-- secret::update
UPDATE secret SET description = $2, kms_key_id = $3, tagged = $4, changed_ms = $5, rotated_ms = $6, deleted_ms = $7
WHERE id = $1";

const ACCESSED: &str = "-- secret::accessed
UPDATE secret SET accessed_ms = $2 WHERE id = $1 AND (accessed_ms IS NULL OR accessed_ms < $2)";

const BURY: &str = "-- secret::bury
UPDATE secret SET gone = 1 WHERE id = $1";

const REMOVE: &str = "-- secret::remove
DELETE FROM secret WHERE id = $1";

const ENDED: &str = "-- secret::ended
SELECT id FROM secret
WHERE deleted_ms IS NOT NULL AND deleted_ms <= $1
  AND (gone = 0 OR NOT EXISTS (SELECT 1 FROM candidate c WHERE c.secret_id = secret.id AND c.resolved_ms IS NULL))
ORDER BY deleted_ms LIMIT 1000";

const ANY: &str = "-- secret::any
SELECT id FROM secret LIMIT 1";
