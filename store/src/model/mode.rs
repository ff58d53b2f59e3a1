//! Whether a store changes targets, or only looks at them. Plain data.

use engine::Time;

/// Why nothing is changed at any target for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOnly {
    /// What happened to the store, in a sentence.
    pub reason: String,
    /// Since when.
    pub since: Time,
}
