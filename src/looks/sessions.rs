//! Who is logged in at a target with the credential before AWSCURRENT. Nothing is changed by asking.
//!
//! Never here: what a rotator asks the target.

use api::workbench::Problem;
use engine::check::Sessions;
use engine::id::VersionId;
use engine::idle::LookOnly;
use engine::port::StepContext;
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;

use super::{Looks, WAIT, in_time, pick};

/// Refused logins that asking may cost the account.
const BUDGET: u32 = 1;

impl Looks {
    /// None where that cannot be told, or there is no such credential.
    ///
    /// # Errors
    /// [`Problem::Refused`] with why the target could not be asked.
    pub(crate) async fn sessions(&self, id: &str) -> Result<Option<Vec<Sessions>>, Problem> {
        let standing = self.store.standing(id).await?;
        let rotator = match standing.lane.is_empty() && !standing.material.known.is_empty() {
            true => pick(&self.registry, standing.rotator.as_deref(), &standing.material),
            false => None,
        };
        let Some(rotator) = rotator else { return Ok(None) };
        let fresh = || Run::new(VersionId::random(&mut rand::rng()), "look".to_owned(), self.clock.now());
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
        let told = in_time(WAIT / 2, rotator.sessions(&cx)).await;
        told.map_err(|error| Problem::Refused([error.message, error.remedy].join(" ").trim().to_owned()))
    }
}
