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
mod backup;
mod cache;
mod candidate;
mod check;
mod config;
mod copy;
mod cursor;
mod dead_letter;
mod delete;
mod delivery;
mod describe;
mod due;
mod errand;
mod error;
mod event;
mod event_log;
mod external;
mod filter;
mod fleet;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod generation;
mod grace;
mod hex;
mod history;
mod hold;
mod instant;
mod kept;
mod key;
mod keynode;
mod keyuse;
mod label;
mod lane;
mod late;
mod lease;
mod lease_clock;
mod list;
mod listen;
mod lock;
mod managed;
mod mark;
mod material;
mod mode;
mod model;
mod moved;
mod open;
mod outbox;
mod pass;
mod policy;
mod postgres;
mod preflight;
mod prepare;
mod principal;
mod queue;
mod read;
mod reader;
mod reconcile;
mod recover;
mod registration;
mod replica;
mod resolve;
mod restore;
mod rewrap;
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
mod subscription;
mod tag;
mod target;
mod tx;
mod unreached;
mod verify;
mod version;
mod wait;
mod write;

pub use backup::{BackupError, Contents, backup, backup_of_shared};
pub use copy::{CopiedTable, Copy, copy, serving};
pub use error::{OpenError, StoreError, causes};
pub use keyuse::{KeyUse, KeyringNode, Tended};
pub use managed::MANAGED_ELSEWHERE;
pub use model::*;
pub use open::Store;
pub use principal::ADMINISTRATOR;
pub use recover::Recovered;
pub use registration::new_signing_key;
pub use restore::{Restore, Restored, restore};
pub use scope::Scope;
pub use session::{LONGEST_SESSION, SHORTEST_SESSION};
pub use tag::MOST_TAGS;
