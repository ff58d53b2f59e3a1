//! What operations on registered rotators have done for them: is this a registration that can be called, a preflight, a
//! conformance run.
//!
//! A run is a rotation like any other, with a drill around it (`src/drill.rs`), and goes on when nobody asks for it any
//! more. Never here: what is tried (`src/drill/`), what is sent (`rotators`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::workbench::{Case, CheckReport, NOT_CHECKED, Problem, Report, Workbench};
use async_trait::async_trait;
use engine::Time;
use engine::check::{Finding, Level, Preparation, Prepare, Sessions};
use engine::id::VersionId;
use engine::label;
use engine::outcome::{Done, StepError, Verdict};
use engine::port::{Clock, Options};
use engine::registration::{Kind, Registration};
use engine::rotation::{Rotation, Step};
use engine::subscription::Subscription;
use rotators::Callers;
use store::{Description, External, Rotate, RotationView, Start, Store, StoreError};
use tokio::sync::watch;

use crate::drill::{Drill, Drills, Held, Seen, Trial};
use crate::looks::Looks;

/// How long one call waits for a run to end, or a preflight; shorter than a connection may be silent.
const WAIT: Duration = Duration::from_secs(20);
/// How often the rotation is looked at where no change is noticed.
const LOOK: Duration = Duration::from_millis(500);
/// After so many failures of one step a run is over.
const ENOUGH_FAILURES: u32 = 3;
/// How many reports are kept that nobody has asked for.
const KEPT: usize = 16;

/// The server's workbench.
#[derive(Clone)]
pub struct Bench {
    /// Secrets, registrations, rotations.
    pub store: Store,
    /// What calls registered rotators.
    pub callers: Callers,
    /// The drills, which the scheduler knows as well.
    pub drills: Arc<Drills>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where receivers are told to call this server.
    pub endpoint: Option<String>,
    /// What looks at targets beside rotations.
    pub looks: Arc<Looks>,
    /// Runs whose reports nobody has seen to their end.
    pub runs: Runs,
}

/// Runs by their ids, oldest first.
#[derive(Clone, Default)]
pub struct Runs(Arc<Mutex<Vec<(String, Progress)>>>);

/// None until the run has ended.
type Progress = watch::Receiver<Option<Vec<Case>>>;

impl Runs {
    fn all(&self) -> MutexGuard<'_, Vec<(String, Progress)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, run: &str, progress: Progress) {
        let mut all = self.all();
        while all.len() >= KEPT {
            let ended = all.iter().position(|(_, progress)| progress.borrow().is_some());
            all.remove(ended.unwrap_or(0));
        }
        all.push((run.to_owned(), progress));
    }

    fn find(&self, run: &str) -> Option<Progress> {
        self.all().iter().find(|(id, _)| id == run).map(|(_, progress)| progress.clone())
    }

    fn forget(&self, run: &str) {
        self.all().retain(|(id, _)| id != run);
    }
}

#[async_trait]
impl Workbench for Bench {
    async fn accepts(&self, registration: &Registration) -> Result<(), String> {
        self.callers.accepts(registration)
    }

    async fn may_notify(&self, subscription: &Subscription) -> Result<(), String> {
        self.callers.may_notify(subscription)
    }

    async fn test(&self, rotator: &str, secret_id: &str, run: Option<&str>) -> Result<Report, Problem> {
        let (run, mut progress) = match run {
            None => self.begin(rotator, secret_id).await?,
            Some(run) => {
                let found = self.runs.find(run);
                (run.to_owned(), found.ok_or_else(|| Problem::Refused(format!("There is no run {run} (any more).")))?)
            }
        };
        let ended = tokio::time::timeout(WAIT, progress.wait_for(Option::is_some)).await;
        let cases = match ended {
            Err(_not_yet) => return Ok(Report { run, finished: false, cases: vec![] }),
            Ok(Ok(cases)) => cases.clone().unwrap_or_default(),
            Ok(Err(_gone)) => return Err(Problem::Failed("the conformance run ended without a report".to_owned())),
        };
        self.runs.forget(&run);
        Ok(Report { run, finished: true, cases })
    }

    async fn check(&self, rotator: Option<&str>, secret_id: &str) -> Result<CheckReport, Problem> {
        let view = self.store.rotation(secret_id).await?;
        let own = rotator_of(&view);
        let Some(rotator) = rotator.or(own) else {
            return Err(Problem::Refused("The secret has no registered rotator: name one to be asked.".to_owned()));
        };
        let (registration, answer) = self.ask(rotator, secret_id, &view).await?;
        let case = match answer {
            Ok(done) => Case { passed: true, detail: done.note, ..preflight() },
            Err(error) if ["no-check", "rotator-disabled"].contains(&error.code.as_str()) => {
                return Err(Problem::Refused(told(&error)));
            }
            Err(error) => Case { passed: false, detail: told(&error), ..preflight() },
        };
        Ok(CheckReport { rotator: registration.name.clone(), cases: vec![case] })
    }

