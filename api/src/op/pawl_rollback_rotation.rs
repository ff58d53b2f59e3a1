//! pawl.RollbackRotation: a rotation that carries the value of an earlier version, AWSPREVIOUS unless another is named.

use engine::id::VersionId;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::wire::{Made, token_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    version_id "VersionId": String [Length(32..=64)],
    client_request_token "ClientRequestToken": String [],
}

impl Operation for Request {
    type Reply = Made;

    async fn run(self, cx: &Cx<'_>) -> Result<Made, ApiError> {
        let token = match self.client_request_token {
            None => VersionId::random(&mut rand::rng()),
            given => token_of(given, ApiError::invalid_parameter)?,
        };
        let id = self.secret_id.unwrap_or_default();
        let version = self.version_id.as_deref();
        Ok(cx.state.store.rollback_rotation(&id, token, version, cx.principal(), cx.now).await?.into())
    }
}
