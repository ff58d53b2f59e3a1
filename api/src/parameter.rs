//! Parameter Store's view of secrets: parameters under one path, each a secret's value. Nothing is stored for it.
//!
//! Never here: any other parameter. An error here spells `message` as that service does, in lower case.

use engine::secret::{SecretBytes, ValueKind};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use store::{StoreError, Value};

use crate::error::ApiError;
use crate::op::{Cx, get_secret_value};
use crate::wire::{Epoch, base64_of};

const PATH: &str = "/aws/reference/secretsmanager/";
/// Colons of an ARN; one more begins a selector.
const ARN_COLONS: usize = 6;

/// A parameter's name that leads to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// The name without what selects a version.
    path: &'a str,
    /// The secret.
    id: &'a str,
    /// A version's id or label.
    selector: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// None for the name of any other parameter.
    pub(crate) fn of(name: &'a str) -> Option<Self> {
        let secret = name.strip_prefix(PATH).filter(|rest| !rest.is_empty())?;
        let colons = if secret.starts_with("arn:") { ARN_COLONS } else { 0 };
        let (id, selector) = match secret.match_indices(':').nth(colons) {
            Some((at, _)) => (&secret[..at], Some(&secret[at + 1..])),
            None => (secret, None),
        };
        Some(Self { path: &name[..PATH.len() + id.len()], id, selector })
    }

    /// The parameter, for a caller who may read the secret.
    pub(crate) async fn fetch(self, cx: &Cx<'_>) -> Result<Parameter, ApiError> {
        let found = get_secret_value::within(cx, self.id, self.read(cx)).await;
        let found = found.map_err(|error| self.refusal(error))?;
        let source = serde_json::to_vec(&Source(&found))
            .map_err(|error| ApiError::internal(format!("the source of a parameter could not be spelled: {error}")))?;
        Ok(Parameter {
            name: self.path.to_owned(),
            selector: self.selector.map(|selector| format!(":{selector}")),
            source: SecretBytes::new(source),
            found,
        })
    }

    async fn read(self, cx: &Cx<'_>) -> Result<Value, StoreError> {
        let Some(selector) = self.selector else {
            return get_secret_value::value(cx, self.id, None, None).await;
        };
        if !selector.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(StoreError::StageNotFound(selector.to_owned()));
        }
        // The two are told apart by what there is: a label may be as long as a version's id.
        match get_secret_value::value(cx, self.id, Some(selector), None).await {
            Err(StoreError::VersionNotFound(_)) => get_secret_value::value(cx, self.id, None, Some(selector)).await,
            read => read,
        }
    }

    /// Why the secret could not be read, as this service says it.
    fn refusal(self, mut error: ApiError) -> ApiError {
        let fault = error.fault.take();
        let mut refusal = match error.code {
            "ResourceNotFoundException" => ApiError::parameter_not_found(format!(
                "An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {} not found.",
                self.path
            )),
            "AccessDeniedException" => error,
            _ if error.status.is_server_error() => error.of_parameters(),
            code => ApiError::validation(format!(
                "An error occurred ({code}) when referencing Secrets Manager: {}",
                error.message()
            )),
        };
        refusal.fault = fault;
        refusal
    }
}

/// Values are given only to callers who know that they are secret.
pub(crate) fn check_decryption(with_decryption: Option<bool>) -> Result<(), ApiError> {
    match with_decryption {
        Some(true) => Ok(()),
        _ => Err(ApiError::validation("WithDecryption flag must be True for retrieving a Secret Manager secret.")),
    }
}

/// A secret's value as a parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    name: String,
    selector: Option<String>,
    /// The answer of GetSecretValue as text.
    source: SecretBytes,
    found: Value,
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let found = &self.found;
        let mut parameter = serializer.serialize_struct("Parameter", 9)?;
        parameter.serialize_field("ARN", &found.arn)?;
        parameter.serialize_field("DataType", "text")?;
        parameter.serialize_field("LastModifiedDate", &Epoch(found.created))?;
        parameter.serialize_field("Name", &self.name)?;
        if let Some(selector) = &self.selector {
            parameter.serialize_field("Selector", selector)?;
        }
        parameter.serialize_field("SourceResult", self.source.expose_str().unwrap_or_default())?;
        parameter.serialize_field("Type", "SecureString")?;
        let bytes = &found.value.bytes;
        match (found.value.kind, bytes.expose_str()) {
            (ValueKind::String, Some(text)) => parameter.serialize_field("Value", text)?,
            (ValueKind::String, None) | (ValueKind::Binary, _) => {
                parameter.serialize_field("Value", &base64_of(bytes))?;
            }
        }
        parameter.serialize_field("Version", &0)?;
        parameter.end()
    }
}

/// GetSecretValue's answer as it stands in a parameter: the same members, spelled another way.
struct Source<'a>(&'a Value);

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let found = self.0;
        let mut source = serializer.serialize_struct("Source", 6)?;
        source.serialize_field("ARN", &found.arn)?;
        source.serialize_field("name", &found.name)?;
        source.serialize_field("versionId", found.version_id.as_str())?;
        let bytes = &found.value.bytes;
        match (found.value.kind, bytes.expose_str()) {
            (ValueKind::String, Some(text)) => source.serialize_field("secretString", text)?,
            (ValueKind::String, None) | (ValueKind::Binary, _) => {
                source.serialize_field("secretBinary", &base64_of(bytes))?;
            }
        }
        if !found.stages.is_empty() {
            source.serialize_field("versionStages", &found.stages)?;
        }
        source.serialize_field("createdDate", &Epoch(found.created))?;
        source.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_into_secret_and_selector() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db/a-AbCdEf";
        for (tail, id, selector) in [
            ("db/a".to_owned(), "db/a", None),
            ("db/a:AWSPREVIOUS".to_owned(), "db/a", Some("AWSPREVIOUS")),
            ("a:".to_owned(), "a", Some("")),
            ("a:b:c".to_owned(), "a", Some("b:c")),
            (arn.to_owned(), arn, None),
            (format!("{arn}:v1"), arn, Some("v1")),
        ] {
            let name = format!("{PATH}{tail}");
            let path = format!("{PATH}{id}");
            assert_eq!(Reference::of(&name), Some(Reference { path: &path, id, selector }), "{tail}");
        }
        for name in ["", "a", PATH, "/aws/reference/secretsmanager", "aws/reference/secretsmanager/a", "/aws/service/a"]
        {
            assert_eq!(Reference::of(name), None, "{name}");
        }
    }
}
