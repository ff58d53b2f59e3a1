//! UpdateSecret: description, key id, and a new version where a value is given.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::kms;
use crate::members::{Length, Required, SecretId, request};
use crate::wire::{Blob, Made, Text, token_of, value_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    client_request_token "ClientRequestToken": String [],
    description "Description": String [Length(0..=2048)],
    kms_key_id "KmsKeyId": String [Length(0..=2048)],
    secret_string "SecretString": Text [Length(1..=65_536)],
    secret_binary "SecretBinary": Blob [Length(1..=65_536)],
    kind "Type": String [Length(0..=256)],
}

impl Operation for Request {
    type Reply = Made;

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
