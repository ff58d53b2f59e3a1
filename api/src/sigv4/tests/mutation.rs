//! One byte changed at a time, everywhere in a request that is signed: none of it is taken, in either form.

use super::*;

fn every_form() -> Vec<Sent> {
    let mut sent = get_secret_value().header("x-extra", "one two");
    sent.path_and_query = "/a/b?c=d&e=f%2Fg".to_owned();
    let form = |sent: Sent, token: Option<&str>| match token {
        None => sent.signed_by_oracle(SECRET, REGION, now()),
        Some(token) => sent.signed_in_session(token),
    };
    [None, Some("FwoGZXIvYXdzE/+=")]
        .into_iter()
        .flat_map(|token| [form(sent.clone(), token), sent.clone().presigned(now(), 60, token)])
        .collect()
}

/// The text with the byte at `at` replaced by each of a few others.
fn changes(text: &str, at: usize) -> impl Iterator<Item = String> {
    let (before, rest) = (text[..at].to_owned(), text[at..].to_owned());
    let others = ["A", "a", "0", "9", "/", "=", "&", "%", ";", "-"].into_iter();
    others.filter(move |other| !rest.starts_with(other)).map({
        let after = text[at + 1..].to_owned();
        move |other| format!("{before}{other}{after}")
    })
}

fn assert_refused(sent: &Sent, what: &str) {
    // Not every change makes a request at all.
    let is_request = Request::builder().method(sent.method.as_str()).uri(&sent.path_and_query).body(()).is_ok();
    assert!(!is_request || sent.verified().is_err(), "{what}: {sent:?}");
}

/// What a query says, however its escapes and empty parts are spelled.
fn said(path_and_query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    let decode = |text: &str| canonical::decoded(text.as_bytes());
    let mut said: Vec<_> = canonical::pairs(query).map(|(name, value)| (decode(name), decode(value))).collect();
    said.sort();
    said
}

#[test]
fn the_forms_are_taken_as_they_are() {
    for sent in every_form() {
        assert!(sent.verified().is_ok(), "{sent:?}");
    }
}

#[test]
fn no_byte_of_the_method_the_path_or_the_query_can_be_changed() {
    for sent in every_form() {
        for at in 0..sent.method.len() {
            for method in changes(&sent.method, at).filter(|method| method.bytes().all(|b| b.is_ascii_alphabetic())) {
                assert_refused(&Sent { method, ..sent.clone() }, "method");
            }
        }
        let path_ends = sent.path_and_query.find('?').expect("a query");
        // The first byte makes it a path, and the question mark a query.
        for at in 1..sent.path_and_query.len() {
            for path_and_query in changes(&sent.path_and_query, at) {
                // Slashes are no part of what is signed of a path, and escapes have several spellings.
                let same_path = path_and_query[..path_ends].split('/').eq(sent.path_and_query[..path_ends].split('/'));
                if !same_path || said(&path_and_query) != said(&sent.path_and_query) {
                    assert_refused(&Sent { path_and_query, ..sent.clone() }, "path and query");
                }
            }
        }
    }
}

#[test]
fn no_byte_of_a_signed_header_can_be_changed() {
    for sent in every_form() {
        for (i, (name, value)) in sent.headers.iter().enumerate() {
            for at in 0..value.len() {
                for changed in changes(value, at) {
                    let mut other = sent.clone();
                    other.headers[i].1 = changed;
                    assert_refused(&other, name);
                }
            }
        }
    }
}

#[test]
fn no_bit_of_the_body_can_be_changed_and_none_of_it_cut_off_or_added() {
    for sent in every_form() {
        for at in 0..sent.body.len() {
            for bit in 0..8 {
                let mut other = sent.clone();
                other.body[at] ^= 1 << bit;
                assert_refused(&other, "body");
            }
        }
        let (mut shorter, mut longer) = (sent.clone(), sent);
        shorter.body.pop();
        longer.body.push(b' ');
        assert_refused(&shorter, "a shorter body");
        assert_refused(&longer, "a longer body");
    }
}
