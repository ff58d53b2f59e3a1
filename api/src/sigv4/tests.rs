//! The official signer is the oracle: what it signs is taken, and what was changed after is not.

mod mutation;
mod presigned;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign as sign_by_oracle,
};
use aws_sigv4::sign::v4;
use axum::http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use super::*;

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";

fn now() -> Time {
    "2026-03-10T09:37:00Z".parse().expect("an instant")
}

/// A request with all its parts in view, so that a test can change one.
#[derive(Debug, Clone)]
struct Sent {
    method: String,
    path_and_query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn new(target: &str, body: &[u8]) -> Self {
        let headers =
            [("host", "127.0.0.1:7171"), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        Self {
            method: "POST".to_owned(),
            path_and_query: "/".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.to_vec(),
        }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn signed_by_oracle(self, secret: &str, region: &str, at: Time) -> Self {
        self.signed_with(secret, region, at, None, SigningSettings::default())
    }

    /// The same with a session token.
    fn signed_in_session(self, token: &str) -> Self {
        self.signed_with(SECRET, REGION, now(), Some(token), SigningSettings::default())
    }

    /// The same with the signature in the query, good for some seconds.
    fn presigned(self, at: Time, seconds: u64, token: Option<&str>) -> Self {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(seconds));
        self.signed_with(SECRET, REGION, at, token, settings)
    }

    fn signed_with(
        mut self,
        secret: &str,
        region: &str,
        at: Time,
        token: Option<&str>,
        settings: SigningSettings,
    ) -> Self {
        let identity = Credentials::new(KEY_ID, secret, token.map(str::to_owned), None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("secretsmanager")
            .time(SystemTime::from(at))
            .settings(settings)
            .build()
            .expect("complete parameters")
            .into();
        let uri = format!("http://127.0.0.1:7171{}", self.path_and_query);
        let signable =
            SignableRequest::new(self.method.as_str(), uri, self.pairs().into_iter(), SignableBody::Bytes(&self.body))
                .expect("signable");
        let (instructions, _) = sign_by_oracle(signable, &params).expect("signed").into_parts();
        let added: Vec<_> = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.headers.extend(added);
        for (name, value) in instructions.params() {
            let joint = if self.path_and_query.contains('?') { '&' } else { '?' };
            self.path_and_query.push_str(&format!("{joint}{name}={}", in_query(value)));
        }
        self
    }

    fn signed_by_us(mut self) -> Self {
        let (path, query) = self.path_and_query.split_once('?').unwrap_or((&self.path_and_query, ""));
        let secret = SecretBytes::from(SECRET);
        let added = sign(
            &Unsigned { method: "POST", path, query, headers: &self.pairs(), body: &self.body },
            &Signer { access_key_id: KEY_ID, secret: &secret, region: REGION },
            now(),
        );
        self.headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    fn value(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(key, _)| key == name).expect("the header").1
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self
    }

    fn verified(&self) -> Result<Verified, Refusal> {
        self.verified_by(&Verifier::new(REGION.to_owned()), now())
    }

    fn verified_by(&self, verifier: &Verifier, at: Time) -> Result<Verified, Refusal> {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path_and_query);
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).expect("a header name");
            request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let claim = verifier.claim(&parts, SECRETS_MANAGER, at)?;
        // As the look-up of the key would.
        if claim.access_key_id() != KEY_ID {
            return Err(Refusal::UnknownKey);
        }
        let scope = store::Scope::default();
        let admin = store::Principal { name: "admin".to_owned(), role: store::Role::Administrator, scope };
        let caller = Caller::new(Arc::new(admin), claim.access_key_id());
        verifier.prove(&claim, &parts, &self.body, &SecretBytes::from(SECRET), caller)
    }

    fn refusal(&self) -> String {
        self.verified().expect_err("a refusal").to_string()
    }
}

/// A value as it stands in a query.
fn in_query(value: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let spelled = |byte: u8| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(spelled).collect()
}

