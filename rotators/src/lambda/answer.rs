//! Owns what Lambda's answer to an Invoke means. AWS looks at `X-Amz-Function-Error` alone; the runtime interface
//! emulator does not send it, so that an error payload counts as well.

use engine::outcome::{StepError, Verdict};
use serde_json::{Map, Value};

use crate::delivery::Answer;
use crate::redact::Redactor;

/// The code of an error that the function itself raised.
pub(super) const FUNCTION_ERROR: &str = "function-error";

/// Why an invocation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The function ended with an error, or was ended.
    Function { kind: String, message: String },
    /// Lambda did not run it, or does not say.
    Service { status: u16, kind: String },
}

/// Reads an answer.
pub(super) fn read(answer: &Answer) -> Result<(), Failed> {
    if answer.status != 200 {
        // `ResourceNotFoundException:http://internal.amazon.com/…` in some of its front ends.
        let kind = answer.header("x-amzn-errortype").unwrap_or_default();
        let kind = kind.split([':', ';']).next().unwrap_or_default().to_owned();
        return Err(Failed::Service { status: answer.status, kind });
    }
    let flagged = answer.header("x-amz-function-error");
    match (flagged, report(&answer.body)) {
        (_, Some(failed)) => Err(failed),
        (Some(flag), None) => {
            Err(Failed::Function { kind: flag.to_owned(), message: String::from_utf8_lossy(&answer.body).into_owned() })
        }
        (None, None) => timed_out(&answer.body).or_else(|| cut_short(&answer.body)).map_or(Ok(()), Err),
    }
}

/// Whether neither the function nor Lambda said it: something on the way, while the function may still run.
pub(super) fn is_doubtful(answer: &Answer) -> bool {
    let nobodys = |kind: &str| kind.is_empty() && answer.status != 409 && !answer.refuses();
    matches!(read(answer), Err(Failed::Service { kind, .. }) if nobodys(&kind))
}

/// The payload by which runtimes report an error. Some leave the message null.
fn report(body: &[u8]) -> Option<Failed> {
    let payload: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let crashed = payload.contains_key("errorType") && payload.contains_key("stackTrace");
    let reports = crashed || payload.contains_key("errorMessage");
    reports.then(|| Failed::Function { kind: text("errorType"), message: text("errorMessage") })
}

/// The emulator ends a function with a line of text instead of a payload.
fn timed_out(body: &[u8]) -> Option<Failed> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() < 400 && !text.trim_start().starts_with('{'))?;
    let text = text.trim().trim_matches('"');
    text.contains("Task timed out after")
        .then(|| Failed::Function { kind: "Timeout".to_owned(), message: text.to_owned() })
}

