//! The canonical request: what of a request a signature covers, byte for byte.
//!
//! Hashed as it is spelled, without building the text in memory. Pure; shared by signing and
//! verifying, so that the two cannot drift apart. Never here: keys, dates, decisions.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Lower-case hexadecimal of a SHA-256.
pub(super) type HexHash = [u8; 64];

/// A canonical request being spelled into its hash.
pub(super) struct Canonical(Sha256);

impl Canonical {
    /// Method, path and query, of which the parameter `unsigned` is left out: a signature cannot cover itself. Headers
    /// follow in the order of the list of signed headers.
    pub(super) fn begin(method: &str, path: &str, query: &str, unsigned: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        hash.update(method);
        hash.update(b"\n");
        hash.update(canonical_path(path).as_bytes());
        hash.update(b"\n");
        if !query.is_empty() {
            hash.update(canonical_query(query, unsigned));
        }
        hash.update(b"\n");
        Self(hash)
    }

    /// One signed header; several values of one name are joined by commas.
    pub(super) fn header<'v>(&mut self, name: &str, values: impl Iterator<Item = &'v [u8]>) {
        self.0.update(name);
        self.0.update(b":");
        for (i, value) in values.enumerate() {
            if i > 0 {
                self.0.update(b",");
            }
            self.value(value);
        }
        self.0.update(b"\n");
    }

    /// The list of signed headers and the hash of the body end it.
    pub(super) fn finish(mut self, signed_headers: &str, body: &HexHash) -> HexHash {
        self.0.update(b"\n");
        self.0.update(signed_headers);
        self.0.update(b"\n");
        self.0.update(body);
        hex_of(&self.0.finalize())
    }

    /// Without spaces at either end, and with runs of spaces as one.
    fn value(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        if !value.windows(2).any(|pair| pair == b"  ") {
            self.0.update(value);
            return;
        }
        let words = value.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        for (i, word) in words.enumerate() {
            if i > 0 {
                self.0.update(b" ");
            }
            self.0.update(word);
        }
    }
}

/// The hash of a body as it stands in the canonical request.
pub(super) fn hash_of(bytes: &[u8]) -> HexHash {
    hex_of(&Sha256::digest(bytes))
}

fn hex_of(bytes: &[u8]) -> HexHash {
    let mut text = [0; 64];
    hex::encode_to_slice(bytes, &mut text).expect("a SHA-256 has 32 bytes");
    text
}

/// Dot segments and empty segments removed, then encoded once more (only S3 differs).
fn canonical_path(path: &str) -> Cow<'_, str> {
    if path.is_empty() || path == "/" {
        return Cow::Borrowed("/");
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut text = String::with_capacity(path.len() + 1);
    for segment in &kept {
        text.push('/');
        encode(segment.bytes(), &mut text);
    }
    let open_end = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if open_end || kept.is_empty() {
        text.push('/');
    }
    Cow::Owned(text)
}

/// Names and values decoded, encoded in the one canonical way, and sorted.
fn canonical_query(query: &str, unsigned: Option<&str>) -> String {
    let mut pairs: Vec<(String, String)> = pairs(query)
        .map(|(name, value)| (encoded_anew(name), encoded_anew(value)))
        .filter(|(name, _)| Some(name.as_str()) != unsigned)
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The parameters of a query as they are spelled.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let given = query.split('&').filter(|pair| !pair.is_empty());
    given.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn encoded_anew(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode(decoded(text.as_bytes()).into_iter(), &mut out);
    out
}

/// Percent escapes undone; what is no escape stays as it is.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let mut byte = [0];
        if first == b'%' && tail.len() >= 2 && hex::decode_to_slice(&tail[..2], &mut byte).is_ok() {
            out.push(byte[0]);
            rest = &tail[2..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

fn encode(bytes: impl Iterator<Item = u8>, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => {
                out.push('%');
                out.push(char::from(DIGITS[usize::from(other >> 4)]));
                out.push(char::from(DIGITS[usize::from(other & 15)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_encoded_once_more() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/a//b/./c", "/a/b/c"),
            ("/a/b/..", "/a/"),
            ("/../x", "/x"),
            ("/a%20b", "/a%2520b"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_after_encoding() {
        assert_eq!(canonical_query("b=2&a=%7e&a=1&c", None), "a=1&a=~&b=2&c=");
        assert_eq!(canonical_query("x=%zz", None), "x=%25zz");
    }

    #[test]
    fn runs_of_spaces_in_header_values_count_once() {
        let hash = |value: &[u8]| {
            let mut canonical = Canonical::begin("POST", "/", "", None);
            canonical.header("a", std::iter::once(value));
            canonical.finish("a", &[b'0'; 64])
        };
        assert_eq!(hash(b"  x   y "), hash(b"x y"));
        assert_ne!(hash(b"x y"), hash(b"xy"));
    }
}
