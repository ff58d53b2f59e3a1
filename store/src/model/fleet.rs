//! What holds for the whole installation: limits, a pause, hosts that are not reached, the clock.

use std::time::Duration;

use engine::Time;
use engine::fleet::FleetLimits;
use engine::schedule::Blackouts;

/// The installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// What every node obeys.
    pub limits: FleetLimits,
    /// Nothing starts until it is resumed.
    pub paused: Option<Paused>,
    /// A node doubts its clock, and starts nothing by schedule.
    pub clock: Option<ClockDoubt>,
    /// How often an operator has accepted a clock.
    pub accepted: i64,
}

/// A pause of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// Since when.
    pub since: Time,
    /// Who paused it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A clock that jumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockDoubt {
    /// Since when, by the clock before it jumped.
    pub since: Time,
    /// What happened to it.
    pub message: String,
}

/// Changes of the limits. What is None stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsChange {
    /// [`FleetLimits::per_target`].
    pub per_target: Option<u32>,
    /// [`FleetLimits::starts_a_minute`].
    pub starts_a_minute: Option<u32>,
    /// [`FleetLimits::failures`].
    pub failures: Option<u32>,
    /// [`FleetLimits::blackouts`], all of them.
    pub blackouts: Option<Blackouts>,
}

/// A host that is left alone because it was not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// `host:port`.
    pub target: String,
    /// Since when its secrets wait.
    pub since: Time,
    /// How often in a row it was not reached.
    pub failures: u64,
    /// What the last failure was.
    pub message: String,
    /// When one of its secrets may try again.
    pub next_probe: Time,
    /// How many secrets of it are due and wait.
    pub waiting: u64,
}

/// What an act came to, as far as its host goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It answered.
    Answered,
    /// It was not reached, or fell silent: why, without secrets.
    Failed(String),
}

/// What became of a host by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// From now on its secrets wait.
    Away {
        /// How often in a row it was not reached.
        failures: i64,
    },
    /// It was left alone and has answered: its secrets go on.
    Back {
        /// Since when it was left alone.
        since: Time,
    },
}

/// When the wall clock was last written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it showed.
    pub at: Time,
    /// Which boot of which machine that was.
    pub boot: String,
    /// How long after that boot.
    pub since_boot: Duration,
}
