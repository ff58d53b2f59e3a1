//! The last look at the lease before work at a target that belongs to no rotation. Never here: what that work is.

use std::time::Duration;

use async_trait::async_trait;

use crate::outcome::{StepError, Verdict};
use crate::port::{Guard, Lease, RotationStore};
use crate::rotation::Rotation;

/// Passes while the lease holds and no rotation is open.
pub struct IdleGuard<'a> {
    /// Where leases are.
    pub store: &'a dyn RotationStore,
    /// Whose it is.
    pub lease: &'a Lease,
}

#[async_trait]
impl Guard for IdleGuard<'_> {
    async fn still_ours(&self, needed: Duration) -> Result<(), StepError> {
        let lost = |why: String| StepError::new(Verdict::Retry, "lease", why);
        let (state, left) = self.store.look(self.lease).await.map_err(|error| lost(error.to_string()))?;
        if state != Rotation::Idle {
            return Err(lost("a rotation has been opened meanwhile".to_owned()));
        }
        if left < needed {
            return Err(lost("too little is left of the lease to change the target safely".to_owned()));
        }
        Ok(())
    }
}

/// Passes never: for a look at the target that changes nothing.
pub struct LookOnly;

#[async_trait]
impl Guard for LookOnly {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        Err(StepError::new(
            Verdict::NeedsPerson,
            "look-only",
            "this was to be a look at the target, which changes nothing",
        ))
    }
}
