//! pawl.VerifyRotation: does AWSCURRENT log in at its target, now? Changes nothing there; what was found is remembered.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::rotation::Shown;
use crate::workbench::workbench;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        workbench(cx)?.verify(&id, cx.principal()).await?;
        Ok(cx.state.store.rotation(&id).await?.into())
    }
}
