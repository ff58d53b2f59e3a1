//! pawl.RotateSubscriptionKey: another key for a subscription's deliveries, beside the one there is for a while. The one
//! reply that has it.

use chrono::TimeDelta;
use engine::registration::{KEY_OVERLAP, LONGEST_NAME};
use serde::Serialize;

use super::{Cx, Operation};
use crate::credentials::Shown;
use crate::error::ApiError;
use crate::members::{Length, Required, request};
use crate::registration::{NAME, span_of, spelled};
use crate::wire::Epoch;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    overlap "Overlap": String [Length(1..=16)],
    replace "Replace": bool [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    name: String,
    signing_key: Shown,
    created_date: Epoch,
    /// When the key before it stops signing.
    previous_expiry_date: Epoch,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let name = self.name.unwrap_or_default();
        cx.notes.about(&name);
        let overlap = self.overlap.map(|text| span_of("Overlap", &text)).transpose()?.unwrap_or(KEY_OVERLAP);
        let overlap = TimeDelta::from_std(overlap)
            .map_err(|_| ApiError::invalid_parameter("Overlap is longer than this server can count."))?;
        let (replace, by) = (self.replace == Some(true), cx.principal());
        let key = cx.state.store.rotate_subscription_key(&name, overlap, replace, by, cx.now).await?;
        Ok(Reply {
            name,
            signing_key: spelled(&key),
            created_date: Epoch(key.created),
            previous_expiry_date: Epoch(key.created + overlap),
        })
    }
}
