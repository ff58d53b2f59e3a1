//! Table `candidate`: every value that was ever sent to a target, or may have been.
//!
//! Rows are only ever inserted and resolved; an unresolved one is never changed or removed. Never here: when to do
//! which (that is the machine's decision, carried out in `event.rs`).

use engine::Time;
use engine::id::{SecretId, VersionId};

use crate::StoreError;
use crate::instant::ms;
use crate::sealed::{Sealed, kind_name, kind_of};
use crate::tx::Conn;
use crate::version::version_id;

/// A candidate as stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) version: VersionId,
    pub(crate) sealed: Sealed,
}

#[derive(sqlx::FromRow)]
struct Raw {
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
            version: version_id(raw.version_id)?,
            sealed: Sealed { kind: kind_of(&raw.kind)?, candidate: n, envelope: raw.sealed },
        })
    }
}

/// A new unresolved candidate.
pub(crate) async fn insert(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    sealed: &Sealed,
    now: Time,
) -> Result<(), StoreError> {
    let query = sqlx::query(INSERT).bind(secret.0).bind(version.as_str()).bind(i64::from(sealed.candidate));
    let query = query.bind(kind_name(sealed.kind)).bind(&sealed.envelope).bind(ms(now));
    query.execute(conn).await?;
    Ok(())
}

/// Candidate `n` of a version.
pub(crate) async fn get(
    conn: &mut Conn,
    secret: SecretId,
    version: &VersionId,
    n: u32,
) -> Result<Option<Row>, StoreError> {
    let query = sqlx::query_as(GET).bind(secret.0).bind(version.as_str());
    let raw: Option<Raw> = query.bind(i64::from(n)).fetch_optional(conn).await?;
    raw.map(Row::try_from).transpose()
}

/// The unresolved candidates of a secret, newest first.
pub(crate) async fn unresolved(conn: &mut Conn, secret: SecretId) -> Result<Vec<Row>, StoreError> {
    let raws: Vec<Raw> = sqlx::query_as(UNRESOLVED).bind(secret.0).fetch_all(conn).await?;
    raws.into_iter().map(Row::try_from).collect()
}

/// How many unresolved candidates a secret has.
pub(crate) async fn count_unresolved(conn: &mut Conn, secret: SecretId) -> Result<u32, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT_UNRESOLVED).bind(secret.0).fetch_one(conn).await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The highest number a candidate of this version has had; 0 where there is none.
pub(crate) async fn highest(conn: &mut Conn, secret: SecretId, version: &VersionId) -> Result<u32, StoreError> {
    let query = sqlx::query_scalar(HIGHEST).bind(secret.0).bind(version.as_str());
    let n: i64 = query.fetch_one(conn).await?;
    u32::try_from(n).map_err(|_| StoreError::inconsistent("a candidate's number is out of range"))
}

/// Every candidate of the secret is resolved.
pub(crate) async fn resolve_all(conn: &mut Conn, secret: SecretId, now: Time) -> Result<(), StoreError> {
    sqlx::query(RESOLVE_ALL).bind(secret.0).bind(ms(now)).execute(conn).await?;
    Ok(())
}

/// Removes what is left of an earlier life of this version id: resolved candidates whose version is not there.
pub(crate) async fn forget_resolved(conn: &mut Conn, secret: SecretId, version: &VersionId) -> Result<(), StoreError> {
    let query = sqlx::query(FORGET_RESOLVED).bind(secret.0).bind(version.as_str());
    query.execute(conn).await?;
    Ok(())
}

/// Removes the resolved candidates of a secret that goes for good.
pub(crate) async fn remove_resolved(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    sqlx::query(REMOVE_RESOLVED).bind(secret.0).execute(conn).await?;
    Ok(())
}

const INSERT: &str = "-- candidate::insert
INSERT INTO candidate (secret_id, version_id, n, kind, sealed, created_ms) VALUES ($1, $2, $3, $4, $5, $6)";

const GET: &str = "-- candidate::get
SELECT version_id, n, kind, sealed FROM candidate WHERE secret_id = $1 AND version_id = $2 AND n = $3";

const UNRESOLVED: &str = "-- candidate::unresolved
SELECT version_id, n, kind, sealed FROM candidate
WHERE secret_id = $1 AND resolved_ms IS NULL ORDER BY id DESC";

const COUNT_UNRESOLVED: &str = "-- candidate::count_unresolved
SELECT COUNT(*) FROM candidate WHERE secret_id = $1 AND resolved_ms IS NULL";

const HIGHEST: &str = "-- candidate::highest
SELECT COALESCE(MAX(n), 0) FROM candidate WHERE secret_id = $1 AND version_id = $2";

const RESOLVE_ALL: &str = "-- candidate::resolve_all
UPDATE candidate SET resolved_ms = $2 WHERE secret_id = $1 AND resolved_ms IS NULL";

const FORGET_RESOLVED: &str = "-- candidate::forget_resolved
DELETE FROM candidate WHERE secret_id = $1 AND version_id = $2 AND resolved_ms IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM version v WHERE v.secret_id = $1 AND v.version_id = $2)";

const REMOVE_RESOLVED: &str = "-- candidate::remove_resolved
DELETE FROM candidate WHERE secret_id = $1 AND resolved_ms IS NOT NULL";
