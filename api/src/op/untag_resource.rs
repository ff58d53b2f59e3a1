//! UntagResource: removes tags by key; a key that is not there is removed already.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Items, Required, SecretId, request};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    tag_keys "TagKeys": Vec<String> [Required, Items(0..=usize::MAX, 1..=128)],
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let keys = self.tag_keys.unwrap_or_default();
        Ok(cx.state.store.untag(&id, &keys, cx.now).await?)
    }
}
