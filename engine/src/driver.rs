//! Runs one leased rotation: decide, commit, act, record, until nothing is due.
//!
//! Owns the order of commits and acts and the deadline of each act. Never decides what a failure means
//! (that is [`crate::rotation::step`]) and never spawns: the caller brings the runtime.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use futures_util::future::{Either, FutureExt, select};
use rand::{Rng, RngExt};

use crate::Time;
use crate::id::VersionId;
use crate::outcome::{Done, STILL_READ, StepError, Verdict};
use crate::password::PasswordRules;
use crate::port::{Clock, Guard, Lease, Material, PortError, RotationStore, Rotator, StepContext};
use crate::retry;
use crate::rotation::{Decision, Event, Outcome, Refusal, Rotation, Run, Step};
use crate::schedule::Window;
use crate::strategy::Retirement;

/// Kept free at the end of a lease: an act's deadline is what is left of the lease, less this.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// A lease with this much left is not renewed before an act: any act of a built-in rotator fits into it.
const LONG_ENOUGH: Duration = Duration::from_secs(13);
/// Who asks where a schedule does, as history shows it.
pub const SCHEDULE: &str = "schedule";
/// A hundred years, in seconds: no deadline of a retirement that waits for its users is later.
const LONGEST_HOLD: i64 = 100 * 365 * 24 * 3600;
/// How often a report that the store did not take is offered again before the lease is left to expire.
const REPORT_TRIES: u32 = 5;

/// What a driver works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The remembered side.
    pub store: &'a dyn RotationStore,
    /// Picks the rotator for these values; None where the server has none for them (any more).
    pub rotator: &'a (dyn Fn(&Material) -> Option<&'a dyn Rotator> + Sync),
    /// Sleeping.
    pub clock: &'a dyn Clock,
    /// Told of every act that ended: for metrics and logs.
    pub observer: &'a (dyn Fn(Report<'_>) + Sync),
}

/// One act that ended.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Whose.
    pub lease: &'a Lease,
    /// The version it is about.
    pub token: &'a VersionId,
    /// Which step.
    pub step: Step,
    /// It tested what is configured, and was part of no rotation.
    pub trial: bool,
    /// How it ended; None for success.
    pub error: Option<&'a StepError>,
    /// How long it took.
    pub took: Duration,
}

/// How long a rotation that starts late, or at the end of its window, may be retried.
const LATE_RUN: TimeDelta = TimeDelta::hours(1);

/// What a claim by schedule begins with: a rotation, where none is open. One that starts late has its window behind it; it
/// gets an hour all the same.
#[must_use]
pub fn by_schedule(state: &Rotation, window: Option<Window>, token: VersionId, now: Time) -> Option<Event> {
    let soon = now + LATE_RUN;
    (*state == Rotation::Idle).then(|| Event::Requested {
        token,
        by: SCHEDULE.to_owned(),
        window_ends: window.map_or(soon, |window| window.closes.max(soon)),
    })
}

