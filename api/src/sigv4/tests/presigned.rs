//! The signature in the query.

use chrono::TimeDelta;

use super::*;

fn later(seconds: i64) -> Time {
    now() + TimeDelta::seconds(seconds)
}

#[test]
fn what_the_official_signer_presigns_is_verified_until_it_expires() {
    let sent = get_secret_value().presigned(now(), 900, None);
    assert!(sent.path_and_query.contains("X-Amz-Expires=900"), "{}", sent.path_and_query);
    let verifier = Verifier::new(REGION.to_owned());
    for seconds in [-300, 0, 301, 900] {
        let verified = sent.verified_by(&verifier, later(seconds));
        assert_eq!(verified.expect("verified").principal(), "admin", "after {seconds} s");
    }
    assert_eq!(
        sent.verified_by(&verifier, later(901)).expect_err("expired").to_string(),
        "Signature expired: 20260310T093700Z is now earlier than 20260310T093701Z (20260310T095201Z - 900 s.)"
    );
    let early = sent.verified_by(&verifier, later(-301)).expect_err("too early").to_string();
    assert!(early.starts_with("Signature not yet current: 20260310T093700Z"), "{early}");
}

#[test]
fn the_token_stands_in_the_query_or_in_a_signed_header() {
    let token = "FwoGZXIvYXdzE/+=";
    let claimed = |sent: &Sent| {
        let mut request = Request::post(&sent.path_and_query);
        for (name, value) in sent.pairs() {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let verifier = Verifier::new(REGION.to_owned());
        let claim = verifier.claim(&parts, SECRETS_MANAGER, now()).expect("a claim");
        claim.token().map(str::to_owned)
    };
    let in_query = get_secret_value().presigned(now(), 60, Some(token));
    assert!(in_query.verified().is_ok());
    assert_eq!(claimed(&in_query).as_deref(), Some(token));
    let in_header = get_secret_value().header("x-amz-security-token", token).presigned(now(), 60, None);
    assert!(in_header.verified().is_ok());
    assert_eq!(claimed(&in_header).as_deref(), Some(token));
    let added = get_secret_value().presigned(now(), 60, None).header("x-amz-security-token", token);
    assert_eq!(added.refusal(), "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization.");
    assert_eq!(claimed(&get_secret_value().presigned(now(), 60, None)), None);
}

#[test]
fn the_target_and_the_host_must_be_signed_there_too() {
    let sent = get_secret_value().without("x-amz-target").presigned(now(), 60, None);
    let sent = sent.header("x-amz-target", "secretsmanager.DeleteSecret");
    assert_eq!(sent.refusal(), "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.");
    let mut sent = get_secret_value().presigned(now(), 60, None);
    sent.path_and_query = sent.path_and_query.replace("%3Bhost%3B", "%3B");
    assert_eq!(sent.refusal(), "'host' must be a 'SignedHeader' in the AWS Authorization.");
}

#[test]
fn a_lifetime_that_is_too_long_is_refused_although_rightly_signed() {
    assert!(get_secret_value().presigned(now(), 604_800, None).verified().is_ok());
    let refused = get_secret_value().presigned(now(), 604_801, None).verified().expect_err("a refusal");
    assert_eq!(refused.code(), "IncompleteSignatureException");
    assert_eq!(refused.to_string(), "X-Amz-Expires must be a number of seconds from 1 to 604800.");
}

#[test]
fn a_presigned_request_with_a_header_besides_is_refused() {
    let sent = get_secret_value().presigned(now(), 60, None).signed_by_oracle(SECRET, REGION, now());
    assert_eq!(
        sent.refusal(),
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    );
}

proptest! {
    #[test]
    fn every_request_the_official_signer_presigns_is_verified(
        sent in any_sent(),
        seconds in 1u64..=604_800,
        token in proptest::option::of("[A-Za-z0-9+/=]{1,60}"),
    ) {
        let sent = sent.presigned(now(), seconds, token.as_deref());
        prop_assert!(sent.verified().is_ok(), "{:?}", sent);
    }

    #[test]
    fn queries_of_any_form_never_panic(query in "(X-Amz-Algorithm=AWS4-HMAC-SHA256)?[ -~&&[^ \"<>`{}|^\\\\#]]{0,120}") {
        let mut sent = get_secret_value();
        sent.path_and_query = format!("/?{query}");
        prop_assert!(sent.verified().is_err());
    }
}
