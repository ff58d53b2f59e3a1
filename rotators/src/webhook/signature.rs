//! Owns the signature of a delivery: Standard Webhooks, HMAC-SHA256 over id, timestamp and body, once for each key that
//! is live. A receiver that has the old key or the new one finds its own among them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::secret::SecretBytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`. Empty where there is no key.
pub(crate) fn signatures<'k>(
    keys: impl IntoIterator<Item = &'k SecretBytes>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let one = |key| format!("v1,{}", STANDARD.encode(mac(key, id, timestamp, body)));
    keys.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

fn mac(key: &SecretBytes, id: &str, timestamp: i64, body: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length, so the error is never there.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return [0; 32] };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue};
    use standardwebhooks::Webhook;

    use super::*;

    fn headers(id: &'static str, timestamp: i64, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static(id));
        headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
        headers.insert("webhook-signature", HeaderValue::from_str(signature).expect("printable"));
        headers
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the published verifier asks the system's clock")]
    fn the_published_library_accepts_what_either_of_two_keys_signed() {
        let keys = [SecretBytes::from("0123456789abcdef01234567"), SecretBytes::from("another key of some length")];
        let now = chrono::Utc::now().timestamp();
        let signed = headers("msg_1", now, &signatures(&keys, "msg_1", now, b"{}"));
        for key in &keys {
            let receiver = Webhook::from_bytes(key.expose().to_vec()).expect("a key");
            receiver.verify(b"{}", &signed).expect("signed by this key too");
            receiver.verify(b"{ }", &signed).expect_err("another body");
            receiver
                .verify(b"{}", &headers("msg_2", now, signed["webhook-signature"].to_str().expect("text")))
                .expect_err("another id");
            assert_eq!(
                signatures([key], "msg_1", now, b"{}"),
                receiver.sign("msg_1", now, b"{}").expect("signs"),
                "the very same text"
            );
        }
        let stranger = Webhook::from_bytes(b"a third key".to_vec()).expect("a key");
        stranger.verify(b"{}", &signed).expect_err("a key that did not sign");
    }

    #[test]
    fn without_a_key_there_is_no_signature() {
        assert_eq!(signatures([], "msg_1", 0, b""), "");
    }
}
