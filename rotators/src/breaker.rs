//! Owns when a receiver that does not answer is left alone: after a few failures in a row nobody calls for a while, then
//! one does, and what that one finds decides.
//!
//! Never here: what a failure means to a rotation. A call that is not made has changed nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use engine::Time;

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open the first time.
const FIRST: Duration = Duration::from_secs(30);
/// How long at most.
const LONGEST: Duration = Duration::from_secs(300);
/// When to ask again while another call is finding out.
const WHILE_PROBING: Duration = Duration::from_secs(5);

/// What is known of one receiver's health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BreakerState {
    /// Failures in a row.
    pub failures: u32,
    /// Nobody calls before then; None while it is closed.
    pub open_until: Option<Time>,
}

/// The breakers of all rotators, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breakers(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug)]
struct Entry {
    /// When its registration was changed: what is known of another URL says nothing.
    changed: Time,
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Time,
    length: Duration,
    /// One call is under way to find out.
    probing: bool,
}

/// The right to make one call. To be settled with what it found; dropped unsettled, it found nothing.
#[derive(Debug)]
pub(crate) struct Permit {
    breakers: Breakers,
    name: String,
    probe: bool,
}

impl Breakers {
    /// May this rotator be called now?
    ///
    /// # Errors
    /// How long to wait.
    pub(crate) fn admit(&self, name: &str, changed: Time, now: Time) -> Result<Permit, Duration> {
        let mut entries = self.entries();
        let entry = entries.entry(name.to_owned()).or_insert(Entry { changed, failures: 0, open: None });
        if entry.changed != changed {
            *entry = Entry { changed, failures: 0, open: None };
        }
        let permit = |probe| Permit { breakers: self.clone(), name: name.to_owned(), probe };
        match &mut entry.open {
            None => Ok(permit(false)),
            Some(open) if open.probing => Err(WHILE_PROBING),
            Some(open) => match left(open.until, now) {
                Some(left) => Err(left),
                None => {
                    open.probing = true;
                    Ok(permit(true))
                }
            },
        }
    }

    /// For people and metrics.
    pub(crate) fn state(&self, name: &str) -> BreakerState {
        let entries = self.entries();
        entries.get(name).map_or_else(BreakerState::default, |entry| BreakerState {
            failures: entry.failures,
            open_until: entry.open.map(|open| open.until),
        })
    }

    /// The rotator is gone.
    pub(crate) fn forget(&self, name: &str) {
        self.entries().remove(name);
    }

    /// Every change is one statement, so what a panic leaves is whole.
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The receiver answered, whatever it said.
    pub(crate) fn answered(mut self) {
        self.settle(|entry, _| (entry.failures, entry.open) = (0, None));
    }

    /// It could not be reached, did not answer, or could not work.
    pub(crate) fn failed(mut self, now: Time) {
        self.settle(|entry, probe| {
            entry.failures = entry.failures.saturating_add(1);
            let length = match entry.open {
                None if entry.failures < FAILURES => return,
                None => FIRST,
                // Calls that began before it opened say nothing new.
                Some(_) if !probe => return,
                Some(open) => (open.length * 2).min(LONGEST),
            };
            entry.open =
                Some(Open { until: now + TimeDelta::seconds(length.as_secs() as i64), length, probing: false });
        });
    }

    fn settle(&mut self, what: impl FnOnce(&mut Entry, bool)) {
        let probe = std::mem::take(&mut self.probe);
        if let Some(entry) = self.breakers.entries().get_mut(&self.name) {
            what(entry, probe);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        // Called off before it found out: the next call may.
        if let Some(open) = self.breakers.entries().get_mut(&self.name).and_then(|entry| entry.open.as_mut()) {
            open.probing = false;
        }
    }
}

/// What is left until then. A clock that was set back does not keep it open for longer than it may be.
fn left(until: Time, now: Time) -> Option<Duration> {
    let left = (until - now).to_std().ok().filter(|left| !left.is_zero())?;
    (left <= LONGEST).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn fail(breakers: &Breakers, now: i64) {
        breakers.admit("r", at(0), at(now)).expect("is let through").failed(at(now));
    }

    fn refused(breakers: &Breakers, now: i64) -> Duration {
        breakers.admit("r", at(0), at(now)).map(|_| ()).expect_err("is open")
    }

    // F54
    #[test]
    fn five_failures_in_a_row_open_it_and_an_answer_in_between_does_not() {
        let breakers = Breakers::default();
        for _ in 0..4 {
            fail(&breakers, 0);
        }
        breakers.admit("r", at(0), at(0)).expect("closed").answered();
        for _ in 0..4 {
            fail(&breakers, 0);
        }
        assert_eq!(breakers.state("r"), BreakerState { failures: 4, open_until: None });
        fail(&breakers, 0);
        assert_eq!(refused(&breakers, 0), FIRST);
        assert_eq!(breakers.state("r").open_until, Some(at(30)));
        breakers.admit("another", at(0), at(0)).expect("one rotator's trouble is not another's");
    }

    #[test]
    fn one_call_finds_out_and_each_failure_of_it_doubles_the_wait() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            fail(&breakers, 0);
        }
        let mut now = 30;
        for wait in [60, 120, 240, 300, 300] {
            let probe = breakers.admit("r", at(0), at(now)).expect("one is let through");
            assert_eq!(refused(&breakers, now), WHILE_PROBING);
            probe.failed(at(now));
            assert_eq!(refused(&breakers, now), Duration::from_secs(wait));
            now += i64::try_from(wait).expect("small");
        }
        breakers.admit("r", at(0), at(now)).expect("one is let through").answered();
        assert_eq!(breakers.state("r"), BreakerState::default());
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_lengthen_it() {
        let breakers = Breakers::default();
        let late: Vec<_> = (0..9).map(|_| breakers.admit("r", at(0), at(0)).expect("closed")).collect();
        for permit in late {
            permit.failed(at(1));
        }
        assert_eq!(breakers.state("r").open_until, Some(at(31)));
    }

    #[test]
    fn a_call_that_is_called_off_lets_the_next_one_find_out() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            fail(&breakers, 0);
        }
        drop(breakers.admit("r", at(0), at(31)).expect("one is let through"));
        breakers.admit("r", at(0), at(31)).expect("and another").answered();
    }

    #[test]
    fn a_changed_registration_and_a_clock_set_back_close_it() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            fail(&breakers, 0);
        }
        drop(breakers.admit("r", at(0), at(-4000)).expect("the clock was set back"));
        refused(&breakers, 1);
        breakers.admit("r", at(5), at(6)).expect("another URL");
        breakers.forget("r");
        assert_eq!(breakers.state("r"), BreakerState::default());
    }
}
