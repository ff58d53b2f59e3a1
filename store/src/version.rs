//! Table `version`: a version's value, or the candidate it shows, or (a rotation's placeholder) nothing yet.
//!
//! Never here: labels; candidates, which outlive their version.

use chrono::TimeDelta;
use engine::Time;
use engine::id::{SecretId, VersionId};
use engine::label;
use engine::schedule::Limits;

use crate::instant::{instant, ms};
use crate::mark::Marks;
use crate::sealed::{Sealed, kind_name, kind_of};
use crate::tx::Conn;
use crate::{StoreError, sql};

/// How many versions a secret may have before unlabelled ones are pruned.
const MOST_VERSIONS: i64 = 100;

/// A version as stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: VersionId,
    /// None: a rotation's placeholder.
    pub(crate) sealed: Option<Sealed>,
    pub(crate) created: Time,
    pub(crate) accessed_ms: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Raw {
    version_id: String,
    kind: Option<String>,
    sealed: Option<Vec<u8>>,
    candidate: Option<i64>,
    created_ms: i64,
    accessed_ms: Option<i64>,
}

impl TryFrom<Raw> for Row {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let candidate = u32::try_from(raw.candidate.unwrap_or(0));
        let candidate = candidate.map_err(|_| StoreError::inconsistent("a candidate's number is out of range"))?;
        let sealed = match (raw.kind, raw.sealed) {
            (Some(kind), Some(envelope)) => Some(Sealed { kind: kind_of(&kind)?, candidate, envelope }),
            (None, None) if candidate == 0 => None,
            _ => return Err(StoreError::inconsistent("a version has half a value, or its candidate is missing")),
        };
        Ok(Self {
            id: version_id(raw.version_id)?,
            sealed,
            created: instant(raw.created_ms)?,
            accessed_ms: raw.accessed_ms,
        })
    }
}

/// A version id as stored.
pub(crate) fn version_id(text: String) -> Result<VersionId, StoreError> {
    VersionId::new(text).map_err(|_| StoreError::inconsistent("a version id has the wrong length"))
}

