//! What stands in clear beside a sealed value, so that questions about all secrets need no unsealing: the admin secret
//! that it names (column `masterarn`), and a digest of the account it is for (column `account`).
//!
//! Never here: what the marks are asked for (`admin.rs`, `account.rs`).

use engine::account;
use engine::id::SecretId;
use engine::secret::SecretBytes;

use crate::open::Inner;
use crate::sealed::{Sealed, kind_of};
use crate::tx::{Conn, Writing};
use crate::version::version_id;
use crate::{StoreError, admin, sealed, sql};

/// Versions looked at in one transaction.
const BATCH: i64 = 256;

/// The marks of one value. Each is empty where the value says nothing of the kind.
pub(crate) struct Marks {
    /// As [`admin::mark_of`] reads it.
    pub(crate) masterarn: String,
    /// As [`account::digest`] makes it.
    pub(crate) account: String,
}

impl Marks {
    pub(crate) fn of(value: &SecretBytes) -> Self {
        Self { masterarn: admin::mark_of(value), account: account::digest(value).unwrap_or_default() }
    }
}

/// Fills in what an earlier binary left open, for every labelled version.
pub(crate) async fn look_at_all(inner: &Inner) -> Result<(), StoreError> {
    for unseen in [UNSEEN, UNSEEN_ACCOUNT] {
        let mut after = Some(Place { secret: 0, version: String::new() });
        while let Some(place) = after {
            let mut w = Writing::begin(inner).await?;
            after = look_at_batch(w.conn(), inner, unseen, &place, i64::MAX, false).await?;
            w.commit().await?;
        }
    }
    Ok(())
}

/// The same for all versions of one secret: one of them is about to be labelled.
pub(crate) async fn look_at(conn: &mut Conn, inner: &Inner, secret: SecretId) -> Result<(), StoreError> {
    for unseen in [UNSEEN, UNSEEN_ACCOUNT] {
        let mut after = Some(Place { secret: secret.0, version: String::new() });
        while let Some(place) = after {
            after = look_at_batch(&mut *conn, inner, unseen, &place, secret.0, true).await?;
        }
    }
    Ok(())
}

struct Place {
    secret: i64,
    version: String,
}

#[derive(sqlx::FromRow)]
struct Raw {
    secret_id: i64,
    version_id: String,
    arn: String,
    data_key: Vec<u8>,
    kind: Option<String>,
    candidate: i64,
    sealed: Vec<u8>,
}

/// Returns where to go on; None at the end. What does not open cannot be used either, and is left as it is.
async fn look_at_batch(
    conn: &mut Conn,
    inner: &Inner,
    unseen: &'static str,
    after: &Place,
    last: i64,
    unlabelled_too: bool,
) -> Result<Option<Place>, StoreError> {
    let query = sql::query_as(unseen).bind(after.secret).bind(&after.version).bind(last);
    let rows: Vec<Raw> = query.bind(unlabelled_too).bind(BATCH).fetch_all(&mut *conn).await?;
    for row in &rows {
        match read(inner, row) {
            Ok(marks) => {
                let query = sql::query(MARK).bind(row.secret_id).bind(&row.version_id);
                query.bind(marks.masterarn).bind(marks.account).execute(&mut *conn).await?;
            }
            // One row that cannot be read must not keep all the others from being served.
            Err(error @ (StoreError::Sealed(_) | StoreError::Inconsistent { .. })) => {
                tracing::error!(secret.arn = %row.arn, version = %row.version_id, %error, "a version cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == BATCH);
    let last = rows.into_iter().next_back().filter(|_| full);
    Ok(last.map(|row| Place { secret: row.secret_id, version: row.version_id }))
}

fn read(inner: &Inner, row: &Raw) -> Result<Marks, StoreError> {
    let candidate = u32::try_from(row.candidate);
    let candidate = candidate.map_err(|_| StoreError::inconsistent("a candidate's number is out of range"))?;
    let sealed =
        Sealed { kind: kind_of(row.kind.as_deref().unwrap_or_default())?, candidate, envelope: row.sealed.clone() };
    let key = inner.keyring.unwrap(&row.arn, &row.data_key)?;
    let version = version_id(row.version_id.clone())?;
    Ok(Marks::of(&sealed::open(&key, &row.arn, version.as_str(), &sealed)?.bytes))
}

// Two statements, so that each has its own index: nearly always there is nothing to be found by it.
const UNSEEN: &str = "-- mark::look_at_batch
SELECT v.secret_id, v.version_id, s.arn, s.data_key, v.kind, COALESCE(v.candidate, 0) AS candidate,
       COALESCE(c.sealed, v.sealed) AS sealed
FROM version v
JOIN secret s ON s.id = v.secret_id
LEFT JOIN candidate c ON c.secret_id = v.secret_id AND c.version_id = v.version_id AND c.n = v.candidate
WHERE v.masterarn IS NULL AND (v.sealed IS NOT NULL OR v.candidate IS NOT NULL)
  AND (v.secret_id, v.version_id) > ($1, $2) AND v.secret_id <= $3
  AND COALESCE(c.sealed, v.sealed) IS NOT NULL
  AND ($4 = 1 OR EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id))
ORDER BY v.secret_id, v.version_id LIMIT $5";

const UNSEEN_ACCOUNT: &str = "-- mark::look_at_batch (account)
SELECT v.secret_id, v.version_id, s.arn, s.data_key, v.kind, COALESCE(v.candidate, 0) AS candidate,
       COALESCE(c.sealed, v.sealed) AS sealed
FROM version v
JOIN secret s ON s.id = v.secret_id
LEFT JOIN candidate c ON c.secret_id = v.secret_id AND c.version_id = v.version_id AND c.n = v.candidate
WHERE v.account IS NULL AND (v.sealed IS NOT NULL OR v.candidate IS NOT NULL)
  AND (v.secret_id, v.version_id) > ($1, $2) AND v.secret_id <= $3
  AND COALESCE(c.sealed, v.sealed) IS NOT NULL
  AND ($4 = 1 OR EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id))
ORDER BY v.secret_id, v.version_id LIMIT $5";

const MARK: &str = "-- mark::look_at_batch (mark)
UPDATE version SET masterarn = $3, account = $4
WHERE secret_id = $1 AND version_id = $2 AND (masterarn IS NULL OR account IS NULL)";
