//! Table `external`: what AWS calls a managed external secret. Kept and shown; nothing here acts on it.

use engine::id::SecretId;

use crate::model::External;
use crate::tx::Conn;
use crate::{StoreError, sql};

/// What is kept of a secret; nothing, where it is a plain one.
pub(crate) async fn load(conn: &mut Conn, secret: SecretId) -> Result<External, StoreError> {
    let row: Option<(Option<String>, String, Option<String>)> =
        sql::query_as(LOAD).bind(secret.0).fetch_optional(conn).await?;
    let Some((kind, metadata, role_arn)) = row else {
        return Ok(External::default());
    };
    // Shown and nothing else: what cannot be read must not make every list fail.
    let metadata = serde_json::from_str(&metadata).unwrap_or_else(|_| {
        tracing::error!(secret.id = secret.0, "the metadata of an external secret cannot be read");
        Vec::new()
    });
    Ok(External { kind, metadata: Some(metadata), role_arn })
}

/// Takes over what `change` names; what it leaves out stays. An empty kind is none.
pub(crate) async fn change(conn: &mut Conn, secret: SecretId, change: &External) -> Result<(), StoreError> {
    if *change == External::default() {
        return Ok(());
    }
    let before = load(&mut *conn, secret).await?;
    let kind = change.kind.clone().or(before.kind).filter(|kind| !kind.is_empty());
    let metadata = change.metadata.clone().or(before.metadata).unwrap_or_default();
    let metadata = serde_json::to_string(&metadata)
        .map_err(|_| StoreError::inconsistent("the metadata of an external secret cannot be written"))?;
    let role_arn = change.role_arn.clone().or(before.role_arn);
    let query = sql::query(PUT).bind(secret.0).bind(kind).bind(metadata);
    query.bind(role_arn).execute(conn).await?;
    Ok(())
}

const LOAD: &str = "-- external::load
SELECT kind, metadata, role_arn FROM external WHERE secret_id = $1";

const PUT: &str = "-- external::change
INSERT INTO external (secret_id, kind, metadata, role_arn) VALUES ($1, $2, $3, $4)
ON CONFLICT (secret_id) DO UPDATE
SET kind = excluded.kind, metadata = excluded.metadata, role_arn = excluded.role_arn";
