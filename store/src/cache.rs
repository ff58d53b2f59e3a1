//! Hot secrets in memory, sealed as in the database. This process owns the store, so what it committed is what there is.
//!
//! Coherence: a writer *doubts* the secrets it touched before it commits and *settles* them after. A doubted secret is
//! neither served nor inserted; settling removes its entry and moves its generation on, so that a reader who took the
//! old generation before looking into the database cannot insert what it saw. Writers take turns: one settles its own
//! doubts and those of turns before it (a writer that vanished in the middle leaves its doubts behind), never those of a
//! later turn, which may be committing already.
//!
//! Never here: SQL, unsealed values.

use std::collections::HashMap;
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

/// A writer's place in the order of writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn(u64);

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache(RwLock<Kept>);

#[derive(Debug)]
struct Kept {
    /// By name and by full ARN.
    by_key: HashMap<String, Arc<CachedSecret>>,
    by_id: HashMap<SecretId, Arc<CachedSecret>>,
    bytes: usize,
    /// The latest turn that doubts each.
    doubted: HashMap<SecretId, Turn>,
    generations: Vec<u64>,
    turns: u64,
    /// Whether these are admin secrets: what one is depends on others, so any commit ends it all.
    admins: HashMap<SecretId, bool>,
    /// How often that ended.
    changes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self(RwLock::new(Kept {
            by_key: HashMap::new(),
            by_id: HashMap::new(),
            bytes: 0,
            doubted: HashMap::new(),
            generations: vec![0; GROUPS],
            turns: 0,
            admins: HashMap::new(),
            changes: 0,
        }))
    }
}

impl Cache {
    /// A secret by name or full ARN, if it is here and nobody is about to change it.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<CachedSecret>> {
        let kept = self.read();
        let found = kept.by_key.get(key)?;
        (!kept.doubted.contains_key(&found.id)).then(|| Arc::clone(found))
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
        if stale || kept.doubted.contains_key(&ticket.secret) || bytes > MOST_BYTES {
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

    /// Whether a secret is an admin secret, if that is known and nobody is about to change anything.
    pub(crate) fn is_admin(&self, secret: SecretId) -> Option<bool> {
        let kept = self.read();
        if kept.doubted.is_empty() { kept.admins.get(&secret).copied() } else { None }
    }

    /// To be taken before the snapshot in which [`Cache::keep_admin`]'s answer is looked up.
    pub(crate) fn admin_ticket(&self) -> u64 {
        self.read().changes
    }

    /// Keeps that answer, unless something changed or is changing since the ticket was taken.
    pub(crate) fn keep_admin(&self, ticket: u64, secret: SecretId, is_admin: bool) {
        let mut kept = self.write();
        if kept.changes == ticket && kept.doubted.is_empty() {
            if kept.admins.len() >= MOST_SECRETS {
                kept.admins.clear();
            }
            kept.admins.insert(secret, is_admin);
        }
    }

    /// A writer's turn begins: taken by whoever has the one write transaction there is.
    pub(crate) fn turn(&self) -> Turn {
        let mut kept = self.write();
        kept.turns += 1;
        Turn(kept.turns)
    }

    /// These are about to be committed: read them from the database until [`Cache::settle`].
    pub(crate) fn doubt(&self, turn: Turn, secrets: &[SecretId]) {
        self.write().doubted.extend(secrets.iter().map(|secret| (*secret, turn)));
    }

    /// The commit of this turn has ended, and so have those before it: forget what they doubted.
    pub(crate) fn settle(&self, turn: Turn) {
        let mut kept = self.write();
        let settled: Vec<SecretId> = kept.doubted.extract_if(|_, doubter| *doubter <= turn).map(|(id, _)| id).collect();
        if !settled.is_empty() {
            kept.admins.clear();
            kept.changes += 1;
        }
        for secret in settled {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: SecretId = SecretId(7);

    fn found() -> Arc<CachedSecret> {
        Arc::new(CachedSecret {
            id: SECRET,
            arn: "arn".to_owned(),
            name: "name".to_owned(),
            deleted: false,
            key: DataKey::generate().expect("random bytes"),
            labels: Labels::default(),
            versions: HashMap::new(),
        })
    }

    #[test]
    fn a_doubted_secret_is_neither_served_nor_inserted_until_it_is_settled() {
        let cache = Cache::default();
        cache.insert(cache.ticket(SECRET), &found());
        assert!(cache.get("name").is_some() && cache.get("arn").is_some());
        let turn = cache.turn();
        cache.doubt(turn, &[SECRET]);
        assert!(cache.get("name").is_none());
        cache.insert(cache.ticket(SECRET), &found());
        assert!(cache.get("name").is_none());
        cache.settle(turn);
        assert!(cache.get("name").is_none(), "what was there is of before the commit");
        cache.insert(cache.ticket(SECRET), &found());
        assert!(cache.get("name").is_some());
    }

    #[test]
    fn what_was_looked_up_before_a_commit_is_not_inserted_after_it() {
        let cache = Cache::default();
        let ticket = cache.ticket(SECRET);
        let turn = cache.turn();
        cache.doubt(turn, &[SECRET]);
        cache.settle(turn);
        cache.insert(ticket, &found());
        assert!(cache.get("name").is_none());
    }

    #[test]
    fn a_writer_that_is_late_to_settle_leaves_the_doubts_of_the_next_one() {
        let cache = Cache::default();
        let first = cache.turn();
        cache.doubt(first, &[SECRET]);
        // The first has committed, but the second begins before the first comes to settle.
        let second = cache.turn();
        cache.doubt(second, &[SECRET]);
        cache.settle(first);
        cache.insert(cache.ticket(SECRET), &found());
        assert!(cache.get("name").is_none(), "the second may be committing");
        cache.settle(second);
        cache.insert(cache.ticket(SECRET), &found());
        assert!(cache.get("name").is_some());
    }

    #[test]
    fn a_writer_that_vanished_is_settled_by_the_next() {
        let cache = Cache::default();
        cache.doubt(cache.turn(), &[SECRET]);
        cache.settle(cache.turn());
        cache.insert(cache.ticket(SECRET), &found());
        assert!(cache.get("name").is_some());
    }

    #[test]
    fn what_is_known_of_admin_secrets_ends_with_every_commit_and_is_not_served_during_one() {
        let cache = Cache::default();
        let other = SecretId(8);
        cache.keep_admin(cache.admin_ticket(), SECRET, true);
        assert_eq!(cache.is_admin(SECRET), Some(true));
        let early = cache.admin_ticket();
        let turn = cache.turn();
        cache.doubt(turn, &[other]);
        assert_eq!(cache.is_admin(SECRET), None);
        cache.keep_admin(early, SECRET, true);
        cache.settle(turn);
        assert_eq!(cache.is_admin(SECRET), None);
        cache.keep_admin(early, SECRET, true);
        assert_eq!(cache.is_admin(SECRET), None, "looked up before the commit");
        cache.keep_admin(cache.admin_ticket(), SECRET, false);
        assert_eq!(cache.is_admin(SECRET), Some(false));
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let cache = Cache::default();
        for n in 0..20_000 {
            let id = SecretId(n);
            let one = CachedSecret { id, name: format!("n{n}"), arn: format!("a{n}"), ..unshared() };
            cache.insert(cache.ticket(id), &Arc::new(one));
        }
        let kept = cache.read();
        assert_eq!((kept.by_id.len(), kept.by_key.len()), (MOST_SECRETS, 2 * MOST_SECRETS));
    }

    fn unshared() -> CachedSecret {
        Arc::into_inner(found()).expect("nobody else has it")
    }
}
