//! Preflights and preparations of a secret's target, on behalf of operations: by the rotator that is built in for it.
//!
//! Never here: what is looked at (`rotators`), what the store knows beside that (`store`), what stops whom (`api`).

use std::sync::Arc;
use std::time::Duration;

use api::workbench::{NOT_CHECKED, Problem};
use engine::check::{Finding, Level, Preparation, Prepare, Report};
use engine::driver::LEASE_MARGIN;
use engine::idle::{IdleGuard, LookOnly};
use engine::outcome::{StepError, Verdict};
use engine::port::{Options, PortError, RotationStore};
use store::{Look, Sight};

use crate::looks::{Looks, WAIT, context, in_time, is_no_step, scramble};

/// What bringing an account into another shape may take: each database of its server has a transaction of its own.
const WORK: Duration = Duration::from_secs(90);

impl Looks {
    /// Everything that would stand in the way of rotating, as a report. Changes nothing.
    pub(crate) async fn preflight(&self, sight: &Sight, rotator: Option<&str>) -> Result<Report, Problem> {
        let asked = self.rotator(sight, rotator)?;
        let scramble = scramble().ok_or_else(no_password)?;
        let deadline = self.deadline();
        let cx = context(sight, &LookOnly, deadline, &scramble);
        let found = in_time(deadline, asked.check(&cx)).await;
        let mut report = match found {
            Ok(report) => report,
            found if is_no_step(&found) => Report::default(),
            Err(error) => Report { findings: vec![not_checked(&error)], ..Report::default() },
        };
        report.findings.extend(self.store.preflight(sight, self.clock.now()).await?);
        Ok(report)
    }

    /// Where the settings are to be others than those that are stored, these.
    pub(crate) async fn sight(&self, id: &str, options: Option<Options>) -> Result<Sight, Problem> {
        Ok(self.store.sight(id, options, self.clock.now()).await?)
    }

    /// Says what would bring the account into another shape, or does it, alone with the secret.
    pub(crate) async fn prepare(self: &Arc<Self>, id: &str, what: Prepare, by: &str) -> Result<Preparation, Problem> {
        let sight = self.sight(id, None).await?;
        let rotator = self.rotator(&sight, None)?;
        if matches!(what, Prepare::Show | Prepare::ShowUndo) {
            let scramble = scramble().ok_or_else(no_password)?;
            let cx = context(&sight, &LookOnly, self.deadline(), &scramble);
            return in_time(self.deadline(), rotator.prepare(&cx, what)).await.map_err(|error| told(&error));
        }
        let begin = || self.store.begin_work(id, what, &self.owner, by, self.clock.now());
        let look = self.leased(begin).await?;
        let (this, by) = (Arc::clone(self), by.to_owned());
        // It goes on when nobody waits for it any more.
        let done = tokio::spawn(async move { this.work(&look, what, &by).await });
        match tokio::time::timeout(WAIT, done).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => Err(Problem::Failed(format!("the preparation ended in a panic: {panic}"))),
            Err(_elapsed) => Err(Problem::Refused(format!(
                "It is still under way, and goes on by itself: `pawl rotation history {}` says when it is done, and how.",
                sight.name
            ))),
        }
    }

    async fn work(&self, look: &Look, what: Prepare, by: &str) -> Result<Preparation, Problem> {
        let ended = self.apply(look, what).await;
        self.store.end_work(look, what, &ended, by, self.clock.now()).await?;
        ended.map_err(|error| told(&error))
    }

    async fn apply(&self, look: &Look, what: Prepare) -> Result<Preparation, StepError> {
        let lost = |error: PortError| StepError::new(Verdict::Retry, "lease", error.to_string());
        self.store.renew(&look.lease, WORK + LEASE_MARGIN).await.map_err(lost)?;
        let rotator = self.rotator(&look.sight, None);
        let rotator = rotator.map_err(|error| StepError::new(Verdict::NeedsPerson, "no-rotator", error.to_string()))?;
        let no_password = || StepError::new(Verdict::NeedsPerson, "password", "no password can be made");
        let scramble = scramble().ok_or_else(no_password)?;
        let guard = IdleGuard { store: &self.store, lease: &look.lease };
        let cx = context(&look.sight, &guard, WORK, &scramble);
        in_time(WORK, rotator.prepare(&cx, what)).await
    }
}

/// What only a person can put right stands in the way; what may pass says that nobody could look.
fn not_checked(error: &StepError) -> Finding {
    let code = match error.verdict {
        Verdict::NeedsPerson | Verdict::Rejected => error.code.as_str(),
        Verdict::Retry | Verdict::Unknown | Verdict::InProgress => NOT_CHECKED,
    };
    Finding::new(Level::Problem, code, &error.message).remedy(&error.remedy)
}

fn told(error: &StepError) -> Problem {
    Problem::Refused([error.message.as_str(), error.remedy.as_str()].join(" ").trim().to_owned())
}

fn no_password() -> Problem {
    Problem::Failed("no password can be made".to_owned())
}
