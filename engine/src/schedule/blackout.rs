//! Blackouts: times in which nothing starts by schedule, once (`2026-12-20T00:00/2027-01-02T00:00`) or again and again
//! (`cron(0 18 ? * FRI *)/60h`), each in a zone of its own: `… Europe/Berlin`, else UTC.
//!
//! Never here: what is done about a start that falls into one.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Limits, Rules, Schedule, zone};
use crate::{Time, span};

/// No time of a blackout that comes again lasts longer.
const LONGEST: TimeDelta = TimeDelta::days(31);
/// As many blackouts that touch are taken for one; what goes on for longer is looked at again at their end.
const MOST_TOUCHING: usize = 200;
/// A secret, and an installation, have no more than so many.
pub const MOST_BLACKOUTS: usize = 64;

/// A text that is no blackout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no blackout. It is START/END such as 2026-12-20T00:00/2027-01-02T00:00, or cron(…)/LENGTH such as \
     cron(0 18 ? * FRI *)/60h (at most 31 days), with a zone of the IANA database behind it where that is not UTC \
     (… Europe/Berlin); several are separated by semicolons, 64 at most."
)]
pub struct BadBlackout(pub String);

/// One blackout.
#[derive(Debug, Clone)]
struct Blackout {
    text: String,
    times: Times,
}

#[derive(Debug, Clone)]
enum Times {
    Once { begins: Time, ends: Time },
    Again { schedule: Box<Schedule>, length: TimeDelta },
}

/// Any number of blackouts, spelled with semicolons between them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blackouts(Vec<Blackout>);

impl Blackouts {
    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each as it was written.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|blackout| blackout.text.clone()).collect()
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).cloned().collect())
    }

    /// Those that are over at `now` and do not come again, each as it was written.
    #[must_use]
    pub fn past(&self, now: Time) -> Vec<String> {
        let over = |blackout: &&Blackout| matches!(blackout.times, Times::Once { ends, .. } if ends <= now);
        self.0.iter().filter(over).map(|blackout| blackout.text.clone()).collect()
    }

    /// The end of the blackout that stands in the way of what would start at `at` and take `length`; None: none does.
    #[must_use]
    pub fn in_the_way(&self, at: Time, length: TimeDelta) -> Option<Time> {
        let done = at.checked_add_signed(length.max(TimeDelta::zero())).unwrap_or(at);
        let mut ends = self.0.iter().filter_map(|blackout| blackout.touching(at, done)).max()?;
        // One may begin where another ends.
        for _ in 0..MOST_TOUCHING {
            let done = ends.checked_add_signed(length.max(TimeDelta::zero())).unwrap_or(ends);
            match self.0.iter().filter_map(|blackout| blackout.touching(ends, done)).max() {
                Some(later) if later > ends => ends = later,
                _ => break,
            }
        }
        Some(ends)
    }
}

impl Blackout {
    /// The last end of its times that touch `from..=to`.
    fn touching(&self, from: Time, to: Time) -> Option<Time> {
        match &self.times {
            Times::Once { begins, ends } => (*begins <= to && from < *ends).then_some(*ends),
            Times::Again { schedule, length } => {
                let mut before = from.checked_sub_signed(*length)?;
                let mut ends = None;
                while let Some(window) = schedule.next_window(before, before).filter(|window| window.opens <= to) {
                    ends = window.opens.checked_add_signed(*length);
                    before = window.opens;
                    if ends.is_some_and(|ends| ends > to) {
                        break;
                    }
                }
                ends
            }
        }
    }
}

impl PartialEq for Blackouts {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|one| &one.text).eq(other.0.iter().map(|one| &one.text))
    }
}

impl Eq for Blackouts {}

impl fmt::Display for Blackouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join("; "))
    }
}

impl From<Blackouts> for String {
    fn from(blackouts: Blackouts) -> Self {
        blackouts.to_string()
    }
}

impl TryFrom<String> for Blackouts {
    type Error = BadBlackout;

    fn try_from(text: String) -> Result<Self, BadBlackout> {
        text.parse()
    }
}

impl FromStr for Blackouts {
    type Err = BadBlackout;

    fn from_str(text: &str) -> Result<Self, BadBlackout> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let parts = parts.map(|part| read(part).ok_or_else(|| BadBlackout(part.to_owned())));
        let all = parts.collect::<Result<Vec<_>, _>>()?;
        if all.len() > MOST_BLACKOUTS { Err(BadBlackout(format!("{} blackouts", all.len()))) } else { Ok(Self(all)) }
    }
}

fn read(text: &str) -> Option<Blackout> {
    let times = if text.starts_with("cron(") { again(text)? } else { once(text)? };
    Some(Blackout { text: text.to_owned(), times })
}

fn again(text: &str) -> Option<Times> {
    let (expression, rest) = text.split_once(")/")?;
    let mut words = rest.split_whitespace();
    let length = TimeDelta::from_std(span::parse(words.next()?)?).ok()?;
    let zone = words.next();
    if length <= TimeDelta::zero() || length > LONGEST || words.next().is_some() {
        return None;
    }
    let rules = Rules { expression: Some(format!("{expression})")), ..Rules::default() };
    let schedule = Schedule::parse(&rules, zone, Limits::None).ok()??;
    Some(Times::Again { schedule: Box::new(schedule), length })
}

