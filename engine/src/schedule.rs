//! Schedules: when the next rotation window opens and closes.
//!
//! Owns AWS's RotationRules (days, `rate(…)`, `cron(…)`, Duration), what we allow beyond them, and the moment inside a
//! window. Everything is counted in one time zone, UTC unless the secret says otherwise. Never here: the clock, and
//! whether a rotation runs. `base` is always the last rotation, manual write or change of the configuration: a window
//! that was open then is spent.

mod blackout;
mod cron;
mod error;
mod zone;

use std::time::Duration;

use chrono::{Days, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::blackout::{BadBlackout, Blackouts, MOST_BLACKOUTS};
use self::cron::Cron;
pub use self::error::ScheduleError;
use crate::Time;

/// Windows that are looked at for the shortest interval: more than a month of days.
const LOOKED_AT: usize = 40;

/// A rotation window: `opens <= t < closes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First instant.
    pub opens: Time,
    /// First instant after it.
    pub closes: Time,
}

impl Window {
    /// What AWS shows as NextRotationDate: the last second of the window, an upper bound.
    #[must_use]
    pub fn next_rotation_date(&self) -> Time {
        (self.closes - TimeDelta::seconds(1)).max(self.opens)
    }

    /// `time` is inside.
    #[must_use]
    pub fn contains(&self, time: Time) -> bool {
        self.opens <= time && time < self.closes
    }
}

/// Which limits a schedule has to keep (`--schedule-limits`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Limits {
    /// Those of AWS: on the hour, at most every four hours, Duration in hours.
    #[default]
    Aws,
    /// Ours: also `rate(n seconds)`, `rate(n minutes)`, `rate(1 hour)`, any minute and any hours in cron, Duration in
    /// `s`, `m` or `h`, and windows over midnight.
    None,
}

/// RotationRules as they are stored and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// AutomaticallyAfterDays, 1 to 1000.
    pub automatically_after_days: Option<u16>,
    /// ScheduleExpression: `rate(…)` or `cron(…)`.
    pub expression: Option<String>,
    /// Duration of a window, such as `3h`.
    pub duration: Option<String>,
}

/// Rules that were understood.
#[derive(Debug, Clone)]
pub struct Schedule {
    every: Every,
    /// Duration; without one a window lasts an hour or until the end of the day.
    length: Option<TimeDelta>,
    zone: Tz,
}

#[derive(Debug, Clone)]
enum Every {
    /// So many days after the date of the base, from midnight.
    Days(u16),
    /// So many whole seconds after the base. Ours.
    Seconds(TimeDelta),
    /// Wall times; also `rate(n hours)`, whose grid starts again each midnight.
    Cron(Cron),
}

impl Schedule {
    /// Reads rules; `zone` is a name of the IANA database, UTC if absent. `Ok(None)` when the rules hold no schedule.
    ///
    /// # Errors
    /// [`ScheduleError`], and [`ScheduleError::AwsLimit`] around it where [`Limits::None`] would take the rules.
    pub fn parse(rules: &Rules, zone: Option<&str>, limits: Limits) -> Result<Option<Self>, ScheduleError> {
        Self::read(rules, zone, limits).map_err(|error| {
            let aws_only = limits == Limits::Aws && Self::read(rules, zone, Limits::None).is_ok();
            if aws_only { ScheduleError::AwsLimit(Box::new(error)) } else { error }
        })
    }

    /// The first window that opens after `after`, and after `base` in any case. `None` when none ever does (beyond the
    /// year 2100 for cron).
    ///
    /// Two windows never overlap: one that would, ends when the next one opens.
    #[must_use]
    pub fn next_window(&self, base: Time, after: Time) -> Option<Window> {
        let opens = self.opening(base, after.max(base))?;
        let full = self.closing(opens)?;
        let closes = self.opening(base, opens).map_or(full, |next| full.min(next));
        Some(Window { opens, closes })
    }

    /// The next `n` windows, if a rotation succeeds in each of them.
    #[must_use]
    pub fn preview(&self, base: Time, n: usize) -> Vec<Window> {
        let first = self.next_window(base, base);
        std::iter::successors(first, |window| self.next_window(base, window.opens)).take(n).collect()
    }

