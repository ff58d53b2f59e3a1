//! A key and the id by which envelopes name it. The bytes are wiped when dropped and never printed.

use std::fmt;

use rand::TryCryptoRng;
use zeroize::Zeroizing;

use crate::envelope::SealError;

/// How many bytes a key has.
pub(crate) const KEY_LENGTH: usize = 32;

/// Names a key. Random; says nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) u64);

impl KeyId {
    /// In bytes.
    pub const LENGTH: usize = 8;

    /// As envelopes carry it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        self.0.to_be_bytes()
    }

    /// Reads what [`KeyId::to_bytes`] gives.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// Reads the 16 hexadecimal digits that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A key with its id. `Debug` shows the id alone.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) bytes: Zeroizing<[u8; KEY_LENGTH]>,
}

impl Key {
    pub(crate) fn generate(rng: &mut impl TryCryptoRng) -> Result<Self, SealError> {
        let mut id = [0u8; KeyId::LENGTH];
        let mut bytes = Zeroizing::new([0u8; KEY_LENGTH]);
        rng.try_fill_bytes(&mut id).map_err(|_| SealError::Random)?;
        rng.try_fill_bytes(bytes.as_mut_slice()).map_err(|_| SealError::Random)?;
        Ok(Self { id: KeyId::from_bytes(id), bytes })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, redacted)", self.id)
    }
}
