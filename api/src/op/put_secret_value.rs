//! PutSecretValue: a new version, or the value of a rotation's placeholder.

use serde::{Deserialize, Serialize};
use store::PutValue;

use super::{Cx, Operation};
use crate::authorize::keeps_admin;
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::wire::{Blob, Made, Text, check_value, token_of, value_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    secret_string: Option<Text>,
    secret_binary: Option<Blob>,
    version_stages: Option<Vec<String>>,
    /// Taken as text that is not kept: a rotation function proves itself by its signature.
    rotation_token: Option<Text>,
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    made: Made,
    #[serde(rename = "VersionStages")]
    version_stages: Vec<String>,
}

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.list("versionStages", self.version_stages.as_deref(), 1..=20, 1..=256);
        must.sensitive_length("rotationToken", self.rotation_token.as_ref().map(Text::len), 36..=256);
        check_value(must, self.secret_string.as_ref(), self.secret_binary.as_ref());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let token = token_of(self.client_request_token, ApiError::invalid_request)?;
        let value = value_of(self.secret_string, self.secret_binary)?
            .ok_or_else(|| ApiError::invalid_request("You must provide either SecretString or SecretBinary."))?;
        let put = PutValue {
            token,
            value,
            stages: self.version_stages,
            keeps_admin: keeps_admin(cx),
            by: cx.principal().to_owned(),
        };
        let id = self.secret_id.unwrap_or_default();
        let mut written = cx.state.store.put_value(&id, put, cx.now).await?;
        Ok(Reply { version_stages: std::mem::take(&mut written.stages), made: written.into() })
    }
}
