//! Rotates by an AWS rotation function, unchanged, behind the Lambda Invoke API: in AWS, or in its container with the
//! runtime interface emulator. The event has AWS's four members and nothing more; the function reads and writes the
//! secret through our API.
//!
//! Never here: what the function does. It says success or failure, and nothing about why in words of ours.

mod answer;

use engine::id::VersionId;
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::StepContext;
use engine::registration::{Lambda, Registration};
use engine::rotation::Step;
use engine::secret::SecretBytes;
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use crate::call::{Call, Impression, Shared, called};
use crate::delivery::{Answer, Parcel, host_of};
use crate::desk::{LambdaRequest, Pass, PassOrder};
use crate::redact::{self, Redactor, percent};

/// The largest answer that is read, in bytes: a function may return 6 MiB.
const LARGEST_ANSWER: usize = 7 << 20;
/// How much of it is kept: only errors are looked at.
const KEPT: usize = 256 << 10;
/// Where functions are, where nothing else is said.
const REGION: &str = "us-east-1";

/// A function.
#[derive(Clone, Copy)]
pub(crate) struct Function<'a> {
    pub shared: &'a Shared,
    pub registration: &'a Registration,
    pub lambda: &'a Lambda,
}

/// AWS's event.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    step: &'a str,
    secret_id: &'a str,
    client_request_token: &'a str,
    rotation_token: &'a str,
}

impl<'a> Function<'a> {
    /// The function writes the value by itself, through PutSecretValue.
    pub(crate) async fn create(&self, cx: &StepContext<'a>) -> Result<Made, StepError> {
        Ok(Made { value: None, done: self.invoke(cx, "createSecret", &cx.run.token).await? })
    }

    pub(crate) async fn set(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        match cx.step {
            Step::Restore => Err(cannot_put_back()),
            _ => self.invoke(cx, "setSecret", &cx.run.token).await,
        }
    }

    pub(crate) async fn test(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        self.invoke(cx, "testSecret", &cx.run.token).await.map_err(refused)
    }

    pub(crate) async fn finish(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        self.invoke(cx, "finishSecret", &cx.run.token).await
    }

    /// The function's testSecret, on a version that holds a copy of AWSCURRENT's value: a function tests nothing else.
    pub(crate) async fn prove(&self, cx: &StepContext<'a>) -> Result<Proof, StepError> {
        let Some(copy) = &cx.run.copy else {
            return Err(no_copy());
        };
        match self.invoke(cx, "testSecret", copy).await {
            Ok(_) => Ok(Proof::CurrentLogsIn),
            Err(error) if error.code == answer::FUNCTION_ERROR => Err(not_proven(error)),
            Err(error) => Err(error),
        }
    }

    async fn invoke(&self, cx: &StepContext<'a>, step: &str, token: &VersionId) -> Result<Done, StepError> {
        let url = function_url(self.registration, self.lambda)?;
        let who = called(self.registration, &url);
        let call = Call::of_step(self.shared, self.registration, cx);
        let order =
            PassOrder { arn: cx.arn, token: &cx.run.token, valid_for: call.budget, credentials: false, check: false };
        let mut passed: Option<SecretBytes> = None;
        let pack = |pass: &Pass| {
            passed = Some(pass.rotation_token.clone());
            self.pack(url, step, cx.arn, token, pass)
        };
        let weigh = |answer: &Answer| Impression { healthy: false, doubtful: answer::is_doubtful(answer) };
        let answer = call.make(order, pack, weigh).await?;
        let failed = match answer::read(&answer) {
            Ok(()) => return Ok(Done { status: Some(answer.status), ..Done::default() }),
            Err(failed) => failed,
        };
        let values = redact::values(cx.material).chain(&passed);
        let redactor = Redactor::new(values.chain(&self.registration.keys.access_key_secret));
        let error = failed.judged(&who, step, call.changing, &redactor.strict(true)).status(answer.status);
        Err(match answer.retry_after() {
            Some(wait) => error.retry_after(wait),
            None => error,
        })
    }

