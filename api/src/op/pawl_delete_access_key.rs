//! pawl.DeleteAccessKey: for good; its principal goes with its last key.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::credentials::check_access_key_id;
use crate::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    access_key_id: Option<String>,
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    fn secret_id(&self) -> Option<&str> {
        None
    }

    fn check(&self, must: &mut Constraints) {
        check_access_key_id(must, self.access_key_id.as_deref());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let id = self.access_key_id.unwrap_or_default();
        Ok(cx.state.store.delete_access_key(&id).await?)
    }
}