    /// The AutomaticallyAfterDays that AWS computes and shows beside an expression: the fewest days from one window to
    /// the next, 1 to 1000 (seen on AWS: 7 for a weekly expression, 14 for `1,15`).
    #[must_use]
    pub fn automatically_after_days(&self) -> u16 {
        let days = match &self.every {
            Every::Days(n) => return *n,
            Every::Seconds(n) => n.num_days(),
            Every::Cron(cron) => cron.fewest_days().unwrap_or(1000),
        };
        u16::try_from(days.clamp(1, 1000)).unwrap_or(1000)
    }

    /// The shortest time from one opening to the next among those that come after `from`. None where it opens less than
    /// twice.
    #[must_use]
    pub fn shortest_interval(&self, from: Time) -> Option<Duration> {
        let opens: Vec<Time> = self.preview(from, LOOKED_AT).iter().map(|window| window.opens).collect();
        opens.windows(2).filter_map(|pair| (pair[1] - pair[0]).to_std().ok()).min()
    }

    /// The zone that the schedule counts in.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    fn read(rules: &Rules, zone: Option<&str>, limits: Limits) -> Result<Option<Self>, ScheduleError> {
        let zone = match zone {
            Some(name) => name.parse().map_err(|_| ScheduleError::UnknownZone(name.to_owned()))?,
            None => Tz::UTC,
        };
        let length = rules.duration.as_deref().map(|text| duration(text, limits)).transpose()?;
        let (every, longest) = match (rules.automatically_after_days, rules.expression.as_deref()) {
            (Some(_), Some(_)) => return Err(ScheduleError::Both),
            (None, None) => return Ok(None),
            (Some(days @ 1..=1000), None) => (Every::Days(days), Longest::Any),
            (Some(_), None) => return Err(ScheduleError::DaysRange),
            (None, Some(text)) => expression(text, limits)?,
        };
        longest.check(length)?;
        Ok(Some(Self { every, length, zone }))
    }

    /// The first opening after `after`, which is not before `base`.
    fn opening(&self, base: Time, after: Time) -> Option<Time> {
        match &self.every {
            Every::Days(n) => {
                let n = u64::from(*n);
                let first = zone::wall(self.zone, base).date();
                let passed = zone::wall(self.zone, after).date() - first;
                // A clock change just after midnight brings the day before back for an hour: then the first opening to
                // look at is over, and the date of `base` may not have come.
                let periods = u64::try_from(passed.num_days()).unwrap_or(0) / n;
                let dates = (periods + 1..).map(|k| first.checked_add_days(Days::new(k * n)));
                let openings = dates.map_while(|date| zone::start_of(self.zone, date?));
                openings.take(2).find(|opens| *opens > after)
            }
            Every::Seconds(n) => {
                let periods = (after - base).num_seconds() / n.num_seconds() + 1;
                let passed = TimeDelta::try_seconds(periods.checked_mul(n.num_seconds())?)?;
                base.checked_add_signed(passed)
            }
            Every::Cron(cron) => {
                let mut wall = zone::wall(self.zone, after);
                loop {
                    wall = cron.after(wall)?;
                    // In the second run of a repeated hour, its times are over; past a gap, so are those in it.
                    let opens = zone::instant(self.zone, wall)?;
                    if opens > after {
                        return Some(opens);
                    }
                }
            }
        }
    }

    /// When a window would close if no other one opened before.
    fn closing(&self, opens: Time) -> Option<Time> {
        let hour = TimeDelta::hours(1);
        let length = match (&self.every, self.length) {
            (_, Some(length)) => length,
            (Every::Seconds(n), None) => hour.min(*n),
            (Every::Cron(cron), None) if cron.time_of_day().is_none() => hour,
            (Every::Days(_) | Every::Cron(_), None) => return zone::end_of_day(self.zone, opens),
        };
        opens.checked_add_signed(length)
    }
}

/// The moment of a rotation: uniform in the window, and always the same for one secret and one window, so that a
/// restart keeps it. Whole seconds; milliseconds in windows under a minute.
#[must_use]
pub fn pick(secret_arn: &str, window: &Window) -> Time {
    let open = window.closes - window.opens;
    let unit = if open < TimeDelta::minutes(1) { 1 } else { 1000 };
    let units = u64::try_from(open.num_milliseconds() / unit).unwrap_or(0);
    let hash = Sha256::new()
        .chain_update(secret_arn)
        .chain_update([0])
        .chain_update(window.opens.timestamp_millis().to_be_bytes())
        .finalize();
    let random = hash.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    // The top half of the product is uniform in 0..units.
    let chosen = i64::try_from((u128::from(random) * u128::from(units)) >> 64).unwrap_or(0);
    window.opens + TimeDelta::milliseconds(chosen * unit)
}

