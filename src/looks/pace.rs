//! How many looks there may be: a few at once, one at a server, so many a minute. Never here: which are due.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many looks begin within a minute.
const A_MINUTE: usize = 60;
/// So many are under way at once.
const AT_ONCE: usize = 4;
const MINUTE: Duration = Duration::from_secs(60);

/// What is spent of that.
#[derive(Clone, Default)]
pub struct Pace(Arc<Mutex<Spent>>);

#[derive(Default)]
struct Spent {
    /// When the looks of the last minute began, since boot.
    begun: VecDeque<Duration>,
    servers: HashSet<String>,
}

impl Spent {
    fn forget(&mut self, now: Duration) {
        while self.begun.front().is_some_and(|begun| *begun + MINUTE <= now) {
            self.begun.pop_front();
        }
    }
}

impl Pace {
    /// How many more looks may begin at `now`, since boot.
    pub(crate) fn room(&self, now: Duration) -> u32 {
        let mut spent = self.spent();
        spent.forget(now);
        let left = (A_MINUTE.saturating_sub(spent.begun.len())).min(AT_ONCE.saturating_sub(spent.servers.len()));
        u32::try_from(left).unwrap_or(0)
    }

    /// How long there is no room; nothing where there is.
    pub(crate) fn full_for(&self, now: Duration) -> Duration {
        let mut spent = self.spent();
        spent.forget(now);
        let oldest = spent.begun.front().filter(|_| spent.begun.len() >= A_MINUTE);
        match oldest {
            Some(oldest) => (*oldest + MINUTE).saturating_sub(now),
            // One that ends wakes whoever waits.
            None if spent.servers.len() >= AT_ONCE => Duration::from_secs(1),
            None => Duration::ZERO,
        }
    }

    /// Begins a look at this server, until what is returned is dropped. None: somebody looks at it just now. The first look after a
    /// restore does not count: everything waits for it.
    pub(crate) fn enter(&self, server: &str, counts: bool, now: Duration) -> Option<Place> {
        let mut spent = self.spent();
        if !spent.servers.insert(server.to_owned()) {
            return None;
        }
        if counts {
            spent.begun.push_back(now);
        }
        Some(Place { pace: self.clone(), server: server.to_owned() })
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        // Every change is one statement, so what a panic leaves is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look that is under way.
pub(crate) struct Place {
    pace: Pace,
    server: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pace.spent().servers.remove(&self.server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn one_look_at_a_server_and_a_few_at_once() {
        let pace = Pace::default();
        let first = pace.enter("db:5432", true, NOW).expect("there is room");
        assert!(pace.enter("db:5432", true, NOW).is_none(), "it is being looked at");
        let _others: Vec<_> = (0..3).map(|n| pace.enter(&format!("db{n}:5432"), true, NOW).expect("another")).collect();
        assert_eq!(pace.room(NOW), 0);
        assert!(!pace.full_for(NOW).is_zero());
        drop(first);
        assert_eq!(pace.room(NOW), 1);
        assert!(pace.enter("db:5432", true, NOW).is_some());
    }

    #[test]
    fn so_many_a_minute_and_then_a_pause() {
        let pace = Pace::default();
        for n in 0..60 {
            drop(pace.enter("db:5432", true, NOW + Duration::from_millis(n)));
        }
        assert_eq!(pace.full_for(NOW), MINUTE);
        assert_eq!((pace.room(NOW + Duration::from_secs(1)), pace.room(NOW + Duration::from_secs(61))), (0, 4));
    }
}
