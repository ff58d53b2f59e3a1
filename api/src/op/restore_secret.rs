//! RestoreSecret: a planned deletion is called off.

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
        Ok(cx.state.store.restore_secret_as(&id, Some(cx.principal()), cx.now).await?.into())
    }
}
