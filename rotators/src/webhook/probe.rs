//! Owns deliveries that are bent on purpose, and what came back of them: what `pawl rotator test` asks a live receiver
//! with a throw-away secret. They pass by the circuit breaker, and count for nothing in it.
//!
//! Never here: what a receiver ought to have answered.

use std::time::Duration;

use chrono::TimeDelta;
use engine::id::VersionId;
use engine::secret::SecretBytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::answer::{self, ErrorKind, Said};
use super::event::{Event, Occasion, VERSION};
use super::signature::signatures;
use super::{LARGEST_ANSWER, Receiver, secrets_of, signed_headers};
use crate::delivery::{self, Exchange, Parcel, Sent};
use crate::desk::{Pass, PassOrder};
use crate::redact::Redactor;

/// What is wrong with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bend {
    /// Nothing: as a rotation delivers it.
    Straight,
    /// Not signed.
    NoSignature,
    /// Signed by a key the receiver does not have.
    WrongKey,
    /// Changed after it was signed.
    TamperedBody,
    /// Rightly signed with a timestamp so many seconds from now; below zero: in the past.
    Timestamp(i64),
    /// A right signature of ten minutes ago under a fresh timestamp.
    ReplayedSignature,
    /// A step that is in no contract.
    UnknownStep,
    /// A version of the contract that does not exist.
    UnknownVersion,
    /// The deadline is so many milliseconds from now; below zero: it is over.
    Deadline(i64),
    /// The connection is dropped when the event has been sent: what a crash of this server looks like.
    CutConnection,
}

/// One delivery of the conformance run. The same one made twice is a duplicate: it has the same id.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// `createSecret`, `setSecret`, `testSecret`, `finishSecret`, `check`, `retire` or `revoke`.
    pub step: &'a str,
    /// The throw-away secret's ARN.
    pub arn: &'a str,
    /// The version that is being made.
    pub token: &'a VersionId,
    /// The candidate, or the number of the credential to be issued; from 1.
    pub number: u32,
    /// From 1; the same event again has the next one.
    pub attempt: u32,
    /// AWSCURRENT's value (sent in managed mode).
    pub current: Option<&'a SecretBytes>,
    /// The value to be set or tested (sent in managed mode).
    pub pending: Option<&'a SecretBytes>,
    /// The value to be retired (sent in managed mode).
    pub retired: Option<&'a SecretBytes>,
    /// The version to be retired (sent in callback mode).
    pub retired_version: Option<&'a VersionId>,
    /// Values that may be live beside (sent in managed mode).
    pub others: &'a [SecretBytes],
    /// On the way back.
    pub restoring: bool,
    /// What is wrong with it.
    pub bend: Bend,
}

impl<'a> Probe<'a> {
    /// A straight event without values.
    #[must_use]
    pub fn new(step: &'a str, arn: &'a str, token: &'a VersionId) -> Self {
        Self {
            step,
            arn,
            token,
            number: 1,
            attempt: 1,
            current: None,
            pending: None,
            retired: None,
            retired_version: None,
            others: &[],
            restoring: false,
            bend: Bend::Straight,
        }
    }
}

/// What came back of a delivery.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What it says.
    pub heard: Heard,
    /// The receiver's own text, redacted; or what is wrong with its answer.
    pub message: String,
    /// The value it issued, where it did.
    pub value: Option<SecretBytes>,
    /// `webhook-id` of the delivery, to be looked for in the receiver's log.
    pub id: String,
    /// How long it took.
    pub took: Duration,
}

/// The kinds of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// `Done`.
    Done,
    /// `InProgress`, and when to ask again.
    InProgress(Option<Duration>),
    /// A structured error.
    Error(ErrorKind),
    /// A whole answer that is none of the contract's.
    Unstructured,
    /// It was sent and no whole answer came. Also of [`Bend::CutConnection`], where none was waited for.
    Lost,
    /// Nothing was sent.
    NotSent,
}

