//! The clock that leases are counted on: on SQLite the one of this machine that counts suspend, on PostgreSQL that of the
//! database, which is the same for every node. Nothing of a node's own clock decides about a lease there.
//!
//! Never here: who holds a lease (`lease.rs`, `due.rs`).

use std::time::Duration;

use engine::Time;

use crate::StoreError;
use crate::instant::{instant, ms};
use crate::lease::{LONGEST_LEASE, millis};
use crate::open::Inner;
use crate::sql;
use crate::tx::Conn;

/// What stands for a boot of the machine where the database's clock counts.
const DATABASE: &str = "database";
/// Longer than any lease, and short enough to be added to any moment.
const FOR_EVER: i64 = i64::MAX / 4;

/// A moment of that clock, and what is needed to compare leases with it.
pub(crate) struct LeaseClock {
    /// Leases of another boot cannot be compared.
    pub(crate) id: String,
    /// The moment, in milliseconds.
    pub(crate) since: i64,
    /// No lease of this clock lasts longer.
    pub(crate) longest: i64,
    /// From then on leases are counted that cannot be compared with this clock.
    pub(crate) opened: i64,
    /// How long a lease is of which nothing else is known.
    pub(crate) lease: i64,
    /// This machine's clock before the moment was asked for: what has passed since cannot be more.
    asked: Duration,
    is_databases: bool,
}

impl LeaseClock {
    /// Reads the clock.
    pub(crate) async fn read(inner: &Inner, conn: &mut Conn) -> Result<Self, StoreError> {
        let asked = inner.clock.since_boot();
        let lease = millis(inner.options.lease);
        if conn.is_shared() {
            let since: i64 = sql::query_scalar(CLOCK).fetch_one(conn).await?;
            let id = DATABASE.to_owned();
            return Ok(Self { id, since, longest: FOR_EVER, opened: 0, lease, asked, is_databases: true });
        }
        Ok(Self {
            id: inner.options.boot_id.clone(),
            since: millis(asked),
            longest: millis(inner.options.lease.max(LONGEST_LEASE)),
            opened: millis(inner.opened),
            lease,
            asked,
            is_databases: false,
        })
    }

    /// When a lease ends, on this clock. One that was taken under another boot, or lies further ahead than any lease
    /// of this one can, gets its whole length from when the store was opened.
    pub(crate) fn ends(&self, until: i64, comparable: bool, length: Option<i64>) -> i64 {
        let whole = self.opened + length.unwrap_or(self.lease);
        if comparable && until <= self.since + self.longest { until } else { whole }
    }

    /// What is left until that moment, counted from before the clock was read.
    pub(crate) fn left(&self, inner: &Inner, until: i64) -> Duration {
        let left = Duration::from_millis(u64::try_from(until - self.since).unwrap_or(0));
        left.saturating_sub(inner.clock.since_boot().saturating_sub(self.asked))
    }

    /// The moment that decides what is due, in milliseconds.
    pub(crate) fn now_ms(&self, own: Time) -> i64 {
        if self.is_databases { self.since } else { ms(own) }
    }

    /// A moment as the wall clock of this node will show it: it may go before or after the database's.
    pub(crate) fn as_shown_here(&self, at: Time, own: Time) -> Result<Time, StoreError> {
        Ok(if self.is_databases { own + (at - instant(self.since)?) } else { at })
    }
}

/// The moment that decides what is due: the database's, where nodes share it.
pub(crate) async fn now(conn: &mut Conn, own: Time) -> Result<Time, StoreError> {
    if !conn.is_shared() {
        return Ok(own);
    }
    instant(sql::query_scalar(CLOCK).fetch_one(conn).await?)
}

const CLOCK: &str = "-- lease_clock::read
SELECT FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT";
