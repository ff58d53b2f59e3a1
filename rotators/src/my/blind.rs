//! Owns the change by a MySQL account that sees no hash of its own row: what it has is found out by the change itself.
//!
//! `REPLACE` names the password that is to be replaced, and MySQL (tried on 9.7) compares it with the first password
//! only, also where the session was let in by the second one: 3891 says that it is another, and that nothing was
//! changed. So `SET PASSWORD = new REPLACE current RETAIN CURRENT PASSWORD` cannot evict AWSCURRENT however often it is
//! sent. Without RETAIN the second password stays as it is, so that a second candidate takes the first one's place in
//! one statement, with AWSCURRENT logging in at every moment. 3891 counts as no refused login.
//!
//! A password history comes before that comparison (3638), and so does the password policy (1819): an account with a
//! history is not given two passwords blindly (`Flavor::lacking`).

use engine::outcome::{StepError, Verdict};

use super::contradiction;
use super::dual::{Aim, Goal, not_to_be_ended};
use super::session::Session;
use super::steps::Steps;
use crate::connection::Login;
use crate::quote::{my_account, shown};

/// "Incorrect current password."
const NOT_THE_FIRST: &str = "3891";

impl Steps<'_> {
    pub(super) async fn reach_blindly(&self, session: &mut Session, goal: &Goal<'_>) -> Result<(), StepError> {
        match goal.aim {
            Aim::InPlace { ends } => self.replace_blindly(session, goal, ends).await,
            Aim::Beside => self.add_blindly(session, goal).await,
            Aim::Back { ends: false } => self.replace_blindly(session, goal, false).await,
            Aim::Back { ends: true } => self.put_back_blindly(session, goal).await,
            Aim::Alone => self.end_blindly(session, goal).await,
        }
    }

    async fn replace_blindly(&self, session: &mut Session, goal: &Goal<'_>, ends: bool) -> Result<(), StepError> {
        let parties = goal.parties;
        let set = goal.entered.same_password(&parties.wanted);
        // A rollback's password may log in as the second one, which only this session could end.
        if set && !(ends && parties.rolls_back()) {
            return Ok(());
        }
        if !self.swap_any(session, goal, std::iter::once(goal.entered).chain(goal.logins())).await? {
            return Err(self.first_is_unknown(goal).await?);
        }
        if ends { self.end_second(session).await } else { Ok(()) }
    }

    async fn add_blindly(&self, session: &mut Session, goal: &Goal<'_>) -> Result<(), StepError> {
        let set = goal.entered.same_password(&goal.parties.wanted);
        let Some(current) = goal.current() else {
            return self.replace_blindly(session, goal, false).await;
        };
        // What was made for this rotation logs in because its statement arrived. What a rollback carries may log in
        // as the second password, with AWSCURRENT as the first.
        let landed = set && !goal.parties.rolls_back();
        if !landed && self.swap(session, goal, current, true).await? {
            self.effort.retains_current();
            return Ok(());
        }
        // AWSCURRENT is not the first password: it is the second one, or none.
        let beside = self.logs_in(current).await?;
        // Two passwords that both log in are the two there are.
        let there = landed || (set && beside);
        if !there && !self.swap_any(session, goal, goal.logins().filter(|login| !login.same_password(current))).await? {
            return Err(self.first_is_unknown(goal).await?);
        }
        if beside {
            self.effort.retains_current();
        }
        Ok(())
    }

    async fn put_back_blindly(&self, session: &mut Session, goal: &Goal<'_>) -> Result<(), StepError> {
        let wanted = &goal.parties.wanted;
        let set = goal.entered.same_password(wanted);
        let replaced = if set {
            self.swap_any(session, goal, goal.candidates().map(|named| &named.login)).await?
        } else {
            self.swap_any(session, goal, std::iter::once(goal.entered).chain(goal.logins())).await?
        };
        if replaced {
            return self.end_second(session).await;
        }
        if !set {
            return Err(self.first_is_unknown(goal).await?);
        }
        for candidate in goal.candidates() {
            if !self.logs_in(&candidate.login).await? {
                continue;
            }
            // It is not the first password, so it is the second one, and this puts AWSCURRENT in its place.
            if !self.swap(session, goal, wanted, true).await? {
                return Err(self.first_is_unknown(goal).await?);
            }
            return self.end_second(session).await;
        }
        Ok(())
    }

    /// AWSCURRENT in the place of itself, and in the place of whatever was beside it: one statement, which does nothing
    /// unless AWSCURRENT is the first password. What DISCARD then takes away is a second copy.
    async fn end_blindly(&self, session: &mut Session, goal: &Goal<'_>) -> Result<(), StepError> {
        let wanted = &goal.parties.wanted;
        let alone = match self.swap(session, goal, wanted, true).await {
            Err(error) if matches!(error.code.as_str(), "3638" | "1819") => {
                let found =
                    "the server's rules for new passwords keep it from making sure which of the two comes first";
                return Err(not_to_be_ended(wanted, found));
            }
            other => other?,
        };
        // AWSCURRENT was let in and is not the first: then it is the second, and takes the place of the old one.
        let over = goal.over().filter(|over| !over.same_password(wanted));
        let replaced = match over {
            Some(over) if !alone => self.swap(session, goal, over, false).await?,
            _ => alone,
        };
        if !replaced {
            return Err(not_to_be_ended(wanted, "its first password is none that this secret knows"));
        }
        self.end_second(session).await
    }

    /// Tries which of these is the first password, by replacing it. The second one stays.
    async fn swap_any<'l>(
        &self,
        session: &mut Session,
        goal: &Goal<'_>,
        logins: impl Iterator<Item = &'l Login>,
    ) -> Result<bool, StepError> {
        let mut tried: Vec<&Login> = Vec::new();
        for login in logins {
            if tried.iter().any(|before| before.same_password(login)) {
                continue;
            }
            if self.swap(session, goal, login, false).await? {
                return Ok(true);
            }
            tried.push(login);
        }
        Ok(false)
    }

    /// The wanted password in the place of `first`; with `retain`, `first` becomes the second one. False: `first` is not
    /// the first password, and nothing was changed.
    async fn swap(
        &self,
        session: &mut Session,
        goal: &Goal<'_>,
        first: &Login,
        retain: bool,
    ) -> Result<bool, StepError> {
        let statement = self.flavor.swap(&goal.parties.wanted, first, retain);
        let statement = statement.ok_or_else(|| contradiction(&session.login))?;
        match self.send(session, &statement).await {
            Ok(()) => Ok(true),
            Err(error) if error.code == NOT_THE_FIRST => {
                self.effort.answered();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Only right after a statement that made the wanted password the first one.
    async fn end_second(&self, session: &mut Session) -> Result<(), StepError> {
        let statement = self.flavor.end_second().ok_or_else(|| contradiction(&session.login))?;
        self.send(session, &statement).await
    }

    /// Either somebody changed the password just now, or the login that was let in is the second password.
    async fn first_is_unknown(&self, goal: &Goal<'_>) -> Result<StepError, StepError> {
        let login = goal.entered;
        if !self.logs_in(login).await? {
            let message = format!("{} says that the password was changed by somebody else just now.", login.server());
            return Ok(StepError::new(Verdict::Retry, NOT_THE_FIRST, message));
        }
        let (user, account) = (shown(&login.user), shown(&my_account(&login.user, "%")));
        let message = format!(
            "The first password of {user} at {} is none that this secret knows; the one that logs in is its second.",
            login.server()
        );
        Ok(StepError::new(Verdict::NeedsPerson, NOT_THE_FIRST, message).remedy(format!(
            "Have an administrator run ALTER USER {account} IDENTIFIED BY '…' with AWSCURRENT's password, and ALTER USER \
             {account} DISCARD OLD PASSWORD; then resume.",
        )))
    }
}
