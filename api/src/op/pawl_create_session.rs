//! pawl.CreateSession: temporary credentials of the calling key, with its rights. The one reply with their secret.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{LONGEST_SESSION, SHORTEST_SESSION};

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::credentials::Shown;
use crate::error::ApiError;
use crate::wire::Epoch;

const DEFAULT: Duration = Duration::from_secs(3600);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    duration_seconds: Option<i64>,
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

    fn secret_id(&self) -> Option<&str> {
        None
    }

    fn check(&self, must: &mut Constraints) {
        let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        must.number("durationSeconds", self.duration_seconds, seconds(SHORTEST_SESSION)..=seconds(LONGEST_SESSION));
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        // Or whoever got hold of one could stay for ever.
        if cx.caller().is_session() {
            return Err(ApiError::access_denied("Cannot call CreateSession with session credentials."));
        }
        let asked = self.duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let ttl = asked.map_or(DEFAULT, Duration::from_secs);
        let session = cx.state.store.create_session(cx.caller().access_key_id(), ttl, cx.now).await?;
        Ok(Reply {
            access_key_id: session.access_key_id,
            secret_access_key: Shown(session.secret),
            session_token: session.token,
            expiration: Epoch(session.expires),
        })
    }
}
