//! SQLite in a data directory that one process owns: the lock file, one connection that writes, a few that read.
//!
//! Never here: the schema's meaning, the keyring.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};

use crate::lock::Locked;
use crate::{OpenError, moved};

pub(crate) const DATABASE: &str = "pawl.db";
pub(crate) const LOCK: &str = "pawl.lock";
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An open store of this kind.
pub(crate) struct Files {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    /// Held as long as the store is; the kernel lets go of it whatever happens to us.
    _lock: File,
}

impl Files {
    /// Takes the lock file, makes the database if there is none, and brings its schema up to date.
    pub(crate) async fn open(directory: &Path) -> Result<Self, OpenError> {
        let lock = prepare(directory)?;
        // Under the lock, so that nobody is in the middle of it.
        Locked::whole(directory).map_err(|_| OpenError::CutShort(directory.to_owned()))?;
        let moved = moved::place_of(directory);
        let moved = moved.map_err(|source| OpenError::Directory { path: directory.join(moved::MOVED_TO), source })?;
        if let Some(to) = moved {
            return Err(OpenError::Moved { directory: directory.to_owned(), to });
        }
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
        Ok(Self { writer, readers, _lock: lock })
    }

    /// Closes every connection, after what is under way on it.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Is there a store in this directory? Unreadable counts as there: better refused later than taken for new.
pub(crate) fn exists(directory: &Path) -> bool {
    directory.join(DATABASE).try_exists().unwrap_or(true)
}

/// Has a process opened it? Says no where that cannot be found out: opening it will tell.
pub(crate) fn is_open(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join(LOCK)) else { return false };
    let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
    matches!(locked, Err(rustix::io::Errno::WOULDBLOCK))
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
