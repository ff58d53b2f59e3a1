//! Asks a built-in rotator about a target between rotations, where nothing may be changed: who is logged in there.
//!
//! Never here: what a rotator asks the target, steps of rotations (`scheduler.rs`).

use std::time::Duration;

use api::workbench::Problem;
use async_trait::async_trait;
use engine::Time;
use engine::check::Sessions;
use engine::id::VersionId;
use engine::outcome::{StepError, Verdict};
use engine::port::{Guard, Rotator, StepContext};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use rotators::Registry;
use store::Standing;

/// How long the target may take.
const WAIT: Duration = Duration::from_secs(10);
/// Refused logins that a look may cost the account.
const BUDGET: u32 = 1;

/// Lets nothing be changed.
struct LooksOnly;

#[async_trait]
impl Guard for LooksOnly {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        Err(StepError::new(Verdict::Retry, "looks-only", "nothing is changed outside of a rotation"))
    }
}

/// The built-in rotator of a secret: by the name that it was given, else by its `engine`. None where a registered one serves
/// it, or nobody.
pub(crate) fn built_in<'a>(registry: &'a Registry, standing: &Standing) -> Option<&'a dyn Rotator> {
    if !standing.lane.is_empty() {
        return None;
    }
    match standing.rotator.as_deref() {
        Some(given) => registry.get(api::rotator_name(given)?),
        None => registry.get(rotators::engine_of(standing.material.current.as_ref()?)?),
    }
}

/// Who is logged in with the credential before AWSCURRENT; None where that cannot be told, or there is none.
///
/// # Errors
/// [`Problem::Refused`] with why the target could not be asked.
pub(crate) async fn sessions(
    registry: &Registry,
    standing: &Standing,
    now: Time,
) -> Result<Option<Vec<Sessions>>, Problem> {
    let Some(rotator) = built_in(registry, standing).filter(|_| !standing.material.known.is_empty()) else {
        return Ok(None);
    };
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
        guard: &LooksOnly,
        scramble: &SecretBytes::from(""),
        hold: false,
    };
    match tokio::time::timeout(WAIT, rotator.sessions(&cx)).await {
        Ok(Ok(sessions)) => Ok(sessions),
        Ok(Err(error)) => Err(Problem::Refused([error.message, error.remedy].join(" ").trim().to_owned())),
        Err(_) => Err(Problem::Refused(format!("The target did not answer within {} seconds.", WAIT.as_secs()))),
    }
}
