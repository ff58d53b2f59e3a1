//! DeleteResourcePolicy: afterwards there is none, whether there was one or not.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::wire::Which;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

impl Operation for Request {
    type Reply = Which;

    async fn run(self, cx: &Cx<'_>) -> Result<Which, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.delete_policy(&id, cx.now).await?.into())
    }
}
