//! What each answer of a receiver comes to.

use reqwest::header::{HeaderMap, HeaderValue};

use super::*;

fn answer(status: u16, retry_after: Option<&'static str>, body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", HeaderValue::from_static(seconds));
    }
    Answer { status, headers, body: Zeroizing::new(body.as_bytes().to_vec()) }
}

fn judged(answer: &Answer, changing: bool, issues: bool) -> Result<Success, StepError> {
    let redactor = Redactor::new([&SecretBytes::from("canary-91")]);
    let judge = Judge { who: "hook (host)", step: "setSecret", changing, final_value: false, redactor: &redactor };
    judge.judge(answer, read(answer, issues))
}

fn refused(status: u16, retry_after: Option<&'static str>, body: &str, changing: bool) -> StepError {
    let error = judged(&answer(status, retry_after, body), changing, false).expect_err(body);
    assert_eq!(error.status, Some(status));
    error
}

#[test]
fn done_is_a_200_that_says_so() {
    for body in [
        r#"{"Status":"Done"}"#,
        r#" {"Status":"Done","Message":"changed","Version":1}"#,
        r#"{"Status":"Done","RequestId":"of the author's own"}"#,
    ] {
        judged(&answer(200, None, body), true, false).expect(body);
    }
    let note = judged(&answer(200, None, r#"{"Status":"Done","Message":"set canary-91\n"}"#), true, false);
    assert_eq!(note.expect("done").note, "set [redacted]");
}

#[test]
fn an_answer_that_is_none_of_the_contracts_is_a_doubt() {
    for (status, body) in [
        (200, ""),
        (200, "OK"),
        (200, "null"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"Status":"done"}"#),
        (200, r#"{"status":"Done"}"#),
        (200, r#"{"Status":"Done""#),
        (200, r#"{"Status":"Done","Status":"Done"}"#),
        (200, r#"{"Status":"Done","Version":2}"#),
        (200, r#"{"Status":"Done","Version":"1"}"#),
        (200, r#"{"Status":"Done","Error":{"Kind":"Retryable"}}"#),
        (200, r#"{"Status":"Done","SecretString":"another value than ours"}"#),
        (200, r#"{"Status":"Error"}"#),
        (200, r#"{"Status":"Error","Error":{"Kind":"Whatever"}}"#),
        (200, r#"{"Error":{"Kind":"Retryable"}}"#),
        (200, "<html>Sign in to the wifi</html>"),
        (201, r#"{"Status":"Done"}"#),
        (204, ""),
        (202, r#"{"Status":"Done"}"#),
        (500, r#"{"Status":"Done"}"#),
        (500, "Internal Server Error"),
        (502, ""),
        (503, ""),
        (418, ""),
        (408, ""),
    ] {
        let error = refused(status, None, body, true);
        assert_eq!(error.verdict, Verdict::Unknown, "{status} {body}");
        assert!(!error.remedy.is_empty(), "{status} {body}");
        assert_eq!(refused(status, None, body, false).verdict, Verdict::Retry, "{status} {body}");
    }
}

#[test]
fn what_is_in_progress_is_asked_again_when_the_receiver_says() {
    for (status, header, body, wait) in [
        (202, None, "", None),
        (202, Some("7"), "queued", Some(7)),
        (202, None, r#"{"Status":"InProgress","RetryAfterSeconds":3}"#, Some(3)),
        (200, Some("9"), r#"{"Status":"InProgress"}"#, Some(9)),
        (200, Some("9"), r#"{"Status":"InProgress","RetryAfterSeconds":2.0,"Message":"replicating"}"#, Some(2)),
        (202, Some("Wed, 21 Oct 2026 07:28:00 GMT"), "{}", None),
        (202, None, r#"{"Status":"InProgress","RetryAfterSeconds":-3}"#, None),
    ] {
        let error = refused(status, header, body, true);
        assert_eq!((error.verdict, error.retry_after), (Verdict::InProgress, wait.map(Duration::from_secs)), "{body}");
    }
}

#[test]
fn a_structured_error_is_taken_at_its_word_with_any_status() {
    for status in [200, 202, 400, 401, 404, 429, 500, 503] {
        for (kind, verdict) in
            [("Retryable", Verdict::Retry), ("Rejected", Verdict::Rejected), ("NeedsPerson", Verdict::NeedsPerson)]
        {
            let body = format!(
                r#"{{"Status":"Error","Error":{{"Kind":"{kind}","Code":"NOAUTH","Message":"says canary-91."}}}}"#
            );
            let error = refused(status, Some("4"), &body, true);
            assert_eq!((error.verdict, error.code.as_str()), (verdict, "NOAUTH"), "{status} {kind}");
            assert!(error.message.ends_with(" setSecret (NOAUTH): says [redacted]."), "{}", error.message);
            assert_eq!(error.retry_after, Some(Duration::from_secs(4)));
            assert_eq!(error.remedy.is_empty(), verdict == Verdict::Retry, "who may be parked is told what to do");
        }
    }
    let bare = refused(500, None, r#"{"Status":"Error","Error":{"Kind":"Retryable","Code":"canary-91"}}"#, true);
    assert_eq!(bare.message, "The rotator hook (host) could not carry out setSecret (reported).");
}

#[test]
fn a_value_that_cannot_be_replaced_and_is_rejected_needs_a_person() {
    let answer = answer(200, None, r#"{"Status":"Error","Error":{"Kind":"Rejected"}}"#);
    let redactor = Redactor::default();
    let judge = Judge { who: "h", step: "setSecret", changing: true, final_value: true, redactor: &redactor };
    let error = judge.judge(&answer, read(&answer, false)).expect_err("rejected");
    assert_eq!(error.verdict, Verdict::NeedsPerson);
    assert!(error.remedy.contains("abandon"), "{}", error.remedy);
}

#[test]
fn a_status_without_our_body_says_whether_anything_was_done() {
    for (status, header, verdict, code) in [
        (429, None, Verdict::Retry, "throttled"),
        (429, Some("30"), Verdict::Retry, "throttled"),
        (503, Some("30"), Verdict::Retry, "unavailable"),
        (301, None, Verdict::NeedsPerson, "redirect"),
        (302, None, Verdict::NeedsPerson, "redirect"),
        (401, None, Verdict::NeedsPerson, "forbidden"),
        (403, None, Verdict::NeedsPerson, "forbidden"),
        (400, None, Verdict::NeedsPerson, "refused"),
        (404, None, Verdict::NeedsPerson, "refused"),
        (405, None, Verdict::NeedsPerson, "refused"),
        (410, None, Verdict::NeedsPerson, "refused"),
        (413, None, Verdict::NeedsPerson, "refused"),
        (415, None, Verdict::NeedsPerson, "refused"),
        (422, None, Verdict::NeedsPerson, "refused"),
    ] {
        let error = refused(status, header, "x", true);
        assert_eq!((error.verdict, error.code.as_str()), (verdict, code), "{status}");
        assert_eq!(error.retry_after.is_some(), header.is_some(), "{status}");
        assert_eq!(error.remedy.is_empty(), verdict != Verdict::NeedsPerson, "{status}");
    }
}

#[test]
fn every_answer_that_leaves_a_doubt_is_waited_out_and_no_other() {
    let reported = r#"{"Status":"Error","Error":{"Kind":"Retryable"}}"#;
    for (status, header, body) in (200..600).flat_map(|status| {
        [
            (status, None, "x"),
            (status, Some("3"), "x"),
            (status, None, reported),
            (status, None, r#"{"Status":"Done"}"#),
        ]
    }) {
        let answer = answer(status, header, body);
        let doubt = judged(&answer, true, false).is_err_and(|error| error.verdict == Verdict::Unknown);
        assert_eq!(is_doubtful(&answer, &read(&answer, false)), doubt, "{status} {header:?} {body}");
    }
}

#[test]
fn an_issuing_receiver_must_give_a_value() {
    let done = |value: &str| format!(r#"{{"Status":"Done","SecretString":{value}}}"#);
    let made = judged(&answer(200, None, &done("\"sk_new\"")), true, true).expect("done").value;
    assert_eq!(made.expect("a value").expose_str(), Some("sk_new"));
    let long = format!("\"{}\"", "x".repeat(LONGEST_VALUE + 1));
    for body in [r#"{"Status":"Done"}"#, &done("\"\""), &done("7"), &done("null"), &done(&long)] {
        let error = judged(&answer(200, None, body), true, true).expect_err("no value");
        assert_eq!(error.verdict, Verdict::Unknown);
    }
}
