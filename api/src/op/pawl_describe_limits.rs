//! pawl.DescribeLimits: the limits of the installation, and what is passed over just now because of them.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::fleet::Shown;
use crate::members::request;

request! {}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        Shown::now(cx).await
    }
}