fn once(text: &str) -> Option<Times> {
    let mut words = text.split_whitespace();
    let (begins, ends) = words.next()?.split_once('/')?;
    let zone: Tz = words.next().map_or(Some(Tz::UTC), |name| name.parse().ok())?;
    if words.next().is_some() {
        return None;
    }
    let (begins, ends) = (moment(begins, zone)?, moment(ends, zone)?);
    (begins < ends).then_some(Times::Once { begins, ends })
}

/// A wall time of the zone, or an instant with a Z behind it.
fn moment(text: &str, zone: Tz) -> Option<Time> {
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, Tz::UTC),
        None => (text, zone),
    };
    let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let wall = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    zone::instant(zone, wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    fn end(blackouts: &str, from: &str, minutes: i64) -> Option<Time> {
        let blackouts: Blackouts = blackouts.parse().expect("blackouts");
        blackouts.in_the_way(at(from), TimeDelta::minutes(minutes))
    }

    #[test]
    fn a_blackout_once_stands_in_the_way_from_its_begin_to_before_its_end() {
        let freeze = "2026-12-20T00:00/2027-01-02T00:00";
        let over = Some(at("2027-01-02T00:00:00Z"));
        for (from, minutes, expected) in [
            ("2026-12-19T23:00:00Z", 0, None),
            ("2026-12-19T23:00:00Z", 59, None),
            // F43: what would run into it does not start.
            ("2026-12-19T23:00:00Z", 60, over),
            ("2026-12-20T00:00:00Z", 0, over),
            ("2027-01-01T23:59:59Z", 0, over),
            ("2027-01-02T00:00:00Z", 0, None),
        ] {
            assert_eq!(end(freeze, from, minutes), expected, "{from} {minutes}");
        }
    }

    #[test]
    fn a_blackout_that_comes_again_has_its_length_each_time_also_over_a_clock_change() {
        let weekend = "cron(0 18 ? * FRI *)/60h Europe/Berlin";
        // Friday 18:00 CET is 17:00Z.
        assert_eq!(end(weekend, "2026-03-13T16:59:59Z", 0), None);
        assert_eq!(end(weekend, "2026-03-13T17:00:00Z", 0), Some(at("2026-03-16T05:00:00Z")));
        assert_eq!(end(weekend, "2026-03-16T04:59:59Z", 0), Some(at("2026-03-16T05:00:00Z")));
        assert_eq!(end(weekend, "2026-03-16T05:00:00Z", 0), None);
        // The clocks go forward on 2026-03-29, and 60 hours are 60 hours.
        assert_eq!(end(weekend, "2026-03-28T12:00:00Z", 0), Some(at("2026-03-30T05:00:00Z")));
    }

    #[test]
    fn blackouts_that_touch_are_one_and_an_endless_one_ends_somewhere() {
        let both = "2026-12-20T00:00/2026-12-27T00:00; 2026-12-26T12:00/2027-01-02T00:00";
        assert_eq!(end(both, "2026-12-20T00:00:00Z", 0), Some(at("2027-01-02T00:00:00Z")));
        let endless = end("cron(0 * * * ? *)/1h", "2026-12-20T00:00:00Z", 0).expect("an end");
        assert!(endless > at("2026-12-20T12:00:00Z"), "{endless}");
        assert_eq!(end("", "2026-12-20T00:00:00Z", 0), None);
    }

    #[test]
    fn what_is_no_blackout_is_refused_and_says_what_one_is() {
        for text in [
            "soon",
            "2026-12-20",
            "2026-12-20T00:00",
            "2026-12-20T00:00/2026-12-20T00:00",
            "2026-12-21T00:00/2026-12-20T00:00",
            "2026-12-20T00:00/2026-12-21T00:00 Mars/Olympus",
            "2026-12-20T00:00/2026-12-21T00:00 UTC UTC",
            "cron(0 18 ? * FRI *)",
            "cron(0 18 ? * FRI *)/0h",
            "cron(0 18 ? * FRI *)/32d",
            "cron(never)/1h",
        ] {
            let refused = text.parse::<Blackouts>().expect_err(text);
            assert!(refused.to_string().contains("START/END"), "{refused}");
        }
        let many = vec!["2026-12-20T00:00/2026-12-21T00:00"; MOST_BLACKOUTS + 1].join(";");
        assert!(many.parse::<Blackouts>().is_err());
    }

    #[test]
    fn what_is_over_and_does_not_come_again_is_past() {
        let once = "2026-12-20T00:00/2027-01-02T00:00 Europe/Berlin";
        let all: Blackouts = format!("{once}; cron(0 18 ? * FRI *)/60h").parse().expect("blackouts");
        assert_eq!(all.past(at("2027-01-01T22:59:59Z")), Vec::<String>::new());
        assert_eq!(all.past(at("2027-01-01T23:00:00Z")), [once]);
    }

    #[test]
    fn blackouts_are_kept_as_they_were_written() {
        let text = "2026-12-20T00:00:30Z/2027-01-02T00:00 Europe/Berlin; cron(0 18 ? * FRI *)/60h";
        let read: Blackouts = text.parse().expect("blackouts");
        assert_eq!(read.to_string(), text);
        let kept = serde_json::to_string(&read).expect("JSON");
        assert_eq!(serde_json::from_str::<Blackouts>(&kept).expect("again"), read);
        assert_eq!(read.and(&Blackouts::default()), read);
    }
}
