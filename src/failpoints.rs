//! The store with a fail point on either side of every commit of a driver, for the crash tests.
//!
//! `PAWL_CRASH_AT=NAME[#COUNT]` stops the process dead, as SIGKILL does, when point NAME is passed for the COUNTth
//! time; `PAWL_STOP_AT` stops it as SIGSTOP does, until somebody sends SIGCONT.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use engine::port::{Lease, Material, PortError, RotationStore};
use engine::rotation::{Decision, Event, Rotation};
use rustix::process::{Signal, getpid, kill_process};
use store::Store;

/// A store that can die on either side of a commit.
pub(crate) struct Breakable(pub(crate) Store);

/// Arms the fail point that the environment names, in this crate or in `rotators`.
pub(crate) fn arm() {
    arm_with("PAWL_CRASH_AT", Signal::KILL);
    arm_with("PAWL_STOP_AT", Signal::STOP);
}

fn arm_with(variable: &str, signal: Signal) {
    let Ok(spec) = std::env::var(variable) else { return };
    let (name, count) = match spec.rsplit_once('#') {
        Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
        None => (spec, 1),
    };
    let passed = AtomicU32::new(0);
    let callback = move || {
        if passed.fetch_add(1, Ordering::SeqCst) + 1 == count {
            kill_process(getpid(), signal).expect("a process may signal itself");
        }
    };
    fail::cfg_callback(name, callback).expect("the name of a fail point");
}

/// The wall clock as the tests want it: moved by as many seconds as the file says that `PAWL_TEST_CLOCK_OFFSET_FILE` names.
pub(crate) fn moved(now: engine::Time) -> engine::Time {
    static FILE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PAWL_TEST_CLOCK_OFFSET_FILE").ok());
    let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let seconds = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    now + chrono::TimeDelta::seconds(seconds)
}

fn point(side: &str, event: &Event) {
    let name = match event {
        Event::Leased => "leased",
        Event::Requested { .. } => "requested",
        Event::Ended { step, .. } => step.name(),
        Event::TrialRequested { .. }
        | Event::RollbackRequested { .. }
        | Event::ReconcileRequested { .. }
        | Event::GraceEnded { .. }
        | Event::Filled(_)
        | Event::Interfered { .. }
        | Event::Resumed { .. }
        | Event::Abandoned
        | Event::RotatorChanged
        | Event::Vouched { .. } => return,
    };
    let name = format!("commit::{side}::{name}");
    fail::eval(&name, |_| ());
}

#[async_trait]
impl RotationStore for Breakable {
    async fn look(&self, lease: &Lease) -> Result<(Rotation, Duration), PortError> {
        self.0.look(lease).await
    }

    async fn apply(&self, lease: &Lease, event: Event, jitter: f64) -> Result<Decision, PortError> {
        point("before", &event);
        let decision = self.0.apply(lease, event.clone(), jitter).await;
        point("after", &event);
        decision
    }

    async fn material(&self, lease: &Lease, rotation: &Rotation) -> Result<Material, PortError> {
        self.0.material(lease, rotation).await
    }

    async fn renew(&self, lease: &Lease, at_least: Duration) -> Result<Duration, PortError> {
        self.0.renew(lease, at_least).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.0.release(lease).await
    }
}
