//! Where a page ended, as an opaque text that only serves the query it was made for.

use crate::StoreError;

/// The last row of a page: its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The number it is ordered by, where it is one.
    pub(crate) number: i64,
    /// The text it is ordered by, where it is one.
    pub(crate) text: String,
    /// Tells rows apart that are equal in that.
    pub(crate) id: i64,
}

impl Cursor {
    /// The text of a cursor for `query`.
    pub(crate) fn write(query: &str, number: i64, text: &str, id: i64) -> String {
        let plain = format!("{:016x} {number} {id} {text}", fingerprint(query));
        plain.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Cursor::write`] wrote for the same query.
    pub(crate) fn read(cursor: &str, query: &str) -> Result<Self, StoreError> {
        parse(cursor, query).ok_or(StoreError::BadCursor)
    }
}

fn parse(cursor: &str, query: &str) -> Option<Cursor> {
    let digits = cursor.bytes().map(|digit| char::from(digit).to_digit(16)).collect::<Option<Vec<_>>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let plain = pairs.iter().map(|[high, low]| u8::try_from(high << 4 | low).ok()).collect::<Option<Vec<u8>>>()?;
    let plain = String::from_utf8(plain).ok()?;
    let mut parts = plain.splitn(4, ' ');
    let made_for = u64::from_str_radix(parts.next()?, 16).ok()?;
    let cursor =
        Cursor { number: parts.next()?.parse().ok()?, id: parts.next()?.parse().ok()?, text: parts.next()?.to_owned() };
    (made_for == fingerprint(query)).then_some(cursor)
}

/// FNV-1a: the same in every build, unlike the standard library's hasher. Catches mistakes, not malice.
fn fingerprint(query: &str) -> u64 {
    query.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_for_its_own_query_only(number: i64, id: i64, text in ".{0,20}", other in "[a-z]{1,5}") {
            let cursor = Cursor::write("q", number, &text, id);
            prop_assert_eq!(Cursor::read(&cursor, "q").ok(), Some(Cursor { number, text, id }));
            let other = format!("q{other}");
            prop_assert!(Cursor::read(&cursor, &other).is_err());
        }

        #[test]
        fn a_text_that_is_no_cursor_is_refused(text in ".{0,40}") {
            prop_assert!(Cursor::read(&text, "q").is_err());
        }
    }
}