    async fn may_rotate(&self, rotator: &str, secret_id: &str) -> Result<(), Problem> {
        let registration = self.registration(rotator).await?;
        if !matches!(&registration.settings.kind, Kind::Webhook(webhook) if webhook.checks) {
            return Ok(());
        }
        let view = self.store.rotation(secret_id).await?;
        match self.ask(rotator, secret_id, &view).await?.1 {
            Err(error) if matches!(error.verdict, Verdict::NeedsPerson | Verdict::Rejected) => Err(Problem::Refused(
                format!("{} Rotation is not enabled: put that right, then enable it again.", told(&error)),
            )),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn sessions(&self, secret_id: &str) -> Result<Option<Vec<Sessions>>, Problem> {
        self.looks.sessions(secret_id).await
    }

    async fn verify(&self, secret_id: &str, by: &str) -> Result<(), Problem> {
        self.looks.verify(secret_id, by).await
    }

    async fn preflight(
        &self,
        secret_id: &str,
        rotator: Option<&str>,
        options: Option<Options>,
    ) -> Result<engine::check::Report, Problem> {
        let sight = self.looks.sight(secret_id, options).await?;
        if sight.lane.is_empty() || rotator.is_some() {
            return self.looks.preflight(&sight, rotator).await;
        }
        let mut findings = match self.check(None, secret_id).await {
            Ok(report) => report.cases.into_iter().map(of_registered).collect(),
            Err(Problem::Refused(why)) => vec![Finding::new(Level::Warning, NOT_CHECKED, why)],
            Err(error) => return Err(error),
        };
        findings.extend(self.store.preflight(&sight).await?);
        Ok(engine::check::Report { findings, ..engine::check::Report::default() })
    }

    async fn prepare(&self, secret_id: &str, what: Prepare, by: &str) -> Result<Preparation, Problem> {
        self.looks.prepare(secret_id, what, by).await
    }

    fn paused_until(&self, rotator: &str) -> Option<Time> {
        self.callers.breaker(rotator).open_until.filter(|until| self.clock.now() < *until)
    }

    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }
}

impl Bench {
    async fn registration(&self, rotator: &str) -> Result<Arc<Registration>, Problem> {
        let found = self.store.rotator(rotator).await?;
        Ok(found.ok_or_else(|| StoreError::RotatorNotFound(rotator.to_owned()))?)
    }

    /// The step check of one secret.
    async fn ask(
        &self,
        rotator: &str,
        secret_id: &str,
        view: &RotationView,
    ) -> Result<(Arc<Registration>, Result<Done, StepError>), Problem> {
        let registration = self.registration(rotator).await?;
        let current = self.store.current_value(secret_id).await?;
        let token = VersionId::random(&mut rand::rng());
        let current = current.as_ref().map(|value| &value.bytes);
        let asked = self.callers.check(&registration, &view.arn, &token, current);
        let answer = tokio::time::timeout(WAIT, asked).await.unwrap_or_else(|_| {
            let message = format!("The rotator {rotator} did not answer within {} seconds.", WAIT.as_secs());
            Err(StepError::new(Verdict::Retry, "timeout", message))
        });
        Ok((registration, answer))
    }

    /// Begins a run where that makes sense.
    async fn begin(&self, rotator: &str, secret_id: &str) -> Result<(String, Progress), Problem> {
        let registration = self.registration(rotator).await?;
        let view = self.store.rotation(secret_id).await?;
        let current = self.store.current_value(secret_id).await?;
        may_be_tested(&registration, &view, current.is_some()).map_err(Problem::Refused)?;
        let drill = Drill::new((*registration).clone(), self.callers.clone(), Arc::clone(&self.clock));
        let Some(held) = self.drills.begin(&view.arn, drill) else {
            return Err(Problem::Refused(
                "A conformance run with this secret is under way; wait until it has ended.".to_owned(),
            ));
        };
        let token = VersionId::random(&mut rand::rng());
        self.look_before(&held.drill, &view, secret_id).await?;
        self.store.rotate(&view.arn, rotation(&token, rotator), self.clock.now()).await?;
        let run = token.to_string();
        let (tell, progress) = watch::channel(None);
        self.runs.add(&run, progress.clone());
        let this = self.clone();
        tokio::spawn(async move {
            let cases = this.watch(&held, &view.arn, &token).await;
            drop(held);
            // Whoever asked may have gone.
            let _unseen = tell.send(Some(cases));
        });
        Ok((run, progress))
    }

    /// The step check comes before everything else, as it does in real life.
    async fn look_before(&self, drill: &Drill, view: &RotationView, secret_id: &str) -> Result<(), Problem> {
        if !matches!(&drill.registration.settings.kind, Kind::Webhook(webhook) if webhook.checks) {
            return Ok(());
        }
        let seen = match self.ask(&drill.registration.name, secret_id, view).await?.1 {
            Ok(_) => Seen::Passed(String::new()),
            Err(error) => Seen::Failed(told(&error)),
        };
        drill.note(Trial::Check, seen);
        Ok(())
    }

