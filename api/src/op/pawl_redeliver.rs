//! pawl.Redeliver: sends a step to a registered rotator once more, at once, while the rotation still stands there.

use engine::registration::LONGEST_NAME;
use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, request};
use crate::registration::NAME;
use crate::rotation::Shown;
use crate::wire::Epoch;
use crate::workbench::paused_until;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    delivery_id "DeliveryId": i64 [Required, Between(1..=i64::MAX)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    #[serde(flatten)]
    rotation: Shown,
    /// The rotator failed again and again, and the step waits for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_called_until: Option<Epoch>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let (name, id) = (self.name.unwrap_or_default(), self.delivery_id.unwrap_or_default());
        cx.notes.about(format!("{name} {id}"));
        let rotation = cx.state.store.redeliver(&name, id, cx.principal(), cx.now).await?.into();
        Ok(Reply { rotation, not_called_until: paused_until(cx, &name).map(Epoch) })
    }
}
