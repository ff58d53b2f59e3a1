//! What operations on registered rotators ask of the server: whether a registration can be called at all, a conformance
//! run, a preflight. The server answers: this crate never reaches out.
//!
//! Never here: how any of it is done.

use async_trait::async_trait;
use engine::Time;
use engine::check::{Preparation, Prepare, Sessions};
use engine::port::Options;
use engine::registration::Registration;
use engine::subscription::Subscription;
use serde::Serialize;
use store::StoreError;

use crate::error::ApiError;
use crate::op::Cx;

/// Reaches out to rotators on behalf of operations.
#[async_trait]
pub trait Workbench: Send + Sync {
    /// Whether this registration can be called: its URL is one the egress policy lets through, its certificates can be
    /// read. Says why not, in a sentence for whoever registers it. Calls nothing.
    ///
    /// # Errors
    /// That sentence.
    async fn accepts(&self, registration: &Registration) -> Result<(), String>;

    /// Whether the receiver of this subscription may be called; says why not. Calls nothing.
    ///
    /// # Errors
    /// That sentence.
    async fn may_notify(&self, _subscription: &Subscription) -> Result<(), String> {
        Ok(())
    }

    /// A conformance run: every case of the contract against the live receiver, with this throw-away secret. Begins one, or
    /// goes on waiting for `run`; returns when it has ended, or after a while with a report that is not finished.
    ///
    /// # Errors
    /// [`Problem`] where it could not be made; a case that fails is in the report.
    async fn test(&self, rotator: &str, secret_id: &str, run: Option<&str>) -> Result<Report, Problem>;

    /// A preflight: can this rotator, or else the secret's own, rotate the secret? Changes nothing.
    ///
    /// # Errors
    /// [`Problem`] where it could not be made; what stands in the way is in the report.
    async fn check(&self, rotator: Option<&str>, secret_id: &str) -> Result<CheckReport, Problem>;

    /// Asks before rotation is enabled, where the rotator takes the step check. A receiver that cannot be reached stands in
    /// nobody's way: the rotation will wait for it.
    ///
    /// # Errors
    /// [`Problem::Refused`] with what a person must put right first.
    async fn may_rotate(&self, rotator: &str, secret_id: &str) -> Result<(), Problem>;

    /// Who is logged in at the target with the credential of the version before AWSCURRENT; None where the target cannot
    /// tell. Changes nothing.
    ///
    /// # Errors
    /// [`Problem::Refused`] with why the target could not be asked.
    async fn sessions(&self, secret_id: &str) -> Result<Option<Vec<Sessions>>, Problem>;

    /// Does AWSCURRENT log in at its target? What was found is in the store when this returns; `by` asks.
    ///
    /// # Errors
    /// [`Problem`] where that could not be asked; a target that cannot be reached is in what was found.
    async fn verify(&self, secret_id: &str, by: &str) -> Result<(), Problem>;

    /// A preflight of the secret's rotation, by its own rotator or another, with the settings as they are stored or others.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`Problem`] where there is nothing to look at; what stands in the way is in the report, and so is, as
    /// [`NOT_CHECKED`], that a target could not be asked.
    async fn preflight(
        &self,
        secret_id: &str,
        rotator: Option<&str>,
        options: Option<Options>,
    ) -> Result<engine::check::Report, Problem>;

    /// Brings an account into the shape that alternating users need, or back, or says how that is done.
    ///
    /// # Errors
    /// [`Problem`] with why not.
    async fn prepare(&self, secret_id: &str, what: Prepare, by: &str) -> Result<Preparation, Problem>;

    /// Until when this rotator is not called because it failed again and again; None: it is called.
    fn paused_until(&self, rotator: &str) -> Option<Time>;

    /// Where receivers are told to call this server; None where it knows no address that they could call.
    fn endpoint(&self) -> Option<&str>;
}

/// The code of a finding that says why the target could not be asked.
pub const NOT_CHECKED: &str = "not-checked";

/// What a conformance run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    /// The run, to be asked for again while it is not finished.
    pub run: String,
    /// It has ended, and these are all cases.
    pub finished: bool,
    /// In the order they were run.
    pub cases: Vec<Case>,
}

/// What a preflight came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckReport {
    /// The rotator that was asked.
    pub rotator: String,
    /// In the order they were looked at.
    pub cases: Vec<Case>,
}

/// One thing that was tried. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Case {
    /// What is to hold, in a few words.
    pub name: String,
    /// It does.
    pub passed: bool,
    /// Why it matters.
    pub why: String,
    /// What was seen, and where it failed what to do; empty where there is nothing to say.
    pub detail: String,
}

/// The server's own.
pub(crate) fn workbench<'a>(cx: &Cx<'a>) -> Result<&'a dyn Workbench, ApiError> {
    cx.state.workbench.as_deref().ok_or_else(|| ApiError::invalid_request("This server calls no registered rotators."))
}

/// Until when a rotator is not called because it failed again and again.
pub(crate) fn paused_until(cx: &Cx<'_>, rotator: &str) -> Option<Time> {
    cx.state.workbench.as_ref()?.paused_until(rotator)
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(why) => Self::invalid_request(why),
            Problem::Failed(fault) => Self::internal(fault),
            Problem::Store(error) => error.into(),
        }
    }
}

/// Why a run or a preflight could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It makes no sense as asked; a sentence that says what to do.
    #[error("{0}")]
    Refused(String),
    /// The server could not do its part; for the log.
    #[error("{0}")]
    Failed(String),
    /// The store says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}
