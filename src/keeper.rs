//! What a store needs beside rotations and looks: secrets that were held are let go, and one key of the keyring seals everything.
//!
//! Never here: what any of that means (`store`), the keyring's file (`crypto`).

use std::sync::Arc;
use std::time::Duration;

use crypto::KeyId;
use engine::port::Clock;
use store::{Store, StoreError, Tended, causes};
use tokio::sync::watch;

/// How often it is asked what is to be done.
const EVERY: Duration = Duration::from_secs(1);
/// How often the keyring's file is looked at.
const KEYS_EVERY: Duration = Duration::from_secs(5);
/// How often a node says that it is there, and looks whether an older key still seals something: another node may have sealed
/// with it after the last look.
const ANEW_EVERY: Duration = Duration::from_secs(60);

/// Keeps a store. One for each node.
pub struct Keeper {
    store: Store,
    clock: Arc<dyn Clock>,
    node: String,
    /// The keys that were said to be at hand, and when.
    announced: Option<(Vec<KeyId>, Duration)>,
    /// Everything was sealed under this key of these, and when.
    settled: Option<(Vec<KeyId>, Duration)>,
    /// What went wrong last: it is told once.
    told: Option<String>,
}

impl Keeper {
    /// A keeper of this store, on the node of this name.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, node: String) -> Self {
        Self { store, clock, node, announced: None, settled: None, told: None }
    }

    /// Says that this node is there, and with which keys: to be awaited before the node does anything.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        if let Some(mode) = self.store.verify_only().await? {
            tracing::warn!(
                since = %mode.since,
                "the store is verify-only: accounts are looked at and nothing is changed ({}); `pawl store status` says more",
                mode.reason
            );
        }
        self.announce().await
    }

    /// Runs until `shutdown` says true.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut keys_at = self.clock.since_boot();
        while !*shutdown.borrow() {
            let kept = self.keep(&mut keys_at).await;
            self.tell(kept);
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = shutdown.changed() => {}
            }
        }
        // Who is not told waits until this node counts as gone.
        let _gone = self.store.forget_node(&self.node).await;
    }

    async fn keep(&mut self, keys_at: &mut Duration) -> Result<(), StoreError> {
        while self.store.settle_holds(self.clock.now()).await? {}
        let now = self.clock.since_boot();
        if now >= *keys_at {
            *keys_at = now + KEYS_EVERY;
            self.tend_keys().await?;
        }
        Ok(())
    }

    /// One that is primary in the file and seals nothing yet is brought in; then everything is sealed again, batch by batch.
    async fn tend_keys(&mut self) -> Result<(), StoreError> {
        let wanted = match self.store.reread_keys() {
            Ok(listed) => listed,
            Err(error) => {
                self.tell_once(format!("the keyring cannot be read again, and stays as it is: {}", causes(&error)));
                None
            }
        };
        let keys = self.store.keys_at_hand();
        let now = self.clock.since_boot();
        let is_new = self.announced.as_ref().is_none_or(|(said, at)| *said != keys || *at + ANEW_EVERY <= now);
        if is_new {
            self.announce().await?;
        }
        let wanted = wanted.or(keys.first().copied());
        let is_settled = |keys: &[KeyId]| {
            self.settled.as_ref().is_some_and(|(settled, at)| settled == keys && now < *at + ANEW_EVERY)
        };
        // With one key there is nothing to bring together.
        let Some(wanted) = wanted.filter(|wanted| keys.len() > 1 && !is_settled(&sorted(&keys, *wanted))) else {
            return Ok(());
        };
        loop {
            match self.store.tend_keys(wanted, self.clock.now()).await? {
                Tended::Idle => break,
                Tended::Behind { key } => {
                    self.tell_once(format!(
                        "the keyring's file has key {wanted} as primary, which key {key} has replaced: copy the file of the node \
                         where the key was rotated, for this one may lack the next key"
                    ));
                    break;
                }
                Tended::Waits { key, nodes } => {
                    self.tell_once(format!(
                        "key {key} seals nothing yet: these nodes do not have it: {}",
                        nodes.join(", ")
                    ));
                    return Ok(());
                }
                Tended::Changed { key } => {
                    tracing::info!("key {key} of the keyring seals from now on");
                    self.announce().await?;
                }
                Tended::Rewrapped(count) => tracing::info!(count, "what an older key sealed was sealed again"),
            }
        }
        self.settled = Some((sorted(&self.store.keys_at_hand(), wanted), now));
        Ok(())
    }

    async fn announce(&mut self) -> Result<(), StoreError> {
        self.store.announce_keys(&self.node, self.clock.now()).await?;
        self.announced = Some((self.store.keys_at_hand(), self.clock.since_boot()));
        Ok(())
    }

    fn tell(&mut self, kept: Result<(), StoreError>) {
        match kept {
            Ok(()) => {}
            Err(error) => {
                self.tell_once(format!("the store cannot be kept in order, trying again: {}", causes(&error)));
            }
        }
    }

    fn tell_once(&mut self, what: String) {
        if self.told.as_ref() != Some(&what) {
            tracing::error!("{what}");
            self.told = Some(what);
        }
    }
}

/// The keys, with the one that is wanted first, whatever order they came in.
fn sorted(keys: &[KeyId], wanted: KeyId) -> Vec<KeyId> {
    let mut sorted: Vec<KeyId> = keys.to_vec();
    sorted.sort_unstable_by_key(|key| (*key != wanted, *key));
    sorted
}
