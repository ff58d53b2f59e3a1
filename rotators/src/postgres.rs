//! Changes the password of one PostgreSQL role, by the role itself or by an admin. The server gets a SCRAM-SHA-256
//! verifier computed here, never the clear password. Never here: the store, the API, another engine's SQL.

mod catalogue;
mod check;
mod errors;
mod mirror;
mod owner;
mod pair;
mod parameters;
mod pooler;
mod prepare;
mod reach;
mod session;
mod site;
mod sniff;
mod undo;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use engine::check::{Preparation, Prepare, Report, Sessions, Verified};
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Rotator, StepContext};
use engine::secret::SecretBytes;
use postgres_protocol::password::scram_sha_256;
use zeroize::Zeroizing;

use self::catalogue::{change, lock, read_role, stored_as_md5};
use self::errors::Moment;
use self::pair::Turn;
use self::prepare::Maker;
use self::session::{Entry, Manner, Session, md5_hash, no_password_asked};
use self::sniff::Asked;
use crate::connection::{Kind, Login, next_value, parse};
use crate::effort::{CHANGE, Effort};
use crate::pair::Pair;
use crate::parties::Parties;
use crate::quote::{pg_name, shown};
use crate::tls::Trust;

pub(crate) const KIND: Kind = Kind {
    name: "postgres",
    title: "PostgreSQL",
    engines: &["postgres", "aurora-postgresql"],
    port: 5432,
    longest_user: 63,
    longest_user_chars: 63,
};

/// The rotator of PostgreSQL.
pub(crate) struct Postgres {
    trust: Arc<Trust>,
}

impl Postgres {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self { trust }
    }
}

#[async_trait]
impl Rotator for Postgres {
    fn name(&self) -> &str {
        KIND.name
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        let current = cx.material.current.as_ref().ok_or_else(crate::no_current)?;
        Ok(next_value(&KIND, &cx.material.options, current, password)?.into())
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let effort = Effort::new(cx.login_budget);
        if let Some(pair) = Pair::read(&KIND, cx)? {
            let turn = Turn { trust: &self.trust, cx, pair: &pair, effort: &effort };
            effort.within(cx.deadline, &pair.active.server(), turn.set()).await?;
            return Ok(effort.done());
        }
        let parties = Parties::read(&KIND, cx)?;
        let step = Steps { trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.set()).await?;
        Ok(effort.done())
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let effort = Effort::new(cx.login_budget);
        if let Some(pair) = Pair::read(&KIND, cx)? {
            let turn = Turn { trust: &self.trust, cx, pair: &pair, effort: &effort };
            effort.within(cx.deadline, &pair.active.server(), turn.test()).await?;
            return Ok(effort.done());
        }
        let parties = Parties::read(&KIND, cx)?;
        let step = Steps { trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.test()).await?;
        Ok(effort.done())
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        let effort = Effort::new(cx.login_budget);
        if let Some(pair) = Pair::read(&KIND, cx)? {
            let turn = Turn { trust: &self.trust, cx, pair: &pair, effort: &effort };
            return effort.within(cx.deadline, &pair.active.server(), turn.prove()).await;
        }
        let parties = Parties::read(&KIND, cx)?;
        let step = Steps { trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.prove()).await
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let effort = Effort::new(cx.login_budget);
        // Where it is about one account, its old password ended when the new one was set.
        let Some(pair) = Pair::read(&KIND, cx)? else {
            Parties::read(&KIND, cx)?.may_retire()?;
            return Ok(effort.done());
        };
        let turn = Turn { trust: &self.trust, cx, pair: &pair, effort: &effort };
        effort.within(cx.deadline, &pair.active.server(), turn.retire()).await?;
        Ok(effort.done())
    }

    async fn sessions(&self, cx: &StepContext<'_>) -> Result<Option<Vec<Sessions>>, StepError> {
        let effort = Effort::new(cx.login_budget);
        let Some((current, old)) = current_and_old(cx)? else { return Ok(None) };
        let admin = crate::parties::admin(&KIND, cx, &current).unwrap_or_default();
        let look = pair::sessions_with(&self.trust, &effort, &current, admin.as_ref(), &old);
        effort.within(cx.deadline, &current.server(), look).await.map(Some)
    }

    async fn prepare(&self, cx: &StepContext<'_>, what: Prepare) -> Result<Preparation, StepError> {
        let effort = Effort::new(cx.login_budget);
        let maker = Maker::read(&self.trust, cx, &effort)?;
        effort.within(cx.deadline, &maker.active.server(), maker.run(what)).await
    }

    async fn verify(&self, cx: &StepContext<'_>) -> Result<Verified, StepError> {
        let parties = Parties::read(&KIND, cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.verify()).await
    }

