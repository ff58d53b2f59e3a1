//! The worked examples of AWS's rules, refusals, clock changes; the properties are in `properties`.

mod clock_changes;
mod properties;

use super::*;

/// What a test asks for, in one line: `AutomaticallyAfterDays` as a number, or an expression; then Duration.
fn rules(frequency: &str, duration: &str) -> Rules {
    let days = frequency.parse().ok();
    Rules {
        automatically_after_days: days,
        expression: days.is_none().then(|| frequency.to_owned()),
        duration: (!duration.is_empty()).then(|| duration.to_owned()),
    }
}

fn parse(frequency: &str, duration: &str, zone: Option<&str>, limits: Limits) -> Schedule {
    let schedule = Schedule::parse(&rules(frequency, duration), zone, limits);
    let schedule = schedule.unwrap_or_else(|error| panic!("{frequency} {duration}: {error}"));
    schedule.expect("rules with a schedule")
}

fn aws(frequency: &str, duration: &str) -> Schedule {
    parse(frequency, duration, None, Limits::Aws)
}

fn ours(frequency: &str, duration: &str) -> Schedule {
    parse(frequency, duration, None, Limits::None)
}

/// An instant such as `2026-03-10 09:37Z`, `2026-03-10 09:37:30Z` or with an offset, `2026-03-10 09:37+0100`.
fn at(text: &str) -> Time {
    let text = text.replace('Z', "+0000");
    let read = |format| chrono::DateTime::parse_from_str(&text, format);
    let time = read("%F %H:%M%z").or_else(|_| read("%F %T%z"));
    time.expect("an instant").to_utc()
}

const BASE: &str = "2026-03-10 09:37Z";

/// Every row of the worked examples that has a window: frequency, Duration, base, window.
#[test]
fn s6_6_the_worked_examples_of_aws_open_and_close_when_they_should() {
    let rows = [
        (1, "30", "", BASE, "2026-04-09 00:00Z", "2026-04-10 00:00Z"),
        (2, "1", "", BASE, "2026-03-11 00:00Z", "2026-03-12 00:00Z"),
        (3, "1000", "", BASE, "2028-12-04 00:00Z", "2028-12-05 00:00Z"),
        (4, "rate(10 days)", "", BASE, "2026-03-20 00:00Z", "2026-03-21 00:00Z"),
        (5, "rate(10 days)", "3h", BASE, "2026-03-20 00:00Z", "2026-03-20 03:00Z"),
        (6, "rate(4 hours)", "", BASE, "2026-03-10 12:00Z", "2026-03-10 13:00Z"),
        (7, "rate(12 hours)", "6h", BASE, "2026-03-10 12:00Z", "2026-03-10 18:00Z"),
        (8, "cron(0 10 * * ? *)", "", BASE, "2026-03-10 10:00Z", "2026-03-11 00:00Z"),
        (9, "cron(0 /8 * * ? *)", "", BASE, "2026-03-10 16:00Z", "2026-03-10 17:00Z"),
        (10, "cron(0 8/8 * * ? *)", "", BASE, "2026-03-10 16:00Z", "2026-03-10 17:00Z"),
        (10, "cron(0 8/8 * * ? *)", "", "2026-03-10 16:00Z", "2026-03-11 08:00Z", "2026-03-11 09:00Z"),
        (11, "cron(0 2/10 * * ? *)", "", BASE, "2026-03-10 12:00Z", "2026-03-10 13:00Z"),
        (11, "cron(0 2/10 * * ? *)", "", "2026-03-10 22:00Z", "2026-03-11 02:00Z", "2026-03-11 03:00Z"),
        (12, "cron(0 4/12 * * ? *)", "3h", BASE, "2026-03-10 16:00Z", "2026-03-10 19:00Z"),
        (13, "cron(0 18 ? * SAT *)", "", BASE, "2026-03-14 18:00Z", "2026-03-15 00:00Z"),
        (14, "cron(0 0 ? * 2 *)", "", BASE, "2026-03-16 00:00Z", "2026-03-17 00:00Z"),
        (15, "cron(0 8 1 * ? *)", "", BASE, "2026-04-01 08:00Z", "2026-04-02 00:00Z"),
        (16, "cron(0 1 ? 1/3 SUN#1 *)", "", BASE, "2026-04-05 01:00Z", "2026-04-06 00:00Z"),
        (17, "cron(0 17 L * ? *)", "", BASE, "2026-03-31 17:00Z", "2026-04-01 00:00Z"),
        (18, "cron(0 16 1,15 * ? *)", "2h", BASE, "2026-03-15 16:00Z", "2026-03-15 18:00Z"),
        (19, "cron(0 8 ? * MON-FRI *)", "", BASE, "2026-03-11 08:00Z", "2026-03-12 00:00Z"),
        (20, "cron(0 0 ? * SUN#1 *)", "", BASE, "2026-04-05 00:00Z", "2026-04-06 00:00Z"),
        (21, "cron(0 3 SUNL * ? *)", "", BASE, "2026-03-29 03:00Z", "2026-03-30 00:00Z"),
        // A manual write on 2026-03-12 is a base like a rotation.
        (28, "30", "", "2026-03-12 14:00Z", "2026-04-11 00:00Z", "2026-04-12 00:00Z"),
        // Row 29 is about a cancelled rotation, which asks for no window; its rules are still read.
        (29, "rate(10 days)", "", BASE, "2026-03-20 00:00Z", "2026-03-21 00:00Z"),
        (30, "rate(10 days)", "", BASE, "2026-03-20 00:00Z", "2026-03-21 00:00Z"),
    ];
    for (row, frequency, duration, base, opens, closes) in rows {
        let base = at(base);
        let window = aws(frequency, duration).next_window(base, base).expect("a window");
        let (opens, closes) = (at(opens), at(closes));
        assert_eq!(window, Window { opens, closes }, "row {row}: {frequency} {duration}");
        assert_eq!(window.next_rotation_date(), closes - TimeDelta::seconds(1), "row {row}");
    }
}

