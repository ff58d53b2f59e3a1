//! The store's files as they are when the power goes: at its last synced commit, without the ordered ones after it. Which
//! commits are synced is said in `store/src/lease.rs`. Never here: what a lost commit means.

use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 2] = ["pawl.db", "pawl.db-wal"];

pub(crate) struct Disk {
    data: PathBuf,
    kept: PathBuf,
    /// A world whose power never goes needs no copies.
    loses_power: bool,
}

impl Disk {
    pub(crate) fn new(dir: &Path, loses_power: bool) -> Self {
        let (data, kept) = (dir.join("data"), dir.join("kept"));
        fs::create_dir_all(&kept).unwrap();
        Self { data, kept, loses_power }
    }

    /// What has been committed is there for good. Nobody is writing just now.
    pub(crate) fn synced(&self) {
        if self.loses_power {
            copy(&self.data, &self.kept);
        }
    }

    /// The power has gone. The store is closed.
    pub(crate) fn lose(&self) {
        let _none = fs::remove_file(self.data.join("pawl.db-shm"));
        copy(&self.kept, &self.data);
    }
}

fn copy(from: &Path, to: &Path) {
    for file in FILES {
        match from.join(file).exists() {
            true => drop(fs::copy(from.join(file), to.join(file)).unwrap()),
            false => drop(fs::remove_file(to.join(file))),
        }
    }
}
