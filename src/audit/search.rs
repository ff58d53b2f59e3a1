//! Reading a trail: records as they stand in the files, those that a filter lets through, the newest, and new ones.
//!
//! Works while a server writes: a line counts when its line feed is there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta};
use engine::Time;
use serde::Deserialize;

use super::file::segments;

/// A record as it is read. Members of later versions are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// When it ended, RFC 3339.
    pub at: String,
    /// The kind of event.
    pub kind: String,
    /// The request.
    pub request_id: Option<String>,
    /// Who.
    pub principal: Option<String>,
    /// With which key.
    pub access_key_id: Option<String>,
    /// The key that this one, a session's, was made with.
    pub parent_key_id: Option<String>,
    /// From where.
    pub source: Option<String>,
    /// What.
    pub operation: Option<String>,
    /// To which secret.
    pub secret: Option<String>,
    /// What else it is about: an access key.
    pub about: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The code behind a step's verdict.
    pub code: Option<String>,
    /// How long it took.
    pub took_us: Option<u64>,
    /// Records lost, or bytes cut off.
    pub count: Option<u64>,
}

impl Entry {
    /// The record of a line; None where it is none.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Which records are wanted: those that fit all that is said.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// A secret's name or ARN.
    pub secret: Option<String>,
    /// A principal, or an access key id; a session also by the key it was made with.
    pub principal: Option<String>,
    /// An operation or a step.
    pub operation: Option<String>,
    /// `ok`, an error's code, a verdict or its code.
    pub outcome: Option<String>,
    /// Not before.
    pub since: Option<Time>,
    /// Not after.
    pub until: Option<Time>,
    /// One request.
    pub request_id: Option<String>,
}

impl Filter {
    /// Whether it lets this record through.
    #[must_use]
    pub fn takes(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &[&Option<String>]| match wanted {
            None => true,
            Some(wanted) => found.iter().any(|found| found.as_deref() == Some(wanted.as_str())),
        };
        is(&self.principal, &[&entry.principal, &entry.access_key_id, &entry.parent_key_id])
            && is(&self.operation, &[&entry.operation])
            && is(&self.outcome, &[&entry.outcome, &entry.code])
            && is(&self.request_id, &[&entry.request_id])
            && self.takes_secret(entry.secret.as_deref())
            && self.takes_time(&entry.at)
    }

    fn takes_secret(&self, found: Option<&str>) -> bool {
        match (&self.secret, found) {
            (None, _) => true,
            (Some(wanted), Some(found)) => is_same_secret(wanted, found),
            (Some(_), None) => false,
        }
    }

    fn takes_time(&self, at: &str) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Ok(at) = at.parse::<Time>() else { return false };
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at <= until)
    }
}

/// A name, an ARN and an ARN without its suffix are the same secret; two whole ARNs only when they are equal.
fn is_same_secret(one: &str, other: &str) -> bool {
    let (one, other) = (last_part(one), last_part(other));
    one == other || without_suffix(one) == Some(other) || without_suffix(other) == Some(one)
}

/// The name of a secret by its ARN, without the suffix; any other id as it is.
#[must_use]
pub fn name_of(id: &str) -> &str {
    if id.starts_with("arn:") { without_suffix(last_part(id)).unwrap_or(id) } else { id }
}

fn last_part(id: &str) -> &str {
    id.split_once(":secret:").filter(|_| id.starts_with("arn:")).map_or(id, |(_, name)| name)
}

fn without_suffix(name: &str) -> Option<&str> {
    name.rsplit_once('-').filter(|(_, suffix)| suffix.len() == 6).map(|(name, _)| name)
}

/// A moment: RFC 3339, or so long before `now` (`90s`, `30m`, `12h`, `7d`).
///
/// # Errors
/// With what it may be.
pub fn moment(text: &str, now: Time) -> Result<Time, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let ago = text.split_at_checked(text.len().wrapping_sub(1)).and_then(|(number, unit)| {
        let number = number.parse::<u32>().ok().map(i64::from)?;
        match unit {
            "s" => TimeDelta::try_seconds(number),
            "m" => TimeDelta::try_minutes(number),
            "h" => TimeDelta::try_hours(number),
            "d" => TimeDelta::try_days(number),
            _ => None,
        }
    });
    let at = ago.and_then(|ago| now.checked_sub_signed(ago));
    at.ok_or_else(|| format!("{text} is no moment: say 90s, 30m, 12h or 7d (ago), or a date as 2026-03-10T09:00:00Z"))
}

/// Hands every line that the filter lets through to `found`, oldest first.
///
/// # Errors
/// When a file cannot be read.
pub fn search(folder: &Path, filter: &Filter, mut found: impl FnMut(&[u8], &Entry)) -> io::Result<()> {
    for path in segments(folder)? {
        let mut reader = BufReader::new(File::open(path)?);
        let mut line = vec![];
        while reader.read_until(b'\n', &mut line)? > 0 {
            // A line that is no record is for `verify` to complain about.
            if let Some(entry) = line.strip_suffix(b"\n").and_then(Entry::parse)
                && filter.takes(&entry)
            {
                found(&line[..line.len() - 1], &entry);
            }
            line.clear();
        }
    }
    Ok(())
}

