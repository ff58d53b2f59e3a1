//! The pieces requests and replies are made of: epoch seconds, values, tokens, tags.
//!
//! Domain types never derive the wire format; it is spelled here and in the operations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use engine::Time;
use engine::id::VersionId;
use engine::secret::{SecretBytes, SecretValue, ValueKind};
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::Named;

use crate::error::ApiError;
use crate::members::{Length, members};

/// An instant as AWS writes it: epoch seconds, with the milliseconds as decimals where there are any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(pub(crate) Time);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = self.0.timestamp_millis();
        if ms % 1000 == 0 {
            serializer.serialize_i64(ms / 1000)
        } else {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double for 285,000 years")]
            serializer.serialize_f64(ms as f64 / 1000.0)
        }
    }
}

/// A `SecretString` of a request.
#[derive(Debug)]
pub(crate) struct Text(SecretBytes);

impl Text {
    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.expose().len()
    }

    /// What it carries.
    pub(crate) fn into_secret(self) -> SecretBytes {
        self.0
    }

    /// Whether it is of a form.
    pub(crate) fn reads_as(&self, form: fn(&str) -> bool) -> bool {
        self.0.expose_str().is_some_and(form)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker;
        impl Visitor<'_> for Taker {
            type Value = SecretBytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<SecretBytes, E> {
                Ok(SecretBytes::from(text))
            }
        }
        deserializer.deserialize_str(Taker).map(Self)
    }
}

/// A `SecretBinary` of a request: base64 with padding.
#[derive(Debug)]
pub(crate) struct Blob(SecretBytes);

impl Blob {
    /// Length in bytes, decoded.
    pub(crate) fn len(&self) -> usize {
        self.0.expose().len()
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        // The decoder's own error would say which byte is wrong, and so what it is.
        let bytes = BASE64.decode(text.0.expose()).map_err(|_| D::Error::custom("not base64"))?;
        Ok(Self(SecretBytes::new(bytes)))
    }
}

/// A value as replies carry it: text, or base64.
pub(crate) fn base64_of(bytes: &SecretBytes) -> String {
    BASE64.encode(bytes.expose())
}

/// The value of a request that may carry either member.
pub(crate) fn value_of(text: Option<Text>, blob: Option<Blob>) -> Result<Option<SecretValue>, ApiError> {
    let value = match (text, blob) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter(
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ));
        }
        (Some(Text(bytes)), None) => Some((ValueKind::String, bytes)),
        (None, Some(Blob(bytes))) => Some((ValueKind::Binary, bytes)),
        (None, None) => None,
    };
    Ok(value.map(|(kind, bytes)| SecretValue { kind, bytes }))
}

/// The ClientRequestToken, which raw HTTP callers may forget: `missing` makes the error AWS gives then.
pub(crate) fn token_of(token: Option<String>, missing: fn(&'static str) -> ApiError) -> Result<VersionId, ApiError> {
    let token =
        token.ok_or_else(|| missing("You must provide a ClientRequestToken value. We recommend a UUID-type value."))?;
    VersionId::new(token).map_err(|_| ApiError::invalid_parameter("ClientRequestToken must be 32-64 characters long."))
}

members! {
    /// A tag.
    #[derive(Serialize)]
    pub(crate) struct Tag {
        pub(crate) key "Key": String [Length(1..=128)],
        pub(crate) value "Value": String [Length(0..=256)],
    }
}

impl From<store::Tag> for Tag {
    fn from(tag: store::Tag) -> Self {
        Self { key: Some(tag.key), value: Some(tag.value) }
    }
}

/// Tags as the store takes them; AWS's rules on keys.
pub(crate) fn tags_of(tags: Vec<Tag>) -> Result<Vec<store::Tag>, ApiError> {
    // More would be refused with what is there already; said before they are compared with each other.
    if tags.len() > store::MOST_TAGS {
        return Err(store::StoreError::TagQuota.into());
    }
    let mut taken: Vec<store::Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        let (Some(key), value) = (tag.key, tag.value.unwrap_or_default()) else {
            return Err(ApiError::invalid_parameter("A tag must have a key."));
        };
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::invalid_parameter("Tag keys that start with aws: are reserved for use by AWS."));
        }
        if taken.iter().any(|earlier| earlier.key == key) {
            return Err(ApiError::invalid_parameter(format!("Duplicate tag key: {key}")));
        }
        taken.push(store::Tag { key, value });
    }
    Ok(taken)
}

/// The reply of operations that only say which secret it was.
#[derive(Serialize)]
pub(crate) struct Which {
    #[serde(rename = "ARN")]
    pub(crate) arn: String,
    #[serde(rename = "Name")]
    pub(crate) name: String,
}

impl From<Named> for Which {
    fn from(named: Named) -> Self {
        Self { arn: named.arn, name: named.name }
    }
}

