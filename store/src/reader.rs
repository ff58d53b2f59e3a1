//! Table `reader`: who last read which version of a secret, and for how long they say they keep it.
//!
//! A read is noted in memory, and written down when its reader goes on to another version, or once a minute. Of what is in
//! memory and what is written down (by other nodes too), the later read counts. Never here: who may read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Time;
use engine::id::{SecretId, VersionId};

use crate::instant::{instant_opt, ms};
use crate::model::{Named, Reader};
use crate::open::Inner;
use crate::tx::{Conn, Durability, Writing, snapshot};
use crate::version::version_id;
use crate::{Store, StoreError, label, principal, resolve, sql};

/// A reader that stays with its version is written down once in so many milliseconds.
const EVERY_MS: i64 = 60_000;
/// One that goes to and fro between versions, too.
const LEAST_MS: i64 = 1000;
/// Secrets are spread over so many locks.
const SHARDS: usize = 64;
/// Secrets in memory for each lock.
const MOST_SECRETS: usize = 1024;

/// What is in memory of reads.
pub(crate) struct Reads([Mutex<Shard>; SHARDS]);

type Shard = HashMap<SecretId, HashMap<String, Seen>>;

/// A principal's last read of a secret.
#[derive(Debug, Clone)]
struct Seen {
    version: VersionId,
    read_ms: i64,
    /// As it is written down, or is being written.
    written_ms: i64,
}

impl Default for Reads {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Reads {
    /// Notes a read, and says whether it is to be written down. Allocates only for a reader it does not know.
    fn note(&self, secret: SecretId, by: &str, version: &VersionId, now_ms: i64) -> bool {
        let mut shard = self.shard(secret);
        if let Some(seen) = shard.get_mut(&secret).and_then(|readers| readers.get_mut(by)) {
            let moved = seen.version != *version;
            if moved {
                seen.version.clone_from(version);
            }
            seen.read_ms = now_ms;
            // A clock that was set back must not keep everybody from being written down.
            let age = now_ms.abs_diff(seen.written_ms);
            let due = age >= EVERY_MS.unsigned_abs() || moved && age >= LEAST_MS.unsigned_abs();
            if due {
                seen.written_ms = now_ms;
            }
            return due;
        }
        if shard.len() >= MOST_SECRETS && !shard.contains_key(&secret) {
            // What is written down comes back from there.
            shard.retain(|_, readers| readers.values().any(|seen| seen.read_ms != seen.written_ms));
        }
        let seen = Seen { version: version.clone(), read_ms: now_ms, written_ms: now_ms };
        shard.entry(secret).or_default().insert(by.to_owned(), seen);
        true
    }

    /// The last reads of a secret that are in memory.
    fn of(&self, secret: SecretId) -> HashMap<String, Seen> {
        self.shard(secret).get(&secret).cloned().unwrap_or_default()
    }

    /// What is not written down yet, and is so from now on.
    fn unwritten(&self) -> Vec<(SecretId, String, Seen)> {
        let mut found = Vec::new();
        for shard in &self.0 {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let all = shard.iter_mut().flat_map(|(id, readers)| readers.iter_mut().map(|(by, seen)| (*id, by, seen)));
            for (id, by, seen) in all.filter(|(_, _, seen)| seen.read_ms != seen.written_ms) {
                seen.written_ms = seen.read_ms;
                found.push((id, by.clone(), seen.clone()));
            }
        }
        found
    }

    fn shard(&self, secret: SecretId) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(secret.0.unsigned_abs() % SHARDS as u64).unwrap_or(0);
        self.0[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Everybody who has read the secret, or has declared for how long they keep what they read, by name.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn readers(&self, id: &str) -> Result<Vec<Reader>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        let labels = label::load(&mut tx, row.id).await?;
        let mut readers = all(&mut tx, &self.0, row.id).await?;
        for reader in &mut readers {
            reader.stages = reader.version_id.as_ref().map(|version| labels.of(version)).unwrap_or_default();
        }
        Ok(readers)
    }

    /// A principal says for how long it keeps what it reads of this secret; zero: it reads every time.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::PrincipalNotFound`], or the
    /// database fails.
    pub async fn declare_reader(&self, id: &str, principal: &str, cache: Duration) -> Result<Named, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let row = resolve::find(w.conn(), id).await?;
        row.live()?;
        if principal::get(w.conn(), principal).await?.is_none() {
            return Err(StoreError::PrincipalNotFound(principal.to_owned()));
        }
        let seconds = i64::try_from(cache.as_secs()).unwrap_or(i64::MAX);
        sql::query(DECLARE).bind(row.id.0).bind(principal).bind(seconds).execute(w.conn()).await?;
        w.commit().await?;
        Ok(Named { arn: row.arn, name: row.name })
    }

    /// A value was given to this principal. That is a convenience: failing to write it down does not fail the read.
    pub(crate) async fn note_read(&self, secret: SecretId, by: &str, version: &VersionId, now: Time) {
        let now_ms = ms(now);
        if !self.0.reads.note(secret, by, version, now_ms) {
            return;
        }
        let seen = Seen { version: version.clone(), read_ms: now_ms, written_ms: now_ms };
        if let Err(error) = write(&self.0, &[(secret, by.to_owned(), seen)]).await {
            tracing::warn!(secret.id = secret.0, %error, "who read a secret could not be written down");
        }
    }
}

/// Writes down what is in memory alone.
pub(crate) async fn flush(inner: &Inner) {
    let unwritten = inner.reads.unwritten();
    if unwritten.is_empty() {
        return;
    }
    if let Err(error) = write(inner, &unwritten).await {
        tracing::warn!(%error, "who read which secrets could not be written down");
    }
}

