//! Transactions. One writer, begun IMMEDIATE; a few readers, each a snapshot.
//!
//! A write names the secrets it touches, so that readers stop trusting the cache for them while it commits. Never
//! here: what is read or written.

use engine::Time;
use engine::id::SecretId;
use engine::label::Labels;

use crate::cache::Turn;
use crate::model::Facts;
use crate::open::Inner;
use crate::outbox::{Note, Outbox};
use crate::sql::Held;
use crate::{Store, StoreError};

pub(crate) use crate::sql::Conn;

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
        let conn = Conn::Sqlite(Held::Tx(inner.writer.begin_with(durability.begin()).await?));
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

    pub(crate) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
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
        self.inner.cache.doubt(self.turn, &self.touched);
        if self.touches_keys {
            self.inner.access_keys.doubt(self.turn);
        }
        if self.touches_rotators {
            self.inner.rotators.doubt(self.turn);
        }
        self.conn.commit().await?;
        self.inner.cache.settle(self.turn);
        self.inner.access_keys.settle(self.turn);
        self.inner.rotators.settle(self.turn);
        if self.wakes {
            self.inner.changed.notify_one();
        }
        if happens {
            self.inner.happened.notify_waiters();
        }
        Ok(())
    }

    /// Ends the transaction without changing anything.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.conn.rollback().await?)
    }
}

impl Store {
    /// Other processes may serve this store at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.many_nodes()
    }

    /// What the clock of the database shows, where it has one of its own: a SQLite store has none.
    ///
    /// # Errors
    /// The database fails.
    #[expect(clippy::unused_async, reason = "PostgreSQL is asked for its own")]
    pub async fn database_time(&self) -> Result<Option<Time>, StoreError> {
        Ok(None)
    }
}

impl Inner {
    /// Other processes may write this store at the same time, so that what is counted before a write has to be locked first.
    /// A SQLite store has one writer.
    pub(crate) fn many_nodes(&self) -> bool {
        false
    }
}

/// A read transaction: everything read in it is of one moment.
pub(crate) async fn snapshot(inner: &Inner) -> Result<Conn, StoreError> {
    Ok(Conn::Sqlite(Held::Tx(inner.readers.begin().await?)))
}

/// For one statement that reads: there is no transaction around it.
pub(crate) async fn glance(inner: &Inner) -> Result<Conn, StoreError> {
    Ok(Conn::Sqlite(Held::Plain(inner.readers.acquire().await?)))
}
