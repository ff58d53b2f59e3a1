//! pawl.ReconcileRotation: sets AWSCURRENT again where it does not log in.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::rotation::Shown;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.reconcile_rotation(&id, cx.principal(), cx.now).await?.into())
    }
}
