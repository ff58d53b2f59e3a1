//! pawl.ResumeRotation: ends a pause, and lets a parked rotation go on.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::rotation::Shown;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
}

impl Operation for Request {
    type Reply = Shown;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.resume_rotation(&id, cx.principal(), cx.now).await?.into())
    }
}
