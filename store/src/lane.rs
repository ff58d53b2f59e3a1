//! The secrets that one registered rotator serves: which they are, and what of theirs waits.
//!
//! Never here: the rotator itself (`registration.rs`), who is claimed (`due.rs`).

use engine::Time;
use engine::id::SecretId;

use crate::instant::ms;
use crate::open::Inner;
use crate::subject::Subject;
use crate::tx::{Conn, Writing};
use crate::{StoreError, sql};

/// How many secrets it serves, those included that are to be deleted, and the first of their names.
pub(crate) async fn served(conn: &mut Conn, name: &str) -> Result<(u64, Vec<String>), StoreError> {
    let count: i64 = sql::query_scalar(COUNT).bind(name).fetch_one(&mut *conn).await?;
    let names = sql::query_scalar(NAMES).bind(name).fetch_all(&mut *conn).await?;
    Ok((u64::try_from(count).unwrap_or(0), names))
}

/// The plans of this rotator whose window has closed while it was not called.
pub(crate) async fn replan_missed(w: &mut Writing<'_>, inner: &Inner, name: &str, now: Time) -> Result<(), StoreError> {
    let missed: Vec<i64> = sql::query_scalar(MISSED).bind(name).bind(ms(now)).fetch_all(w.conn()).await?;
    for id in missed {
        if let Some(mut subject) = Subject::by_id(w, SecretId(id)).await? {
            subject.replan_missed(now, inner.options.schedule_limits);
            // Nothing of the secret itself has changed.
            let changed = subject.secret.changed;
            subject.save(w, changed).await?;
        }
    }
    Ok(())
}

const COUNT: &str = "-- lane::served (count)
SELECT COUNT(*) FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.lane = $1 AND r.lane <> '' AND s.gone = 0";

const NAMES: &str = "-- lane::served
SELECT s.name FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.lane = $1 AND r.lane <> '' AND s.gone = 0 ORDER BY s.name LIMIT 100";

const MISSED: &str = "-- lane::replan_missed
SELECT secret_id FROM rotation
WHERE lane = $1 AND lane <> '' AND window_closes_ms <= $2 ORDER BY secret_id";
