//! One account with one password, as `rotators/src/postgres.rs` treats it.

use engine::check::Verified;
use engine::outcome::{Proof, StepError, Verdict};

use crate::line::{Line, Session};
use crate::parties::Parties;
use crate::target::Statement;

pub(crate) struct Single<'a> {
    pub(crate) line: &'a Line<'a>,
    pub(crate) parties: &'a Parties,
}

enum WayIn {
    Changes(Session),
    /// It was the wanted value itself that logged in.
    Already(Session),
}

impl Single<'_> {
    pub(crate) async fn set(&self) -> Result<(), StepError> {
        let session = match self.way_in().await? {
            WayIn::Changes(session) => session,
            WayIn::Already(session) => {
                self.line.close(&session);
                return Ok(());
            }
        };
        let wanted = &self.parties.wanted;
        self.line.lock(&session, &wanted.account()).await?;
        let statement = Statement::Set(wanted.user.clone(), wanted.password.clone());
        self.line.change(&session, &[statement]).await?;
        self.line.close(&session);
        Ok(())
    }

    async fn way_in(&self) -> Result<WayIn, StepError> {
        if let Some(admin) = self.parties.admin_or_error()? {
            if self.line.cx.attempted
                && let Some(session) = self.line.enter(&self.parties.wanted).await?
            {
                return Ok(WayIn::Already(session));
            }
            match self.line.log_in(admin).await? {
                Some(session) => return Ok(WayIn::Changes(session)),
                None if self.parties.restoring => {}
                None => return Err(admin_refused()),
            }
        }
        for login in self.parties.own_logins() {
            if let Some(session) = self.line.enter(login).await? {
                let already = login.password == self.parties.wanted.password;
                return Ok(if already { WayIn::Already(session) } else { WayIn::Changes(session) });
            }
        }
        Err(self.parties.nothing_logs_in())
    }

    pub(crate) async fn test(&self) -> Result<(), StepError> {
        match self.line.logs_in(&self.parties.wanted).await? {
            true => Ok(()),
            false => Err(StepError::new(Verdict::Rejected, "28P01", "the account does not have what was set")),
        }
    }

    pub(crate) async fn prove(&self) -> Result<Proof, StepError> {
        if self.current_logs_in().await? {
            return Ok(Proof::CurrentLogsIn);
        }
        let admin_fails = match &self.parties.admin {
            None => self.parties.no_admin.clone(),
            Some(admin) => match self.line.log_in(admin).await? {
                Some(session) => {
                    self.line.close(&session);
                    return Ok(Proof::CanRestore { held: None });
                }
                None => Some(admin_refused()),
            },
        };
        for named in &self.parties.known {
            if self.line.logs_in(&named.login).await? {
                return Ok(Proof::CanRestore { held: Some(named.role.clone()) });
            }
        }
        // A late statement that restores AWSCURRENT may have landed between the refusals.
        if !self.parties.known.is_empty() && self.current_logs_in().await? {
            return Ok(Proof::CurrentLogsIn);
        }
        Err(admin_fails.unwrap_or_else(|| self.parties.nothing_logs_in()))
    }

    /// Under the lock no statement of an earlier session can still land; so it is the second login that counts.
    async fn current_logs_in(&self) -> Result<bool, StepError> {
        let wanted = &self.parties.wanted;
        let Some(keeper) = self.line.enter(wanted).await? else { return Ok(false) };
        self.line.lock(&keeper, &wanted.account()).await?;
        let again = self.line.logs_in(wanted).await?;
        // The lock's session must have lived until now.
        self.line.read(&keeper, &wanted.user).await?;
        self.line.close(&keeper);
        Ok(again)
    }

    pub(crate) async fn verify(&self) -> Result<Verified, StepError> {
        if self.line.logs_in(&self.parties.wanted).await? {
            return Ok(Verified::CurrentLogsIn);
        }
        for named in &self.parties.known {
            if self.line.logs_in(&named.login).await? {
                return Ok(Verified::AnotherLogsIn { role: named.role.clone() });
            }
        }
        Ok(Verified::NoneLogsIn)
    }
}

fn admin_refused() -> StepError {
    let message = "the admin's login is refused";
    StepError::new(Verdict::NeedsPerson, "admin-refused", message).remedy("Correct the admin secret, then resume.")
}
