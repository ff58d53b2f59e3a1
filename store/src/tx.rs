//! Transactions. SQLite has one writer, begun IMMEDIATE, and a few readers, each a snapshot. PostgreSQL has writers that
//! take turns by the rows they lock first, and readers that are snapshots too ([decision 16] says which lock guards what).
//!
//! A write names the secrets it touches, so that readers stop trusting the cache for them while it commits. Never
//! here: what is read or written.
//!
//! [decision 16]: ../../docs/decisions/0016-one-store-many-nodes.md

use engine::Time;
use engine::id::SecretId;
use engine::label::Labels;

use crate::cache::Turn;
use crate::error::is_lost;
use crate::model::Facts;
use crate::open::{Database, Inner};
use crate::outbox::{Note, Outbox};
use crate::postgres::{Mark, Server};
pub(crate) use crate::sql::Conn;
use crate::sql::{Held, within};
use crate::{Store, StoreError, generation, lease_clock, sql};

/// A write transaction. Dropped without [`Writing::commit`], it changed nothing.
pub(crate) struct Writing<'a> {
    inner: &'a Inner,
    conn: Conn,
    turn: Turn,
    touched: Vec<SecretId>,
    touches_keys: bool,
    touches_rotators: bool,
    wakes: bool,
    outbox: Outbox,
    happens: bool,
}

/// What a power failure may take back. Neither loses a commit when only the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing: on disk when the commit returns.
    Synced,
    /// This commit, unless a synced one has followed; never one before it without it (the log is written in order).
    /// For what a driver does again when it is missing: leases, and steps of which only the repetition is lost.
    ///
    /// On PostgreSQL it is as the other: when its server dies this process lives on, and would go on under a lease of
    /// which nobody knows any more, with a fence that is given out a second time.
    Ordered,
}

impl Durability {
    /// The setting belongs to the connection, so every transaction says its own.
    fn begin(self) -> &'static str {
        match self {
            Self::Synced => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Self::Ordered => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        }
    }
}

impl<'a> Writing<'a> {
    /// A transaction that is durable when its commit returns.
    pub(crate) async fn begin(inner: &'a Inner) -> Result<Self, StoreError> {
        Self::begin_as(inner, Durability::Synced).await
    }

    pub(crate) async fn begin_as(inner: &'a Inner, durability: Durability) -> Result<Self, StoreError> {
        let conn = match &inner.database {
            Database::Sqlite(files) => {
                Conn::Sqlite(Held::begun(Box::pin(files.writer.begin_with(durability.begin())).await?))
            }
            Database::Postgres(server) => {
                let begin = server.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
                Conn::Postgres(Held::begun(had(server, Box::pin(within(begin)).await).await?))
            }
        };
        let turn = inner.cache.turn();
        Ok(Self {
            inner,
            conn,
            turn,
            touched: Vec::new(),
            touches_keys: false,
            touches_rotators: false,
            wakes: false,
            outbox: Outbox::default(),
            happens: false,
        })
    }

    /// The store that is written.
    pub(crate) fn inner(&self) -> &'a Inner {
        self.inner
    }

    pub(crate) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Nobody else works on what belongs to no one secret until this has ended: access keys, principals, and what must be
    /// true of several secrets together. To be taken before any secret is.
    pub(crate) async fn lock_store(&mut self) -> Result<(), StoreError> {
        if self.conn.is_shared() {
            let _locked: Option<i64> = sql::query_scalar(LOCK_STORE).fetch_optional(&mut self.conn).await?;
        }
        Ok(())
    }

    /// The moment that decides what is due: the database's, where nodes share it.
    pub(crate) async fn now(&mut self, own: Time) -> Result<Time, StoreError> {
        lease_clock::now(&mut self.conn, own).await
    }

    /// What is cached of this secret ends with the commit.
    pub(crate) fn touch(&mut self, secret: SecretId) {
        if !self.touched.contains(&secret) {
            self.touched.push(secret);
        }
    }

    /// What is in memory of access keys and principals ends with the commit.
    pub(crate) fn touch_keys(&mut self) {
        self.touches_keys = true;
    }

    /// What is in memory of registered rotators ends with the commit.
    pub(crate) fn touch_rotators(&mut self) {
        self.touches_rotators = true;
    }

    /// The commit may make something due sooner.
    pub(crate) fn wake(&mut self) {
        self.wakes = true;
    }

    /// Who does what is told from here on.
    pub(crate) fn acting(&mut self, by: &str) {
        self.outbox.acting(by);
    }

    /// An event of this secret commits with the rest.
    pub(crate) fn tell(&mut self, secret: SecretId, kind: &'static str, facts: Facts, at: Time) {
        self.outbox.tell(secret, kind, facts, at);
    }

    /// The same of a secret whose row does not outlive the transaction.
    pub(crate) fn tell_of(&mut self, named: (&str, &str), secret: SecretId, kind: &'static str, at: Time) {
        self.outbox.tell_of(named, secret, kind, at);
    }

    /// The moves of labels that others are told of.
    pub(crate) fn tell_labels(&mut self, secret: SecretId, before: &Labels, after: &Labels, at: Time) {
        self.outbox.tell_labels(secret, before, after, at);
    }

    /// What is noted in the history of this secret is told where others want to know of it.
    pub(crate) fn tell_note(&mut self, secret: SecretId, note: &Note<'_>, at: Time) {
        self.outbox.tell_note(secret, note, at);
    }

    /// Whoever waits for events looks again after the commit.
    pub(crate) fn happens(&mut self) {
        self.happens = true;
    }

    /// As durable as it was begun when this returns. From before the commit until it is known to have ended, nobody reads what it
    /// touches from the cache. If the caller goes away in between, the next commit settles that too: writers take
    /// turns, so what was committing before it has ended.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let outbox = std::mem::take(&mut self.outbox);
        let happens = self.happens || !outbox.is_empty();
        outbox.flush(&mut self.conn).await?;
        generation::advance(&mut self.conn, self.touches_keys, self.touches_rotators).await?;
        self.inner.cache.doubt(self.turn, &self.touched);
        if self.touches_keys {
            self.inner.access_keys.doubt(self.turn);
        }
        if self.touches_rotators {
            self.inner.rotators.doubt(self.turn);
        }
        Box::pin(committed(self.inner, self.conn)).await?;
        self.inner.cache.settle(self.turn);
        self.inner.access_keys.settle(self.turn);
        self.inner.rotators.settle(self.turn);
        if self.wakes {
            self.inner.changed.notify_one();
            self.inner.telling.notify_one();
        }
        if happens {
            self.inner.happened.notify_waiters();
            self.inner.telling.notify_one();
        }
        Ok(())
    }

    /// Ends the transaction without changing anything.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.conn.rollback().await?)
    }
}