/// The moment of a rotation whose work takes so long: as [`pick`], in what is left of the window when that is done before it
/// closes; at once where it cannot be.
#[must_use]
pub fn moment(secret_arn: &str, window: &Window, took: Option<TimeDelta>) -> Time {
    let took = took.unwrap_or(TimeDelta::zero()).max(TimeDelta::zero());
    let closes = window.closes.checked_sub_signed(took).unwrap_or(window.opens).max(window.opens);
    pick(secret_arn, &Window { closes, ..*window })
}

/// How long a Duration may be beside an expression.
enum Longest {
    Any,
    Rate(TimeDelta),
    RestOfDay(TimeDelta),
}

impl Longest {
    fn check(&self, length: Option<TimeDelta>) -> Result<(), ScheduleError> {
        let (longest, error) = match *self {
            Self::Any => return Ok(()),
            Self::Rate(rate) => (rate, ScheduleError::DurationAboveRate),
            Self::RestOfDay(rest) => (rest, ScheduleError::WithinADay),
        };
        match length {
            Some(length) if length > longest => Err(error),
            _ => Ok(()),
        }
    }
}

fn expression(text: &str, limits: Limits) -> Result<(Every, Longest), ScheduleError> {
    let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if text.len() > 256 {
        return Err(ScheduleError::Invalid);
    }
    if let Some(rate) = inside("rate") {
        return self::rate(rate, limits);
    }
    let fields = inside("cron").ok_or(ScheduleError::Invalid)?;
    let cron = Cron::parse(fields, limits)?;
    let longest = match cron.time_of_day() {
        _ if limits == Limits::None => Longest::Any,
        Some(time) => Longest::RestOfDay(TimeDelta::days(1) - time),
        None => Longest::Rate(cron.shortest_gap()),
    };
    Ok((Every::Cron(cron), longest))
}

fn rate(text: &str, limits: Limits) -> Result<(Every, Longest), ScheduleError> {
    let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    let &[n, unit] = parts.as_slice() else {
        return Err(ScheduleError::Invalid);
    };
    let n = count(n).ok_or(ScheduleError::Invalid)?;
    let seconds = match unit {
        "hour" | "hours" => {
            let least = if limits == Limits::Aws { 4 } else { 1 };
            let hours = u32::try_from(n).ok().filter(|n| (least..24).contains(n));
            let hours = hours.ok_or(ScheduleError::HourRange)?;
            let longest = Longest::Rate(TimeDelta::hours(i64::from(hours)));
            return Ok((Every::Cron(Cron::every_hours(hours)?), longest));
        }
        "day" | "days" => {
            let days = u16::try_from(n).ok().filter(|n| (1..1000).contains(n));
            return Ok((Every::Days(days.ok_or(ScheduleError::DayRange)?), Longest::Any));
        }
        "second" | "seconds" if limits == Limits::None => n,
        "minute" | "minutes" if limits == Limits::None => n.saturating_mul(60),
        _ => return Err(ScheduleError::Invalid),
    };
    let seconds = i64::try_from(seconds).ok().filter(|n| (1..1000 * 86_400).contains(n));
    let every = TimeDelta::seconds(seconds.ok_or(ScheduleError::SecondRange)?);
    Ok((Every::Seconds(every), Longest::Rate(every)))
}

fn duration(text: &str, limits: Limits) -> Result<TimeDelta, ScheduleError> {
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(ScheduleError::DurationForm)?;
    let unit = match unit {
        "h" => 3600,
        "m" if limits == Limits::None => 60,
        "s" if limits == Limits::None => 1,
        _ => return Err(ScheduleError::DurationForm),
    };
    let n = count(digits).ok_or(ScheduleError::DurationForm)?;
    let seconds = i64::try_from(n.saturating_mul(unit)).ok().filter(|n| (1..=86_400).contains(n));
    seconds.map(TimeDelta::seconds).ok_or(ScheduleError::DurationRange)
}

/// Digits only; what does not fit is the largest number, so that it is out of range rather than malformed.
fn count(digits: &str) -> Option<u64> {
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
