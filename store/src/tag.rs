//! Table `tag`. Order of insertion is kept; a key that is given again keeps its place. At most fifty a secret, beside
//! those that are a view of its settings (`setting.rs`).

use engine::Time;
use engine::id::SecretId;
use engine::settings::View;

use crate::model::Tag;
use crate::subject::Subject;
use crate::tx::{Conn, Writing};
use crate::{Store, StoreError, managed, setting, sql};

/// How many tags one secret may have.
pub const MOST_TAGS: usize = 50;

impl Store {
    /// TagResource. A tag that is a view of a setting changes that.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::TagQuota`],
    /// [`StoreError::Setting`], [`StoreError::ManagedHere`], or the database fails.
    pub async fn tag(&self, id: &str, tags: &[Tag], now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        managed::refuse_tag(&subject, tags)?;
        put(w.conn(), subject.secret.id, tags).await?;
        subject.secret.tagged = true;
        if let Some(change) = setting::said_by(tags)? {
            setting::change(&mut w, &mut subject, change, self.0.options.schedule_limits, now).await?;
        }
        subject.save(&mut w, now).await?;
        w.commit().await
    }

    /// UntagResource. A key that is not there is no error. Where the tag is a view of a setting, that gets its default.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::Setting`], or the database fails.
    pub async fn untag(&self, id: &str, keys: &[String], now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let mut removed = Vec::new();
        for key in keys {
            if remove(w.conn(), subject.secret.id, key).await? {
                removed.push(key.as_str());
            }
        }
        if let Some(change) = setting::said_without(removed.into_iter()) {
            setting::change(&mut w, &mut subject, change, self.0.options.schedule_limits, now).await?;
        }
        subject.save(&mut w, now).await?;
        w.commit().await
    }
}

/// Adds or overwrites; refused where the secret would have too many.
pub(crate) async fn put(conn: &mut Conn, secret: SecretId, tags: &[Tag]) -> Result<(), StoreError> {
    for tag in tags {
        let query = sql::query(PUT).bind(secret.0).bind(&tag.key);
        query.bind(&tag.value).execute(&mut *conn).await?;
    }
    let [strategy, grace, time_zone, blackout] = View::ALL.map(View::key);
    let query = sql::query_scalar(COUNT).bind(secret.0).bind(strategy).bind(grace).bind(time_zone);
    let query = query.bind(blackout);
    let count: i64 = query.fetch_one(conn).await?;
    if usize::try_from(count).is_ok_and(|count| count > MOST_TAGS) { Err(StoreError::TagQuota) } else { Ok(()) }
}

/// Takes a tag away; false where there is none of this key.
pub(crate) async fn remove(conn: &mut Conn, secret: SecretId, key: &str) -> Result<bool, StoreError> {
    let removed = sql::query(REMOVE).bind(secret.0).bind(key).execute(conn).await?;
    Ok(removed.rows_affected() > 0)
}

/// The value of the tag of this key.
pub(crate) async fn value(conn: &mut Conn, secret: SecretId, key: &str) -> Result<Option<String>, StoreError> {
    Ok(sql::query_scalar(VALUE).bind(secret.0).bind(key).fetch_optional(conn).await?)
}

/// All tags of a secret in order of insertion.
pub(crate) async fn all(conn: &mut Conn, secret: SecretId) -> Result<Vec<Tag>, StoreError> {
    let rows: Vec<(String, String)> = sql::query_as(ALL).bind(secret.0).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(key, value)| Tag { key, value }).collect())
}

const PUT: &str = "-- tag::put
INSERT INTO tag (secret_id, tag_key, tag_value, seq)
VALUES ($1, $2, $3, (SELECT COALESCE(MAX(seq), 0) + 1 FROM tag WHERE secret_id = $1))
ON CONFLICT (secret_id, tag_key) DO UPDATE SET tag_value = excluded.tag_value";

const COUNT: &str = "-- tag::put (count)
SELECT COUNT(*) FROM tag WHERE secret_id = $1 AND tag_key NOT IN ($2, $3, $4, $5)";

const VALUE: &str = "-- tag::value
SELECT tag_value FROM tag WHERE secret_id = $1 AND tag_key = $2";

const REMOVE: &str = "-- tag::remove
DELETE FROM tag WHERE secret_id = $1 AND tag_key = $2";

const ALL: &str = "-- tag::all
SELECT tag_key, tag_value FROM tag WHERE secret_id = $1 ORDER BY seq";