/// One version.
pub(crate) async fn get(conn: &mut Conn, secret: SecretId, version: &str) -> Result<Option<Row>, StoreError> {
    let raw: Option<Raw> = sql::query_as(GET).bind(secret.0).bind(version).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// Every labelled version.
pub(crate) async fn labelled(conn: &mut Conn, secret: SecretId) -> Result<Vec<Row>, StoreError> {
    let raws: Vec<Raw> = sql::query_as(LABELLED).bind(secret.0).fetch_all(conn).await?;
    raws.into_iter().map(Row::try_from).collect()
}

/// A version without its value.
#[derive(sqlx::FromRow)]
pub(crate) struct Entry {
    pub(crate) version_id: String,
    pub(crate) created_ms: i64,
    pub(crate) accessed_ms: Option<i64>,
    pub(crate) kms_key_id: Option<String>,
}

/// The admin secret that a version's value names; empty where it names none, or has no value.
pub(crate) async fn masterarn(conn: &mut Conn, secret: SecretId, version: &VersionId) -> Result<String, StoreError> {
    let query = sql::query_scalar(MASTERARN).bind(secret.0).bind(version.as_str());
    let named: Option<Option<String>> = query.fetch_optional(conn).await?;
    Ok(named.flatten().unwrap_or_default())
}

/// Versions that have a value, newest first, after `(created_ms, version_id)`.
pub(crate) async fn page(
    conn: &mut Conn,
    secret: SecretId,
    after: (i64, &str),
    unlabelled_too: bool,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    let query = sql::query_as(PAGE).bind(secret.0).bind(after.0).bind(after.1);
    Ok(query.bind(unlabelled_too).bind(limit).fetch_all(conn).await?)
}

/// A rotation's placeholder.
pub(crate) async fn insert_placeholder(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    now: Time,
) -> Result<(), StoreError> {
    let query = sql::query(INSERT_PLACEHOLDER).bind(secret.0).bind(version.as_str());
    query.bind(ms(now)).execute(conn).await?;
    Ok(())
}

/// A version with a value of its own.
pub(crate) async fn insert(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    sealed: &Sealed,
    marks: &Marks,
    now: Time,
) -> Result<(), StoreError> {
    let query = sql::query(INSERT).bind(secret.0).bind(version.as_str());
    let query = query.bind(kind_name(sealed.kind)).bind(&sealed.envelope).bind(ms(now));
    let query = query.bind(&marks.masterarn).bind(&marks.account);
    query.execute(conn).await?;
    Ok(())
}

/// From now on the version shows candidate `sealed.candidate`. It is made if somebody's label move took it away.
pub(crate) async fn show_candidate(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    sealed: &Sealed,
    marks: &Marks,
    now: Time,
) -> Result<(), StoreError> {
    let query = sql::query(SHOW_CANDIDATE).bind(secret.0).bind(version.as_str());
    let query = query.bind(kind_name(sealed.kind)).bind(i64::from(sealed.candidate)).bind(ms(now));
    let query = query.bind(&marks.masterarn).bind(&marks.account);
    query.execute(conn).await?;
    Ok(())
}

/// Removes the version if it never had a value. Its labels must be off.
pub(crate) async fn remove_placeholder(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
) -> Result<(), StoreError> {
    let query = sql::query(REMOVE_PLACEHOLDER).bind(secret.0).bind(version.as_str());
    query.execute(conn).await?;
    Ok(())
}

/// A new KmsKeyId is also that of the versions under AWS's three labels; the others keep the one they were written
/// under. The labels and the secret's row must be saved.
pub(crate) async fn relabel_key(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    let query = sql::query(RELABEL_KEY).bind(secret.0).bind(label::CURRENT);
    query.bind(label::PENDING).bind(label::PREVIOUS).execute(conn).await?;
    Ok(())
}

/// Removes the version, with its value. Its labels must be off, and no candidate may be its value.
pub(crate) async fn remove(conn: &mut Conn, secret: SecretId, version: &VersionId) -> Result<(), StoreError> {
    sql::query(REMOVE).bind(secret.0).bind(version.as_str()).execute(conn).await?;
    Ok(())
}

/// The version was read on the day beginning at `day_ms`.
pub(crate) async fn accessed(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    day_ms: i64,
) -> Result<(), StoreError> {
    let query = sql::query(ACCESSED).bind(secret.0).bind(version.as_str());
    query.bind(day_ms).execute(conn).await?;
    Ok(())
}

/// Prunes what may be pruned. False: there are still more than [`MOST_VERSIONS`]. AWS never prunes a version younger
/// than a day; without AWS's limits a secret may rotate every few seconds, and then age protects nothing.
pub(crate) async fn make_room(
    conn: &mut Conn,
    secret: SecretId,
    now: Time,
    limits: Limits,
) -> Result<bool, StoreError> {
    let excess = count(&mut *conn, secret).await? - MOST_VERSIONS;
    if excess <= 0 {
        return Ok(true);
    }
    let before = match limits {
        Limits::Aws => now - TimeDelta::days(1),
        Limits::None => now + TimeDelta::days(1),
    };
    let removed = prune(conn, secret, excess, before).await?;
    Ok(i64::try_from(removed).is_ok_and(|removed| removed >= excess))
}

async fn count(conn: &mut Conn, secret: SecretId) -> Result<i64, StoreError> {
    Ok(sql::query_scalar(COUNT).bind(secret.0).fetch_one(conn).await?)
}

/// Removes the `excess` oldest unlabelled versions made before `before`, except those that have an unresolved
/// candidate; and resolved candidates that no version shows any more.
async fn prune(conn: &mut Conn, secret: SecretId, excess: i64, before: Time) -> Result<u64, StoreError> {
    let query = sql::query(PRUNE).bind(secret.0).bind(ms(before)).bind(excess);
    let removed = query.execute(&mut *conn).await?.rows_affected();
    sql::query(PRUNE_CANDIDATES).bind(secret.0).bind(ms(before)).execute(conn).await?;
    Ok(removed)
}

/// Removes every version of the secret, and its labels.
pub(crate) async fn remove_all(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    sql::query(REMOVE_LABELS).bind(secret.0).execute(&mut *conn).await?;
    sql::query(REMOVE_ALL).bind(secret.0).execute(conn).await?;
    Ok(())
}

const GET: &str = "-- version::get
SELECT v.version_id, v.kind, COALESCE(c.sealed, v.sealed) AS sealed, v.candidate, v.created_ms, v.accessed_ms
FROM version v
LEFT JOIN candidate c ON c.secret_id = v.secret_id AND c.version_id = v.version_id AND c.n = v.candidate
WHERE v.secret_id = $1 AND v.version_id = $2";

const LABELLED: &str = "-- version::labelled
SELECT v.version_id, v.kind, COALESCE(c.sealed, v.sealed) AS sealed, v.candidate, v.created_ms, v.accessed_ms
FROM version v
LEFT JOIN candidate c ON c.secret_id = v.secret_id AND c.version_id = v.version_id AND c.n = v.candidate
WHERE v.secret_id = $1
  AND EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id)";

