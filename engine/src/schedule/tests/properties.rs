//! Properties of every schedule, and cron against a matcher that walks the zone's clock minute by minute.

use chrono::{Datelike, NaiveDateTime, Timelike};
use proptest::prelude::*;

use super::*;

/// Zones with every kind of clock change, and instants near some of them.
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Havana",
    "Africa/Cairo",
    "America/St_Johns",
    "Pacific/Apia",
];
const STARTS: [&str; 8] = [
    "2026-03-27 05:13Z",
    "2026-10-23 23:59Z",
    "2026-03-07 01:00Z",
    "2026-10-30 12:30Z",
    "2026-04-03 09:00Z",
    "2024-02-27 00:00Z",
    "2006-10-27 10:00Z",
    "2011-12-28 10:00Z",
];

/// Openings to compare of an expression that fires every few minutes; enough for days around a clock change.
const ENOUGH: usize = 4000;

/// What an item of a field means to the matcher: the values it stands for, and how it is written.
type Item = (Vec<u32>, String);

fn value(first: u32, last: u32) -> impl Strategy<Value = Item> {
    (first..=last).prop_map(|n| (vec![n], n.to_string()))
}

fn range(first: u32, last: u32) -> impl Strategy<Value = Item> {
    (first..=last, first..=last).prop_map(move |(from, to)| {
        let values = if from <= to { (from..=to).collect() } else { (from..=last).chain(first..=to).collect() };
        (values, format!("{from}-{to}"))
    })
}

fn step(first: u32, last: u32) -> impl Strategy<Value = Item> {
    (prop::option::of(first..=last), 1..=last).prop_map(move |(from, step)| {
        let text = from.map(|from| from.to_string()).unwrap_or_default();
        let every = usize::try_from(step).expect("a small step");
        let values = (from.unwrap_or(first)..=last).step_by(every).collect();
        (values, format!("{text}/{step}"))
    })
}

/// A list of items; `dense` fields are often `*`.
fn field(first: u32, last: u32, dense: bool) -> impl Strategy<Value = Item> {
    let all = Just(((first..=last).collect(), "*".to_owned()));
    let items = prop_oneof![3 => value(first, last), 1 => range(first, last), 1 => step(first, last)];
    let list = prop::collection::vec(items, 1..4).prop_map(|items| {
        let texts: Vec<_> = items.iter().map(|(_, text)| text.as_str()).collect();
        (items.iter().flat_map(|(values, _)| values.clone()).collect(), texts.join(","))
    });
    prop_oneof![if dense { 3 } else { 1 } => all, 2 => list]
}

/// Which dates the day fields name.
#[derive(Clone, Debug)]
enum Days {
    OfMonth(Vec<u32>),
    OfWeek(Vec<u32>),
    Last,
    LastOfWeek(u32),
    NthOfWeek(u32, u32),
}

const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The days, and the texts of the two day fields.
fn days() -> impl Strategy<Value = (Days, String, String)> {
    let any = || "?".to_owned();
    let name = |weekday: u32| NAMES[usize::try_from(weekday - 1).expect("1 to 7")];
    prop_oneof![
        3 => field(1, 31, true).prop_map(move |(values, text)| (Days::OfMonth(values), text, any())),
        3 => field(1, 7, true).prop_map(move |(values, text)| (Days::OfWeek(values), any(), text)),
        1 => Just((Days::Last, "L".to_owned(), any())),
        1 => (1u32..=7).prop_map(move |day| (Days::LastOfWeek(day), format!("{}L", name(day)), any())),
        1 => (1u32..=7).prop_map(move |day| (Days::LastOfWeek(day), any(), format!("{day}L"))),
        1 => (1u32..=7, 1u32..=5).prop_map(move |(day, n)| (Days::NthOfWeek(day, n), any(), format!("{}#{n}", name(day)))),
    ]
}

/// A cron expression and what it means, said independently of the parser.
#[derive(Clone, Debug)]
struct Meaning {
    text: String,
    minutes: Vec<u32>,
    hours: Vec<u32>,
    months: Vec<u32>,
    days: Days,
}

fn expressions() -> impl Strategy<Value = Meaning> {
    (field(0, 59, false), field(0, 23, true), field(1, 12, true), days()).prop_map(
        |(minutes, hours, months, (days, of_month, of_week))| Meaning {
            text: format!("cron({} {} {of_month} {} {of_week} *)", minutes.1, hours.1, months.1),
            minutes: minutes.0,
            hours: hours.0,
            months: months.0,
            days,
        },
    )
}

