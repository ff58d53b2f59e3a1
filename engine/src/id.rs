//! Identifiers. Parsed at the edge; inside, they are already right.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The store's own number of a secret: never reused, never shown on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretId(pub i64);

/// The id of a version, which is the ClientRequestToken that made it: 32 to 64 characters, any
/// characters (AWS: not necessarily a UUID).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(String);

/// A text that is not 32 to 64 characters long was offered as a version id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a version id has 32 to 64 characters")]
pub struct BadVersionId;

impl VersionId {
    /// Takes a token of 32 to 64 characters.
    ///
    /// # Errors
    /// [`BadVersionId`] for any other length.
    pub fn new(text: impl Into<String>) -> Result<Self, BadVersionId> {
        let text = text.into();
        match text.chars().count() {
            32..=64 => Ok(Self(text)),
            _ => Err(BadVersionId),
        }
    }

    /// A fresh random version id in the form of a UUID, version 4.
    pub fn random(rng: &mut (impl rand::Rng + ?Sized)) -> Self {
        let mut bytes = [0u8; 16];
        rng.fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        Self(format!("{a}-{b}-{c}-{d}-{e}"))
    }

    /// The id as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn version_ids_have_32_to_64_characters() {
        assert_eq!(VersionId::new("x".repeat(31)), Err(BadVersionId));
        assert!(VersionId::new("x".repeat(32)).is_ok());
        assert!(VersionId::new("é".repeat(64)).is_ok());
        assert_eq!(VersionId::new("x".repeat(65)), Err(BadVersionId));
    }

    #[test]
    fn random_version_ids_are_uuids_of_version_four() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let id = VersionId::random(&mut rng);
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[14..15], "4");
        assert_ne!(id, VersionId::random(&mut rng));
    }
}
