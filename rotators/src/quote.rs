//! Owns every way in which a name or a text gets into a statement for a target. No other file builds SQL from
//! parts that a user can choose. Never here: statements, connections.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use zeroize::Zeroizing;

/// A PostgreSQL identifier. Names were parsed before: no NUL, at most 63 bytes.
pub(crate) fn pg_name(name: &str) -> String {
    escape_identifier(name)
}

/// A PostgreSQL text literal, right whatever `standard_conforming_strings` is.
pub(crate) fn pg_text(text: &str) -> String {
    escape_literal(text)
}

/// A MySQL or MariaDB account. Backticks mean the same under every `sql_mode`: a backslash is a backslash, and only
/// the backtick itself is doubled.
pub(crate) fn my_account(user: &str, host: &str) -> String {
    format!("`{}`@`{}`", user.replace('`', "``"), host.replace('`', "``"))
}

/// A MySQL or MariaDB name that stands alone, such as a plugin's.
pub(crate) fn my_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A MySQL or MariaDB text literal for a session whose `sql_mode` has NO_BACKSLASH_ESCAPES (all of ours), where the
/// quote is the only character with a meaning. Only for what the grammar takes in no other form.
pub(crate) fn my_text(text: &str) -> Zeroizing<String> {
    let doubled = Zeroizing::new(text.replace('\'', "''"));
    Zeroizing::new(format!("'{}'", *doubled))
}

/// A MySQL or MariaDB hexadecimal literal: the bytes themselves, whatever they are.
pub(crate) fn my_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "''".to_owned();
    }
    format!("0x{}", hex::encode(bytes))
}

/// A name as it may stand in a message: no line breaks or control characters of whoever chose it.
pub(crate) fn shown(name: &str) -> String {
    name.chars().flat_map(char::escape_debug).collect::<String>().replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a quoted text back the way the server's scanner does: the quote doubled is the quote.
    fn unquoted(text: &str, quote: char) -> Option<String> {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        let mut out = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            if c == quote && chars.next() != Some(quote) {
                return None;
            }
            out.push(c);
        }
        Some(out)
    }

    proptest! {
        // F87
        #[test]
        fn a_quoted_name_reads_back_as_the_same_name(name in "[^\0]{1,63}") {
            prop_assert_eq!(unquoted(&pg_name(&name), '"'), Some(name.clone()));
            prop_assert_eq!(unquoted(&my_name(&name), '`'), Some(name.clone()));
            prop_assert_eq!(unquoted(&my_text(&name), '\''), Some(name));
        }

        #[test]
        fn an_account_reads_back_as_its_two_names(user in "[^\0]{1,32}", host in "[^\0]{1,60}") {
            let quoted = my_account(&user, &host);
            let joined = format!("{}`@`{}", user.replace('`', "``"), host.replace('`', "``"));
            prop_assert_eq!(quoted, format!("`{joined}`"));
            prop_assert_eq!(unquoted(&my_account(&user, "").replace("@``", ""), '`').is_some(), true);
        }

        // F87
        #[test]
        fn a_postgres_literal_never_ends_early(text in "[^\0]{0,40}") {
            let quoted = pg_text(&text);
            let body = match quoted.strip_prefix(" E") {
                Some(escaped) => unquoted(escaped, '\'').map(|t| t.replace("\\\\", "\\")),
                None => unquoted(&quoted, '\''),
            };
            prop_assert_eq!(body, Some(text));
        }

        // F87
        #[test]
        fn hexadecimal_literals_have_no_character_of_the_text(bytes in prop::collection::vec(any::<u8>(), 1..60)) {
            let quoted = my_bytes(&bytes);
            prop_assert!(quoted.strip_prefix("0x").is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit())));
        }
    }

    #[test]
    fn a_name_in_a_message_cannot_break_the_line() {
        assert_eq!(shown("a\nb\u{1b}[0m'\""), "a\\nb\\u{1b}[0m'\"");
    }
}
