//! Secret values in memory: wiped when dropped, never printed, one way to read them.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes of a secret. `Debug` is redacted; there is no `Display`, `Serialize` or `PartialEq`.
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of the bytes; they are wiped when the value is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Every call is a place to look at in review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, where they are UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<&str> for SecretBytes {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

/// How a value came over the wire; a version keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// `SecretString`: UTF-8 text.
    String,
    /// `SecretBinary`: any bytes.
    Binary,
}

/// A version's value.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Text or bytes, as it was written.
    pub kind: ValueKind,
    /// The value itself.
    pub bytes: SecretBytes,
}

impl SecretValue {
    /// A `SecretString`.
    #[must_use]
    pub fn text(bytes: impl Into<SecretBytes>) -> Self {
        Self { kind: ValueKind::String, bytes: bytes.into() }
    }

    /// Same kind and same bytes (AWS's idempotency compares decrypted values).
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.kind == other.kind && self.bytes.expose() == other.bytes.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_shows_nothing_of_it() {
        let value = SecretValue::text("canary-7f3a");
        assert!(!format!("{value:?}").contains("canary"));
    }

    #[test]
    fn equal_bytes_of_another_kind_are_another_value() {
        let text = SecretValue::text("a");
        let binary = SecretValue { kind: ValueKind::Binary, bytes: SecretBytes::from("a") };
        assert!(!text.same_as(&binary));
        assert!(text.same_as(&text.clone()));
    }
}
