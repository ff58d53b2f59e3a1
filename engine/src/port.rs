//! What the shell provides: where rotations are remembered, who changes targets, what time it is.

use std::time::Duration;

use async_trait::async_trait;

use crate::Time;
use crate::check::{Preparation, Prepare, Report, Sessions, Verified};
use crate::id::{SecretId, VersionId};
use crate::outcome::{Done, Made, Proof, StepError, Verdict};
use crate::rotation::{Decision, Event, Refusal, Rotation, Run, Step};
use crate::secret::SecretBytes;
pub use crate::strategy::Options;

/// The right to drive one secret's rotation for a while. Every write presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The secret.
    pub secret: SecretId,
    /// Its ARN.
    pub arn: String,
    /// Grows with every claim of this secret; a write with an older one affects nothing.
    pub fence: i64,
}

/// Why the store did not do what a driver asked.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The lease is not ours any more (expired and claimed, deleted, paused): stop at once.
    #[error("fenced off: the lease on this rotation is gone")]
    Fenced,
    /// The machine does not take this event in this state.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store could not be read or written; nothing was changed.
    #[error("the store failed: {0}")]
    Store(String),
}

/// One value that may log in, and what it is called in messages.
#[derive(Debug, Clone)]
pub struct Known {
    /// `AWSCURRENT`, `AWSPREVIOUS`, `AWSPENDING` or `candidate n of VERSION`.
    pub role: String,
    /// The value: the secret's JSON.
    pub value: SecretBytes,
    /// The version that shows it; None for a candidate that its version no longer shows.
    pub version: Option<VersionId>,
}

/// The values a step works with, unsealed for it alone.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// What the account is to have after Set or Restore, and what Test and Prove ask about: the
    /// candidate going forward, AWSCURRENT when giving up. None only for Create.
    pub wanted: Option<SecretBytes>,
    /// AWSCURRENT's value, which Create derives from. None where the secret has no value.
    pub current: Option<SecretBytes>,
    /// AWSCURRENT's version.
    pub current_version: Option<VersionId>,
    /// AWSPREVIOUS's value, or that of the version that is to be retired when its grace is over; also where it is the one wanted or stands among the known ones as something else: a rollback
    /// carries it. None for the steps that log in nowhere, and for Retire.
    pub previous: Option<SecretBytes>,
    /// Other values that may log in, likeliest first: AWSCURRENT, AWSPREVIOUS, unresolved candidates.
    pub known: Vec<Known>,
    /// The secret named by `masterarn` in AWSCURRENT, where there is one.
    pub admin: Option<SecretBytes>,
    /// Why an admin secret that is named could not be read.
    pub admin_missing: Option<String>,
    /// The admin secret is being rotated itself: its AWSCURRENT may not log in just now.
    pub admin_rotates: bool,
    /// This secret is the admin of another whose rotation is at work with it just now.
    pub admin_in_use: bool,
    /// The value that a rollback carries, instead of one that is made.
    pub carried: Option<SecretBytes>,
    /// Principals whose last read was of the version that is to be retired; only for Retire.
    pub lagging: Vec<String>,
    /// Settings of this secret that rotators look at.
    pub options: Options,
}

/// The remembered side of rotations. One transaction a call; secrets leave it only as [`Material`].
#[async_trait]
pub trait RotationStore: Send + Sync {
    /// The state as committed and what is left of the lease, if it still holds. Extends nothing.
    ///
    /// # Errors
    /// [`PortError::Fenced`] or [`PortError::Store`].
    async fn look(&self, lease: &Lease) -> Result<(Rotation, Duration), PortError>;

    /// Loads the state, runs [`crate::rotation::step`] on it with `event` and commits the writes together with
    /// the next state, all in one transaction that also checks the lease's fence.
    ///
    /// # Errors
    /// [`PortError::Fenced`] when the lease is gone; [`PortError::Refused`] when the machine refuses;
    /// [`PortError::Store`] when nothing could be committed.
    async fn apply(&self, lease: &Lease, event: Event, jitter: f64) -> Result<Decision, PortError>;

    /// The values for the step of an `Acting` state.
    ///
    /// # Errors
    /// As [`RotationStore::look`].
    async fn material(&self, lease: &Lease, rotation: &Rotation) -> Result<Material, PortError>;

    /// Checks that the lease holds and extends it to its full length again, or to `at_least` where that is longer (a
    /// rotation function may take minutes, and nobody else may act meanwhile); returns what is left.
    ///
    /// # Errors
    /// As [`RotationStore::look`].
    async fn renew(&self, lease: &Lease, at_least: Duration) -> Result<Duration, PortError>;

    /// Gives the lease back. A lease that is gone already is no error.
    ///
    /// # Errors
    /// [`PortError::Store`].
    async fn release(&self, lease: &Lease) -> Result<(), PortError>;
}

/// Wall time, a clock that counts suspend, and sleeping.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall time, for schedules and dates.
    fn now(&self) -> Time;

    /// Time since boot, suspend included, for leases and deadlines.
    fn since_boot(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, length: Duration);
}

/// Asked by a rotator immediately before the statement that changes a target.
#[async_trait]
pub trait Guard: Send + Sync {
    /// Returns if the lease still holds and has at least `needed` left.
    ///
    /// # Errors
    /// A [`StepError`] with verdict Retry: nothing was changed, and nothing may be.
    async fn still_ours(&self, needed: Duration) -> Result<(), StepError>;
}

