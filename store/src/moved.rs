//! The mark in a data folder whose store was copied elsewhere: each would rotate the same accounts, so the one that is left
//! behind is served by nobody. Removing the file goes back.
//!
//! Never here: the copy (`copy.rs`), the mark of a restore that was cut short (`lock.rs`).

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::backup::{BackupError, fresh_file, sync_folder_of};
use crate::model::Location;

/// Says where the store is now, without a password.
pub(crate) const MOVED_TO: &str = "moved-to";

/// Where a store is, as the mark says it.
pub(crate) fn place(location: &Location) -> String {
    match location {
        Location::Sqlite(directory) => {
            std::path::absolute(directory).unwrap_or_else(|_| directory.clone()).display().to_string()
        }
        Location::Postgres(_) => location.to_string(),
    }
}

/// The store in this folder was copied to `place`.
pub(crate) fn mark(directory: &Path, place: &str) -> Result<(), BackupError> {
    let path = directory.join(MOVED_TO);
    let mut file = fresh_file(&path)?;
    let written = file.write_all(format!("{place}\n").as_bytes()).and_then(|()| file.sync_all());
    written.map_err(BackupError::file(&path))?;
    sync_folder_of(&path)
}

/// Where the store of this folder was copied to; None: it is the one that is served.
pub(crate) fn place_of(directory: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(directory.join(MOVED_TO)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The store of this folder is the one that is served, or was copied to `place` and nowhere else.
///
/// # Errors
/// [`BackupError::Moved`], or the mark cannot be read.
pub(crate) fn refuse(directory: &Path, place: Option<&str>) -> Result<(), BackupError> {
    let found = place_of(directory).map_err(BackupError::file(&directory.join(MOVED_TO)))?;
    match found {
        Some(to) if place != Some(to.as_str()) => Err(BackupError::Moved { directory: directory.to_owned(), to }),
        _ => Ok(()),
    }
}

/// What to do about it.
pub(crate) fn said(directory: &Path, to: &str) -> String {
    format!(
        "the store in {} was moved to {to}, which is the one to use (PAWL_STORE, --data); to go back, stop whoever serves that and \
         remove {}",
        directory.display(),
        directory.join(MOVED_TO).display()
    )
}
