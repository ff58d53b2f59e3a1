//! Owns the order of things in each step on MySQL and MariaDB: who logs in, what is locked, read, asked and sent.
//! Never here: what the two servers say differently.

use std::time::Duration;

use engine::outcome::{Proof, StepError, Verdict};
use engine::port::StepContext;
use engine::strategy::Strategy;

use super::accounts::{Row, Rows, listed};
use super::dual::{self, Aim, By, Goal, Outlook, not_to_be_ended, wants_two};
use super::entry::{self, admin_refused};
use super::errors::{Moment, line, told};
use super::session::{Entry, Session};
use super::{Flavor, Statement};
use crate::connection::Login;
use crate::effort::{CHANGE, Effort, IDLE, LOGIN};
use crate::parties::Parties;
use crate::quote::{my_account, shown};
use crate::tls::Trust;

/// One step under way.
pub(super) struct Steps<'a> {
    pub flavor: &'a dyn Flavor,
    pub trust: &'a Trust,
    pub cx: &'a StepContext<'a>,
    pub parties: &'a Parties,
    pub effort: &'a Effort,
}

/// A session and whose it is.
struct WayIn {
    session: Box<Session>,
    by_admin: bool,
}

impl Steps<'_> {
    pub(super) async fn set(&self) -> Result<(), StepError> {
        fail::fail_point!("set::before_login");
        let WayIn { mut session, by_admin } = self.way_in().await?;
        fail::fail_point!("set::connected");
        let host = self.lock(&mut session, by_admin, IDLE).await?;
        fail::fail_point!("set::locked");
        let rows = self.rows(&mut session, by_admin, &host).await?;
        let by = by(by_admin, &rows);
        let aim = self.aim(&mut session, by, &rows).await?;
        self.reach(session, &rows, by, aim).await?;
        fail::fail_point!("set::after_commit");
        Ok(())
    }

    /// What the passwords of the account are to be after this step.
    async fn aim(&self, session: &mut Session, by: By, rows: &Rows) -> Result<Aim, StepError> {
        let means = dual::means(self.flavor, session, by, rows).await?;
        let strategy = self.cx.material.options.strategy;
        let ends = means.to_end.is_none();
        if self.parties.restoring {
            return Ok(Aim::Back { ends });
        }
        match means.to_add {
            None if wants_two(strategy) => Ok(Aim::Beside),
            Some(lacking) if strategy == Some(Strategy::DualPassword) => {
                Err(dual::refused(&lacking, &self.parties.wanted))
            }
            Some(lacking) if wants_two(strategy) => {
                self.effort.note(dual::in_place_note(&lacking));
                Ok(Aim::InPlace { ends })
            }
            _ => Ok(Aim::InPlace { ends }),
        }
    }

    /// Brings the account there.
    async fn reach(&self, mut session: Box<Session>, rows: &Rows, by: By, aim: Aim) -> Result<(), StepError> {
        let entered = session.login.clone();
        let goal = Goal { aim, parties: self.parties, entered: &entered };
        let allow = self.cx.material.options.allow_differing_hosts || aim == Aim::Alone;
        if by == (By::Own { blind: true }) {
            for row in rows.to_change(self.parties, &entered, allow, |_| false)? {
                row.known_plugin(self.flavor.plugins(), &self.parties.wanted)?;
            }
            self.reach_blindly(&mut session, &goal).await?;
            session.close().await;
            return Ok(());
        }
        let outlooks: Vec<_> =
            rows.list.iter().map(|row| (row.host.as_str(), self.flavor.outlook(row, &goal))).collect();
        let outlook = |row: &Row| outlooks.iter().find(|(host, _)| *host == row.host).map(|(_, outlook)| outlook);
        let done = |row: &Row| matches!(outlook(row), Some(Ok(outlook)) if outlook.done());
        let lacking = rows.to_change(self.parties, &entered, allow, done)?;
        let with_outlook = |row| Ok((row, outlook(row).cloned().transpose()?.unwrap_or_default()));
        let lacking: Vec<(&Row, Outlook)> = lacking.into_iter().map(with_outlook).collect::<Result<_, StepError>>()?;
        let own = by != By::Admin && rows.list.len() == 1;
        for statement in self.flavor.statements(&mut session, &goal, &lacking, own).await? {
            self.send(&mut session, &statement).await?;
        }
        if outlooks.iter().any(|(_, outlook)| matches!(outlook, Ok(Outlook { retains: true, .. }))) {
            self.effort.retains_current();
        }
        session.close().await;
        Ok(())
    }

    /// Sends one changing statement.
    pub(super) async fn send(&self, session: &mut Session, statement: &Statement) -> Result<(), StepError> {
        self.cx.guard.still_ours(CHANGE).await?;
        self.before_change();
        self.effort.sending();
        session.run(statement, Moment::Changing).await?;
        self.effort.changed();
        self.after_change();
        Ok(())
    }

    fn before_change(&self) {
        fail::fail_point!(if self.cx.step == engine::rotation::Step::Retire {
            "retire::before_change"
        } else {
            "set::before_change"
        });
    }

    fn after_change(&self) {
        fail::fail_point!(if self.cx.step == engine::rotation::Step::Retire {
            "retire::after_change"
        } else {
            "set::after_change"
        });
    }

    /// Ends the password before AWSCURRENT. That sessions use it cannot be seen: they are the same account's.
    pub(super) async fn retire(&self) -> Result<(), StepError> {
        fail::fail_point!("retire::before_login");
        self.parties.may_retire()?;
        if self.parties.known.is_empty() {
            self.effort
                .note("The version before has no password of its own on this account: nothing was ended.".to_owned());
            return Ok(());
        }
        let WayIn { mut session, by_admin } = self.way_in().await?;
        fail::fail_point!("retire::connected");
        if !by_admin && !session.login.same_password(&self.parties.wanted) {
            return Err(not_to_be_ended(&self.parties.wanted, "AWSCURRENT's password does not log in, and it does"));
        }
        let host = self.lock(&mut session, by_admin, IDLE).await?;
        fail::fail_point!("retire::locked");
        let rows = self.rows(&mut session, by_admin, &host).await?;
        let by = by(by_admin, &rows);
        if let Some(lacking) = self.flavor.lacking_privilege(&mut session, by).await? {
            return Err(dual::cannot_end(&lacking, &self.parties.wanted));
        }
        let entered = session.login.clone();
        let blind = by == (By::Own { blind: true });
        if !blind && !rows.list.iter().any(|row| row.lets_in(&self.parties.wanted, &entered)) {
            return Err(not_to_be_ended(&self.parties.wanted, "no row of the account has AWSCURRENT's password"));
        }
        self.reach(session, &rows, by, Aim::Alone).await?;
        fail::fail_point!("retire::after_commit");
        Ok(())
    }

    /// The session that makes the change: the admin's where one is named, else the first of the account's own values
    /// that logs in. The admin needs no probe after an attempted Set: the catalogue says what each row holds.
    async fn way_in(&self) -> Result<WayIn, StepError> {
        if let Some(admin) = self.parties.admin_or_error()? {
            match Session::open(admin, self.trust).await {
                Entry::In(session) => return Ok(WayIn { session, by_admin: true }),
                Entry::Failed(error) => return Err(error),
                Entry::Refused(_) if self.parties.restoring => {}
                Entry::Refused(error) => return Err(admin_refused(admin, &error)),
            }
        }
        for login in self.parties.own_logins() {
            if let Some(session) = self.enter(login).await? {
                return Ok(WayIn { session, by_admin: false });
            }
        }
        Err(self.nothing_logs_in())
    }

    pub(super) async fn enter(&self, login: &Login) -> Result<Option<Box<Session>>, StepError> {
        entry::enter(login, self.trust, self.effort).await
    }

    async fn lock(&self, session: &mut Session, by_admin: bool, idle: Duration) -> Result<String, StepError> {
        entry::lock(session, self.flavor, self.effort, &self.parties.wanted, by_admin, idle).await
    }

    /// The account's rows as this session sees them.
    pub(super) async fn rows(&self, session: &mut Session, by_admin: bool, host: &str) -> Result<Rows, StepError> {
        let user = &self.parties.wanted.user;
        let rows = match self.flavor.all_rows(session, user).await? {
            Some(list) => Rows { list },
            None if by_admin => {
                return Err(told(line(1142), 1142, Verdict::NeedsPerson, &self.parties.wanted, &session.by));
            }
            None => {
                self.effort.note(format!(
                    "Only the row {} was seen and changed: the account may not read the server's catalogue of \
                     accounts, so rows of other hosts, if there are any, stay as they are.",
                    shown(&session.by)
                ));
                Rows { list: vec![self.flavor.own_row(session, host).await?] }
            }
        };
        if let Some(limit) = rows.lock_limit() {
            self.effort.locks_after(limit);
        }
        Ok(rows)
    }

    pub(super) async fn test(&self) -> Result<(), StepError> {
        fail::fail_point!("test::before_login");
        let wanted = &self.parties.wanted;
        let Some(mut session) = self.enter(wanted).await? else {
            return Err(self.why_refused().await);
        };
        session.run("SELECT NOW()", Moment::Before).await?;
        fail::fail_point!("test::after_login");
        // Rows that our address cannot log in by are verified by their stored hash.
        let rows = match &self.parties.admin {
            Some(admin) => {
                let mut admin = self.open_admin(admin).await?;
                let rows = self.rows(&mut admin, true, "%").await?;
                admin.close().await;
                Some(rows)
            }
            None => self.flavor.all_rows(&mut session, &wanted.user).await?.map(|list| Rows { list }),
        };
        session.close().await;
        let lacking = rows.as_ref().filter(|rows| rows.list.len() > 1).map(|rows| rows.lacking(wanted, wanted));
        match lacking {
            Some(lacking) if !lacking.is_empty() => Err(row_lacks(&lacking, wanted)),
            _ => Ok(()),
        }
    }

    pub(super) async fn open_admin(&self, admin: &Login) -> Result<Box<Session>, StepError> {
        entry::open_admin(admin, self.trust).await
    }

    /// 1045 has several causes. Where the catalogue says that the password is right, it is one of the others.
    async fn why_refused(&self) -> StepError {
        let wanted = &self.parties.wanted;
        let general = told(line(1045), 1045, Verdict::Rejected, wanted, "");
        let Some(admin) = &self.parties.admin else {
            return general;
        };
        let Ok(mut session) = self.open_admin(admin).await else {
            return general;
        };
        let rows = self.rows(&mut session, true, "%").await;
        session.close().await;
        match rows {
            Ok(rows) if rows.list.is_empty() => told(line(1133), 1133, Verdict::NeedsPerson, wanted, ""),
            Ok(rows) if rows.lacking(wanted, admin).is_empty() => right_but_refused(wanted),
            _ => general,
        }
    }

    pub(super) async fn prove(&self) -> Result<Proof, StepError> {
        fail::fail_point!("prove::before_login");
        // Only the admin sees the rows that our address cannot log in by: without it nothing can be proven of those.
        if let Some(error) = &self.parties.no_admin {
            return Err(error.clone());
        }
        if let Some(admin) = &self.parties.admin {
            return self.prove_by_admin(admin).await;
        }
        if let Some(proof) = self.current_logs_in().await? {
            return Ok(proof);
        }
        for named in &self.parties.known {
            if let Some(session) = self.enter(&named.login).await? {
                session.close().await;
                return Ok(Proof::CanRestore { held: Some(named.role.clone()) });
            }
        }
        // A late statement that restores AWSCURRENT may have landed between the refusals.
        if !self.parties.known.is_empty()
            && let Some(proof) = self.current_logs_in().await?
        {
            return Ok(proof);
        }
        Err(self.nothing_logs_in())
    }

    /// The catalogue says what each row holds, so that AWSCURRENT is tried once, and only where some row has it.
    async fn prove_by_admin(&self, admin: &Login) -> Result<Proof, StepError> {
        let wanted = &self.parties.wanted;
        let mut keeper = self.open_admin(admin).await?;
        self.lock(&mut keeper, true, LOGIN + IDLE).await?;
        fail::fail_point!("prove::locked");
        let rows = self.rows(&mut keeper, true, "%").await?;
        // What a new password would not cure must not be tried for ever.
        rows.to_change(self.parties, admin, true, |row| row.holds(wanted, admin))?;
        let lacking = rows.lacking(wanted, admin).len();
        let logged_in = lacking < rows.list.len() && self.logs_in(wanted).await?;
        fail::fail_point!("prove::after_login");
        self.unlock(keeper).await?;
        match (logged_in, lacking) {
            (true, _) if !rows.left_behind(self.parties, admin) => Ok(Proof::CurrentLogsIn),
            (false, 0) => Err(right_but_refused(wanted)),
            _ => Ok(Proof::CanRestore { held: rows.held(self.parties, admin) }),
        }
    }

    /// Under the lock no statement of an earlier session can still land; so it is the second login that counts. None:
    /// AWSCURRENT was refused.
    async fn current_logs_in(&self) -> Result<Option<Proof>, StepError> {
        let wanted = &self.parties.wanted;
        let Some(mut keeper) = self.enter(wanted).await? else {
            return Ok(None);
        };
        let host = self.lock(&mut keeper, false, LOGIN + IDLE).await?;
        fail::fail_point!("prove::locked");
        let again = self.logs_in(wanted).await?;
        fail::fail_point!("prove::after_login");
        let candidate = match again {
            true => self.candidate_alive(&mut keeper, &host).await?,
            false => None,
        };
        let proof = candidate.map_or(Proof::CurrentLogsIn, |held| Proof::CanRestore { held: Some(held) });
        self.unlock(keeper).await?;
        Ok(again.then_some(proof))
    }

    /// What a value is called that still logs in although it must not: in a row of its own, or beside AWSCURRENT.
    async fn candidate_alive(&self, keeper: &mut Session, host: &str) -> Result<Option<String>, StepError> {
        let entered = keeper.login.clone();
        let rows = match self.flavor.all_rows(keeper, &entered.user).await? {
            Some(list) => Rows { list },
            None => Rows { list: vec![self.flavor.own_row(keeper, host).await?] },
        };
        let by = by(false, &rows);
        if by == (By::Own { blind: false }) {
            let held = || rows.held(self.parties, &entered).unwrap_or_else(|| "another value".to_owned());
            return Ok(rows.left_behind(self.parties, &entered).then(held));
        }
        // Which rows other hosts have, and what they hold, is not seen: those were never changed. Only an account that
        // may have two passwords is asked for them, because each that is refused counts.
        let two = wants_two(self.cx.material.options.strategy)
            && self.parties.known.iter().any(|named| self.parties.is_candidate(named))
            && dual::means(self.flavor, keeper, by, &rows).await?.to_end.is_none();
        for named in self.parties.known.iter().filter(|named| two && self.parties.is_candidate(named)) {
            if self.logs_in(&named.login).await? {
                return Ok(Some(named.role.clone()));
            }
        }
        Ok(None)
    }

    pub(super) async fn logs_in(&self, login: &Login) -> Result<bool, StepError> {
        match self.enter(login).await? {
            Some(session) => {
                session.close().await;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn unlock(&self, keeper: Box<Session>) -> Result<(), StepError> {
        entry::unlock(keeper, &self.parties.wanted).await
    }

    fn nothing_logs_in(&self) -> StepError {
        let account = shown(&my_account(&self.parties.wanted.user, "%"));
        let statement = format!("ALTER USER {account} IDENTIFIED BY '…' (for every row of the account)");
        let because = "The password was changed outside, there is no such account for Pawl's address, or its REQUIRE clause is not met.";
        self.parties.nothing_logs_in("1045", because, &statement)
    }
}

pub(super) fn by(by_admin: bool, rows: &Rows) -> By {
    match by_admin {
        true => By::Admin,
        false => By::Own { blind: rows.list.iter().any(|row| row.stored.is_none()) },
    }
}

pub(super) fn row_lacks(rows: &[&Row], login: &Login) -> StepError {
    StepError::new(
        Verdict::Rejected,
        "row-differs",
        format!(
            "By the catalogue of {} these rows do not have the password of this version: {}.",
            login.server(),
            listed(rows, login)
        ),
    )
    .remedy("See whether something else sets this account's password too.")
}

pub(super) fn right_but_refused(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "1045",
        format!(
            "{} refuses {} although its catalogue has this very password (error 1045).",
            login.server(),
            shown(&login.user)
        ),
    )
    .remedy(
        "A condition beside the password is not met: the host part of the account's rows against Pawl's address, or \
         REQUIRE SSL or X509 against how Pawl connects (\"ssl\" in the secret).",
    )
}
