//! Opening a store: directory, lock file, connections, migrations, and the proof that the keyring is its own.
//!
//! Never here: making a keyring. A store that has data and is given the wrong one is refused, whatever is in the file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crypto::Keyring;
use engine::port::Clock;
use rustix::fs::FlockOperation;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::cursor::Cursors;
use crate::kept::Kept;
use crate::lock::Locked;
use crate::model::{Identity, Location, Options};
use crate::reader::{self, Reads};
use crate::tx::Writing;
use crate::{OpenError, StoreError, check, key, mark, registration};

pub(crate) const DATABASE: &str = "pawl.db";
pub(crate) const LOCK: &str = "pawl.lock";
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) cache: Cache,
    pub(crate) access_keys: Kept<key::Keys>,
    pub(crate) rotators: Kept<registration::All>,
    pub(crate) reads: Reads,
    pub(crate) cursors: Cursors,
    pub(crate) changed: Arc<Notify>,
    /// Everybody who waits for events is woken by it.
    pub(crate) happened: Arc<Notify>,
    /// Nobody is to wait any more: the server ends.
    pub(crate) ending: AtomicBool,
    /// Since boot, when this store was opened.
    pub(crate) opened: Duration,
    /// Held as long as the store is; the kernel lets go of it whatever happens to us.
    _lock: File,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Store {
    /// Is there a store at this location already? Whoever starts one must not make a second keyring for it.
    #[must_use]
    pub fn exists(location: &Location) -> bool {
        let Location::Sqlite(directory) = location;
        // Unreadable counts as there: better refused later than taken for new.
        directory.join(DATABASE).try_exists().unwrap_or(true)
    }

    /// Has a process opened the store at this location? Says no where that cannot be found out: opening it will tell.
    #[must_use]
    pub fn is_open(location: &Location) -> bool {
        let Location::Sqlite(directory) = location;
        let Ok(lock) = File::open(directory.join(LOCK)) else { return false };
        let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        matches!(locked, Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// Opens the store, making it if there is none: takes the lock file, brings the schema up to date, and checks that
    /// the keyring is its own.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed but the schema.
    pub async fn open(
        location: &Location,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let Location::Sqlite(directory) = location;
        let lock = prepare(directory)?;
        // Under the lock, so that nobody is in the middle of it.
        Locked::whole(directory).map_err(|_| OpenError::CutShort(directory.to_owned()))?;
        let connect = SqliteConnectOptions::new()
            .filename(directory.join(DATABASE))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = pool(1).connect_with(connect.clone()).await?;
        let mut migrations = sqlx::migrate!("migrations/sqlite");
        // Forward only, and a newer schema serves the previous binary: what it does not know it ignores.
        migrations.set_ignore_missing(true).run(&writer).await?;
        let readers = pool(READERS).connect_with(connect.read_only(true)).await?;
        let inner = Inner {
            writer,
            readers,
            cursors: Cursors::new(Arc::clone(&keyring)).map_err(StoreError::from)?,
            keyring,
            opened: clock.since_boot(),
            clock,
            options,
            cache: Cache::default(),
            access_keys: Kept::default(),
            rotators: Kept::default(),
            reads: Reads::default(),
            changed: Arc::new(Notify::new()),
            happened: Arc::new(Notify::new()),
            ending: AtomicBool::new(false),
            _lock: lock,
        };
        check::keyring(&inner).await?;
        mark::look_at_all(&inner).await?;
        key::all(&inner).await?;
        Ok(Self(Arc::new(inner)))
    }

    /// Can it write? Begins and gives up a write transaction.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Database`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let w = Writing::begin(&self.0).await?;
        w.rollback().await
    }

    /// Closes every connection, after what is under way on it. The lock file is let go when the last clone is dropped.
    pub async fn close(&self) {
        reader::flush(&self.0).await;
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    /// Notified after every commit that may make something due sooner. Serves one waiter, the scheduler: a
    /// notification without a waiter is kept for the next one.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.0.changed)
    }

    /// What new ARNs are made of.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.options.identity
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // Connections stay: a new one would have to set itself up again, and there is nobody to give them back to.
    let options = SqlitePoolOptions::new().max_connections(connections).min_connections(connections);
    let options = options.idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    // After a full disk SQLite has ended the transaction by itself, and the driver never gets over that: it goes on counting
    // one that is open, and refuses every next one on this connection.
    options.acquire_timeout(BUSY_TIMEOUT * 2).before_acquire(|conn, _| {
        let usable = !conn.is_in_transaction();
        Box::pin(async move { Ok(usable) })
    })
}

/// Directory, lock and an empty database file, none of them readable by others.
fn prepare(directory: &Path) -> Result<File, OpenError> {
    let cannot = |path: &Path| {
        let path = path.to_owned();
        |source| OpenError::Directory { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot(directory))?;
    let lock_path = directory.join(LOCK);
    let lock = private_file(&lock_path).map_err(cannot(&lock_path))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::InUse(directory.to_owned())),
        Err(error) => return Err(cannot(&lock_path)(error.into())),
    }
    let database: PathBuf = directory.join(DATABASE);
    // Made before SQLite does: its own files take their mode from this one.
    private_file(&database).map_err(cannot(&database))?;
    File::open(directory).and_then(|handle| handle.sync_all()).map_err(cannot(directory))?;
    Ok(lock)
}

pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
