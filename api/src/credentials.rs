//! What operations on access keys share: the spelling of secrets in the one reply that has them, and what names look like.
//!
//! Never here: what a role may do.

use engine::secret::SecretBytes;
use serde::{Serialize, Serializer};

use crate::members::Matching;

/// The secret half of credentials, in the reply that hands them out.
pub(crate) struct Shown(pub(crate) SecretBytes);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_str().unwrap_or_default())
    }
}

/// The id of an access key.
pub(crate) const KEY_ID: Matching =
    Matching("[\\w]+", |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));

/// The name of a principal, as IAM has them.
pub(crate) const PRINCIPAL: Matching =
    Matching("[\\w+=,.@-]+", |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)));

/// Names of secrets, or their beginnings.
pub(crate) const NAMES: Matching = Matching("[a-zA-Z0-9/_+=.@!-]+", |text| {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=.@!-".contains(&b))
});