    async fn check(&self, cx: &StepContext<'_>) -> Result<Report, StepError> {
        let parties = Parties::read(&KIND, cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.check()).await
    }
}

/// AWSCURRENT and the user before it, where that is another one on the same server.
fn current_and_old(cx: &StepContext<'_>) -> Result<Option<(Login, String)>, StepError> {
    let (Some(current), Some(old)) = (&cx.material.current, cx.material.known.first()) else { return Ok(None) };
    let current = parse(&KIND, "AWSCURRENT", current)?;
    let old = parse(&KIND, &old.role, &old.value)?;
    let another = old.same_server(&current) && old.user != current.user;
    Ok(another.then_some((current, old.user)))
}

/// How to log in where nothing is changed by it: an md5 account that Set refuses must still be able to give up.
const LOOKING: Manner = Manner { md5: true };

/// One step under way.
struct Steps<'a> {
    trust: &'a Trust,
    cx: &'a StepContext<'a>,
    parties: &'a Parties,
    effort: &'a Effort,
}

/// A session that may change the role.
struct WayIn {
    session: Box<Session>,
    by_admin: bool,
    /// It was the wanted value itself that logged in.
    already: bool,
}

impl Steps<'_> {
    async fn set(&self) -> Result<(), StepError> {
        fail::fail_point!("set::before_login");
        let WayIn { mut session, by_admin, already } = self.way_in().await?;
        fail::fail_point!("set::connected");
        if already {
            session.close().await;
            return Ok(());
        }
        let wanted = &self.parties.wanted;
        lock(&mut session, wanted, by_admin).await?;
        fail::fail_point!("set::locked");
        let role = read_role(&mut session, wanted).await?;
        role.check(wanted)?;
        if pooler::between(&session, role.backend)
            && let Some(current) = self.parties.known.first()
        {
            pooler::refuse_list(&current.login, self.trust).await?;
        }
        if !self.cx.material.options.allow_md5_upgrade && self.is_md5(&mut session, by_admin, &role).await? {
            return Err(md5_hash(wanted));
        }
        let verifier = Zeroizing::new(scram_sha_256(wanted.password.as_bytes()));
        let statement = change(wanted, &verifier);
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("set::before_change");
        self.effort.sending();
        session.batch(&statement, Moment::Changing).await?;
        self.effort.changed();
        fail::fail_point!("set::after_change");
        fail::fail_point!("set::after_commit");
        session.close().await;
        Ok(())
    }

    /// The session that makes the change: the admin's where one is named, else the first of the account's own
    /// values that logs in. After an attempted Set the wanted value is tried before anything else.
    async fn way_in(&self) -> Result<WayIn, StepError> {
        let manner = Manner { md5: self.cx.material.options.allow_md5_upgrade };
        let admin = self.parties.admin_or_error()?;
        if let Some(admin) = admin {
            if self.cx.attempted
                && let Some(session) = self.enter(&self.parties.wanted, manner).await?
            {
                return Ok(WayIn { session, by_admin: false, already: true });
            }
            match Session::open(admin, self.trust, Manner { md5: true }).await {
                Entry::In(session) => return Ok(WayIn { session, by_admin: true, already: false }),
                Entry::Failed(error) => return Err(error),
                Entry::Refused(_) if self.parties.restoring => {}
                Entry::Refused(error) => return Err(admin_refused(admin, &error)),
            }
        }
        for login in self.parties.own_logins() {
            if let Some(session) = self.enter(login, manner).await? {
                let already = login.same_password(&self.parties.wanted);
                return Ok(WayIn { session, by_admin: false, already });
            }
        }
        Err(self.nothing_logs_in())
    }

    /// Logs in as the account. None: the password was refused.
    async fn enter(&self, login: &Login, manner: Manner) -> Result<Option<Box<Session>>, StepError> {
        self.effort.may_log_in(&self.parties.account())?;
        match Session::open(login, self.trust, manner).await {
            Entry::In(session) if session.asked == Asked::Nothing => Err(no_password_asked(login)),
            Entry::In(session) => Ok(Some(session)),
            Entry::Failed(error) => Err(error),
            Entry::Refused(_) => {
                self.effort.login_refused();
                Ok(None)
            }
        }
    }

    /// Is the stored hash md5? Read where we may; else the server gives it away by what it asks for.
    async fn is_md5(&self, session: &mut Session, by_admin: bool, role: &catalogue::Role) -> Result<bool, StepError> {
        if role.hash_readable {
            return stored_as_md5(session, &self.parties.wanted).await;
        }
        let asked = match by_admin {
            true => Session::peek(&self.parties.wanted, self.trust).await,
            false => session.asked,
        };
        Ok(asked == Asked::Md5)
    }

    async fn test(&self) -> Result<(), StepError> {
        fail::fail_point!("test::before_login");
        let wanted = &self.parties.wanted;
        let Some(mut session) = self.enter(wanted, LOOKING).await? else {
            return Err(self.why_refused().await);
        };
        session.row("SELECT pg_catalog.now()::pg_catalog.text", &[]).await?;
        fail::fail_point!("test::after_login");
        session.close().await;
        Ok(())
    }

    /// PostgreSQL answers 28P01 to several causes. The admin can tell them apart; else the message lists them.
    async fn why_refused(&self) -> StepError {
        let wanted = &self.parties.wanted;
        let general = errors::told(errors::line("28P01"), "28P01", Verdict::Rejected, wanted);
        let Some(admin) = &self.parties.admin else {
            return general;
        };
        let Entry::In(mut session) = Session::open(admin, self.trust, Manner { md5: true }).await else {
            return general;
        };
        let cause = match read_role(&mut session, wanted).await {
            Ok(role) => role.check_login(wanted).err(),
            Err(error) if error.code == "42704" => Some(error),
            Err(_) => return general,
        };
        session.close().await;
        cause.unwrap_or_else(|| {
            StepError::new(
                Verdict::Rejected,
                "28P01",
                format!("{} does not have the password that was set (SQLSTATE 28P01).", self.parties.account()),
            )
            .remedy("See whether something else sets this account's password too.")
        })
    }

    async fn prove(&self) -> Result<Proof, StepError> {
        fail::fail_point!("prove::before_login");
        let wanted = &self.parties.wanted;
        if self.current_logs_in().await? {
            return Ok(Proof::CurrentLogsIn);
        }
        let admin_fails = match &self.parties.admin {
            None => self.parties.no_admin.clone(),
            // Asked first: it costs the account no refused login.
            Some(admin) => match Session::open(admin, self.trust, LOOKING).await {
                Entry::In(mut session) => {
                    // What a new password would not cure must not be tried for ever.
                    let role = read_role(&mut session, wanted).await?;
                    session.close().await;
                    return role.check(wanted).map(|()| Proof::CanRestore { held: None });
                }
                Entry::Failed(error) => Some(error),
                Entry::Refused(error) => Some(admin_refused(admin, &error)),
            },
        };
        for named in &self.parties.known {
            if let Some(session) = self.enter(&named.login, LOOKING).await? {
                session.close().await;
                return Ok(Proof::CanRestore { held: Some(named.role.clone()) });
            }
        }
        // A late statement that restores AWSCURRENT may have landed between the refusals.
        if !self.parties.known.is_empty() && self.current_logs_in().await? {
            return Ok(Proof::CurrentLogsIn);
        }
        Err(admin_fails.unwrap_or_else(|| self.nothing_logs_in()))
    }

    /// Under the lock no statement of an earlier session can still land; so it is the second login that counts.
    async fn current_logs_in(&self) -> Result<bool, StepError> {
        let wanted = &self.parties.wanted;
        let Some(mut session) = self.enter(wanted, LOOKING).await? else {
            return Ok(false);
        };
        catalogue::lock_for_proof(&mut session, wanted).await?;
        // A standby may lag behind the change that is to be disproved.
        let role = read_role(&mut session, wanted).await?;
        role.check(wanted)?;
        let pooled = pooler::between(&session, role.backend);
        let since = if pooled { Some(pooler::now(&mut session).await?) } else { None };
        fail::fail_point!("prove::locked");
        let mut again = self.enter(wanted, LOOKING).await?;
        fail::fail_point!("prove::after_login");
        if let Some(since) = since
            && let Some(first) = again.take()
        {
            pooler::opens_a_connection(first, &since, self.trust).await?;
            again = self.enter(wanted, LOOKING).await?;
        }
        // Fails where the lock's session was ended meanwhile: then nothing was proven.
        session.batch("COMMIT", Moment::Before).await?;
        session.close().await;
        match again {
            Some(again) => {
                again.close().await;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn nothing_logs_in(&self) -> StepError {
        let statement = format!("ALTER ROLE {} PASSWORD '…'", shown(&pg_name(&self.parties.wanted.user)));
        let because =
            "The password was changed outside, or the role is missing, has no LOGIN, or is past its VALID UNTIL.";
        self.parties.nothing_logs_in("28P01", because, &statement)
    }
}

fn admin_refused(admin: &Login, error: &StepError) -> StepError {
    let message =
        format!("{} refuses the login of the admin {} (SQLSTATE {}).", admin.server(), shown(&admin.user), error.code);
    StepError::new(Verdict::NeedsPerson, "admin-refused", message)
        .remedy("Correct the password in the admin secret named by masterarn, then resume.")
}
