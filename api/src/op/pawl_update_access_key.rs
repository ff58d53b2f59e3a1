//! pawl.UpdateAccessKey: lets a key sign, or refuses it from the next request on.

use super::{Cx, Operation};
use crate::credentials::KEY_ID;
use crate::error::ApiError;
use crate::members::{Length, Required, request};

request! {
    access_key_id "AccessKeyId": String [Required, Length(16..=128), KEY_ID],
    enabled "Enabled": bool [Required],
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    /// As pawl.DeleteAccessKey, where it takes the key away.
    fn runs_in_outage(&self, _cx: &Cx<'_>) -> bool {
        self.enabled == Some(false)
    }

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let (id, enabled) = (self.access_key_id.unwrap_or_default(), self.enabled == Some(true));
        cx.notes.about(format!("{id} {}", if enabled { "enabled" } else { "disabled" }));
        Ok(cx.state.store.set_access_key_enabled(&id, enabled).await?)
    }
}
