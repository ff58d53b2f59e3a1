//! Verifying a trail: every link of the chain, across its segments.
//!
//! What is found holds for what is there. Whether the end was cut off, only a head that was kept elsewhere can tell.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::chain::{Broken, Link, check, follows};
use super::file::{first_of, segments};
use super::search::Entry;

/// What a trail that holds is.
#[derive(Debug, Default)]
pub struct Sound {
    /// How many segments.
    pub segments: usize,
    /// How many records.
    pub records: u64,
    /// The number of the first record that is there; more than 1 where older segments were taken away.
    pub begins_at: Option<u64>,
    /// When the first and the last record were made.
    pub times: Option<(String, String)>,
    /// The last record: its number, and the hash to keep elsewhere.
    pub head: Option<Link>,
    /// Bytes of an unfinished last line: a server is writing it, or was killed.
    pub unfinished: u64,
    /// The number of the record whose hash was asked for, where it is in the chain.
    pub kept_head: Option<u64>,
}

/// Why a trail does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The first record that is not right.
    #[error("{}:{line}: {why}", file.display())]
    Record {
        /// In this segment.
        file: PathBuf,
        /// On this line.
        line: u64,
        /// What is wrong.
        why: Broken,
    },
    /// A segment does not begin with the record of its name.
    #[error("{}: the segment does not begin with the record of its name", .0.display())]
    Renamed(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", file.display())]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Checks every record of a folder, and looks for the one whose hash is `head`.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(folder: &Path, head: Option<&str>) -> Result<Sound, Fault> {
    let files = segments(folder).map_err(|error| Fault::Unreadable { file: folder.to_owned(), error })?;
    let mut walk = Walk { sound: Sound { segments: files.len(), ..Sound::default() }, last: None, head };
    for (n, file) in files.iter().enumerate() {
        walk.segment(file, n + 1 == files.len())?;
    }
    walk.sound.head = walk.last.filter(|_| walk.sound.records > 0);
    Ok(walk.sound)
}

/// Where the check stands.
struct Walk<'a> {
    sound: Sound,
    last: Option<Link>,
    head: Option<&'a str>,
}

impl Walk<'_> {
    fn segment(&mut self, path: &Path, is_last: bool) -> Result<(), Fault> {
        let unreadable = |error| Fault::Unreadable { file: path.to_owned(), error };
        let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
        let (mut line, mut number) = (vec![], 0);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                return Ok(());
            }
            number += 1;
            let fault = |why| Fault::Record { file: path.to_owned(), line: number, why };
            match line.strip_suffix(b"\n") {
                Some(line) => {
                    self.record(path, line, number == 1).map_err(fault)?;
                    if number == 1 && self.last.map(|last| last.seq) != first_of(path) {
                        return Err(Fault::Renamed(path.to_owned()));
                    }
                }
                None if is_last => self.sound.unfinished = line.len() as u64,
                None => return Err(fault(Broken::Form)),
            }
        }
    }

    fn record(&mut self, path: &Path, line: &[u8], is_first: bool) -> Result<(), Broken> {
        let checked = check(line)?;
        let last = match self.last {
            Some(last) => last,
            // Record 1 follows nothing; with older segments gone, any record may be the first.
            None if checked.link.seq == 1 => Link::NONE,
            None if is_first && first_of(path) == Some(checked.link.seq) => {
                Link { seq: checked.link.seq - 1, hash: checked.prev }
            }
            None => return Err(Broken::Sequence { expected: 1, found: checked.link.seq }),
        };
        follows(&checked, last)?;
        self.last = Some(checked.link);
        self.count(line, checked.link);
        Ok(())
    }

    fn count(&mut self, line: &[u8], link: Link) {
        let sound = &mut self.sound;
        sound.records += 1;
        sound.begins_at.get_or_insert(link.seq);
        if self.head.is_some_and(|head| head.eq_ignore_ascii_case(&link.head())) {
            sound.kept_head = Some(link.seq);
        }
        let at = Entry::parse(line).map(|entry| entry.at).unwrap_or_default();
        let first = sound.times.take().map_or_else(|| at.clone(), |(first, _)| first);
        sound.times = Some((first, at));
    }
}
