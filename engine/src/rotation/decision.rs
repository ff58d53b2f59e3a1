//! What follows from an event: the next state, what commits with it, one act; or that it does not apply.

use crate::Time;
use crate::id::VersionId;
use crate::rotation::state::{Rotation, Step};
use crate::secret::SecretBytes;

/// A change the store commits together with the next state.
#[derive(Debug, Clone)]
pub enum Write {
    /// Register the token as a version without a value, labelled AWSPENDING.
    Placeholder,
    /// Register this version, which holds a copy of AWSCURRENT's value, labelled AWSPENDING.
    Copy(VersionId),
    /// Take AWSPENDING off that version, and the version away unless somebody has labelled it meanwhile.
    DropCopy(VersionId),
    /// Seal this value as candidate `candidate` of the token; the version shows it from now on.
    Seal {
        /// Its number, from 1.
        candidate: u32,
        /// The value.
        value: SecretBytes,
    },
    /// AWSCURRENT's value is on the target, or about to be sent there: keep it as a candidate of its own
    /// version, so that no later write or label move can take it out of our hands.
    SealCurrent,
    /// Move AWSCURRENT to the token, take AWSPENDING off; of the secret's candidates only the token's latest stays
    /// unresolved, for it is what the target holds.
    Promote,
    /// AWSCURRENT was proven: of the secret's candidates only its value stays unresolved.
    Resolve,
    /// Take AWSPENDING off the token (and the version itself away if it never had a value).
    DropPending,
    /// Take the version away if it never had a value; labels of others stay.
    DropPlaceholder,
    /// A line of history.
    Note {
        /// Short word: `requested`, `succeeded`, `parked`, `abandoned`, …
        kind: &'static str,
        /// A sentence without secrets.
        message: String,
    },
}

/// What follows from an event.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The next state.
    pub next: Rotation,
    /// What commits with it.
    pub writes: Vec<Write>,
    /// The one act to make after the commit.
    pub act: Option<Step>,
}

/// An event that the state does not take. Nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rotation is open; a new token would forget its candidate.
    #[error("a previous rotation isn't complete")]
    Open,
    /// There is no open rotation to do this to.
    #[error("no rotation is open")]
    NoneOpen,
    /// The step is not due yet.
    #[error("the rotation waits until {0}")]
    NotDue(Time),
    /// Only a person may go on.
    #[error("the rotation is parked")]
    Parked,
    /// The report is about a step the machine has left (a user's change came first).
    #[error("the report came after the rotation had moved on")]
    Stale,
    /// Only a rotation that was given up can be vouched for.
    #[error("the rotation has not been given up")]
    NotGivenUp,
    /// The rotation is at a step that takes no value from outside.
    #[error("the rotation does not ask for a value now")]
    NotAsked,
    /// The version has its value already.
    #[error("the version has a value already")]
    AlreadyFilled,
    /// The rotation is under way by itself and needs nobody to resume it.
    #[error("the rotation is not parked")]
    NotParked,
    /// No credential waits for the end of its grace.
    #[error("no credential waits to be retired")]
    NoGrace,
    /// There is no AWSCURRENT to set again.
    #[error("the secret has no AWSCURRENT value")]
    NoCurrent,
}
