//! Instants as the database keeps them: whole milliseconds since 1970.

use chrono::{DateTime, TimeDelta};
use engine::Time;

use crate::StoreError;

/// The millisecond an instant lies in.
pub(crate) fn ms(time: Time) -> i64 {
    time.timestamp_millis()
}

/// The first millisecond that is not before an instant: what is due then is due.
pub(crate) fn ms_not_before(time: Time) -> i64 {
    let floor = time.timestamp_millis();
    floor + i64::from(!time.timestamp_subsec_nanos().is_multiple_of(1_000_000))
}

/// The instant of a stored millisecond.
pub(crate) fn instant(ms: i64) -> Result<Time, StoreError> {
    DateTime::from_timestamp_millis(ms).ok_or_else(|| StoreError::inconsistent(format!("{ms} ms is no date")))
}

/// The same of a column that may be NULL.
pub(crate) fn instant_opt(ms: Option<i64>) -> Result<Option<Time>, StoreError> {
    ms.map(instant).transpose()
}

/// An instant without what the database does not keep.
pub(crate) fn whole_ms(time: Time) -> Time {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

/// 00:00:00Z of the day an instant lies in, in milliseconds.
pub(crate) fn day_ms(time: Time) -> i64 {
    let day = TimeDelta::days(1).num_milliseconds();
    ms(time).div_euclid(day) * day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_moment_is_rounded_up_and_a_date_down() {
        let time = DateTime::from_timestamp_nanos(1_500_001);
        assert_eq!(ms(time), 1);
        assert_eq!(ms_not_before(time), 2);
        assert_eq!(ms_not_before(DateTime::from_timestamp_nanos(2_000_000)), 2);
        assert_eq!(day_ms(DateTime::from_timestamp_nanos(-1)), -86_400_000);
    }
}