/// The reply of operations that may have made a version.
#[derive(Serialize)]
pub(crate) struct Made {
    #[serde(flatten)]
    pub(crate) which: Which,
    #[serde(rename = "VersionId", skip_serializing_if = "Option::is_none")]
    pub(crate) version_id: Option<VersionId>,
}

impl From<store::Written> for Made {
    fn from(written: store::Written) -> Self {
        Self { which: Which { arn: written.arn, name: written.name }, version_id: written.version_id }
    }
}

/// Whether a body is JSON, and an object.
pub(crate) fn is_json_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// Parses a request. What the parser says can quote the request, so it is never passed on.
pub(crate) fn parse<R: DeserializeOwned>(body: &[u8]) -> Result<R, ApiError> {
    // Structures would be taken from arrays, too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::not_json());
    }
    serde_json::from_slice(body)
        .map_err(|error| if error.is_data() { type_error(&error.to_string()) } else { ApiError::not_json() })
}

/// The service's words for a member of the wrong type, from the parser's words.
fn type_error(said: &str) -> ApiError {
    let Some((found, expected)) = said.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return ApiError::not_json();
    };
    let found = match found.split(' ').next() {
        Some("integer" | "floating") => "NUMBER_VALUE",
        Some("boolean") if found.contains("true") => "TRUE_VALUE",
        Some("boolean") => "FALSE_VALUE",
        Some("string") => "STRING_VALUE",
        Some("sequence") => return ApiError::wrong_type("Start of list found where not expected."),
        Some("map") => return ApiError::wrong_type("Start of structure or map found where not expected."),
        _ => return ApiError::not_json(),
    };
    let wanted = [("a string", "String"), ("a boolean", "Boolean"), ("i64", "Long")];
    match wanted.iter().find(|(words, _)| expected.starts_with(words)) {
        Some((_, name)) => ApiError::wrong_type(format!("{found} can not be converted to {name}")),
        None => ApiError::wrong_type("Unexpected field type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "only its parsing is looked at")]
    struct Sample {
        secret_id: Option<String>,
        secret_string: Option<Text>,
        secret_binary: Option<Blob>,
        max_results: Option<i64>,
        flag: Option<bool>,
        list: Option<Vec<String>>,
    }

    fn body_of(request: &str) -> String {
        let error = parse::<Sample>(request.as_bytes()).expect_err("not a request");
        assert_eq!(error.code, "SerializationException");
        String::from_utf8(error.body()).expect("UTF-8")
    }

    #[test]
    fn epochs_are_numbers_with_milliseconds_where_there_are_any() {
        for (at, text) in [
            ("2018-04-11T18:45:45.729Z", "1523472345.729"),
            ("2018-04-11T18:45:45.729999Z", "1523472345.729"),
            ("2018-04-11T00:00:00Z", "1523404800"),
        ] {
            let epoch = Epoch(at.parse().expect("an instant"));
            assert_eq!(serde_json::to_string(&epoch).expect("JSON"), text);
        }
    }

    #[test]
    fn wrong_types_are_said_in_the_services_words() {
        for (request, message) in [
            (r#"{"SecretId":5}"#, "NUMBER_VALUE can not be converted to String"),
            (r#"{"SecretString":true}"#, "TRUE_VALUE can not be converted to String"),
            (r#"{"MaxResults":"5"}"#, "STRING_VALUE can not be converted to Long"),
            (r#"{"Flag":"true"}"#, "STRING_VALUE can not be converted to Boolean"),
            (r#"{"SecretId":{}}"#, "Start of structure or map found where not expected."),
            (r#"{"SecretId":[]}"#, "Start of list found where not expected."),
            (r#"{"List":"x"}"#, "Unexpected field type"),
        ] {
            let expected = format!(r#"{{"__type":"SerializationException","message":"{message}"}}"#);
            assert_eq!(body_of(request), expected, "{request}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_words() {
        for request in ["", "x", "[]", r#"["a"]"#, r#"{"SecretId":"#, "{} x", "null"] {
            assert_eq!(body_of(request), r#"{"__type":"SerializationException"}"#, "{request}");
        }
    }

    #[test]
    fn parse_errors_never_quote_the_request() {
        for request in [
            r#"{"MaxResults":"canary, expected i64"}"#,
            r#"{"SecretBinary":"canary"}"#,
            r#"{"SecretString":{"a":"canary"}}"#,
            r#"{"Flag":"canary"}"#,
        ] {
            assert!(!body_of(request).contains("canary"), "{request}");
        }
    }

    #[test]
    fn debug_of_a_request_shows_no_value() {
        let sample: Sample = parse(br#"{"SecretString":"canary-1","SecretBinary":"Y2FuYXJ5"}"#).expect("a request");
        let shown = format!("{sample:?}");
        assert!(!shown.contains("canary") && !shown.contains("Y2Fu"), "{shown}");
    }

    #[test]
    fn null_members_are_absent_members() {
        let sample: Sample = parse(br#" {"SecretId":null,"Unknown":[1]} "#).expect("a request");
        assert!(sample.secret_id.is_none());
    }
}
