//! pawl.DeleteAccessKey: for good; its principal goes with its last key.

use super::{Cx, Operation};
use crate::credentials::KEY_ID;
use crate::error::ApiError;
use crate::members::{Length, Required, request};

request! {
    access_key_id "AccessKeyId": String [Required, Length(16..=128), KEY_ID],
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    /// A key that leaked is not to stay good because a disk is full.
    fn runs_in_outage(&self, _cx: &Cx<'_>) -> bool {
        true
    }

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let id = self.access_key_id.unwrap_or_default();
        cx.notes.about(&id);
        Ok(cx.state.store.delete_access_key(&id).await?)
    }
}
