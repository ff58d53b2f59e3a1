//! pawl.AcceptClock: an operator has seen that the clock is right, though it jumped. Nodes that doubt theirs go by it again.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::fleet::Shown;
use crate::members::request;

request! {}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        if cx.state.store.fleet().await?.clock.is_none() {
            return Err(ApiError::invalid_request("No node doubts its clock: there is nothing to accept."));
        }
        cx.state.store.accept_clock(cx.state.wall.now()).await?;
        Shown::now(cx).await
    }
}
