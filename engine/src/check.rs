//! What a look at a target found, before or between rotations: a preflight's report, whether AWSCURRENT logs in, who is
//! logged in. Plain data without secrets. Never here: who looks, how.

mod last;

use serde::{Deserialize, Serialize};

pub use self::last::{Failure, LastVerified, MOST_RECONCILED};
use crate::strategy::Strategy;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Rotation works; somebody should know this.
    Warning,
    /// Rotation would fail, or would prove nothing.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// A short word that stays the same over versions, for programs: `privilege`, `standby`, `trust`.
    pub code: String,
    /// What was found, in one sentence.
    pub message: String,
    /// The statement to run, or what else to do; empty where nothing is to be done. What can be pasted stands alone.
    pub remedy: String,
}

impl Finding {
    /// A finding with nothing to do about it.
    pub fn new(level: Level, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level, code: code.into(), message: message.into(), remedy: String::new() }
    }

    /// The same with what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// A server that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// As its makers call it: `PostgreSQL`.
    pub title: String,
    /// Its version, in its own words.
    pub version: String,
    /// It takes no writes: a standby or replica, or set read-only.
    pub standby: bool,
    /// The protocol of the encrypted connection (`TLSv1.3`); None: in clear.
    pub tls: Option<String>,
}

/// What a preflight found. Nothing was changed by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The servers it reached.
    pub servers: Vec<Server>,
    /// How rotations will be made; None where that cannot be said.
    pub strategy: Option<Strategy>,
    /// Why so.
    pub why: String,
    /// What was looked at, in the order in which it was.
    pub findings: Vec<Finding>,
    /// The statements that a rotation runs, in order, values masked.
    pub statements: Vec<String>,
}

impl Report {
    /// Nothing stands in the way of rotating.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Problem)
    }
}

/// Whether AWSCURRENT logs in, and who else does where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Verified {
    /// AWSCURRENT logs in on every host of the secret.
    CurrentLogsIn,
    /// AWSCURRENT is refused, and this known value logs in: a restored backup, or a rotation half done.
    AnotherLogsIn {
        /// What it is called: `AWSPREVIOUS`, `AWSPENDING`, `candidate n of VERSION`.
        role: String,
    },
    /// No value that is known logs in: a rival has set another password.
    NoneLogsIn,
}

/// Sessions that are open with a credential, where the target can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// The account they belong to.
    pub user: String,
    /// From where, and as what, as the target shows it: an address, an application's name.
    pub from: String,
    /// How many.
    pub count: u64,
}

/// What brings a single account into the shape that alternating users need, or back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The statements, in order, one transaction each group, values masked.
    pub statements: Vec<Statements>,
    /// What somebody should know before they run.
    pub findings: Vec<Finding>,
    /// The account is in that shape already (or was never brought into it).
    pub already: bool,
    /// They were run, all of them.
    pub applied: bool,
}

/// Statements of one transaction in one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statements {
    /// Where they run; empty: any database of the server.
    pub database: String,
    /// The statements, values masked.
    pub statements: Vec<String>,
}

/// What is asked of [`crate::port::Rotator::prepare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepare {
    /// Say what would be done.
    Show,
    /// Do it.
    Apply,
    /// Say what would bring it back to one account.
    ShowUndo,
    /// Bring it back.
    Undo,
}
