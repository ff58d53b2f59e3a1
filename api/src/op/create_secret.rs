//! CreateSecret: a new secret, with its first version where a value is given.

use serde::Deserialize;
use store::NewSecret;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::wire::{Blob, Made, Tag, Text, check_tags, check_value, tags_of, token_of, value_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    name: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<Text>,
    secret_binary: Option<Blob>,
    tags: Option<Vec<Tag>>,
    add_replica_regions: Option<serde::de::IgnoredAny>,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

impl Operation for Request {
    type Reply = Made;

    fn secret_id(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.name(self.name.as_deref());
        must.length("description", self.description.as_deref(), 0..=2048);
        must.length("kmsKeyId", self.kms_key_id.as_deref(), 0..=2048);
        must.length("type", self.kind.as_deref(), 0..=256);
        check_value(must, self.secret_string.as_ref(), self.secret_binary.as_ref());
        check_tags(must, self.tags.as_deref().unwrap_or_default());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Made, ApiError> {
        let token = token_of(self.client_request_token, ApiError::invalid_request)?;
        if self.add_replica_regions.is_some() {
            return Err(ApiError::invalid_parameter("This server does not replicate secrets."));
        }
        if self.kind.is_some_and(|kind| !kind.is_empty()) {
            return Err(ApiError::invalid_parameter("This server does not manage external secrets: leave Type out."));
        }
        let new = NewSecret {
            name: self.name.unwrap_or_default(),
            token,
            value: value_of(self.secret_string, self.secret_binary)?,
            description: self.description,
            kms_key_id: self.kms_key_id,
            tags: self.tags.map(tags_of).transpose()?,
            by: cx.principal().to_owned(),
        };
        Ok(cx.state.store.create_secret(new, cx.now).await?.into())
    }
}