/// NextRotationDate as people published it: frequency, Duration, last rotation, the date shown after it.
#[test]
fn s6_5_the_next_date_is_the_last_second_of_the_window_as_seen_in_real_accounts() {
    for (frequency, duration, rotated, next) in [
        ("30", "", "2026-01-22 06:42Z", "2026-02-21 23:59:59Z"),
        ("30", "", "2024-02-22 07:16Z", "2024-03-23 23:59:59Z"),
        ("30", "", "2026-02-03 12:00Z", "2026-03-05 23:59:59Z"),
        ("cron(0 0 ? * 2 *)", "", "2023-10-16 07:18Z", "2023-10-23 23:59:59Z"),
        ("cron(0 0 ? * 2 *)", "", "2026-09-07 18:14Z", "2026-09-14 23:59:59Z"),
    ] {
        let rotated = at(rotated);
        let window = aws(frequency, duration).next_window(rotated, rotated).expect("a window");
        assert_eq!(window.next_rotation_date(), at(next), "{frequency} after {rotated}");
    }
}

/// The rows of the worked examples that AWS refuses; `true` where `--schedule-limits none` takes them.
#[test]
fn s6_4_what_aws_refuses_is_refused_in_its_words_and_says_when_only_aws_minds() {
    const INVALID: &str = "Invalid schedule expression.";
    const HOURS: &str = "Rate in hour should be least 4 and less than 24.";
    const DAYS: &str = "Rate in day should be greater than 0 and less than 1000.";
    const ONE_TO_24: &str = "Duration must be at least 1 hour, at most 24 hour.";
    const ABOVE_RATE: &str = "Duration cannot be greater than Rate in hour.";
    const WITHIN: &str = "Starting hour and duration must be within a day.";
    let rows = [
        (22, "rate(3 hours)", "", HOURS, true),
        (22, "rate(0 hours)", "", HOURS, false),
        (22, "rate(24 hours)", "", HOURS, false),
        (23, "rate(1000 days)", "", DAYS, false),
        (23, "rate(0 days)", "", DAYS, false),
        (23, "rate(99999999999999999999 days)", "", DAYS, false),
        (24, "rate(30 minutes)", "", INVALID, true),
        (24, "rate(30 seconds)", "", INVALID, true),
        (24, "at(2026-03-10T10:00:00)", "", INVALID, false),
        (24, "cron(30 8 * * ? *)", "", INVALID, true),
        (24, "cron(0 8 * * * *)", "", INVALID, false),
        (24, "cron(0 8 1 * MON *)", "", INVALID, false),
        (24, "cron(0 8 ? * ? *)", "", INVALID, false),
        (24, "cron(0 8 ? * MON 2027)", "", INVALID, false),
        (24, "cron(0 8,20 * * ? *)", "", INVALID, true),
        (24, "cron(0 8-20/6 * * ? *)", "", INVALID, true),
        (25, "rate(4 hours)", "5h", ABOVE_RATE, false),
        (25, "cron(0 2/10 * * ? *)", "5h", ABOVE_RATE, true),
        (26, "cron(0 20 * * ? *)", "5h", WITHIN, true),
        (27, "30", "0h", ONE_TO_24, false),
        (27, "rate(10 days)", "25h", ONE_TO_24, false),
        (27, "cron(0 8 * * ? *)", "25h", ONE_TO_24, false),
        (0, "cron(0 0/3 * * ? *)", "", HOURS, true),
        (0, "cron(0 1/22 * * ? *)", "", HOURS, true),
        (0, "cron(0 * * * ? *)", "", HOURS, true),
    ];
    for (row, frequency, duration, message, lifted) in rows {
        let error = Schedule::parse(&rules(frequency, duration), None, Limits::Aws)
            .expect_err(&format!("row {row}: {frequency} {duration}"));
        let text = error.to_string();
        if lifted {
            assert!(text.starts_with(message), "row {row}: {frequency} {duration}: {text}");
            assert!(text.contains("--schedule-limits none"), "row {row}: {frequency} {duration}: {text}");
            ours(frequency, duration);
        } else {
            assert_eq!(text, message, "row {row}: {frequency} {duration}");
        }
    }
}

