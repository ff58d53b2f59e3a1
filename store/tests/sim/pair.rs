//! Two accounts that take turns, as `rotators/src/pair.rs` and `postgres/pair.rs` treat them: the idle one is made or
//! changed by the admin, AWSCURRENT's is only logged in to.

use engine::outcome::{Proof, StepError, Verdict};
use engine::port::{Known, Options, StepContext};
use engine::rotation::Step;
use engine::strategy::Strategy;

use crate::line::{Line, Session};
use crate::parties::{self, Login, Named, parse};
use crate::target::Statement;

const CLONE: &str = "_clone";

/// The two accounts of a step.
pub(crate) struct Pair {
    active: Login,
    other: String,
    wanted: Option<Login>,
    idle: Vec<Named>,
    admin: Login,
}

impl Pair {
    /// None where the step is about one account.
    pub(crate) fn read(cx: &StepContext<'_>) -> Result<Option<Self>, StepError> {
        let Some(current) = &cx.material.current else { return Ok(None) };
        let active = parse(current)?;
        let forward = matches!(cx.step, Step::Set | Step::Test | Step::Finish);
        let wanted = cx.material.wanted.as_ref().filter(|_| forward).map(parse).transpose()?;
        let Some(other) = other_of(cx, &active, wanted.as_ref()) else { return Ok(None) };
        let of_other = |login: &Login| login.host == active.host && login.user == other;
        let in_grace = parties::previous(cx).filter(|previous| cx.run.retiring.is_some() && of_other(previous));
        let mut idle: Vec<Named> = Vec::new();
        for known in &cx.material.known {
            let Some(login) = Login::of(&known.value) else { continue };
            let same = |other: &Login| other.password == login.password;
            let repeated = wanted.iter().chain(idle.iter().map(|named| &named.login)).any(same);
            if of_other(&login) && !repeated {
                let expected = known.role != "AWSPREVIOUS" && !in_grace.as_ref().is_some_and(same);
                idle.push(Named { role: known.role.clone(), login, expected });
            }
        }
        if wanted.is_none() && !idle.iter().any(|named| named.expected) {
            return Ok(None);
        }
        let no_admin = || StepError::new(Verdict::NeedsPerson, "no-admin", "the secret names none").remedy("Name one.");
        let admin = parties::admin(cx, &active)?.ok_or_else(no_admin)?;
        Ok(Some(Self { active, other, wanted, idle, admin }))
    }
}

/// The user of the next value.
pub(crate) fn next_user(options: &Options, current: &str) -> Option<String> {
    (options.strategy == Some(Strategy::AlternatingUsers)).then(|| other_user(current))
}

fn other_user(current: &str) -> String {
    current.strip_suffix(CLONE).map_or_else(|| format!("{current}{CLONE}"), str::to_owned)
}

fn other_of(cx: &StepContext<'_>, active: &Login, wanted: Option<&Login>) -> Option<String> {
    let another = |login: &Login| login.host == active.host && login.user != active.user;
    let of_known = |known: &Known| Login::of(&known.value).filter(another).map(|login| login.user);
    if cx.step == Step::Retire {
        return cx.material.known.first().and_then(of_known);
    }
    let named = Some(other_user(&active.user));
    let chosen = named.as_ref().filter(|_| cx.material.options.strategy == Some(Strategy::AlternatingUsers));
    let begun = cx.run.sets > u32::from(cx.step == Step::Set);
    let made = begun && cx.run.stored > 0;
    if let Some(wanted) = wanted {
        let may = match cx.run.carries {
            None => made,
            Some(_) => begun && named.as_ref() == Some(&wanted.user),
        };
        return Some(wanted.user.clone()).filter(|user| another(wanted) && (may || chosen == Some(user)));
    }
    let own = |known: &Known| known.version.as_ref().is_none_or(|version| *version == cx.run.token);
    let may = |known: &Known, user: &String| {
        chosen == Some(user) || begun && named.as_ref() == Some(user) || made && own(known) && cx.run.carries.is_none()
    };
    let candidates = cx.material.known.iter().filter(|known| known.role != "AWSPREVIOUS");
    let mut found = candidates.filter_map(|known| of_known(known).filter(|user| may(known, user)));
    found.next()
}

/// One step about a pair.
pub(crate) struct Turn<'a> {
    pub(crate) line: &'a Line<'a>,
    pub(crate) pair: &'a Pair,
}

