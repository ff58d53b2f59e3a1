//! The audit trail as the API knows it: what a record says, and the port through which it leaves.
//!
//! A record holds names and codes. Never here: a value, an error's text, or where and how the trail is kept.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use engine::Time;
use serde::{Serialize, Serializer};

/// Takes records, in order, and keeps them.
pub trait Trail: Send + Sync {
    /// Whether records can be written just now. While they cannot, a call that would
    /// change something is refused unless it takes a right away or stores nothing.
    fn is_up(&self) -> bool;

    /// Takes a record. What comes back is to be awaited before the call is answered; it may be dropped where nobody
    /// waits, and the record is kept all the same.
    fn take(&self, record: &Record<'_>, until: Until) -> Option<Wait>;
}

/// How long the answer waits for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it has a place in the queue: the record of a read.
    Queued,
    /// Until it is on disk: the record of a change.
    Synced,
}

/// The rest of the way of a record, to be awaited.
pub type Wait = Pin<Box<dyn Future<Output = Result<(), NotKept>> + Send>>;

/// The record could not be written, and is still held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail cannot be written")]
pub struct NotKept;

/// What happened, who did it, to which secret, and how it ended. Members that are None are left out.
#[derive(Debug, Clone, Serialize)]
pub struct Record<'a> {
    /// What kind of event it is.
    pub kind: Kind,
    /// When it ended.
    #[serde(serialize_with = "millis")]
    pub at: Time,
    /// The x-amzn-RequestId of the call, or AWS's name of a rotation's event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// Who: known only when the signature was right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<&'a str>,
    /// The access key that signed, or is said to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<Cow<'a, str>>,
    /// Of a call with temporary credentials: the access key they were made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_key_id: Option<Cow<'a, str>>,
    /// Whether the signature proved that key; there with a key only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<bool>,
    /// The other end of the connection. X-Forwarded-For is what a stranger says, and is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// The operation, or the step of a rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'a str>,
    /// The secret's ARN where it became known, else the id as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Cow<'a, str>>,
    /// What else it is about: of an operation on an access key its id, of one that makes credentials theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Cow<'a, str>>,
    /// The version a rotation's step is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// `ok`, the error's code, or a step's verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a str>,
    /// The code behind a step's verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// Of a trail's own events: how many records were lost, or bytes cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The kinds of events in a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A call of the API.
    Call,
    /// A step of a rotation.
    Step,
    /// The server started.
    Started,
    /// The server stopped in good order.
    Stopped,
    /// The unfinished end of a killed server's trail was cut off.
    Recovered,
    /// Records could not be written.
    Lost,
}

impl Record<'_> {
    /// A record that says no more than what and when.
    #[must_use]
    pub fn new(kind: Kind, at: Time) -> Self {
        Self {
            kind,
            at,
            request_id: None,
            principal: None,
            access_key_id: None,
            parent_key_id: None,
            proven: None,
            source: None,
            user_agent: None,
            operation: None,
            secret: None,
            about: None,
            version: None,
            outcome: None,
            code: None,
            status: None,
            took_us: None,
            count: None,
        }
    }
}

/// A stranger's text as it may stand in a record: at most `longest` bytes of it, in printable ASCII.
#[must_use]
pub fn plain(text: &[u8], longest: usize) -> Cow<'_, str> {
    let text = &text[..text.len().min(longest)];
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && !b"\\\"".contains(byte);
    match std::str::from_utf8(text) {
        Ok(ascii) if text.iter().all(is_plain) => Cow::Borrowed(ascii),
        _ => Cow::Owned(text.escape_ascii().to_string()),
    }
}

/// RFC 3339 in UTC, always with three decimals, so that records sort as texts too.
fn millis<S: Serializer>(at: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_cut_and_cannot_reach_a_terminal() {
        assert_eq!(plain(b"aws-cli/2.1 md/Botocore#1", 200), "aws-cli/2.1 md/Botocore#1");
        assert_eq!(plain(b"a\x1b[2Jb\n\"\xff\\", 200), "a\\x1b[2Jb\\n\\\"\\xff\\\\");
        assert_eq!(plain(&[b'x'; 300], 200).len(), 200);
        assert_eq!(plain("né".as_bytes(), 2), "n\\xc3");
    }

    #[test]
    fn a_record_says_only_what_is_known() {
        let at = "2026-03-10T09:37:00.1Z".parse().expect("an instant");
        let record = Record { count: Some(3), ..Record::new(Kind::Lost, at) };
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(text, r#"{"kind":"lost","at":"2026-03-10T09:37:00.100Z","count":3}"#);
    }
}