impl Meaning {
    fn fires(&self, wall: NaiveDateTime) -> bool {
        let (day, weekday) = (wall.day(), wall.weekday().number_from_sunday());
        let last = u32::from(wall.num_days_in_month());
        self.minutes.contains(&wall.minute())
            && self.hours.contains(&wall.hour())
            && self.months.contains(&wall.month())
            && match &self.days {
                Days::OfMonth(days) => days.contains(&day),
                Days::OfWeek(weekdays) => weekdays.contains(&weekday),
                Days::Last => day == last,
                Days::LastOfWeek(wanted) => weekday == *wanted && day + 7 > last,
                Days::NthOfWeek(wanted, n) => weekday == *wanted && (day - 1) / 7 + 1 == *n,
            }
    }

    /// Walks from minute to minute and looks at the zone's clock: it fires where the clock first reaches or passes a
    /// minute that is named.
    fn walk(&self, zone: Tz, start: Time, days: i32) -> Vec<Time> {
        let minute = TimeDelta::minutes(1);
        // What was reached before the start: a clock goes back by less than a day.
        let before = (0..1500).map(|n| zone::wall(zone, start - minute * n));
        let mut reached = before.max().expect("some minutes");
        let mut openings = Vec::new();
        for (now, shown) in (0..days * 96).flat_map(|n| quarter(zone, start + minute * (n * 15))) {
            while reached < shown {
                reached += minute;
                if self.fires(reached) && openings.last() != Some(&now) {
                    openings.push(now);
                }
            }
        }
        openings
    }
}

