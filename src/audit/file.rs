//! The trail's files: segments in a folder, each named by the number of its first record.
//!
//! Appends, syncs and cuts. Never here: what a record says, or what is done about a disk that fails.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::chain::{Checked, Link, check, follows};

const ENDING: &str = ".jsonl";

/// The folder of a trail that this process alone writes.
pub(super) struct Folder {
    path: PathBuf,
    /// Its lock ends with the process, however that ends.
    _lock: File,
}

/// The segment that is written.
pub(super) struct Segment {
    file: File,
    path: PathBuf,
}

/// Where a trail ends.
pub(super) struct End {
    /// The segment to go on in.
    pub(super) segment: Segment,
    /// Its length.
    pub(super) length: u64,
    /// The last record.
    pub(super) link: Link,
    /// How many bytes were cut off: an unfinished line, or all from a hole on.
    pub(super) cut: u64,
}

/// The segments of a folder, oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if first_of(&path).is_some() {
            found.push(path);
        }
    }
    // The numbers have one width, so their texts sort as they do.
    found.sort();
    Ok(found)
}

/// The number of a segment's first record, by its name.
#[must_use]
pub fn first_of(segment: &Path) -> Option<u64> {
    let number = segment.file_name()?.to_str()?.strip_suffix(ENDING)?;
    (number.len() == 12).then(|| number.parse().ok())?
}

impl Folder {
    /// Makes the folder where it is not there, and takes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = File::open(path)?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                io::Error::other("another `pawl serve` uses this folder; give each node a data folder of its own")
            }
            std::fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Finds the end of the trail, and cuts off what a killed server or a power cut left behind it.
    pub(super) fn end(&self) -> io::Result<End> {
        let Some(path) = segments(&self.path)?.pop() else { return self.begin(Link::NONE, 0) };
        let bytes = std::fs::read(&path)?;
        let (whole, torn) = bytes.split_at(whole_length(&bytes));
        let (length, cut) = (whole.len() as u64, torn.len() as u64);
        let segment = Segment::append_to(path)?;
        if cut > 0 {
            segment.keep_torn(length, torn)?;
            segment.cut(length)?;
            segment.sync()?;
        }
        match self.last_of(&segment.path, whole)? {
            Some(link) => Ok(End { segment, length, link, cut }),
            // What is there stays as it is, for whoever wants to know what happened to it.
            None => self.begin(self.past(&segment.path, whole), cut),
        }
    }

    /// A new, empty segment for the record after `link`.
    pub(super) fn begin(&self, link: Link, cut: u64) -> io::Result<End> {
        let path = self.path.join(format!("{:012}{ENDING}", link.seq + 1));
        let segment = Segment::append_to(path)?;
        if segment.length()? > 0 {
            return Err(io::Error::other(format!("{} is there already", segment.path.display())));
        }
        // Its name is to be as durable as what will stand in it.
        File::open(&self.path)?.sync_all()?;
        Ok(End { segment, length: 0, link, cut })
    }

    /// The last record of the last segment, or of the one before where that is still empty; None where it does not hold.
    fn last_of(&self, path: &Path, bytes: &[u8]) -> io::Result<Option<Link>> {
        if let Some(line) = last_line(bytes) {
            return Ok(check(line).ok().map(|line| line.link));
        }
        let before = segments(&self.path)?.into_iter().rev().find(|segment| segment.as_path() < path);
        let Some(before) = before else { return Ok(first_of(path).filter(|first| *first == 1).map(|_| Link::NONE)) };
        let link = last_line(&std::fs::read(before)?).and_then(|line| check(line).ok()).map(|line| line.link);
        Ok(link.filter(|link| Some(link.seq + 1) == first_of(path)))
    }

    /// A number past everything that stands in a segment whose end does not hold. No record can follow such an end, so
    /// verifying finds the place for ever.
    fn past(&self, path: &Path, bytes: &[u8]) -> Link {
        tracing::error!(path = %path.display(), "the audit trail's last record was changed; see `pawl audit verify`");
        let lines = bytes.split(|byte| *byte == b'\n');
        let highest = lines.clone().filter_map(|line| check(line).ok()).map(|line: Checked| line.link.seq).max();
        let first = first_of(path).unwrap_or(1);
        Link { seq: highest.unwrap_or(first).max(first) + lines.count() as u64, hash: [0; 32] }
    }
}

impl Segment {
    fn append_to(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Puts what was written on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.is_removed()? { Err(io::Error::other("the segment was removed")) } else { Ok(()) }
    }

    /// Whether somebody removed it: what is written to it is on no disk then.
    pub(super) fn is_removed(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() == 0)
    }

    /// Takes back what stands behind `length`; nothing where there is less.
    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        if self.length()? > length { self.file.set_len(length) } else { Ok(()) }
    }

    /// Puts aside what is about to be cut off, unless it is only an unfinished line: whole records may stand behind a hole.
    fn keep_torn(&self, length: u64, torn: &[u8]) -> io::Result<()> {
        if !torn.contains(&b'\n') {
            return Ok(());
        }
        let path = self.path.with_extension(format!("torn-{length}"));
        tracing::error!(path = %path.display(), "the audit trail's end was torn; what stood behind the tear was put aside");
        let mut aside = Self::append_to(path)?;
        aside.write(torn)?;
        aside.sync()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Where a segment was torn: at the first line that is no JSON at all (a power cut leaves holes of zero bytes in what was not
/// synced), or behind the last line feed. A record that was changed, or does not follow the one before it, is no tear: then
/// nothing but an unfinished line is cut off.
fn whole_length(bytes: &[u8]) -> usize {
    let lines_end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (mut at, mut last): (usize, Option<Link>) = (0, None);
    for line in bytes[..lines_end].split_inclusive(|byte| *byte == b'\n') {
        let text = &line[..line.len() - 1];
        match check(text) {
            Ok(checked) if last.is_none_or(|last| follows(&checked, last).is_ok()) => last = Some(checked.link),
            Err(_) if serde_json::from_slice::<IgnoredAny>(text).is_err() => return at,
            _ => return lines_end,
        }
        at += line.len();
    }
    lines_end
}

/// The last line of complete ones, without its line feed.
fn last_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    bytes[..end].rsplit(|byte| *byte == b'\n').next()
}
