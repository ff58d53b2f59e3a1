//! PutSecretValue: a new version, or the value of a rotation's placeholder.

use serde::Serialize;
use store::PutValue;

use super::{Cx, Operation};
use crate::authorize::{keeps_admin, rotates, within};
use crate::error::ApiError;
use crate::members::{Items, Length, Matching, Required, SecretId, request};
use crate::wire::{Blob, Made, Text, token_of, value_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    client_request_token "ClientRequestToken": String [],
    secret_string "SecretString": Text [Length(1..=65_536)],
    secret_binary "SecretBinary": Blob [Length(1..=65_536)],
    version_stages "VersionStages": Vec<String> [Items(1..=20, 1..=256)],
    rotation_token "RotationToken": Text [Length(36..=256), Matching("^[a-zA-Z0-9\\-]+$", is_rotation_token)],
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    made: Made,
    #[serde(rename = "VersionStages")]
    version_stages: Vec<String>,
}

fn is_rotation_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Operation for Request {
    type Reply = Reply;

    /// A rotation function that has changed the target already must be able to say so.
    fn runs_in_outage(&self, cx: &Cx<'_>) -> bool {
        rotates(cx)
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
            rotation_token: self.rotation_token.map(Text::into_secret),
            within: within(cx).cloned(),
            by: cx.principal().to_owned(),
        };
        let id = self.secret_id.unwrap_or_default();
        let mut written = cx.state.store.put_value(&id, put, cx.now).await?;
        Ok(Reply { version_stages: std::mem::take(&mut written.stages), made: written.into() })
    }
}
