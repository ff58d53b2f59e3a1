//! GetResourcePolicy: the text of a secret's policy, where there is one.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::wire::Which;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    which: Which,
    #[serde(rename = "ResourcePolicy", skip_serializing_if = "Option::is_none")]
    resource_policy: Option<String>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let (named, resource_policy) = cx.state.store.policy(&id).await?;
        Ok(Reply { which: named.into(), resource_policy })
    }
}
