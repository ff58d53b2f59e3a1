//! Waiting for what commits: who waits holds no connection, and looks again when something has happened.
//!
//! Another node's commits wake nobody here by themselves: whoever waits looks again after a while, too. Never here: the
//! clock of that while (the caller's).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::id::VersionId;
use engine::label;
use tokio::sync::Notify;

use crate::{Store, StoreError};

impl Store {
    /// Everybody who waits for this is woken after a commit that an event tells of, and when events got their offsets.
    #[must_use]
    pub fn happened(&self) -> Arc<Notify> {
        Arc::clone(&self.0.happened)
    }

    /// Wakes everybody who waits for events: another node made some.
    pub fn wake_waiters(&self) {
        self.0.happened.notify_waiters();
    }

    /// Nobody is to wait any more: the server ends.
    pub fn end_waits(&self) {
        self.0.ending.store(true, Ordering::SeqCst);
        self.0.happened.notify_waiters();
    }

    /// Whether [`Store::end_waits`] was called.
    #[must_use]
    pub fn waits_end(&self) -> bool {
        self.0.ending.load(Ordering::SeqCst)
    }

    /// The version that a read of AWSCURRENT gives from now on, or a later one; None: there is none. As a rule from
    /// memory, so it may be asked after every change.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`]; or the database fails.
    pub async fn current_version(&self, id: &str) -> Result<Option<VersionId>, StoreError> {
        // The very way a read goes, so that nobody is told of what could not be read yet.
        let secret = self.cached(id).await?;
        if secret.deleted {
            return Err(StoreError::MarkedForDeletion);
        }
        let current = secret.labels.holder(label::CURRENT);
        Ok(current.filter(|version| secret.versions.contains_key(*version)).cloned())
    }
}
