//! ExternalSecretRotationMetadata on the wire. Kept and shown: nothing here rotates a partner's secrets.

use serde::Serialize;

use crate::error::ApiError;
use crate::members::{Length, members};

members! {
    /// One entry of the list.
    #[derive(Serialize)]
    pub(crate) struct Metadata {
        key "Key": String [Length(1..=256)],
        value "Value": String [Length(1..=2048)],
    }
}

/// The list as the store takes it.
pub(crate) fn pairs_of(list: Vec<Metadata>) -> Result<Vec<(String, String)>, ApiError> {
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(list.len());
    for entry in list {
        let (Some(key), Some(value)) = (entry.key, entry.value) else {
            return Err(ApiError::invalid_parameter("Rotation metadata must have a key and a value."));
        };
        if pairs.iter().any(|(earlier, _)| *earlier == key) {
            return Err(ApiError::invalid_parameter(format!("Duplicate rotation metadata key: {key}")));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// The list as it is shown; empty where there is none.
pub(crate) fn shown(pairs: Option<Vec<(String, String)>>) -> Vec<Metadata> {
    let entry = |(key, value)| Metadata { key: Some(key), value: Some(value) };
    pairs.unwrap_or_default().into_iter().map(entry).collect()
}
