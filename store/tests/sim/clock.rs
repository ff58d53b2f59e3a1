//! Virtual time: it passes when the simulation says so. Never here: what happens meanwhile.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use engine::Time;
use engine::port::Clock;

/// Tue 2026-03-10 09:37:00Z, as in the contract suite.
fn start() -> Time {
    DateTime::from_timestamp(1_773_135_420, 0).unwrap()
}

/// The wall clock, which may jump, and the clock that counts since boot, which never does.
#[derive(Debug)]
pub(crate) struct VirtualClock(Mutex<(Time, Duration)>);

impl VirtualClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((start(), Duration::from_secs(1000))))
    }

    fn times(&self) -> MutexGuard<'_, (Time, Duration)> {
        self.0.lock().unwrap()
    }

    /// Both clocks go on.
    pub(crate) fn pass(&self, length: Duration) {
        let mut times = self.times();
        times.0 += TimeDelta::from_std(length).unwrap();
        times.1 += length;
    }

    /// Both clocks go on until the wall clock shows this, if it does not yet.
    pub(crate) fn pass_until(&self, moment: Time) {
        let length = (moment - self.now()).to_std().unwrap_or_default();
        self.pass(length);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(&self, by: TimeDelta) {
        self.times().0 += by;
    }

    /// The machine is started anew, which takes a minute.
    pub(crate) fn reboot(&self) {
        let mut times = self.times();
        times.0 += TimeDelta::minutes(1);
        times.1 = Duration::from_secs(10);
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.times().0
    }

    fn since_boot(&self) -> Duration {
        self.times().1
    }

    async fn sleep(&self, _length: Duration) {
        // Whoever is driven sleeps at its gate, where the simulation sees until when.
        std::future::pending::<()>().await;
    }
}
