//! ListSecrets: pages in four orders, both ways, by keyset; filters are applied to what is read.
//!
//! Never here: what a filter means (`filter.rs`).

use engine::id::SecretId;

use crate::cursor::Cursor;
use crate::describe::describe;
use crate::model::{Description, ListQuery, Page, SortBy};
use crate::scope::Scope;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, admin, filter, secret, sql};

const MOST_A_PAGE: u32 = 100;
/// Secrets read at once.
const BATCH: i64 = 128;
/// Secrets looked at for one page: past them the page is short and the next one goes on.
const MOST_LOOKED_AT: usize = 4096;

impl Store {
    /// ListSecrets. A page may be short although another follows.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`], or the database fails.
    pub async fn list(&self, query: ListQuery) -> Result<Page<Description>, StoreError> {
        let about = format!(
            "{:?} {} {} {:?} {:?}",
            query.sort, query.descending, query.include_deleted, query.filters, query.visible
        );
        let mut at = query.after.as_deref().map(|text| self.0.cursors.read(text, &about)).transpose()?;
        let limit = usize::try_from(query.limit.clamp(1, MOST_A_PAGE)).unwrap_or(1);
        let mut items = Vec::new();
        let mut looked_at = 0;
        let mut tx = snapshot(&self.0).await?;
        loop {
            let keys = batch(&mut tx, &query, at.as_ref()).await?;
            let is_last_batch = keys.len() < usize::try_from(BATCH).unwrap_or(1);
            let count = keys.len();
            for (i, key) in keys.into_iter().enumerate() {
                let id = SecretId(key.id);
                at = Some(key);
                let row = secret::by_id(&mut tx, id).await?;
                let row = row.ok_or_else(|| StoreError::inconsistent("a listed secret is not there"))?;
                if is_visible(&mut tx, &row, query.visible.as_ref()).await? {
                    let description = describe(&mut tx, row).await?;
                    if filter::passes(&description, &query.filters) {
                        items.push(description);
                    }
                }
                looked_at += 1;
                let at_the_end = is_last_batch && i + 1 == count;
                if !at_the_end && (items.len() == limit || looked_at == MOST_LOOKED_AT) {
                    let next = at.map(|last| self.0.cursors.write(&about, &last)).transpose()?;
                    return Ok(Page { items, next });
                }
            }
            if is_last_batch {
                return Ok(Page { items, next: None });
            }
        }
    }
}

/// Whether the list is for eyes that may see this secret: an admin secret must be named for that.
async fn is_visible(conn: &mut Conn, row: &secret::Row, scope: Option<&Scope>) -> Result<bool, StoreError> {
    match scope {
        None => Ok(true),
        Some(scope) if scope.names(&row.name) => Ok(true),
        Some(scope) if scope.begins(&row.name) => Ok(!admin::is_admin(conn, row.id, &row.name, &row.arn).await?),
        Some(_) => Ok(false),
    }
}

/// The next secrets in order, as the cursors that stand on them.
async fn batch(conn: &mut Conn, query: &ListQuery, after: Option<&Cursor>) -> Result<Vec<Cursor>, StoreError> {
    if query.sort == SortBy::Name {
        let statement = if query.descending { BY_NAME_DESC } else { BY_NAME };
        let fetch = sql::query_as(statement).bind(after.is_none()).bind(after.map_or("", |at| &at.text));
        let rows: Vec<(i64, String)> = fetch.bind(query.include_deleted).bind(BATCH).fetch_all(conn).await?;
        return Ok(rows.into_iter().map(|(id, text)| Cursor { number: 0, text, id }).collect());
    }
    let statement = match (query.sort, query.descending) {
        (SortBy::CreatedDate | SortBy::Name, false) => BY_CREATED,
        (SortBy::CreatedDate | SortBy::Name, true) => BY_CREATED_DESC,
        (SortBy::LastChangedDate, false) => BY_CHANGED,
        (SortBy::LastChangedDate, true) => BY_CHANGED_DESC,
        (SortBy::LastAccessedDate, false) => BY_ACCESSED,
        (SortBy::LastAccessedDate, true) => BY_ACCESSED_DESC,
    };
    let start = if query.descending { i64::MAX } else { i64::MIN };
    let (number, id) = after.map_or((start, start), |at| (at.number, at.id));
    let fetch = sql::query_as(statement).bind(number).bind(id);
    let rows: Vec<(i64, i64)> = fetch.bind(query.include_deleted).bind(BATCH).fetch_all(conn).await?;
    let cursor = |(id, number)| Cursor { number, text: String::new(), id };
    Ok(rows.into_iter().map(cursor).collect())
}

const BY_NAME: &str = "-- list::by_name
SELECT id, name FROM secret WHERE gone = 0 AND ($1 = 1 OR name > $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY name LIMIT $4";

const BY_NAME_DESC: &str = "-- list::by_name_desc
SELECT id, name FROM secret WHERE gone = 0 AND ($1 = 1 OR name < $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY name DESC LIMIT $4";

const BY_CREATED: &str = "-- list::by_created
SELECT id, created_ms FROM secret
WHERE gone = 0 AND (created_ms, id) > ($1, $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY created_ms, id LIMIT $4";

const BY_CREATED_DESC: &str = "-- list::by_created_desc
SELECT id, created_ms FROM secret
WHERE gone = 0 AND (created_ms, id) < ($1, $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY created_ms DESC, id DESC LIMIT $4";

const BY_CHANGED: &str = "-- list::by_changed
SELECT id, changed_ms FROM secret
WHERE gone = 0 AND (changed_ms, id) > ($1, $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY changed_ms, id LIMIT $4";

const BY_CHANGED_DESC: &str = "-- list::by_changed_desc
SELECT id, changed_ms FROM secret
WHERE gone = 0 AND (changed_ms, id) < ($1, $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY changed_ms DESC, id DESC LIMIT $4";

const BY_ACCESSED: &str = "-- list::by_accessed
SELECT id, COALESCE(accessed_ms, 0) FROM secret
WHERE gone = 0 AND (COALESCE(accessed_ms, 0), id) > ($1, $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY COALESCE(accessed_ms, 0), id LIMIT $4";

const BY_ACCESSED_DESC: &str = "-- list::by_accessed_desc
SELECT id, COALESCE(accessed_ms, 0) FROM secret
WHERE gone = 0 AND (COALESCE(accessed_ms, 0), id) < ($1, $2) AND ($3 = 1 OR deleted_ms IS NULL)
ORDER BY COALESCE(accessed_ms, 0) DESC, id DESC LIMIT $4";
