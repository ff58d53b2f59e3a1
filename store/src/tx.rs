//! Transactions. One writer, begun IMMEDIATE; a few readers, each a snapshot.
//!
//! A write names the secrets it touches, so that readers stop trusting the cache for them while it commits. Never
//! here: what is read or written.

use engine::id::SecretId;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::StoreError;
use crate::cache::Turn;
use crate::open::Inner;

/// The connection type of the one dialect there is today.
pub(crate) type Conn = SqliteConnection;

/// A write transaction. Dropped without [`Writing::commit`], it changed nothing.
pub(crate) struct Writing<'a> {
    inner: &'a Inner,
    tx: Transaction<'static, Sqlite>,
    turn: Turn,
    touched: Vec<SecretId>,
    wakes: bool,
}

impl<'a> Writing<'a> {
    pub(crate) async fn begin(inner: &'a Inner) -> Result<Self, StoreError> {
        let tx = inner.writer.begin_with("BEGIN IMMEDIATE").await?;
        let turn = inner.cache.turn();
        Ok(Self { inner, tx, turn, touched: Vec::new(), wakes: false })
    }

    pub(crate) fn conn(&mut self) -> &mut Conn {
        &mut self.tx
    }

    /// What is cached of this secret ends with the commit.
    pub(crate) fn touch(&mut self, secret: SecretId) {
        if !self.touched.contains(&secret) {
            self.touched.push(secret);
        }
    }

    /// The commit may make something due sooner.
    pub(crate) fn wake(&mut self) {
        self.wakes = true;
    }

    /// Durable when this returns. From before the commit until it is known to have ended, nobody reads what it
    /// touches from the cache. If the caller goes away in between, the next commit settles that too: writers take
    /// turns, so what was committing before it has ended.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.inner.cache.doubt(self.turn, &self.touched);
        self.tx.commit().await?;
        self.inner.cache.settle(self.turn);
        if self.wakes {
            self.inner.changed.notify_one();
        }
        Ok(())
    }

    /// Ends the transaction without changing anything.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.tx.rollback().await?)
    }
}

/// A read transaction: everything read in it is of one moment.
pub(crate) async fn snapshot(inner: &Inner) -> Result<Transaction<'static, Sqlite>, StoreError> {
    Ok(inner.readers.begin().await?)
}
