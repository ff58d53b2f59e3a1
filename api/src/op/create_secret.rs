//! CreateSecret: a new secret, with its first version where a value is given.

use serde::{Deserialize, Serialize};
use store::NewSecret;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::kms;
use crate::replication::{self, ReplicaRegion};
use crate::wire::{Blob, Made, Tag, Text, check_tags, check_value, tags_of, token_of, value_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    name: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<Text>,
    secret_binary: Option<Blob>,
    tags: Option<Vec<Tag>>,
    add_replica_regions: Option<Vec<ReplicaRegion>>,
    /// There is never anything to overwrite.
    #[serde(rename = "ForceOverwriteReplicaSecret")]
    _force_overwrite: Option<bool>,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    made: Made,
    #[serde(rename = "ReplicationStatus", skip_serializing_if = "Vec::is_empty")]
    replication_status: Vec<replication::Status>,
}

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.name(self.name.as_deref());
        must.length("description", self.description.as_deref(), 0..=2048);
        must.length("kmsKeyId", self.kms_key_id.as_deref(), 0..=2048);
        must.length("type", self.kind.as_deref(), 0..=256);
        replication::check(must, self.add_replica_regions.as_deref());
        check_value(must, self.secret_string.as_ref(), self.secret_binary.as_ref());
        check_tags(must, self.tags.as_deref().unwrap_or_default());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let token = token_of(self.client_request_token, ApiError::invalid_request)?;
        kms::check(self.kms_key_id.as_deref(), &cx.state.region)?;
        let replicas = replication::asked_for(self.add_replica_regions.unwrap_or_default(), &cx.state.region)?;
        let regions = replicas.len();
        let new = NewSecret {
            name: self.name.unwrap_or_default(),
            token,
            value: value_of(self.secret_string, self.secret_binary)?,
            description: self.description,
            kms_key_id: self.kms_key_id,
            tags: self.tags.map(tags_of).transpose()?,
            replicas,
            kind: self.kind,
            by: cx.principal().to_owned(),
        };
        let written = cx.state.store.create_secret(new, cx.now).await?;
        let replicas = match regions {
            0 => vec![],
            _ => cx.state.store.replicas(&written.arn).await?.replicas,
        };
        // A repeated call gets the same answer, whatever has come of the first by then.
        let replication_status =
            replicas.into_iter().map(|replica| replication::Status::new(replica).begun()).collect();
        Ok(Reply { made: written.into(), replication_status })
    }
}
