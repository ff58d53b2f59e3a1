//! A whole store copied into an empty one, of the same kind of database or of the other: table by table out of one snapshot, and
//! compared with it afterwards. Values stay sealed as they are, and numbers stay what they were.
//!
//! Whoever is copied into is marked first and served by nobody until all is there; cut short, it is begun anew. Never here: how a
//! database is opened (`side.rs`), what is copied (`tables.rs`).

mod rows;
mod side;
mod tables;

use engine::Time;

use crate::backup::BackupError;
use crate::copy::rows::{Cell, Cells, Tally};
use crate::copy::side::Side;
use crate::copy::tables::{COPIED, Table};
use crate::instant::ms;
use crate::keyuse::KeyringNode;
use crate::model::Location;
use crate::sql::Conn;
use crate::{StoreError, keynode, moved, sql};

/// So many rows are moved in one transaction.
const BATCH: i64 = 500;

/// What is copied, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Copy<'a> {
    /// The store that is there. It is only read; the folder of a SQLite store is marked as moved.
    pub from: &'a Location,
    /// The store that is made. It is empty, or what a copy left that was cut short.
    pub to: &'a Location,
    /// Also where another process serves the source: what comes after this moment is not in the copy. For backups.
    pub while_served: bool,
}

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has, here and there, with the same content.
    pub rows: u64,
}

