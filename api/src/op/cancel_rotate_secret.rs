//! CancelRotateSecret: no more rotations; rules, rotator and labels stay.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::wire::Made;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

impl Operation for Request {
    type Reply = Made;

    async fn run(self, cx: &Cx<'_>) -> Result<Made, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.cancel_rotation(&id, cx.principal(), cx.now).await?.into())
    }
}
