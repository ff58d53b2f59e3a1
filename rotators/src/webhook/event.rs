//! Owns the event of the webhook contract, version 1 (docs/writing-a-rotator.md): its members, and the id under which it
//! is delivered. The same thing asked twice has the same id; another candidate, or the way back, has another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use engine::Time;
use engine::id::VersionId;
use engine::outcome::{StepError, Verdict};
use engine::registration::Mode;
use engine::secret::SecretBytes;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::desk::Pass;

/// The version of the contract.
pub(crate) const VERSION: u32 = 1;

/// What a receiver is asked.
#[derive(Clone, Default)]
pub(crate) struct Event<'a> {
    pub step: &'a str,
    pub arn: &'a str,
    pub token: &'a str,
    /// Tells apart what is asked under the same step and token: the candidate, how often it is put back, the tags.
    pub about: String,
    pub attempt: u32,
    pub current: Option<&'a SecretBytes>,
    pub pending: Option<&'a SecretBytes>,
    /// Some of an empty list is a member; None is none.
    pub others: Option<Vec<&'a SecretBytes>>,
    pub other_versions: Option<Vec<&'a VersionId>>,
    pub restoring: bool,
    pub tag: Option<String>,
    pub tags: Option<Vec<String>>,
    pub retired: Option<&'a SecretBytes>,
    pub retired_version: Option<&'a VersionId>,
    /// Values that the receiver may have read by itself: not in the event.
    pub known: Vec<&'a SecretBytes>,
}

/// What is decided for one delivery of it.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub mode: Mode,
    pub version: u32,
    pub deadline: Time,
    pub timeout_seconds: u64,
    pub pass: &'a Pass,
}

impl Event<'_> {
    /// `webhook-id`: the same for every delivery of the same thing.
    pub(crate) fn id(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.arn, self.token, self.step, &self.about] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash = hex::encode(hash.finalize());
        format!("msg_{}", &hash[..32])
    }

    /// The values in it and around it: what may not be repeated from an answer.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretBytes> {
        let others = self.others.iter().flatten().copied();
        let known = self.known.iter().copied();
        self.current.into_iter().chain(self.pending).chain(self.retired).chain(others).chain(known)
    }

    /// The body of one delivery.
    ///
    /// # Errors
    /// NeedsPerson where the pass is no text.
    pub(crate) fn body(&self, at: &Occasion<'_>) -> Result<Zeroizing<Vec<u8>>, StepError> {
        let callback = at.mode == Mode::Callback;
        let credentials = at.pass.credentials.as_ref().filter(|_| callback);
        let credentials = credentials.map(|credentials| {
            Ok(Credentials {
                access_key_id: &credentials.access_key_id,
                secret_access_key: text(&credentials.secret)?,
                session_token: text(&credentials.session_token)?,
                expiration: rfc3339(credentials.expires),
            })
        });
        let body = Body {
            version: at.version,
            step: self.step,
            secret_id: self.arn,
            client_request_token: self.token,
            rotation_token: text(&at.pass.rotation_token)?,
            attempt: self.attempt,
            deadline: rfc3339(at.deadline),
            timeout_seconds: at.timeout_seconds,
            mode: at.mode.name(),
            current: self.current.map(Value),
            pending: self.pending.map(Value),
            others: self.others.as_ref().map(|others| others.iter().copied().map(Value).collect()),
            restoring: self.restoring.then_some(true),
            other_versions: self.other_versions.as_ref().map(|ids| ids.iter().map(|id| id.as_str()).collect()),
            endpoint: at.pass.endpoint.as_deref().filter(|_| callback),
            region: callback.then_some(at.pass.region.as_str()),
            credentials: credentials.transpose()?,
            tag: self.tag.as_deref(),
            tags: self.tags.as_deref(),
            retired: self.retired.map(Value),
            retired_version: self.retired_version.map(VersionId::as_str),
        };
        // Room for every value with every byte escaped: a vector that grew would leave copies of them behind.
        let room = self.secrets().map(|secret| secret.expose().len() * 6).sum::<usize>() + 16_384;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *bytes, &body).map_err(|_| unwritable())?;
        Ok(bytes)
    }
}

