//! The driver over a store and a rotator that misbehave on purpose: what cannot be had from a real database.

mod waits;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use engine::Time;
use engine::driver::{LEASE_MARGIN, Ports, drive};
use engine::id::{SecretId, VersionId};
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Abilities, Clock, Lease, Material, PortError, RotationStore, Rotator, StepContext};
use engine::rotation::{Decision, Event, Moment, Rotation, Step, step};
use engine::secret::SecretBytes;
use pawl::clock::SystemClock;
use rand::SeedableRng;

/// Time stands still but for sleeping, which is short.
struct Still(Time);

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Time {
        self.0
    }

    fn since_boot(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length / 1000).await;
    }
}

/// A store in memory whose lease and whose commits fail when told to.
struct Memory {
    state: Mutex<Rotation>,
    now: Time,
    left: Duration,
    /// How many of the next reports are not taken.
    failing_reports: AtomicU32,
    fenced: bool,
    /// The longest lease that was asked for.
    asked: Mutex<Duration>,
    /// What every step is given, and what its rotator can do.
    material: Material,
    abilities: Abilities,
    /// AWSCURRENT, as labels have it.
    current: Option<VersionId>,
}

impl Memory {
    fn new() -> Self {
        let now = SystemClock.now();
        let state = Mutex::new(Rotation::Idle);
        Self {
            state,
            now,
            left: Duration::from_secs(15),
            failing_reports: AtomicU32::new(0),
            fenced: false,
            asked: Mutex::default(),
            material: Material::default(),
            abilities: Abilities::default(),
            current: None,
        }
    }

    fn rotation(&self) -> Rotation {
        self.state.lock().expect("no panic in the lock").clone()
    }
}

#[async_trait]
impl RotationStore for Memory {
    async fn look(&self, _: &Lease) -> Result<(Rotation, Duration), PortError> {
        Ok((self.rotation(), self.left))
    }

    async fn apply(&self, _: &Lease, event: Event, jitter: f64) -> Result<Decision, PortError> {
        if self.fenced {
            return Err(PortError::Fenced);
        }
        let is_report = matches!(event, Event::Ended { .. });
        let failing = |left: u32| left.checked_sub(1).filter(|_| is_report);
        if self.failing_reports.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing).is_ok() {
            return Err(PortError::Store("the disk is full".to_owned()));
        }
        let mut state = self.state.lock().expect("no panic in the lock");
        let moment = Moment {
            now: self.now,
            jitter,
            next_window: None,
            abilities: self.abilities,
            current: self.current.clone(),
            previous: None,
            fresh: VersionId::random(&mut rand::rng()),
        };
        let decision = step(&state, event, &moment)?;
        state.clone_from(&decision.next);
        Ok(decision)
    }

    async fn material(&self, _: &Lease, _: &Rotation) -> Result<Material, PortError> {
        Ok(self.material.clone())
    }

    async fn renew(&self, _: &Lease, at_least: Duration) -> Result<Duration, PortError> {
        let mut asked = self.asked.lock().expect("no panic in the lock");
        *asked = at_least.max(*asked);
        Ok(self.left.max(at_least))
    }

    async fn release(&self, _: &Lease) -> Result<(), PortError> {
        Ok(())
    }
}

/// What setSecret does.
#[derive(Clone, Copy)]
enum Set {
    Works,
    Panics,
    NeverEnds,
    AsksTheGuard,
    /// A hundred seconds.
    TakesLong,
}

struct Scripted(Set);

#[async_trait]
impl Rotator for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn patience(&self) -> Duration {
        if matches!(self.0, Set::TakesLong) { Duration::from_secs(100) } else { Duration::ZERO }
    }

    async fn create(&self, _: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        Ok(password.clone().into())
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.0 {
            Set::Works => {}
            Set::TakesLong => assert_eq!(cx.deadline, self.patience(), "all of its time, and no more"),
            Set::Panics => panic!("a driver's bug"),
            Set::NeverEnds => std::future::pending::<()>().await,
            Set::AsksTheGuard => cx.guard.still_ours(Duration::from_secs(60)).await?,
        }
        Ok(Done::default())
    }

    async fn test(&self, _: &StepContext<'_>) -> Result<Done, StepError> {
        Ok(Done::default())
    }

    async fn prove(&self, _: &StepContext<'_>) -> Result<Proof, StepError> {
        Ok(Proof::CurrentLogsIn)
    }
}

/// How a drive ended, and the verdicts of its steps.
type Driven = (Result<(), PortError>, Vec<(Step, Option<Verdict>)>);

/// Drives one requested rotation, and returns how that ended and the verdicts of the steps.
async fn driven(memory: &Memory, set: Set, known: bool) -> Driven {
    let rotator = Scripted(set);
    driven_by(memory, known.then_some(&rotator as &dyn Rotator), Some(requested(memory))).await
}