impl Receiver<'_> {
    /// Makes one delivery, and says what came back.
    pub(crate) async fn probe(&self, probe: &Probe<'_>) -> Observed {
        let began = self.shared.desk.now();
        let event = self.probe_event(probe);
        let id = event.id();
        let mut observed = match self.observe(probe, &event, &id).await {
            Ok(observed) => observed,
            Err(message) => nothing(Heard::NotSent, message),
        };
        observed.id = id;
        observed.took = (self.shared.desk.now() - began).to_std().unwrap_or_default();
        observed
    }

    fn probe_event<'p>(&self, probe: &Probe<'p>) -> Event<'p> {
        let managed = self.managed();
        let issues = managed && self.webhook.issues && probe.step == "createSecret";
        let tag = format!("{}-{}", probe.token, probe.number);
        let steps = matches!(probe.step, "setSecret" | "testSecret" | "finishSecret");
        Event {
            step: if probe.bend == Bend::UnknownStep { "danceSecret" } else { probe.step },
            arn: probe.arn,
            token: probe.token.as_str(),
            about: format!("{}{}", probe.number, if probe.restoring { " restoring" } else { "" }),
            attempt: probe.attempt,
            current: probe.current.filter(|_| managed),
            pending: probe.pending.filter(|_| managed),
            others: (managed && steps).then(|| probe.others.iter().collect()),
            other_versions: (!managed && steps).then(Vec::new),
            restoring: probe.restoring,
            tag: issues.then(|| tag.clone()),
            tags: (probe.step == "revoke").then(|| vec![tag]),
            retired: probe.retired.filter(|_| managed),
            retired_version: probe.retired_version.filter(|_| !managed),
            known: [probe.current, probe.pending, probe.retired].into_iter().flatten().collect(),
        }
    }

    /// # Errors
    /// Why nothing could be sent.
    async fn observe(&self, probe: &Probe<'_>, event: &Event<'_>, id: &str) -> Result<Observed, String> {
        let budget = self.registration.settings.timeout();
        let order = PassOrder {
            arn: event.arn,
            token: probe.token,
            valid_for: budget,
            credentials: self.webhook.credentials && !self.managed(),
            check: event.step == "check",
        };
        let pass = self.shared.desk.pass(&order).await.map_err(|error| error.to_string())?;
        let parcel = self.bent(probe, event, id, &pass).map_err(|error| error.to_string())?;
        let issues = event.tag.is_some();
        let sent = Sent::default();
        let post = delivery::post(&self.shared.clients, self.registration, parcel, &sent);
        let exchange = tokio::select! {
            exchange = post => exchange,
            () = cut(&sent, probe.bend) => return Ok(nothing(Heard::Lost, dropped())),
            () = tokio::time::sleep(budget) => Exchange::Lost(delivery::TIMEOUT),
        };
        let answer = match exchange {
            // Too quick for the cut: its answer is not looked at all the same.
            Exchange::Answered(_) if probe.bend == Bend::CutConnection => return Ok(nothing(Heard::Lost, dropped())),
            Exchange::Answered(answer) => answer,
            Exchange::NotSent(not_sent) => return Ok(nothing(Heard::NotSent, not_sent.error.message)),
            Exchange::Lost(loss) => return Ok(nothing(Heard::Lost, format!("the receiver {}", loss.says))),
        };
        let said = answer::read(&answer, issues);
        let (keys, passed) = (self.registration.keys.signing.iter().map(|key| &key.secret), secrets_of(&pass));
        let redactor = Redactor::new(event.secrets().chain(keys).chain(&passed))
            .strict(matches!(probe.step, "createSecret" | "revoke"));
        let (heard, message, value) = match said {
            Ok(Said::Done { value, message }) => {
                let message = Redactor::new(&value).clean(&redactor.clean(&message));
                (Heard::Done, message, value)
            }
            Ok(Said::InProgress { wait, message }) => (Heard::InProgress(wait), redactor.clean(&message), None),
            Ok(Said::Error { kind, message, .. }) => (Heard::Error(kind), redactor.clean(&message), None),
            Err(bad) => (Heard::Unstructured, format!("the receiver {}", bad.0), None),
        };
        Ok(Observed { status: Some(answer.status), heard, message, value, id: String::new(), took: Duration::ZERO })
    }

    /// The request, with what is to be wrong with it.
    fn bent(
        &self,
        probe: &Probe<'_>,
        event: &Event<'_>,
        id: &str,
        pass: &Pass,
    ) -> Result<Parcel, engine::outcome::StepError> {
        let now = self.shared.desk.now();
        let timeout = self.registration.settings.timeout();
        let left = match probe.bend {
            Bend::Deadline(ms) => ms,
            _ => i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
        };
        let at = Occasion {
            mode: self.webhook.mode,
            version: if probe.bend == Bend::UnknownVersion { VERSION + 998 } else { VERSION },
            deadline: now + TimeDelta::milliseconds(left),
            timeout_seconds: match u64::try_from(left) {
                Ok(left @ 1..) => delivery::timeout_seconds(Duration::from_millis(left)),
                _ => 0,
            },
            pass,
        };
        let body = event.body(&at)?;
        let mut timestamp = now.timestamp();
        let mut signed = body.clone();
        match probe.bend {
            Bend::Timestamp(offset) => timestamp += offset,
            Bend::TamperedBody => signed = tampered(&body),
            _ => {}
        }
        let signed_at = if probe.bend == Bend::ReplayedSignature { timestamp - 600 } else { timestamp };
        let wrong = SecretBytes::new(Sha256::digest(id.as_bytes()).to_vec());
        let keys: Vec<&SecretBytes> = match probe.bend {
            Bend::WrongKey => vec![&wrong],
            _ => self.registration.keys.live(now).map(|key| &key.secret).collect(),
        };
        let signature = signatures(keys, id, signed_at, &signed);
        let mut headers = signed_headers(id, timestamp, signature);
        if probe.bend == Bend::NoSignature {
            headers.pop();
        }
        Ok(Parcel { url: self.url()?, headers, body, cap: LARGEST_ANSWER, keep: LARGEST_ANSWER })
    }
}

/// Resolves when the event is on its way and a moment has passed in which it arrives; never for other deliveries.
async fn cut(sent: &Sent, bend: Bend) {
    if bend != Bend::CutConnection {
        return std::future::pending().await;
    }
    while !sent.happened() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}

fn dropped() -> String {
    "the connection was dropped on purpose".to_owned()
}

/// What was signed instead of what is sent: the same event with one attempt more.
fn tampered(body: &Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let Ok(mut event) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    event["Attempt"] = Value::from(event["Attempt"].as_u64().unwrap_or_default() + 1);
    Zeroizing::new(event.to_string().into_bytes())
}

fn nothing(heard: Heard, message: String) -> Observed {
    Observed { status: None, heard, message, value: None, id: String::new(), took: Duration::ZERO }
}