/// Drives the rotation under `lease` until nothing more is due, and gives the lease back. `start` is a
/// [`Event::Requested`] for an idle secret whose schedule is due.
///
/// # Errors
/// [`PortError::Fenced`] when the lease was lost (whoever holds it goes on); [`PortError::Store`] when the
/// store failed for longer than a few tries: the lease runs out and the rotation is resumed from what is committed.
pub async fn drive(
    ports: Ports<'_>,
    lease: &Lease,
    start: Option<Event>,
    rng: &mut (impl Rng + Send),
) -> Result<(), PortError> {
    if let Some(event) = start {
        match ports.store.apply(lease, event, rng.random()).await {
            // Opened by someone else in the meantime: drive that one.
            Ok(_) | Err(PortError::Refused(Refusal::Open)) => {}
            Err(error) => return Err(error),
        }
    }
    loop {
        let driven = match ports.store.apply(lease, Event::Leased, rng.random()).await {
            Ok(decision) => carry_out(ports, lease, decision, rng).await,
            Err(PortError::Refused(_)) => return ports.store.release(lease).await,
            Err(error) => return Err(error),
        };
        match driven {
            Ok(()) => {}
            // Paused, perhaps: nobody is to wait for a lease that nobody uses. One that is lost cannot be given back.
            Err(PortError::Fenced) => {
                let _kept_until_it_ends = ports.store.release(lease).await;
                return Err(PortError::Fenced);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Acts and reports until a decision asks for no act.
async fn carry_out(
    ports: Ports<'_>,
    lease: &Lease,
    mut decision: Decision,
    rng: &mut (impl Rng + Send),
) -> Result<(), PortError> {
    while let Some(step) = decision.act {
        let began = ports.clock.since_boot();
        let outcome = perform(ports, lease, &decision.next, step, rng).await?;
        let error = match &outcome {
            Outcome::Failed(error) => Some(error),
            _ => None,
        };
        let took = ports.clock.since_boot().saturating_sub(began);
        if let Some(run) = decision.next.run() {
            (ports.observer)(Report { lease, token: &run.token, step, trial: run.trial, error, took });
        }
        match report(ports, lease, Event::Ended { step, outcome }, rng).await {
            Ok(next) => decision = next,
            // A user's change came first; the state says what is due now.
            Err(PortError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A report that is lost costs a repeated step, never a value: candidates are sealed before they are sent.
async fn report(
    ports: Ports<'_>,
    lease: &Lease,
    event: Event,
    rng: &mut (impl Rng + Send),
) -> Result<Decision, PortError> {
    let mut tried = 1;
    loop {
        match ports.store.apply(lease, event.clone(), rng.random()).await {
            Err(PortError::Store(_)) if tried < REPORT_TRIES => {
                ports.clock.sleep(Duration::from_millis(100 << tried)).await;
                tried += 1;
            }
            other => return other,
        }
    }
}

async fn perform(
    ports: Ports<'_>,
    lease: &Lease,
    state: &Rotation,
    step: Step,
    rng: &mut (impl Rng + Send),
) -> Result<Outcome, PortError> {
    let Some(run) = state.run() else {
        return Err(PortError::Refused(Refusal::NoneOpen));
    };
    let material = ports.store.material(lease, state).await?;
    let Some(rotator) = (ports.rotator)(&material) else {
        return Ok(Outcome::Failed(no_rotator()));
    };
    if material.admin_rotates && step != Step::Create {
        return Ok(Outcome::Failed(admin_rotates()));
    }
    if material.admin_in_use && step == Step::Set {
        return Ok(Outcome::Failed(admin_in_use()));
    }
    if step == Step::Create && run.carries.is_some() {
        return Ok(carried(&material));
    }
    let hold = step == Step::Retire && holds(run, &material, ports.clock.now());
    if hold && !material.lagging.is_empty() {
        return Ok(Outcome::Failed(still_read(&material)));
    }
    let Ok(scramble) = PasswordRules::for_rotators().generate(rng) else {
        return Ok(Outcome::Failed(StepError::new(Verdict::NeedsPerson, "password", "no password can be made")));
    };
    let deadline = deadline(ports.store, lease, step, rotator.patience()).await?;
    let guard = LeaseGuard { store: ports.store, lease, step };
    let cx = StepContext {
        arn: &lease.arn,
        step,
        run,
        material: &material,
        // The Set that is beginning is counted already.
        attempted: run.sets > 1 || step == Step::Restore,
        login_budget: retry::login_budget(run.lock_limit).saturating_sub(run.failed_logins),
        deadline,
        guard: &guard,
        scramble: &scramble,
        hold,
    };
    let act = AssertUnwindSafe(call(rotator, step, &cx, rng)).catch_unwind();
    let limit = ports.clock.sleep(deadline);
    Ok(match select(std::pin::pin!(act), std::pin::pin!(limit)).await {
        Either::Left((Ok(Outcome::Failed(error)), _)) if error.is_held() => {
            Outcome::Failed(error.retry_after(look_again(&material)))
        }
        Either::Left((Ok(outcome), _)) => outcome,
        Either::Left((Err(_panic), _)) => Outcome::Failed(cut_short(step, "panic", "the rotator panicked")),
        Either::Right(((), _)) => {
            Outcome::Failed(cut_short(step, "deadline", "the target did not answer within the step's deadline"))
        }
    })
}

/// An act ends inside the lease, so that nothing of it can land when another driver has taken over. A rotator that may
/// take longer gets a longer lease, committed before it begins.
async fn deadline(
    store: &dyn RotationStore,
    lease: &Lease,
    step: Step,
    patience: Duration,
) -> Result<Duration, PortError> {
    let needed = patience + LEASE_MARGIN;
    // What a receiver issues must not be forgotten by a power failure: that it was asked is on disk before it is.
    let known = step != Step::Create || patience.is_zero();
    // A renewal is a durable write; a lease that is nearly whole does without.
    let left = match store.look(lease).await?.1 {
        left if known && left >= LONG_ENOUGH.max(needed) => left,
        _ => store.renew(lease, needed).await?,
    };
    left.checked_sub(LEASE_MARGIN).filter(|left| !left.is_zero()).ok_or(PortError::Fenced)
}

async fn call(rotator: &dyn Rotator, step: Step, cx: &StepContext<'_>, rng: &mut (impl Rng + Send)) -> Outcome {
    let done = |result: Result<Done, StepError>| result.map_or_else(Outcome::Failed, Outcome::Done);
    match step {
        Step::Create => create(rotator, cx, rng).await,
        Step::Set | Step::Restore => done(rotator.set(cx).await),
        Step::Test => done(rotator.test(cx).await),
        Step::Finish => done(rotator.finish(cx).await),
        Step::Prove => rotator.prove(cx).await.map_or_else(Outcome::Failed, Outcome::Proved),
        Step::Retire => done(rotator.retire(cx).await),
        Step::Revoke => done(rotator.revoke(cx).await),
    }
}

async fn create(rotator: &dyn Rotator, cx: &StepContext<'_>, rng: &mut (impl Rng + Send)) -> Outcome {
    let made = match PasswordRules::for_rotators().generate(rng) {
        Ok(password) => rotator.create(cx, &password).await,
        Err(error) => Err(StepError::new(Verdict::NeedsPerson, "password", error.to_string())),
    };
    made.map_or_else(Outcome::Failed, |made| match made.value {
        Some(value) => Outcome::Created(value, made.done),
        None => Outcome::Done(made.done),
    })
}

fn no_rotator() -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-rotator", "the secret names no rotator that this server has")
        .remedy("put \"engine\": \"postgres\", \"mysql\" or \"mariadb\" into the secret, or name a rotator with `pawl rotation enable`, then `pawl rotation resume`")
}

/// Its old password may be dead and its new one not known yet; an admin's refused login would park this rotation.
fn admin_rotates() -> StepError {
    StepError::new(
        Verdict::Retry,
        "admin-rotates",
        "the admin secret is being rotated itself; this waits until that is done",
    )
}

/// The other way round: a change of this password would take the login away that another rotation needs just now.
fn admin_in_use() -> StepError {
    StepError::new(
        Verdict::Retry,
        "admin-in-use",
        "a rotation that uses this secret as its admin is at work; this waits until that is done",
    )
}

/// A rollback makes no value.
fn carried(material: &Material) -> Outcome {
    match &material.carried {
        Some(value) => Outcome::Created(value.clone(), Done::default()),
        None => Outcome::Failed(
            StepError::new(Verdict::NeedsPerson, "no-value", "the version to go back to has no value any more")
                .remedy("abandon this rotation; write the value that is wanted by PutSecretValue"),
        ),
    }
}

/// Whether the credential that is to be retired is left where it is still used.
fn holds(run: &Run, material: &Material, now: Time) -> bool {
    let Retirement::WhenDrained { deadline_seconds } = material.options.retirement() else { return false };
    let longest = TimeDelta::seconds(i64::try_from(deadline_seconds).unwrap_or(i64::MAX).min(LONGEST_HOLD));
    run.retire_at.is_some_and(|over| over.checked_add_signed(longest).is_none_or(|latest| now < latest))
}

/// When a credential that is still used is looked at again: often enough for its deadline, and seldom enough for the
/// target.
fn look_again(material: &Material) -> Duration {
    match material.options.retirement() {
        Retirement::WhenDrained { deadline_seconds } => Duration::from_secs((deadline_seconds / 20).clamp(1, 300)),
        Retirement::AtGraceEnd | Retirement::Never => retry::ASK_AGAIN,
    }
}

fn still_read(material: &Material) -> StepError {
    let readers = material.lagging.join(", ");
    let message = format!("the old credential is still the last one that was read by {readers}");
    StepError::new(Verdict::InProgress, STILL_READ, message).retry_after(look_again(material))
}

/// Only a step that changes the target leaves doubt behind when it is cut short.
fn cut_short(step: Step, code: &str, what: &str) -> StepError {
    let verdict = match step {
        // Nothing outside hears of a built-in rotator's Create; of an issuing receiver's nobody knows.
        Step::Create | Step::Set | Step::Restore | Step::Retire | Step::Revoke => Verdict::Unknown,
        Step::Test | Step::Finish | Step::Prove => Verdict::Retry,
    };
    StepError::new(verdict, code, what)
}

/// The last look at the lease before a changing statement.
struct LeaseGuard<'a> {
    store: &'a dyn RotationStore,
    lease: &'a Lease,
    step: Step,
}

#[async_trait]
impl Guard for LeaseGuard<'_> {
    async fn still_ours(&self, needed: Duration) -> Result<(), StepError> {
        let lost = |why: String| StepError::new(Verdict::Retry, "lease", why);
        let (state, left) = self.store.look(self.lease).await.map_err(|error| lost(error.to_string()))?;
        // A user's change in the middle makes this statement pointless: Prove comes next.
        if !matches!(state, Rotation::Acting { step, .. } if step == self.step) {
            return Err(lost("the rotation has moved on".to_owned()));
        }
        if left < needed {
            return Err(lost("too little is left of the lease to change the target safely".to_owned()));
        }
        Ok(())
    }
}
