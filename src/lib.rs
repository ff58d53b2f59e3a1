//! Wires: configuration, start-up, the scheduler loop, the HTTP listener, the clock, the command line.
//!
//! The only place that reads the environment, asks the clock or spawns tasks. Decides nothing about
//! rotations: that is `engine`.

#![expect(clippy::disallowed_methods, reason = "the one crate that clippy.toml's walls protect the others from")]

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("fail points are for tests: build a release without the feature `failpoints`");

pub mod audit;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod desk;
pub mod drill;
pub mod events;
#[cfg(feature = "failpoints")]
mod failpoints;
pub mod http;
mod lanes;
pub mod looks;
pub mod metrics;
mod preflight;
pub mod scheduler;
pub mod servers;
pub mod telemetry;
pub mod workbench;
