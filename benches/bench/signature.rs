//! The verification of a signature, beside the official signer making one of the same request.

use std::hint::black_box;
use std::time::SystemTime;

use api::fuzzing::Signatures;
use api::sigv4::{Signer, Unsigned, sign};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use axum::http::Request;
use chrono::{TimeZone, Utc};
use engine::Time;
use engine::secret::SecretBytes;

use crate::nanos;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
const HEADERS: [(&str, &str); 3] = [
    ("host", "127.0.0.1:7171"),
    ("content-type", "application/x-amz-json-1.1"),
    ("x-amz-target", "secretsmanager.GetSecretValue"),
];

pub(crate) fn run() {
    println!("\n### (e) A signature verified, beside the official signer (aws-sigv4) making it\n");
    println!(
        "| body | verified, key of the day at hand | verified, key derived | signed by aws-sigv4 | ratio to that |"
    );
    println!("|--:|--:|--:|--:|--:|");
    for (shown, body) in [("24 bytes", br#"{"SecretId":"prod/db/x"}"#.to_vec()), ("4 KiB", vec![b'x'; 4 << 10])] {
        row(shown, &body);
    }
}

fn row(shown: &str, body: &[u8]) {
    let now = Utc.timestamp_opt(1_800_000_000, 0).single().expect("a time");
    let secret = SecretBytes::from(SECRET);
    let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &HEADERS, body };
    let signer = Signer { access_key_id: KEY, secret: &secret, region: REGION };
    let mut request = Request::post("/");
    let signature = sign(&unsigned, &signer, now);
    let added = signature.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in HEADERS.into_iter().chain(added) {
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    let standing = Signatures::of_region(REGION);
    assert!(standing.accept(&parts, body, &secret, now), "the request is signed");

    let remembered = nanos(|| assert!(standing.accept(black_box(&parts), body, &secret, now)));
    let derived = nanos(|| assert!(Signatures::of_region(REGION).accept(black_box(&parts), body, &secret, now)));
    let official = nanos(|| official(black_box(body), now));
    println!(
        "| {shown} | {:.1} µs | {:.1} µs | {:.1} µs | {:.2} |",
        remembered / 1e3,
        derived / 1e3,
        official / 1e3,
        remembered / official
    );
}

fn official(body: &[u8], now: Time) {
    let identity = Credentials::new(KEY, SECRET, None, None, "bench").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("secretsmanager")
        .time(SystemTime::from(now))
        .settings(SigningSettings::default())
        .build()
        .expect("complete parameters")
        .into();
    let uri = "http://127.0.0.1:7171/";
    let request = SignableRequest::new("POST", uri, HEADERS.into_iter(), SignableBody::Bytes(body)).expect("signable");
    black_box(aws_sigv4::http_request::sign(request, &params).expect("signed"));
}