    /// Waits until the rotation has ended or stopped, or there is no time left.
    async fn watch(&self, held: &Held, arn: &str, token: &VersionId) -> Vec<Case> {
        loop {
            let changed = self.store.changed();
            let wake = changed.notified();
            tokio::pin!(wake);
            wake.as_mut().enable();
            let seen = match self.store.rotation(arn).await {
                Ok(view) => self.outcome(&view, token).await,
                Err(error) => Some(Seen::Skipped(error.to_string())),
            };
            let out_of_time =
                || Seen::Failed(format!("It was not over after {} seconds.", held.drill.length.as_secs()));
            if let Some(seen) = seen.or_else(|| held.drill.left().is_zero().then(out_of_time)) {
                held.drill.note(Trial::Ended, seen);
                return held.drill.cases();
            }
            let _either = tokio::time::timeout(LOOK.min(held.drill.left()), wake).await;
        }
    }

    /// How the rotation ended, if it has.
    async fn outcome(&self, view: &RotationView, token: &VersionId) -> Option<Seen> {
        match &view.rotation {
            Rotation::Parked { reason, step, .. } => {
                Some(Seen::Failed(format!("It stopped at {step}: {} {}", reason.message, reason.remedy)))
            }
            Rotation::Waiting { step: Step::Retire, run, .. } if run.promoted => Some(Seen::Passed(
                "The old credential is retired when its grace is over, which is not waited for.".into(),
            )),
            Rotation::Idle => Some(match self.store.describe(&view.arn).await {
                Ok(secret) if has_current(&secret, token) => Seen::Passed(String::new()),
                Ok(_) => Seen::Failed("It was given up: AWSCURRENT is what it was.".to_owned()),
                Err(error) => Seen::Skipped(error.to_string()),
            }),
            // What failed so often will not be put right while its author waits for the report.
            Rotation::Waiting { run, step, .. } if run.attempt >= ENOUGH_FAILURES => {
                Some(Seen::Failed(format!("{step} failed {} times in a row; the rotation is open still.", run.attempt)))
            }
            Rotation::Waiting { .. } | Rotation::Acting { .. } => None,
        }
    }
}

fn has_current(secret: &Description, version: &VersionId) -> bool {
    let stages = secret.stages.get(version.as_str());
    stages.is_some_and(|stages| stages.iter().any(|stage| stage == label::CURRENT))
}

/// The secret must be one that this rotator rotates anyway: a run changes its credential.
fn may_be_tested(registration: &Registration, view: &RotationView, has_value: bool) -> Result<(), String> {
    let (rotator, secret) = (&registration.name, &view.name);
    if registration.disabled {
        return Err(format!("The rotator {rotator} is disabled; enable it first."));
    }
    if rotator_of(view) != Some(rotator) {
        return Err(format!(
            "The secret {secret} is not rotated by {rotator}. A conformance run rotates the secret for real: make a \
             throw-away secret for it, and say `pawl rotation enable {secret} --rotator {rotator}`."
        ));
    }
    if !has_value {
        return Err(format!("The secret {secret} has no value; write one that logs in."));
    }
    if view.paused {
        return Err(format!("The rotation of {secret} is paused; resume it first."));
    }
    if view.rotation != Rotation::Idle {
        return Err(format!("A rotation of {secret} is open; wait until it has ended, or abandon it."));
    }
    Ok(())
}

/// The name of the rotator that a secret was given.
fn rotator_of(view: &RotationView) -> Option<&str> {
    api::rotator_name(view.config.as_ref()?.rotator.as_deref()?)
}

fn rotation(token: &VersionId, rotator: &str) -> Rotate {
    Rotate {
        token: token.clone(),
        rotator: None,
        rules: None,
        time_zone: None,
        options: None,
        start: Start::Rotate,
        external: External::default(),
        by: format!("pawl rotator test {rotator}"),
        serves: None,
    }
}

/// What a registered rotator said to the step check.
fn of_registered(case: Case) -> Finding {
    let (level, said) = if case.passed { (Level::Ok, case.name) } else { (Level::Problem, case.detail.clone()) };
    let said = if case.passed && !case.detail.is_empty() { format!("{said}: {}", case.detail) } else { said };
    Finding::new(level, "check", said)
}

fn preflight() -> Case {
    Case {
        name: "the rotator can rotate this secret".to_owned(),
        passed: false,
        why: "What stands in its way is better known before a rotation is begun.".to_owned(),
        detail: String::new(),
    }
}

/// What happened, and what to do about it.
fn told(error: &StepError) -> String {
    [error.message.as_str(), error.remedy.as_str()].join(" ").trim().to_owned()
}