/// The 15 minutes after an instant with what the clock shows. Most quarters have no clock change inside.
fn quarter(zone: Tz, start: Time) -> Vec<(Time, NaiveDateTime)> {
    let minutes = (1..=15).map(TimeDelta::minutes);
    let shown = zone::wall(zone, start);
    let whole = TimeDelta::minutes(15);
    let steady = zone::wall(zone, start + whole) - shown == whole;
    let clock = |passed| if steady { shown + passed } else { zone::wall(zone, start + passed) };
    minutes.map(|passed| (start + passed, clock(passed))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cron_opens_exactly_when_the_clock_of_the_zone_says_so(
        meaning in expressions(),
        zone in prop::sample::select(&ZONES[..]),
        start in prop::sample::select(&STARTS[..]),
    ) {
        let Ok(Some(schedule)) = Schedule::parse(&rules(&meaning.text, ""), Some(zone), Limits::None) else {
            // Only dates that never come may be refused.
            let error = Schedule::parse(&rules(&meaning.text, ""), Some(zone), Limits::None).map(|_| ());
            prop_assert_eq!(error, Err(ScheduleError::NeverFires), "{}", meaning.text);
            return Ok(());
        };
        let start = at(start);
        let end = start + TimeDelta::days(40);
        let mut expected = meaning.walk(schedule.zone(), start, 40);
        let mut found = Vec::new();
        let mut after = start;
        while found.len() < ENOUGH && let Some(window) = schedule.next_window(start, after) && window.opens <= end {
            after = window.opens;
            found.push(after);
        }
        expected.truncate(ENOUGH);
        prop_assert_eq!(found, expected, "{} in {}", meaning.text, zone);
    }
}

/// Any kind of schedule, in a zone.
fn schedules() -> impl Strategy<Value = (String, Schedule)> {
    let frequency = prop_oneof![
        (1u32..=1000).prop_map(|n| n.to_string()),
        (1u32..1000).prop_map(|n| format!("rate({n} days)")),
        (1u32..24).prop_map(|n| format!("rate({n} hours)")),
        (1u32..10_000).prop_map(|n| format!("rate({n} minutes)")),
        (1u32..10_000).prop_map(|n| format!("rate({n} seconds)")),
        expressions().prop_map(|meaning| meaning.text),
    ];
    let duration = prop_oneof![
        Just(String::new()),
        (1u32..=24).prop_map(|n| format!("{n}h")),
        (1u32..=100).prop_map(|n| format!("{n}s")),
    ];
    let zone = prop::sample::select(&ZONES[..]);
    (frequency, duration, zone).prop_filter_map("rules that are refused", |(frequency, duration, zone)| {
        let schedule = Schedule::parse(&rules(&frequency, &duration), Some(zone), Limits::None);
        Some((format!("{frequency} {duration} {zone}"), schedule.ok()??))
    })
}

/// Instants of 2006 to 2036, often near a clock change.
fn instants() -> impl Strategy<Value = Time> {
    let near = prop::sample::select(&STARTS[..]);
    prop_oneof![
        (1_136_073_600i64..2_082_758_400).prop_map(|seconds| Time::from_timestamp(seconds, 0).expect("in range")),
        (near, 0i64..400_000_000).prop_map(|(start, ms)| at(start) + TimeDelta::milliseconds(ms)),
    ]
}

proptest! {
    #[test]
    fn a_window_opens_after_the_moment_asked_about_and_closes_after_it_opens(
        (text, schedule) in schedules(), base in instants(), waited in 0i64..100_000_000,
    ) {
        let after = base + TimeDelta::seconds(waited);
        let window = schedule.next_window(base, after).expect("it always goes on");
        prop_assert!(window.opens > after, "{text}: {window:?} after {after}");
        prop_assert!(window.closes > window.opens, "{text}: {window:?}");
        prop_assert!(window.contains(window.next_rotation_date()), "{text}: {window:?}");
        prop_assert_eq!(schedule.next_window(base, base - TimeDelta::days(9)), schedule.next_window(base, base));
    }

    // F36
    #[test]
    fn asking_later_never_gives_an_earlier_window(
        (text, schedule) in schedules(), base in instants(), waits in [0i64..10_000_000, 0i64..10_000_000],
    ) {
        let [one, other] = waits.map(|seconds| schedule.next_window(base, base + TimeDelta::seconds(seconds)));
        let (sooner, later) = if waits[0] <= waits[1] { (one, other) } else { (other, one) };
        let (sooner, later) = (sooner.expect("a window"), later.expect("a window"));
        prop_assert!(sooner.opens <= later.opens && sooner.closes <= later.closes, "{text}: {sooner:?} {later:?}");
    }

    #[test]
    fn no_window_is_passed_over(
        (text, schedule) in schedules(), base in instants(), waited in 0i64..10_000_000, part in 0i64..1000,
    ) {
        let after = base + TimeDelta::seconds(waited);
        let window = schedule.next_window(base, after).expect("a window");
        let between = after + (window.opens - after) / 1000 * i32::try_from(part).expect("small");
        prop_assert_eq!(schedule.next_window(base, between), Some(window), "{} from {}", text, between);
    }

    #[test]
    fn windows_never_overlap((text, schedule) in schedules(), base in instants()) {
        let windows = schedule.preview(base, 12);
        for pair in windows.windows(2) {
            prop_assert!(pair[0].closes <= pair[1].opens, "{text}: {pair:?}");
        }
        prop_assert_eq!(windows.len(), 12, "{}", text);
    }

    #[test]
    fn the_pick_is_in_the_window_and_stays(base in instants(), length in 1i64..200_000_000, arn in "[a-z:/-]{0,40}") {
        let window = Window { opens: base, closes: base + TimeDelta::milliseconds(length) };
        let picked = pick(&arn, &window);
        prop_assert!(window.contains(picked), "{picked} in {window:?}");
        prop_assert_eq!(picked, pick(&arn, &window));
    }

    // F44
    #[test]
    fn no_text_makes_the_parser_panic(expression in "(rate|cron)?\\(?[0-9A-Za-z()#?*\\-/, ]{0,40}\\)?", duration in "[0-9a-zé]{0,4}") {
        for limits in [Limits::Aws, Limits::None] {
            if let Err(error) = Schedule::parse(&rules(&expression, &duration), None, limits) {
                prop_assert!(error.to_string().ends_with('.'), "{}", error);
            }
        }
    }
}

// F41
#[test]
fn picks_of_many_secrets_spread_evenly_over_the_window() {
    for (length, tenths) in [(TimeDelta::hours(1), 10), (TimeDelta::seconds(5), 10)] {
        let opens = at(BASE);
        let window = Window { opens, closes: opens + length };
        let mut counts = vec![0u32; tenths];
        for n in 0..10_000 {
            let offset = pick(&format!("arn:{n}"), &window) - opens;
            let slot = offset.num_milliseconds() * 10 / length.num_milliseconds();
            counts[usize::try_from(slot).expect("inside")] += 1;
        }
        let chi_squared: f64 = counts.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        // 9 degrees of freedom: 27.9 is exceeded once in a thousand fair draws.
        assert!(chi_squared < 27.9, "{chi_squared}: {counts:?}");
    }
}

// F41
#[test]
fn another_window_and_another_secret_pick_another_moment() {
    let window = |day: i64| {
        let opens = at(BASE) + TimeDelta::days(day);
        Window { opens, closes: opens + TimeDelta::days(1) }
    };
    let offset = |arn, day| pick(arn, &window(day)) - window(day).opens;
    assert_ne!(offset("a", 0), offset("a", 1));
    assert_ne!(offset("a", 0), offset("b", 0));
}
