//! pawl.ResumeAll: ends a pause of everything. What was due meanwhile runs late, spread.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::fleet::Shown;
use crate::members::request;

request! {}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        match cx.state.store.resume_all(cx.principal(), cx.now).await? {
            Some(late) => tracing::warn!(by = cx.principal(), late, "rotations go on; what was due runs late, spread"),
            None => return Err(ApiError::invalid_request("Nothing is paused but single secrets, if any.")),
        }
        Shown::now(cx).await
    }
}
