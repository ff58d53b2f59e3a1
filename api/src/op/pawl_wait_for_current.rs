//! pawl.WaitForCurrent: waits until AWSCURRENT is another version than the one named; answers at once where it is already.
//! Whoever is told can read what it is told of.

use std::time::Duration;

use engine::id::VersionId;
use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, SecretId, request};
use crate::wait;

/// How long it waits where nothing is said.
const PATIENCE: u64 = 30;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    not_version_id "NotVersionId": String [Length(32..=64)],
    timeout_seconds "TimeoutSeconds": i64 [Between(0..=60)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    /// It is another version than the one named.
    changed: bool,
    /// The version that carries AWSCURRENT; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<VersionId>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let store = &cx.state.store;
        let id = self.secret_id.unwrap_or_default();
        let not = self.not_version_id.as_deref();
        let patience = self.timeout_seconds.and_then(|wait| u64::try_from(wait).ok()).unwrap_or(PATIENCE);
        let look = || async {
            let current = store.current_version(&id).await?;
            Ok(current.filter(|current| not != Some(current.as_str())))
        };
        match wait::until(cx, Duration::from_secs(patience), look).await? {
            Some(version) => Ok(Reply { changed: true, version_id: Some(version) }),
            None => Ok(Reply { changed: false, version_id: store.current_version(&id).await? }),
        }
    }
}