#[test]
fn s6_3_what_is_no_expression_is_refused_under_both_limits() {
    let longest = format!("rate(10 days{})", " ".repeat(256));
    let texts = [
        "",
        " ",
        "rate",
        "rate()",
        "rate(10)",
        "rate(days)",
        "rate(10 weeks)",
        "rate(-1 days)",
        "rate(1.5 days)",
        "rate(10 days) ",
        "Rate(10 days)",
        "rate(10  days x)",
        "rate(10\tdays)",
        "cron()",
        "cron(0 8 * * ?)",
        "cron(0 8 * * ? * *)",
        "cron(60 8 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 8 0 * ? *)",
        "cron(0 8 32 * ? *)",
        "cron(0 8 ? 0 MON *)",
        "cron(0 8 ? 13 MON *)",
        "cron(0 8 ? * 0 *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 ? * MON#0 *)",
        "cron(0 8 ? * MON#6 *)",
        "cron(0 8 ? * #1 *)",
        "cron(0 8 15W * ? *)",
        "cron(0 8 LW * ? *)",
        "cron(0 8 L-3 * ? *)",
        "cron(0 8 1L * ? *)",
        "cron(0 8 ? * MONDAY *)",
        "cron(0 8 , * ? *)",
        "cron(0 8 1, * ? *)",
        "cron(0 8/0 * * ? *)",
        "cron(0 / * * ? *)",
        "cron(0 8//2 * * ? *)",
        "cron(0 8 1-2-3 * ? *)",
        "cron(0 8 ? * SAT-MON/2 *)",
        "cron(? 8 * * ? *)",
        "cron(0 é * * ? *)",
        "cron(0 99999999999 * * ? *)",
        "@daily",
        &longest,
    ];
    for text in texts {
        for limits in [Limits::Aws, Limits::None] {
            let result = Schedule::parse(&rules(text, ""), None, limits).map(|_| ());
            assert_eq!(result, Err(ScheduleError::Invalid), "{text:?} {limits:?}");
        }
    }
}

