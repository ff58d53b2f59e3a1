//! pawl.ListDeliveries: every step that was sent to a registered rotator, how long it took and what came of it. Newest first.

use engine::registration::LONGEST_NAME;
use serde::Serialize;
use store::Delivery;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, request};
use crate::registration::NAME;
use crate::wire::Epoch;

/// How many are listed where nothing is said.
const LIMIT: u32 = 100;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    limit "Limit": i64 [Between(1..=1000)],
    before "Before": i64 [Between(1..=i64::MAX)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    deliveries: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: i64,
    #[serde(rename = "SecretARN")]
    arn: String,
    secret_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    step: String,
    attempt: u32,
    started: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    message: String,
}

impl From<Delivery> for Entry {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            arn: delivery.arn,
            secret_name: delivery.secret,
            version_id: delivery.token,
            step: delivery.step,
            // As the event counted it.
            attempt: delivery.attempt.saturating_add(1),
            started: Epoch(delivery.started),
            ended: delivery.ended.map(Epoch),
            status: delivery.status,
            verdict: delivery.verdict,
            message: delivery.message,
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let name = self.name.unwrap_or_default();
        let limit = self.limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(LIMIT);
        let deliveries = cx.state.store.deliveries(&name, limit, self.before).await?;
        Ok(Reply { deliveries: deliveries.into_iter().map(Into::into).collect() })
    }
}
