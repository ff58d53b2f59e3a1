//! AWS's six-field cron expressions, on the wall clock.
//!
//! The crate `cron` knows numbers, lists, ranges and steps. Here is what it does not: names in any place, steps without
//! a start, ranges that wrap (`SAT-MON`), `L`, `SUNL` and `SUN#1`. Each of these becomes an entry of its own with a
//! plain expression around it, and an expression fires whenever one of its entries does. Never here: zones and windows.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use cron::TimeUnitSpec;

use super::{Limits, ScheduleError};

/// A parsed expression: it names wall times, and at least one of them comes.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    entries: Vec<Entry>,
}

/// Wall times that a plain expression names, on the dates that `dates` leaves of it.
#[derive(Debug, Clone)]
struct Entry {
    plain: cron::Schedule,
    dates: Dates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    Any,
    LastOfMonth,
    LastSevenOfMonth,
}

impl Cron {
    /// Reads what stands between the parentheses of `cron(…)`.
    pub(super) fn parse(fields: &str, limits: Limits) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = fields.split(' ').filter(|field| !field.is_empty()).collect();
        let &[minutes, hours, days, months, weekdays, "*"] = fields.as_slice() else {
            return Err(ScheduleError::Invalid);
        };
        if limits == Limits::Aws && (minutes != "0" || hours.contains([',', '-'])) {
            return Err(ScheduleError::Invalid);
        }
        let times = |day: &Day| Entry::parse(minutes, hours, months, day);
        let entries: Option<Vec<Entry>> = Day::parse(days, weekdays).and_then(|days| days.iter().map(times).collect());
        let cron = Self { entries: entries.ok_or(ScheduleError::Invalid)? };
        if limits == Limits::Aws && cron.shortest_gap() < TimeDelta::hours(4) {
            return Err(ScheduleError::HourRange);
        }
        // The calendar of a century holds every date there is.
        cron.after(start_of_year(2000)).ok_or(ScheduleError::NeverFires)?;
        Ok(cron)
    }

    /// The hours 0, n, 2n … of every day.
    pub(super) fn every_hours(n: u32) -> Result<Self, ScheduleError> {
        Self::parse(&format!("0 0/{n} * * ? *"), Limits::None)
    }

    /// The first wall time after `wall` that the expression names. `None` after the year 2100, where the crate ends.
    pub(super) fn after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        self.entries.iter().filter_map(|entry| entry.after(wall)).min()
    }

    /// The only time of day it fires at, or `None` when there are several.
    pub(super) fn time_of_day(&self) -> Option<TimeDelta> {
        match self.times_of_day().as_slice() {
            &[time] => Some(time),
            _ => None,
        }
    }

    /// The shortest time between two times of day, also from the last one to the first one of the next day.
    pub(super) fn shortest_gap(&self) -> TimeDelta {
        let times = self.times_of_day();
        let tomorrow = times.first().map(|first| *first + TimeDelta::days(1));
        let following = times.iter().copied().skip(1).chain(tomorrow);
        let gaps = following.zip(&times).map(|(next, time)| next - *time);
        gaps.min().unwrap_or(TimeDelta::days(1))
    }

    /// The fewest days between two dates it fires on, over eight years. `None` when they hold fewer than two such dates,
    /// as for a 29th of February that is a Sunday.
    pub(super) fn fewest_days(&self) -> Option<i64> {
        let mut date = self.after(start_of_year(2001))?.date();
        let mut fewest = None;
        while let Some(next) = self.after(date.and_time(LAST_SECOND)).map(|next| next.date())
            && next.year() < 2009
            && fewest != Some(1)
        {
            let gap = (next - date).num_days();
            fewest = Some(fewest.map_or(gap, |fewest: i64| fewest.min(gap)));
            date = next;
        }
        fewest
    }

    /// All entries share minutes and hours.
    fn times_of_day(&self) -> Vec<TimeDelta> {
        let Some(Entry { plain, .. }) = self.entries.first() else {
            return Vec::new();
        };
        let minutes = |hour| plain.minutes().iter().map(move |minute| (hour, minute));
        let times = plain.hours().iter().flat_map(minutes);
        times.map(|(hour, minute)| TimeDelta::minutes(i64::from(hour * 60 + minute))).collect()
    }
}

impl Entry {
    fn parse(minutes: &str, hours: &str, months: &str, day: &Day) -> Option<Self> {
        let text = format!(
            "0 {} {} {} {} {} *",
            MINUTES.list(minutes)?,
            HOURS.list(hours)?,
            day.of_month,
            MONTHS.list(months)?,
            day.of_week,
        );
        Some(Self { plain: text.parse().ok()?, dates: day.dates })
    }

