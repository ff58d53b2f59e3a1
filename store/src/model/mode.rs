//! Whether a store changes targets, or only looks at them. Plain data.

use engine::Time;
use engine::check::LastVerified;

/// Why nothing is changed at any target for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOnly {
    /// What happened to the store, in a sentence.
    pub reason: String,
    /// Since when.
    pub since: Time,
}

/// A secret that does not rotate because AWSCURRENT has not been seen to log in since the store was brought back.
#[derive(Debug, Clone, PartialEq)]
pub struct Unproven {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The registered rotator that serves it, whose targets cannot be looked at from here; empty: a built-in one.
    pub lane: String,
    /// A rotation was open when the store was brought back.
    pub is_open: bool,
    /// What was found since then; no answer: nothing yet.
    pub verified: LastVerified,
}
