//! pawl.CreateSession: temporary credentials of the calling key, with its rights. The one reply with their secret.

use std::time::Duration;

use serde::Serialize;
use store::{LONGEST_SESSION, SHORTEST_SESSION};

use super::{Cx, Operation};
use crate::credentials::Shown;
use crate::error::ApiError;
use crate::members::{Between, request};
use crate::wire::Epoch;

const DEFAULT: Duration = Duration::from_secs(3600);

request! {
    duration_seconds "DurationSeconds": i64 [Between(seconds(SHORTEST_SESSION)..=seconds(LONGEST_SESSION))],
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    access_key_id: String,
    secret_access_key: Shown,
    session_token: String,
    expiration: Epoch,
}

impl Operation for Request {
    type Reply = Reply;

    /// Nothing is stored, and a service that cannot get credentials is down.
    fn runs_in_outage(&self, _cx: &Cx<'_>) -> bool {
        true
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        // Or whoever got hold of one could stay for ever.
        if cx.caller().is_session() {
            return Err(ApiError::access_denied("Cannot call CreateSession with session credentials."));
        }
        let asked = self.duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let ttl = asked.map_or(DEFAULT, Duration::from_secs);
        let session = cx.state.store.create_session(cx.caller().access_key_id(), ttl, cx.now).await?;
        cx.notes.about(&session.access_key_id);
        Ok(Reply {
            access_key_id: session.access_key_id,
            secret_access_key: Shown(session.secret),
            session_token: session.token,
            expiration: Epoch(session.expires),
        })
    }
}
