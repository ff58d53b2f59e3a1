//! What people say about how a secret is rotated: changes of its [`Options`], what contradicts itself, and the four
//! settings that tags are a view of. Never here: where they are kept, how requests spell them.

use std::time::Duration;

use crate::Time;
use crate::schedule::{Blackouts, Limits, Rules, Schedule};
use crate::span;
use crate::strategy::{Options, Retirement, Strategy};

/// Nobody waits longer for the end of an old credential.
pub const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long nobody is waited for past the end of the grace, where a drain names no deadline of its own.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// A setting gets a value, or its default again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<T> {
    /// The default.
    Default,
    /// This value.
    To(T),
}

impl<T> Said<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Default => None,
            Self::To(value) => Some(value),
        }
    }
}

/// What is said about a secret's settings. What is None stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// [`Options::allow_md5_upgrade`].
    pub allow_md5_upgrade: Option<bool>,
    /// [`Options::allow_differing_hosts`].
    pub allow_differing_hosts: Option<bool>,
    /// [`Options::allow_superuser`].
    pub allow_superuser: Option<bool>,
    /// [`Options::strategy`]. With another than alternating users, the two users named before are named no more.
    pub strategy: Option<Said<Strategy>>,
    /// [`Options::users`].
    pub users: Option<Said<[String; 2]>>,
    /// [`Options::grace_seconds`].
    pub grace_seconds: Option<Said<u64>>,
    /// [`Options::retirement`].
    pub retirement: Option<Said<Retirement>>,
    /// [`Options::reconcile`].
    pub reconcile: Option<bool>,
    /// [`Options::verify_seconds`].
    pub verify_seconds: Option<Said<u64>>,
    /// The IANA zone of the schedule.
    pub time_zone: Option<Said<String>>,
    /// [`Options::blackouts`].
    pub blackouts: Option<Said<Blackouts>>,
}

impl Change {
    /// Something is said about how the account's credential is changed.
    #[must_use]
    pub fn says_how(&self) -> bool {
        matches!(self.strategy, Some(Said::To(_))) || matches!(self.users, Some(Said::To(_)))
    }

    /// The options as they will be.
    #[must_use]
    pub fn on(self, mut options: Options) -> Options {
        self.apply(&mut options, &mut None);
        options
    }

    /// Takes over what is said.
    pub fn apply(self, options: &mut Options, time_zone: &mut Option<String>) {
        fn take<T>(setting: &mut T, said: Option<T>) {
            if let Some(said) = said {
                *setting = said;
            }
        }
        take(&mut options.allow_md5_upgrade, self.allow_md5_upgrade);
        take(&mut options.allow_differing_hosts, self.allow_differing_hosts);
        take(&mut options.allow_superuser, self.allow_superuser);
        take(&mut options.reconcile, self.reconcile);
        if self.strategy.is_some() && self.strategy != Some(Said::To(Strategy::AlternatingUsers)) {
            options.users = None;
        }
        take(&mut options.strategy, self.strategy.map(Said::value));
        take(&mut options.users, self.users.map(Said::value));
        take(&mut options.grace_seconds, self.grace_seconds.map(Said::value));
        take(&mut options.retirement, self.retirement.map(Said::value));
        take(&mut options.verify_seconds, self.verify_seconds.map(Said::value));
        take(&mut options.blackouts, self.blackouts.map(|said| said.value().unwrap_or_default()));
        take(time_zone, self.time_zone.map(Said::value));
    }
}

impl From<Options> for Change {
    /// Says everything as it is in `options`.
    fn from(options: Options) -> Self {
        fn said<T>(value: Option<T>) -> Option<Said<T>> {
            Some(value.map_or(Said::Default, Said::To))
        }
        Self {
            allow_md5_upgrade: Some(options.allow_md5_upgrade),
            allow_differing_hosts: Some(options.allow_differing_hosts),
            allow_superuser: Some(options.allow_superuser),
            strategy: said(options.strategy),
            users: said(options.users),
            grace_seconds: said(options.grace_seconds),
            retirement: said(options.retirement),
            reconcile: Some(options.reconcile),
            verify_seconds: said(options.verify_seconds),
            blackouts: Some(Said::To(options.blackouts)),
            time_zone: None,
        }
    }
}

