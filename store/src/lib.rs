//! Remembers. All SQL for Pawl's own database; the one writer of secrets, versions, labels, candidates and
//! rotations.
//!
//! Every call is one transaction. Values are sealed before they are written and unsealed only for the
//! caller. The wall clock is an argument; leases use the clock that counts suspend.
//!
//! Statements are static, with `$1` parameters that SQLite and PostgreSQL both take. Where the dialects differ, the
//! statement says so (`locking`, `on_postgres`): row locks, mostly. Types differ in the migrations, transactions in `tx.rs`,
//! the clock of leases in `lease_clock.rs`.
//!
//! Never here: label rules, schedules, the rotation machine (those are `engine`'s), wire formats, targets.

mod account;
mod admin;
mod cache;
mod candidate;
mod config;
mod cursor;
mod delete;
mod delivery;
mod describe;
mod due;
mod error;
mod event;
mod external;
mod filter;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod generation;
mod grace;
mod hex;
mod history;
mod instant;
mod kept;
mod key;
mod label;
mod lane;
mod lease;
mod lease_clock;
mod list;
mod listen;
mod mark;
mod material;
mod mode;
mod model;
mod open;
mod pass;
mod policy;
mod postgres;
mod preflight;
mod prepare;
mod principal;
mod read;
mod reader;
mod reconcile;
mod recover;
mod registration;
mod replica;
mod resolve;
mod rollback;
mod rotation;
mod scope;
mod sealed;
mod secret;
mod session;
mod setting;
mod sql;
mod sqlite;
mod subject;
mod tag;
mod tx;
mod verify;
mod version;
mod write;

pub use error::{OpenError, StoreError, causes};
pub use mode::VerifyOnly;
pub use model::*;
pub use open::Store;
pub use principal::ADMINISTRATOR;
pub use recover::Recovered;
pub use registration::new_signing_key;
pub use scope::Scope;
pub use session::{LONGEST_SESSION, SHORTEST_SESSION};
pub use tag::MOST_TAGS;
