//! Limits of a whole installation: how many rotations at one host, how many starts a minute, when a host is left alone, and
//! when nothing starts. Every node obeys the same, so they are kept in the store.
//!
//! Never here: who is counted, and how (`store`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outcome::StepError;
use crate::schedule::Blackouts;

/// Rotations at one host at once, of all nodes together, where nothing else is said.
pub const PER_TARGET: u32 = 4;
/// Rotations that schedules start in a minute, where nothing else is said.
pub const STARTS_A_MINUTE: u32 = 600;
/// A host that could not be reached so often in a row is left alone, where nothing else is said.
pub const FAILURES: u32 = 5;
/// The first probe of a host that is left alone comes so soon.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// No two probes are further apart: a host that is back is to be noticed.
pub const LONGEST_PROBE: Duration = Duration::from_secs(60);

/// The limits of an installation. What is 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetLimits {
    /// Rotations, and looks, at one host (`host:port`) at once.
    pub per_target: u32,
    /// Rotations that schedules start in a minute. What is open already is resumed at once.
    pub starts_a_minute: u32,
    /// After so many connections in a row that failed, a host's secrets wait, and one of them tries now and then.
    pub failures: u32,
    /// Nothing starts by schedule inside.
    pub blackouts: Blackouts,
}

impl Default for FleetLimits {
    fn default() -> Self {
        Self {
            per_target: PER_TARGET,
            starts_a_minute: STARTS_A_MINUTE,
            failures: FAILURES,
            blackouts: Blackouts::default(),
        }
    }
}

/// How long after the probe of this number, counted from 0, the next one comes.
#[must_use]
pub fn probe_after(probes: u32) -> Duration {
    FIRST_PROBE.saturating_mul(1 << probes.min(10)).min(LONGEST_PROBE)
}

/// The host itself could not be reached, or stopped answering: whatever secret it was, the others would fare alike.
#[must_use]
pub fn is_unreachable(error: &StepError) -> bool {
    let codes = ["refused", "timeout", "unreachable", "network", "no-answer", "connection-lost", "deadline"];
    codes.contains(&error.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;

    #[test]
    fn probes_come_ever_more_seldom_and_once_a_minute_at_least() {
        let waits: Vec<u64> = (0..6).map(|n| probe_after(n).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(probe_after(u32::MAX), LONGEST_PROBE);
    }

    #[test]
    fn a_refused_login_says_nothing_against_its_host() {
        let of = |code: &str| is_unreachable(&StepError::new(Verdict::Retry, code, "x"));
        assert!(of("refused") && of("no-answer") && of("deadline"));
        assert!(!of("28P01") && !of("lease") && !of("55P03") && !of("panic"));
    }

    #[test]
    fn limits_that_were_never_set_are_the_defaults() {
        assert_eq!(serde_json::from_str::<FleetLimits>("{}").expect("limits"), FleetLimits::default());
        let kept = serde_json::to_string(&FleetLimits { per_target: 0, ..FleetLimits::default() }).expect("JSON");
        assert_eq!(serde_json::from_str::<FleetLimits>(&kept).expect("limits").per_target, 0);
    }
}
