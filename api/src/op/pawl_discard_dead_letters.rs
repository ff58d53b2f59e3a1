//! pawl.DiscardDeadLetters: dead letters are thrown away, these or all.

use engine::registration::LONGEST_NAME;
use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, request};
use crate::registration::NAME;

/// How many may be named at once.
const MOST: usize = 1000;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    ids "DeadLetterIds": Vec<i64> [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    name: String,
    /// How many there were.
    count: u64,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let Self { name, ids } = self;
        let name = name.unwrap_or_default();
        cx.notes.about(&name);
        if ids.as_ref().is_some_and(|ids| ids.len() > MOST) {
            return Err(ApiError::invalid_parameter("Name at most 1000 dead letters, or none for all of them."));
        }
        let count = cx.state.store.discard_dead_letters(&name, ids.as_deref()).await?;
        Ok(Reply { name, count })
    }
}
