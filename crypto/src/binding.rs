//! Where a sealed thing belongs, as associated data: every field with its length, so no two places share one encoding.
//!
//! Never here: anything secret. A binding is public.

use crate::key::KeyId;

/// What a sealed thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value written as text.
    Text,
    /// A value written as bytes.
    Binary,
    /// A secret's data key.
    DataKey,
    /// The secret half of an access key.
    AccessKey,
    /// The secret half of temporary credentials, as their token carries it.
    Session,
    /// The row that shows whether a keyring belongs to a store.
    Check,
    /// Where a page of a list ended.
    Cursor,
    /// What a registered rotator is called with.
    Rotator,
    /// What a call of a rotation function proves itself with when it writes.
    RotationToken,
    /// What a subscription's deliveries are signed with.
    Subscription,
}

impl Kind {
    /// Part of the stored format: never change one.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::DataKey => "data-key",
            Self::AccessKey => "access-key",
            Self::Session => "session",
            Self::Check => "check",
            Self::Cursor => "cursor",
            Self::Rotator => "rotator",
            Self::RotationToken => "rotation-token",
            Self::Subscription => "subscription",
        }
    }
}

/// The place a sealed thing belongs to. It opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// What it is.
    pub kind: Kind,
    /// Whose it is: the secret's ARN, the id of an access key or session, the query of a cursor, or a rotator's or
    /// subscription's name.
    pub owner: &'a str,
    /// Which one: the version's id, the principal of an access key, the access key of a session, or a rotator's or
    /// subscription's settings; empty for a data key.
    pub version: &'a str,
    /// Which candidate of that version; 0 for a value that never was one.
    pub candidate: u32,
}

impl Binding<'_> {
    /// The associated data: format version, key id, kind, owner, version and candidate, each preceded by its length.
    pub(crate) fn associated_data(&self, format: u8, key: KeyId) -> Vec<u8> {
        let key = key.to_bytes();
        let candidate = self.candidate.to_be_bytes();
        let fields: [&[u8]; 6] =
            [&[format], &key, self.kind.name().as_bytes(), self.owner.as_bytes(), self.version.as_bytes(), &candidate];
        let mut out = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
        for field in fields {
            out.extend_from_slice(&(field.len() as u64).to_be_bytes());
            out.extend_from_slice(field);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Kind; 10] = [
        Kind::Text,
        Kind::Binary,
        Kind::DataKey,
        Kind::AccessKey,
        Kind::Session,
        Kind::Check,
        Kind::Cursor,
        Kind::Rotator,
        Kind::RotationToken,
        Kind::Subscription,
    ];

    #[test]
    fn associated_data_has_the_recorded_form() {
        let binding = Binding { kind: Kind::Text, owner: "a", version: "bc", candidate: 3 };
        let expected = [
            &[0, 0, 0, 0, 0, 0, 0, 1, 1][..],
            &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 0, 0, 0, 0, 0, 0, 4, b't', b'e', b'x', b't'],
            &[0, 0, 0, 0, 0, 0, 0, 1, b'a'],
            &[0, 0, 0, 0, 0, 0, 0, 2, b'b', b'c'],
            &[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3],
        ]
        .concat();
        assert_eq!(binding.associated_data(1, KeyId(7)), expected);
    }

    proptest! {
        #[test]
        fn different_places_never_share_associated_data(
            a in ("[a-c-]{0,6}", "[a-c-]{0,6}", 0u32..3, 0usize..10),
            b in ("[a-c-]{0,6}", "[a-c-]{0,6}", 0u32..3, 0usize..10),
        ) {
            let place = |p: &(String, String, u32, usize)| {
                let binding = Binding { kind: KINDS[p.3], owner: &p.0, version: &p.1, candidate: p.2 };
                binding.associated_data(1, KeyId(1))
            };
            prop_assert_eq!(a == b, place(&a) == place(&b));
        }
    }
}
