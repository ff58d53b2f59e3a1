//! One call from its arrival to its end: what is known about it, and its record in the audit trail.
//!
//! A call that is cut off in the middle (its client went away, its operation panicked) leaves its record as well.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use crate::audit::{Kind, NotKept, Record, Trail, Until, Wait, plain};
use crate::caller::Caller;
use crate::error::ApiError;
use crate::op::Op;
use crate::sigv4::{Verified, claimed_key};
use crate::state::ApiState;

/// How much of a User-Agent is kept.
const LONGEST_USER_AGENT: usize = 200;
/// An ARN with the longest name is shorter.
const LONGEST_SECRET: usize = 700;
/// A key's id, a principal and a role are shorter.
const LONGEST_ABOUT: usize = 160;
/// How much of a claimed access key id is kept.
const LONGEST_KEY: usize = 128;
/// The outcome of a call that was never answered; whether it changed something, only the store knows.
const CUT_OFF: &str = "cut-off";

/// What is known about a call so far.
pub(crate) struct Call<'a> {
    state: &'a ApiState,
    parts: &'a Parts,
    began: Duration,
    id: [u8; uuid::fmt::Hyphenated::LENGTH],
    pub(crate) op: Option<Op>,
    /// The secret's id as it was given.
    pub(crate) secret: Option<String>,
    pub(crate) caller: Option<Verified>,
    pub(crate) notes: Notes,
    is_recorded: bool,
}

/// What an operation tells about itself while it runs; every `Cx` leads to it.
#[derive(Default)]
pub(crate) struct Notes {
    changes: AtomicBool,
    may_be_held: AtomicBool,
    arn: OnceLock<String>,
    about: Mutex<Option<String>>,
    also: Mutex<Vec<Also>>,
}

/// A further record of the same call: one of the secrets of a batch.
pub(crate) struct Also {
    /// The operation it counts as.
    pub(crate) operation: &'static str,
    /// The secret's ARN, or the id as it was given.
    pub(crate) secret: String,
    /// `ok` or an error's code.
    pub(crate) outcome: &'static str,
}

impl Notes {
    /// From here on the call may change something, so its record is to be on disk before it is answered.
    pub(crate) fn may_change(&self) {
        self.changes.store(true, Ordering::Relaxed);
    }

    /// Its record may be held in memory while the trail cannot be written, and it is answered all the same.
    pub(crate) fn may_be_held(&self) {
        self.may_be_held.store(true, Ordering::Relaxed);
    }

    /// Keeps the ARN that a reply begins with, as every reply about one secret does.
    pub(crate) fn answered(&self, reply: &[u8]) {
        let arn = reply.strip_prefix(br#"{"ARN":""#).and_then(|rest| rest.split(|byte| *byte == b'"').next());
        if let Some(arn) = arn.and_then(|arn| std::str::from_utf8(arn).ok()) {
            // A call is answered once.
            let _first = self.arn.set(arn.to_owned());
        }
    }

    /// What it is about where that is no secret; what is said last counts.
    pub(crate) fn about(&self, what: impl Into<String>) {
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.into());
    }

    /// Adds a record beside the call's own.
    pub(crate) fn also(&self, record: Also) {
        self.also.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

impl<'a> Call<'a> {
    pub(crate) fn begin(state: &'a ApiState, parts: &'a Parts) -> Self {
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        uuid::Builder::from_random_bytes(rand::random()).into_uuid().hyphenated().encode_lower(&mut id);
        Self {
            state,
            parts,
            began: state.clock.since_boot(),
            id,
            op: None,
            secret: None,
            caller: None,
            notes: Notes::default(),
            is_recorded: false,
        }
    }

    /// The x-amzn-RequestId.
    pub(crate) fn id(&self) -> &str {
        // Safe because a UUID is spelled in ASCII.
        std::str::from_utf8(&self.id).expect("a UUID is text")
    }

    /// The operation's name, for logs and metrics.
    pub(crate) fn operation(&self) -> &'static str {
        self.op.map_or("unknown", Op::name)
    }

    /// How long it has taken until now.
    pub(crate) fn took(&self) -> Duration {
        self.state.clock.since_boot().saturating_sub(self.began)
    }

    /// Puts the call into the trail. Returns when it may be answered: a read at once, a change when its record is on disk.
    pub(crate) async fn record(&mut self, outcome: &Result<Vec<u8>, ApiError>) -> Result<(), NotKept> {
        let (code, status) = match outcome {
            Ok(_) => ("ok", 200),
            Err(error) => (error.code, error.status.as_u16()),
        };
        let Some(wait) = self.put(code, Some(status)) else { return Ok(()) };
        if !self.notes.may_be_held.load(Ordering::Relaxed) {
            return wait.await;
        }
        if self.state.trail.as_ref().is_some_and(|trail| trail.is_up()) {
            // What cannot be written now is written first when it can be.
            let _held = wait.await;
        }
        Ok(())
    }

    fn put(&mut self, outcome: &'static str, status: Option<u16>) -> Option<Wait> {
        self.is_recorded = true;
        let trail = self.state.trail.as_deref()?;
        let own = self.as_record(outcome, status);
        self.put_others(trail, &own);
        let changes = self.notes.changes.load(Ordering::Relaxed);
        trail.take(&own, if changes { Until::Synced } else { Until::Queued })
    }

    fn put_others(&self, trail: &dyn Trail, own: &Record<'_>) {
        for also in self.notes.also.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let secret = Some(plain(also.secret.as_bytes(), LONGEST_SECRET));
            let (operation, outcome) = (Some(also.operation), Some(also.outcome));
            let record = Record { operation, secret, outcome, ..own.clone() };
            // The call's own record comes behind it, and is what the answer waits for.
            let _kept = trail.take(&record, Until::Queued);
        }
    }

