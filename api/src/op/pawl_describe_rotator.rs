//! pawl.DescribeRotator: how one rotator is called, and since when its signing keys are good.

use engine::registration::LONGEST_NAME;
use store::StoreError;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, request};
use crate::registration::{Details, NAME};
use crate::workbench::paused_until;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
}

impl Operation for Request {
    type Reply = Details;

    async fn run(self, cx: &Cx<'_>) -> Result<Details, ApiError> {
        let name = self.name.unwrap_or_default();
        if let Some(there) = cx.state.store.rotator(&name).await? {
            let details = Details::of(&there, cx.state.store.served_by(&name).await?, cx.now);
            return Ok(details.paused(paused_until(cx, &name)));
        }
        match cx.state.builtins.contains(&name) {
            true => Ok(Details::built_in(&name)),
            false => Err(StoreError::RotatorNotFound(name).into()),
        }
    }
}