fn requested(memory: &Memory) -> Event {
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    Event::Requested {
        token: VersionId::random(&mut rng),
        by: "test".to_owned(),
        window_ends: memory.now + chrono::TimeDelta::hours(1),
    }
}

async fn driven_by(memory: &Memory, rotator: Option<&dyn Rotator>, start: Option<Event>) -> Driven {
    let pick = |_: &Material| rotator;
    let seen = Mutex::new(vec![]);
    let observer = |report: engine::driver::Report<'_>| {
        let verdict = report.error.map(|error| error.verdict);
        seen.lock().expect("no panic in the lock").push((report.step, verdict));
    };
    let clock = Still(memory.now);
    let lease = Lease { secret: SecretId(1), arn: "arn".to_owned(), fence: 1 };
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let ports = Ports { store: memory, rotator: &pick, clock: &clock, observer: &observer };
    let ended = drive(ports, &lease, start, &mut rng).await;
    (ended, seen.into_inner().expect("no panic in the lock"))
}

#[tokio::test]
async fn a_rotation_is_driven_to_its_end() {
    let memory = Memory::new();
    let (ended, steps) = driven(&memory, Set::Works, true).await;
    ended.expect("driven");
    assert_eq!(memory.rotation(), Rotation::Idle);
    assert_eq!(steps, [Step::Create, Step::Set, Step::Test, Step::Finish].map(|step| (step, None)));
}

#[tokio::test]
async fn a_rotator_that_panics_leaves_the_outcome_unknown_and_the_process_alive() {
    let memory = Memory::new();
    let (ended, steps) = driven(&memory, Set::Panics, true).await;
    ended.expect("the lease is given back");
    assert_eq!(steps.last(), Some(&(Step::Set, Some(Verdict::Unknown))));
    assert!(matches!(memory.rotation(), Rotation::Waiting { step: Step::Set, .. }));
}

// F18
#[tokio::test]
async fn a_rotator_that_never_ends_is_cut_short_inside_the_lease() {
    let memory = Memory::new();
    let (ended, steps) = driven(&memory, Set::NeverEnds, true).await;
    ended.expect("the lease is given back");
    assert_eq!(steps.last(), Some(&(Step::Set, Some(Verdict::Unknown))));
}

// F18
#[tokio::test]
async fn a_rotator_that_takes_long_gets_a_lease_that_outlasts_it() {
    let memory = Memory::new();
    let (ended, steps) = driven(&memory, Set::TakesLong, true).await;
    ended.expect("driven");
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert_eq!(*memory.asked.lock().expect("no panic in the lock"), Duration::from_secs(100) + LEASE_MARGIN);
}

// F03
#[tokio::test]
async fn a_report_that_the_store_does_not_take_is_offered_again() {
    let memory = Memory { failing_reports: AtomicU32::new(3), ..Memory::new() };
    let (ended, steps) = driven(&memory, Set::Works, true).await;
    ended.expect("driven");
    assert_eq!(memory.rotation(), Rotation::Idle);
    assert_eq!(steps.iter().filter(|(step, _)| *step == Step::Create).count(), 1, "nothing was generated twice");
}

// F03, F29
#[tokio::test]
async fn a_store_that_stays_away_leaves_the_rotation_as_committed() {
    let memory = Memory { failing_reports: AtomicU32::new(1000), ..Memory::new() };
    let (ended, _) = driven(&memory, Set::Works, true).await;
    assert!(matches!(ended, Err(PortError::Store(_))));
    assert!(matches!(memory.rotation(), Rotation::Acting { step: Step::Create, .. }));
}

#[tokio::test]
async fn a_lost_lease_stops_the_driver_at_once() {
    let memory = Memory { fenced: true, ..Memory::new() };
    let (ended, steps) = driven(&memory, Set::Works, true).await;
    assert!(matches!(ended, Err(PortError::Fenced)) && steps.is_empty());
}

// F19
#[tokio::test]
async fn the_last_look_at_the_lease_refuses_a_change_that_may_land_too_late() {
    let memory = Memory::new();
    let (ended, steps) = driven(&memory, Set::AsksTheGuard, true).await;
    ended.expect("the lease is given back");
    assert_eq!(steps.last(), Some(&(Step::Set, Some(Verdict::Retry))));
}

#[tokio::test]
async fn a_secret_without_a_rotator_waits_for_a_person_who_is_told_what_to_do() {
    let memory = Memory::new();
    let (ended, _) = driven(&memory, Set::Works, false).await;
    ended.expect("the lease is given back");
    let Rotation::Parked { reason, .. } = memory.rotation() else { panic!("{:?}", memory.rotation()) };
    assert!(reason.remedy.contains("engine"), "{reason:?}");
}
