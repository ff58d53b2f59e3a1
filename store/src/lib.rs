//! Remembers. All SQL for Pawl's own database; the one writer of secrets, versions, labels, candidates and
//! rotations.
//!
//! Every call is one transaction. Values are sealed before they are written and unsealed only for the
//! caller. The wall clock is an argument; leases use the clock that counts suspend.
//!
//! Never here: label rules, schedules, the rotation machine (those are `engine`'s), wire formats, targets.

mod error;
mod model;
mod pending;

pub use error::{OpenError, StoreError};
pub use model::*;
pub use pending::Store;
