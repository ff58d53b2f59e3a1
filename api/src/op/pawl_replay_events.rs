//! pawl.ReplayEvents: a subscription is told once more, from an offset or a moment on, in order.

use engine::registration::LONGEST_NAME;
use serde::Serialize;
use store::Since;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, request};
use crate::registration::NAME;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    from_offset "FromOffset": i64 [Between(1..=i64::MAX)],
    from_time "FromTime": f64 [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    name: String,
    /// The first event that is sent again.
    from_offset: i64,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let name = self.name.unwrap_or_default();
        cx.notes.about(&name);
        let from = match (self.from_offset, self.from_time) {
            (Some(offset), None) => Since::Offset(offset),
            (None, Some(seconds)) => Since::Time(time_of(seconds)?),
            _ => return Err(ApiError::invalid_parameter("Say where to begin: FromOffset or FromTime, one of them.")),
        };
        if let Since::Offset(offset) = from {
            not_yet(cx, offset).await?;
        }
        let from_offset = cx.state.store.replay(&name, from, cx.now).await?;
        Ok(Reply { name, from_offset })
    }
}

/// Refuses an offset that no event has yet: nothing would be told, and a mistyped number would look well. The next one is allowed:
/// it may have come just now.
async fn not_yet(cx: &Cx<'_>, offset: i64) -> Result<(), ApiError> {
    let next = cx.state.store.next_offset().await?;
    if offset <= next {
        return Ok(());
    }
    Err(ApiError::invalid_request(format!(
        "No event has offset {offset} yet: the next one gets {next}. Nothing is replayed."
    )))
}

/// Epoch seconds, as AWS writes them.
#[expect(clippy::cast_possible_truncation, reason = "what is no date is refused")]
fn time_of(seconds: f64) -> Result<engine::Time, ApiError> {
    chrono::DateTime::from_timestamp_millis((seconds * 1000.0) as i64)
        .ok_or_else(|| ApiError::invalid_parameter("FromTime is a date as epoch seconds."))
}
