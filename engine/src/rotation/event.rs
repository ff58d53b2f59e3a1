//! What happens to a rotation, and what comes in with it: time, chance, and facts of the secret.

use crate::Time;
use crate::id::VersionId;
use crate::outcome::{Done, Proof, StepError};
use crate::port::Abilities;
use crate::rotation::state::Step;
use crate::schedule::Window;
use crate::secret::SecretBytes;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A schedule or a command asks for a rotation under this token.
    Requested {
        /// The version to make.
        token: VersionId,
        /// Who or what asks.
        by: String,
        /// Until when it may be retried.
        window_ends: Time,
    },
    /// A person asks for a rotation that carries the value of an earlier version instead of a new one.
    RollbackRequested {
        /// The version to make.
        token: VersionId,
        /// Who asks.
        by: String,
        /// Until when it may be retried.
        window_ends: Time,
        /// The version whose value it carries.
        carries: VersionId,
    },
    /// AWSCURRENT was found not to log in, and is to be set again.
    ReconcileRequested {
        /// Who or what asks.
        by: String,
        /// Until when it may be retried.
        window_ends: Time,
    },
    /// A person ends the grace now: the credential that was AWSCURRENT is retired at once, whoever still uses it.
    GraceEnded {
        /// Who says so.
        by: String,
    },
    /// What is configured is to be tested, and nothing rotated (RotateImmediately=false).
    TrialRequested {
        /// The temporary version.
        token: VersionId,
        /// Who asks.
        by: String,
        /// Shown as the end of retries; a trial has none.
        window_ends: Time,
    },
    /// A driver holds the lease and asks what to do: a start, a retry, or the resumption after a crash.
    Leased,
    /// The act of `step` ended.
    Ended {
        /// Which step.
        step: Step,
        /// How.
        outcome: Outcome,
    },
    /// Someone wrote the value of the open rotation's version over the API (a callback's createSecret).
    Filled(SecretBytes),
    /// Someone changed AWSCURRENT, took AWSPENDING away or cancelled rotation in the middle.
    Interfered {
        /// What they did, for history.
        what: String,
    },
    /// A person asks to go on after Parked.
    Resumed {
        /// Until when it may be retried.
        window_ends: Time,
    },
    /// A person gives the rotation up.
    Abandoned,
    /// Another rotator serves the secret from now on: it did not make what the one before it was to end.
    RotatorChanged,
    /// A person has seen AWSCURRENT log in, which a rotation that was given up waits for.
    Vouched {
        /// Who says so.
        by: String,
    },
}

/// How an act ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Create made this value, and this is what there is to say beside it.
    Created(SecretBytes, Done),
    /// The step succeeded; of Create: the rotator wrote the value by itself ([`Event::Filled`]).
    Done(Done),
    /// Prove has an answer.
    Proved(Proof),
    /// It did not succeed.
    Failed(StepError),
}

/// The time, the chance and the facts that come with an event.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Wall time.
    pub now: Time,
    /// Uniform in 0..1.
    pub jitter: f64,
    /// The next window of the secret's schedule after `now`, where it has one.
    pub next_window: Option<Window>,
    /// What the secret's rotator can do.
    pub abilities: Abilities,
    /// The version that holds AWSCURRENT.
    pub current: Option<VersionId>,
    /// The version that holds AWSPREVIOUS.
    pub previous: Option<VersionId>,
    /// A version id that nobody has used.
    pub fresh: VersionId,
}
