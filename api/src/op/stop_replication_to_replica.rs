//! StopReplicationToReplica: makes a replica a secret of its own. This server holds primaries only, so it refuses.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

/// Never answered: there is no replica here.
#[derive(Serialize)]
pub(crate) enum Reply {}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        // Whether it is there, and not to be deleted, comes first.
        cx.state.store.replicas(self.secret_id.as_deref().unwrap_or_default()).await?;
        Err(ApiError::invalid_parameter("Operation not permitted: the secret is not a replica."))
    }
}
