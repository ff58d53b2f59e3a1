//! How many rotations are in which state.

/// Counts for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationCounts {
    /// Secrets whose rotation is enabled.
    pub enabled: u64,
    /// Idle, with a planned moment.
    pub scheduled: u64,
    /// Something may be done now.
    pub due: u64,
    /// Idle, and the planned window has closed.
    pub overdue: u64,
    /// Waiting for a person.
    pub parked: u64,
    /// Open in any state, parked included.
    pub open: u64,
    /// AWSCURRENT was found not to log in.
    pub drifted: u64,
    /// Age of the oldest AWSCURRENT of secrets whose rotation is enabled, in seconds; None where there is none.
    pub oldest_current_seconds: Option<u64>,
}
