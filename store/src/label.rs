//! Table `label`: which version carries which staging label. The rules are `engine::label`'s.

use engine::id::SecretId;
use engine::label::Labels;

use crate::tx::Conn;
use crate::version::version_id;
use crate::{StoreError, sql};

/// The labels of a secret.
pub(crate) async fn load(conn: &mut Conn, secret: SecretId) -> Result<Labels, StoreError> {
    let rows: Vec<(String, String)> = sql::query_as(LOAD).bind(secret.0).fetch_all(conn).await?;
    let pairs = rows.into_iter().map(|(label, version)| Ok((label, version_id(version)?)));
    Ok(Labels::from_pairs(pairs.collect::<Result<Vec<_>, StoreError>>()?))
}

/// Makes `old`, which is what the database has, into `new`.
pub(crate) async fn save(conn: &mut Conn, secret: SecretId, old: &Labels, new: &Labels) -> Result<(), StoreError> {
    for (label, _) in old.iter().filter(|(label, _)| new.holder(label).is_none()) {
        sql::query(REMOVE).bind(secret.0).bind(label).execute(&mut *conn).await?;
    }
    for (label, version) in new.iter().filter(|(label, version)| old.holder(label) != Some(*version)) {
        let query = sql::query(PUT).bind(secret.0).bind(label);
        query.bind(version.as_str()).execute(&mut *conn).await?;
    }
    Ok(())
}

const LOAD: &str = "-- label::load
SELECT label, version_id FROM label WHERE secret_id = $1";

const REMOVE: &str = "-- label::save (remove)
DELETE FROM label WHERE secret_id = $1 AND label = $2";

const PUT: &str = "-- label::save (put)
INSERT INTO label (secret_id, label, version_id) VALUES ($1, $2, $3)
ON CONFLICT (secret_id, label) DO UPDATE SET version_id = excluded.version_id";
