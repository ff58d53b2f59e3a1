//! Virtual time: it passes when the simulation says so. Never here: what happens meanwhile.

use std::path::PathBuf;
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

/// The wall clock, which may jump, and the clock that counts since boot, which never does; and how long all of it lasts.
#[derive(Debug)]
pub(crate) struct VirtualClock {
    times: Mutex<(Time, Duration, Duration)>,
    /// Where a database reads what the wall clock shows.
    shown: Option<PathBuf>,
}

impl VirtualClock {
    pub(crate) fn new(shown: Option<PathBuf>) -> Self {
        let this = Self { times: Mutex::new((start(), Duration::from_secs(1000), Duration::ZERO)), shown };
        this.show();
        this
    }

    fn show(&self) {
        let Some(file) = &self.shown else { return };
        // Whole at every moment: the database may be reading it.
        let new = file.with_extension("new");
        std::fs::write(&new, self.now().timestamp_micros().to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn times(&self) -> MutexGuard<'_, (Time, Duration, Duration)> {
        self.times.lock().unwrap()
    }

    /// Both clocks go on.
    pub(crate) fn pass(&self, length: Duration) {
        let mut times = self.times();
        times.0 += TimeDelta::from_std(length).unwrap();
        times.1 += length;
        times.2 += length;
        drop(times);
        self.show();
    }

    /// Both clocks go on until the wall clock shows this, if it does not yet.
    pub(crate) fn pass_until(&self, moment: Time) {
        let length = (moment - self.now()).to_std().unwrap_or_default();
        self.pass(length);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(&self, by: TimeDelta) {
        self.times().0 += by;
        self.show();
    }

    /// The machine is started anew, which takes a minute.
    pub(crate) fn reboot(&self) {
        let mut times = self.times();
        times.0 += TimeDelta::minutes(1);
        times.1 = Duration::from_secs(10);
        times.2 += Duration::from_secs(60);
        drop(times);
        self.show();
    }

    /// Time as it passes for everybody else, whatever happens to our machines.
    pub(crate) fn elapsed(&self) -> Duration {
        self.times().2
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
