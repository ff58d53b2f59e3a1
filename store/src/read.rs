//! Reading a value. Where this process owns the store, a hot secret is served from memory, sealed there as in the database.
//!
//! Never here: descriptions (`describe.rs`), writing anything but the day of access.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::Time;
use engine::id::{SecretId, VersionId};
use engine::label;
use engine::secret::SecretValue;

use crate::cache::{CachedSecret, CachedVersion};
use crate::instant::day_ms;
use crate::model::Value;
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, resolve, sealed, secret, version};

/// Never read.
const NEVER: i64 = i64::MIN;

impl Store {
    /// GetSecretValue: by version, by label, by both, or AWSCURRENT.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::VersionNotFound`],
    /// [`StoreError::StageNotFound`], [`StoreError::StageNotOfVersion`], [`StoreError::Sealed`], or the database fails.
    pub async fn get_value(
        &self,
        id: &str,
        version_id: Option<&str>,
        stage: Option<&str>,
        now: Time,
    ) -> Result<Value, StoreError> {
        Ok(self.found(id, version_id, stage, now).await?.1)
    }

    /// The same for a principal of whom it is kept which version it read last.
    ///
    /// # Errors
    /// As [`Store::get_value`].
    pub async fn read_value(
        &self,
        id: &str,
        version_id: Option<&str>,
        stage: Option<&str>,
        by: &str,
        now: Time,
    ) -> Result<Value, StoreError> {
        let (secret, value) = self.found(id, version_id, stage, now).await?;
        self.note_read(secret, by, &value.version_id, now).await;
        Ok(value)
    }

    async fn found(
        &self,
        id: &str,
        version_id: Option<&str>,
        stage: Option<&str>,
        now: Time,
    ) -> Result<(SecretId, Value), StoreError> {
        let secret = self.cached(id).await?;
        if secret.deleted {
            return Err(StoreError::MarkedForDeletion);
        }
        let wanted = match version_id {
            Some(version) => VersionId::new(version).map_err(|_| StoreError::VersionNotFound(version.to_owned()))?,
            None => {
                let stage = stage.unwrap_or(label::CURRENT);
                let holder = secret.labels.holder(stage).filter(|holder| secret.versions.contains_key(*holder));
                holder.cloned().ok_or_else(|| StoreError::StageNotFound(stage.to_owned()))?
            }
        };
        if let Some(found) = secret.versions.get(&wanted) {
            return Ok((secret.id, self.value(&secret, &wanted, found, stage, now).await?));
        }
        // Unlabelled versions are not kept in memory.
        let mut tx = snapshot(&self.0).await?;
        let row = version::get(&mut tx, secret.id, wanted.as_str()).await?;
        drop(tx);
        let found = row.and_then(|row| remembered(row).map(|(_, found)| found));
        let found = found.ok_or_else(|| StoreError::VersionNotFound(wanted.to_string()))?;
        Ok((secret.id, self.value(&secret, &wanted, &found, stage, now).await?))
    }

    /// AWSCURRENT's value for the server's own eyes: leaves no day of access. None where there is no value.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::Sealed`], or the database fails.
    pub async fn current_value(&self, id: &str) -> Result<Option<SecretValue>, StoreError> {
        let secret = self.cached(id).await?;
        if secret.deleted {
            return Err(StoreError::MarkedForDeletion);
        }
        let current = secret.labels.holder(label::CURRENT);
        let Some((version, found)) = current.and_then(|version| secret.versions.get_key_value(version)) else {
            return Ok(None);
        };
        Ok(Some(sealed::open(&secret.key, &secret.arn, version.as_str(), &found.sealed)?))
    }

    async fn value(
        &self,
        secret: &CachedSecret,
        version: &VersionId,
        found: &CachedVersion,
        stage: Option<&str>,
        now: Time,
    ) -> Result<Value, StoreError> {
        if stage.is_some_and(|stage| secret.labels.holder(stage) != Some(version)) {
            return Err(StoreError::StageNotOfVersion);
        }
        let value = sealed::open(&secret.key, &secret.arn, version.as_str(), &found.sealed)?;
        let day = day_ms(now);
        // Whoever moves the day on writes it down: at most one write a version and day.
        if found.accessed_ms.fetch_max(day, Ordering::Relaxed) < day {
            self.note_access(secret, version, day).await;
        }
        Ok(Value {
            arn: secret.arn.clone(),
            name: secret.name.clone(),
            version_id: version.clone(),
            value,
            stages: secret.labels.of(version),
            created: found.created,
        })
    }

    /// The day of access is a convenience: failing to write it down does not fail the read.
    async fn note_access(&self, secret: &CachedSecret, version: &VersionId, day: i64) {
        let noted = async {
            let mut w = Writing::begin(&self.0).await?;
            // The secret first, as every writer.
            secret::accessed(w.conn(), secret.id, day).await?;
            version::accessed(w.conn(), secret.id, version, day).await?;
            w.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(secret.name = %secret.name, %error, "the day of access could not be written down");
        }
    }

    async fn cached(&self, id: &str) -> Result<Arc<CachedSecret>, StoreError> {
        if self.0.is_shared() {
            // Another node may have written since.
            let mut tx = snapshot(&self.0).await?;
            let row = resolve::find(&mut tx, id).await?;
            return Ok(Arc::new(self.load(&mut tx, row).await?));
        }
        if let Some(hit) = self.0.cache.get(id) {
            return Ok(hit);
        }
        let mut tx = snapshot(&self.0).await?;
        let number = resolve::find(&mut tx, id).await?.id;
        drop(tx);
        // The ticket comes before the snapshot that is kept: what commits in between makes the ticket void.
        let ticket = self.0.cache.ticket(number);
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        let loaded = Arc::new(self.load(&mut tx, row).await?);
        drop(tx);
        if loaded.id == number {
            self.0.cache.insert(ticket, &loaded);
        }
        Ok(loaded)
    }

    async fn load(&self, conn: &mut Conn, row: secret::Row) -> Result<CachedSecret, StoreError> {
        let labels = crate::label::load(conn, row.id).await?;
        let versions = version::labelled(conn, row.id).await?;
        Ok(CachedSecret {
            id: row.id,
            key: row.key(&self.0.keyring)?,
            arn: row.arn,
            name: row.name,
            deleted: row.deleted.is_some(),
            labels,
            versions: versions.into_iter().filter_map(remembered).collect(),
        })
    }
}

/// A version with a value; a placeholder cannot be read.
fn remembered(row: version::Row) -> Option<(VersionId, CachedVersion)> {
    let found = CachedVersion {
        sealed: row.sealed?,
        created: row.created,
        accessed_ms: AtomicI64::new(row.accessed_ms.unwrap_or(NEVER)),
    };
    Some((row.id, found))
}