const PAGE: &str = "-- version::page
SELECT v.version_id, v.created_ms, v.accessed_ms, NULLIF(COALESCE(v.kms_key_id, s.kms_key_id, ''), '') AS kms_key_id
FROM version v JOIN secret s ON s.id = v.secret_id
WHERE v.secret_id = $1
  AND (v.created_ms < $2 OR (v.created_ms = $2 AND v.version_id > $3))
  AND (v.sealed IS NOT NULL OR v.candidate IS NOT NULL)
  AND ($4 = 1 OR EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id))
ORDER BY v.created_ms DESC, v.version_id ASC
LIMIT $5";

const MASTERARN: &str = "-- version::masterarn
SELECT masterarn FROM version WHERE secret_id = $1 AND version_id = $2";

const INSERT_PLACEHOLDER: &str = "-- version::insert_placeholder
INSERT INTO version (secret_id, version_id, created_ms, kms_key_id)
VALUES ($1, $2, $3, (SELECT COALESCE(s.kms_key_id, '') FROM secret s WHERE s.id = $1))";

const INSERT: &str = "-- version::insert
INSERT INTO version (secret_id, version_id, kind, sealed, created_ms, masterarn, account, kms_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT COALESCE(s.kms_key_id, '') FROM secret s WHERE s.id = $1))";

const SHOW_CANDIDATE: &str = "-- version::show_candidate
INSERT INTO version (secret_id, version_id, kind, candidate, created_ms, masterarn, account, kms_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT COALESCE(s.kms_key_id, '') FROM secret s WHERE s.id = $1))
ON CONFLICT (secret_id, version_id) DO UPDATE
SET kind = excluded.kind, sealed = NULL, candidate = excluded.candidate,
    created_ms = excluded.created_ms, masterarn = excluded.masterarn, account = excluded.account,
    kms_key_id = excluded.kms_key_id";

const REMOVE_PLACEHOLDER: &str = "-- version::remove_placeholder
DELETE FROM version WHERE secret_id = $1 AND version_id = $2 AND sealed IS NULL AND candidate IS NULL";

const RELABEL_KEY: &str = "-- version::relabel_key
UPDATE version SET kms_key_id = (SELECT COALESCE(s.kms_key_id, '') FROM secret s WHERE s.id = $1)
WHERE secret_id = $1
  AND version_id IN (SELECT l.version_id FROM label l WHERE l.secret_id = $1 AND l.label IN ($2, $3, $4))";

const REMOVE: &str = "-- version::remove
DELETE FROM version WHERE secret_id = $1 AND version_id = $2 AND candidate IS NULL";

const ACCESSED: &str = "-- version::accessed
UPDATE version SET accessed_ms = $3
WHERE secret_id = $1 AND version_id = $2 AND (accessed_ms IS NULL OR accessed_ms < $3)";

const COUNT: &str = "-- version::count
SELECT COUNT(*) FROM version WHERE secret_id = $1";

const PRUNE: &str = "-- version::prune
DELETE FROM version WHERE secret_id = $1 AND version_id IN (
    SELECT v.version_id FROM version v
    WHERE v.secret_id = $1 AND v.created_ms < $2
      AND NOT EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id)
      AND NOT EXISTS (SELECT 1 FROM candidate c WHERE c.secret_id = v.secret_id AND c.version_id = v.version_id
                      AND c.resolved_ms IS NULL)
    ORDER BY v.created_ms, v.version_id LIMIT $3)";

const PRUNE_CANDIDATES: &str = "-- version::prune (candidates)
DELETE FROM candidate WHERE secret_id = $1 AND resolved_ms IS NOT NULL AND resolved_ms < $2
  AND NOT EXISTS (SELECT 1 FROM version v WHERE v.secret_id = candidate.secret_id
                  AND v.version_id = candidate.version_id AND v.candidate = candidate.n)";

const REMOVE_LABELS: &str = "-- version::remove_all (labels)
DELETE FROM label WHERE secret_id = $1";

const REMOVE_ALL: &str = "-- version::remove_all
DELETE FROM version WHERE secret_id = $1";