/// Commits. Where the answer is lost, it is found out what became of it.
async fn committed(inner: &Inner, mut conn: Conn) -> Result<(), StoreError> {
    let Database::Postgres(server) = &inner.database else { return Ok(conn.commit().await?) };
    let mark = mark(server, &mut conn).await?;
    let error = match conn.commit().await {
        Ok(()) => return Ok(()),
        Err(error) if is_lost(&error) => error,
        Err(error) => return Err(error.into()),
    };
    tracing::warn!(%error, "the connection was lost at a commit; asking what became of it");
    let outcome = match &mark {
        Some(mark) => server.outcome(mark).await,
        None => None,
    };
    match outcome {
        Some(true) => Ok(()),
        Some(false) => Err(StoreError::Away(error)),
        None => Err(StoreError::Unknown),
    }
}

/// What the transaction is known by if its connection is lost while it commits. None: it changes nothing, or the server could
/// not say.
async fn mark(server: &Server, conn: &mut Conn) -> Result<Option<Mark>, StoreError> {
    if !server.tells_outcomes() {
        return Ok(None);
    }
    let (xid, on): (Option<String>, String) = sql::query_as(XID).fetch_one(conn).await?;
    Ok(xid.map(|xid| Mark::new(xid, on)))
}

impl Store {
    /// Other processes may serve this store at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// What the clock of the database shows, where it has one of its own: a SQLite store has none.
    ///
    /// # Errors
    /// The database fails.
    pub async fn database_time(&self) -> Result<Option<Time>, StoreError> {
        if !self.0.is_shared() {
            return Ok(None);
        }
        let own = self.0.clock.now();
        Ok(Some(lease_clock::now(&mut glance(&self.0).await?, own).await?))
    }
}

/// What the pool gave, or why it gave nothing.
async fn had<T>(server: &Server, given: Result<T, sqlx::Error>) -> Result<T, StoreError> {
    match given {
        Ok(given) => Ok(given),
        Err(error) => Err(Box::pin(server.explained(error)).await),
    }
}

/// A read transaction: everything read in it is of one moment.
pub(crate) async fn snapshot(inner: &Inner) -> Result<Conn, StoreError> {
    Ok(match &inner.database {
        Database::Sqlite(files) => Conn::Sqlite(Held::begun(files.readers.begin().await?)),
        Database::Postgres(server) => {
            let begin = server.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
            Conn::Postgres(Held::begun(had(server, within(begin).await).await?))
        }
    })
}

/// For one statement that reads: there is no transaction around it.
pub(crate) async fn glance(inner: &Inner) -> Result<Conn, StoreError> {
    Ok(match &inner.database {
        Database::Sqlite(files) => Conn::Sqlite(Held::plain(files.readers.acquire().await?)),
        Database::Postgres(server) => Conn::Postgres(Held::plain(had(server, server.pool.acquire().await).await?)),
    })
}

// The server as it is on this very connection: others in the pool may lead to another one already.
const XID: &str = "-- tx::mark
SELECT pg_current_xact_id_if_assigned()::text,
    (SELECT system_identifier FROM pg_control_system())::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
    || '/' || (SELECT checkpoint_lsn FROM pg_control_checkpoint())::text";

const LOCK_STORE: &str = "-- tx::lock_store
SELECT id FROM store_check WHERE id = 1 FOR NO KEY UPDATE";
