//! Does AWSCURRENT log in, and who else does where it does not? Nothing is changed and nothing is locked: it is asked
//! while no rotation is open. Never here: what becomes of the answer.

use engine::check::Verified;
use engine::outcome::StepError;

use super::{LOOKING, Steps};

impl Steps<'_> {
    /// Tries AWSCURRENT, then the other values of the account, each within the login budget.
    pub(super) async fn verify(&self) -> Result<Verified, StepError> {
        fail::fail_point!("verify::before_login");
        if let Some(session) = self.enter(&self.parties.wanted, LOOKING).await? {
            session.close().await;
            return Ok(Verified::CurrentLogsIn);
        }
        for named in &self.parties.known {
            if let Some(session) = self.enter(&named.login, LOOKING).await? {
                session.close().await;
                return Ok(Verified::AnotherLogsIn { role: named.role.clone() });
            }
        }
        Ok(Verified::NoneLogsIn)
    }
}
