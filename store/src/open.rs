//! Opening a store: its database, and the proof that the keyring is its own.
//!
//! Never here: making a keyring. A store that has data and is given the wrong one is refused, whatever is in the file.

use std::sync::Arc;
use std::time::Duration;

use crypto::{Binding, Keyring, Kind, SealError};
use engine::Time;
use engine::id::VersionId;
use engine::port::Clock;
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::cursor::Cursors;
use crate::instant::ms;
use crate::kept::Kept;
use crate::model::{Identity, Location, Options};
use crate::postgres::Server;
use crate::reader::{self, Reads};
use crate::sqlite::Files;
use crate::tx::{Conn, Writing};
use crate::{OpenError, StoreError, key, mark, postgres, registration, secret, sql, sqlite};

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
    /// Since boot, when this store was opened.
    pub(crate) opened: Duration,
}

/// The database behind a store.
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
        };
        check_keyring(&inner).await?;
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

/// A new store gets a check row sealed by its keyring; an old one must have its row opened by it. Of several nodes that
/// make it at once one is first, and the others are held to its row.
async fn check_keyring(inner: &Inner) -> Result<(), OpenError> {
    let mut w = Writing::begin(inner).await?;
    let row: Option<(String, Vec<u8>)> = sql::query_as(CHECK).fetch_optional(w.conn()).await?;
    if let Some(row) = row {
        w.rollback().await?;
        return opens(inner, &row);
    }
    if secret::any(w.conn()).await? {
        return Err(StoreError::inconsistent("there are secrets and no check row").into());
    }
    write_check(w.conn(), &inner.keyring, inner.clock.now()).await?;
    let row: (String, Vec<u8>) = sql::query_as(CHECK).fetch_one(w.conn()).await?;
    w.commit().await?;
    opens(inner, &row)
}

fn opens(inner: &Inner, (store_id, sealed): &(String, Vec<u8>)) -> Result<(), OpenError> {
    match inner.keyring.open(&check_of(store_id), sealed) {
        Ok(_) => Ok(()),
        Err(SealError::UnknownKey(_) | SealError::Forged | SealError::Format) if inner.is_shared() => {
            Err(OpenError::ForeignStore)
        }
        Err(SealError::UnknownKey(_) | SealError::Forged | SealError::Format) => Err(OpenError::WrongKeyring),
        Err(error) => Err(StoreError::from(error).into()),
    }
}

async fn write_check(conn: &mut Conn, keyring: &Keyring, now: Time) -> Result<(), StoreError> {
    let store_id = VersionId::random(&mut rand::rng());
    let sealed = keyring.seal(&check_of(store_id.as_str()), b"pawl")?;
    let query = sql::query(WRITE_CHECK).bind(store_id.as_str()).bind(sealed);
    query.bind(ms(now)).execute(conn).await?;
    Ok(())
}

fn check_of(store_id: &str) -> Binding<'_> {
    Binding { kind: Kind::Check, owner: store_id, version: "", candidate: 0 }
}

const CHECK: &str = "-- open::check_keyring
SELECT store_id, sealed FROM store_check WHERE id = 1";

const WRITE_CHECK: &str = "-- open::write_check
INSERT INTO store_check (id, store_id, sealed, created_ms) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING";
