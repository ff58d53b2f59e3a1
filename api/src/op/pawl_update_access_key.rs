//! pawl.UpdateAccessKey: lets a key sign, or refuses it from the next request on.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::credentials::check_access_key_id;
use crate::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    access_key_id: Option<String>,
    enabled: Option<bool>,
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    fn secret_id(&self) -> Option<&str> {
        None
    }

    fn check(&self, must: &mut Constraints) {
        check_access_key_id(must, self.access_key_id.as_deref());
        must.required("enabled", self.enabled.is_some());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let id = self.access_key_id.unwrap_or_default();
        Ok(cx.state.store.set_access_key_enabled(&id, self.enabled == Some(true)).await?)
    }
}
