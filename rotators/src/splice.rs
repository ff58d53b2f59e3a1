//! Owns putting a new password, or another host, into a secret's JSON text. Every other byte stays as it was: key order,
//! spacing, numbers no parser of ours could hold. Never here: what the other keys mean.

use zeroize::Zeroizing;

/// The text with the value of every top-level key `wanted` replaced. `None` where the text is not a JSON object
/// or has no such key. The caller has parsed the text before, so it is known to be well-formed JSON.
pub(crate) fn replace(text: &str, wanted: &str, password: &str) -> Option<Zeroizing<String>> {
    let value = Zeroizing::new(serde_json::to_string(password).ok()?);
    let (out, replaced) = put(text, wanted, &value)?;
    replaced.then_some(out)
}

/// The text with this JSON value under the top-level key `wanted`, which is added where it is missing.
pub(crate) fn with(text: &str, wanted: &str, value: &serde_json::Value) -> Option<Zeroizing<String>> {
    let (out, replaced) = put(text, wanted, &value.to_string())?;
    if replaced {
        return Some(out);
    }
    let (before, after) = text.split_once('{')?;
    let comma = if after.trim_start().starts_with('}') { "" } else { "," };
    let key = serde_json::to_string(wanted).ok()?;
    Some(Zeroizing::new(format!("{before}{{{key}:{value}{comma}{after}")))
}

/// The text with every top-level `wanted` replaced by a text that is JSON, and whether there was one.
fn put(text: &str, wanted: &str, value: &str) -> Option<(Zeroizing<String>, bool)> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() + value.len() + 16));
    let bytes = text.as_bytes();
    let mut at = skip_blank(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    let (mut copied, mut replaced) = (0, false);
    loop {
        at = skip_blank(bytes, at);
        match bytes.get(at)? {
            b'}' => break,
            b',' => at += 1,
            b'"' => {
                let key_end = end_of_string(bytes, at)?;
                let key: String = serde_json::from_str(text.get(at..key_end)?).ok()?;
                let colon = skip_blank(bytes, key_end);
                let start = skip_blank(bytes, colon + 1);
                let end = end_of_value(bytes, start)?;
                if key == wanted {
                    out.push_str(text.get(copied..start)?);
                    out.push_str(value);
                    copied = end;
                    replaced = true;
                }
                at = end;
            }
            _ => return None,
        }
    }
    out.push_str(text.get(copied..)?);
    Some((out, replaced))
}

fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The index after the closing quote of the string that opens at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The index after the value that starts at `at`.
fn end_of_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = end_of_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b'}' if depth == 0 => return Some(at),
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 && !matches!(bytes.get(at), Some(b',' | b'}')) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn spliced(text: &str, password: &str) -> Option<String> {
        replace(text, "password", password).map(|text| text.to_string())
    }

    #[test]
    fn every_byte_but_the_password_stays() {
        let text = "{ \"z\":1e400,\"password\" : \"old\\\"}\" ,\"a\":{\"password\":\"inner\",\"b\":[1,{}]},\n\"n\":12345678901234567890123 }";
        assert_eq!(
            spliced(text, "n\"ew").as_deref(),
            Some(
                "{ \"z\":1e400,\"password\" : \"n\\\"ew\" ,\"a\":{\"password\":\"inner\",\"b\":[1,{}]},\n\"n\":12345678901234567890123 }"
            )
        );
    }

    #[test]
    fn a_key_written_with_escapes_is_the_same_key_and_a_repeated_one_is_replaced_too() {
        assert_eq!(
            spliced(r#"{"p\u0061ssword":"a","password":"b"}"#, "c").as_deref(),
            Some(r#"{"p\u0061ssword":"c","password":"c"}"#)
        );
    }

    #[test]
    fn a_text_without_the_key_is_refused() {
        for text in ["{}", "[]", "\"password\"", r#"{"a":{"password":"x"}}"#, "", "{"] {
            assert_eq!(spliced(text, "x"), None, "{text}");
        }
    }

    #[test]
    fn any_top_level_key_can_be_the_one() {
        let text = r#"{"password":"stays","token":"old"}"#;
        assert_eq!(
            replace(text, "token", "new").as_deref().map(String::as_str),
            Some(r#"{"password":"stays","token":"new"}"#)
        );
        assert_eq!(replace(text, "absent", "new"), None);
    }

    #[test]
    fn a_key_is_replaced_or_added_whatever_its_value_is() {
        for (text, expected) in [
            (r#"{"host":"a","x":1}"#, r#"{"host":["b",2],"x":1}"#),
            (r#" { "x":1}"#, r#" {"host":["b",2], "x":1}"#),
            ("{ }", r#"{"host":["b",2] }"#),
        ] {
            let after = with(text, "host", &serde_json::json!(["b", 2]));
            assert_eq!(after.as_deref().map(String::as_str), Some(expected), "{text}");
        }
        assert_eq!(with("[]", "host", &serde_json::json!(1)), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,6}", inner, 0..4)
                    .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
            ]
        })
    }

    proptest! {
        // F86
        #[test]
        fn only_the_password_differs_afterwards(
            others in prop::collection::btree_map("\\PC{0,8}", json(), 0..5),
            old in json(), new in "\\PC{0,40}", pretty in any::<bool>(),
        ) {
            let mut object: serde_json::Map<String, Value> = others.into_iter().collect();
            object.insert("password".to_owned(), old);
            let mut value = Value::from(object);
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let after = spliced(&text.expect("serialises"), &new).expect("has a password");
            value["password"] = Value::from(new);
            prop_assert_eq!(serde_json::from_str::<Value>(&after).expect("still JSON"), value);
        }
    }
}
