//! ListSecretVersionIds: the versions of a secret; never a rotation's placeholder.

use serde::Serialize;
use store::VersionEntry;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, SecretId, request};
use crate::wire::{Epoch, Which};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    max_results "MaxResults": i64 [Between(1..=100)],
    next_token "NextToken": String [Length(1..=4096)],
    include_deprecated "IncludeDeprecated": bool [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    versions: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(flatten)]
    which: Which,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    version_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_accessed_date: Option<Epoch>,
    created_date: Epoch,
    kms_key_ids: [String; 1],
}

impl From<VersionEntry> for Entry {
    fn from(version: VersionEntry) -> Self {
        Self {
            version_id: version.version_id.as_str().to_owned(),
            version_stages: version.stages,
            last_accessed_date: version.accessed.map(Epoch),
            created_date: Epoch(version.created),
            kms_key_ids: [version.kms_key_id.unwrap_or_else(|| "DefaultEncryptionKey".to_owned())],
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let limit = self.max_results.and_then(|max| u32::try_from(max).ok()).unwrap_or(100);
        let deprecated = self.include_deprecated == Some(true);
        let versions = cx.state.store.list_versions(id, deprecated, limit, self.next_token.as_deref()).await?;
        Ok(Reply {
            versions: versions.versions.into_iter().map(Into::into).collect(),
            next_token: versions.next,
            which: Which { arn: versions.arn, name: versions.name },
        })
    }
}
