//! Berlin: 2026-03-29 02:00 → 03:00 and 2026-10-25 03:00 → 02:00. New York: 2026-03-08 02:00 → 03:00 and 2026-11-01
//! 02:00 → 01:00. Other zones are explained where they are used.

use super::*;

/// The next windows of a schedule in a zone, after a base; offsets in the texts tell which run of an hour is meant.
#[track_caller]
fn check(zone: &str, frequency: &str, duration: &str, base: &str, windows: &[(&str, &str)]) {
    let schedule = parse(frequency, duration, Some(zone), Limits::None);
    let expected: Vec<_> = windows.iter().map(|(opens, closes)| (at(opens), at(closes))).collect();
    let previewed = schedule.preview(at(base), windows.len());
    let found: Vec<_> = previewed.iter().map(|window| (window.opens, window.closes)).collect();
    assert_eq!(found, expected, "{zone} {frequency} {duration}");
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

#[test]
fn a_day_of_the_zone_has_23_or_25_hours_when_the_clock_changes() {
    check(BERLIN, "1", "", "2026-03-28 12:00+0100", &[("2026-03-29 00:00+0100", "2026-03-30 00:00+0200")]);
    check(BERLIN, "1", "", "2026-10-24 12:00+0200", &[("2026-10-25 00:00+0200", "2026-10-26 00:00+0100")]);
    check(NEW_YORK, "1", "", "2026-03-07 12:00-0500", &[("2026-03-08 00:00-0500", "2026-03-09 00:00-0400")]);
    check(NEW_YORK, "1", "", "2026-10-31 12:00-0400", &[("2026-11-01 00:00-0400", "2026-11-02 00:00-0500")]);
}

// F37
#[test]
fn days_are_counted_from_the_date_that_the_zone_shows() {
    // 23:30Z on the 10th is the 11th in Berlin and still the 10th in New York.
    check(BERLIN, "1", "", "2026-03-10 23:30Z", &[("2026-03-12 00:00+0100", "2026-03-13 00:00+0100")]);
    check(NEW_YORK, "1", "", "2026-03-10 23:30Z", &[("2026-03-11 00:00-0400", "2026-03-12 00:00-0400")]);
}

// F38
#[test]
fn a_time_in_the_gap_fires_at_the_first_instant_after_it() {
    check(
        BERLIN,
        "cron(30 2 * * ? *)",
        "",
        "2026-03-28 12:00+0100",
        &[("2026-03-29 03:00+0200", "2026-03-30 00:00+0200"), ("2026-03-30 02:30+0200", "2026-03-31 00:00+0200")],
    );
    check(
        NEW_YORK,
        "cron(0 2 ? * SUN#2 *)",
        "2h",
        "2026-03-07 12:00-0500",
        &[("2026-03-08 03:00-0400", "2026-03-08 05:00-0400"), ("2026-04-12 02:00-0400", "2026-04-12 04:00-0400")],
    );
}

// F38
#[test]
fn several_times_in_the_gap_fire_once() {
    check(
        BERLIN,
        "cron(0/20 * * * ? *)",
        "",
        "2026-03-29 01:30+0100",
        &[
            ("2026-03-29 01:40+0100", "2026-03-29 03:00+0200"),
            ("2026-03-29 03:00+0200", "2026-03-29 03:20+0200"),
            ("2026-03-29 03:20+0200", "2026-03-29 03:40+0200"),
        ],
    );
}

// F38
#[test]
fn a_time_that_comes_twice_fires_the_first_time() {
    check(
        BERLIN,
        "cron(30 2 * * ? *)",
        "1h",
        "2026-10-24 12:00+0200",
        &[("2026-10-25 02:30+0200", "2026-10-25 02:30+0100"), ("2026-10-26 02:30+0100", "2026-10-26 03:30+0100")],
    );
    check(
        NEW_YORK,
        "cron(0 1 * * ? *)",
        "2h",
        "2026-10-31 12:00-0400",
        &[("2026-11-01 01:00-0400", "2026-11-01 02:00-0500"), ("2026-11-02 01:00-0500", "2026-11-02 03:00-0500")],
    );
    // Asked in either run of the hour, the time is over.
    for base in ["2026-10-25 02:30+0200", "2026-10-25 02:15+0100", "2026-10-25 02:45+0100"] {
        check(BERLIN, "cron(30 2 * * ? *)", "1h", base, &[("2026-10-26 02:30+0100", "2026-10-26 03:30+0100")]);
    }
}

#[test]
fn a_grid_of_hours_keeps_to_the_clock_of_the_zone() {
    check(
        BERLIN,
        "rate(4 hours)",
        "",
        "2026-03-28 19:00+0100",
        &[
            ("2026-03-28 20:00+0100", "2026-03-28 21:00+0100"),
            ("2026-03-29 00:00+0100", "2026-03-29 01:00+0100"),
            ("2026-03-29 04:00+0200", "2026-03-29 05:00+0200"),
        ],
    );
    check(
        NEW_YORK,
        "rate(4 hours)",
        "4h",
        "2026-03-07 23:00-0500",
        &[("2026-03-08 00:00-0500", "2026-03-08 04:00-0400"), ("2026-03-08 04:00-0400", "2026-03-08 08:00-0400")],
    );
    check(
        NEW_YORK,
        "rate(1 hour)",
        "",
        "2026-11-01 00:30-0400",
        &[("2026-11-01 01:00-0400", "2026-11-01 01:00-0500"), ("2026-11-01 02:00-0500", "2026-11-01 03:00-0500")],
    );
}

#[test]
fn short_rates_do_not_notice_a_clock_change() {
    check(
        BERLIN,
        "rate(30 minutes)",
        "",
        "2026-10-25 02:15+0200",
        &[
            ("2026-10-25 02:45+0200", "2026-10-25 02:15+0100"),
            ("2026-10-25 02:15+0100", "2026-10-25 02:45+0100"),
            ("2026-10-25 02:45+0100", "2026-10-25 03:15+0100"),
        ],
    );
}

#[test]
fn a_midnight_that_is_skipped_or_repeated_still_begins_the_day() {
    // Cairo skips 00:00–01:00 on 2026-04-24; Havana lives 00:00–01:00 twice on 2026-11-01.
    check("Africa/Cairo", "1", "", "2026-04-23 12:00+0200", &[("2026-04-24 01:00+0300", "2026-04-25 00:00+0300")]);
    check("Africa/Cairo", "1", "", "2026-04-22 12:00+0200", &[("2026-04-23 00:00+0200", "2026-04-24 01:00+0300")]);
    check("America/Havana", "1", "", "2026-10-31 12:00-0400", &[("2026-11-01 00:00-0400", "2026-11-02 00:00-0500")]);
    check("America/Havana", "1", "", "2026-10-30 12:00-0400", &[("2026-10-31 00:00-0400", "2026-11-01 00:00-0400")]);
}

#[test]
fn a_day_that_begins_goes_back_and_begins_again_opens_once() {
    // St. John's: at 00:01 on 2006-10-29 the clock went back to 23:01 of the day before.
    let next = ("2006-10-30 00:00-0330", "2006-10-31 00:00-0330");
    let first = ("2006-10-29 00:00-0230", "2006-10-30 00:00-0330");
    check("America/St_Johns", "1", "", "2006-10-28 12:00-0230", &[first, next]);
    check("America/St_Johns", "1", "", "2006-10-28 23:30-0330", &[next]);
    check("America/St_Johns", "cron(0 0 * * ? *)", "", "2006-10-28 23:30-0330", &[next]);
}

#[test]
fn a_date_that_a_zone_left_out_opens_with_the_next_one() {
    check("Pacific/Apia", "1", "", "2011-12-29 12:00-1000", &[("2011-12-31 00:00+1400", "2012-01-01 00:00+1400")]);
}