/// Settings that contradict each other, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Two users are named, and they do not take turns.
    #[error(
        "Users names the two accounts that take turns: say the strategy alternating-users with it, or leave it out."
    )]
    UsersWithoutPair,
    /// There are not two accounts to take turns.
    #[error("Users names two accounts, and they must be two different ones.")]
    SameUsers,
    /// The old credential would stay for longer than anybody waits.
    #[error("The grace is at most 30 days.")]
    GraceTooLong,
    /// Each rotation would come before the one before is over.
    #[error(
        "The schedule comes round every {interval}, and the credential before is ended only after a grace of {grace}: \
         choose a shorter grace or a longer interval, or leave the credential before alone (the retirement never)."
    )]
    IntervalWithinGrace {
        /// The shortest time from one window to the next.
        interval: String,
        /// The grace.
        grace: String,
    },
    /// The rotator that serves the secret is not ours.
    #[error(
        "A registered rotator serves this secret and decides by itself how the credential is changed: leave Strategy and \
         Users out, or set them back to default."
    )]
    RotatorDecides,
    /// The text of a tag is none that its setting takes.
    #[error("{0}")]
    BadTag(&'static str),
}

/// Looks for contradictions. `registered`: no built-in rotator serves the secret.
///
/// # Errors
/// The first that is found.
pub fn check(options: &Options, registered: bool, schedule: Option<&Schedule>, now: Time) -> Result<(), SettingError> {
    if options.users.is_some() && options.strategy != Some(Strategy::AlternatingUsers) {
        return Err(SettingError::UsersWithoutPair);
    }
    if options.users.as_ref().is_some_and(|[one, other]| one == other || one.is_empty() || other.is_empty()) {
        return Err(SettingError::SameUsers);
    }
    if options.grace() > LONGEST_GRACE {
        return Err(SettingError::GraceTooLong);
    }
    let two = matches!(options.strategy, Some(Strategy::DualPassword | Strategy::AlternatingUsers));
    if two && registered {
        return Err(SettingError::RotatorDecides);
    }
    match schedule.and_then(|schedule| within_grace(options, schedule, now)) {
        Some(interval) if two => Err(SettingError::IntervalWithinGrace {
            interval: span::spell(interval),
            grace: span::spell(options.grace()),
        }),
        _ => Ok(()),
    }
}

/// The interval of a schedule that comes round before the grace is over; None where it does not.
#[must_use]
pub fn within_grace(options: &Options, schedule: &Schedule, now: Time) -> Option<Duration> {
    let interval = schedule.shortest_interval(now)?;
    (options.retirement() != Retirement::Never && interval <= options.grace()).then_some(interval)
}

/// A setting that a tag is a view of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// `pawl:strategy`.
    Strategy,
    /// `pawl:grace`.
    Grace,
    /// `pawl:timezone`.
    TimeZone,
    /// `pawl:blackout`.
    Blackout,
}