    fn as_record(&self, outcome: &'static str, status: Option<u16>) -> Record<'_> {
        let headers = &self.parts.headers;
        // What a signer says beside its signature may name another's key: once it is known who calls, only that counts.
        let caller = self.caller.as_ref().map(Verified::caller);
        let proven = caller.map(Caller::access_key_id);
        let key = proven.or_else(|| claimed_key(self.parts)).map(|key| plain(key.as_bytes(), LONGEST_KEY));
        let secret = self.notes.arn.get().or(self.secret.as_ref());
        let about = self.notes.about.lock().unwrap_or_else(PoisonError::into_inner).take();
        let source = self.parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Record {
            request_id: Some(self.id()),
            principal: self.caller.as_ref().map(Verified::principal),
            proven: key.as_ref().map(|_| proven.is_some()),
            access_key_id: key,
            parent_key_id: caller.and_then(Caller::parent_key_id).map(Cow::from),
            source: source.map(|ConnectInfo(address)| address.ip().to_canonical()),
            user_agent: headers.get(USER_AGENT).map(|agent| plain(agent.as_bytes(), LONGEST_USER_AGENT)),
            operation: Some(self.operation()),
            secret: secret.map(|secret| plain(secret.as_bytes(), LONGEST_SECRET)),
            about: about.map(|about| plain(about.as_bytes(), LONGEST_ABOUT).into_owned().into()),
            outcome: Some(outcome),
            status,
            took_us: Some(u64::try_from(self.took().as_micros()).unwrap_or(u64::MAX)),
            ..Record::new(Kind::Call, self.state.clock.now())
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_recorded {
            // Nobody waits for an answer any more.
            let _unawaited = self.put(CUT_OFF, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use axum::http::Request;
    use engine::Time;
    use engine::port::Clock;
    use engine::schedule::Limits;
    use store::{Identity, Location, Options, Store};

    use super::*;

    struct Still;

    #[async_trait]
    impl Clock for Still {
        fn now(&self) -> Time {
            "2026-03-10T09:37:00Z".parse().expect("an instant")
        }

        fn since_boot(&self) -> Duration {
            Duration::ZERO
        }

        async fn sleep(&self, _length: Duration) {}
    }

    #[derive(Default)]
    struct Memory(Mutex<Vec<serde_json::Value>>);

    impl Trail for Memory {
        fn is_up(&self) -> bool {
            true
        }

        fn take(&self, record: &Record<'_>, _until: Until) -> Option<Wait> {
            let record = serde_json::to_value(record).expect("JSON");
            self.0.lock().expect("not poisoned").push(record);
            None
        }
    }

    async fn state(data: &std::path::Path, trail: Arc<Memory>) -> ApiState {
        let identity = Identity { partition: "aws".into(), region: "us-east-1".into(), account_id: "0".repeat(12) };
        let options =
            Options { identity, lease: Duration::from_secs(15), schedule_limits: Limits::Aws, boot_id: String::new() };
        let keyring = Arc::new(crypto::Keyring::generate().expect("a keyring"));
        let location = Location::Sqlite(data.to_owned());
        ApiState {
            store: Store::open(&location, keyring, Arc::new(Still), options).await.expect("a store"),
            clock: Arc::new(Still),
            wall: Arc::new(Still),
            region: "us-east-1".into(),
            account_id: "0".repeat(12),
            limits: Limits::Aws,
            builtin: Arc::new(|_| false),
            builtins: vec![],
            workbench: None,
            observer: None,
            trail: Some(trail),
        }
    }

    #[tokio::test]
    async fn each_secret_of_a_batch_leaves_a_record_of_the_same_request_before_the_calls_own() {
        let data = tempfile::tempdir().expect("a folder");
        let trail = Arc::new(Memory::default());
        let state = state(data.path(), Arc::clone(&trail)).await;
        let (parts, ()) = Request::post("/").body(()).expect("a request").into_parts();
        let mut call = Call::begin(&state, &parts);
        for (secret, outcome) in [("a", "ok"), ("b", "ResourceNotFoundException")] {
            call.notes.also(Also { operation: "GetSecretValue", secret: secret.to_owned(), outcome });
        }
        call.record(&Ok(vec![])).await.expect("kept");
        drop(call);
        let records = trail.0.lock().expect("not poisoned");
        let told: Vec<_> =
            records.iter().map(|r| (r["operation"].as_str(), r["secret"].as_str(), &r["outcome"])).collect();
        let get = Some("GetSecretValue");
        assert_eq!(told[0], (get, Some("a"), &"ok".into()));
        assert_eq!(told[1], (get, Some("b"), &"ResourceNotFoundException".into()));
        assert_eq!(told[2], (Some("unknown"), None, &"ok".into()));
        assert_eq!(records.len(), 3, "and none when it is dropped");
        assert!(records.iter().all(|record| record["request_id"] == records[0]["request_id"]));
    }
}
