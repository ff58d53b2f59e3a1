//! What a step at a target came to: the verdict is chosen where the error is understood.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::secret::SecretBytes;

/// What the machine is to do about a step that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing was changed and the cause may pass: try again later.
    Retry,
    /// The target refuses *this value* (a password policy): make a new candidate.
    Rejected,
    /// Only a person can remove the cause: stop, keep everything, say what to do.
    NeedsPerson,
    /// The reply was lost: the change may or may not have happened.
    Unknown,
    /// It is under way at the other end, which asks to be asked again. No failure.
    InProgress,
}

impl Verdict {
    /// The word for it: in history, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Rejected => "rejected",
            Self::NeedsPerson => "needs-person",
            Self::Unknown => "unknown",
            Self::InProgress => "in-progress",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The code of a Retire that found sessions of the old credential ([`crate::port::StepContext::hold`]).
pub const STILL_USED: &str = "still-used";
/// The code of a Retire whose version is still the last one that somebody read.
pub const STILL_READ: &str = "still-read";

/// The code of a Retire that could not see whether there are such sessions.
pub const SESSIONS_UNSEEN: &str = "sessions-unseen";

/// Why a step did not succeed. Holds no secret: `message` and `remedy` are our own sentences,
/// with at most identifiers and the server's code in them, never its free text about values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What the machine is to do.
    pub verdict: Verdict,
    /// The server's own code (SQLSTATE, errno) or a short word of ours; for counting and tables.
    pub code: String,
    /// What happened, in one sentence.
    pub message: String,
    /// What a person can do about it; empty where there is nothing to do but wait.
    pub remedy: String,
    /// Refused logins this step has cost the account.
    pub failed_logins: u32,
    /// After how many refused logins the server locks the account, where it told us.
    pub lock_limit: Option<u32>,
    /// Not to be asked again sooner, where the other end said so.
    pub retry_after: Option<Duration>,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
}

impl StepError {
    /// An error with its verdict, code and sentence.
    pub fn new(verdict: Verdict, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            verdict,
            code: code.into(),
            message: message.into(),
            remedy: String::new(),
            failed_logins: 0,
            lock_limit: None,
            retry_after: None,
            status: None,
        }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same, not to be tried again sooner than `wait` from now.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same, told by an answer with this HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// What is to be retired is still used: an answer InProgress that its own deadline bounds.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.verdict == Verdict::InProgress && [STILL_USED, STILL_READ, SESSIONS_UNSEEN].contains(&self.code.as_str())
    }

    /// The same, having cost the account `n` more refused logins.
    #[must_use]
    pub fn after_refused_logins(mut self, n: u32) -> Self {
        self.failed_logins += n;
        self
    }
}

/// What Prove found out about AWSCURRENT.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proof {
    /// AWSCURRENT logs in, seen under the target's lock, so no statement of ours can still land.
    CurrentLogsIn,
    /// AWSCURRENT is refused, but another known value or the admin logs in: it can be put back.
    CanRestore {
        /// What that value is called, where the target told which one it holds.
        held: Option<String>,
    },
}

/// What a step that succeeded reports beside success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Refused logins this step has cost the account.
    pub failed_logins: u32,
    /// A sentence for the history, without secrets; empty where there is nothing to say.
    pub note: String,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// Of setSecret: the credential that is AWSCURRENT goes on working beside the candidate, and is to be retired later.
    pub retains: bool,
}

/// What createSecret came to.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// The new value, to be sealed before anything else happens. None: the rotator wrote it through the API by itself, as
    /// AWS's rotation functions do.
    pub value: Option<SecretBytes>,
    /// What there is to say beside it.
    pub done: Done,
}

impl From<SecretBytes> for Made {
    fn from(value: SecretBytes) -> Self {
        Self { value: Some(value), done: Done::default() }
    }
}
