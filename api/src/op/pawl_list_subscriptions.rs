//! pawl.ListSubscriptions: every subscription by name, how far it is told and what waits.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::request;
use crate::subscription::Details;

request! {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    subscriptions: Vec<Details>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let subscriptions = cx.state.store.subscription_entries().await?;
        Ok(Reply { subscriptions: subscriptions.into_iter().map(Into::into).collect() })
    }
}
