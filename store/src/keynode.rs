//! Table `keyring_node`: which keys each node of the store has at hand. A key seals only when every node has it, so that no node
//! meets what it cannot open.
//!
//! Never here: what is sealed (`rewrap.rs`), the keyring's file (`crypto`).

use chrono::TimeDelta;
use crypto::{KeyId, KeyringFileError};
use engine::Time;

use crate::instant::{instant, ms};
use crate::keyuse::KeyringNode;
use crate::tx::{Conn, Durability, Writing};
use crate::{Store, StoreError, lease_clock, sql};

/// A node that has not said anything for so long is gone. Far more than clocks of nodes may differ.
const GONE_AFTER: TimeDelta = TimeDelta::minutes(10);

impl Store {
    /// The keys of the keyring that this process has at hand, the one that seals first.
    #[must_use]
    pub fn keys_at_hand(&self) -> Vec<KeyId> {
        self.0.keyring.key_ids()
    }

    /// Takes over the keys that were added to the keyring's file, and says which key that wants to seal; None: it has no file.
    ///
    /// # Errors
    /// The file cannot be read; the keys stay as they are.
    pub fn reread_keys(&self) -> Result<Option<KeyId>, KeyringFileError> {
        self.0.keyring.reread()?;
        Ok(self.0.keyring.listed()?.map(|listed| listed.primary))
    }

    /// Says for this node which keys it has at hand. To be said again well within ten minutes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn announce_keys(&self, node: &str, now: Time) -> Result<(), StoreError> {
        let ids: Vec<String> = self.0.keyring.key_ids().iter().map(ToString::to_string).collect();
        let sealing = self.0.keyring.primary_id().to_string();
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let now = w.now(now).await?;
        sql::query(FORGET_GONE).bind(ms(now - GONE_AFTER)).execute(w.conn()).await?;
        let query = sql::query(ANNOUNCE).bind(node).bind(ids.join(" ")).bind(sealing).bind(ms(now));
        query.execute(w.conn()).await?;
        w.commit().await
    }

    /// This node ends.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_node(&self, node: &str) -> Result<(), StoreError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        sql::query(FORGET).bind(node).execute(w.conn()).await?;
        w.commit().await
    }
}

/// Nobody but this process has the store.
pub(crate) async fn forget_all(conn: &mut Conn) -> Result<(), StoreError> {
    sql::query(FORGET_ALL).execute(conn).await?;
    Ok(())
}

/// What the nodes said that are there.
pub(crate) async fn all(conn: &mut Conn, now: Time) -> Result<Vec<KeyringNode>, StoreError> {
    let now = lease_clock::now(conn, now).await?;
    let rows: Vec<(String, String, String, i64)> =
        sql::query_as(ALL).bind(ms(now - GONE_AFTER)).fetch_all(conn).await?;
    rows.into_iter()
        .map(|(node, keys, sealing, seen)| {
            let keys = keys.split_whitespace().map(ToOwned::to_owned).collect();
            Ok(KeyringNode { node, keys, sealing, seen: instant(seen)? })
        })
        .collect()
}

const ANNOUNCE: &str = "-- keynode::announce_keys
INSERT INTO keyring_node (node, key_ids, sealing, seen_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (node) DO UPDATE SET key_ids = excluded.key_ids, sealing = excluded.sealing, seen_ms = excluded.seen_ms";

const FORGET: &str = "-- keynode::forget_node
DELETE FROM keyring_node WHERE node = $1";

const FORGET_ALL: &str = "-- keynode::forget_all
DELETE FROM keyring_node";

const FORGET_GONE: &str = "-- keynode::announce_keys (gone)
DELETE FROM keyring_node WHERE seen_ms < $1";

const ALL: &str = "-- keynode::all
SELECT node, key_ids, sealing, seen_ms FROM keyring_node WHERE seen_ms >= $1 ORDER BY node";