impl View {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Strategy, Self::Grace, Self::TimeZone, Self::Blackout];

    /// The tag's key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Strategy => "pawl:strategy",
            Self::Grace => "pawl:grace",
            Self::TimeZone => "pawl:timezone",
            Self::Blackout => "pawl:blackout",
        }
    }

    /// The view of this key; None for any other tag.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.key() == key)
    }

    /// What the tag's value says.
    ///
    /// # Errors
    /// [`SettingError::BadTag`], with what it may say.
    pub fn read(self, value: &str) -> Result<Change, SettingError> {
        let bad = || SettingError::BadTag(self.takes());
        match self {
            Self::Strategy => {
                let strategy = value.parse().map_err(|_| bad())?;
                Ok(Change { strategy: Some(Said::To(strategy)), ..Change::default() })
            }
            Self::Grace => {
                let grace = span::parse(value).filter(|grace| *grace <= LONGEST_GRACE).ok_or_else(bad)?;
                Ok(Change { grace_seconds: Some(Said::To(grace.as_secs())), ..Change::default() })
            }
            Self::TimeZone => {
                Schedule::parse(&Rules::default(), Some(value), Limits::None).map_err(|_| bad())?;
                Ok(Change { time_zone: Some(Said::To(value.to_owned())), ..Change::default() })
            }
            Self::Blackout => {
                let blackouts: Blackouts = value.parse().map_err(|_| bad())?;
                if blackouts.is_empty() {
                    return Err(bad());
                }
                Ok(Change { blackouts: Some(Said::To(blackouts)), ..Change::default() })
            }
        }
    }

    /// What taking the tag away says.
    #[must_use]
    pub fn removed(self) -> Change {
        match self {
            Self::Strategy => Change { strategy: Some(Said::Default), ..Change::default() },
            Self::Grace => Change { grace_seconds: Some(Said::Default), ..Change::default() },
            Self::TimeZone => Change { time_zone: Some(Said::Default), ..Change::default() },
            Self::Blackout => Change { blackouts: Some(Said::Default), ..Change::default() },
        }
    }

    /// Whether a change is about this setting.
    #[must_use]
    pub fn is_said(self, change: &Change) -> bool {
        match self {
            Self::Strategy => change.strategy.is_some(),
            Self::Grace => change.grace_seconds.is_some(),
            Self::TimeZone => change.time_zone.is_some(),
            Self::Blackout => change.blackouts.is_some(),
        }
    }

    /// The tag's value where the setting is not its default.
    #[must_use]
    pub fn shown(self, options: &Options, time_zone: Option<&str>) -> Option<String> {
        match self {
            Self::Strategy => options.strategy.map(|strategy| strategy.name().to_owned()),
            Self::Grace => options.grace_seconds.map(|grace| span::spell(Duration::from_secs(grace))),
            Self::TimeZone => time_zone.map(ToOwned::to_owned),
            Self::Blackout => (!options.blackouts.is_empty()).then(|| options.blackouts.to_string()),
        }
    }

    fn takes(self) -> &'static str {
        match self {
            Self::Strategy => "The tag pawl:strategy takes single-user, dual-password or alternating-users.",
            Self::Grace => {
                "The tag pawl:grace takes a length of time of at most 30 days: a number of seconds, or a number with s, \
                 m, h or d such as 15m."
            }
            Self::TimeZone => {
                "The tag pawl:timezone takes a name of the IANA time zone database, such as Europe/Berlin."
            }
            Self::Blackout => {
                "The tag pawl:blackout takes times in which nothing starts by schedule, with semicolons between them: \
                 START/END such as 2026-12-20T00:00/2027-01-02T00:00, or cron(…)/LENGTH such as \
                 cron(0 18 ? * FRI *)/60h, with a time zone behind it where that is not UTC."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: Change) -> Options {
        let mut options = Options::default();
        change.apply(&mut options, &mut None);
        options
    }

    fn now() -> Time {
        "2026-03-10T09:37:00Z".parse().expect("an instant")
    }

    fn every(expression: &str) -> Schedule {
        let rules = Rules { expression: Some(expression.to_owned()), ..Rules::default() };
        Schedule::parse(&rules, None, Limits::None).expect("a schedule").expect("one")
    }

    fn pair(one: &str, other: &str) -> Option<Said<[String; 2]>> {
        Some(Said::To([one.to_owned(), other.to_owned()]))
    }

    #[test]
    fn what_is_not_said_stays_and_what_is_said_can_be_taken_back() {
        let mut options = with(Change {
            strategy: Some(Said::To(Strategy::AlternatingUsers)),
            users: pair("a", "b"),
            grace_seconds: Some(Said::To(900)),
            reconcile: Some(true),
            ..Change::default()
        });
        let before = options.clone();
        let mut zone = Some("Europe/Berlin".to_owned());
        Change::default().apply(&mut options, &mut zone);
        assert_eq!((&options, zone.as_deref()), (&before, Some("Europe/Berlin")));
        for view in View::ALL {
            view.removed().apply(&mut options, &mut zone);
            assert_eq!(view.shown(&options, zone.as_deref()), None, "{}", view.key());
        }
        assert_eq!(options, Options { reconcile: true, ..Options::default() }, "the users went with the strategy");
        Change::from(before.clone()).apply(&mut options, &mut zone);
        assert_eq!(options, before);
    }

    #[test]
    fn users_are_two_and_belong_to_alternating_users() {
        let check = |options: &Options| check(options, false, None, now());
        let alternating = Some(Said::To(Strategy::AlternatingUsers));
        let alone = with(Change { users: pair("a", "b"), ..Change::default() });
        assert_eq!(check(&alone), Err(SettingError::UsersWithoutPair));
        for (one, other) in [("a", "a"), ("", "a"), ("a", "")] {
            let change = Change { strategy: alternating.clone(), users: pair(one, other), ..Change::default() };
            assert_eq!(check(&with(change)), Err(SettingError::SameUsers));
        }
        let change = Change { strategy: alternating, users: pair("a", "b"), ..Change::default() };
        assert_eq!(check(&with(change)), Ok(()));
    }

    #[test]
    fn an_interval_within_the_grace_is_refused_where_two_credentials_live() {
        let schedule = every("rate(15 minutes)");
        let options = |strategy, grace: u64| Options { strategy, grace_seconds: Some(grace), ..Options::default() };
        for strategy in [Strategy::DualPassword, Strategy::AlternatingUsers] {
            let check = |options: &Options| check(options, false, Some(&schedule), now());
            let refused = check(&options(Some(strategy), 900));
            let Err(error @ SettingError::IntervalWithinGrace { .. }) = refused else { panic!("{refused:?}") };
            assert!(error.to_string().contains("every 15m") && error.to_string().contains("grace of 15m"), "{error}");
            assert_eq!(check(&options(Some(strategy), 899)), Ok(()));
            let never = Options { retirement: Some(Retirement::Never), ..options(Some(strategy), 9000) };
            assert_eq!(check(&never), Ok(()));
        }
        for strategy in [None, Some(Strategy::SingleUser)] {
            assert_eq!(check(&options(strategy, 9000), false, Some(&schedule), now()), Ok(()));
        }
        let long = LONGEST_GRACE.as_secs() + 1;
        assert_eq!(check(&options(None, long), false, None, now()), Err(SettingError::GraceTooLong));
    }

    #[test]
    fn a_registered_rotator_decides_how() {
        let dual = Options { strategy: Some(Strategy::DualPassword), ..Options::default() };
        assert_eq!(check(&dual, true, None, now()), Err(SettingError::RotatorDecides));
        assert_eq!(check(&Options::default(), true, None, now()), Ok(()));
    }

    #[test]
    fn a_tag_is_shown_as_it_is_read_and_what_cannot_be_read_says_what_it_takes() {
        for (key, value, shown) in [
            ("pawl:strategy", "dual-password", "dual-password"),
            ("pawl:grace", "900", "15m"),
            ("pawl:grace", "30d", "30d"),
            ("pawl:timezone", "Europe/Berlin", "Europe/Berlin"),
            ("pawl:blackout", "cron(0 18 ? * FRI *)/60h ;", "cron(0 18 ? * FRI *)/60h"),
        ] {
            let view = View::of_key(key).expect("one of ours");
            let (mut options, mut zone) = (Options::default(), None);
            let change = view.read(value).expect("a value");
            assert!(view.is_said(&change));
            change.apply(&mut options, &mut zone);
            assert_eq!(view.shown(&options, zone.as_deref()).as_deref(), Some(shown));
        }
        for (key, value, takes) in [
            ("pawl:strategy", "dual", "single-user, dual-password or alternating-users"),
            ("pawl:strategy", "", "single-user"),
            ("pawl:grace", "soon", "such as 15m"),
            ("pawl:grace", "31d", "at most 30 days"),
            ("pawl:timezone", "Mars/Olympus", "Europe/Berlin"),
            ("pawl:blackout", "christmas", "START/END"),
            ("pawl:blackout", ";", "START/END"),
        ] {
            let refused = View::of_key(key).expect("one of ours").read(value).expect_err("no value");
            assert!(refused.to_string().contains(key) && refused.to_string().contains(takes), "{refused}");
        }
        assert_eq!(View::of_key("pawl:other"), None);
    }
}
