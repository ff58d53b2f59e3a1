//! Schedules (to be written).
use crate::Time;
/// A rotation window: `opens <= t < closes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First instant.
    pub opens: Time,
    /// First instant after it.
    pub closes: Time,
}