// F44
#[test]
fn dates_that_never_come_are_refused() {
    for text in ["cron(0 8 30 2 ? *)", "cron(0 8 31 2,4,6,9,11 ? *)"] {
        let result = Schedule::parse(&rules(text, ""), None, Limits::Aws).map(|_| ());
        assert_eq!(result, Err(ScheduleError::NeverFires), "{text}");
    }
    let leap = aws("cron(0 8 29 2 ? *)", "").next_window(at(BASE), at(BASE));
    assert_eq!(leap.map(|window| window.opens), Some(at("2028-02-29 08:00Z")));
}

#[test]
fn rules_without_a_frequency_are_no_schedule() {
    let parse = |rules: &Rules| Schedule::parse(rules, None, Limits::Aws).map(|schedule| schedule.is_some());
    assert_eq!(parse(&Rules::default()), Ok(false));
    let duration = |text: &str| Rules { duration: Some(text.to_owned()), ..Rules::default() };
    assert_eq!(parse(&duration("3h")), Ok(false));
    assert_eq!(parse(&duration("25h")), Err(ScheduleError::DurationRange));
    let both = Rules { automatically_after_days: Some(30), ..rules("rate(10 days)", "") };
    assert_eq!(parse(&both), Err(ScheduleError::Both));
    for days in ["0", "1001"] {
        assert_eq!(parse(&rules(days, "")), Err(ScheduleError::DaysRange));
    }
}

#[test]
fn durations_are_hours_for_aws_and_any_unit_for_us() {
    let form = |text: &str, limits| Schedule::parse(&rules("rate(10 days)", text), None, limits).map(|_| ());
    for text in ["h", "3", "3d", "3 h", "-3h", "3H", "1é"] {
        for limits in [Limits::Aws, Limits::None] {
            assert_eq!(form(text, limits), Err(ScheduleError::DurationForm), "{text} {limits:?}");
        }
    }
    for text in ["90m", "45s"] {
        let error = ScheduleError::AwsLimit(Box::new(ScheduleError::DurationForm));
        assert_eq!(form(text, Limits::Aws), Err(error));
        assert_eq!(form(text, Limits::None), Ok(()));
    }
    for text in ["0s", "1441m", "99999999999999999999h"] {
        assert_eq!(form(text, Limits::None), Err(ScheduleError::DurationRange));
    }
    let window = ours("rate(10 days)", "90m").next_window(at(BASE), at(BASE));
    assert_eq!(window.map(|window| window.closes), Some(at("2026-03-20 01:30Z")));
}

#[test]
fn s6_6_a_failed_window_is_followed_by_the_next_one_of_the_same_grid() {
    let base = at(BASE);
    let opens = |schedule: Schedule, after| schedule.next_window(base, at(after)).expect("a window").opens;
    assert_eq!(opens(aws("rate(10 days)", ""), "2026-03-20 12:00Z"), at("2026-03-30 00:00Z"));
    assert_eq!(opens(aws("30", ""), "2027-01-01 12:00Z"), at("2027-01-04 00:00Z"));
    assert_eq!(opens(aws("rate(9 hours)", ""), "2026-03-10 18:30Z"), at("2026-03-11 00:00Z"));
    assert_eq!(opens(ours("rate(90 seconds)", ""), "2026-03-10 09:41Z"), at("2026-03-10 09:41:30Z"));
    assert_eq!(opens(ours("rate(90 seconds)", ""), "2026-03-10 09:41:30Z"), at("2026-03-10 09:43Z"));
    // A moment before the base counts as the base.
    assert_eq!(opens(aws("rate(4 hours)", ""), "2020-01-01 00:00Z"), at("2026-03-10 12:00Z"));
}

