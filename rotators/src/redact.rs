//! Owns what may be repeated of a text that came from outside: no value of the step in any usual spelling, no control
//! characters, not more than a few lines.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use engine::port::Material;
use engine::secret::SecretBytes;
use serde_json::Value;
use zeroize::Zeroizing;

/// The longest text of others that is kept, in characters.
pub(crate) const LONGEST: usize = 300;
/// A word of this length that mixes letters and digits could be a credential.
const SUSPICIOUS: usize = 12;
/// What stands where a secret stood.
const GONE: &str = "[redacted]";
/// Shorter texts, in bytes, occur anywhere by chance.
const SHORTEST: usize = 3;
/// Keys of a secret's JSON whose values say where it logs in, not with what.
const HARMLESS: [&str; 10] =
    ["engine", "host", "port", "username", "dbname", "ssl", "sslrootcert", "masterarn", "dbInstanceIdentifier", "type"];

/// Every value of a step.
pub(crate) fn values(material: &Material) -> impl Iterator<Item = &SecretBytes> {
    let one = [&material.wanted, &material.current, &material.admin].into_iter().flatten();
    one.chain(material.known.iter().map(|known| &known.value))
}

/// The spellings of the secrets of one call.
#[derive(Default)]
pub(crate) struct Redactor {
    /// Longest first, so that no part of a longer one is left.
    spellings: Vec<Zeroizing<String>>,
    /// Words that could be a credential go, too.
    strict: bool,
}

impl Redactor {
    /// Knows these values, and the texts in them where they are JSON.
    pub(crate) fn new<'s>(secrets: impl IntoIterator<Item = &'s SecretBytes>) -> Self {
        let mut found = BTreeSet::new();
        for secret in secrets {
            spell(&mut found, secret.expose());
            if let Ok(value) = serde_json::from_slice(secret.expose()) {
                inner(&mut found, &value);
            }
        }
        let mut spellings: Vec<_> = found.into_iter().map(Zeroizing::new).collect();
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        Self { spellings, strict: false }
    }

    /// The same, where the other end knows a secret that we do not know yet.
    pub(crate) fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// The text as it may be shown: one line, redacted, cut.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = Zeroizing::new(text.to_owned());
        for spelling in &self.spellings {
            if text.contains(spelling.as_str()) {
                text = Zeroizing::new(text.replace(spelling.as_str(), GONE));
            }
        }
        let words = text.split(|c: char| c.is_whitespace() || is_control(c)).filter(|word| !word.is_empty());
        let shown = words.map(|word| if self.strict && is_suspicious(word) { GONE } else { word });
        cut(&shown.collect::<Vec<_>>().join(" "))
    }

    /// A short word for tables: letters, digits and `._-`; `otherwise` where it is none.
    pub(crate) fn word(&self, text: &str, otherwise: &str) -> String {
        let fits = (1..=40).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && self.clean(text) == text;
        if fits { text.to_owned() } else { otherwise.to_owned() }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Control characters, and those that turn the direction of what follows.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn is_suspicious(word: &str) -> bool {
    let core = word.trim_matches(|c: char| !c.is_alphanumeric());
    let has = |test: fn(&char) -> bool| core.chars().any(|c| test(&c));
    // `EC2ThrottledException` is the name of an error, not a credential.
    let names_an_error = core.ends_with("Exception") || core.ends_with("Error");
    core.chars().count() >= SUSPICIOUS && !names_an_error && has(char::is_ascii_digit) && has(|c| c.is_alphabetic())
}

/// Every text of a JSON value that could be a credential.
fn inner(found: &mut BTreeSet<String>, value: &Value) {
    match value {
        Value::String(text) => spell(found, text.as_bytes()),
        Value::Number(number) => spell(found, number.to_string().as_bytes()),
        Value::Array(list) => list.iter().for_each(|value| inner(found, value)),
        Value::Object(object) => {
            let secret = object.iter().filter(|(key, _)| !HARMLESS.contains(&key.as_str()));
            secret.for_each(|(_, value)| inner(found, value));
        }
        _ => {}
    }
}

/// The usual spellings of these bytes: as they are, in JSON, in a URL, in Base64, in hex.
fn spell(found: &mut BTreeSet<String>, bytes: &[u8]) {
    if bytes.len() < SHORTEST {
        return;
    }
    found.insert(STANDARD_NO_PAD.encode(bytes));
    found.insert(URL_SAFE_NO_PAD.encode(bytes));
    found.insert(hex::encode(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    found.insert(text.to_owned());
    if let Ok(quoted) = serde_json::to_string(text) {
        found.insert(quoted.trim_matches('"').to_owned());
        found.insert(escaped(&quoted));
    }
    found.insert(url::form_urlencoded::byte_serialize(bytes).collect());
    found.insert(percent(bytes));
}

/// JSON as Python writes it: what is not ASCII is escaped.
fn escaped(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut units = [0; 2];
    for c in quoted.trim_matches('"').chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// Percent-encoding of all that is not unreserved (RFC 3986).
pub(crate) fn percent(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "p\"4ß w/o+rd\\x";

    fn redactor() -> Redactor {
        let value =
            serde_json::json!({ "engine": "redis", "username": "app-user", "password": PASSWORD, "pin": 90210 });
        Redactor::new([&SecretBytes::from(value.to_string()), &SecretBytes::new(vec![0, 159, 1, 2, 3, 4])])
    }

    #[test]
    fn a_known_value_is_taken_out_in_every_usual_spelling() {
        let quoted = serde_json::to_string(PASSWORD).expect("text");
        for spelling in [
            PASSWORD.to_owned(),
            quoted.clone(),
            escaped(&quoted),
            percent(PASSWORD.as_bytes()),
            url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect(),
            base64::engine::general_purpose::STANDARD.encode(PASSWORD),
            URL_SAFE_NO_PAD.encode(PASSWORD),
            hex::encode(PASSWORD),
            "90210".to_owned(),
            "AJ8BAgME".to_owned(),
        ] {
            let clean = redactor().clean(&format!("the user app-user has {spelling} and no more"));
            assert!(clean.starts_with("the user app-user has "), "{clean}");
            assert!(clean.contains(GONE) && !clean.contains(&spelling), "{spelling}: {clean}");
        }
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        let clean = redactor().clean(&format!("a\r\n\tb\u{1b}[31m \u{202e}c {}", "é".repeat(400)));
        assert!(clean.starts_with("a b [31m c é"), "{clean}");
        assert_eq!(clean.chars().count(), LONGEST + 1);
        assert!(clean.ends_with('…'));
    }

    #[test]
    fn an_unknown_credential_is_taken_out_where_one_was_just_made() {
        let strict = redactor().strict(true);
        assert_eq!(
            strict.clean("made \"sk_live_9f8e7d6c5b4a\", with scope read"),
            format!("made {GONE} with scope read")
        );
        assert_eq!(strict.clean("the administration answered 503"), "the administration answered 503");
        assert_eq!(redactor().clean("request 7f8e9d0c1b2a"), "request 7f8e9d0c1b2a");
    }

    #[test]
    fn a_word_is_short_plain_and_no_secret() {
        let redactor = Redactor::new([&SecretBytes::from("swordfish")]);
        for (text, word) in
            [("WRONGPASS", "WRONGPASS"), ("", "x"), ("two words", "x"), ("swordfish", "x"), ("a\u{202e}b", "x")]
        {
            assert_eq!(redactor.word(text, "x"), word);
        }
    }
}
