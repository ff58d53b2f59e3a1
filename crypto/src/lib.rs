//! Seals. A [`Keyring`] wraps one [`DataKey`] per secret; a data key seals that secret's values.
//!
//! A sealed thing is an envelope (version byte, key id, nonce, ciphertext and tag) whose associated data binds it to
//! its place: moved to another secret, version, candidate or kind, it does not open. AES-256-GCM throughout, with
//! random 96-bit nonces from the operating system; a data key per secret keeps their number far below GCM's bound.
//!
//! Never here: what is sealed and where it is kept (that is `store/src/sealed.rs`), logging, any other crate of ours.

mod binding;
mod datakey;
mod envelope;
mod file;
mod key;
mod keyring;

pub use binding::{Binding, Kind};
pub use datakey::DataKey;
pub use envelope::SealError;
pub use file::{KeyringFileError, Listed};
pub use key::KeyId;
pub use keyring::{Keyring, sealed_under};
