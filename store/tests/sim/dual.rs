//! One account with two passwords, a primary and a second one, as `rotators/src/my/steps.rs` and `mysql.rs` treat it: what
//! each is to be is read off the catalogue, under the account's lock.

use engine::outcome::{Proof, StepError, Verdict};
use engine::strategy::Strategy;

use crate::line::{Line, Session};
use crate::parties::{Named, Parties};
use crate::target::{Account, Statement};

pub(crate) struct Dual<'a> {
    pub(crate) line: &'a Line<'a>,
    pub(crate) parties: &'a Parties,
}

/// What a step is to bring about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    InPlace,
    Beside,
    Back,
    Alone,
}

/// What is to become of the account.
#[derive(Clone, Copy, Default)]
struct Outlook {
    set: bool,
    retain: bool,
    end: bool,
    retains: bool,
}

impl Dual<'_> {
    pub(crate) async fn set(&self) -> Result<(), StepError> {
        let session = self.way_in().await?;
        self.line.lock(&session, &self.parties.wanted.account()).await?;
        let aim = match self.line.cx.material.options.strategy {
            _ if self.parties.restoring => Aim::Back,
            Some(Strategy::SingleUser) => Aim::InPlace,
            _ => Aim::Beside,
        };
        self.reach(&session, aim).await
    }

    pub(crate) async fn retire(&self) -> Result<(), StepError> {
        self.parties.may_retire()?;
        if self.parties.known.is_empty() {
            return Ok(());
        }
        let session = self.way_in().await?;
        let wanted = &self.parties.wanted;
        if session.login.same_account(wanted) && session.login.password != wanted.password {
            return Err(not_to_be_ended("AWSCURRENT does not log in, and it does"));
        }
        self.line.lock(&session, &wanted.account()).await?;
        if !self.account(&session).await?.lets_in(&wanted.password) {
            return Err(not_to_be_ended("the account has not AWSCURRENT's password"));
        }
        self.reach(&session, Aim::Alone).await
    }

    /// The admin's session where one is named, else the first of the account's own values that logs in.
    async fn way_in(&self) -> Result<Session, StepError> {
        if let Some(admin) = self.parties.admin_or_error()? {
            match self.line.log_in(admin).await? {
                Some(session) => return Ok(session),
                None if self.parties.restoring => {}
                None => return self.line.admin(admin).await,
            }
        }
        for login in self.parties.own_logins() {
            if let Some(session) = self.line.enter(login).await? {
                return Ok(session);
            }
        }
        Err(self.parties.nothing_logs_in())
    }

    async fn account(&self, session: &Session) -> Result<Account, StepError> {
        let gone = || StepError::new(Verdict::NeedsPerson, "1133", "there is no such account").remedy("Make it.");
        self.line.read(session, &self.parties.wanted.user).await?.ok_or_else(gone)
    }

    async fn reach(&self, session: &Session, aim: Aim) -> Result<(), StepError> {
        let account = self.account(session).await?;
        let outlook = self.outlook(&account, aim)?;
        let wanted = &self.parties.wanted;
        let (user, new) = (wanted.user.clone(), wanted.password.clone());
        if outlook.set {
            let own = session.login.same_account(wanted);
            let statement = match (own, outlook.retain) {
                (true, retain) => Statement::Swap { user: user.clone(), new, first: account.primary.clone(), retain },
                (false, true) => Statement::Retain(user.clone(), new),
                (false, false) => Statement::Set(user.clone(), new),
            };
            self.line.change(session, &[statement]).await?;
        }
        if outlook.end {
            self.line.change(session, &[Statement::Discard(user)]).await?;
        }
        if outlook.retains {
            self.line.retains_current();
        }
        self.line.close(session);
        Ok(())
    }

    fn outlook(&self, account: &Account, aim: Aim) -> Result<Outlook, StepError> {
        let wanted = self.parties.wanted.password.as_str();
        let first = |password: &str| account.primary == password;
        let second = |password: &str| account.second.as_deref() == Some(password);
        let any_second = || {
            let mut all = std::iter::once(wanted).chain(self.parties.known.iter().map(|n| n.login.password.as_str()));
            all.any(second)
        };
        let current = self.parties.current();
        let set = !first(wanted);
        let keeps_current = current.is_some_and(second);
        Ok(match aim {
            Aim::Beside if !self.line.means.rules.looks_who_is_primary => {
                Outlook { set: true, retain: true, end: false, retains: true }
            }
            Aim::Beside => {
                let retain = set && current.is_some_and(first);
                if retain && account.second.is_some() && !any_second() {
                    let message = "the account has a second password that is not of this secret";
                    return Err(StepError::new(Verdict::NeedsPerson, "foreign-password", message).remedy("End it."));
                }
                Outlook { set, retain, end: false, retains: retain || keeps_current }
            }
            Aim::InPlace => Outlook { set, retain: false, end: !keeps_current && any_second(), retains: keeps_current },
            Aim::Back => {
                let retain = set && self.parties.in_grace().is_some_and(first);
                let over = || second(wanted) || self.candidates().any(|named| second(&named.login.password));
                Outlook { set, retain, end: !retain && over(), retains: false }
            }
            Aim::Alone => self.alone(account, set)?,
        })
    }

    fn candidates(&self) -> impl Iterator<Item = &Named> {
        self.parties.known.iter().filter(|named| self.parties.is_candidate(named))
    }

    fn alone(&self, account: &Account, set: bool) -> Result<Outlook, StepError> {
        let over = self.parties.known.first().map(|named| named.login.password.as_str());
        let over_is_first = over.is_some_and(|over| account.primary == over);
        let over_is_second = over.is_some_and(|over| account.second.as_deref() == Some(over));
        let wanted_is_second = account.second.as_ref() == Some(&self.parties.wanted.password);
        match (set, over_is_first) {
            (false, _) => Ok(Outlook { end: over_is_second || wanted_is_second, ..Outlook::default() }),
            (true, true) if wanted_is_second => Ok(Outlook { set, end: true, ..Outlook::default() }),
            (true, false) if !over_is_second && !wanted_is_second => Ok(Outlook::default()),
            _ => Err(not_to_be_ended("AWSCURRENT is not the account's first password")),
        }
    }

    pub(crate) async fn prove(&self) -> Result<Proof, StepError> {
        if let Some(error) = &self.parties.no_admin {
            return Err(error.clone());
        }
        if let Some(admin) = &self.parties.admin {
            let keeper = self.line.admin(admin).await?;
            return self.prove_by_admin(&keeper).await;
        }
        if let Some(proof) = self.current_logs_in().await? {
            return Ok(proof);
        }
        for named in &self.parties.known {
            if self.line.logs_in(&named.login).await? {
                return Ok(Proof::CanRestore { held: Some(named.role.clone()) });
            }
        }
        if !self.parties.known.is_empty()
            && let Some(proof) = self.current_logs_in().await?
        {
            return Ok(proof);
        }
        Err(self.parties.nothing_logs_in())
    }

    async fn prove_by_admin(&self, keeper: &Session) -> Result<Proof, StepError> {
        let wanted = &self.parties.wanted;
        self.line.lock(keeper, &wanted.account()).await?;
        let account = self.account(keeper).await?;
        let logged_in = account.primary == wanted.password && self.line.logs_in(wanted).await?;
        self.line.read(keeper, &wanted.user).await?;
        self.line.close(keeper);
        Ok(match logged_in && !self.left_behind(&account) {
            true => Proof::CurrentLogsIn,
            false => Proof::CanRestore { held: None },
        })
    }

    async fn current_logs_in(&self) -> Result<Option<Proof>, StepError> {
        let wanted = &self.parties.wanted;
        let Some(keeper) = self.line.enter(wanted).await? else { return Ok(None) };
        self.line.lock(&keeper, &wanted.account()).await?;
        let again = self.line.logs_in(wanted).await?;
        let account = self.account(&keeper).await?;
        self.line.close(&keeper);
        let proof = match self.left_behind(&account) {
            true => Proof::CanRestore { held: Some("another value".to_owned()) },
            false => Proof::CurrentLogsIn,
        };
        Ok(again.then_some(proof))
    }

    /// A value of ours other than the wanted one logs in, in its place or beside it.
    fn left_behind(&self, account: &Account) -> bool {
        let lacks = account.primary != self.parties.wanted.password;
        let holder = self.parties.known.iter().find(|named| named.login.password == account.primary);
        let in_its_place = lacks && holder.is_some_and(|named| named.expected);
        in_its_place || self.candidates().any(|named| account.lets_in(&named.login.password))
    }
}

fn not_to_be_ended(found: &str) -> StepError {
    let message = format!("the password before AWSCURRENT is not ended: {found}");
    StepError::new(Verdict::NeedsPerson, "not-to-be-ended", message).remedy("Set AWSCURRENT by hand, then resume.")
}
