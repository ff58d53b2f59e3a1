//! The only caller of the system's clocks.

mod steady;
pub(crate) mod watch;

use std::time::Duration;

use async_trait::async_trait;
use engine::Time;
use engine::port::Clock;

pub use self::steady::{Jump, Steady};

/// Wall time, time since boot with suspend counted, and tokio's sleep.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    fn now(&self) -> Time {
        let now = chrono::Utc::now();
        #[cfg(feature = "failpoints")]
        let now = crate::failpoints::moved(now);
        now
    }

    fn since_boot(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanos)
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// Which boot of the machine this is: leases of another boot say nothing about time since this one.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_else(|_| "unknown".to_owned())
}
