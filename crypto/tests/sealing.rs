//! What is sealed opens in its place and nowhere else.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use crypto::{Binding, DataKey, Keyring, Kind, SealError};
use proptest::prelude::*;
use rand::{TryCryptoRng, TryRng};

const ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db/orders-AbCdEf";
const VERSION: &str = "11111111-2222-4333-8444-555555555555";
const KINDS: [Kind; 9] = [
    Kind::Text,
    Kind::Binary,
    Kind::DataKey,
    Kind::AccessKey,
    Kind::Session,
    Kind::Check,
    Kind::Cursor,
    Kind::Rotator,
    Kind::RotationToken,
];
/// Version byte, key id, nonce; then the ciphertext, then the tag.
const HEAD: usize = 1 + 8 + 12;
const TAG: usize = 16;

/// Bytes that count up: for known answers only.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for byte in dst {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn place() -> Binding<'static> {
    Binding { kind: Kind::Text, owner: ARN, version: VERSION, candidate: 2 }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_envelope_has_the_recorded_form() {
    let keyring = Keyring::generate_with(&mut Counting(0)).unwrap();
    assert_eq!(keyring.primary_id().to_string(), "0001020304050607");
    let binding = Binding { kind: Kind::Check, owner: ARN, version: VERSION, candidate: 2 };
    let sealed = keyring.seal_with(&binding, b"hunter2", &mut Counting(0xa0)).unwrap();
    assert_eq!(hex(&sealed[..HEAD]), "010001020304050607a0a1a2a3a4a5a6a7a8a9aaab");
    assert_eq!(sealed.len(), HEAD + 7 + TAG);
    assert_eq!(hex(&sealed[HEAD..]), KNOWN_ANSWER);
    assert_eq!(keyring.open(&binding, &sealed).unwrap().as_slice(), b"hunter2");
}

#[test]
fn a_data_key_is_wrapped_for_its_secret_alone() {
    let keyring = Keyring::generate().unwrap();
    let key = DataKey::generate().unwrap();
    let wrapped = keyring.wrap(ARN, &key).unwrap();
    let sealed = key.seal(&place(), b"value").unwrap();
    let unwrapped = keyring.unwrap(ARN, &wrapped).unwrap();
    assert_eq!(unwrapped.open(&place(), &sealed).unwrap().as_slice(), b"value");
    assert_eq!(keyring.unwrap("another", &wrapped).unwrap_err(), SealError::Forged);
    let id = Keyring::generate().unwrap().unwrap(ARN, &wrapped).unwrap_err();
    assert_eq!(id, SealError::UnknownKey(keyring.primary_id()));
    let other = DataKey::generate().unwrap();
    assert!(matches!(other.open(&place(), &sealed), Err(SealError::UnknownKey(_))));
}

// F124
#[test]
fn a_new_primary_seals_and_the_old_key_still_opens() {
    let old = Keyring::generate().unwrap();
    let sealed = old.seal(&place(), b"value").unwrap();
    let new = old.with_new_primary().unwrap();
    assert_ne!(old.primary_id(), new.primary_id());
    assert_eq!(new.open(&place(), &sealed).unwrap().as_slice(), b"value");
    let sealed = new.seal(&place(), b"value").unwrap();
    assert_eq!(old.open(&place(), &sealed).unwrap_err(), SealError::UnknownKey(new.primary_id()));
}

#[test]
fn the_same_value_is_never_sealed_the_same_way_twice() {
    let keyring = Keyring::generate().unwrap();
    let mut seen = std::collections::HashSet::new();
    assert!((0..1000).all(|_| seen.insert(keyring.seal(&place(), b"value").unwrap())));
}

#[test]
fn debug_shows_no_key() {
    let keyring = Keyring::generate_with(&mut Counting(b'A')).unwrap();
    let shown = format!("{keyring:?} {:?}", DataKey::generate().unwrap());
    // The key is the bytes after the id; neither as text, nor as numbers, nor in hex.
    assert!(!shown.contains("IJKL") && !shown.contains("73, 74") && !shown.contains("494a4b"), "{shown}");
    assert!(shown.contains("redacted"));
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_place(value in proptest::collection::vec(any::<u8>(), 0..300), kind in 0usize..5) {
        let key = DataKey::generate().unwrap();
        let binding = Binding { kind: KINDS[kind], ..place() };
        let sealed = key.seal(&binding, &value).unwrap();
        prop_assert_eq!(sealed.len(), HEAD + value.len() + TAG);
        let opened = key.open(&binding, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), value.as_slice());
    }

    #[test]
    fn nothing_opens_in_another_place(
        owner in "[a-z:-]{0,8}", version in "[a-z-]{0,8}", candidate in 0u32..4, kind in 0usize..5,
        other in ("[a-z:-]{0,8}", "[a-z-]{0,8}", 0u32..4, 0usize..5),
    ) {
        let key = DataKey::generate().unwrap();
        let here = Binding { kind: KINDS[kind], owner: &owner, version: &version, candidate };
        let sealed = key.seal(&here, b"value").unwrap();
        // Each field changed by itself, and all of them together.
        let there = [
            Binding { kind: KINDS[other.3], ..here },
            Binding { owner: &other.0, ..here },
            Binding { version: &other.1, ..here },
            Binding { candidate: other.2, ..here },
            Binding { kind: KINDS[other.3], owner: &other.0, version: &other.1, candidate: other.2 },
            // The same letters, cut elsewhere.
            Binding { owner: &version, version: &owner, ..here },
        ];
        for place in there {
            prop_assert_eq!(key.open(&place, &sealed).is_ok(), place == here, "{:?} {:?}", place, here);
        }
    }

    #[test]
    fn nothing_opens_with_any_bit_flipped(value in proptest::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index) {
        let keyring = Keyring::generate().unwrap();
        let mut sealed = keyring.seal(&place(), &value).unwrap();
        let bit = at.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        let error = keyring.open(&place(), &sealed).unwrap_err();
        let expected = match bit / 8 {
            0 => matches!(error, SealError::Format),
            1..=8 => matches!(error, SealError::UnknownKey(_)),
            _ => error == SealError::Forged,
        };
        prop_assert!(expected, "{error:?} for bit {bit}");
    }

    #[test]
    fn nothing_opens_cut_short_or_longer(value in proptest::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index, more: u8) {
        let keyring = Keyring::generate().unwrap();
        let sealed = keyring.seal(&place(), &value).unwrap();
        prop_assert!(keyring.open(&place(), &sealed[..at.index(sealed.len())]).is_err());
        let mut longer = sealed;
        longer.push(more);
        prop_assert_eq!(keyring.open(&place(), &longer).unwrap_err(), SealError::Forged);
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(Keyring::generate().unwrap().open(&place(), &bytes).is_err());
    }
}

/// Ciphertext and tag of `an_envelope_has_the_recorded_form`, computed with OpenSSL's AES-256-GCM (pyca/cryptography).
const KNOWN_ANSWER: &str = "9dd9ffbc010d39ba779d7eecb9588eee608b7b86e2732a";
