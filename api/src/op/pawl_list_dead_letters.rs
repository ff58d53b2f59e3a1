//! pawl.ListDeadLetters: the events that a subscription's receiver did not take in time, and why. Newest first.

use engine::registration::LONGEST_NAME;
use serde::Serialize;
use store::DeadLetter;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, request};
use crate::registration::NAME;
use crate::subscription::Event;
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
    dead_letters: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    dead_letter_id: i64,
    event: Event,
    attempts: u32,
    failed_date: Epoch,
    reason: String,
    redelivering: bool,
}

impl From<DeadLetter> for Entry {
    fn from(letter: DeadLetter) -> Self {
        Self {
            dead_letter_id: letter.id,
            event: letter.event.into(),
            attempts: letter.attempts,
            failed_date: Epoch(letter.failed),
            reason: letter.reason,
            redelivering: letter.redelivering,
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let name = self.name.unwrap_or_default();
        let limit = self.limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(LIMIT);
        let letters = cx.state.store.dead_letters(&name, limit, self.before).await?;
        Ok(Reply { dead_letters: letters.into_iter().map(Into::into).collect() })
    }
}
