//! Brings what the keyring itself seals under one key, some rows at a time, while everything goes on: secrets' data keys, access
//! keys, the keys of registered rotators and of those who are told of events, the check row. Resumed by looking what is left, so it may end anywhere.
//!
//! Values are sealed under data keys and stay as they are. Tokens of sessions and pages are nowhere in the store; those that an
//! older key sealed are good as long as it is in the keyring.
//!
//! Never here: the keyring's file, and when a key is taken out of it.

use std::collections::BTreeMap;

use crypto::{Binding, KeyId, Keyring};
use engine::Time;
use engine::id::SecretId;

use crate::keyuse::{KeyUse, KeyringNode, Tended};
use crate::tx::{Conn, Writing, glance, snapshot};
use crate::{Store, StoreError, check, key, keynode, registration, sql, subscription};

/// So many rows are sealed again in one transaction: a write is not to be long.
const BATCH: i64 = 100;

/// Where things are that the keyring seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Secrets,
    AccessKeys,
    Rotators,
    Subscriptions,
}

/// Something sealed, and what it is bound to.
#[derive(sqlx::FromRow)]
struct Row {
    owner: String,
    version: String,
    sealed: Vec<u8>,
    id: i64,
}

impl Place {
    const ALL: [Self; 4] = [Self::Secrets, Self::AccessKeys, Self::Rotators, Self::Subscriptions];

    fn left(self) -> &'static str {
        match self {
            Self::Secrets => SECRETS_LEFT,
            Self::AccessKeys => ACCESS_KEYS_LEFT,
            Self::Rotators => ROTATORS_LEFT,
            Self::Subscriptions => SUBSCRIPTIONS_LEFT,
        }
    }

    fn update(self) -> &'static str {
        match self {
            Self::Secrets => SECRET,
            Self::AccessKeys => ACCESS_KEY,
            Self::Rotators => ROTATOR,
            Self::Subscriptions => SUBSCRIPTION,
        }
    }

    fn count(self) -> &'static str {
        match self {
            Self::Secrets => SECRETS,
            Self::AccessKeys => ACCESS_KEYS,
            Self::Rotators => ROTATORS,
            Self::Subscriptions => SUBSCRIPTIONS,
        }
    }

    fn binding(self, row: &Row) -> Binding<'_> {
        match self {
            Self::Secrets => Keyring::data_key_of(&row.owner),
            Self::AccessKeys => key::place(&row.owner, &row.version),
            Self::Rotators => registration::place(&row.owner, &row.version),
            Self::Subscriptions => subscription::place(&row.owner, &row.version),
        }
    }
}

impl Store {
    /// Does the next thing that is to be done about keys, `wanted` being the primary one of this node's file: the store seals with
    /// it once every node has it at hand, and what older keys seal is sealed again. A key that
    /// was replaced does not come back: a file in which it is primary is behind.
    ///
    /// # Errors
    /// The database fails, or there are no random bytes. A row that does not open is told of and left as it is.
    pub async fn tend_keys(&self, wanted: KeyId, now: Time) -> Result<Tended, StoreError> {
        let keyring = &self.0.keyring;
        let mut conn = glance(&self.0).await?;
        let row = check::row(&mut conn).await?;
        let stored = row.key()?;
        let is_behind = row.has_replaced(wanted);
        drop(conn);
        if stored != keyring.primary_id() {
            // Another node was faster. Without that key nothing more would open here.
            keyring.seal_under(stored)?;
        }
        if wanted != stored && !is_behind && keyring.key_ids().contains(&wanted) {
            return self.seal_under(wanted, now).await;
        }
        for place in Place::ALL {
            let rewrapped = self.rewrap_some(place).await?;
            if rewrapped > 0 {
                return Ok(Tended::Rewrapped(rewrapped));
            }
        }
        Ok(if is_behind { Tended::Behind { key: stored } } else { Tended::Idle })
    }