    fn after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut from = wall;
        loop {
            let next = self.plain.after(&from.and_utc()).next()?.naive_utc();
            if self.dates.contain(next.date()) {
                return Some(next);
            }
            from = next.date().and_time(LAST_SECOND);
        }
    }
}

impl Dates {
    fn contain(self, date: NaiveDate) -> bool {
        let days = match self {
            Self::Any => return true,
            Self::LastOfMonth => 1,
            Self::LastSevenOfMonth => 7,
        };
        let later = date.checked_add_days(Days::new(days));
        later.is_none_or(|later| later.month() != date.month())
    }
}

/// The two day fields of one entry, as the crate takes them.
struct Day {
    of_month: String,
    of_week: String,
    dates: Dates,
}

impl Day {
    /// One of the two fields is `?`, the other one says on which days.
    fn parse(days: &str, weekdays: &str) -> Option<Vec<Self>> {
        let (list, items): (_, fn(&str) -> Option<Self>) = match (days, weekdays) {
            ("?", "?") => return None,
            (days, "?") => (days, Self::of_month),
            ("?", weekdays) => (weekdays, Self::of_week),
            _ => return None,
        };
        list.split(',').map(items).collect()
    }

    fn of_month(item: &str) -> Option<Self> {
        if item.eq_ignore_ascii_case("L") {
            return Some(Self { of_month: "28-31".to_owned(), of_week: "*".to_owned(), dates: Dates::LastOfMonth });
        }
        // AWS documents the last Sunday as SUNL in this field; 7L would be a date here.
        if item.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Self::last_of_week(item);
        }
        Some(Self { of_month: DAYS.item(item)?, of_week: "*".to_owned(), dates: Dates::Any })
    }

    fn of_week(item: &str) -> Option<Self> {
        if let Some((weekday, n)) = item.split_once('#') {
            let n: u32 = n.parse().ok().filter(|n| (1..=5).contains(n))?;
            return Some(Self {
                of_month: format!("{}-{}", 7 * n - 6, (7 * n).min(31)),
                of_week: WEEKDAYS.value(weekday)?.to_string(),
                dates: Dates::Any,
            });
        }
        if item.eq_ignore_ascii_case("L") {
            return Self::of_week("SAT");
        }
        if item.ends_with(['L', 'l']) {
            return Self::last_of_week(item);
        }
        Some(Self { of_month: "*".to_owned(), of_week: WEEKDAYS.item(item)?, dates: Dates::Any })
    }

    fn last_of_week(item: &str) -> Option<Self> {
        let weekday = item.strip_suffix(['L', 'l'])?;
        Some(Self {
            of_month: "22-31".to_owned(),
            of_week: WEEKDAYS.value(weekday)?.to_string(),
            dates: Dates::LastSevenOfMonth,
        })
    }
}

/// How one of the numeric fields is written for AWS.
struct Field {
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

impl Field {
    fn list(&self, text: &str) -> Option<String> {
        let items: Option<Vec<String>> = text.split(',').map(|item| self.item(item)).collect();
        Some(items?.join(","))
    }

    /// One item of a list in the words of the crate.
    fn item(&self, text: &str) -> Option<String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (text, None),
        };
        let range = match (range.split_once('-'), step) {
            (None, _) if range == "*" => range.to_owned(),
            // `/8` counts from the first value.
            (None, Some(_)) if range.is_empty() => self.first.to_string(),
            (None, _) => self.value(range)?.to_string(),
            (Some((from, to)), step) => match (self.value(from)?, self.value(to)?, step) {
                (from, to, _) if from <= to => format!("{from}-{to}"),
                // A range that wraps around: the crate refuses it.
                (from, to, None) => format!("{from}-{},{}-{to}", self.last, self.first),
                _ => return None,
            },
        };
        Some(step.map_or(range.clone(), |step| format!("{range}/{step}")))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => self.first + u32::try_from(index).ok()?,
            None => number(text)?,
        };
        (self.first..=self.last).contains(&value).then_some(value)
    }
}

/// A number of one or two digits.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn start_of_year(year: i32) -> NaiveDateTime {
    let date = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    date.and_time(NaiveTime::MIN)
}

const LAST_SECOND: NaiveTime = NaiveTime::MIN.overflowing_sub_signed(TimeDelta::seconds(1)).0;
const MINUTES: Field = Field { first: 0, last: 59, names: &[] };
const HOURS: Field = Field { first: 0, last: 23, names: &[] };
const DAYS: Field = Field { first: 1, last: 31, names: &[] };
const MONTHS: Field = Field {
    first: 1,
    last: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// Sunday is 1, for AWS as for the crate.
const WEEKDAYS: Field = Field { first: 1, last: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };
