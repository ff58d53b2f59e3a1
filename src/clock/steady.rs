//! A clock that does not follow the wall clock when that jumps: it goes on from where it was, by the clock that counts suspend,
//! until the wall clock is back where it was to be or somebody accepts where it is. So a jump ends no grace early, delays no
//! retry, and starts nothing.
//!
//! Never here: what is done about a jump (`watch.rs`), which clock is right.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use engine::Time;
use engine::port::Clock;
use store::Seen;

/// What is no jump: clocks are stepped by seconds, and machines are slow now and then.
const TOLERANCE: TimeDelta = TimeDelta::minutes(2);

/// The wall clock as long as it is steady, and what it was to show when it is not.
pub struct Steady {
    wall: Arc<dyn Clock>,
    held: Mutex<Held>,
}

struct Held {
    /// What was trusted last, and how long after boot.
    at: Time,
    up: Duration,
    jump: Option<Jump>,
}

/// The wall clock is not where it was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// What it was to show when that was noticed.
    pub since: Time,
    /// How far ahead it is; negative: behind.
    pub by: TimeDelta,
}

impl Steady {
    /// Goes by `wall`, which is trusted as it is now.
    #[must_use]
    pub fn new(wall: Arc<dyn Clock>) -> Self {
        let held = Held { at: wall.now(), up: wall.since_boot(), jump: None };
        Self { wall, held: Mutex::new(held) }
    }

    /// The clock as the machine has it.
    #[must_use]
    pub fn wall(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.wall)
    }

    /// Compares with what was written down before this process began. A time far ahead is normal after another boot: then
    /// nobody was there to see it pass.
    pub fn compare(&self, seen: &Seen, boot: &str) {
        let (wall, up) = (self.wall.now(), self.wall.since_boot());
        let passed = up.checked_sub(seen.since_boot).filter(|_| seen.boot == boot);
        let expected = passed.map_or(seen.at, |passed| later(seen.at, passed));
        let by = wall - expected;
        if by < -TOLERANCE || passed.is_some() && by > TOLERANCE {
            *self.held() = Held { at: expected, up, jump: Some(Jump { since: expected, by }) };
        }
    }

    /// How the wall clock has jumped; None: it is steady.
    #[must_use]
    pub fn jump(&self) -> Option<Jump> {
        self.look();
        self.held().jump
    }

    /// Takes the wall clock as it is now. Says how far that is from what was trusted.
    pub fn accept(&self) -> TimeDelta {
        let (trusted, wall, up) = (self.look(), self.wall.now(), self.wall.since_boot());
        *self.held() = Held { at: wall, up, jump: None };
        wall - trusted
    }

    fn look(&self) -> Time {
        let (wall, up) = (self.wall.now(), self.wall.since_boot());
        let mut held = self.held();
        let expected = later(held.at, up.saturating_sub(held.up));
        let by = wall - expected;
        if by.abs() <= TOLERANCE {
            *held = Held { at: wall, up, jump: None };
            return wall;
        }
        let since = held.jump.map_or(expected, |jump| jump.since);
        held.jump = Some(Jump { since, by });
        expected
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is one statement, so what a panic leaves is whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(time: Time, by: Duration) -> Time {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by)).unwrap_or(time)
}

#[async_trait]
impl Clock for Steady {
    fn now(&self) -> Time {
        self.look()
    }

    fn since_boot(&self) -> Duration {
        self.wall.since_boot()
    }

    async fn sleep(&self, length: Duration) {
        self.wall.sleep(length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Set(Mutex<(Time, Duration)>);

    impl Set {
        fn pass(&self, wall: TimeDelta, up: Duration) {
            let mut at = self.0.lock().expect("no panic");
            *at = (at.0 + wall, at.1 + up);
        }
    }

    #[async_trait]
    impl Clock for Set {
        fn now(&self) -> Time {
            self.0.lock().expect("no panic").0
        }

        fn since_boot(&self) -> Duration {
            self.0.lock().expect("no panic").1
        }

        async fn sleep(&self, _length: Duration) {}
    }

    const UP: Duration = Duration::from_secs(5000);

    fn start() -> Time {
        "2026-03-10T09:37:00Z".parse().expect("an instant")
    }

    fn clocks() -> (Arc<Set>, Steady) {
        let set = Arc::new(Set(Mutex::new((start(), UP))));
        (Arc::clone(&set), Steady::new(set))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    // F39
    #[test]
    fn a_jump_of_a_year_or_a_day_is_not_followed_until_it_is_accepted() {
        for by in [TimeDelta::days(365), TimeDelta::days(-1), TimeDelta::minutes(3)] {
            let (set, steady) = clocks();
            set.pass(TimeDelta::seconds(10) + by, seconds(10));
            assert_eq!(steady.now(), start() + TimeDelta::seconds(10), "{by}");
            assert_eq!(steady.jump().map(|jump| jump.by), Some(by));
            set.pass(TimeDelta::seconds(60), seconds(60));
            assert_eq!(steady.now(), start() + TimeDelta::seconds(70), "it goes on meanwhile");
            assert_eq!((steady.accept(), steady.jump()), (by, None));
            assert_eq!(steady.now(), start() + TimeDelta::seconds(70) + by);
        }
    }

    #[test]
    fn a_clock_that_comes_back_by_itself_is_trusted_again() {
        let (set, steady) = clocks();
        set.pass(TimeDelta::days(1), seconds(5));
        assert!(steady.jump().is_some());
        set.pass(TimeDelta::days(-1) + TimeDelta::seconds(10), seconds(5));
        assert_eq!((steady.jump(), steady.now()), (None, start() + TimeDelta::seconds(10)));
    }

    #[test]
    fn time_that_a_suspended_machine_slept_is_no_jump_nor_is_a_small_step() {
        let (set, steady) = clocks();
        set.pass(TimeDelta::hours(9), seconds(9 * 3600));
        assert_eq!(steady.jump(), None);
        for _ in 0..10 {
            set.pass(TimeDelta::seconds(100), seconds(10));
            assert_eq!(steady.jump(), None, "each of them is small, and corrected by somebody");
        }
    }

    #[test]
    fn a_start_compares_with_the_last_time_that_was_written_down() {
        let seen = |at: Time, boot: &str| Seen { at, boot: boot.to_owned(), since_boot: UP - seconds(600) };
        let ago = start() - TimeDelta::seconds(600);
        let hour = TimeDelta::hours(1);
        for (seen, jump) in [
            (seen(ago, "this"), None),
            (seen(ago - hour, "this"), Some(hour)),
            (seen(ago + hour, "this"), Some(-hour)),
            // Another boot, and the clock is ahead: the machine was off.
            (seen(ago - TimeDelta::days(400), "other"), None),
            (seen(start() + hour, "other"), Some(-hour)),
        ] {
            let (_, steady) = clocks();
            steady.compare(&seen, "this");
            assert_eq!(steady.jump().map(|jump| jump.by), jump, "{seen:?}");
        }
    }
}