#[test]
fn short_rates_are_counted_from_the_base_itself() {
    let base = at("2026-03-10 09:37:12Z");
    let window = |text, duration| ours(text, duration).next_window(base, base).expect("a window");
    let seconds = |n| base + TimeDelta::seconds(n);
    let of = |opens, closes| Window { opens: seconds(opens), closes: seconds(closes) };
    assert_eq!(window("rate(5 seconds)", ""), of(5, 10));
    assert_eq!(window("rate(1 second)", ""), of(1, 2));
    assert_eq!(window("rate(90 minutes)", ""), of(5400, 9000));
    assert_eq!(window("rate(90 minutes)", "10s"), of(5400, 5410));
    let long = Schedule::parse(&rules("rate(5 seconds)", "6s"), None, Limits::None).map(|_| ());
    assert_eq!(long, Err(ScheduleError::DurationAboveRate));
    let never = Schedule::parse(&rules("rate(1440000 minutes)", ""), None, Limits::None).map(|_| ());
    assert_eq!(never, Err(ScheduleError::SecondRange));
}

#[test]
fn a_window_that_would_overlap_the_next_one_ends_when_that_one_opens() {
    let windows = |schedule: Schedule, n| {
        let ends = schedule.preview(at(BASE), n).into_iter();
        ends.map(|window| (window.opens, window.closes)).collect::<Vec<_>>()
    };
    assert_eq!(
        windows(aws("rate(9 hours)", "9h"), 3),
        [
            (at("2026-03-10 18:00Z"), at("2026-03-11 00:00Z")),
            (at("2026-03-11 00:00Z"), at("2026-03-11 09:00Z")),
            (at("2026-03-11 09:00Z"), at("2026-03-11 18:00Z")),
        ]
    );
    assert_eq!(
        windows(ours("cron(0/15 8 ? * TUE,WED *)", ""), 5),
        [
            (at("2026-03-11 08:00Z"), at("2026-03-11 08:15Z")),
            (at("2026-03-11 08:15Z"), at("2026-03-11 08:30Z")),
            (at("2026-03-11 08:30Z"), at("2026-03-11 08:45Z")),
            (at("2026-03-11 08:45Z"), at("2026-03-11 09:45Z")),
            (at("2026-03-17 08:00Z"), at("2026-03-17 08:15Z")),
        ]
    );
    assert_eq!(windows(ours("cron(0 22 * * ? *)", "4h"), 1), [(at("2026-03-10 22:00Z"), at("2026-03-11 02:00Z"))]);
}

#[test]
fn what_the_cron_crate_does_not_know_is_understood() {
    let cases = [
        ("cron(0 8 ? * SAT-MON *)", ["2026-03-14", "2026-03-15", "2026-03-16", "2026-03-21"]),
        ("cron(0 8 ? * 6-2 *)", ["2026-03-13", "2026-03-14", "2026-03-15", "2026-03-16"]),
        ("cron(0 8 29-2 * ? *)", ["2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01"]),
        ("cron(0 8 1 NOV-FEB ? *)", ["2026-11-01", "2026-12-01", "2027-01-01", "2027-02-01"]),
        ("cron(0 8 ? * MON/3 *)", ["2026-03-12", "2026-03-16", "2026-03-19", "2026-03-23"]),
        ("cron(0 8 /10 * ? *)", ["2026-03-11", "2026-03-21", "2026-03-31", "2026-04-01"]),
        ("cron(0 8 15,L * ? *)", ["2026-03-15", "2026-03-31", "2026-04-15", "2026-04-30"]),
        ("cron(0 8 L FEB ? *)", ["2027-02-28", "2028-02-29", "2029-02-28", "2030-02-28"]),
        ("cron(0 8 ? * sunl *)", ["2026-03-29", "2026-04-26", "2026-05-31", "2026-06-28"]),
        ("cron(0 8 ? * 1L *)", ["2026-03-29", "2026-04-26", "2026-05-31", "2026-06-28"]),
        ("cron(0 8 ? * L *)", ["2026-03-14", "2026-03-21", "2026-03-28", "2026-04-04"]),
        ("cron(0 8 ? * MON#1,FRI#3 *)", ["2026-03-20", "2026-04-06", "2026-04-17", "2026-05-04"]),
        ("cron(0 8 ? * TUE#5 *)", ["2026-03-31", "2026-06-30", "2026-09-29", "2026-12-29"]),
        ("cron(0 8 ? jan,jul wed#1 *)", ["2026-07-01", "2027-01-06", "2027-07-07", "2028-01-05"]),
    ];
    for (text, dates) in cases {
        let windows = aws(text, "").preview(at(BASE), 4);
        let opens: Vec<_> = windows.iter().map(|window| window.opens).collect();
        assert_eq!(opens, dates.map(|date| at(&format!("{date} 08:00Z"))), "{text}");
    }
}

