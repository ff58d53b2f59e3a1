//! pawl.ListRotationHistory: who or what started each rotation, every step, how long, the verdict. Newest first.

use serde::Serialize;
use store::HistoryEntry;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Required, SecretId, request};
use crate::wire::Epoch;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    limit "Limit": i64 [Between(1..=1000)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    history: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    started: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    message: String,
}

impl From<HistoryEntry> for Entry {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            id: entry.id,
            version_id: entry.token,
            kind: entry.kind,
            step: entry.step,
            attempt: entry.attempt,
            by: entry.by,
            started: Epoch(entry.started),
            ended: entry.ended.map(Epoch),
            verdict: entry.verdict,
            message: entry.message,
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let limit = self.limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(100);
        let history = cx.state.store.history(id, limit).await?;
        Ok(Reply { history: history.into_iter().map(Into::into).collect() })
    }
}
