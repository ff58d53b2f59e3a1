//! StopReplicationToReplica: makes a replica a secret of its own. This server holds primaries only, so it refuses.

use serde::{Deserialize, Serialize};

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
}

/// Never answered: there is no replica here.
#[derive(Serialize)]
pub(crate) enum Reply {}

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        // Whether it is there, and not to be deleted, comes first.
        cx.state.store.replicas(self.secret_id.as_deref().unwrap_or_default()).await?;
        Err(ApiError::invalid_parameter("Operation not permitted: the secret is not a replica."))
    }
}