/// Copies a store; `progress` is told each table and how many of its rows are there.
///
/// # Errors
/// [`BackupError`]; nobody serves what was copied then, and copying it again begins anew.
pub async fn copy(
    copy: Copy<'_>,
    now: Time,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Vec<CopiedTable>, BackupError> {
    let place = moved::place(copy.to);
    if let Location::Sqlite(directory) = copy.from {
        moved::refuse(directory, Some(&place))?;
    }
    if let Location::Sqlite(directory) = copy.to {
        moved::refuse(directory, None)?;
    }
    let source = Side::source(copy.from).await?;
    let mut reading = source.snapshot().await?;
    if !copy.while_served {
        refuse_served(&source, &mut reading, now).await?;
    }
    let target = Side::target(copy.to).await?;
    begin(&target, &source.shown, now).await?;
    let mut copied = Vec::new();
    for table in &COPIED {
        let Some(columns) = columns(&source, &mut reading, &target, table).await? else { continue };
        let moved = move_rows(&mut reading, &target, table, &columns, progress).await?;
        compare(&target, table, &columns, moved).await?;
        if table.numbered {
            let highest = source.highest(&mut reading, table.name).await?;
            target.go_on_after(table.name, highest).await?;
        }
        copied.push(CopiedTable { name: table.name, rows: moved.rows });
    }
    reading.rollback().await?;
    // First: at no moment may both be served.
    if let (Location::Sqlite(directory), false) = (copy.from, copy.while_served) {
        moved::mark(directory, &place)?;
    }
    finish(&target).await?;
    source.close().await;
    target.close().await;
    Ok(copied)
}

/// The store is whole, and no copy into it was cut short.
///
/// # Errors
/// [`StoreError::HalfCopied`]; or the database fails.
pub(crate) async fn refuse_half(conn: &mut Conn) -> Result<(), StoreError> {
    let source: Option<String> = sql::query_scalar(HALF).fetch_optional(conn).await?;
    source.map_or(Ok(()), |source| Err(StoreError::HalfCopied(source)))
}

/// Who serves a PostgreSQL store has said so lately, or has a lease. Of SQLite the lock file is held.
async fn refuse_served(source: &Side, conn: &mut Conn, now: Time) -> Result<(), BackupError> {
    if source.is_locked() {
        return Ok(());
    }
    match nodes(source, conn, now).await?.first() {
        None => Ok(()),
        Some(node) => Err(BackupError::Served(format!(
            "node {} serves it (last seen {}); stop every node first; one that was killed counts for ten minutes",
            node.node,
            node.seen.format("%H:%M:%S UTC")
        ))),
    }
}

/// The nodes that said lately that they serve this PostgreSQL store; one that was killed is among them for ten minutes. None of
/// SQLite, whose one process is seen by [`crate::Store::is_open`].
///
/// # Errors
/// [`BackupError`]: the database cannot be asked.
pub async fn serving(location: &Location, now: Time) -> Result<Vec<KeyringNode>, BackupError> {
    if matches!(location, Location::Sqlite(_)) {
        return Ok(vec![]);
    }
    let side = Side::source(location).await?;
    let mut conn = side.snapshot().await?;
    let nodes = nodes(&side, &mut conn, now).await?;
    conn.rollback().await?;
    side.close().await;
    Ok(nodes)
}

async fn nodes(side: &Side, conn: &mut Conn, now: Time) -> Result<Vec<KeyringNode>, BackupError> {
    match side.has(conn, "keyring_node").await? {
        true => Ok(keynode::all(conn, now).await?),
        false => Ok(vec![]),
    }
}

/// Marks the target, and empties it of what a migration or an earlier copy has put there.
async fn begin(target: &Side, source: &str, now: Time) -> Result<(), BackupError> {
    let mut w = target.write().await?;
    let is_marked = refuse_half(&mut w).await.is_err();
    if !is_marked {
        for table in FILLED {
            let count: i64 = sql::query_scalar(table).fetch_one(&mut w).await.map_err(StoreError::from)?;
            if count > 0 {
                return Err(BackupError::NotEmpty(target.shown.clone()));
            }
        }
    }
    let query = sql::query(MARK).bind(source).bind(ms(now));
    query.execute(&mut w).await.map_err(StoreError::from)?;
    w.commit().await?;
    for table in COPIED.iter().rev() {
        let mut w = target.write().await?;
        if target.has(&mut w, table.name).await? {
            sql::query(fixed(format!("DELETE FROM {}", table.name))).execute(&mut w).await.map_err(StoreError::from)?;
        }
        w.commit().await?;
    }
    Ok(())
}

async fn finish(target: &Side) -> Result<(), BackupError> {
    let mut w = target.write().await?;
    sql::query(UNMARK).execute(&mut w).await.map_err(StoreError::from)?;
    Ok(w.commit().await?)
}

/// The columns of a table that the source has; None: it has none of this name. The target has all of them, or nothing is copied.
async fn columns(
    source: &Side,
    reading: &mut Conn,
    target: &Side,
    table: &Table,
) -> Result<Option<Vec<String>>, BackupError> {
    if !source.has(reading, table.name).await? {
        return Ok(None);
    }
    let mut w = target.write().await?;
    let (here, there) = (source.columns(reading, table.name).await?, target.columns(&mut w, table.name).await?);
    w.rollback().await?;
    match here.iter().find(|column| !there.contains(column)) {
        Some(column) => Err(BackupError::Differs(format!(
            "table {} has a column {column} which this binary does not know: use the one that served it last",
            table.name
        ))),
        None => Ok(Some(here)),
    }
}

/// Every row of a table, batch by batch.
async fn move_rows(
    reading: &mut Conn,
    target: &Side,
    table: &Table,
    columns: &[String],
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Tally, BackupError> {
    let (mut tally, mut after) = (Tally::default(), None);
    loop {
        let mut rows = page(reading, table, columns, after.as_deref()).await?;
        let Some(last) = rows.last() else { return Ok(tally) };
        after = Some(key_of(table, columns, last));
        for row in &mut rows {
            blank(table, columns, row);
            tally.add(row);
        }
        let mut w = target.write().await?;
        let mut query = sql::query(insert(table, columns, rows.len()));
        for cell in rows.iter().flat_map(|row| &row.0) {
            query = query.bind(cell.bound());
        }
        query.execute(&mut w).await.map_err(StoreError::from)?;
        w.commit().await?;
        progress(table.name, tally.rows);
    }
}

/// What is in the target now is what was read.
async fn compare(target: &Side, table: &Table, columns: &[String], moved: Tally) -> Result<(), BackupError> {
    let mut w = target.snapshot().await?;
    let (mut tally, mut after) = (Tally::default(), None);
    loop {
        let rows = page(&mut w, table, columns, after.as_deref()).await?;
        let Some(last) = rows.last() else { break };
        after = Some(key_of(table, columns, last));
        rows.iter().for_each(|row| tally.add(row));
    }
    w.rollback().await?;
    if tally == moved {
        return Ok(());
    }
    Err(BackupError::Differs(format!(
        "table {}: {} rows were read and {} are there, or their content is another one",
        table.name, moved.rows, tally.rows
    )))
}

async fn page(
    conn: &mut Conn,
    table: &Table,
    columns: &[String],
    after: Option<&[Cell]>,
) -> Result<Vec<Cells>, BackupError> {
    let mut query = sql::query_as(select(table, columns, after.is_some()));
    for cell in after.unwrap_or_default() {
        query = query.bind(cell.bound());
    }
    Ok(query.bind(BATCH).fetch_all(conn).await.map_err(StoreError::from)?)
}

fn key_of(table: &Table, columns: &[String], row: &Cells) -> Vec<Cell> {
    let at = |name: &&str| columns.iter().position(|column| column == name);
    table.key.iter().filter_map(at).filter_map(|at| row.0.get(at).cloned()).collect()
}

fn blank(table: &Table, columns: &[String], row: &mut Cells) {
    for (cell, column) in row.0.iter_mut().zip(columns) {
        if table.blank.contains(&column.as_str()) {
            *cell = cell.blank();
        }
    }
}

fn select(table: &Table, columns: &[String], goes_on: bool) -> &'static str {
    let key = table.key.join(", ");
    let after = match goes_on {
        true => format!(" WHERE ({key}) > ({})", numbers(0, table.key.len())),
        false => String::new(),
    };
    let limit = if goes_on { table.key.len() + 1 } else { 1 };
    fixed(format!("SELECT {} FROM {}{after} ORDER BY {key} LIMIT ${limit}", columns.join(", "), table.name))
}

fn insert(table: &Table, columns: &[String], rows: usize) -> &'static str {
    let row = |at: usize| format!("({})", numbers(at * columns.len(), columns.len()));
    let values: Vec<String> = (0..rows).map(row).collect();
    fixed(format!("INSERT INTO {} ({}) VALUES {}", table.name, columns.join(", "), values.join(", ")))
}

/// `$4, $5, $6` after three.
fn numbers(after: usize, count: usize) -> String {
    let numbers: Vec<String> = (after + 1..=after + count).map(|number| format!("${number}")).collect();
    numbers.join(", ")
}

/// Statements live as long as the process: a few for each table, in one that ends when it has copied. Their names come from our
/// list and our schema.
fn fixed(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

const HALF: &str = "-- copy::refuse_half
SELECT source FROM store_copy WHERE id = 1";

const MARK: &str = "-- copy::begin
INSERT INTO store_copy (id, source, began_ms) VALUES (1, $1, $2)
ON CONFLICT (id) DO UPDATE SET source = excluded.source, began_ms = excluded.began_ms";

const UNMARK: &str = "-- copy::finish
DELETE FROM store_copy WHERE id = 1";

/// What nobody has who has not served anything.
const FILLED: [&str; 4] = [
    "-- copy::begin (check)\nSELECT COUNT(*) FROM store_check",
    "-- copy::begin (secrets)\nSELECT COUNT(*) FROM secret",
    "-- copy::begin (access keys)\nSELECT COUNT(*) FROM access_key",
    "-- copy::begin (rotators)\nSELECT COUNT(*) FROM rotator",
];
