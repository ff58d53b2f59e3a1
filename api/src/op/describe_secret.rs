//! DescribeSecret: everything about a secret but its values. The presence rules are AWS's.
//!
//! ListSecrets shows the same entry, with the map of versions under another name.

use std::collections::BTreeMap;

use engine::label::PENDING;
use serde::Serialize;
use store::{Description, Role};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::external::{self, Metadata};
use crate::members::{Required, SecretId, request};
use crate::replication;
use crate::rules::{self, RotationRules};
use crate::wire::{Epoch, Tag};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

/// A secret as it is shown. `Option`s that are None are left out.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    #[serde(rename = "ARN")]
    arn: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_enabled: Option<bool>,
    #[serde(rename = "RotationLambdaARN", skip_serializing_if = "Option::is_none")]
    rotation_lambda_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_rules: Option<RotationRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotated_date: Option<Epoch>,
    last_changed_date: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_accessed_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<Tag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_ids_to_stages: Option<BTreeMap<String, Vec<String>>>,
    /// The same map in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_versions_to_stages: Option<BTreeMap<String, Vec<String>>>,
    created_date: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_region: Option<String>,
    /// Never in a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replication_status: Vec<replication::Status>,
    #[serde(rename = "Type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_secret_rotation_metadata: Vec<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_secret_rotation_role_arn: Option<String>,
}

impl Entry {
    fn new(secret: Description) -> Self {
        let config = secret.rotation;
        Self {
            arn: secret.arn,
            name: secret.name,
            description: secret.description.filter(|text| !text.is_empty()),
            kms_key_id: secret.kms_key_id.filter(|key| !key.is_empty()),
            rotation_enabled: config.as_ref().map(|config| config.enabled),
            rotation_rules: config.as_ref().and_then(rules::shown),
            rotation_lambda_arn: config.and_then(|config| config.rotator),
            last_rotated_date: secret.rotated.map(Epoch),
            last_changed_date: Epoch(secret.changed),
            last_accessed_date: secret.accessed.map(Epoch),
            deleted_date: secret.deleted.map(Epoch),
            next_rotation_date: secret.next_rotation.map(Epoch),
            tags: secret.tags.map(|tags| tags.into_iter().map(Into::into).collect()),
            version_ids_to_stages: Some(secret.stages).filter(|stages| !stages.is_empty()),
            secret_versions_to_stages: None,
            created_date: Epoch(secret.created),
            primary_region: secret.primary_region,
            replication_status: secret.replicas.into_iter().map(replication::Status::new).collect(),
            kind: secret.external.kind,
            external_secret_rotation_metadata: external::shown(secret.external.metadata),
            external_secret_rotation_role_arn: secret.external.role_arn,
        }
    }

    /// AWS's functions do nothing for a secret that is not enabled for rotation. One that was cancelled in the middle is
    /// to them until AWSCURRENT is proven, which takes their testSecret.
    fn serves_a_function(&mut self) {
        let pending = |labels: &Vec<String>| labels.iter().any(|label| label == PENDING);
        if self.version_ids_to_stages.as_ref().is_some_and(|stages| stages.values().any(pending)) {
            self.rotation_enabled = self.rotation_enabled.map(|_| true);
        }
    }

    /// As ListSecrets shows it.
    pub(crate) fn in_list(secret: Description) -> Self {
        let mut entry = Self::new(secret);
        entry.secret_versions_to_stages = entry.version_ids_to_stages.take();
        entry.replication_status.clear();
        entry
    }
}

impl Operation for Request {
    type Reply = Entry;

    async fn run(self, cx: &Cx<'_>) -> Result<Entry, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let mut entry = Entry::new(cx.state.store.describe(&id).await?);
        if matches!(cx.caller().principal().role, Role::Rotator | Role::Rotation) {
            entry.serves_a_function();
        }
        Ok(entry)
    }
}
