//! Table `generation`: how often what every node keeps in memory has changed, so that each knows when its own is old.
//!
//! Never here: what is kept. A store of one process needs none of this: it is told by its own commits.

use crate::StoreError;
use crate::open::Inner;
use crate::sql;
use crate::tx::{Conn, glance};

/// Which of the things in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    AccessKeys,
    Rotators,
}

/// How often it has changed; None where only this process can have changed it.
pub(crate) async fn get(inner: &Inner, of: Of) -> Result<Option<i64>, StoreError> {
    if !inner.is_shared() {
        return Ok(None);
    }
    let mut conn = glance(inner).await?;
    let (keys, rotators): (i64, i64) = sql::query_as(GET).fetch_one(&mut conn).await?;
    Ok(Some(match of {
        Of::AccessKeys => keys,
        Of::Rotators => rotators,
    }))
}

/// What this transaction changes is old in the memory of every node, once it commits.
pub(crate) async fn advance(conn: &mut Conn, keys: bool, rotators: bool) -> Result<(), StoreError> {
    if conn.is_shared() && (keys || rotators) {
        sql::query(ADVANCE).bind(i64::from(keys)).bind(i64::from(rotators)).execute(conn).await?;
    }
    Ok(())
}

const GET: &str = "-- generation::get
SELECT access_keys, rotators FROM generation WHERE id = 1";

const ADVANCE: &str = "-- generation::advance
UPDATE generation SET access_keys = access_keys + $1, rotators = rotators + $2 WHERE id = 1";
