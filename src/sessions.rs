//! Asks a built-in rotator who is logged in at a target, where nothing may be changed.
//!
//! Never here: what a rotator asks the target, steps of rotations (`scheduler.rs`).

use std::time::Duration;

use api::workbench::Problem;
use engine::Time;
use engine::check::Sessions;
use engine::id::VersionId;
use engine::idle::LookOnly;
use engine::port::StepContext;
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use rotators::Registry;
use store::Standing;

use crate::looks::pick;

/// How long the target may take.
const WAIT: Duration = Duration::from_secs(10);
/// Refused logins that a look may cost the account.
const BUDGET: u32 = 1;

/// Who is logged in with the credential before AWSCURRENT; None where that cannot be told, or there is none.
///
/// # Errors
/// [`Problem::Refused`] with why the target could not be asked.
pub(crate) async fn of(registry: &Registry, standing: &Standing, now: Time) -> Result<Option<Vec<Sessions>>, Problem> {
    if !standing.lane.is_empty() || standing.material.known.is_empty() {
        return Ok(None);
    }
    let Some(rotator) = pick(registry, standing.rotator.as_deref(), &standing.material) else { return Ok(None) };
    let fresh = || Run::new(VersionId::random(&mut rand::rng()), "look".to_owned(), now);
    let run = standing.run.clone().unwrap_or_else(fresh);
    let cx = StepContext {
        arn: &standing.arn,
        step: Step::Retire,
        run: &run,
        material: &standing.material,
        attempted: false,
        login_budget: BUDGET,
        deadline: WAIT,
        guard: &LookOnly,
        scramble: &SecretBytes::from(""),
        hold: false,
    };
    match tokio::time::timeout(WAIT, rotator.sessions(&cx)).await {
        Ok(Ok(sessions)) => Ok(sessions),
        Ok(Err(error)) => Err(Problem::Refused([error.message, error.remedy].join(" ").trim().to_owned())),
        Err(_) => Err(Problem::Refused(format!("The target did not answer within {} seconds.", WAIT.as_secs()))),
    }
}
