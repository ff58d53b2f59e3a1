//! The keys that wrap data keys: the primary seals, any of them opens.
//!
//! Never here: values of secrets. They are sealed under data keys.

use rand::TryCryptoRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::binding::{Binding, Kind};
use crate::datakey::DataKey;
use crate::envelope::{self, SealError};
use crate::key::{Key, KeyId};

/// Key-encryption keys, shared by all nodes of a store. `Debug` shows ids alone.
#[derive(Debug, Clone)]
pub struct Keyring {
    primary: Key,
    /// Older keys: they open what they once sealed and seal nothing new.
    others: Vec<Key>,
}

impl Keyring {
    /// A keyring with one fresh random key.
    ///
    /// # Errors
    /// [`SealError::Random`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        Self::generate_with(&mut SysRng)
    }

    /// As [`Keyring::generate`], with the randomness given.
    ///
    /// # Errors
    /// As [`Keyring::generate`].
    pub fn generate_with(rng: &mut impl TryCryptoRng) -> Result<Self, SealError> {
        Ok(Self { primary: Key::generate(rng)?, others: Vec::new() })
    }

    /// The same keys and a fresh one, which is primary from now on.
    ///
    /// # Errors
    /// As [`Keyring::generate`].
    pub fn with_new_primary(&self) -> Result<Self, SealError> {
        let others = self.keys().cloned().collect();
        Ok(Self { primary: Key::generate(&mut SysRng)?, others })
    }

    /// The key that seals.
    #[must_use]
    pub fn primary_id(&self) -> KeyId {
        self.primary.id
    }

    /// Seals `plain` for the place `binding` under the primary key.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::TooLong`].
    pub fn seal(&self, binding: &Binding<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_with(binding, plain, &mut SysRng)
    }

    /// As [`Keyring::seal`], with the nonce drawn from `rng`. A nonce must never come twice.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn seal_with(
        &self,
        binding: &Binding<'_>,
        plain: &[u8],
        rng: &mut impl TryCryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        envelope::seal(&self.primary, binding, plain, rng)
    }

    /// Opens what any key of the ring sealed for the same place.
    ///
    /// # Errors
    /// [`SealError::Format`], [`SealError::UnknownKey`], [`SealError::Forged`].
    pub fn open(&self, binding: &Binding<'_>, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = envelope::key_id(envelope)?;
        let key = self.keys().find(|key| key.id == id).ok_or(SealError::UnknownKey(id))?;
        envelope::open(key, binding, envelope)
    }

    /// Wraps the data key of the secret `arn`.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn wrap(&self, arn: &str, key: &DataKey) -> Result<Vec<u8>, SealError> {
        self.seal(&data_key_of(arn), &key.to_plain())
    }

    /// Unwraps the data key of the secret `arn`.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn unwrap(&self, arn: &str, wrapped: &[u8]) -> Result<DataKey, SealError> {
        DataKey::from_plain(&self.open(&data_key_of(arn), wrapped)?)
    }

    pub(crate) fn from_keys(primary: Key, others: Vec<Key>) -> Self {
        Self { primary, others }
    }

    /// Every key, the primary first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary).chain(&self.others)
    }
}

fn data_key_of(arn: &str) -> Binding<'_> {
    Binding { kind: Kind::DataKey, owner: arn, version: "", candidate: 0 }
}
