//! Wall time to instants: the one place that decides what a gap and a repeated hour mean.
//!
//! A wall time that a clock change skips happens at the first instant after the gap; one that happens twice happens the
//! first time. So a schedule fires when the zone's clock first reaches or passes the time it names, once.

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::{GapInfo, Tz};

use crate::Time;

/// What the zone's clock shows.
pub(super) fn wall(zone: Tz, time: Time) -> NaiveDateTime {
    time.with_timezone(&zone).naive_local()
}

/// When the zone's clock first reaches or passes `wall`. Later wall times never come at earlier instants. `None` only
/// beyond the years that chrono can count.
pub(super) fn instant(zone: Tz, wall: NaiveDateTime) -> Option<Time> {
    let local = match zone.from_local_datetime(&wall).earliest() {
        Some(local) => local,
        None => GapInfo::new(&wall, &zone)?.end?,
    };
    Some(local.to_utc())
}

/// The first instant of a date in the zone, which is not midnight where a clock change skips midnight.
pub(super) fn start_of(zone: Tz, date: NaiveDate) -> Option<Time> {
    instant(zone, date.and_time(NaiveTime::MIN))
}

/// The first instant of the date after the one that the zone's calendar shows at `time`.
pub(super) fn end_of_day(zone: Tz, time: Time) -> Option<Time> {
    let tomorrow = wall(zone, time).date().checked_add_days(Days::new(1))?;
    start_of(zone, tomorrow)
}
