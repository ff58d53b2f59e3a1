//! One account under several secrets: two rotations of it would each make the other's password wrong. Column
//! `version.account` keeps a digest of the account beside the sealed value.
//!
//! Never here: what the account is (`engine::account`), whether it is there.

use engine::id::SecretId;

use crate::model::Named;
use crate::sql::Flag;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, resolve, sql};

impl Store {
    /// Other live secrets that are for an account of this one, by name: of AWSCURRENT and AWSPENDING, and where accounts
    /// take turns of AWSPREVIOUS too.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn same_account(&self, id: &str) -> Result<Vec<Named>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        let found = others(&mut tx, row.id).await?;
        Ok(found.into_iter().map(|other| Named { arn: other.arn, name: other.name }).collect())
    }
}

/// Refuses that a secret is rotated whose account another one's rotation changes.
pub(crate) async fn refuse_shared(conn: &mut Conn, secret: SecretId) -> Result<(), StoreError> {
    let rotating = others(conn, secret).await?.into_iter().filter(|other| other.rotates.0);
    let secrets: Vec<String> = rotating.map(|other| other.name).collect();
    if secrets.is_empty() { Ok(()) } else { Err(StoreError::AccountShared { secrets }) }
}

#[derive(sqlx::FromRow)]
struct Other {
    arn: String,
    name: String,
    rotates: Flag,
}

async fn others(conn: &mut Conn, secret: SecretId) -> Result<Vec<Other>, StoreError> {
    Ok(sql::query_as(OTHERS).bind(secret.0).fetch_all(conn).await?)
}

const OTHERS: &str = "-- account::others
SELECT s.arn, s.name, CAST(MAX(CASE WHEN r.enabled = 1 OR r.state <> 'idle' THEN 1 ELSE 0 END) AS BIGINT) AS rotates
FROM version own
JOIN label ol ON ol.secret_id = own.secret_id AND ol.version_id = own.version_id
JOIN rotation ro ON ro.secret_id = own.secret_id
JOIN version v ON v.account = own.account AND v.secret_id <> own.secret_id
JOIN label l ON l.secret_id = v.secret_id AND l.version_id = v.version_id
JOIN rotation r ON r.secret_id = v.secret_id
JOIN secret s ON s.id = v.secret_id
WHERE own.secret_id = $1 AND own.account <> '' AND v.account IS NOT NULL AND v.account <> ''
  AND s.gone = 0 AND s.deleted_ms IS NULL
  AND (ol.label IN ('AWSCURRENT', 'AWSPENDING')
       OR ol.label = 'AWSPREVIOUS' AND ro.options LIKE '%alternating-users%')
  AND (l.label IN ('AWSCURRENT', 'AWSPENDING')
       OR l.label = 'AWSPREVIOUS' AND r.options LIKE '%alternating-users%')
GROUP BY s.arn, s.name ORDER BY s.name";
