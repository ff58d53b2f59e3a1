//! What a driver waits for before it acts: an admin's password that another rotation is using, and an old credential that
//! is still in use when its grace is over.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use engine::Time;
use engine::id::VersionId;
use engine::outcome::{Done, Made, Proof, STILL_USED, StepError, Verdict};
use engine::port::{Abilities, Material, Rotator, StepContext};
use engine::rotation::{Rotation, Step};
use engine::secret::SecretBytes;
use engine::strategy::{Options, Retirement};

use super::{Memory, driven_by, requested};

/// The grace, and how long past it nobody is waited for any longer, in seconds.
const GRACE: u64 = 600;
const DEADLINE: u64 = 1200;
/// A twentieth of the deadline.
const LOOK_AGAIN: i64 = 60;

/// Two credentials live beside each other; says which steps were asked of it, and whether Retire was to hold.
#[derive(Default)]
struct TwoAtOnce {
    asked: Mutex<Vec<(Step, bool)>>,
    /// Somebody is logged in with the old credential.
    in_use: AtomicBool,
}

impl TwoAtOnce {
    fn note(&self, cx: &StepContext<'_>) {
        self.asked.lock().expect("no panic in the lock").push((cx.step, cx.hold));
    }

    /// What was asked since the last time, by step.
    fn asked(&self) -> Vec<(Step, bool)> {
        std::mem::take(&mut self.asked.lock().expect("no panic in the lock"))
    }
}

#[async_trait]
impl Rotator for TwoAtOnce {
    fn name(&self) -> &str {
        "two at once"
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        self.note(cx);
        Ok(password.clone().into())
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.note(cx);
        Ok(Done { retains: true, ..Done::default() })
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.note(cx);
        Ok(Done::default())
    }

    async fn prove(&self, _: &StepContext<'_>) -> Result<Proof, StepError> {
        Ok(Proof::CurrentLogsIn)
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.note(cx);
        match cx.hold && self.in_use.load(Ordering::SeqCst) {
            true => Err(StepError::new(Verdict::InProgress, STILL_USED, "two sessions of web are logged in")),
            false => Ok(Done::default()),
        }
    }
}

/// A version that is no rotation's.
fn current() -> VersionId {
    VersionId::new("c".repeat(32)).expect("32 characters")
}

/// A secret whose old credential is retired when nobody uses it, at the latest at its deadline.
fn drained() -> Memory {
    let retirement = Some(Retirement::WhenDrained { deadline_seconds: DEADLINE });
    let options = Options { retirement, grace_seconds: Some(GRACE), ..Options::default() };
    Memory {
        material: Material { options, ..Material::default() },
        abilities: Abilities { retires_after: Some(GRACE), retires_retained: true, ..Abilities::default() },
        current: Some(current()),
        ..Memory::new()
    }
}

/// The same time and state, so many seconds later.
fn later(memory: Memory, seconds: i64) -> Memory {
    Memory { now: memory.now + TimeDelta::seconds(seconds), ..memory }
}

fn waits(memory: &Memory) -> (Step, Time) {
    match memory.rotation() {
        Rotation::Waiting { step, not_before, .. } => (step, not_before),
        other => panic!("it does not wait: {other:?}"),
    }
}

/// Rotates, and goes on to the end of the grace.
async fn at_the_end_of_the_grace(rotator: &TwoAtOnce) -> Memory {
    let memory = drained();
    driven_by(&memory, Some(rotator), Some(requested(&memory))).await.0.expect("driven");
    let over = memory.now + TimeDelta::seconds(GRACE.cast_signed());
    assert_eq!(waits(&memory), (Step::Retire, over), "the grace has begun");
    rotator.asked();
    later(memory, GRACE.cast_signed())
}

// An admin's own rotation must not take the login away from one that is using it this moment.
#[tokio::test]
async fn an_admins_password_is_not_changed_while_another_rotation_uses_it_and_its_candidate_is_kept() {
    let rotator = TwoAtOnce::default();
    let memory = Memory { material: Material { admin_in_use: true, ..Material::default() }, ..Memory::new() };
    let (ended, steps) = driven_by(&memory, Some(&rotator), Some(requested(&memory))).await;
    ended.expect("the lease is given back");
    assert_eq!(steps, [(Step::Create, None), (Step::Set, Some(Verdict::Retry))]);
    assert_eq!(rotator.asked(), [(Step::Create, false)], "nothing was asked of the target");
    let (step, not_before) = waits(&memory);
    assert!(step == Step::Set && not_before > memory.now);
    let run = memory.rotation().run().expect("it is open").clone();
    assert_eq!((run.candidate, run.sets), (1, 0), "nothing of it is known to the target");

    let memory = Memory { material: Material::default(), ..later(memory, 5) };
    driven_by(&memory, Some(&rotator), None).await.0.expect("driven");
    assert_eq!(memory.rotation(), Rotation::Idle);
    let steps: Vec<_> = rotator.asked().into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [Step::Set, Step::Test], "the same candidate: none was made again");
}

// F112
#[tokio::test]
async fn f112_what_somebody_read_last_is_not_retired_before_they_read_another_or_the_deadline_is_over() {
    for reads_on in [true, false] {
        let rotator = TwoAtOnce::default();
        let memory = at_the_end_of_the_grace(&rotator).await;
        let lagging = Material { lagging: vec!["web".to_owned()], ..memory.material.clone() };
        let memory = Memory { material: lagging, ..memory };
        let (ended, steps) = driven_by(&memory, Some(&rotator), None).await;
        ended.expect("the lease is given back");
        assert_eq!(steps, [(Step::Retire, Some(Verdict::InProgress))]);
        assert!(rotator.asked().is_empty(), "the target was not even asked");
        assert_eq!(waits(&memory), (Step::Retire, memory.now + TimeDelta::seconds(LOOK_AGAIN)));

        let memory = match reads_on {
            true => Memory { material: drained().material, ..later(memory, LOOK_AGAIN) },
            false => later(memory, DEADLINE.cast_signed()),
        };
        driven_by(&memory, Some(&rotator), None).await.0.expect("driven");
        assert_eq!(memory.rotation(), Rotation::Idle);
        assert_eq!(rotator.asked(), [(Step::Retire, reads_on)], "past its deadline nothing holds it");
    }
}

// F112
#[tokio::test]
async fn f112_a_credential_with_sessions_is_looked_at_again_until_they_end_or_its_deadline_is_over() {
    for they_end in [true, false] {
        let rotator = TwoAtOnce::default();
        rotator.in_use.store(true, Ordering::SeqCst);
        let mut memory = at_the_end_of_the_grace(&rotator).await;
        for _ in 0..3 {
            let (ended, steps) = driven_by(&memory, Some(&rotator), None).await;
            ended.expect("the lease is given back");
            assert_eq!(steps, [(Step::Retire, Some(Verdict::InProgress))]);
            assert_eq!(rotator.asked(), [(Step::Retire, true)]);
            assert_eq!(waits(&memory), (Step::Retire, memory.now + TimeDelta::seconds(LOOK_AGAIN)));
            memory = later(memory, LOOK_AGAIN);
        }
        rotator.in_use.store(!they_end, Ordering::SeqCst);
        let memory = if they_end { memory } else { later(memory, DEADLINE.cast_signed()) };
        driven_by(&memory, Some(&rotator), None).await.0.expect("driven");
        assert_eq!(memory.rotation(), Rotation::Idle);
        assert_eq!(rotator.asked(), [(Step::Retire, they_end)], "past its deadline nothing holds it");
    }
}