    /// The check row goes first: a node that does not have the key is refused from then on.
    async fn seal_under(&self, wanted: KeyId, now: Time) -> Result<Tended, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let row = check::row(w.conn()).await?;
        if row.has_replaced(wanted) {
            return Ok(Tended::Behind { key: row.key()? });
        }
        let id = wanted.to_string();
        let without = |node: &KeyringNode| !node.keys.contains(&id);
        let lacking: Vec<String> =
            keynode::all(w.conn(), now).await?.into_iter().filter(without).map(|node| node.node).collect();
        if !lacking.is_empty() {
            w.rollback().await?;
            return Ok(Tended::Waits { key: wanted, nodes: lacking });
        }
        let before = self.0.keyring.primary_id();
        self.0.keyring.seal_under(wanted)?;
        let changed = match check::rewrap(w.conn(), &self.0.keyring, &row, wanted).await {
            Ok(changed) => w.commit().await.map(|()| changed),
            Err(error) => Err(error),
        };
        if changed.is_err() {
            // Whether it was committed is looked up the next time.
            self.0.keyring.seal_under(before)?;
        }
        changed.map(|_| Tended::Changed { key: wanted })
    }

    /// What does not open is passed over, and keeps its key from being taken out.
    async fn rewrap_some(&self, place: Place) -> Result<u64, StoreError> {
        let keyring = &self.0.keyring;
        let primary = keyring.primary_id().to_bytes();
        let mut after = (String::new(), 0i64);
        loop {
            let mut w = Writing::begin(&self.0).await?;
            let query = sql::query_as(place.left()).bind(&primary[..]).bind(&after.0).bind(after.1);
            let rows: Vec<Row> = query.bind(BATCH).fetch_all(w.conn()).await?;
            let Some(last) = rows.last() else { return Ok(0) };
            after = (last.owner.clone(), last.id);
            let mut rewrapped = 0;
            for row in &rows {
                match keyring.rewrap(&place.binding(row), &row.sealed) {
                    Ok(sealed) => rewrapped += self.replace(&mut w, place, row, &sealed).await?,
                    Err(error) => tracing::error!(
                        what = ?place,
                        owner = row.owner,
                        %error,
                        "what an older key sealed does not open and cannot be sealed again"
                    ),
                }
            }
            w.commit().await?;
            if rewrapped > 0 {
                return Ok(rewrapped);
            }
        }
    }

    /// Only what is still as it was read: whoever wrote meanwhile has sealed with a key of his own.
    async fn replace(&self, w: &mut Writing<'_>, place: Place, row: &Row, sealed: &[u8]) -> Result<u64, StoreError> {
        let query = sql::query(place.update()).bind(&row.owner).bind(sealed).bind(&row.sealed);
        let rows = query.execute(w.conn()).await?.rows_affected();
        match place {
            Place::Secrets => w.touch(SecretId(row.id)),
            Place::AccessKeys => w.touch_keys(),
            Place::Rotators => w.touch_rotators(),
            Place::Subscriptions => {}
        }
        Ok(rows)
    }

    /// Every key that is at hand or needed, the one that seals first; and what the nodes have.
    ///
    /// # Errors
    /// The database fails.
    pub async fn key_uses(&self, now: Time) -> Result<(Vec<KeyUse>, Vec<KeyringNode>), StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let seals = check::row(&mut tx).await?.key()?;
        let at_hand = self.0.keyring.key_ids();
        let mut uses = uses_of(&mut tx, seals, at_hand).await?;
        uses.sort_by_key(|one| (!one.seals, one.id));
        Ok((uses, keynode::all(&mut tx, now).await?))
    }
}

