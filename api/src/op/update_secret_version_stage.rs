//! UpdateSecretVersionStage: moves a label, attaches it, or takes it away.

use store::MoveLabel;

use super::{Cx, Operation};
use crate::authorize::{keeps_admin, rotates, within};
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

    /// As PutSecretValue.
    fn runs_in_outage(&self, cx: &Cx<'_>) -> bool {
        rotates(cx)
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Which, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let moving = MoveLabel {
            label: self.version_stage.as_deref().unwrap_or_default(),
            remove_from: self.remove_from_version_id.as_deref(),
            move_to: self.move_to_version_id.as_deref(),
            keeps_admin: keeps_admin(cx),
            within: within(cx),
            by: cx.principal(),
        };
        Ok(cx.state.store.move_label(id, moving, cx.now).await?.into())
    }
}
