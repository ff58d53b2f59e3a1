//! A backup put in the place of a SQLite store. Everything is tried on a copy before anything is touched; what was there is kept
//! beside; and the store is verify-only from its first moment.
//!
//! Never here: what a restored store does about accounts it is older than (`hold.rs`, `src/looks.rs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crypto::Keyring;
use engine::Time;

use crate::backup::{BackupError, Contents, beside, connect, fresh_file, look_over, sync_folder_of};
use crate::instant::ms;
use crate::lock::{Locked, mark_in};
use crate::open::{DATABASE, private_file};
use crate::sql::{Conn, Held};
use crate::{OpenError, check, mode, rewrap, sql};

/// What SQLite keeps beside a database.
const SIDECARS: [&str; 2] = ["-wal", "-shm"];

/// What is restored, and where.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// The backup. It is only read.
    pub from: &'a Path,
    /// The data folder.
    pub to: &'a Path,
    /// A store that is there is put beside, and kept.
    pub replace: bool,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What is in it.
    pub contents: Contents,
    /// Where the store is that was there before.
    pub kept: Option<PathBuf>,
}

/// Restores a backup.
///
/// # Errors
/// [`BackupError`]. Nothing in the folder has changed; or, where files could not be exchanged, nobody serves what is there until
/// it is restored again.
pub async fn restore(restore: Restore<'_>, keyring: &Keyring, now: Time) -> Result<Restored, BackupError> {
    let Restore { from, to, replace } = restore;
    let _locked = Locked::take(to)?;
    crate::moved::refuse(to, None)?;
    let database = to.join(DATABASE);
    let was_cut_short = Locked::whole(to).is_err();
    let is_there = fs::metadata(&database).is_ok_and(|meta| meta.len() > 0);
    if is_there && !replace {
        return Err(BackupError::Occupied(to.to_owned()));
    }
    refuse_live(from)?;
    let draft = beside(&database, "draft");
    let prepared = prepare(from, &draft, keyring, now).await;
    let contents = match prepared {
        Ok(contents) => contents,
        Err(error) => {
            // It holds values, and is nobody's.
            let _gone = fs::remove_file(&draft);
            return Err(error);
        }
    };
    let kept = exchange(&database, &draft, is_there || was_cut_short, now)?;
    Ok(Restored { contents, kept })
}

/// The file of a running or crashed server is not whole without what is beside it.
fn refuse_live(from: &Path) -> Result<(), BackupError> {
    let log = sidecar(from, "-wal");
    match fs::metadata(&log) {
        Ok(meta) if meta.len() > 0 => Err(BackupError::Damaged {
            path: from.to_owned(),
            what: format!(
                "{} is beside it: this is the file of a running store, and `pawl store backup` makes a whole one",
                log.display()
            ),
        }),
        _ => Ok(()),
    }
}

/// A copy of the backup, brought up to date, proven to open, and verify-only.
async fn prepare(from: &Path, draft: &Path, keyring: &Keyring, now: Time) -> Result<Contents, BackupError> {
    let mut copy = fresh_file(draft)?;
    let mut source = fs::File::open(from).map_err(BackupError::file(from))?;
    io::copy(&mut source, &mut copy).and_then(|_| copy.sync_all()).map_err(BackupError::file(draft))?;
    let looked = connect(draft, true).await?;
    let contents = look_over(&looked, from).await;
    looked.close().await;
    let contents = contents?;
    let pool = connect(draft, false).await?;
    let mut migrations = sqlx::migrate!("migrations/sqlite");
    let migrated = migrations.set_ignore_missing(true).run(&pool).await;
    migrated.map_err(OpenError::from)?;
    let mut conn = Conn::Sqlite(Held::plain(pool.acquire().await?));
    let sealing = check::get(&mut conn).await?.map_or(Ok(keyring.primary_id()), |row| row.key())?;
    let uses = rewrap::uses_of(&mut conn, sealing, keyring.key_ids()).await?;
    let missing: Vec<_> = uses.into_iter().filter(|one| one.is_needed() && !one.at_hand).map(|one| one.id).collect();
    if !missing.is_empty() {
        return Err(BackupError::KeysMissing(missing));
    }
    check::belongs(&mut conn, keyring).await?;
    let reason = format!("restored at {} from a backup", now.format("%Y-%m-%d %H:%M:%S UTC"));
    mode::enter(&mut conn, &reason, now).await?;
    for statement in [LEASES, NODES] {
        sql::query(statement).execute(&mut conn).await?;
    }
    drop(conn);
    pool.close().await;
    fs::File::open(draft).and_then(|file| file.sync_all()).map_err(BackupError::file(draft))?;
    Ok(contents)
}

/// Puts the new file in its place and keeps the old ones. Cut short, it leaves a mark, and nobody serves what is there.
fn exchange(database: &Path, draft: &Path, is_there: bool, now: Time) -> Result<Option<PathBuf>, BackupError> {
    let folder = database.parent().unwrap_or(Path::new("."));
    let mark = mark_in(folder);
    // One that is there stays: at no moment is there none.
    private_file(&mark).and_then(|file| file.sync_all()).map_err(BackupError::file(&mark))?;
    sync_folder_of(database)?;
    let kept = is_there.then(|| beside(database, &format!("before-{}", ms(now))));
    if let Some(kept) = &kept {
        for (old, new) in SIDECARS.map(|end| (sidecar(database, end), sidecar(kept, end))) {
            moved(&old, &new)?;
        }
        moved(database, kept)?;
    }
    // What an empty file left beside it must not be taken for the new one's.
    for end in SIDECARS {
        removed(&sidecar(database, end))?;
    }
    fs::rename(draft, database).map_err(BackupError::file(database))?;
    sync_folder_of(database)?;
    removed(&mark)?;
    sync_folder_of(database)?;
    Ok(kept.filter(|kept| kept.exists()))
}

fn moved(old: &Path, new: &Path) -> Result<(), BackupError> {
    match fs::rename(old, new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::file(old)(error)),
        _ => Ok(()),
    }
}

fn removed(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::file(path)(error)),
        _ => Ok(()),
    }
}

fn sidecar(database: &Path, end: &str) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(end);
    database.with_file_name(name)
}

// Who had them is gone, and so is the lock of the folder.
const LEASES: &str = "-- restore::prepare (leases)
UPDATE rotation SET lease_owner = NULL, lease_boot = NULL, lease_until_ms = NULL, lease_ms = NULL";

const NODES: &str = "-- restore::prepare (nodes)
DELETE FROM keyring_node";
