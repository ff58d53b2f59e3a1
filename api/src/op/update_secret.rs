//! UpdateSecret: description, key id, and a new version where a value is given.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::kms;
use crate::wire::{Blob, Made, Text, check_value, token_of, value_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<Text>,
    secret_binary: Option<Blob>,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

impl Operation for Request {
    type Reply = Made;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.length("description", self.description.as_deref(), 0..=2048);
        must.length("kmsKeyId", self.kms_key_id.as_deref(), 0..=2048);
        must.length("type", self.kind.as_deref(), 0..=256);
        check_value(must, self.secret_string.as_ref(), self.secret_binary.as_ref());
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Made, ApiError> {
        let token = token_of(self.client_request_token, ApiError::invalid_request)?;
        kms::check(self.kms_key_id.as_deref(), &cx.state.region)?;
        let update = store::UpdateSecret {
            token,
            value: value_of(self.secret_string, self.secret_binary)?,
            description: self.description,
            kms_key_id: self.kms_key_id,
            kind: self.kind,
            by: cx.principal().to_owned(),
        };
        let id = self.secret_id.unwrap_or_default();
        Ok(cx.state.store.update_secret(&id, update, cx.now).await?.into())
    }
}
