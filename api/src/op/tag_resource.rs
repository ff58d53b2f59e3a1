//! TagResource: adds tags, or overwrites them by key.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Each, Required, SecretId, request};
use crate::wire::{Tag, tags_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    tags "Tags": Vec<Tag> [Required, Each(0..=usize::MAX)],
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let tags = tags_of(self.tags.unwrap_or_default())?;
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.tag(&id, &tags, cx.now).await?)
    }
}
