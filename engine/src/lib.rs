//! Decides. Labels, versions, schedules, password rules and the rotation state machine.
//!
//! A rotation on one page: a request registers a token and its AWSPENDING placeholder; **Create**
//! makes a value, which is sealed and committed as a *candidate* before anything outside is
//! touched; **Set** gives it to the target; **Test** logs in with it; **Finish** moves AWSCURRENT.
//! A rotation that is given up goes through **Prove** (does AWSCURRENT log in?) and, if it does
//! not, **Restore**. [`rotation::step`] decides, [`driver`] carries out one leased rotation over the
//! ports of [`port`].
//!
//! Never here: a runtime, a database driver, the clock, a source of randomness of its own.

pub mod account;
pub mod check;
pub mod driver;
pub mod id;
pub mod idle;
pub mod label;
pub mod outcome;
pub mod password;
pub mod port;
pub mod registration;
pub mod retry;
pub mod rotation;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod span;
pub mod strategy;
pub mod subscription;

/// An instant. Wall time decides only *whether something is due*; never identity, order or truth.
pub type Time = chrono::DateTime<chrono::Utc>;
