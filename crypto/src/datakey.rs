//! The key of one secret: seals its values, is itself kept wrapped by the keyring.
//!
//! Never here: the values' meaning; which rows there are.

use rand::TryCryptoRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::envelope::{self, SealError};
use crate::key::{KEY_LENGTH, Key, KeyId};

/// A secret's data key. `Debug` is redacted; the bytes are wiped when dropped.
#[derive(Debug, Clone)]
pub struct DataKey(Key);

impl DataKey {
    /// A fresh random key.
    ///
    /// # Errors
    /// [`SealError::Random`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self(Key::generate(&mut SysRng)?))
    }

    /// Seals `plain` for the place `binding`.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::TooLong`].
    pub fn seal(&self, binding: &Binding<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_with(binding, plain, &mut SysRng)
    }

    /// As [`DataKey::seal`], with the nonce drawn from `rng`. A nonce must never come twice.
    ///
    /// # Errors
    /// As [`DataKey::seal`].
    pub fn seal_with(
        &self,
        binding: &Binding<'_>,
        plain: &[u8],
        rng: &mut impl TryCryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        envelope::seal(&self.0, binding, plain, rng)
    }

    /// Opens what was sealed under this key for the same place.
    ///
    /// # Errors
    /// [`SealError::Format`], [`SealError::UnknownKey`], [`SealError::Forged`].
    pub fn open(&self, binding: &Binding<'_>, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        envelope::open(&self.0, binding, envelope)
    }

    /// Id and bytes, for wrapping.
    pub(crate) fn to_plain(&self) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(KeyId::LENGTH + KEY_LENGTH));
        plain.extend_from_slice(&self.0.id.to_bytes());
        plain.extend_from_slice(self.0.bytes.as_slice());
        plain
    }

    pub(crate) fn from_plain(plain: &[u8]) -> Result<Self, SealError> {
        let (id, rest) = plain.split_first_chunk::<{ KeyId::LENGTH }>().ok_or(SealError::Format)?;
        let mut bytes = Zeroizing::new([0u8; KEY_LENGTH]);
        if rest.len() != KEY_LENGTH {
            return Err(SealError::Format);
        }
        bytes.copy_from_slice(rest);
        Ok(Self(Key { id: KeyId::from_bytes(*id), bytes }))
    }
}
