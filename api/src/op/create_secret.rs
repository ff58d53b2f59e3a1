//! CreateSecret: a new secret, with its first version where a value is given.

use serde::de::IgnoredAny;
use store::NewSecret;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Each, Length, Name, Required, request};
use crate::wire::{Blob, Made, Tag, Text, tags_of, token_of, value_of};

request! {
    about name;
    name "Name": String [Required, Name],
    client_request_token "ClientRequestToken": String [],
    description "Description": String [Length(0..=2048)],
    kms_key_id "KmsKeyId": String [Length(0..=2048)],
    secret_string "SecretString": Text [Length(1..=65_536)],
    secret_binary "SecretBinary": Blob [Length(1..=65_536)],
    tags "Tags": Vec<Tag> [Each(0..=usize::MAX)],
    add_replica_regions "AddReplicaRegions": IgnoredAny [],
    kind "Type": String [Length(0..=256)],
}

impl Operation for Request {
    type Reply = Made;

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
