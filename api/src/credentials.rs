//! What operations on access keys share: the spelling of secrets in the one reply that has them, and constraints.
//!
//! Never here: what a role may do.

use engine::secret::SecretBytes;
use serde::{Serialize, Serializer};

use crate::constraint::Constraints;

/// The secret half of credentials, in the reply that hands them out.
pub(crate) struct Shown(pub(crate) SecretBytes);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_str().unwrap_or_default())
    }
}

/// AccessKeyId: required.
pub(crate) fn check_access_key_id(must: &mut Constraints, id: Option<&str>) {
    must.required("accessKeyId", id.is_some());
    must.length("accessKeyId", id, 16..=128);
    must.pattern("accessKeyId", id, "[\\w]+", |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
}

/// The name of a principal, as IAM has them.
pub(crate) fn check_principal(must: &mut Constraints, name: Option<&str>) {
    must.length("principal", name, 1..=64);
    must.pattern("principal", name, "[\\w+=,.@-]+", |text| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    });
}

/// Names of secrets, or their beginnings. An empty beginning would be that of every secret: nobody means that by mistake.
pub(crate) fn check_names(must: &mut Constraints, member: &str, names: Option<&[String]>) {
    must.list(member, names, 0..=100, 1..=512);
    for name in names.into_iter().flatten() {
        must.pattern(member, Some(name), "[a-zA-Z0-9/_+=.@!-]+", |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=.@!-".contains(&b))
        });
    }
}