    fn pack(&self, url: Url, step: &str, arn: &str, token: &VersionId, pass: &Pass) -> Result<Parcel, StepError> {
        let event = Event {
            step,
            secret_id: arn,
            client_request_token: token.as_str(),
            rotation_token: pass.rotation_token.expose_str().unwrap_or_default(),
        };
        let mut body = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *body, &event).map_err(|_| bad_url(&self.registration.name))?;
        let mut headers = vec![("x-amz-invocation-type", "RequestResponse".to_owned())];
        headers.extend(self.signature(&url, &body)?);
        Ok(Parcel { url, headers, body, cap: LARGEST_ANSWER, keep: KEPT })
    }

    fn signature(&self, url: &Url, body: &[u8]) -> Result<Vec<(&'static str, String)>, StepError> {
        let Some(access_key_id) = &self.lambda.access_key_id else {
            return Ok(vec![]);
        };
        let secret =
            self.registration.keys.access_key_secret.as_ref().ok_or_else(|| no_secret(&self.registration.name))?;
        let host = host_of(url);
        let headers =
            [("content-type", "application/json"), ("host", &host), ("x-amz-invocation-type", "RequestResponse")];
        Ok(self.shared.desk.sign(&LambdaRequest {
            path: url.path(),
            headers: &headers,
            body,
            region: self.lambda.region.as_deref().unwrap_or(REGION),
            access_key_id,
            secret,
        }))
    }
}

/// Where the function is invoked.
///
/// # Errors
/// NeedsPerson where the endpoint is no URL.
pub(crate) fn function_url(registration: &Registration, lambda: &Lambda) -> Result<Url, StepError> {
    let base = lambda.endpoint.trim_end_matches('/');
    let text = format!("{base}/2015-03-31/functions/{}/invocations", percent(lambda.function.as_bytes()));
    Url::parse(&text).map_err(|_| bad_url(&registration.name))
}

fn bad_url(name: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "bad-url", format!("The endpoint of the rotator {name} cannot be read."))
        .remedy("Correct it with `pawl rotator update NAME`.")
}

fn no_secret(name: &str) -> StepError {
    let message = format!("The rotator {name} has an access key whose secret half is not there.");
    StepError::new(Verdict::NeedsPerson, "no-access-key", message)
        .remedy("Give the access key and its secret again with `pawl rotator update NAME`.")
}

fn no_copy() -> StepError {
    let message = "There is no copy of AWSCURRENT on which the function's testSecret could be invoked.";
    StepError::new(Verdict::NeedsPerson, "no-copy", message).remedy("Abandon the rotation again: a copy is made then.")
}

/// The function cannot tell a refused login from a fault of its own, and cannot put a value back.
fn not_proven(error: StepError) -> StepError {
    let message = format!("AWSCURRENT could not be proven: {}", error.message);
    let proven = StepError { message, verdict: Verdict::NeedsPerson, ..error };
    proven.remedy(
        "See that AWSCURRENT logs in (put its password back on the account if it does not), then resume; or, when you have \
         seen it log in, `pawl rotation abandon NAME --current-works`.",
    )
}

/// AWS begins anew after any failure, with setSecret after a testSecret that failed. So does the machine, which goes back
/// to setSecret when a candidate is refused: where another tool has changed the password meanwhile, nothing else helps.
fn refused(error: StepError) -> StepError {
    match error.code.as_str() {
        answer::FUNCTION_ERROR => StepError { verdict: Verdict::Rejected, ..error },
        _ => error,
    }
}

fn cannot_put_back() -> StepError {
    let message = "A rotation function cannot put AWSCURRENT back.";
    StepError::new(Verdict::NeedsPerson, "no-restore", message)
        .remedy("Give the account the password of AWSCURRENT by hand, then resume.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{function, registration};

    #[test]
    fn a_function_is_named_in_the_path_however_it_is_spelled() {
        for (endpoint, name, url) in [
            ("http://127.0.0.1:9000", "function", "http://127.0.0.1:9000/2015-03-31/functions/function/invocations"),
            (
                "https://lambda.eu-west-1.amazonaws.com/",
                "arn:aws:lambda:eu-west-1:1:function:f",
                "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af/invocations",
            ),
            ("http://[::1]:1", "a/../b?c", "http://[::1]:1/2015-03-31/functions/a%2F..%2Fb%3Fc/invocations"),
        ] {
            let registration = registration(function(endpoint, name));
            let engine::registration::Kind::Lambda(lambda) = &registration.settings.kind else { panic!("a function") };
            assert_eq!(function_url(&registration, lambda).expect("a URL").as_str(), url);
        }
    }

    #[test]
    fn the_event_has_the_four_members_of_aws_and_nothing_more() {
        let event = Event { step: "s", secret_id: "a", client_request_token: "t", rotation_token: "r" };
        assert_eq!(
            serde_json::to_string(&event).expect("JSON"),
            r#"{"Step":"s","SecretId":"a","ClientRequestToken":"t","RotationToken":"r"}"#
        );
    }

    #[test]
    fn a_test_that_the_function_fails_leads_back_to_set_secret_and_one_that_did_not_run_does_not() {
        for (code, verdict) in [(answer::FUNCTION_ERROR, Verdict::Rejected), ("reset", Verdict::Retry)] {
            assert_eq!(refused(StepError::new(Verdict::Retry, code, "x")).verdict, verdict, "{code}");
        }
    }
}
