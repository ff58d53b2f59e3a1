//! Where a page ended, as an opaque text that only serves the query it was made for.
//!
//! A cursor is sealed, so nobody reads or makes one but whoever has the keyring: it survives a restart, and serves every
//! node of the store. Never here: what is listed.

use std::sync::Arc;

use crypto::{Binding, DataKey, KeyId, Keyring, Kind, SealError};

use crate::StoreError;
use crate::hex::{hex, unhex};

/// Whose the key of cursors is. No ARN, so it opens nothing of a secret.
const OWNER: &str = "cursors";

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

/// Writes cursors and reads them back.
///
/// They are sealed under a key of this process, which every cursor carries wrapped by the keyring: pages are read all
/// day, and the keyring's own keys should seal few things.
pub(crate) struct Cursors {
    keyring: Arc<Keyring>,
    key: DataKey,
    wrapped: Vec<u8>,
    /// The key of the keyring that wraps it.
    under: KeyId,
}

impl Cursors {
    pub(crate) fn new(keyring: Arc<Keyring>) -> Result<Self, SealError> {
        let key = DataKey::generate()?;
        let under = keyring.primary_id();
        let wrapped = keyring.wrap(OWNER, &key)?;
        Ok(Self { keyring, key, wrapped, under })
    }

    /// The text of a cursor for `query`.
    pub(crate) fn write(&self, query: &str, at: &Cursor) -> Result<String, StoreError> {
        let plain = format!("{} {} {}", at.number, at.id, at.text);
        let sealed = self.key.seal(&place(query), plain.as_bytes())?;
        // An older key may be taken out of the keyring: no new cursor is to need it.
        let wrapped = match self.keyring.primary_id() == self.under {
            true => hex(&self.wrapped),
            false => hex(&self.keyring.wrap(OWNER, &self.key)?),
        };
        Ok(wrapped + &hex(&sealed))
    }

    /// Reads what [`Cursors::write`] wrote for the same query, here or in another process with this keyring.
    pub(crate) fn read(&self, text: &str, query: &str) -> Result<Cursor, StoreError> {
        self.open(text, query).ok_or(StoreError::BadCursor)
    }

    fn open(&self, text: &str, query: &str) -> Option<Cursor> {
        let bytes = unhex(text)?;
        let (wrapped, sealed) = bytes.split_at_checked(self.wrapped.len())?;
        let plain = self.keyring.unwrap(OWNER, wrapped).ok()?.open(&place(query), sealed).ok()?;
        parse(std::str::from_utf8(&plain).ok()?)
    }
}

fn place(query: &str) -> Binding<'_> {
    Binding { kind: Kind::Cursor, owner: query, version: "", candidate: 0 }
}

fn parse(plain: &str) -> Option<Cursor> {
    let mut parts = plain.splitn(3, ' ');
    Some(Cursor {
        number: parts.next()?.parse().ok()?,
        id: parts.next()?.parse().ok()?,
        text: parts.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(keyring: &Arc<Keyring>) -> Cursors {
        Cursors::new(Arc::clone(keyring)).expect("random bytes")
    }

    #[test]
    fn a_cursor_is_read_by_every_process_with_the_keyring_and_by_no_other() {
        let keyring = Arc::new(Keyring::generate().expect("random bytes"));
        let at = Cursor { number: -7, text: "a b".to_owned(), id: 3 };
        let text = of(&keyring).write("q", &at).expect("sealed");
        assert_eq!(of(&keyring).read(&text, "q").ok(), Some(at.clone()));
        let rotated = Arc::new(keyring.with_new_primary().expect("random bytes"));
        assert_eq!(of(&rotated).read(&text, "q").ok(), Some(at));
        let stranger = Arc::new(Keyring::generate().expect("random bytes"));
        assert!(of(&stranger).read(&text, "q").is_err());
    }

    #[test]
    fn the_longest_cursor_is_a_next_token() {
        let cursors = of(&Arc::new(Keyring::generate().expect("random bytes")));
        let at = Cursor { number: i64::MIN, text: "n".repeat(512), id: i64::MIN };
        assert!(cursors.write(&"q".repeat(100_000), &at).expect("sealed").len() <= 4096);
    }

    #[test]
    fn a_cursor_with_any_digit_changed_is_refused() {
        let cursors = of(&Arc::new(Keyring::generate().expect("random bytes")));
        let at = Cursor { number: 1, text: "secret".to_owned(), id: 2 };
        let text = cursors.write("q", &at).expect("sealed");
        assert!(!text.contains("736563726574"), "the text is not to be read");
        for i in 0..text.len() {
            let other = if &text[i..=i] == "0" { "1" } else { "0" };
            let forged = format!("{}{other}{}", &text[..i], &text[i + 1..]);
            assert!(cursors.read(&forged, "q").is_err(), "digit {i}");
            assert!(cursors.read(&text[..i], "q").is_err(), "cut at {i}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back_for_its_own_query_only(number: i64, id: i64, text in ".{0,20}", other in "[a-z]{1,5}") {
            let cursors = of(&Arc::new(Keyring::generate().expect("random bytes")));
            let at = Cursor { number, text, id };
            let text = cursors.write("q", &at).expect("sealed");
            prop_assert_eq!(cursors.read(&text, "q").ok(), Some(at));
            let other = format!("q{other}");
            prop_assert!(cursors.read(&text, &other).is_err());
        }

        #[test]
        fn a_text_that_is_no_cursor_is_refused(text in ".{0,40}") {
            let cursors = of(&Arc::new(Keyring::generate().expect("random bytes")));
            prop_assert!(cursors.read(&text, "q").is_err());
        }
    }
}
