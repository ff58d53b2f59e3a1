//! pawl.Redeliver: sends a step to a registered rotator once more, at once, while the rotation still stands there.

use engine::registration::LONGEST_NAME;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, request};
use crate::registration::NAME;
use crate::rotation::Shown;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    delivery_id "DeliveryId": i64 [Required, Between(1..=i64::MAX)],
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let (name, id) = (self.name.unwrap_or_default(), self.delivery_id.unwrap_or_default());
        cx.notes.about(format!("{name} {id}"));
        Ok(cx.state.store.redeliver(&name, id, cx.principal(), cx.now).await?.into())
    }
}