/// What each key is needed for, whether it is at hand or not.
pub(crate) async fn uses_of(conn: &mut Conn, check: KeyId, at_hand: Vec<KeyId>) -> Result<Vec<KeyUse>, StoreError> {
    let fresh = |id, at_hand| KeyUse {
        id,
        at_hand,
        seals: id == check,
        secrets: 0,
        access_keys: 0,
        rotators: 0,
        subscriptions: 0,
        check: id == check,
    };
    let mut uses: BTreeMap<KeyId, KeyUse> = at_hand.into_iter().map(|id| (id, fresh(id, true))).collect();
    uses.entry(check).or_insert_with(|| fresh(check, false));
    for place in Place::ALL {
        let rows: Vec<(Vec<u8>, i64)> = sql::query_as(place.count()).fetch_all(&mut *conn).await?;
        for (id, count) in rows {
            let id = <[u8; 8]>::try_from(id.as_slice()).map(KeyId::from_bytes);
            let id = id.map_err(|_| StoreError::inconsistent("something sealed is cut short"))?;
            let one = uses.entry(id).or_insert_with(|| fresh(id, false));
            let count = u64::try_from(count).unwrap_or(0);
            match place {
                Place::Secrets => one.secrets = count,
                Place::AccessKeys => one.access_keys = count,
                Place::Rotators => one.rotators = count,
                Place::Subscriptions => one.subscriptions = count,
            }
        }
    }
    Ok(uses.into_values().collect())
}

// The second to ninth byte of what is sealed names the key.
const SECRETS_LEFT: &str = "-- rewrap::rewrap_some (secrets)
SELECT arn AS owner, '' AS version, data_key AS sealed, id FROM secret
WHERE substr(data_key, 2, 8) <> $1 AND (arn > $2 OR arn = $2 AND id > $3) ORDER BY arn, id LIMIT $4";

const ACCESS_KEYS_LEFT: &str = "-- rewrap::rewrap_some (access keys)
SELECT access_key_id AS owner, principal AS version, sealed, created_ms AS id FROM access_key
WHERE substr(sealed, 2, 8) <> $1 AND (access_key_id > $2 OR access_key_id = $2 AND created_ms > $3)
ORDER BY access_key_id, created_ms LIMIT $4";

const ROTATORS_LEFT: &str = "-- rewrap::rewrap_some (rotators)
SELECT name AS owner, settings AS version, sealed, created_ms AS id FROM rotator
WHERE substr(sealed, 2, 8) <> $1 AND (name > $2 OR name = $2 AND created_ms > $3) ORDER BY name, created_ms LIMIT $4";

const SUBSCRIPTIONS_LEFT: &str = "-- rewrap::rewrap_some (subscriptions)
SELECT name AS owner, settings AS version, sealed, created_ms AS id FROM subscription
WHERE substr(sealed, 2, 8) <> $1 AND (name > $2 OR name = $2 AND created_ms > $3) ORDER BY name, created_ms LIMIT $4";

const SECRET: &str = "-- rewrap::replace (secret)
UPDATE secret SET data_key = $2 WHERE arn = $1 AND data_key = $3";

const ACCESS_KEY: &str = "-- rewrap::replace (access key)
UPDATE access_key SET sealed = $2 WHERE access_key_id = $1 AND sealed = $3";

const ROTATOR: &str = "-- rewrap::replace (rotator)
UPDATE rotator SET sealed = $2 WHERE name = $1 AND sealed = $3";

const SUBSCRIPTION: &str = "-- rewrap::replace (subscription)
UPDATE subscription SET sealed = $2 WHERE name = $1 AND sealed = $3";

const SECRETS: &str = "-- rewrap::uses_of (secrets)
SELECT substr(data_key, 2, 8), COUNT(*) FROM secret GROUP BY 1";

const ACCESS_KEYS: &str = "-- rewrap::uses_of (access keys)
SELECT substr(sealed, 2, 8), COUNT(*) FROM access_key GROUP BY 1";

const ROTATORS: &str = "-- rewrap::uses_of (rotators)
SELECT substr(sealed, 2, 8), COUNT(*) FROM rotator GROUP BY 1";

const SUBSCRIPTIONS: &str = "-- rewrap::uses_of (subscriptions)
SELECT substr(sealed, 2, 8), COUNT(*) FROM subscription GROUP BY 1";
