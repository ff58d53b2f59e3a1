//! The stored format of everything sealed: version byte, key id, nonce, ciphertext and tag.
//!
//! Never here: which key (callers look it up by [`key_id`]), or what the bytes mean.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand::TryCryptoRng;
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::key::{Key, KeyId};

/// The format that is written. It is part of the associated data too.
const FORMAT: u8 = 1;
const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;
const HEAD_LENGTH: usize = 1 + KeyId::LENGTH + NONCE_LENGTH;

/// Why something could not be sealed or opened. Carries nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Cut short, or of a format this binary does not know.
    #[error("not an envelope of a known format")]
    Format,
    /// Sealed under a key that is not here.
    #[error("sealed under key {0}, which is not at hand")]
    UnknownKey(KeyId),
    /// Changed, moved from another place, or sealed under another key with the same id.
    #[error("does not open: it was changed, or belongs elsewhere")]
    Forged,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// Longer than AES-GCM can seal.
    #[error("too long to seal")]
    TooLong,
}

/// Seals `plain` for the place `binding`.
pub(crate) fn seal(
    key: &Key,
    binding: &Binding<'_>,
    plain: &[u8],
    rng: &mut impl TryCryptoRng,
) -> Result<Vec<u8>, SealError> {
    let mut nonce = Nonce::default();
    rng.try_fill_bytes(&mut nonce).map_err(|_| SealError::Random)?;
    let mut out = Vec::with_capacity(HEAD_LENGTH + plain.len() + TAG_LENGTH);
    out.push(FORMAT);
    out.extend_from_slice(&key.id.to_bytes());
    out.extend_from_slice(&nonce);
    // Encrypted where it lies: the buffer has its full size already, so no copy of the plain bytes is left behind.
    out.extend_from_slice(plain);
    let associated = binding.associated_data(FORMAT, key.id);
    let tag = cipher(key).encrypt_inout_detached(&nonce, &associated, (&mut out[HEAD_LENGTH..]).into());
    let tag = tag.map_err(|_| SealError::TooLong)?;
    out.extend_from_slice(&tag);
    Ok(out)
}

/// The key an envelope was sealed under.
pub(crate) fn key_id(envelope: &[u8]) -> Result<KeyId, SealError> {
    Ok(Parts::of(envelope)?.key)
}

/// Opens what [`seal`] made for the same place.
pub(crate) fn open(key: &Key, binding: &Binding<'_>, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let parts = Parts::of(envelope)?;
    if parts.key != key.id {
        return Err(SealError::UnknownKey(parts.key));
    }
    let associated = binding.associated_data(FORMAT, key.id);
    let mut plain = Zeroizing::new(parts.ciphertext.to_vec());
    cipher(key)
        .decrypt_inout_detached(&parts.nonce, &associated, plain.as_mut_slice().into(), &parts.tag)
        .map_err(|_| SealError::Forged)?;
    Ok(plain)
}

struct Parts<'a> {
    key: KeyId,
    nonce: Nonce<aes_gcm::aes::cipher::consts::U12>,
    ciphertext: &'a [u8],
    tag: Tag,
}

impl<'a> Parts<'a> {
    fn of(envelope: &'a [u8]) -> Result<Self, SealError> {
        let (format, rest) = envelope.split_first().ok_or(SealError::Format)?;
        if *format != FORMAT {
            return Err(SealError::Format);
        }
        let (key, rest) = rest.split_first_chunk::<{ KeyId::LENGTH }>().ok_or(SealError::Format)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError::Format)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(SealError::Format)?;
        Ok(Self { key: KeyId::from_bytes(*key), nonce: Nonce::from(*nonce), ciphertext, tag: Tag::from(*tag) })
    }
}

fn cipher(key: &Key) -> Aes256Gcm {
    Aes256Gcm::new((&*key.bytes).into())
}
