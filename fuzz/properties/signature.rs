//! Signatures: what was not signed with the key is refused, what was is taken, and no request makes either panic.
//!
//! An input is a request: path and query, headers one a line, an empty line, the body. In the first line `*` before
//! the path means: sign it first.

use api::sigv4::{Signer, Unsigned, sign};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, Uri};
use engine::Time;
use engine::secret::SecretBytes;

const REGION: &str = "us-east-1";
const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// What signing adds, or what makes it another form of signature.
const NOT_TO_BE_SIGNED: [&str; 6] =
    ["authorization", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-target"];

pub(crate) fn run(data: &[u8]) {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let (signed, line) = line.strip_prefix(b"*").map_or((false, line), |line| (true, line));
    let Ok(uri) = Uri::try_from(line) else { return };
    let headers = lines.filter_map(header).take(40).collect::<Vec<_>>();
    if signed {
        what_is_signed_is_taken(&uri, &headers, body);
    } else {
        // Nobody has this key, the fuzzer least of all.
        let secret = SecretBytes::from("wJalrXUtnFEMI/K7MDENG/another-key-altogether");
        let request = parts(uri, headers.into_iter());
        assert!(!verified(&request, body, &secret), "a signature was forged: {request:?}");
    }
}

fn what_is_signed_is_taken(uri: &Uri, headers: &[(HeaderName, HeaderValue)], body: &[u8]) {
    // A presigned query is no place for a signature in a header, and a host in the path is none in HTTP/1.1.
    if uri.query().is_some_and(|query| query.contains("X-Amz-")) || uri.authority().is_some() {
        return;
    }
    let secret = SecretBytes::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let given = headers.iter().filter(|(name, _)| !NOT_TO_BE_SIGNED.contains(&name.as_str()));
    let mut pairs: Vec<(&str, &str)> =
        given.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    pairs.extend([("host", "127.0.0.1:7171"), ("x-amz-target", "secretsmanager.ListSecrets")]);
    let unsigned =
        Unsigned { method: "POST", path: uri.path(), query: uri.query().unwrap_or(""), headers: &pairs, body };
    let signer = Signer { access_key_id: KEY_ID, secret: &secret, region: REGION };
    let signature = sign(&unsigned, &signer, now());
    let signature = signature.iter().map(|(name, value)| (*name, value.as_str()));
    let all = pairs.iter().copied().chain(signature);
    let all = all.filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
    let request = parts(uri.clone(), all);
    assert!(verified(&request, body, &secret), "signed, and refused: {request:?}");
    let changed = [body, b"."].concat();
    assert!(!verified(&request, &changed, &secret), "the body was changed: {request:?}");
    let other = SecretBytes::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEz");
    assert!(!verified(&request, body, &other), "another key signed: {request:?}");
}

fn verified(request: &Parts, body: &[u8], secret: &SecretBytes) -> bool {
    api::fuzzing::is_verified(request, body, REGION, secret, now())
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, value))
}

fn parts(uri: Uri, headers: impl Iterator<Item = (HeaderName, HeaderValue)>) -> Parts {
    let (mut parts, ()) = Request::post(uri).body(()).expect("a request").into_parts();
    for (name, value) in headers {
        parts.headers.append(name, value);
    }
    parts
}

fn now() -> Time {
    "2026-03-10T09:37:00Z".parse().expect("an instant")
}
