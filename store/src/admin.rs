//! Admin secrets: those that another secret's value names as its `masterarn`. Column `version.masterarn` keeps that name
//! beside the sealed value, so that the question needs no unsealing.
//!
//! Never here: who may read an admin secret (that is `api`'s to say); whether the name leads anywhere.

use std::borrow::Cow;

use engine::id::SecretId;
use engine::secret::SecretBytes;

use crate::lease_clock::LeaseClock;
use crate::model::Named;
use crate::open::Inner;
use crate::sql::Flag;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, resolve, secret, sql};

/// No id is longer.
const LONGEST_ID: usize = 2048;

/// The only key of a secret's JSON that the store looks at. Borrowed, so that no copy is left behind.
#[derive(serde::Deserialize)]
struct NamesAdmin<'a> {
    #[serde(borrow, default)]
    masterarn: Option<Cow<'a, str>>,
}

/// The admin secret that a value names. A value that is not JSON of this form names none; whether it is usable is the
/// rotator's to say.
pub(crate) fn named_by(value: &SecretBytes) -> Option<Cow<'_, str>> {
    serde_json::from_slice::<NamesAdmin<'_>>(value.expose()).ok()?.masterarn
}

/// The same as the column keeps it: empty for none, and for what could be no secret's id (it may be anything, and so
/// must not stand there in clear).
pub(crate) fn mark_of(value: &SecretBytes) -> String {
    let of_ids = |c: char| c.is_ascii_alphanumeric() || "-/_+=.@!:".contains(c);
    let named = named_by(value).filter(|id| id.len() <= LONGEST_ID && id.chars().all(of_ids));
    named.map(Cow::into_owned).unwrap_or_default()
}

impl Store {
    /// The name and ARN of a secret, also of one that is to be deleted.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn named(&self, id: &str) -> Result<Named, StoreError> {
        Ok(self.known(id).await?.1)
    }

    /// Is this an admin secret: does a labelled version of another secret name it? One that is marked for deletion
    /// counts among the others, for it may come back.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn is_admin_secret(&self, id: &str) -> Result<bool, StoreError> {
        let (secret, named) = self.known(id).await?;
        if let Some(known) = self.0.cache.is_admin(secret) {
            return Ok(known);
        }
        // The ticket comes before the snapshot, as with values.
        let ticket = self.0.cache.admin_ticket();
        let mut tx = snapshot(&self.0).await?;
        let is_admin = is_admin(&mut tx, secret, &named.name, &named.arn).await?;
        if !self.0.is_shared() {
            self.0.cache.keep_admin(ticket, secret, is_admin);
        }
        Ok(is_admin)
    }

    /// The secrets of which a labelled version names this one as its admin, by name; those marked for deletion too.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn admin_of(&self, id: &str) -> Result<Vec<Named>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        let partial = row.arn.rsplit_once('-').map_or(row.arn.as_str(), |(partial, _suffix)| partial);
        let query = sql::query_as(ADMIN_OF).bind(&row.name).bind(&row.arn).bind(partial).bind(row.id.0);
        let rows: Vec<(String, String)> = query.fetch_all(&mut tx).await?;
        Ok(rows.into_iter().map(|(arn, name)| Named { arn, name }).collect())
    }

    async fn known(&self, id: &str) -> Result<(SecretId, Named), StoreError> {
        if let Some(hit) = self.0.cache.get(id) {
            return Ok((hit.id, Named { arn: hit.arn.clone(), name: hit.name.clone() }));
        }
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        Ok((row.id, Named { arn: row.arn, name: row.name }))
    }
}

/// Does a labelled version of another secret name this one: by name, by ARN, or by ARN without suffix?
pub(crate) async fn is_admin(conn: &mut Conn, secret: SecretId, name: &str, arn: &str) -> Result<bool, StoreError> {
    let partial = arn.rsplit_once('-').map_or(arn, |(partial, _suffix)| partial);
    let query = sql::query_scalar(IS_ADMIN).bind(name).bind(arn).bind(partial).bind(secret.0);
    let row: Option<i64> = query.fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// Is a rotation at work this moment that uses this secret as its admin? Whoever asks has committed that it is about to
/// change the admin's password: of the two, at least one sees the other and waits. One that was paused or deleted in the middle,
/// with which nobody goes on, is at work until its lease is over.
pub(crate) async fn is_in_use(conn: &mut Conn, inner: &Inner, row: &secret::Row) -> Result<bool, StoreError> {
    let partial = row.arn.rsplit_once('-').map_or(row.arn.as_str(), |(partial, _suffix)| partial);
    let query = sql::query_as(IN_USE).bind(&row.name).bind(&row.arn).bind(partial).bind(row.id.0);
    let users: Vec<User> = query.fetch_all(&mut *conn).await?;
    if users.iter().all(|user| user.stands.0) && !users.is_empty() {
        let clock = LeaseClock::read(inner, conn).await?;
        return Ok(users.iter().any(|user| user.is_leased(&clock)));
    }
    Ok(!users.is_empty())
}

/// A rotation in the middle of a step, whose value names the admin.
#[derive(sqlx::FromRow)]
struct User {
    /// Nobody goes on with it.
    stands: Flag,
    lease_boot: Option<String>,
    lease_until_ms: Option<i64>,
    lease_ms: Option<i64>,
}

impl User {
    fn is_leased(&self, clock: &LeaseClock) -> bool {
        let comparable = self.lease_boot.as_ref() == Some(&clock.id);
        self.lease_until_ms.is_some_and(|until| clock.ends(until, comparable, self.lease_ms) > clock.since)
    }
}

const IS_ADMIN: &str = "-- admin::is_admin
SELECT v.secret_id FROM version v JOIN secret s ON s.id = v.secret_id
WHERE v.masterarn IN ($1, $2, $3) AND v.masterarn <> '' AND v.secret_id <> $4 AND s.gone = 0
  AND EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id)
LIMIT 1";

const ADMIN_OF: &str = "-- admin::admin_of
SELECT DISTINCT s.arn, s.name FROM version v JOIN secret s ON s.id = v.secret_id
WHERE v.masterarn IN ($1, $2, $3) AND v.masterarn <> '' AND v.secret_id <> $4 AND s.gone = 0
  AND EXISTS (SELECT 1 FROM label l WHERE l.secret_id = v.secret_id AND l.version_id = v.version_id)
ORDER BY s.name";

const IN_USE: &str = "-- admin::is_in_use
SELECT (r.paused = 1 OR r.live = 0) AS stands, r.lease_boot, r.lease_until_ms, r.lease_ms
FROM version v JOIN rotation r ON r.secret_id = v.secret_id
JOIN label l ON l.secret_id = v.secret_id AND l.version_id = v.version_id AND l.label = 'AWSCURRENT'
WHERE v.masterarn IN ($1, $2, $3) AND v.masterarn <> '' AND v.secret_id <> $4 AND r.state = 'acting'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_an_id_is_kept_of_a_value() {
        let mark = |value: &str| mark_of(&SecretBytes::from(value));
        assert_eq!(mark(r#"{"masterarn":"db/admin","password":"p"}"#), "db/admin");
        let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db/admin-AbCdEf";
        assert_eq!(mark(&format!(r#"{{"masterarn":"{arn}"}}"#)), arn);
        for value in ["", "x", "[]", "{}", r#"{"masterarn":null}"#, r#"{"masterarn":5}"#, r#"{"masterarn":"a b"}"#] {
            assert_eq!(mark(value), "", "{value}");
        }
        assert_eq!(mark(&format!(r#"{{"masterarn":"{}"}}"#, "a".repeat(LONGEST_ID + 1))), "");
    }
}