#[test]
fn s2_6_automatically_after_days_beside_an_expression_is_the_shortest_distance_in_days() {
    let cases = [
        ("45", 45),
        ("rate(10 days)", 10),
        ("rate(4 hours)", 1),
        ("cron(0 8 * * ? *)", 1),
        ("cron(0 8 ? * MON-FRI *)", 1),
        ("cron(0 0 ? * 2 *)", 7),
        ("cron(0 16 1,15 * ? *)", 14),
        ("cron(0 8 1 * ? *)", 28),
        ("cron(0 1 ? 1/3 SUN#1 *)", 84),
        ("cron(0 8 1 1 ? *)", 365),
        ("cron(0 8 29 2 ? *)", 1000),
        ("cron(0 8 ? 2 SUN#5 *)", 1000),
    ];
    for (text, days) in cases {
        assert_eq!(aws(text, "").automatically_after_days(), days, "{text}");
    }
    assert_eq!(ours("rate(5 seconds)", "").automatically_after_days(), 1);
    assert_eq!(ours("rate(4320 minutes)", "").automatically_after_days(), 3);
}

#[test]
fn the_shortest_interval_is_that_of_the_two_openings_that_are_closest() {
    let hours = |schedule: &Schedule| schedule.shortest_interval(at(BASE)).map(|interval| interval.as_secs() / 3600);
    for (text, expected) in [("10", Some(240)), ("rate(4 hours)", Some(4)), ("cron(0 8 ? * MON-FRI *)", Some(24))] {
        assert_eq!(hours(&aws(text, "")), expected, "{text}");
    }
    assert_eq!(hours(&ours("cron(0 8,14 1 * ? *)", "")), Some(6));
    assert_eq!(ours("rate(5 seconds)", "").shortest_interval(at(BASE)), Some(std::time::Duration::from_secs(5)));
}

#[test]
fn a_zone_has_to_be_one_of_the_iana_database() {
    let parse = |zone| Schedule::parse(&rules("30", ""), Some(zone), Limits::Aws);
    let zone = parse("Europe/Berlin").map(|schedule| schedule.map(|schedule| schedule.zone()));
    assert_eq!(zone, Ok(Some(Tz::Europe__Berlin)));
    let error = parse("Mars/Olympus").map(|_| ()).expect_err("no such zone");
    assert!(error.to_string().contains("Mars/Olympus") && error.to_string().contains("Europe/Berlin"));
}

#[test]
fn rules_are_stored_as_they_were_given() {
    let rules = rules("rate(10 days)", "3h");
    let text = serde_json::to_string(&rules).expect("rules are plain data");
    assert_eq!(serde_json::from_str::<Rules>(&text).ok(), Some(rules));
    assert_eq!(serde_json::from_str::<Rules>("{}").ok(), Some(Rules::default()));
}
