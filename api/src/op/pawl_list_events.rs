//! pawl.ListEvents: what happened, in order, from an offset on; waits for the next where there is none yet.

use std::time::Duration;

use serde::Serialize;
use store::EventPage;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, SecretId, request};
use crate::subscription::Event;
use crate::wait;

/// How many are listed where nothing is said.
const LIMIT: usize = 100;

request! {
    from "From": i64 [Between(1..=i64::MAX)],
    secret_id "SecretId": String [SecretId],
    limit "Limit": i64 [Between(1..=1000)],
    wait "WaitSeconds": i64 [Between(0..=60)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    events: Vec<Event>,
    /// From where to ask again.
    next: i64,
    /// The first offset that is kept.
    oldest: i64,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let store = &cx.state.store;
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT);
        let Some(from) = self.from else {
            // Whoever begins now wants to know from where on.
            while store.publish().await? > 0 {}
            let next = store.next_offset().await?;
            let oldest = store.events(next, 1, None).await?.oldest;
            return Ok(Reply { events: Vec::new(), next, oldest });
        };
        // Names and ARNs of what is gone are found as they stand in the events.
        let secret = match &self.secret_id {
            Some(id) => Some(store.named(id).await.map_or_else(|_| id.clone(), |named| named.arn)),
            None => None,
        };
        let patience = Duration::from_secs(self.wait.and_then(|wait| u64::try_from(wait).ok()).unwrap_or(0));
        let looked_to = std::sync::atomic::AtomicI64::new(from);
        let look = || async {
            store.publish().await?;
            let page = self::page(cx, &looked_to, limit, secret.as_deref()).await?;
            Ok((!page.events.is_empty()).then_some(page))
        };
        let page = match wait::until(cx, patience, look).await? {
            Some(page) => page,
            None => self::page(cx, &looked_to, limit, secret.as_deref()).await?,
        };
        let events = page.events.into_iter().map(Into::into).collect();
        Ok(Reply { events, next: page.next, oldest: page.oldest })
    }
}

/// The first page with something in it, or the last one: what is passed over is not looked at again.
async fn page(
    cx: &Cx<'_>,
    looked_to: &std::sync::atomic::AtomicI64,
    limit: usize,
    secret: Option<&str>,
) -> Result<EventPage, ApiError> {
    use std::sync::atomic::Ordering::Relaxed;
    loop {
        let from = looked_to.load(Relaxed);
        let page = cx.state.store.events(from, limit, secret).await?;
        if !page.events.is_empty() || page.next <= from {
            return Ok(page);
        }
        looked_to.store(page.next, Relaxed);
    }
}
