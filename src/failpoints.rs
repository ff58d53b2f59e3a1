//! The store with a fail point on either side of every commit of a driver, for the crash tests.
//!
//! `PAWL_CRASH_AT=NAME[#COUNT]` stops the process dead, as SIGKILL does, when point NAME is passed for the COUNTth
//! time; `PAWL_STOP_AT` stops it as SIGSTOP does, until somebody sends SIGCONT. `PAWL_LATCH_AT=NAME` with
//! `PAWL_LATCH=FOLDER` leaves what happens there, and when, to the test: see [`Latch`].

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use engine::port::{Lease, Material, PortError, RotationStore};
use engine::rotation::{Decision, Event, Rotation, Step};
use rustix::process::{Signal, getpid, kill_process};
use store::Store;

/// A store that can die on either side of a commit.
pub(crate) struct Breakable(pub(crate) Store);

/// Arms the fail points that the environment names, in this crate or in `rotators`.
pub(crate) fn arm() {
    arm_with("PAWL_CRASH_AT", Signal::KILL);
    arm_with("PAWL_STOP_AT", Signal::STOP);
    let named = std::env::var("PAWL_LATCH_AT").ok().zip(std::env::var_os("PAWL_LATCH"));
    if let Some((name, folder)) = named {
        let latch = Latch { folder: folder.into() };
        fail::cfg_callback(name, move || latch.passed()).expect("the name of a fail point");
    }
}

/// What passes the point does so unhindered until a test puts the file `armed` into the folder. Whoever comes next makes it
/// `reached`, and does what it says: `kill` and `stop` are signals to this process; with `hold` it waits there until the
/// file is gone, while the rest of the process goes on.
struct Latch {
    folder: PathBuf,
}

impl Latch {
    fn passed(&self) {
        let reached = self.folder.join("reached");
        // Only one can have moved it.
        if std::fs::rename(self.folder.join("armed"), &reached).is_err() {
            return;
        }
        match std::fs::read_to_string(&reached).unwrap_or_default().as_str() {
            "kill" => signal(Signal::KILL),
            "stop" => signal(Signal::STOP),
            _ => tokio::task::block_in_place(|| {
                while reached.exists() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }),
        }
    }
}

fn signal(signal: Signal) {
    kill_process(getpid(), signal).expect("a process may signal itself");
}

fn arm_with(variable: &str, what: Signal) {
    let Ok(spec) = std::env::var(variable) else { return };
    let (name, count) = match spec.rsplit_once('#') {
        Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
        None => (spec, 1),
    };
    let passed = AtomicU32::new(0);
    let callback = move || {
        if passed.fetch_add(1, Ordering::SeqCst) + 1 == count {
            signal(what);
        }
    };
    fail::cfg_callback(name, callback).expect("the name of a fail point");
}

/// A point of this crate.
pub(crate) fn passed(name: &str) {
    fail::eval(name, |_| ());
}

/// The wall clock as the tests want it: moved by as many seconds as the file says that `PAWL_TEST_CLOCK_OFFSET_FILE` names.
pub(crate) fn moved(now: engine::Time) -> engine::Time {
    static FILE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PAWL_TEST_CLOCK_OFFSET_FILE").ok());
    let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let seconds = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    now + chrono::TimeDelta::seconds(seconds)
}

/// The point on one side of a commit.
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
    passed(&format!("commit::{side}::{name}"));
}

#[async_trait]
impl RotationStore for Breakable {
    async fn look(&self, lease: &Lease) -> Result<(Rotation, Duration), PortError> {
        passed("look::before");
        let looked = self.0.look(lease).await;
        passed("look::after");
        looked
    }

    async fn apply(&self, lease: &Lease, event: Event, jitter: f64) -> Result<Decision, PortError> {
        point("before", &event);
        let decision = self.0.apply(lease, event.clone(), jitter).await;
        point("after", &event);
        decision
    }

    /// Asked first of all when an act begins, so its points are named by the step.
    async fn material(&self, lease: &Lease, rotation: &Rotation) -> Result<Material, PortError> {
        let step = rotation.step().map_or("none", Step::name);
        passed(&format!("material::before::{step}"));
        let material = self.0.material(lease, rotation).await;
        passed(&format!("material::after::{step}"));
        material
    }

    async fn renew(&self, lease: &Lease, at_least: Duration) -> Result<Duration, PortError> {
        passed("renew::before");
        let left = self.0.renew(lease, at_least).await;
        passed("renew::after");
        left
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        passed("release::before");
        let released = self.0.release(lease).await;
        passed("release::after");
        released
    }
}
