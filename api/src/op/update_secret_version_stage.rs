//! UpdateSecretVersionStage: moves a label, attaches it, or takes it away.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::wire::Which;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    version_stage "VersionStage": String [Required, Length(1..=256)],
    remove_from_version_id "RemoveFromVersionId": String [Length(32..=64)],
    move_to_version_id "MoveToVersionId": String [Length(32..=64)],
}

impl Operation for Request {
    type Reply = Which;

    async fn run(self, cx: &Cx<'_>) -> Result<Which, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let label = self.version_stage.as_deref().unwrap_or_default();
        let (from, to) = (self.remove_from_version_id.as_deref(), self.move_to_version_id.as_deref());
        let named = cx.state.store.move_label(id, label, from, to, cx.principal(), cx.now).await?;
        Ok(named.into())
    }
}
