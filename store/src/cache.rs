//! Hot secrets in memory, sealed as in the database. This process owns the store, so what it committed is what there is.
//!
//! Coherence: a writer *doubts* the secrets it touched before it commits and *settles* them after. A doubted secret is
//! neither served nor inserted; settling removes its entry and moves its generation on, so that a reader who took the
//! old generation before looking into the database cannot insert what it saw. A writer that vanished in the middle
//! leaves its doubt behind, and the next one settles it.
//!
//! Never here: SQL, unsealed values.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crypto::DataKey;
use engine::Time;
use engine::id::{SecretId, VersionId};
use engine::label::Labels;

use crate::sealed::Sealed;

/// How many secrets are kept.
const MOST_SECRETS: usize = 10_000;
/// How many bytes of sealed values are kept.
const MOST_BYTES: usize = 128 << 20;
/// Generations are kept for so many groups of secrets; sharing one only costs a miss.
const GROUPS: usize = 4096;

/// A secret as reads need it: its labelled versions.
#[derive(Debug)]
pub(crate) struct CachedSecret {
    pub(crate) id: SecretId,
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) deleted: bool,
    pub(crate) key: DataKey,
    pub(crate) labels: Labels,
    pub(crate) versions: HashMap<VersionId, CachedVersion>,
}

/// A labelled version with a value.
#[derive(Debug)]
pub(crate) struct CachedVersion {
    pub(crate) sealed: Sealed,
    pub(crate) created: Time,
    /// The day it was last read, in milliseconds.
    pub(crate) accessed_ms: AtomicI64,
}

impl CachedSecret {
    fn bytes(&self) -> usize {
        self.versions.values().map(|version| version.sealed.envelope.len()).sum()
    }
}

/// What a reader must take before it looks into the database, to be allowed to insert what it found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    secret: SecretId,
    generation: u64,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache(RwLock<Kept>);

#[derive(Debug)]
struct Kept {
    /// By name and by full ARN.
    by_key: HashMap<String, Arc<CachedSecret>>,
    by_id: HashMap<SecretId, Arc<CachedSecret>>,
    bytes: usize,
    doubted: HashSet<SecretId>,
    generations: Vec<u64>,
}

impl Default for Cache {
    fn default() -> Self {
        Self(RwLock::new(Kept {
            by_key: HashMap::new(),
            by_id: HashMap::new(),
            bytes: 0,
            doubted: HashSet::new(),
            generations: vec![0; GROUPS],
        }))
    }
}

impl Cache {
    /// A secret by name or full ARN, if it is here and nobody is about to change it.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<CachedSecret>> {
        let kept = self.read();
        let found = kept.by_key.get(key)?;
        (!kept.doubted.contains(&found.id)).then(|| Arc::clone(found))
    }

    /// To be taken before the snapshot is.
    pub(crate) fn ticket(&self, secret: SecretId) -> Ticket {
        let generation = self.read().generations[group(secret)];
        Ticket { secret, generation }
    }

    /// Keeps what a reader found, unless the secret changed or is changing since it took its ticket.
    pub(crate) fn insert(&self, ticket: Ticket, found: &Arc<CachedSecret>) {
        let mut kept = self.write();
        let stale = kept.generations[group(ticket.secret)] != ticket.generation;
        let bytes = found.bytes();
        if stale || kept.doubted.contains(&ticket.secret) || bytes > MOST_BYTES {
            return;
        }
        kept.remove(ticket.secret);
        while kept.by_id.len() >= MOST_SECRETS || kept.bytes + bytes > MOST_BYTES {
            // Any of them: a hot one is back with its next read.
            let Some(victim) = kept.by_id.keys().next().copied() else {
                break;
            };
            kept.remove(victim);
        }
        kept.bytes += bytes;
        kept.by_id.insert(found.id, Arc::clone(found));
        kept.by_key.insert(found.name.clone(), Arc::clone(found));
        kept.by_key.insert(found.arn.clone(), Arc::clone(found));
    }

    /// These are about to be committed: read them from the database until [`Cache::settle`].
    pub(crate) fn doubt(&self, secrets: &[SecretId]) {
        self.write().doubted.extend(secrets);
    }

    /// No commit is under way (the caller is the one writer): forget what was doubted.
    pub(crate) fn settle(&self) {
        if self.read().doubted.is_empty() {
            return;
        }
        let mut kept = self.write();
        for secret in std::mem::take(&mut kept.doubted) {
            kept.generations[group(secret)] += 1;
            kept.remove(secret);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, secret: SecretId) {
        if let Some(old) = self.by_id.remove(&secret) {
            self.bytes -= old.bytes();
            self.by_key.remove(&old.name);
            self.by_key.remove(&old.arn);
        }
    }
}

fn group(secret: SecretId) -> usize {
    usize::try_from(secret.0.unsigned_abs() % GROUPS as u64).unwrap_or(0)
}
