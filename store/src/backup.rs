//! A copy of a SQLite store as one file, made while another process serves it: all of one moment, checked before it has its name.
//!
//! Never here: the keyring, without which the copy opens nothing. It is kept apart.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crypto::KeyId;
use engine::Time;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::copy::{Copy, copy};
use crate::lock::Locked;
use crate::model::{Location, PostgresUrl};
use crate::open::DATABASE;
use crate::{OpenError, StoreError, moved};

/// How long the copy waits for a writer.
const BUSY: Duration = Duration::from_secs(30);

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file of this name already, which is never overwritten.
    #[error("{0} is there already and is not overwritten: choose another name")]
    Exists(PathBuf),
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was found is no store, or no whole one.
    #[error("{path} is no whole store: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A process serves the store.
    #[error("{0} is served by another process: stop that first")]
    InUse(PathBuf),
    /// A store is there, and nobody said that it is to be replaced.
    #[error("there is a store in {0}: with --replace it is put beside the one that is restored, and kept")]
    Occupied(PathBuf),
    /// The store was copied elsewhere, and that one is served.
    #[error("{}", crate::moved::said(.directory, .to))]
    Moved {
        /// Where it was.
        directory: PathBuf,
        /// Where it is, without a password.
        to: String,
    },
    /// A server is at work with the store that is to be copied.
    #[error("{0}")]
    Served(String),
    /// The store that is to be copied into has something in it.
    #[error("{0} has a store already: a store is copied into a new one")]
    NotEmpty(String),
    /// What was copied is not what was there.
    #[error("what was copied differs: {0}")]
    Differs(String),
    /// The keyring lacks keys that the backup needs. Nothing was changed.
    #[error(
        "the backup was sealed under key {}, which this keyring does not have: say --keyring with the copy of the keyring from then \
         (keyring.json.before, or an export); the keyring of another store opens nothing",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    KeysMissing(Vec<KeyId>),
    /// The store in the file could not be opened, or the keyring is not its own.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl BackupError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Secrets, those included that are to be deleted.
    pub secrets: u64,
    /// Their versions.
    pub versions: u64,
    /// Values that were sent to a target, or may have been.
    pub candidates: u64,
    /// How many bytes the file has.
    pub bytes: u64,
}

/// Writes a backup of the SQLite store in `directory` into the new file `to`, of mode 0600. Nobody who serves it is held up.
///
/// # Errors
/// [`BackupError`]; there is no file of that name then.
pub async fn backup(directory: &Path, to: &Path) -> Result<Contents, BackupError> {
    let database = directory.join(DATABASE);
    if !database.is_file() {
        return Err(BackupError::Damaged { path: database, what: "there is no such file".to_owned() });
    }
    Locked::whole(directory)?;
    moved::refuse(directory, None)?;
    if to.try_exists().map_err(BackupError::file(to))? {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let draft = beside(to, "part");
    fresh_file(&draft)?;
    let written = write(&database, &draft).await;
    let named = match written {
        Ok(contents) => name(&draft, to).map(|()| contents),
        Err(error) => Err(error),
    };
    // A leftover would be in nobody's way, and hold values all the same.
    let removed = fs::remove_file(&draft);
    let contents = named?;
    removed.map_err(BackupError::file(&draft))?;
    Ok(contents)
}

/// The same of a PostgreSQL store: a SQLite store in one file, as `restore` takes it. What is in it is of one moment, whoever
/// goes on serving; `progress` is told each table and how many of its rows are there.
///
/// # Errors
/// [`BackupError`]; there is no file of that name then.
pub async fn backup_of_shared(
    url: &PostgresUrl,
    to: &Path,
    now: Time,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Contents, BackupError> {
    if to.try_exists().map_err(BackupError::file(to))? {
        return Err(BackupError::Exists(to.to_owned()));
    }
    // What a killed backup left holds values, and is of no use.
    let folder = beside(to, "copied");
    remove_folder(&folder)?;
    let (from, into) = (Location::Postgres(url.clone()), Location::Sqlite(folder.clone()));
    let copied = copy(Copy { from: &from, to: &into, while_served: true }, now, progress).await;
    let made = match copied {
        Ok(_) => backup(&folder, to).await,
        Err(error) => Err(error),
    };
    let removed = remove_folder(&folder);
    let contents = made?;
    removed?;
    Ok(contents)
}

fn remove_folder(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::file(folder)(error)),
        _ => Ok(()),
    }
}