/// What a rotator is given for one step: values only.
pub struct StepContext<'a> {
    /// The secret's ARN: a name for messages.
    pub arn: &'a str,
    /// Which step.
    pub step: Step,
    /// What the rotation carries: the version this is about, its candidate, its tries.
    pub run: &'a Run,
    /// The values.
    pub material: &'a Material,
    /// An earlier Set of this candidate may have reached the target: log in with it first.
    pub attempted: bool,
    /// How many more refused logins this step may cost the account.
    pub login_budget: u32,
    /// How long this step may take, all told; shorter than the lease.
    pub deadline: Duration,
    /// To be asked immediately before the changing statement.
    pub guard: &'a dyn Guard,
    /// A password that nobody knows, for an account that is to be ended: it is kept nowhere.
    pub scramble: &'a SecretBytes,
    /// Retire only what nobody is seen to use: else answer InProgress and say who does.
    pub hold: bool,
}

/// Changes one kind of target. Every method may run twice and looks at the world before it acts;
/// none sees the store or the API.
#[async_trait]
pub trait Rotator: Send + Sync {
    /// The name users give it, such as `postgres`.
    fn name(&self) -> &str;

    /// How long one step may take, where that is more than a lease gives: the lease is made as long before it begins.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// createSecret: the new value, derived from AWSCURRENT and a password the engine generated. A built-in rotator touches
    /// nothing outside; an issuing receiver makes a credential and gives it back; a rotation function writes the value
    /// through the API and gives nothing.
    ///
    /// # Errors
    /// By verdict; NeedsPerson where AWSCURRENT is not a value this rotator understands; Unknown where a credential may have
    /// been issued and its answer was lost.
    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError>;

    /// setSecret (and Restore): makes `material.wanted` the account's credential.
    ///
    /// # Errors
    /// By verdict; Unknown when the change may have happened.
    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError>;

    /// testSecret: logs in with `material.wanted`.
    ///
    /// # Errors
    /// Rejected where the target refuses the login; otherwise by verdict.
    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError>;

    /// finishSecret: anything the target needs before the label moves.
    ///
    /// # Errors
    /// By verdict.
    async fn finish(&self, _cx: &StepContext<'_>) -> Result<Done, StepError> {
        Ok(Done::default())
    }

    /// Does AWSCURRENT (`material.wanted`) log in? Answered under the target's lock, so that no
    /// late statement of an earlier session can make the answer untrue.
    ///
    /// # Errors
    /// By verdict; NeedsPerson when nothing known logs in.
    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError>;

    /// Retire: ends the credential of version `run.retiring`, whose grace is over; `material.wanted` stays. Only asked of
    /// rotators that say so in their [`Abilities`].
    ///
    /// # Errors
    /// By verdict.
    async fn retire(&self, _cx: &StepContext<'_>) -> Result<Done, StepError> {
        Err(no_step("retire"))
    }

    /// Does AWSCURRENT (`material.wanted`) log in, and if not, which of `material.known` does? Changes nothing, and is
    /// asked while no rotation is open.
    ///
    /// # Errors
    /// By verdict, where that could not be found out.
    async fn verify(&self, _cx: &StepContext<'_>) -> Result<Verified, StepError> {
        Err(no_step("verify"))
    }

    /// A preflight: everything that would stand in the way of rotating `material.current`, or that somebody should know.
    /// Changes nothing.
    ///
    /// # Errors
    /// By verdict, where there is nothing to report about: the value cannot be read, the server cannot be reached.
    async fn check(&self, _cx: &StepContext<'_>) -> Result<Report, StepError> {
        Err(no_step("check"))
    }

    /// Who is logged in with the credential of `material.known`'s first value (the version before AWSCURRENT); None where
    /// the target cannot tell it from AWSCURRENT's.
    ///
    /// # Errors
    /// By verdict.
    async fn sessions(&self, _cx: &StepContext<'_>) -> Result<Option<Vec<Sessions>>, StepError> {
        Ok(None)
    }

    /// Brings an account into the shape that alternating users need, or back, or says how that is done.
    ///
    /// # Errors
    /// By verdict; Unknown when it may have been done.
    async fn prepare(&self, _cx: &StepContext<'_>, _what: Prepare) -> Result<Preparation, StepError> {
        Err(no_step("prepare"))
    }

    /// Revoke: ends every credential that was issued under the tags of [`Run::orphans`]: its answer was lost, or it was
    /// rejected or given up. Only asked of rotators that say so in their [`Abilities`].
    ///
    /// # Errors
    /// By verdict.
    async fn revoke(&self, _cx: &StepContext<'_>) -> Result<Done, StepError> {
        Err(no_step("revoke"))
    }
}

/// The machine asks for it only of rotators that say they do it.
fn no_step(step: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-step", format!("this rotator has no step {step}"))
        .remedy("name the rotator that made the credential with `pawl rotation enable`, then resume")
}

/// What a rotator can do, or wants, beside the steps that every rotator has. The machine asks for no more than this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// It reads and writes the secret through the API by itself, as AWS's rotation functions do.
    pub callback: bool,
    /// It can only test a version that carries AWSPENDING: to prove AWSCURRENT, a copy of it gets that label.
    pub proves_by_copy: bool,
    /// It ends credentials that nobody stored (step Revoke).
    pub revokes: bool,
    /// It ends the credential that was AWSCURRENT so many seconds after finishSecret (step Retire).
    pub retires_after: Option<u64>,
    /// That only where setSecret said that it goes on working ([`Done::retains`]).
    pub retires_retained: bool,
}
