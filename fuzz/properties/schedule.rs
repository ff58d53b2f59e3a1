//! Schedules: no text makes the parser panic, and the windows of what it takes follow one another.
//!
//! An input is four lines: an expression (or a number: AutomaticallyAfterDays), a Duration, a time zone, and the base in
//! seconds since 1970. A line that is empty or not there is left out.

use chrono::DateTime;
use engine::schedule::{Limits, Rules, Schedule, pick};

/// Until the year 2096.
const LATEST_BASE: i64 = 4_000_000_000;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let (every, duration, zone) = (line(), line(), line());
    let base = line().and_then(|line| line.parse::<i64>().ok()).unwrap_or(0).clamp(0, LATEST_BASE);
    let base = DateTime::from_timestamp(base, 0).expect("between 1970 and 2096");
    let days = every.and_then(|every| every.parse::<u16>().ok());
    let rules = Rules {
        automatically_after_days: days,
        expression: every.filter(|_| days.is_none()).map(str::to_owned),
        duration: duration.map(str::to_owned),
    };
    let aws = Schedule::parse(&rules, zone, Limits::Aws);
    let free = Schedule::parse(&rules, zone, Limits::None);
    assert!(aws.is_err() || free.is_ok(), "what AWS takes is taken without its limits: {rules:?}");
    for schedule in [aws, free] {
        match schedule {
            Ok(Some(schedule)) => follow_one_another(&schedule, base),
            Ok(None) => assert!(rules.expression.is_none() && days.is_none(), "{rules:?} were passed over"),
            Err(refusal) => assert!(!refusal.to_string().is_empty(), "{rules:?} are refused without a word"),
        }
    }
}

fn follow_one_another(schedule: &Schedule, base: engine::Time) {
    let mut before = base;
    for window in schedule.preview(base, 5) {
        assert!(before <= window.opens && base < window.opens && window.opens < window.closes, "{window:?} at {base}");
        assert!(window.contains(window.next_rotation_date()), "{window:?}");
        assert!(window.contains(pick("arn", &window)), "{window:?}");
        before = window.closes;
    }
    assert!((1..=1000).contains(&schedule.automatically_after_days()));
}