fn get_secret_value() -> Sent {
    Sent::new("secretsmanager.GetSecretValue", br#"{"SecretId":"a"}"#)
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

#[test]
fn what_the_official_signer_signs_is_verified_and_says_who_it_was() {
    let verified = get_secret_value().signed_by_oracle(SECRET, REGION, now()).verified();
    assert_eq!(verified.expect("verified").principal(), "admin");
}

#[test]
fn a_remembered_signing_key_verifies_and_refuses_like_a_fresh_one() {
    let verifier = Verifier::new(REGION.to_owned());
    let sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
    let mut changed = sent.clone();
    changed.body[3] ^= 1;
    for _ in 0..2 {
        assert!(sent.verified_by(&verifier, now()).is_ok());
        assert!(changed.verified_by(&verifier, now()).is_err());
    }
    let tomorrow = now() + chrono::TimeDelta::days(1);
    let sent = get_secret_value().signed_by_oracle(SECRET, REGION, tomorrow);
    assert!(sent.verified_by(&verifier, tomorrow).is_ok());
}

#[test]
fn a_wrong_signature_leaves_no_signing_key_behind() {
    let verifier = Verifier::new(REGION.to_owned());
    let sent = get_secret_value().signed_by_oracle("another secret", REGION, now());
    assert!(sent.verified_by(&verifier, now()).is_err());
    assert_eq!(verifier.keys.read().expect("not poisoned").len(), 0);
}

#[test]
fn another_secret_gives_aws_s_mismatch() {
    let sent = get_secret_value().signed_by_oracle("another secret", REGION, now());
    assert_eq!(sent.refusal(), MISMATCH);
}

#[test]
fn other_regions_and_services_are_told_so() {
    let sent = get_secret_value().signed_by_oracle(SECRET, "eu-west-1", now());
    assert_eq!(sent.refusal(), "Credential should be scoped to a valid region.");
    let mut sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
    let header = sent.value("authorization");
    *header = header.replace("/secretsmanager/", "/s3/");
    assert_eq!(sent.refusal(), "Credential should be scoped to correct service: 'secretsmanager'.");
}

#[test]
fn the_day_in_the_scope_is_the_day_of_the_date() {
    let mut sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
    let header = sent.value("authorization");
    *header = header.replace("/20260310/", "/20260309/");
    assert_eq!(
        sent.refusal(),
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260309' != \
         '20260310', from '20260310T093700Z'."
    );
}

// F127
#[test]
fn requests_more_than_five_minutes_off_are_refused_although_rightly_signed() {
    let sent = get_secret_value().signed_by_oracle(SECRET, REGION, now() - chrono::TimeDelta::seconds(301));
    assert!(sent.refusal().starts_with("Signature expired: 20260310T093159Z is now earlier than"));
    let sent = get_secret_value().signed_by_oracle(SECRET, REGION, now() + chrono::TimeDelta::seconds(301));
    assert!(sent.refusal().starts_with("Signature not yet current: 20260310T094201Z"));
}

#[test]
fn a_target_that_was_not_signed_is_refused() {
    let target = "secretsmanager.GetSecretValue";
    let sent = get_secret_value()
        .without("x-amz-target")
        .signed_by_oracle(SECRET, REGION, now())
        .header("x-amz-target", target);
    assert_eq!(sent.refusal(), "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.");
}

#[test]
fn a_session_token_that_was_signed_is_taken_and_one_that_was_added_is_not() {
    let sent = get_secret_value().signed_in_session("FwoGZXIvYXdzE/+=");
    assert!(sent.verified().is_ok());
    let added = get_secret_value().signed_by_oracle(SECRET, REGION, now()).header("x-amz-security-token", "FwoGZXIv");
    assert_eq!(added.refusal(), "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization.");
    let mut changed = sent.clone();
    changed.value("x-amz-security-token").replace_range(0..1, "G");
    assert_eq!(changed.refusal(), MISMATCH);
    assert!(sent.without("x-amz-security-token").verified().is_err());
}

#[test]
fn a_list_of_signed_headers_that_no_signer_makes_is_refused_before_anything_is_hashed() {
    let sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
    let many: Vec<String> = (0..101).map(|n| format!("x-{n:03}")).collect();
    for list in [
        "host;x-amz-date;x-amz-target;x-amz-target",
        "x-amz-date;host;x-amz-target",
        "host;;x-amz-date;x-amz-target",
        &many.join(";"),
    ] {
        let mut sent = sent.clone();
        let header = sent.value("authorization");
        let (before, rest) = header.split_once("SignedHeaders=").expect("a list");
        let (_, after) = rest.split_once(',').expect("a signature");
        *header = format!("{before}SignedHeaders={list},{after}");
        assert_eq!(
            sent.refusal(),
            "SignedHeaders must be at most 100 names in alphabetical order, each once.",
            "{list}"
        );
    }
}

#[test]
fn unsigned_bodies_are_not_taken() {
    let sent =
        get_secret_value().header("x-amz-content-sha256", "UNSIGNED-PAYLOAD").signed_by_oracle(SECRET, REGION, now());
    assert_eq!(sent.refusal(), MISMATCH);
}

#[test]
fn a_body_hash_that_is_sent_along_must_be_right() {
    let body = br#"{"SecretId":"a"}"#;
    let hash = String::from_utf8(hash_of(body).to_vec()).expect("hex");
    let sent = get_secret_value().header("x-amz-content-sha256", &hash);
    assert!(sent.signed_by_oracle(SECRET, REGION, now()).verified().is_ok());
}

#[test]
fn authentication_in_two_places_is_refused() {
    let mut sent = get_secret_value();
    sent.path_and_query = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned();
    let sent = sent.signed_by_oracle(SECRET, REGION, now());
    assert_eq!(
        sent.refusal(),
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    );
}

#[test]
fn no_authorization_is_missing_authentication() {
    assert_eq!(get_secret_value().refusal(), "Missing Authentication Token");
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let header = prop_oneof!["user-agent", "x-amz-user-agent", "amz-sdk-invocation-id", "x-extra"];
    let value = "[!-~]{1,8}( {1,3}[!-~]{1,8}){0,2}";
    let path = "/([a-z0-9._~-]{0,4}(%[0-9A-F]{2})?/){0,3}[a-z.]{0,3}";
    let query = "(\\?[a-z]{1,3}(=[a-zA-Z0-9_.~-]{0,3})?(&[a-z]{1,3}=(%2[0-9A-F])?){0,2})?";
    (
        "[A-Za-z]{1,20}",
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec((header, value), 0..3),
        path,
        query,
    )
        .prop_map(|(target, body, headers, path, query)| {
            let mut sent = Sent::new(&target, &body);
            sent.path_and_query = format!("{path}{query}");
            headers.iter().fold(sent, |sent, (name, value)| sent.header(name, value))
        })
}

proptest! {
    #[test]
    fn every_request_the_official_signer_signs_is_verified(sent in any_sent()) {
        let sent = sent.signed_by_oracle(SECRET, REGION, now());
        prop_assert!(sent.verified().is_ok());
    }

    #[test]
    fn our_signer_says_what_the_official_one_says(sent in any_sent()) {
        // The official one leaves out what proxies change; ours signs all it is given.
        let sent = sent.without("user-agent");
        let mut theirs = sent.clone().signed_by_oracle(SECRET, REGION, now());
        let mut ours = sent.signed_by_us();
        prop_assert_eq!(ours.value("authorization"), theirs.value("authorization"));
        prop_assert_eq!(ours.value("x-amz-date"), theirs.value("x-amz-date"));
    }

    #[test]
    fn one_changed_byte_of_the_body_is_refused(sent in any_sent(), at in any::<prop::sample::Index>(), bits in 1u8..) {
        let mut sent = sent.signed_by_oracle(SECRET, REGION, now());
        prop_assume!(!sent.body.is_empty());
        let at = at.index(sent.body.len());
        sent.body[at] ^= bits;
        prop_assert_eq!(sent.refusal(), MISMATCH);
    }

    #[test]
    fn one_changed_digit_of_the_signature_is_refused(at in 0usize..64, digit in "[0-9a-fA-F]") {
        let mut sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
        let header = sent.value("authorization");
        let start = header.len() - 64 + at;
        prop_assume!(header[start..=start] != digit);
        header.replace_range(start..=start, &digit);
        prop_assert_eq!(sent.refusal(), MISMATCH);
    }

    #[test]
    fn one_changed_byte_of_a_signed_header_is_refused(
        name in prop_oneof!["host", "content-type", "x-amz-target", "x-amz-date"],
        at in any::<prop::sample::Index>(),
        byte in b'!'..=b'~',
    ) {
        let mut sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
        let value = sent.value(&name);
        let at = at.index(value.len());
        prop_assume!(value.as_bytes()[at] != byte);
        value.replace_range(at..=at, &char::from(byte).to_string());
        prop_assert!(sent.verified().is_err());
    }

    #[test]
    fn a_changed_list_of_signed_headers_is_refused(cut in prop_oneof!["content-type;", "host;", "x-amz-date;"]) {
        let mut sent = get_secret_value().signed_by_oracle(SECRET, REGION, now());
        let header = sent.value("authorization");
        prop_assert!(header.contains(&cut));
        *header = header.replace(&cut, "");
        prop_assert!(sent.verified().is_err());
    }

    #[test]
    fn headers_of_any_form_never_panic(header in "(AWS4-HMAC-SHA256 )?[ -~]{0,120}", date in "[0-9TZ]{0,20}") {
        let sent = get_secret_value().header("authorization", &header).header("x-amz-date", &date);
        let verifier = Verifier::new(REGION.to_owned());
        let mut request = Request::post("/");
        for (name, value) in sent.pairs() {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        prop_assert!(verifier.claim(&parts, SECRETS_MANAGER, now()).is_err());
    }
}
