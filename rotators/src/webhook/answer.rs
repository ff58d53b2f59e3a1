//! Owns reading a receiver's answer, and its verdict. What is not in the contract is not guessed at: a 200 that says
//! something else may have been sent by anything on the way.

use std::time::Duration;

use engine::outcome::{StepError, Verdict};
use engine::secret::SecretBytes;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::event::VERSION;
use crate::delivery::Answer;
use crate::redact::Redactor;

/// The longest value an issuing receiver may give, in bytes: AWS's bound of a value.
const LONGEST_VALUE: usize = 65_536;

/// What a receiver says of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ErrorKind {
    /// Ask again later; nothing was changed.
    Retryable,
    /// The target refuses this value.
    Rejected,
    /// Only a person can remove the cause.
    NeedsPerson,
}

/// An answer that keeps to the contract.
#[derive(Debug)]
pub(super) enum Said {
    Done { value: Option<SecretBytes>, message: String },
    InProgress { wait: Option<Duration>, message: String },
    Error { kind: ErrorKind, code: String, message: String, wait: Option<Duration> },
}

/// What is wrong with an answer that does not: the end of a sentence that begins with the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad(pub(super) String);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    version: Option<u64>,
    status: Option<Status>,
    message: Option<String>,
    retry_after_seconds: Option<f64>,
    error: Option<RawError>,
    secret_string: Option<Text>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Status {
    Done,
    InProgress,
    Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawError {
    kind: ErrorKind,
    code: Option<String>,
    message: Option<String>,
}

struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Reads an answer. `issues`: the value is asked for.
pub(super) fn read(answer: &Answer, issues: bool) -> Result<Said, Bad> {
    let raw = match parse(&answer.body) {
        Ok(raw) => raw,
        // 202 says by itself all that there is to say.
        Err(_) if answer.status == 202 => {
            return Ok(Said::InProgress { wait: answer.retry_after(), message: String::new() });
        }
        Err(bad) => return Err(bad),
    };
    if raw.version.is_some_and(|version| version != u64::from(VERSION)) {
        return Err(Bad(format!("answers in another version of the contract; this server speaks version {VERSION}")));
    }
    let asked = raw.retry_after_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let wait = asked.or(answer.retry_after());
    let message = raw.message.unwrap_or_default();
    match (raw.status, raw.error, raw.secret_string) {
        (Some(Status::Error), Some(error), None) => Ok(Said::Error {
            kind: error.kind,
            code: error.code.unwrap_or_default(),
            message: error.message.unwrap_or_default(),
            wait,
        }),
        (Some(Status::Error), ..) => Err(Bad("reports an error that the contract does not have".to_owned())),
        (_, Some(_), _) => Err(Bad("reports an error without \"Status\": \"Error\"".to_owned())),
        (Some(Status::InProgress), None, None) if matches!(answer.status, 200 | 202) => {
            Ok(Said::InProgress { wait, message })
        }
        (None, None, None) if answer.status == 202 => Ok(Said::InProgress { wait, message }),
        (Some(Status::Done), None, value) if answer.status == 200 => {
            Ok(Said::Done { value: value_of(value, issues)?, message })
        }
        (Some(_), ..) => Err(Bad(format!("answers {} with a body that does not go with it", answer.status))),
        (None, ..) => Err(Bad("answers without a \"Status\"".to_owned())),
    }
}

/// Whether it says neither what was done nor that nothing was begun: whoever works on the event may be at it still.
pub(super) fn is_doubtful(answer: &Answer, said: &Result<Said, Bad>) -> bool {
    let put_off = answer.status == 503 && answer.retry_after().is_some();
    said.is_err() && !answer.refuses() && !put_off
}

fn parse(body: &[u8]) -> Result<Raw, Bad> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Bad("answers with something that is not a JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        Bad(match error.classify() {
            serde_json::error::Category::Data => "answers with members that the contract does not have".to_owned(),
            _ => "answers with something that is not JSON".to_owned(),
        })
    })
}

/// A value that nobody asked for would be one that the target has and we do not store.
fn value_of(value: Option<Text>, issues: bool) -> Result<Option<SecretBytes>, Bad> {
    match (value, issues) {
        (Some(Text(text)), true) if (1..=LONGEST_VALUE).contains(&text.len()) => {
            Ok(Some(SecretBytes::new(text.as_bytes().to_vec())))
        }
        (Some(_), true) => Err(Bad(format!("gives a SecretString that has not 1 to {LONGEST_VALUE} bytes"))),
        (None, true) => Err(Bad("says Done to createSecret and gives no SecretString".to_owned())),
        (Some(_), false) => Err(Bad("gives a SecretString that it was not asked for".to_owned())),
        (None, false) => Ok(None),
    }
}

/// What an answer is judged by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    /// The receiver, for messages.
    pub who: &'a str,
    /// The event's step.
    pub step: &'a str,
    /// It may have changed something though it did not say so.
    pub changing: bool,
    /// The value cannot be replaced by another, so that a rejected one needs a person.
    pub final_value: bool,
    pub redactor: &'a Redactor,
}

