//! What the tests share: private databases, accounts in them, and running `pawl` processes.

pub(crate) mod account;
pub(crate) mod cluster;
pub(crate) mod pawl;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod schema;
pub(crate) mod sdk;
pub(crate) mod servers;
pub(crate) mod service;
pub(crate) mod shapes;
pub(crate) mod wire;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Waits for a condition, at most `limit`, and fails with `what` otherwise.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    look_every(Duration::from_millis(50), what, limit, condition)
}

/// The same, looking this often: for what is over before [`wait_for`] looks again.
#[expect(clippy::disallowed_methods, reason = "the one place where tests wait: for a condition, with a limit")]
pub(crate) fn look_every<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(Instant::now() < until, "after {limit:?} still not: {what}");
        thread::sleep(pause);
    }
}

/// Runs every case, five at a time: most of each is waiting for a dead process's lease to run out.
pub(crate) fn several_at_a_time<T: Send>(cases: Vec<T>, run: impl Fn(T) + Sync) {
    let cases = Mutex::new(cases);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                loop {
                    let Some(case) = cases.lock().expect("no other test failed").pop() else { return };
                    run(case);
                }
            });
        }
    });
}

/// A text that occurs nowhere else, so that it can be searched for.
pub(crate) fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