/// The end of a trail, and what is written behind it.
pub struct Tail {
    folder: PathBuf,
    segment: Option<PathBuf>,
    offset: u64,
}

impl Tail {
    /// The newest `count` lines, oldest first, and a place to go on from.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn newest(folder: &Path, count: usize) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let mut tail = Self { folder: folder.to_owned(), segment: None, offset: 0 };
        let mut newest: Vec<Vec<u8>> = vec![];
        for path in segments(folder)?.into_iter().rev() {
            let bytes = std::fs::read(&path)?;
            let whole = whole_lines(&bytes);
            if tail.segment.is_none() {
                (tail.segment, tail.offset) = (Some(path), whole.len() as u64);
            }
            let lines = whole.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty());
            newest.extend(lines.take(count - newest.len()).map(<[u8]>::to_vec));
            if newest.len() == count {
                break;
            }
        }
        newest.reverse();
        Ok((tail, newest))
    }

    /// The lines that have come since.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn more(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = vec![];
        for path in segments(&self.folder)? {
            if self.segment.as_ref().is_some_and(|current| path < *current) {
                continue;
            }
            if self.segment.as_ref() != Some(&path) {
                (self.segment, self.offset) = (Some(path.clone()), 0);
            }
            let mut file = File::open(&path)?;
            // A writer that could not sync takes back what it wrote.
            self.offset = self.offset.min(file.metadata()?.len());
            file.seek(SeekFrom::Start(self.offset))?;
            let mut bytes = vec![];
            file.read_to_end(&mut bytes)?;
            let whole = whole_lines(&bytes);
            self.offset += whole.len() as u64;
            lines.extend(whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        }
        Ok(lines)
    }
}

fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db/app-AbCdEf";

    #[test]
    fn a_secret_is_found_by_its_name_its_arn_and_its_arn_without_the_suffix() {
        let takes = |wanted: &str, found: &str| {
            Filter { secret: Some(wanted.to_owned()), ..Filter::default() }.takes_secret(Some(found))
        };
        let partial = ARN.strip_suffix("-AbCdEf").expect("a suffix");
        for wanted in ["db/app", ARN, partial] {
            for found in ["db/app", ARN, partial] {
                assert!(takes(wanted, found), "{wanted} {found}");
            }
        }
        assert!(!takes(ARN, &ARN.replace("AbCdEf", "AbCdEg")), "a namesake that was made again");
        assert!(!takes("db/ap", ARN) && !takes("db/app-AbCdEf-x", ARN));
        assert_eq!((name_of(ARN), name_of("plain-name12"), name_of("x")), ("db/app", "plain-name12", "x"));
    }

    #[test]
    fn moments_are_dates_or_so_long_ago() {
        let now = "2026-03-10T09:00:00Z".parse().expect("an instant");
        let shown = |text| moment(text, now).map(|at| at.to_rfc3339());
        assert_eq!(shown("90s").as_deref(), Ok("2026-03-10T08:58:30+00:00"));
        assert_eq!(shown("1d").as_deref(), Ok("2026-03-09T09:00:00+00:00"));
        assert_eq!(shown("2026-03-10T09:00:00+01:00").as_deref(), Ok("2026-03-10T08:00:00+00:00"));
        for wrong in ["", "h", "-1h", "1w", "yesterday", "1é"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_wants_all_it_says() {
        let line =
            br#"{"seq":7,"at":"2026-03-10T09:00:00.000Z","kind":"call","principal":"admin","access_key_id":"ASIA1",
            "parent_key_id":"AKIA1","operation":"GetSecretValue","outcome":"ok","request_id":"r1","later":{"x":1}}"#;
        let entry = Entry::parse(line).expect("a record");
        let some = |text: &str| Some(text.to_owned());
        let fits = [
            Filter::default(),
            Filter { principal: some("admin"), operation: some("GetSecretValue"), ..Filter::default() },
            Filter { principal: some("AKIA1"), outcome: some("ok"), request_id: some("r1"), ..Filter::default() },
            Filter { principal: some("ASIA1"), ..Filter::default() },
            Filter { since: "2026-03-10T09:00:00Z".parse().ok(), until: entry.at.parse().ok(), ..Filter::default() },
        ];
        for filter in fits {
            assert!(filter.takes(&entry), "{filter:?}");
        }
        let misses = [
            Filter { principal: some("adm"), ..Filter::default() },
            Filter { principal: some("admin"), outcome: some("AccessDeniedException"), ..Filter::default() },
            Filter { secret: some("db/app"), ..Filter::default() },
            Filter { since: "2026-03-10T09:00:00.001Z".parse().ok(), ..Filter::default() },
            Filter { until: "2026-03-10T08:59:59.999Z".parse().ok(), ..Filter::default() },
        ];
        for filter in misses {
            assert!(!filter.takes(&entry), "{filter:?}");
        }
    }
}
