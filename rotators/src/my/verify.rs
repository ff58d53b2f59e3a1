//! Does AWSCURRENT log in, and who else does where it does not? Nothing is changed and nothing is locked: it is asked
//! while no rotation is open. Never here: what becomes of the answer.

use engine::check::Verified;
use engine::outcome::StepError;

use super::steps::Steps;

impl Steps<'_> {
    /// Tries AWSCURRENT, then the other values of the account, each within the login budget.
    pub(super) async fn verify(&self) -> Result<Verified, StepError> {
        fail::fail_point!("verify::before_login");
        if self.logs_in(&self.parties.wanted).await? {
            return Ok(Verified::CurrentLogsIn);
        }
        for named in &self.parties.known {
            if self.logs_in(&named.login).await? {
                return Ok(Verified::AnotherLogsIn { role: named.role.clone() });
            }
        }
        Ok(Verified::NoneLogsIn)
    }
}