fn rfc3339(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn text(secret: &SecretBytes) -> Result<&str, StepError> {
    secret.expose_str().ok_or_else(unwritable)
}

fn unwritable() -> StepError {
    StepError::new(Verdict::NeedsPerson, "event", "The event cannot be written: part of it is no text.")
        .remedy("This is a fault of Pawl: report it.")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    version: u32,
    step: &'a str,
    secret_id: &'a str,
    client_request_token: &'a str,
    rotation_token: &'a str,
    attempt: u32,
    deadline: String,
    timeout_seconds: u64,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Value<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Value<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<Vec<Value<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restoring: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_versions: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Credentials<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<Value<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_version: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
}

/// A value as GetSecretValue gives it.
struct Value<'a>(&'a SecretBytes);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        enum Form<'a> {
            SecretString(&'a str),
            SecretBinary(&'a str),
        }
        match self.0.expose_str() {
            Some(text) => Form::SecretString(text).serialize(serializer),
            None => Form::SecretBinary(&Zeroizing::new(STANDARD.encode(self.0.expose()))).serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn pass() -> Pass {
        Pass {
            rotation_token: SecretBytes::from("rotation-token"),
            endpoint: Some("https://pawl.example:7171".to_owned()),
            region: "eu-west-1".to_owned(),
            credentials: Some(crate::desk::Credentials {
                access_key_id: "ASIAEXAMPLE".to_owned(),
                secret: SecretBytes::from("its secret"),
                session_token: SecretBytes::from("its token"),
                expires: Time::from_timestamp(1_800_000_010, 0).expect("a time"),
            }),
        }
    }

    fn written(event: &Event<'_>, mode: Mode) -> Json {
        let deadline = Time::from_timestamp_millis(1_800_000_009_250).expect("a time");
        let at = Occasion { mode, version: VERSION, deadline, timeout_seconds: 9, pass: &pass() };
        serde_json::from_slice(&event.body(&at).expect("written")).expect("JSON")
    }

    #[test]
    fn a_managed_event_carries_the_values_and_no_way_back() {
        let (current, pending, other) =
            (SecretBytes::from("old"), SecretBytes::from("n\"ew"), SecretBytes::new(vec![0xff, 0]));
        let event = Event {
            step: "setSecret",
            arn: "arn:x",
            token: "a-token",
            attempt: 2,
            current: Some(&current),
            pending: Some(&pending),
            others: Some(vec![&other]),
            ..Event::default()
        };
        let common = json!({
            "Version": 1, "Step": "setSecret", "SecretId": "arn:x", "ClientRequestToken": "a-token",
            "RotationToken": "rotation-token", "Attempt": 2, "Deadline": "2027-01-15T08:00:09.250Z",
            "TimeoutSeconds": 9, "Mode": "managed",
            "Current": {"SecretString": "old"}, "Pending": {"SecretString": "n\"ew"}, "Others": [{"SecretBinary": "/wA="}],
        });
        assert_eq!(written(&event, Mode::Managed), common);
        let back = written(&Event { restoring: true, ..event }, Mode::Managed);
        assert_eq!(back["Restoring"], json!(true));
    }

    #[test]
    fn a_callback_event_carries_where_to_call_back_and_no_value() {
        let other = VersionId::new("x".repeat(32)).expect("a version id");
        let event = Event { step: "testSecret", other_versions: Some(vec![&other]), ..Event::default() };
        let body = written(&event, Mode::Callback);
        assert_eq!(body["Endpoint"], "https://pawl.example:7171");
        assert_eq!(body["Region"], "eu-west-1");
        assert_eq!(body["OtherVersions"], json!([other.as_str()]));
        assert_eq!(
            body["Credentials"],
            json!({"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "its secret", "SessionToken": "its token",
                "Expiration": "2027-01-15T08:00:10.000Z"})
        );
        for absent in ["Current", "Pending", "Others", "Restoring"] {
            assert_eq!(body.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn the_id_hangs_on_what_is_asked_and_not_on_the_attempt() {
        let event = |about: &str, attempt| Event {
            step: "setSecret",
            arn: "arn:x",
            token: "t",
            about: about.to_owned(),
            attempt,
            ..Event::default()
        };
        let id = event("1", 1).id();
        assert!(id.starts_with("msg_") && id.len() == 36, "{id}");
        assert_eq!(id, event("1", 7).id());
        assert_ne!(id, event("2", 1).id());
        assert_ne!(id, Event { step: "testSecret", ..event("1", 1) }.id());
        assert_ne!(
            Event { arn: "ab", token: "c", ..event("1", 1) }.id(),
            Event { arn: "a", token: "bc", ..event("1", 1) }.id()
        );
    }
}