/// The principals whose last read of the secret was of this version, by name.
pub(crate) async fn lagging(
    conn: &mut Conn,
    inner: &Inner,
    secret: SecretId,
    version: &VersionId,
) -> Result<Vec<String>, StoreError> {
    let readers = all(conn, inner, secret).await?.into_iter();
    Ok(readers.filter(|reader| reader.version_id.as_ref() == Some(version)).map(|reader| reader.principal).collect())
}

#[derive(sqlx::FromRow)]
struct Raw {
    principal: String,
    version_id: Option<String>,
    read_ms: Option<i64>,
    cache_seconds: Option<i64>,
}

/// What is written down, and over it what is in memory.
async fn all(conn: &mut Conn, inner: &Inner, secret: SecretId) -> Result<Vec<Reader>, StoreError> {
    let mut seen = inner.reads.of(secret);
    let raws: Vec<Raw> = sql::query_as(ALL).bind(secret.0).fetch_all(conn).await?;
    let mut readers = Vec::with_capacity(raws.len());
    for raw in raws {
        let latest = seen.remove(&raw.principal);
        let cache = raw.cache_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let (version, read_ms) = match latest.filter(|seen| raw.read_ms.is_none_or(|written| written <= seen.read_ms)) {
            Some(seen) => (Some(seen.version), Some(seen.read_ms)),
            None => (raw.version_id.map(version_id).transpose()?, raw.read_ms),
        };
        readers.push(Reader {
            principal: raw.principal,
            version_id: version,
            stages: vec![],
            read: instant_opt(read_ms)?,
            cache: cache.map(Duration::from_secs),
        });
    }
    for (principal, seen) in seen {
        let (version_id, read) = (Some(seen.version), instant_opt(Some(seen.read_ms))?);
        readers.push(Reader { principal, version_id, stages: vec![], read, cache: None });
    }
    readers.sort_by(|one, other| one.principal.cmp(&other.principal));
    Ok(readers)
}

async fn write(inner: &Inner, reads: &[(SecretId, String, Seen)]) -> Result<(), StoreError> {
    // What a power failure takes back is known again with the next read.
    let mut w = Writing::begin_as(inner, Durability::Ordered).await?;
    // In one order, or two nodes could wait for each other.
    let mut reads: Vec<_> = reads.iter().collect();
    reads.sort_by(|(one, by, _), (other, also_by, _)| (one.0, by).cmp(&(other.0, also_by)));
    for (secret, by, seen) in reads {
        let query = sql::query(READ).bind(secret.0).bind(by).bind(seen.version.as_str());
        query.bind(seen.read_ms).execute(w.conn()).await?;
    }
    w.commit().await
}

const ALL: &str = "-- reader::all
SELECT principal, version_id, read_ms, cache_seconds FROM reader WHERE secret_id = $1 ORDER BY principal";

// The secret may have gone since it was read.
const READ: &str = "-- reader::write
INSERT INTO reader (secret_id, principal, version_id, read_ms)
SELECT id, $2, $3, $4 FROM secret WHERE id = $1 AND gone = 0
ON CONFLICT (secret_id, principal) DO UPDATE SET version_id = excluded.version_id, read_ms = excluded.read_ms
WHERE reader.read_ms IS NULL OR reader.read_ms <= excluded.read_ms";

const DECLARE: &str = "-- reader::declare_reader
INSERT INTO reader (secret_id, principal, cache_seconds) VALUES ($1, $2, $3)
ON CONFLICT (secret_id, principal) DO UPDATE SET cache_seconds = excluded.cache_seconds";

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: SecretId = SecretId(7);

    fn version(letter: &str) -> VersionId {
        VersionId::new(letter.repeat(32)).expect("32 characters")
    }

    #[test]
    fn a_read_is_written_down_when_its_version_changes_and_once_a_minute() {
        let reads = Reads::default();
        let note = |letter: &str, at: i64| reads.note(SECRET, "web", &version(letter), at);
        assert!(note("a", 0), "a reader that was not known");
        assert!(!note("a", 100) && !note("a", EVERY_MS - 1));
        assert!(note("a", EVERY_MS));
        assert!(note("b", EVERY_MS + LEAST_MS), "it goes on to another version");
        assert!(!note("a", EVERY_MS + LEAST_MS + 1), "and to and fro, which costs no write each");
        assert_eq!(reads.of(SECRET)["web"].version, version("a"));
        assert!(note("a", 0), "a clock that was set back");
    }

    #[test]
    fn what_is_not_written_down_is_given_out_once() {
        let reads = Reads::default();
        reads.note(SECRET, "web", &version("a"), 0);
        assert!(reads.unwritten().is_empty());
        reads.note(SECRET, "web", &version("b"), 1);
        let unwritten = reads.unwritten();
        assert_eq!((unwritten.len(), &unwritten[0].2.version), (1, &version("b")));
        assert!(reads.unwritten().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_loses_nothing_that_is_not_written_down() {
        let reads = Reads::default();
        let id = |n: usize| SecretId(i64::try_from(n * SHARDS).expect("small"));
        reads.note(id(0), "web", &version("a"), 0);
        reads.note(id(0), "web", &version("b"), 1);
        for n in 1..=MOST_SECRETS {
            reads.note(id(n), "web", &version("a"), 0);
        }
        assert!(reads.shard(id(0)).len() < MOST_SECRETS);
        assert_eq!(reads.unwritten().len(), 1, "of the one secret with a read of its own");
    }
}