impl Turn<'_> {
    pub(crate) async fn set(&self) -> Result<(), StepError> {
        if self.line.cx.step == Step::Restore {
            return self.put_back().await;
        }
        let wanted = self.wanted()?;
        self.current_or_refused().await?;
        let has_it = self.line.cx.attempted && self.line.logs_in(wanted).await?;
        let admin = self.line.admin(&self.pair.admin).await?;
        self.line.lock(&admin, &self.idle_account()).await?;
        self.line.retains_current();
        if !has_it {
            let statement = Statement::Set(wanted.user.clone(), wanted.password.clone());
            self.line.change(&admin, &[statement]).await?;
        }
        self.line.close(&admin);
        Ok(())
    }

    pub(crate) async fn test(&self) -> Result<(), StepError> {
        match self.line.logs_in(self.wanted()?).await? {
            true => Ok(()),
            false => Err(StepError::new(Verdict::Rejected, "28P01", "the account does not have what was set")),
        }
    }

    pub(crate) async fn retire(&self) -> Result<(), StepError> {
        self.current_or_refused().await?;
        let admin = self.line.admin(&self.pair.admin).await?;
        self.line.lock(&admin, &self.idle_account()).await?;
        if self.line.read(&admin, &self.pair.other).await?.is_some() {
            self.line.change(&admin, &[self.scramble()]).await?;
        }
        self.line.close(&admin);
        Ok(())
    }

    pub(crate) async fn prove(&self) -> Result<Proof, StepError> {
        let active = &self.pair.active;
        let Some(keeper) = self.line.enter(active).await? else { return self.can_restore().await };
        self.lock_both(&keeper).await?;
        let again = self.line.logs_in(active).await?;
        let alive = match self.line.read(&keeper, &self.pair.other).await? {
            Some(_) => self.alive(&keeper).await?,
            None => None,
        };
        // The locks' session must have lived until now.
        self.line.read(&keeper, &active.user).await?;
        self.line.close(&keeper);
        match (again, alive) {
            (true, None) => Ok(Proof::CurrentLogsIn),
            (true, held) => Ok(Proof::CanRestore { held }),
            (false, _) => self.can_restore().await,
        }
    }

    async fn alive(&self, keeper: &Session) -> Result<Option<String>, StepError> {
        for named in self.pair.idle.iter().filter(|named| named.expected) {
            if self.line.logs_in(&named.login).await? {
                return Ok(Some(named.role.clone()));
            }
            self.line.read(keeper, &self.pair.other).await?;
        }
        Ok(None)
    }

    async fn can_restore(&self) -> Result<Proof, StepError> {
        let admin = self.line.admin(&self.pair.admin).await?;
        self.line.close(&admin);
        Ok(Proof::CanRestore { held: None })
    }

    async fn put_back(&self) -> Result<(), StepError> {
        let active = &self.pair.active;
        let logs_in = self.line.logs_in(active).await?;
        let admin = self.line.admin(&self.pair.admin).await?;
        self.lock_both(&admin).await?;
        let back = (!logs_in).then(|| Statement::Set(active.user.clone(), active.password.clone()));
        let idle = self.line.read(&admin, &self.pair.other).await?;
        let statements: Vec<Statement> = back.into_iter().chain(idle.map(|_| self.scramble())).collect();
        if !statements.is_empty() {
            self.line.change(&admin, &statements).await?;
        }
        self.line.close(&admin);
        Ok(())
    }

    async fn lock_both(&self, session: &Session) -> Result<(), StepError> {
        let mut accounts = [self.pair.active.account(), self.idle_account()];
        accounts.sort();
        for account in &accounts {
            self.line.lock(session, account).await?;
        }
        Ok(())
    }

    /// What still works is not ended, and nothing is built, unless AWSCURRENT logs in.
    async fn current_or_refused(&self) -> Result<(), StepError> {
        match self.line.logs_in(&self.pair.active).await? {
            true => Ok(()),
            false => Err(StepError::new(Verdict::NeedsPerson, "current-refused", "AWSCURRENT does not log in")
                .remedy("Reconcile it, then resume.")),
        }
    }

    fn wanted(&self) -> Result<&Login, StepError> {
        let none = || StepError::new(Verdict::NeedsPerson, "no-value", "no value").remedy("Start another rotation.");
        self.pair.wanted.as_ref().ok_or_else(none)
    }

    fn idle_account(&self) -> String {
        format!("{}@{}", self.pair.other, self.pair.active.host)
    }

    fn scramble(&self) -> Statement {
        let nobodys = self.line.cx.scramble.expose_str().unwrap_or_default().to_owned();
        Statement::Scramble(self.pair.other.clone(), nobodys)
    }
}