/// What a step that succeeded came to.
#[derive(Debug)]
pub(super) struct Success {
    pub value: Option<SecretBytes>,
    pub note: String,
}

impl Judge<'_> {
    /// The verdict of what was said.
    pub(super) fn judge(&self, answer: &Answer, said: Result<Said, Bad>) -> Result<Success, StepError> {
        let error = match said {
            Ok(Said::Done { value, message }) => return Ok(Success { value, note: self.redactor.clean(&message) }),
            Ok(Said::InProgress { wait, message }) => self.in_progress(wait, &message),
            Ok(Said::Error { kind, code, message, wait }) => self.reported(kind, &code, &message, wait),
            Err(bad) => self.unstructured(answer, &bad),
        };
        Err(error.status(answer.status))
    }

    fn in_progress(&self, wait: Option<Duration>, message: &str) -> StepError {
        let more = self.after_colon(message);
        let error = StepError::new(
            Verdict::InProgress,
            "in-progress",
            format!("The rotator {} is at work on {}{more}.", self.who, self.step),
        );
        later(error, wait)
    }

    fn reported(&self, kind: ErrorKind, code: &str, message: &str, wait: Option<Duration>) -> StepError {
        let code = self.redactor.word(code, "reported");
        let verdict = match kind {
            ErrorKind::Retryable => Verdict::Retry,
            ErrorKind::Rejected if self.final_value => Verdict::NeedsPerson,
            ErrorKind::Rejected => Verdict::Rejected,
            ErrorKind::NeedsPerson => Verdict::NeedsPerson,
        };
        let what = match kind {
            ErrorKind::Retryable => "could not carry out",
            ErrorKind::Rejected => "says that the target refuses the value of",
            ErrorKind::NeedsPerson => "asks for a person in",
        };
        let more = self.after_colon(message);
        let error = StepError::new(
            verdict,
            code.clone(),
            format!("The rotator {} {what} {} ({code}){more}.", self.who, self.step),
        );
        let error = match (kind, verdict) {
            (ErrorKind::Rejected, Verdict::NeedsPerson) => error.remedy(
                "A value that the receiver wrote by itself is not replaced: abandon this rotation (`pawl rotation abandon`) \
                 and start another.",
            ),
            // No rotation is open that could be resumed.
            (_, Verdict::NeedsPerson) if self.step == "check" => error.remedy("Do what the receiver asks for."),
            (_, Verdict::NeedsPerson) => error.remedy("Do what the receiver asks for, then resume."),
            // Where no other value is made, a person is asked.
            (_, Verdict::Rejected) => error.remedy("Put right what the receiver refuses, then resume."),
            _ => error,
        };
        later(error, wait)
    }

    /// No answer of the contract: the status has to do.
    fn unstructured(&self, answer: &Answer, bad: &Bad) -> StepError {
        let status = answer.status;
        let new = |verdict, code: &str, says: String| {
            StepError::new(verdict, code, format!("The rotator {} {says}", self.who))
        };
        match status {
            300..=399 => new(
                Verdict::NeedsPerson,
                "redirect",
                format!("answers {status}: redirects are not followed, because they lead where nobody allowed it."),
            )
            .remedy("Register the URL that the redirect leads to, if that is where events belong."),
            401 | 403 => new(Verdict::NeedsPerson, "forbidden", format!("answers {status}: it does not take our signature."))
                .remedy("See that the receiver has the rotator's signing key (`pawl rotator rotate-key NAME` makes a new one) and the right time."),
            400 | 404 | 405 | 410 | 413 | 415 | 422 => {
                new(Verdict::NeedsPerson, "refused", format!("answers {status}: it does not take this event."))
                    .remedy("See that the URL is the receiver's, and that the receiver speaks version 1 of the contract (`pawl rotator test NAME`).")
            }
            429 => later(new(Verdict::Retry, "throttled", "answers 429: it is asked too often.".to_owned()), answer.retry_after()),
            503 if answer.retry_after().is_some() => later(
                new(Verdict::Retry, "unavailable", "answers 503 and says when to ask again.".to_owned()),
                answer.retry_after(),
            ),
            500.. => self.doubtful(new(self.doubt(), "failed", format!("answers {status} without saying what happened."))),
            _ => self.doubtful(new(self.doubt(), "bad-answer", format!("{}.", bad.0))),
        }
    }

    fn doubt(&self) -> Verdict {
        if self.changing { Verdict::Unknown } else { Verdict::Retry }
    }

    fn doubtful(&self, error: StepError) -> StepError {
        error.remedy(
            "See what the receiver logged for this delivery; `pawl rotator test NAME` says how it has to answer.",
        )
    }

    fn after_colon(&self, message: &str) -> String {
        let clean = self.redactor.clean(message);
        match clean.trim_end_matches('.') {
            "" => String::new(),
            clean => format!(": {clean}"),
        }
    }
}

fn later(error: StepError, wait: Option<Duration>) -> StepError {
    match wait {
        Some(wait) => error.retry_after(wait),
        None => error,
    }
}

#[cfg(test)]
mod tests;
