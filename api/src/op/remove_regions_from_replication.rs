//! RemoveRegionsFromReplication: forgets regions; one that is not there is forgotten already.

use super::replicate_secret_to_regions::Reply;
use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Items, Required, SecretId, request};
use crate::replication::REGION;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    remove_replica_regions "RemoveReplicaRegions": Vec<String> [Required, Items(1..=usize::MAX, 1..=128), REGION],
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let regions = self.remove_replica_regions.unwrap_or_default();
        Ok(Reply::new(cx.state.store.remove_replicas(&id, &regions, cx.now).await?, |_| false))
    }
}
