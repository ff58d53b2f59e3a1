//! Table `replica`: the regions a secret was asked to be replicated to, and what came of it.
//!
//! Never here: replication. The caller says what came of it.

use engine::Time;
use engine::id::SecretId;

use crate::model::{Replica, ReplicaStatus, Replicas};
use crate::subject::Subject;
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, resolve, sql};

impl Store {
    /// ReplicateSecretToRegions. A region that is named again is tried again.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], or the database fails.
    pub async fn replicate(&self, id: &str, replicas: &[Replica], now: Time) -> Result<Replicas, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        put(w.conn(), subject.secret.id, replicas).await?;
        subject.save(&mut w, now).await?;
        end(w, &subject).await
    }

    /// RemoveRegionsFromReplication. A region that is not there is no error.
    ///
    /// # Errors
    /// As [`Store::replicate`].
    pub async fn remove_replicas(&self, id: &str, regions: &[String], now: Time) -> Result<Replicas, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let mut removed = 0;
        for region in regions {
            let query = sql::query(REMOVE).bind(subject.secret.id.0).bind(region);
            removed += query.execute(w.conn()).await?.rows_affected();
        }
        if removed > 0 {
            subject.save(&mut w, now).await?;
        }
        end(w, &subject).await
    }

    /// The replicas of a secret, by region.
    ///
    /// # Errors
    /// As [`Store::replicate`].
    pub async fn replicas(&self, id: &str) -> Result<Replicas, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        row.live()?;
        let replicas = all(&mut tx, row.id).await?;
        Ok(Replicas { arn: row.arn, replicas })
    }
}

async fn end(mut w: Writing<'_>, subject: &Subject) -> Result<Replicas, StoreError> {
    let replicas = all(w.conn(), subject.secret.id).await?;
    w.commit().await?;
    Ok(Replicas { arn: subject.secret.arn.clone(), replicas })
}

/// Adds or overwrites.
pub(crate) async fn put(conn: &mut Conn, secret: SecretId, replicas: &[Replica]) -> Result<(), StoreError> {
    for replica in replicas {
        let query = sql::query(PUT).bind(secret.0).bind(&replica.region).bind(&replica.kms_key_id);
        query.bind(status_name(replica.status)).bind(&replica.message).execute(&mut *conn).await?;
    }
    Ok(())
}

/// All replicas of a secret, by region.
pub(crate) async fn all(conn: &mut Conn, secret: SecretId) -> Result<Vec<Replica>, StoreError> {
    let rows: Vec<(String, Option<String>, String, String)> = sql::query_as(ALL).bind(secret.0).fetch_all(conn).await?;
    let replicas = rows.into_iter().map(|(region, kms_key_id, status, message)| {
        let (status, message) = match status_of(&status) {
            Some(status) => (status, message),
            // A later binary's word: one such row must not make every list fail.
            None => (ReplicaStatus::Failed, format!("This server does not know the status {status}.")),
        };
        Replica { region, kms_key_id, status, message }
    });
    Ok(replicas.collect())
}

fn status_name(status: ReplicaStatus) -> &'static str {
    match status {
        ReplicaStatus::InSync => "in-sync",
        ReplicaStatus::Failed => "failed",
        ReplicaStatus::InProgress => "in-progress",
    }
}

fn status_of(name: &str) -> Option<ReplicaStatus> {
    match name {
        "in-sync" => Some(ReplicaStatus::InSync),
        "failed" => Some(ReplicaStatus::Failed),
        "in-progress" => Some(ReplicaStatus::InProgress),
        _ => None,
    }
}

const PUT: &str = "-- replica::put
INSERT INTO replica (secret_id, region, kms_key_id, status, message) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (secret_id, region) DO UPDATE
SET kms_key_id = excluded.kms_key_id, status = excluded.status, message = excluded.message";

const ALL: &str = "-- replica::all
SELECT region, kms_key_id, status, message FROM replica WHERE secret_id = $1 ORDER BY region";

const REMOVE: &str = "-- replica::remove_replicas
DELETE FROM replica WHERE secret_id = $1 AND region = $2";
