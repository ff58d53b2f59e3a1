//! The right to a data folder: its lock file, and the mark of a restore that was cut short.
//!
//! Never here: the database in it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::backup::BackupError;
use crate::open::LOCK;

/// There while the files of a store are being exchanged: what lies there is neither the old store nor the new one.
const CUT_SHORT: &str = "pawl.restoring";

/// A data folder that nobody else has, as long as this lives.
pub(crate) struct Locked {
    _file: File,
}

impl Locked {
    /// Makes the folder where it is not there, and locks it.
    ///
    /// # Errors
    /// [`BackupError::InUse`] where another process has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, BackupError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(BackupError::file(directory))?;
        let path = directory.join(LOCK);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(BackupError::file(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(BackupError::InUse(directory.to_owned())),
            Err(error) => Err(BackupError::file(&path)(error.into())),
        }
    }

    /// No restore into this folder was cut short.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] where one was, [`BackupError::File`] where that cannot be found out.
    pub(crate) fn whole(directory: &Path) -> Result<(), BackupError> {
        let mark = mark_in(directory);
        match mark.try_exists().map_err(BackupError::file(&mark))? {
            false => Ok(()),
            true => Err(BackupError::Damaged {
                path: directory.to_owned(),
                what: "a restore into it was cut short; run `pawl store restore --replace` again".to_owned(),
            }),
        }
    }
}

pub(crate) fn mark_in(directory: &Path) -> PathBuf {
    directory.join(CUT_SHORT)
}
