//! UntagResource: removes tags by key; a key that is not there is removed already.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    tag_keys: Option<Vec<String>>,
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.required("tagKeys", self.tag_keys.is_some());
        must.list("tagKeys", self.tag_keys.as_deref(), 0..=usize::MAX, 1..=128);
    }

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let keys = self.tag_keys.unwrap_or_default();
        Ok(cx.state.store.untag(&id, &keys, cx.now).await?)
    }
}
