//! The chain: how a record becomes a line that names the line before it, and how a line is checked.
//!
//! `{"seq":2,"prev":"…",MEMBERS,"hash":"…"}`: the hash is the SHA-256 of the line without its last member, that is of
//! `{"seq":2,"prev":"…",MEMBERS}`. Pure: no file, no clock.

use std::io::Write;

use sha2::{Digest, Sha256};

/// `,"hash":"`, 64 digits, `"}`.
const HASH_BEGINS: &[u8] = b",\"hash\":\"";
const DIGITS: usize = 64;

/// The end of a chain: the number and the hash of its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The record's number; the first is 1.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Link {
    /// What the first record follows.
    pub const NONE: Self = Self { seq: 0, hash: [0; 32] };

    /// The hash as it stands in the files.
    #[must_use]
    pub fn head(&self) -> String {
        hex::encode(self.hash)
    }
}

/// A line that is right in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Itself as the end of a chain.
    pub link: Link,
    /// The hash that it says came before.
    pub prev: [u8; 32],
}

/// Why a line does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not in the form of a record.
    #[error("it is no record of an audit trail")]
    Form,
    /// Its hash is another one.
    #[error("its text was changed: the hash does not fit it")]
    Altered,
    /// Another number was due.
    #[error("record {expected} was to come here, and this is record {found}: records were removed, added or moved")]
    Sequence {
        /// What was due.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The number fits, but what it follows does not.
    #[error("it does not follow the record before it, which was replaced")]
    Unlinked,
}

/// Appends the record in `json` (an object with at least one member) to `out` as the line after `last`.
#[must_use]
pub fn append(out: &mut Vec<u8>, last: Link, json: &[u8]) -> Link {
    let begin = out.len();
    let seq = last.seq + 1;
    let members = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    // Writing to memory does not fail.
    let _written = write!(out, "{{\"seq\":{seq},\"prev\":\"");
    push_hex(out, &last.hash);
    out.extend_from_slice(b"\",");
    out.extend_from_slice(members);
    let hash = hash_of(&out[begin..]);
    out.extend_from_slice(HASH_BEGINS);
    push_hex(out, &hash);
    out.extend_from_slice(b"\"}\n");
    Link { seq, hash }
}

/// Checks a line, without its line feed, by itself.
///
/// # Errors
/// [`Broken::Form`] or [`Broken::Altered`].
pub fn check(line: &[u8]) -> Result<Checked, Broken> {
    let body = line.strip_suffix(b"\"}").ok_or(Broken::Form)?;
    let (body, hash) = body.split_at_checked(body.len().wrapping_sub(DIGITS)).ok_or(Broken::Form)?;
    let body = body.strip_suffix(HASH_BEGINS).ok_or(Broken::Form)?;
    let rest = body.strip_prefix(b"{\"seq\":").ok_or(Broken::Form)?;
    let comma = rest.iter().position(|byte| *byte == b',').ok_or(Broken::Form)?;
    let (seq, rest) = rest.split_at(comma);
    let rest = rest.strip_prefix(b",\"prev\":\"").ok_or(Broken::Form)?;
    let (prev, rest) = rest.split_at_checked(DIGITS).ok_or(Broken::Form)?;
    if !rest.starts_with(b"\",") {
        return Err(Broken::Form);
    }
    let hash = digits(hash)?;
    if hash_of(body) != hash {
        return Err(Broken::Altered);
    }
    let seq = std::str::from_utf8(seq).ok().and_then(|seq| seq.parse().ok()).ok_or(Broken::Form)?;
    Ok(Checked { link: Link { seq, hash }, prev: digits(prev)? })
}

/// Checks that a line comes right after `last`.
///
/// # Errors
/// [`Broken::Sequence`] or [`Broken::Unlinked`].
pub fn follows(line: &Checked, last: Link) -> Result<(), Broken> {
    let expected = last.seq + 1;
    if line.link.seq != expected {
        return Err(Broken::Sequence { expected, found: line.link.seq });
    }
    if line.prev != last.hash { Err(Broken::Unlinked) } else { Ok(()) }
}

fn hash_of(open: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(open);
    hash.update(b"}");
    hash.finalize().into()
}

/// Lower-case only, so that a hash has one spelling.
fn digits(text: &[u8]) -> Result<[u8; 32], Broken> {
    let mut hash = [0; 32];
    let lower = !text.iter().any(u8::is_ascii_uppercase);
    if lower && hex::decode_to_slice(text, &mut hash).is_ok() { Ok(hash) } else { Err(Broken::Form) }
}

fn push_hex(out: &mut Vec<u8>, hash: &[u8; 32]) {
    let begin = out.len();
    out.resize(begin + DIGITS, 0);
    hex::encode_to_slice(hash, &mut out[begin..]).expect("Safe because 32 bytes have 64 digits");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: u64) -> Vec<Vec<u8>> {
        let (mut text, mut last) = (vec![], Link::NONE);
        for n in 0..count {
            last = append(&mut text, last, format!(r#"{{"kind":"call","n":{n}}}"#).as_bytes());
        }
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn a_line_is_json_and_its_hash_can_be_had_with_standard_tools() {
        let lines = chain(2);
        let text = String::from_utf8(lines[1].clone()).expect("text");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((value["seq"].as_u64(), value["n"].as_u64()), (Some(2), Some(1)));
        let (before, hash) = text.split_once(",\"hash\":\"").expect("a hash");
        let expected = hex::encode(Sha256::digest(format!("{before}}}")));
        assert_eq!(hash, format!("{expected}\"}}"));
    }

    #[test]
    fn each_line_follows_the_one_before_it() {
        let mut last = Link::NONE;
        for line in chain(3) {
            let checked = check(&line).expect("it holds");
            follows(&checked, last).expect("it follows");
            last = checked.link;
        }
        assert_eq!(last.seq, 3);
    }

    #[test]
    fn no_byte_of_a_line_can_be_changed_removed_or_added() {
        let line = chain(2).pop().expect("a line");
        for at in 0..line.len() {
            let mut changed = line.clone();
            changed[at] ^= 1;
            assert!(check(&changed).is_err(), "byte {at} changed");
            let mut removed = line.clone();
            removed.remove(at);
            assert!(check(&removed).is_err(), "byte {at} removed");
            let mut added = line.clone();
            added.insert(at, b' ');
            assert!(check(&added).is_err(), "a byte added before {at}");
        }
    }

    #[test]
    fn a_hash_in_capitals_is_not_the_same_line() {
        let line = String::from_utf8(chain(1).remove(0)).expect("text");
        let (body, hash) = line.rsplit_once(":\"").expect("a hash");
        assert_eq!(check(format!("{body}:\"{}", hash.to_uppercase()).as_bytes()), Err(Broken::Form));
    }

    #[test]
    fn swapped_removed_and_replaced_lines_are_told_apart() {
        let lines: Vec<_> = chain(3).iter().map(|line| check(line).expect("it holds")).collect();
        let gap = Broken::Sequence { expected: 2, found: 3 };
        assert_eq!(follows(&lines[2], lines[0].link), Err(gap));
        assert_eq!(follows(&lines[0], lines[1].link), Err(Broken::Sequence { expected: 3, found: 1 }));
        let replaced = Link { hash: [7; 32], ..lines[0].link };
        assert_eq!(follows(&lines[1], replaced), Err(Broken::Unlinked));
    }
}
