//! pawl.ListAccessKeys: every key with its principal, never with its secret.

use serde::Serialize;
use store::AccessKeyEntry;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::request;
use crate::wire::Epoch;

request! {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    access_keys: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    access_key_id: String,
    principal: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    enabled: bool,
    created_date: Epoch,
}

impl From<AccessKeyEntry> for Entry {
    fn from(key: AccessKeyEntry) -> Self {
        Self {
            access_key_id: key.access_key_id,
            role: key.principal.role.name(),
            principal: key.principal.name,
            prefixes: key.principal.scope.prefixes,
            secrets: key.principal.scope.secrets,
            enabled: key.enabled,
            created_date: Epoch(key.created),
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let keys = cx.state.store.list_access_keys().await?;
        Ok(Reply { access_keys: keys.into_iter().map(Into::into).collect() })
    }
}
