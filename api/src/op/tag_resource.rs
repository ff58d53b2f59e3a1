//! TagResource: adds tags, or overwrites them by key.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::wire::{Tag, check_tags, tags_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    tags: Option<Vec<Tag>>,
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.required("tags", self.tags.is_some());
        check_tags(must, self.tags.as_deref().unwrap_or_default());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let tags = tags_of(self.tags.unwrap_or_default())?;
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.tag(&id, &tags, cx.now).await?)
    }
}
