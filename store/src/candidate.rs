//! Table `candidate`: every value that was ever sent to a target, or may have been.
//!
//! Rows are only ever inserted and resolved. While no rotation is open, one is unresolved: the value the target holds.
//! Unresolved ones go only with their whole secret, and only where they are AWSCURRENT. Never here: when to do which
//! (that is the machine's decision, carried out in `event.rs`).

use engine::Time;
use engine::id::{SecretId, VersionId};
use engine::label::CURRENT;

use crate::instant::ms;
use crate::sealed::{Sealed, kind_name, kind_of};
use crate::tx::Conn;
use crate::version::version_id;
use crate::{StoreError, sql};

/// A candidate as stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) version: VersionId,
    pub(crate) sealed: Sealed,
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: i64,
    version_id: String,
    n: i64,
    kind: String,
    sealed: Vec<u8>,
}

impl TryFrom<Raw> for Row {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let n = u32::try_from(raw.n).map_err(|_| StoreError::inconsistent("a candidate's number is out of range"))?;
        Ok(Self {
            id: raw.id,
            version: version_id(raw.version_id)?,
            sealed: Sealed { kind: kind_of(&raw.kind)?, candidate: n, envelope: raw.sealed },
        })
    }
}

/// A new unresolved candidate; returns its row.
pub(crate) async fn insert(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    sealed: &Sealed,
    now: Time,
) -> Result<i64, StoreError> {
    let query = sql::query_scalar(INSERT).bind(secret.0).bind(version.as_str()).bind(i64::from(sealed.candidate));
    let query = query.bind(kind_name(sealed.kind)).bind(&sealed.envelope).bind(ms(now));
    Ok(query.fetch_one(conn).await?)
}

/// Candidate `n` of a version.
pub(crate) async fn get(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    n: u32,
) -> Result<Option<Row>, StoreError> {
    let query = sql::query_as(GET).bind(secret.0).bind(version.as_str());
    let raw: Option<Raw> = query.bind(i64::from(n)).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The unresolved candidates of a secret, newest first.
pub(crate) async fn unresolved(conn: &mut Conn, secret: SecretId) -> Result<Vec<Row>, StoreError> {
    let raws: Vec<Raw> = sql::query_as(UNRESOLVED).bind(secret.0).fetch_all(conn).await?;
    raws.into_iter().map(Row::try_from).collect()
}

/// How many unresolved candidates a secret has beside AWSCURRENT's value.
pub(crate) async fn count_beside_current(conn: &mut Conn, secret: SecretId) -> Result<u32, StoreError> {
    let query = sql::query_scalar(COUNT_BESIDE_CURRENT).bind(secret.0).bind(CURRENT);
    let count: i64 = query.fetch_one(conn).await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Has the secret an unresolved candidate at all?
pub(crate) async fn any_unresolved(conn: &mut Conn, secret: SecretId) -> Result<bool, StoreError> {
    let row: Option<i64> = sql::query_scalar(ANY_UNRESOLVED).bind(secret.0).fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// The highest number a candidate of this version has had; 0 where there is none.
pub(crate) async fn highest(conn: &mut Conn, secret: SecretId, version: &VersionId) -> Result<u32, StoreError> {
    let query = sql::query_scalar(HIGHEST).bind(secret.0).bind(version.as_str());
    let n: i64 = query.fetch_one(conn).await?;
    u32::try_from(n).map_err(|_| StoreError::inconsistent("a candidate's number is out of range"))
}

/// Every candidate of the secret is resolved, except the one row `held`: what the target holds.
pub(crate) async fn resolve_but(
    conn: &mut Conn,
    secret: SecretId,
    held: Option<i64>,
    now: Time,
) -> Result<(), StoreError> {
    sql::query(RESOLVE_BUT).bind(secret.0).bind(ms(now)).bind(held.unwrap_or(0)).execute(conn).await?;
    Ok(())
}

/// Removes what is left of an earlier life of this version id: resolved candidates whose version is not there.
pub(crate) async fn forget_resolved(conn: &mut Conn, secret: SecretId, version: &VersionId) -> Result<(), StoreError> {
    let query = sql::query(FORGET_RESOLVED).bind(secret.0).bind(version.as_str());
    query.execute(conn).await?;
    Ok(())
}

/// Removes the resolved candidates of a secret that is buried.
pub(crate) async fn remove_resolved(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    sql::query(REMOVE_RESOLVED).bind(secret.0).execute(conn).await?;
    Ok(())
}

/// Removes every candidate of a secret that is removed: at most what is AWSCURRENT is unresolved among them.
pub(crate) async fn remove_all(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    sql::query(REMOVE_ALL).bind(secret.0).execute(conn).await?;
    Ok(())
}

const INSERT: &str = "-- candidate::insert
INSERT INTO candidate (secret_id, version_id, n, kind, sealed, created_ms) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id";

const GET: &str = "-- candidate::get
SELECT id, version_id, n, kind, sealed FROM candidate WHERE secret_id = $1 AND version_id = $2 AND n = $3";

const UNRESOLVED: &str = "-- candidate::unresolved
SELECT id, version_id, n, kind, sealed FROM candidate
WHERE secret_id = $1 AND resolved_ms IS NULL ORDER BY id DESC";

const COUNT_BESIDE_CURRENT: &str = "-- candidate::count_beside_current
SELECT COUNT(*) FROM candidate WHERE secret_id = $1 AND resolved_ms IS NULL
  AND NOT EXISTS (SELECT 1 FROM label l WHERE l.secret_id = $1 AND l.label = $2
                  AND l.version_id = candidate.version_id)";

const ANY_UNRESOLVED: &str = "-- candidate::any_unresolved
SELECT id FROM candidate WHERE secret_id = $1 AND resolved_ms IS NULL LIMIT 1";

const HIGHEST: &str = "-- candidate::highest
SELECT COALESCE(MAX(n), 0) FROM candidate WHERE secret_id = $1 AND version_id = $2";

const RESOLVE_BUT: &str = "-- candidate::resolve_but
UPDATE candidate SET resolved_ms = $2 WHERE secret_id = $1 AND resolved_ms IS NULL AND id <> $3";

const FORGET_RESOLVED: &str = "-- candidate::forget_resolved
DELETE FROM candidate WHERE secret_id = $1 AND version_id = $2 AND resolved_ms IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM version v WHERE v.secret_id = $1 AND v.version_id = $2)";

const REMOVE_RESOLVED: &str = "-- candidate::remove_resolved
DELETE FROM candidate WHERE secret_id = $1 AND resolved_ms IS NOT NULL";

const REMOVE_ALL: &str = "-- candidate::remove_all
DELETE FROM candidate WHERE secret_id = $1";
