//! The keys that wrap data keys: one of them seals, any of them opens.
//!
//! Never here: values of secrets (they are sealed under data keys), which of the keys is to seal (the store says).

use std::sync::{Arc, PoisonError, RwLock};

use rand::TryCryptoRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::binding::{Binding, Kind};
use crate::datakey::DataKey;
use crate::envelope::{self, SealError};
use crate::file::Source;
use crate::key::{Key, KeyId};

/// Key-encryption keys, shared by all nodes of a store. Keys may come while it is used; none goes. `Debug` shows ids alone.
#[derive(Debug)]
pub struct Keyring {
    ring: RwLock<Arc<Ring>>,
    /// Where it was read from, and may be read again: another node may have sealed with a key that was added since.
    source: Option<Source>,
}

/// The keys at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    pub(crate) primary: Key,
    /// They open what they once sealed and seal nothing new.
    pub(crate) others: Vec<Key>,
    /// The one that is to become primary when every node has it.
    pub(crate) next: Option<KeyId>,
}

impl Ring {
    pub(crate) fn generate(rng: &mut impl TryCryptoRng) -> Result<Self, SealError> {
        Ok(Self { primary: Key::generate(rng)?, others: Vec::new(), next: None })
    }

    /// Every key, the primary first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    fn get(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id == id)
    }

    /// The same keys with another one as primary; None: it is not among them.
    pub(crate) fn with_primary(&self, id: KeyId) -> Option<Self> {
        let primary = self.get(id)?.clone();
        let others = self.keys().filter(|key| key.id != id).cloned().collect();
        Some(Self { primary, others, next: self.next })
    }
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
        Ok(Self::of(Ring::generate(rng)?, None))
    }

    /// The same keys and a fresh one, which is primary from now on.
    ///
    /// # Errors
    /// As [`Keyring::generate`].
    pub fn with_new_primary(&self) -> Result<Self, SealError> {
        let others = self.ring().keys().cloned().collect();
        Ok(Self::of(Ring { primary: Key::generate(&mut SysRng)?, others, next: None }, None))
    }

    /// The key that seals.
    #[must_use]
    pub fn primary_id(&self) -> KeyId {
        self.ring().primary.id
    }

    /// Every key there is, the one that seals first.
    #[must_use]
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.ring().keys().map(|key| key.id).collect()
    }

    /// Seals with this key from now on.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`]; nothing has changed then.
    pub fn seal_under(&self, id: KeyId) -> Result<(), SealError> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Arc::new(ring.with_primary(id).ok_or(SealError::UnknownKey(id))?);
        Ok(())
    }

    /// Takes over keys that it does not have.
    pub(crate) fn take_over(&self, other: &Ring) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<Key> = other.keys().filter(|key| ring.get(key.id).is_none()).cloned().collect();
        if !fresh.is_empty() {
            let mut more = Ring::clone(&ring);
            more.others.extend(fresh);
            *ring = Arc::new(more);
        }
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
        envelope::seal(&self.ring().primary, binding, plain, rng)
    }

    /// Opens what any key of the ring sealed for the same place. A key that is not at hand is looked for in the file once more,
    /// where that has changed.
    ///
    /// # Errors
    /// [`SealError::Format`], [`SealError::UnknownKey`], [`SealError::Forged`].
    pub fn open(&self, binding: &Binding<'_>, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = envelope::key_id(envelope)?;
        let mut ring = self.ring();
        if ring.get(id).is_none() && self.reread().is_ok_and(|changed| changed) {
            ring = self.ring();
        }
        let key = ring.get(id).ok_or(SealError::UnknownKey(id))?;
        envelope::open(key, binding, envelope)
    }

    /// Seals again, under the primary key, what any key of the ring sealed for the same place.
    ///
    /// # Errors
    /// As [`Keyring::open`] and [`Keyring::seal`].
    pub fn rewrap(&self, binding: &Binding<'_>, envelope: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal(binding, &self.open(binding, envelope)?)
    }

    /// Wraps the data key of the secret `arn`.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn wrap(&self, arn: &str, key: &DataKey) -> Result<Vec<u8>, SealError> {
        self.seal(&Self::data_key_of(arn), &key.to_plain())
    }

    /// Unwraps the data key of the secret `arn`.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn unwrap(&self, arn: &str, wrapped: &[u8]) -> Result<DataKey, SealError> {
        DataKey::from_plain(&self.open(&Self::data_key_of(arn), wrapped)?)
    }

    /// Where the data key of the secret `arn` belongs.
    #[must_use]
    pub fn data_key_of(arn: &str) -> Binding<'_> {
        Binding { kind: Kind::DataKey, owner: arn, version: "", candidate: 0 }
    }

    pub(crate) fn of(ring: Ring, source: Option<Source>) -> Self {
        Self { ring: RwLock::new(Arc::new(ring)), source }
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    pub(crate) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The key an envelope was sealed under.
///
/// # Errors
/// [`SealError::Format`].
pub fn sealed_under(envelope: &[u8]) -> Result<KeyId, SealError> {
    envelope::key_id(envelope)
}
