//! One thing of the whole store in memory. A commit of this process that touches it ends what is there, and until it is
//! known to have ended every question goes to the database. Where other nodes write too, a count in the database says whether
//! what is there is old (`generation.rs`).
//!
//! Never here: what it is, and how it is read.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::StoreError;
use crate::cache::Turn;

/// Something in memory, as it was last committed.
pub(crate) struct Kept<T>(RwLock<State<T>>);

struct State<T> {
    value: Option<Arc<T>>,
    /// How often it had changed before it was read.
    stamp: Option<i64>,
    /// The latest writer whose commit may be under way.
    doubted: Option<Turn>,
    /// How often what was kept has ended.
    generation: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(RwLock::new(State { value: None, stamp: None, doubted: None, generation: 0 }))
    }
}

impl<T> Kept<T> {
    /// It is about to change: ask the database until [`Kept::settle`].
    pub(crate) fn doubt(&self, turn: Turn) {
        self.write().doubted = Some(turn);
    }

    /// The commit of this turn has ended, and so have those before it.
    pub(crate) fn settle(&self, turn: Turn) {
        if self.read().doubted.is_some_and(|doubter| doubter <= turn) {
            let mut kept = self.write();
            kept.doubted = kept.doubted.filter(|doubter| *doubter > turn);
            kept.value = None;
            kept.generation += 1;
        }
    }

    /// As it was last committed; `load` reads it where it is not in memory, or was read when it had changed less often.
    pub(crate) async fn get(
        &self,
        stamp: Option<i64>,
        load: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<Arc<T>, StoreError> {
        let generation = {
            let kept = self.read();
            match &kept.value {
                Some(value) if kept.doubted.is_none() && kept.stamp == stamp => return Ok(Arc::clone(value)),
                _ => kept.generation,
            }
        };
        let value = Arc::new(load.await?);
        let mut kept = self.write();
        if kept.doubted.is_none() && kept.generation == generation {
            kept.value = Some(Arc::clone(&value));
            kept.stamp = stamp;
        }
        Ok(value)
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
