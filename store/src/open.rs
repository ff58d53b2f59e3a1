//! Opening a store: its database, and the proof that the keyring is its own.
//!
//! Never here: making a keyring. A store that has data and is given the wrong one is refused, whatever is in the file.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crypto::Keyring;
use engine::port::Clock;
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::cursor::Cursors;
use crate::kept::Kept;
use crate::model::{Identity, Location, Options};
use crate::postgres::Server;
use crate::reader::{self, Reads};
use crate::sqlite::Files;
pub(crate) use crate::sqlite::{DATABASE, LOCK, private_file};
use crate::tx::Writing;
use crate::{OpenError, StoreError, check, key, mark, postgres, registration, sqlite};

/// What is done at every start, and may meet another node that does the same.
const TRIES: u32 = 5;

/// The store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) database: Database,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) cache: Cache,
    pub(crate) access_keys: Kept<key::Keys>,
    pub(crate) rotators: Kept<registration::All>,
    pub(crate) reads: Reads,
    pub(crate) cursors: Cursors,
    pub(crate) changed: Arc<Notify>,
    /// The other nodes are to be told (`listen.rs`).
    pub(crate) telling: Notify,
    /// Everybody who waits for events is woken by it.
    pub(crate) happened: Arc<Notify>,
    /// Nobody is to wait any more: the server ends.
    pub(crate) ending: AtomicBool,
    /// Since boot, when this store was opened.
    pub(crate) opened: Duration,
}

/// The database behind a store.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub(crate) enum Database {
    Sqlite(Files),
    Postgres(Server),
}

impl Inner {
    /// Do other nodes write to it too? Then nothing that is in memory is what there is.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Store {
    /// Is there a store at this location already? Whoever starts one must not make a second keyring for it.
    ///
    /// # Errors
    /// [`OpenError::Connect`] where the database cannot be asked.
    pub async fn exists(location: &Location) -> Result<bool, OpenError> {
        match location {
            Location::Sqlite(directory) => Ok(sqlite::exists(directory)),
            Location::Postgres(url) => postgres::exists(url).await,
        }
    }

    /// Has a process opened the store at this location? Says no where that cannot be found out: opening it will tell, or
    /// (PostgreSQL) any number of processes may.
    #[must_use]
    pub fn is_open(location: &Location) -> bool {
        match location {
            Location::Sqlite(directory) => sqlite::is_open(directory),
            Location::Postgres(_) => false,
        }
    }

    /// Opens the store, making it if there is none: takes the lock file or connects, brings the schema up to date, and
    /// checks that the keyring is its own.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed but the schema.
    pub async fn open(
        location: &Location,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let database = match location {
            Location::Sqlite(directory) => Database::Sqlite(Files::open(directory).await?),
            Location::Postgres(url) => Database::Postgres(Server::open(url).await?),
        };
        let inner = Inner {
            database,
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
            telling: Notify::new(),
            happened: Arc::new(Notify::new()),
            ending: AtomicBool::new(false),
        };
        check::keyring(&inner).await?;
        look_at_all(&inner).await?;
        key::all(&inner).await?;
        Ok(Self(Arc::new(inner)))
    }

    /// Can it write? Begins and gives up a write transaction.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Away`], [`StoreError::Database`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let w = Writing::begin(&self.0).await?;
        w.rollback().await
    }

    /// Closes every connection, after what is under way on it. A lock file is let go when the last clone is dropped.
    pub async fn close(&self) {
        reader::flush(&self.0).await;
        match &self.0.database {
            Database::Sqlite(files) => files.close().await,
            Database::Postgres(server) => server.close().await,
        }
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

async fn look_at_all(inner: &Inner) -> Result<(), StoreError> {
    let mut tries = 1;
    loop {
        match mark::look_at_all(inner).await {
            Err(error) if error.is_passing() && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}
