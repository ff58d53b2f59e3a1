//! What is sealed, under which key, bound to which place. The only caller of `crypto` for values.
//!
//! Plain bytes exist only between here and the caller, as [`SecretBytes`].

use crypto::{Binding, DataKey, Kind};
use engine::secret::{SecretBytes, SecretValue, ValueKind};

use crate::StoreError;

/// A value as a row keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) kind: ValueKind,
    /// 0 for a value that never was a candidate.
    pub(crate) candidate: u32,
    pub(crate) envelope: Vec<u8>,
}

/// Seals a value of version `version` of the secret `arn`.
pub(crate) fn seal(
    key: &DataKey,
    arn: &str,
    version: &str,
    candidate: u32,
    value: &SecretValue,
) -> Result<Sealed, StoreError> {
    let binding = place(arn, version, candidate, value.kind);
    Ok(Sealed { kind: value.kind, candidate, envelope: key.seal(&binding, value.bytes.expose())? })
}

/// Opens what [`seal`] made for the same place.
pub(crate) fn open(key: &DataKey, arn: &str, version: &str, sealed: &Sealed) -> Result<SecretValue, StoreError> {
    let binding = place(arn, version, sealed.candidate, sealed.kind);
    let mut plain = key.open(&binding, &sealed.envelope)?;
    Ok(SecretValue {
        kind: sealed.kind,
        // Taken out, not copied; SecretBytes wipes it from here on.
        bytes: SecretBytes::new(std::mem::take(&mut *plain)),
    })
}

fn place<'a>(arn: &'a str, version: &'a str, candidate: u32, kind: ValueKind) -> Binding<'a> {
    Binding {
        kind: match kind {
            ValueKind::String => Kind::Text,
            ValueKind::Binary => Kind::Binary,
        },
        owner: arn,
        version,
        candidate,
    }
}

/// The word a row keeps for a kind.
pub(crate) fn kind_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::String => "string",
        ValueKind::Binary => "binary",
    }
}

/// The kind a row's word stands for.
pub(crate) fn kind_of(name: &str) -> Result<ValueKind, StoreError> {
    match name {
        "string" => Ok(ValueKind::String),
        "binary" => Ok(ValueKind::Binary),
        _ => Err(StoreError::inconsistent("a value is neither string nor binary")),
    }
}