async fn write(database: &Path, draft: &Path) -> Result<Contents, BackupError> {
    let pool = connect(database, true).await?;
    let path = draft.to_str().ok_or_else(|| BackupError::Damaged {
        path: draft.to_owned(),
        what: "the name of a backup is text in UTF-8".to_owned(),
    })?;
    sqlx::query(COPY).bind(path).execute(&pool).await?;
    pool.close().await;
    let copy = connect(draft, true).await?;
    let contents = look_over(&copy, draft).await;
    copy.close().await;
    contents
}

/// On disk first, then named; a file that came there meanwhile stays.
fn name(draft: &Path, to: &Path) -> Result<(), BackupError> {
    File::open(draft).and_then(|file| file.sync_all()).map_err(BackupError::file(draft))?;
    fs::hard_link(draft, to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => BackupError::File { path: to.to_owned(), source: error },
    })?;
    sync_folder_of(to)
}

/// A connection to a file that no store serves, or beside one that does.
pub(crate) async fn connect(database: &Path, read_only: bool) -> Result<SqlitePool, BackupError> {
    let mut options = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY).read_only(read_only);
    if !read_only {
        options =
            options.journal_mode(SqliteJournalMode::Delete).synchronous(SqliteSynchronous::Full).foreign_keys(true);
    }
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
    pool.map_err(|error| damaged(database, &error.into()))
}

/// Whether the file is whole and a store, and what is in it.
pub(crate) async fn look_over(pool: &SqlitePool, path: &Path) -> Result<Contents, BackupError> {
    let said: Result<String, _> = sqlx::query_scalar(INTEGRITY).fetch_one(pool).await;
    match said {
        Ok(said) if said == "ok" => {}
        Ok(said) => return Err(BackupError::Damaged { path: path.to_owned(), what: said }),
        Err(error) => return Err(damaged(path, &error.into())),
    }
    let counted: Result<(i64, i64, i64, i64), _> = sqlx::query_as(COUNTS).fetch_one(pool).await;
    let (check, secrets, versions, candidates) = counted.map_err(|error| damaged(path, &error.into()))?;
    if check != 1 {
        return Err(BackupError::Damaged { path: path.to_owned(), what: "it has no check row".to_owned() });
    }
    let bytes = fs::metadata(path).map_err(BackupError::file(path))?.len();
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Contents { secrets: count(secrets), versions: count(versions), candidates: count(candidates), bytes })
}

fn damaged(path: &Path, error: &StoreError) -> BackupError {
    BackupError::Damaged { path: path.to_owned(), what: crate::causes(error) }
}

/// An empty file of mode 0600; what an earlier attempt left is removed.
pub(crate) fn fresh_file(path: &Path) -> Result<File, BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(BackupError::file(path)(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(BackupError::file(path))
}

/// `NAME.what` in the same folder.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    path.with_file_name(name)
}

pub(crate) fn sync_folder_of(path: &Path) -> Result<(), BackupError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::file(folder))
}

const COPY: &str = "VACUUM INTO $1";

const INTEGRITY: &str = "PRAGMA integrity_check(1)";

const COUNTS: &str = "-- backup::look_over
SELECT (SELECT COUNT(*) FROM store_check), (SELECT COUNT(*) FROM secret), (SELECT COUNT(*) FROM version),
       (SELECT COUNT(*) FROM candidate)";
