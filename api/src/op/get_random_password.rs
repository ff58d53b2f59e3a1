//! GetRandomPassword: a password by the rules of the request; nothing is stored.

use engine::password::PasswordRules;
use engine::secret::SecretBytes;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, request};

request! {
    password_length "PasswordLength": i64 [Between(1..=4096)],
    exclude_characters "ExcludeCharacters": String [Length(0..=4096)],
    exclude_numbers "ExcludeNumbers": bool [],
    exclude_punctuation "ExcludePunctuation": bool [],
    exclude_uppercase "ExcludeUppercase": bool [],
    exclude_lowercase "ExcludeLowercase": bool [],
    include_space "IncludeSpace": bool [],
    require_each_included_type "RequireEachIncludedType": bool [],
}

pub(crate) struct Reply(SecretBytes);

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reply = serializer.serialize_struct("Reply", 1)?;
        reply.serialize_field("RandomPassword", self.0.expose_str().unwrap_or_default())?;
        reply.end()
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, _cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let default = PasswordRules::default();
        let length = self.password_length.and_then(|length| usize::try_from(length).ok());
        let rules = PasswordRules {
            length: length.unwrap_or(default.length),
            exclude_characters: self.exclude_characters.unwrap_or_default(),
            exclude_numbers: self.exclude_numbers.unwrap_or(default.exclude_numbers),
            exclude_punctuation: self.exclude_punctuation.unwrap_or(default.exclude_punctuation),
            exclude_uppercase: self.exclude_uppercase.unwrap_or(default.exclude_uppercase),
            exclude_lowercase: self.exclude_lowercase.unwrap_or(default.exclude_lowercase),
            include_space: self.include_space.unwrap_or(default.include_space),
            require_each_included_type: self.require_each_included_type.unwrap_or(default.require_each_included_type),
        };
        rules.generate(&mut rand::rng()).map(Reply).map_err(|error| ApiError::invalid_parameter(error.to_string()))
    }
}
