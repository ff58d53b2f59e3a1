//! What the tests share: private databases, accounts in them, and running `pawl` processes.

pub(crate) mod account;
pub(crate) mod chaos;
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

use std::net::{Ipv4Addr, TcpListener};
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

/// How long a fault lasts. What is to happen in a test is waited for by [`wait_for`].
pub(crate) fn pause(length: Duration) {
    thread::sleep(length);
}

/// Runs every case, five at a time: most of each is waiting for a dead process's lease to run out.
pub(crate) fn several_at_a_time<T: Send>(cases: Vec<T>, run: impl Fn(T) + Sync) {
    so_many_at_a_time(5, cases, run);
}

/// The same, as many at a time as this; the last case first.
pub(crate) fn so_many_at_a_time<T: Send>(count: usize, cases: Vec<T>, run: impl Fn(T) + Sync) {
    let cases = Mutex::new(cases);
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                loop {
                    let Some(case) = cases.lock().expect("no other test failed").pop() else { return };
                    run(case);
                }
            });
        }
    });
}

/// A port at which nothing listens, on no address. Below what outgoing connections use, so that none of them takes it before
/// whoever it is for does, nor while that one is killed and started again.
pub(crate) fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| 15_000 + rand::random::<u16>() % 17_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.take(100).find(free).expect("a free port")
}

/// A text that occurs nowhere else, so that it can be searched for.
pub(crate) fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
