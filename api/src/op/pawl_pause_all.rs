//! pawl.PauseAll: nothing starts any more, on any node, until it is resumed. What is open goes on to its end.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::fleet::Shown;
use crate::members::{Length, Required, request};

request! {
    reason "Reason": String [Required, Length(1..=256)],
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let reason = self.reason.unwrap_or_default();
        cx.state.store.pause_all(&reason, cx.principal(), cx.now).await?;
        tracing::warn!(by = cx.principal(), reason, "all rotations are paused");
        Shown::now(cx).await
    }
}
