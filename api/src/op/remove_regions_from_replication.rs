//! RemoveRegionsFromReplication: forgets regions; one that is not there is forgotten already.

use serde::Deserialize;

use super::replicate_secret_to_regions::Reply;
use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::replication;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    remove_replica_regions: Option<Vec<String>>,
}

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        let regions = self.remove_replica_regions.as_deref();
        must.required("removeReplicaRegions", regions.is_some());
        must.count("removeReplicaRegions", regions.map(<[_]>::len), 1..=usize::MAX);
        for (i, region) in regions.unwrap_or_default().iter().enumerate() {
            replication::check_region(must, &format!("removeReplicaRegions.{}.member", i + 1), Some(region));
        }
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let regions = self.remove_replica_regions.unwrap_or_default();
        Ok(Reply::new(cx.state.store.remove_replicas(&id, &regions, cx.now).await?, |_| false))
    }
}
