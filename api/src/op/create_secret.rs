//! CreateSecret: a new secret, with its first version where a value is given.

use serde::Serialize;
use store::NewSecret;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::kms;
use crate::members::{Each, Length, Name, Required, request};
use crate::replication::{self, ReplicaRegion, Status};
use crate::wire::{Blob, Made, Tag, Text, tags_of, token_of, value_of};

request! {
    about name;
    name "Name": String [Required, Name],
    client_request_token "ClientRequestToken": String [],
    description "Description": String [Length(0..=2048)],
    kms_key_id "KmsKeyId": String [Length(0..=2048)],
    secret_string "SecretString": Text [Length(1..=65_536)],
    secret_binary "SecretBinary": Blob [Length(1..=65_536)],
    tags "Tags": Vec<Tag> [Each(0..=usize::MAX)],
    add_replica_regions "AddReplicaRegions": Vec<ReplicaRegion> [Each(1..=usize::MAX)],
    // There is never anything to overwrite.
    _force_overwrite "ForceOverwriteReplicaSecret": bool [],
    kind "Type": String [Length(0..=256)],
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    made: Made,
    #[serde(rename = "ReplicationStatus", skip_serializing_if = "Vec::is_empty")]
    replication_status: Vec<Status>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let token = token_of(self.client_request_token, ApiError::invalid_request)?;
        kms::check(self.kms_key_id.as_deref(), &cx.state.region)?;
        let replicas = replication::asked_for(self.add_replica_regions.unwrap_or_default(), &cx.state.region)?;
        let is_replicated = !replicas.is_empty();
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
        let mut replicas = vec![];
        if is_replicated {
            replicas = cx.state.store.replicas(&written.arn).await?.replicas;
        }
        // A repeated call gets the same answer, whatever has come of the first by then.
        let replication_status = replicas.into_iter().map(|replica| Status::new(replica).begun()).collect();
        Ok(Reply { made: written.into(), replication_status })
    }
}