/// An error payload whose end was not kept.
fn cut_short(body: &[u8]) -> Option<Failed> {
    let opens = body.trim_ascii_start().starts_with(br#"{"errorMessage""#) || body.starts_with(br#"{"errorType""#);
    opens
        .then(|| Failed::Function { kind: "Error".to_owned(), message: "its report is too long to be read".to_owned() })
}

impl Failed {
    /// The verdict. `changing`: the function may have changed its target before it ended.
    pub(super) fn judged(&self, who: &str, step: &str, changing: bool, redactor: &Redactor) -> StepError {
        let doubt = if changing { Verdict::Unknown } else { Verdict::Retry };
        match self {
            Self::Function { kind, message } => {
                let kind = redactor.word(kind, "Error");
                let says = redactor.clean(message);
                let says = if says.is_empty() { says } else { format!(": {}", says.trim_end_matches('.')) };
                let message = format!("The function {who} ended {step} with an error: {kind}{says}.");
                StepError::new(doubt, FUNCTION_ERROR, message).remedy("See the function's log for this invocation.")
            }
            Self::Service { status, kind } => service(*status, &redactor.word(kind, ""), who, doubt),
        }
    }
}

fn service(status: u16, kind: &str, who: &str, doubt: Verdict) -> StepError {
    let code = if kind.is_empty() { format!("http-{status}") } else { kind.to_owned() };
    let told = if kind.is_empty() { status.to_string() } else { format!("{status} {kind}") };
    let new = |verdict, says: &str| {
        StepError::new(verdict, code.clone(), format!("Lambda answers {told} for {who}: {says}."))
    };
    match (status, kind) {
        (429, _) => new(Verdict::Retry, "it is invoked too often, or too many of it run at once"),
        (409, _) => new(Verdict::Retry, "the function is being created or changed"),
        // Said by Lambda before the function began; something on the way would not name an error of Lambda's.
        (502..=504, kind) if !kind.is_empty() => new(Verdict::Retry, "it could not be started"),
        (404, _) => new(Verdict::NeedsPerson, "there is no such function").remedy(
            "Correct the rotator's endpoint, region and function with `pawl rotator update NAME`, then resume.",
        ),
        (401 | 403, _) => new(Verdict::NeedsPerson, "we may not invoke it").remedy(
            "Give the rotator an access key that has lambda:InvokeFunction on this function and the function's region, then resume.",
        ),
        (300..=399, _) => new(Verdict::NeedsPerson, "redirects are not followed")
            .remedy("Give the endpoint of the Lambda API itself with `pawl rotator update NAME`, then resume."),
        (400 | 405 | 410 | 413 | 415 | 422, _) => new(Verdict::NeedsPerson, "it does not take this invocation")
            .remedy("See that the endpoint is one of the Lambda Invoke API and that the function can be invoked by hand, then resume."),
        _ => new(doubt, "it failed without saying whether the function ran"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};
    use zeroize::Zeroizing;

    use super::*;

    fn answer(status: u16, header: Option<(&'static str, &'static str)>, body: &str) -> Answer {
        let header = header.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Answer { status, headers: header.into_iter().collect(), body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    fn judged(
        status: u16,
        header: Option<(&'static str, &'static str)>,
        body: &str,
        changing: bool,
    ) -> Option<StepError> {
        let redactor = Redactor::new([&engine::secret::SecretBytes::from("canary-91")]).strict(true);
        read(&answer(status, header, body))
            .err()
            .map(|failed| failed.judged("f (host)", "setSecret", changing, &redactor))
    }

    #[test]
    fn whatever_a_function_returns_is_success_unless_it_says_error() {
        for body in [
            "",
            "null",
            "{}",
            "[1]",
            "\"done\"",
            r#"{"statusCode":500}"#,
            "not JSON",
            r#"{"log":"Task timed out after 1"}"#,
        ] {
            assert_eq!(judged(200, None, body, true), None, "{body}");
        }
    }

    #[test]
    fn an_error_of_the_function_leaves_a_doubt_where_it_changes_something() {
        let flag = |value| Some(("x-amz-function-error", value));
        for (header, body) in [
            (
                flag("Unhandled"),
                r#"{"errorMessage":"no login with canary-91","errorType":"ValueError","stackTrace":[]}"#,
            ),
            (None, r#"{"errorMessage":"x","errorType":"ValueError"}"#),
            (flag("Handled"), "canary-91"),
            (flag("Unhandled"), ""),
            (None, r#"{"errorMessage":null,"errorType":"java.lang.NullPointerException"}"#),
            (None, r#"{"errorType":"Runtime.ExitError","stackTrace":[]}"#),
            (None, r#"{"errorMessage":"cut where no more is kept"#),
            (None, "2026-11-22T00:00:00Z 3fd Task timed out after 3.00 seconds"),
            (None, "\"Task timed out after 900.00 seconds\""),
        ] {
            let error = judged(200, header, body, true).expect(body);
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::Unknown, FUNCTION_ERROR), "{body}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
            assert_eq!(judged(200, header, body, false).expect(body).verdict, Verdict::Retry, "{body}");
        }
        let error = judged(200, None, r#"{"errorMessage":"Unable to log in","errorType":"ValueError"}"#, true);
        assert_eq!(
            error.expect("an error").message,
            "The function f (host) ended setSecret with an error: ValueError: Unable to log in."
        );
    }

    #[test]
    fn an_answer_that_neither_lambda_nor_the_function_gave_is_waited_out_where_it_leaves_a_doubt() {
        for status in 201..600 {
            let doubt = judged(status, None, "{}", true).expect("an error").verdict == Verdict::Unknown;
            assert_eq!(is_doubtful(&answer(status, None, "{}")), doubt, "{status}");
            let named = Some(("x-amzn-errortype", "ServiceException"));
            assert!(!is_doubtful(&answer(status, named, "{}")), "{status}: Lambda's own word");
        }
        for body in ["null", r#"{"errorMessage":"x","errorType":"ValueError"}"#] {
            assert!(!is_doubtful(&answer(200, None, body)), "{body}");
        }
    }

    #[test]
    fn an_error_of_lambda_says_whether_the_function_began() {
        let kind = |value| Some(("x-amzn-errortype", value));
        for (status, header, verdict) in [
            (429, kind("TooManyRequestsException"), Verdict::Retry),
            (429, None, Verdict::Retry),
            (409, kind("ResourceConflictException"), Verdict::Retry),
            (502, kind("ResourceNotReadyException"), Verdict::Retry),
            (502, kind("EC2ThrottledException"), Verdict::Retry),
            (503, None, Verdict::Unknown),
            (504, None, Verdict::Unknown),
            (500, kind("ServiceException"), Verdict::Unknown),
            (404, kind("ResourceNotFoundException:http://x/"), Verdict::NeedsPerson),
            (403, kind("AccessDeniedException"), Verdict::NeedsPerson),
            (400, kind("InvalidRequestContentException"), Verdict::NeedsPerson),
            (413, kind("RequestTooLargeException"), Verdict::NeedsPerson),
            (302, None, Verdict::NeedsPerson),
        ] {
            let error = judged(status, header, "", true).expect("an error");
            assert_eq!(error.verdict, verdict, "{status} {header:?}");
            assert_eq!(error.verdict == Verdict::NeedsPerson, !error.remedy.is_empty(), "{status}");
        }
        let error = judged(404, kind("ResourceNotFoundException:http://x/"), "", false).expect("an error");
        assert_eq!(error.code, "ResourceNotFoundException");
    }
}
