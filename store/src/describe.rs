//! Descriptions: everything about a secret but its values.

use std::collections::BTreeMap;

use engine::id::VersionId;
use engine::label::Labels;

use crate::cursor::Cursor;
use crate::instant::{instant, instant_opt};
use crate::model::{Description, Replica, VersionEntry, Versions};
use crate::tx::{Conn, snapshot};
use crate::version::version_id;
use crate::{Store, StoreError, external, label, replica, resolve, rotation, secret, setting, tag, version};

const MOST_A_PAGE: u32 = 100;

impl Store {
    /// DescribeSecret; also of a secret that is to be deleted.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn describe(&self, id: &str) -> Result<Description, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        describe(&mut tx, row).await
    }

    /// ListSecretVersionIds, newest first; unlabelled versions only where `include_deprecated`.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::BadCursor`], or the database fails.
    pub async fn list_versions(
        &self,
        id: &str,
        include_deprecated: bool,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Versions, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        let query = format!("versions of {} {include_deprecated}", row.id.0);
        let cursor = after.map(|text| self.0.cursors.read(text, &query)).transpose()?;
        let after = cursor.as_ref().map_or((i64::MAX, ""), |cursor| (cursor.number, cursor.text.as_str()));
        let limit = usize::try_from(limit.clamp(1, MOST_A_PAGE)).unwrap_or(1);
        let more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let mut entries = version::page(&mut tx, row.id, after, include_deprecated, more).await?;
        let is_last = entries.len() <= limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| !is_last);
        let at = |last: &version::Entry| Cursor { number: last.created_ms, text: last.version_id.clone(), id: 0 };
        let next = next.map(|last| self.0.cursors.write(&query, &at(last))).transpose()?;
        let labels = label::load(&mut tx, row.id).await?;
        let versions = entries.into_iter().map(|found| entry(found, &labels)).collect::<Result<_, _>>()?;
        Ok(Versions { arn: row.arn, name: row.name, versions, next })
    }
}

fn entry(found: version::Entry, labels: &Labels) -> Result<VersionEntry, StoreError> {
    let version: VersionId = version_id(found.version_id)?;
    Ok(VersionEntry {
        stages: labels.of(&version),
        version_id: version,
        created: instant(found.created_ms)?,
        accessed: instant_opt(found.accessed_ms)?,
        kms_key_id: found.kms_key_id,
    })
}

/// Everything about a secret but its values.
pub(crate) async fn describe(conn: &mut Conn, row: secret::Row) -> Result<Description, StoreError> {
    let labels = label::load(conn, row.id).await?;
    let rotation = match rotation::load(conn, row.id).await {
        Ok(rotation) => Some(rotation),
        // One rotation that cannot be read must not keep people from finding their secrets.
        Err(StoreError::Inconsistent { what }) => {
            tracing::error!(secret.name = %row.name, what, "described without its rotation");
            None
        }
        Err(error) => return Err(error),
    };
    let tags = match &rotation {
        Some(rotation) => setting::viewed(tag::all(conn, row.id).await?, rotation),
        None => tag::all(conn, row.id).await?,
    };
    let replicas = replica::all(conn, row.id).await?;
    let external = external::load(conn, row.id).await?;
    let mut stages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (label, version) in labels.iter() {
        stages.entry(version.to_string()).or_default().push(label.to_owned());
    }
    Ok(Description {
        primary_region: primary_region(&row.arn, &replicas),
        replicas,
        external,
        arn: row.arn,
        name: row.name,
        description: row.description,
        kms_key_id: row.kms_key_id,
        created: row.created,
        changed: row.changed,
        accessed: row.accessed,
        rotated: row.rotated,
        next_rotation: rotation.as_ref().and_then(rotation::Row::next_rotation),
        deleted: row.deleted,
        rotation: rotation.as_ref().and_then(rotation::Row::config),
        tags: row.tagged.then_some(tags),
        stages,
    })
}

/// Only a secret that is replicated has one: the region it was made in.
fn primary_region(arn: &str, replicas: &[Replica]) -> Option<String> {
    let region = arn.split(':').nth(3)?;
    (!replicas.is_empty()).then(|| region.to_owned())
}
