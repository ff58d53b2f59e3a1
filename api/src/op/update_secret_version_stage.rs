//! UpdateSecretVersionStage: moves a label, attaches it, or takes it away.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::wire::Which;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    version_stage: Option<String>,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

impl Operation for Request {
    type Reply = Which;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.required("versionStage", self.version_stage.is_some());
        must.length("versionStage", self.version_stage.as_deref(), 1..=256);
        must.length("removeFromVersionId", self.remove_from_version_id.as_deref(), 32..=64);
        must.length("moveToVersionId", self.move_to_version_id.as_deref(), 32..=64);
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Which, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let label = self.version_stage.as_deref().unwrap_or_default();
        let (from, to) = (self.remove_from_version_id.as_deref(), self.move_to_version_id.as_deref());
        let named = cx.state.store.move_label(id, label, from, to, cx.principal(), cx.now).await?;
        Ok(named.into())
    }
}
