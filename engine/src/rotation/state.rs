//! Where a rotation stands: its step, what it carries, and why it stopped.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::id::VersionId;

/// One outside act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// createSecret: make a value.
    Create,
    /// setSecret: give the candidate to the target.
    Set,
    /// testSecret: log in with the candidate.
    Test,
    /// finishSecret: what the target needs before AWSCURRENT moves.
    Finish,
    /// Giving up: does AWSCURRENT log in?
    Prove,
    /// Giving up: make AWSCURRENT the account's credential again.
    Restore,
    /// After the grace: end the credential that was AWSCURRENT, where the rotator does that.
    Retire,
    /// End credentials that a receiver issued and nobody stored or wants, where the rotator does that.
    Revoke,
}

impl Step {
    /// The name users know it by: AWS's, for the four steps that are AWS's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
            Self::Prove => "prove",
            Self::Restore => "restore",
            Self::Retire => "retire",
            Self::Revoke => "revoke",
        }
    }

    pub(super) fn gives_up(self) -> bool {
        matches!(self, Self::Prove | Self::Restore)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one rotation carries from step to step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The version being made; retries keep it.
    pub token: VersionId,
    /// Who or what started it, as history shows it: `schedule`, or a principal.
    pub started_by: String,
    /// The latest candidate sealed for this token; 0 before the first.
    pub candidate: u32,
    /// How many Sets of that candidate have begun and are not known to have changed nothing: above 0, the target may
    /// hold it.
    pub sets: u32,
    /// How often AWSCURRENT has been put back since the rotation was given up.
    #[serde(default)]
    pub restores: u32,
    /// Failures in a row since the last step that succeeded.
    pub attempt: u32,
    /// How often testSecret has led back to setSecret since it last succeeded.
    #[serde(default)]
    pub returns: u32,
    /// Refused logins spent on the account in this window.
    pub failed_logins: u32,
    /// After how many refused logins the server locks the account, where it told us.
    pub lock_limit: Option<u32>,
    /// Retries go on until here; then the next window.
    pub window_ends: Time,
    /// No rotation: only a test of what is configured, with AWSCURRENT's value.
    #[serde(default)]
    pub trial: bool,
    /// How many Creates have begun and are not known to have done nothing. Each has a number of its own, from 1: the tag
    /// of what a receiver issues.
    #[serde(default)]
    pub issued: u32,
    /// The credentials of the Creates up to this number are ended.
    #[serde(default)]
    pub revoked: u32,
    /// The number of the Create whose value was sealed last.
    #[serde(default)]
    pub stored: u32,
    /// The number of a Create whose credential is never ended: people may use it by now. 0: none.
    #[serde(default)]
    pub kept: u32,
    /// Since when the other end has been at work on the step it stands at, as far as is known.
    #[serde(default)]
    pub working_since: Option<Time>,
    /// The rotation was given up while the other end was at work: that is ended first.
    #[serde(default)]
    pub given_up: bool,
    /// The version whose credential is to be retired when its grace is over.
    #[serde(default)]
    pub retiring: Option<VersionId>,
    /// The token's version has become AWSCURRENT; what is left is to retire `retiring`.
    #[serde(default)]
    pub promoted: bool,
    /// AWSCURRENT is proven, or nothing was ever made; what is left is to revoke what was issued.
    #[serde(default)]
    pub closing: bool,
    /// The version that holds a copy of AWSCURRENT's value while that is being proven.
    #[serde(default)]
    pub copy: Option<VersionId>,
    /// setSecret of this candidate left AWSCURRENT's credential working beside it.
    #[serde(default)]
    pub retains: bool,
    /// When the grace of `retiring` is over.
    #[serde(default)]
    pub retire_at: Option<Time>,
    /// A rollback: the version whose value this rotation carries instead of a new one.
    #[serde(default)]
    pub carries: Option<VersionId>,
    /// No rotation: AWSCURRENT was found not to log in, and is set again.
    #[serde(default)]
    pub reconciles: bool,
}

impl Run {
    /// A rotation that begins.
    #[must_use]
    pub fn new(token: VersionId, started_by: String, window_ends: Time) -> Self {
        Self {
            token,
            started_by,
            candidate: 0,
            sets: 0,
            restores: 0,
            attempt: 0,
            returns: 0,
            failed_logins: 0,
            lock_limit: None,
            window_ends,
            trial: false,
            issued: 0,
            revoked: 0,
            stored: 0,
            kept: 0,
            working_since: None,
            given_up: false,
            retiring: None,
            promoted: false,
            closing: false,
            copy: None,
            retains: false,
            retire_at: None,
            carries: None,
            reconciles: false,
        }
    }

    /// The numbers of the Creates whose credentials may be there and are to be ended.
    pub fn orphans(&self) -> impl Iterator<Item = u32> {
        (self.revoked + 1..=self.issued).filter(|number| *number != self.kept)
    }

    /// Nothing of what people do now can cost a login: the rotation itself is over.
    pub(super) fn is_over(&self) -> bool {
        self.promoted || self.closing
    }
}

/// Why a rotation stopped until a person acts. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// The server's code, or a word of ours.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// The rotation of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Rotation {
    /// None is open, and only one candidate is unresolved: the value the target holds.
    Idle,
    /// Open; nothing outside is under way; `step` is due at `not_before`.
    Waiting {
        /// What is carried along.
        run: Run,
        /// The next step.
        step: Step,
        /// When it is due.
        not_before: Time,
    },
    /// Open; `step` is committed: under way, or cut short by a crash and perhaps effective.
    Acting {
        /// What is carried along.
        run: Run,
        /// The step.
        step: Step,
    },
    /// Open; stopped until a person acts; candidates are kept.
    Parked {
        /// What is carried along.
        run: Run,
        /// The step that stopped.
        step: Step,
        /// Why, and what to do.
        reason: Reason,
    },
}

impl Rotation {
    /// What the open rotation carries; None when idle.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Idle => None,
            Self::Waiting { run, .. } | Self::Acting { run, .. } | Self::Parked { run, .. } => Some(run),
        }
    }

    /// The step it stands at; None when idle.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Idle => None,
            Self::Waiting { step, .. } | Self::Acting { step, .. } | Self::Parked { step, .. } => Some(*step),
        }
    }

    /// Whether a new rotation may be asked for: none is open, or all that is left of one is to retire the credential
    /// before it, which the new one then waits for unless that has failed; or AWSCURRENT is to be set again, which the new one
    /// does instead.
    #[must_use]
    pub fn takes_request(&self) -> bool {
        match self {
            Self::Idle => true,
            Self::Waiting { run, .. } | Self::Parked { run, .. } if run.reconciles => true,
            Self::Waiting { run, step: Step::Retire, .. }
            | Self::Acting { run, step: Step::Retire }
            | Self::Parked { run, step: Step::Retire, .. } => run.promoted,
            _ => false,
        }
    }

    /// One word for people: `idle`, `waiting`, `acting`, `parked`.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting { .. } => "waiting",
            Self::Acting { .. } => "acting",
            Self::Parked { .. } => "parked",
        }
    }
}
