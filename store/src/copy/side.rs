//! One end of a copy: a database that nobody serves, and what is asked of it in its own dialect.
//!
//! Never here: rows (`rows.rs`), what is done with them.

use sqlx::SqlitePool;
use sqlx::postgres::PgPool;

use crate::backup::{BackupError, connect};
use crate::lock::Locked;
use crate::model::Location;
use crate::open::DATABASE;
use crate::sql::{Conn, Held};
use crate::{OpenError, StoreError, sql};

/// Everything that is read is of one moment.
const ONE_MOMENT: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A database, and the right to be alone with it where there is one.
pub(crate) struct Side {
    pool: Pool,
    /// As people know it.
    pub(crate) shown: String,
    lock: Option<Locked>,
}

enum Pool {
    Sqlite(SqlitePool),
    #[expect(dead_code, reason = "opened where a store may be a PostgreSQL database")]
    Postgres(PgPool),
}

impl Side {
    /// A store that is there. Of SQLite nobody else has it from now on.
    ///
    /// # Errors
    /// [`BackupError::InUse`], [`BackupError::Damaged`]; or it cannot be opened.
    pub(crate) async fn source(location: &Location) -> Result<Self, BackupError> {
        let Location::Sqlite(directory) = location;
        let database = directory.join(DATABASE);
        if !database.is_file() {
            return Err(BackupError::Damaged { path: database, what: "there is no such file".to_owned() });
        }
        let lock = Locked::take(directory)?;
        Locked::whole(directory)?;
        // Writing too: what a crashed server left beside the file is brought into it.
        let pool = connect(&database, false).await?;
        Ok(Self { pool: Pool::Sqlite(pool), shown: directory.display().to_string(), lock: Some(lock) })
    }

    /// The database that is copied into, made where there is none, its schema up to date.
    ///
    /// # Errors
    /// As [`Side::source`].
    pub(crate) async fn target(location: &Location) -> Result<Self, BackupError> {
        let Location::Sqlite(directory) = location;
        let lock = Locked::take(directory)?;
        Locked::whole(directory)?;
        let database = directory.join(DATABASE);
        crate::open::private_file(&database).map_err(BackupError::file(&database))?;
        let pool = connect(&database, false).await?;
        let mut migrations = sqlx::migrate!("migrations/sqlite");
        migrations.set_ignore_missing(true).run(&pool).await.map_err(OpenError::from)?;
        Ok(Self { pool: Pool::Sqlite(pool), shown: directory.display().to_string(), lock: Some(lock) })
    }

    /// Nobody else can serve it.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Everything that is read on this connection is of one moment.
    pub(crate) async fn snapshot(&self) -> Result<Conn, BackupError> {
        Ok(match &self.pool {
            Pool::Sqlite(pool) => Conn::Sqlite(Held::Tx(pool.begin().await?)),
            Pool::Postgres(pool) => Conn::Postgres(Held::Tx(pool.begin_with(ONE_MOMENT).await?)),
        })
    }

    /// A transaction that writes.
    pub(crate) async fn write(&self) -> Result<Conn, BackupError> {
        Ok(match &self.pool {
            Pool::Sqlite(pool) => Conn::Sqlite(Held::Tx(pool.begin_with("BEGIN IMMEDIATE").await?)),
            Pool::Postgres(pool) => Conn::Postgres(Held::Tx(pool.begin().await?)),
        })
    }

    /// Closes every connection.
    pub(crate) async fn close(self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    /// Has it a table of this name?
    pub(crate) async fn has(&self, conn: &mut Conn, table: &str) -> Result<bool, BackupError> {
        Ok(!self.columns(conn, table).await?.is_empty())
    }

    /// The names of a table's columns, in the order of their names.
    pub(crate) async fn columns(&self, conn: &mut Conn, table: &str) -> Result<Vec<String>, BackupError> {
        let text = match self.pool {
            Pool::Sqlite(_) => SQLITE_COLUMNS,
            Pool::Postgres(_) => POSTGRES_COLUMNS,
        };
        let mut names: Vec<String> =
            sql::query_scalar(text).bind(table).fetch_all(conn).await.map_err(StoreError::from)?;
        names.sort();
        Ok(names)
    }

    /// The highest number the sequence of a table has given; 0: none yet.
    pub(crate) async fn highest(&self, conn: &mut Conn, table: &str) -> Result<i64, BackupError> {
        let text = match self.pool {
            Pool::Sqlite(_) => SQLITE_HIGHEST,
            Pool::Postgres(_) => POSTGRES_HIGHEST,
        };
        let highest: Option<Option<i64>> =
            sql::query_scalar(text).bind(table).fetch_optional(conn).await.map_err(StoreError::from)?;
        Ok(highest.flatten().unwrap_or(0))
    }

    /// Numbers of this table are given after this one from now on: none is given twice.
    pub(crate) async fn go_on_after(&self, table: &str, highest: i64) -> Result<(), BackupError> {
        if highest == 0 {
            return Ok(());
        }
        let mut w = self.write().await?;
        let failed = StoreError::from;
        match self.pool {
            Pool::Sqlite(_) => {
                sql::query(SQLITE_FORGET).bind(table).execute(&mut w).await.map_err(failed)?;
                sql::query(SQLITE_GO_ON).bind(table).bind(highest).execute(&mut w).await.map_err(failed)?;
            }
            Pool::Postgres(_) => {
                let query = sql::query_scalar::<i64>(POSTGRES_GO_ON).bind(table).bind(highest);
                query.fetch_one(&mut w).await.map_err(failed)?;
            }
        }
        Ok(w.commit().await?)
    }
}

const SQLITE_COLUMNS: &str = "-- side::columns (sqlite)
SELECT name FROM pragma_table_info($1)";

const POSTGRES_COLUMNS: &str = "-- side::columns (postgres)
SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1";

const SQLITE_HIGHEST: &str = "-- side::highest (sqlite)
SELECT seq FROM sqlite_sequence WHERE name = $1";

const POSTGRES_HIGHEST: &str = "-- side::highest (postgres)
SELECT pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass)";

const SQLITE_FORGET: &str = "-- side::go_on_after (sqlite, forget)
DELETE FROM sqlite_sequence WHERE name = $1";

const SQLITE_GO_ON: &str = "-- side::go_on_after (sqlite)
INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";

const POSTGRES_GO_ON: &str = "-- side::go_on_after (postgres)
SELECT setval(pg_get_serial_sequence($1, 'id'), $2)";
