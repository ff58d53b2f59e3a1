//! ReplicateSecretToRegions: notes the regions. Nothing here copies a secret; see [`crate::replication`].

use serde::Serialize;
use store::Replicas;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Each, Required, SecretId, request};
use crate::replication::{self, ReplicaRegion, Status};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    add_replica_regions "AddReplicaRegions": Vec<ReplicaRegion> [Required, Each(1..=usize::MAX)],
    // There is never anything to overwrite.
    _force_overwrite "ForceOverwriteReplicaSecret": bool [],
}

/// What is known of a secret's replicas; the list is there even when it is empty.
#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(rename = "ARN")]
    arn: String,
    #[serde(rename = "ReplicationStatus")]
    replication_status: Vec<Status>,
}

impl Reply {
    /// `is_new` says which regions this very call asks for.
    pub(crate) fn new(replicas: Replicas, is_new: impl Fn(&str) -> bool) -> Self {
        let status = |replica: store::Replica| {
            let is_new = is_new(&replica.region);
            let status = Status::new(replica);
            if is_new { status.begun() } else { status }
        };
        Self { arn: replicas.arn, replication_status: replicas.replicas.into_iter().map(status).collect() }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let replicas = replication::asked_for(self.add_replica_regions.unwrap_or_default(), &cx.state.region)?;
        let id = self.secret_id.unwrap_or_default();
        let known = cx.state.store.replicate(&id, &replicas, cx.now).await?;
        Ok(Reply::new(known, |region| replicas.iter().any(|replica| replica.region == region)))
    }
}
