//! Two PostgreSQL accounts that take turns: the idle one is made or changed by the admin, AWSCURRENT's is left alone.
//! Owns the order of things in each step. Never here: what a pair looks like ([`owner`](super::owner)), the statements
//! ([`mirror`](super::mirror)), what one reaches and the other does not ([`reach`](super::reach)).

use std::time::Duration;

use engine::check::Sessions;
use engine::outcome::{Proof, StepError, Verdict};
use engine::port::StepContext;
use engine::rotation::Step;
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::types::Type;
use zeroize::Zeroizing;

use super::catalogue::{self, changes, lock, lock_both, read_role, stored_as_md5};
use super::errors::{Moment, line, told};
use super::mirror::Statement;
use super::owner::{Facts, View, facts, field};
use super::parameters::Forbidden;
use super::reach::{Eyes, Gap};
use super::session::{Entry, Manner, Session, md5_hash, no_password_asked};
use super::sniff::Asked;
use super::{KIND, LOOKING, admin_refused};
use crate::connection::Login;
use crate::effort::{CHANGE, Effort, IDLE, LOGIN};
use crate::pair::{self, Pair, first_user, knows};
use crate::quote::{pg_name, shown};
use crate::tls::Trust;

/// One step about a pair, under way.
pub(super) struct Turn<'a> {
    pub trust: &'a Trust,
    pub cx: &'a StepContext<'a>,
    pub pair: &'a Pair,
    pub effort: &'a Effort,
}

/// How long to wait before looking again whether anybody still uses what is to be ended.
const STILL_USED: Duration = Duration::from_secs(60);

impl Turn<'_> {
    /// Makes the candidate the idle account's password, and the account itself where there is none.
    pub(super) async fn set(&self) -> Result<(), StepError> {
        if self.cx.step == Step::Restore {
            return self.put_back().await;
        }
        fail::fail_point!("set::before_login");
        let wanted = self.wanted()?;
        // Whoever can write the secret must not be able to have another account changed: AWSCURRENT proves itself first.
        let Some(own) = self.enter(&self.pair.active).await? else { return Err(current_refused(&self.pair.active)) };
        let asked = own.asked;
        own.close().await;
        if asked == Asked::Md5 && !self.options().allow_md5_upgrade {
            return Err(md5_hash(&self.pair.active));
        }
        let has_it = self.cx.attempted && self.logs_in(wanted).await?;
        let mut admin = self.admin().await?;
        fail::fail_point!("set::connected");
        lock(&mut admin, &self.idle(), true).await?;
        admin.batch(catalogue::CATALOGUE_ONLY, Moment::Before).await?;
        fail::fail_point!("set::locked");
        let view = self.view(&mut admin).await?;
        view.may_change(&self.pair.active, self.options().allow_superuser)?;
        if view.is_stranger() && !has_it && self.is_found(&view) && self.options().users.is_none() {
            return Err(stranger(&self.pair.active, &self.pair.other));
        }
        self.keeps_its_hash(&mut admin, &view).await?;
        let gaps = view.gaps(&mut admin, Eyes { trust: self.trust, login: &self.pair.admin }).await?;
        self.refuse(&gaps)?;
        self.may_set(&mut admin, &view).await?;
        let verifier = (!has_it).then(|| Zeroizing::new(scram_sha_256(wanted.password.as_bytes())));
        let mends = view.mends(&self.pair.other, verifier.as_ref().map(|verifier| verifier.as_str()));
        self.effort.retains_current();
        if mends.is_empty() {
            admin.close().await;
            return Ok(());
        }
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("set::before_change");
        self.send(&mut admin, &mends).await.map_err(|error| self.not_allowed(error, &view))?;
        fail::fail_point!("set::after_change");
        fail::fail_point!("set::after_commit");
        admin.close().await;
        Ok(())
    }

    /// Logs in with the candidate and compares the pair: what the idle account lacks would be missed by its services.
    pub(super) async fn test(&self) -> Result<(), StepError> {
        fail::fail_point!("test::before_login");
        let wanted = self.wanted()?;
        let Some(mut session) = self.enter(wanted).await? else { return Err(self.why_refused(wanted).await) };
        fail::fail_point!("test::after_login");
        // Who we are is asked before anything is set: a pooler between may have dropped the role.
        let row = session.row("SELECT current_user::pg_catalog.text", &[]).await?;
        let becomes: Option<String> = row.as_ref().map(|row| field(row, 0, wanted)).transpose()?;
        let sql = format!("BEGIN READ ONLY; {}", catalogue::CATALOGUE_ONLY);
        session.batch(&sql, Moment::Before).await?;
        let view = self.view(&mut session).await?;
        let mends = view.mends(&self.pair.other, None);
        if !mends.is_empty() {
            return Err(self.differs(&mends));
        }
        if let Some(owner) = view.owner()
            && becomes.as_deref() != Some(owner)
        {
            return Err(self.role_dropped(owner));
        }
        let gaps = view.gaps(&mut session, Eyes { trust: self.trust, login: wanted }).await?;
        self.refuse(&gaps)?;
        self.note(&view);
        session.close().await;
        Ok(())
    }

    /// Ends the credential that was AWSCURRENT: its account gets a password that nobody knows.
    pub(super) async fn retire(&self) -> Result<(), StepError> {
        fail::fail_point!("retire::before_login");
        // What still works is not ended unless AWSCURRENT does.
        if !self.logs_in(&self.pair.active).await? {
            return Err(current_refused(&self.pair.active));
        }
        let mut admin = self.admin().await?;
        fail::fail_point!("retire::connected");
        lock(&mut admin, &self.idle(), true).await?;
        admin.batch(catalogue::CATALOGUE_ONLY, Moment::Before).await?;
        fail::fail_point!("retire::locked");
        let Some(old) = facts(&mut admin, &self.pair.active, &self.pair.other).await? else {
            self.effort.note(format!("There is no role {} any more.", shown(&self.pair.other)));
            admin.close().await;
            return Ok(());
        };
        self.spares_superusers(&old)?;
        let open = sessions_of(&mut admin, &self.pair.active, &self.pair.other).await?;
        if !open.is_empty() {
            if self.cx.hold {
                return Err(self.still_used(&open));
            }
            self.effort.note(format!("{} go on until they end.", told_sessions(&open)));
        }
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("retire::before_change");
        self.send(&mut admin, &[self.scramble()?]).await?;
        fail::fail_point!("retire::after_change");
        admin.close().await;
        Ok(())
    }

    /// Giving up: AWSCURRENT logs in, and no candidate does. Under the locks of both accounts, so that no statement of an
    /// earlier session can still land.
    pub(super) async fn prove(&self) -> Result<Proof, StepError> {
        fail::fail_point!("prove::before_login");
        let active = &self.pair.active;
        let Some(mut keeper) = self.enter(active).await? else { return self.can_restore().await };
        lock_both(&mut keeper, [&active.user, &self.pair.other], LOGIN + IDLE).await?;
        read_role(&mut keeper, active).await?.check(active)?;
        fail::fail_point!("prove::locked");
        let again = self.logs_in(active).await?;
        let alive = match facts(&mut keeper, active, &self.pair.other).await? {
            Some(idle) if idle.can_login => self.alive(&mut keeper).await?,
            _ => None,
        };
        fail::fail_point!("prove::after_login");
        // Fails where the lock's session was ended meanwhile: then nothing was proven.
        keeper.batch("COMMIT", Moment::Before).await?;
        keeper.close().await;
        match (again, alive) {
            (true, None) => Ok(Proof::CurrentLogsIn),
            (true, held) => Ok(Proof::CanRestore { held }),
            (false, _) => self.can_restore().await,
        }
    }

    /// What a candidate that still logs in is called.
    async fn alive(&self, keeper: &mut Session) -> Result<Option<String>, StepError> {
        for named in self.pair.idle.iter().filter(|named| named.expected) {
            if self.logs_in(&named.login).await? {
                return Ok(Some(named.role.clone()));
            }
            // Every statement begins the server's patience anew.
            keeper.batch("SELECT 1", Moment::Before).await?;
        }
        Ok(None)
    }

    /// AWSCURRENT is refused: the admin can put it back, where a password is all that is wrong.
    async fn can_restore(&self) -> Result<Proof, StepError> {
        let active = &self.pair.active;
        let mut admin = self.admin().await?;
        let role = read_role(&mut admin, active).await?;
        admin.close().await;
        role.check(active).map(|()| Proof::CanRestore { held: None })
    }

    /// Giving up: the idle account gets a password that nobody knows, and AWSCURRENT's its own, where that is refused.
    async fn put_back(&self) -> Result<(), StepError> {
        fail::fail_point!("set::before_login");
        let active = &self.pair.active;
        let logs_in = self.logs_in(active).await?;
        let mut admin = self.admin().await?;
        fail::fail_point!("set::connected");
        lock_both(&mut admin, [&active.user, &self.pair.other], IDLE).await?;
        fail::fail_point!("set::locked");
        let mut statements = Vec::new();
        if !logs_in {
            let role = facts(&mut admin, active, &active.user).await?;
            let role = role.ok_or_else(|| told(line("42704"), "42704", Verdict::NeedsPerson, active))?;
            self.spares_superusers(&role)?;
            statements.push(password(&active.user, &scram_sha_256(active.password.as_bytes())));
        }
        if let Some(idle) = facts(&mut admin, active, &self.pair.other).await? {
            self.spares_superusers(&idle)?;
            statements.push(self.scramble()?);
        }
        if statements.is_empty() {
            admin.close().await;
            return Ok(());
        }
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("set::before_change");
        self.send(&mut admin, &statements).await?;
        fail::fail_point!("set::after_change");
        fail::fail_point!("set::after_commit");
        admin.close().await;
        Ok(())
    }

    /// The changing statements and their commit, in one message.
    async fn send(&self, admin: &mut Session, statements: &[Statement]) -> Result<(), StepError> {
        let sql = changes(statements.iter().map(|statement| statement.sql.as_str()));
        self.effort.sending();
        admin.batch(&sql, Moment::Changing).await?;
        self.effort.changed();
        Ok(())
    }

    fn scramble(&self) -> Result<Statement, StepError> {
        let scramble = self.cx.scramble.expose();
        if scramble.is_empty() {
            let message = "There is no random password to end the account with.";
            return Err(StepError::new(Verdict::NeedsPerson, "no-value", message).remedy("Report this."));
        }
        Ok(password(&self.pair.other, &scram_sha_256(scramble)))
    }

    /// The idle account was there before this secret had anything to do with it.
    fn is_found(&self, view: &View) -> bool {
        view.idle.is_some() && !knows(&KIND, self.cx, &self.pair.active, &self.pair.other)
    }

    fn options(&self) -> &engine::port::Options {
        &self.cx.material.options
    }

    fn wanted(&self) -> Result<&Login, StepError> {
        self.pair.wanted.as_ref().ok_or_else(|| {
            StepError::new(Verdict::NeedsPerson, "no-value", "There is no value to work with.")
                .remedy("Abandon this rotation and start another.")
        })
    }

    /// The idle account as a name, for locks and messages.
    fn idle(&self) -> Login {
        Login { user: self.pair.other.clone(), password: Zeroizing::default(), ..self.pair.active.clone() }
    }

    async fn view(&self, session: &mut Session) -> Result<View, StepError> {
        let active = &self.pair.active;
        View::read(session, active, &self.pair.other, first_user(self.options(), &active.user)).await
    }

    async fn admin(&self) -> Result<Box<Session>, StepError> {
        open_admin(&self.pair.admin, self.trust).await
    }

    /// Logs in as one of the two. None: the password was refused.
    async fn enter(&self, login: &Login) -> Result<Option<Box<Session>>, StepError> {
        enter(login, self.trust, self.effort).await
    }

    async fn logs_in(&self, login: &Login) -> Result<bool, StepError> {
        let entered = self.enter(login).await?;
        let logged_in = entered.is_some();
        if let Some(session) = entered {
            session.close().await;
        }
        Ok(logged_in)
    }

    /// An idle account whose hash is md5 stays as it is until somebody allows the change.
    async fn keeps_its_hash(&self, admin: &mut Session, view: &View) -> Result<(), StepError> {
        if view.idle.is_none() || self.options().allow_md5_upgrade {
            return Ok(());
        }
        let idle = self.idle();
        let md5 = match read_role(admin, &idle).await?.hash_readable {
            true => stored_as_md5(admin, &idle).await?,
            false => Session::peek(&idle, self.trust).await == Asked::Md5,
        };
        if md5 { Err(md5_hash(&idle)) } else { Ok(()) }
    }

    fn spares_superusers(&self, role: &Facts) -> Result<(), StepError> {
        if !role.superuser || self.options().allow_superuser {
            return Ok(());
        }
        let message = format!("{} at {} is a superuser.", shown(&role.name), self.pair.active.server());
        Err(StepError::new(Verdict::NeedsPerson, "superuser", message)
            .remedy("Change its password by hand, or allow superusers for this secret (allow_superuser)."))
    }

    /// 28P01 has several causes; with the admin's eyes it is one of them.
    async fn why_refused(&self, wanted: &Login) -> StepError {
        let rejected = told(line("28P01"), "28P01", Verdict::Rejected, wanted);
        let Ok(mut admin) = self.admin().await else { return rejected };
        let role = read_role(&mut admin, wanted).await;
        admin.close().await;
        match role {
            Ok(role) => role.check_login(wanted).err().unwrap_or(rejected),
            // Set makes the account again.
            Err(error) if error.code == "42704" => StepError { verdict: Verdict::Rejected, ..error },
            Err(_) => rejected,
        }
    }

    /// Set would still change something: it is asked to.
    fn differs(&self, mends: &[Statement]) -> StepError {
        let message = format!("{} is not like {} yet.", self.pair.account(), shown(&self.pair.active.user));
        let shown: Vec<&str> = mends.iter().map(|mend| mend.shown.as_str()).collect();
        StepError::new(Verdict::Rejected, "pair-differs", message).remedy(shown.join("; "))
    }

    fn role_dropped(&self, owner: &str) -> StepError {
        let message = format!(
            "{} is to become {} at login and did not: what it makes would belong to itself.",
            self.pair.account(),
            shown(owner)
        );
        StepError::new(Verdict::NeedsPerson, "role-not-set", message)
            .remedy("A pooler between Pawl and the server lends out a session that lost its role: let it run DISCARD ALL between \
                 clients, or connect to the server itself.",
        )
    }

    fn refuse(&self, gaps: &[Gap]) -> Result<(), StepError> {
        if gaps.is_empty() {
            return Ok(());
        }
        let what: Vec<&str> = gaps.iter().map(|gap| gap.what.as_str()).take(SHOWN).collect();
        let mends: Vec<&str> = gaps.iter().map(|gap| gap.remedy.as_str()).take(SHOWN).collect();
        let more = if gaps.len() > SHOWN { format!("; and {} more", gaps.len() - SHOWN) } else { String::new() };
        let message = format!(
            "The accounts {} and {} at {} do not reach the same: {}{more}.",
            shown(&self.pair.active.user),
            shown(&self.pair.other),
            self.pair.active.server(),
            what.join("; ")
        );
        Err(StepError::new(Verdict::NeedsPerson, "pair-differs", message).remedy(mends.join("; ")))
    }

    /// What somebody should know, though the rotation goes on.
    fn note(&self, view: &View) {
        let Some(until) = view.idle.as_ref().and_then(|idle| idle.until.as_deref()) else { return };
        if until != "infinity" {
            let name = shown(&self.pair.other);
            self.effort.note(format!("The role {name} has VALID UNTIL {}: it cannot log in after that.", shown(until)));
        }
    }

    /// 42501 of a pair: which rights, on which roles.
    fn not_allowed(&self, error: StepError, view: &View) -> StepError {
        if error.code != "42501" {
            return error;
        }
        let admin = shown(&pg_name(&self.pair.admin.user));
        let mut roles: Vec<&str> = view.missing.iter().map(|missing| missing.role.as_str()).collect();
        roles.extend(view.joins().then_some(view.active.name.as_str()));
        roles.extend(view.idle.as_ref().map(|idle| idle.name.as_str()));
        let roles = roles.iter().map(|role| shown(&pg_name(role))).collect::<Vec<_>>().join(", ");
        let remedy = match (view.version >= 160_000, roles.is_empty()) {
            (true, false) => format!("ALTER ROLE {admin} CREATEROLE; GRANT {roles} TO {admin} WITH ADMIN OPTION"),
            _ => format!("ALTER ROLE {admin} CREATEROLE"),
        };
        let message = format!(
            "{} does not allow {} to make or change {} (SQLSTATE 42501).",
            self.pair.active.server(),
            shown(&self.pair.admin.user),
            shown(&self.pair.other)
        );
        StepError { message, ..error }.remedy(format!("As a superuser run {remedy}"))
    }

    /// 42501 of settings that only superusers give a role: no right on roles mends that.
    async fn may_set(&self, admin: &mut Session, view: &View) -> Result<(), StepError> {
        let (sets, resets) = view.differing_settings();
        let differing = sets.into_iter().chain(resets);
        let Some(forbidden) = Forbidden::among(admin, &self.pair.active, view.version, differing).await? else {
            return Ok(());
        };
        let (who, account) = (&self.pair.admin.user, &view.active.name);
        Err(StepError::new(Verdict::NeedsPerson, "42501", forbidden.says(who, account))
            .remedy(format!("As a superuser run {}", forbidden.mends(who, account))))
    }

    fn still_used(&self, open: &[Sessions]) -> StepError {
        let message = format!("{} is still used: {}.", self.pair.account(), told_sessions(open));
        StepError::new(Verdict::InProgress, "still-used", message).retry_after(STILL_USED)
    }
}

/// Nothing is built on an AWSCURRENT that does not log in.
pub(super) fn current_refused(active: &Login) -> StepError {
    let message = format!(
        "{} refuses AWSCURRENT of {}: whoever does not log in changes no other account either.",
        active.server(),
        shown(&active.user)
    );
    StepError::new(Verdict::NeedsPerson, "current-refused", message).remedy(format!(
        "Find out who changed it; `pawl rotation reconcile NAME` sets it again, or have a database administrator run \
         ALTER ROLE {} PASSWORD '…' with the password of AWSCURRENT, then resume.",
        shown(&pg_name(&active.user))
    ))
}

/// A role of that name that is nobody's whom we know.
pub(super) fn stranger(active: &Login, other: &str) -> StepError {
    let because = format!(
        "neither is a member of the other, nor do both become one owner at login as {} may",
        shown(&active.user)
    );
    pair::stranger(active, other, &because, &format!("DROP ROLE {}", shown(&pg_name(other))))
}

/// How many differences a message names.
const SHOWN: usize = 5;

fn password(user: &str, verifier: &str) -> Statement {
    let of = |value: &str| format!("ALTER ROLE {} PASSWORD '{value}'", pg_name(user));
    Statement::masked(of(verifier), &of(super::mirror::MASK))
}

fn told_sessions(open: &[Sessions]) -> String {
    let told = |open: &Sessions| format!("{} of {} from {}", open.count, open.user, open.from);
    format!("sessions ({})", open.iter().map(told).collect::<Vec<_>>().join(", "))
}

/// Logs in as an account. None: the password was refused.
pub(super) async fn enter(login: &Login, trust: &Trust, effort: &Effort) -> Result<Option<Box<Session>>, StepError> {
    effort.may_log_in(&format!("{} at {}", shown(&login.user), login.server()))?;
    match Session::open(login, trust, LOOKING).await {
        Entry::In(session) if session.asked == Asked::Nothing => Err(no_password_asked(login)),
        Entry::In(session) => Ok(Some(session)),
        Entry::Failed(error) => Err(error),
        Entry::Refused(_) => {
            effort.login_refused();
            Ok(None)
        }
    }
}

/// The admin's session.
pub(super) async fn open_admin(admin: &Login, trust: &Trust) -> Result<Box<Session>, StepError> {
    match Session::open(admin, trust, Manner { md5: true }).await {
        Entry::In(session) => Ok(session),
        Entry::Failed(error) => Err(error),
        Entry::Refused(error) => Err(admin_refused(admin, &error)),
    }
}

/// The sessions of `old`, asked by the admin, or by AWSCURRENT where there is none that may be used.
pub(super) async fn sessions_with(
    trust: &Trust,
    effort: &Effort,
    current: &Login,
    admin: Option<&Login>,
    old: &str,
) -> Result<Vec<Sessions>, StepError> {
    let mut session = match admin {
        Some(admin) => open_admin(admin, trust).await?,
        None => enter(current, trust, effort).await?.ok_or_else(|| current_refused(current))?,
    };
    let open = sessions_of(&mut session, current, old).await?;
    session.close().await;
    Ok(open)
}

/// Who is logged in as `user`. Where from is seen by superusers and pg_read_all_stats only.
pub(super) async fn sessions_of(session: &mut Session, login: &Login, user: &str) -> Result<Vec<Sessions>, StepError> {
    let sql = "SELECT COALESCE(pg_catalog.host(a.client_addr), 'an address that is not shown'), \
               COALESCE(a.application_name, ''), pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a \
               WHERE a.usename = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20";
    let rows = session.rows(sql, &[(&user, Type::TEXT)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let (address, application): (String, String) = (field(row, 0, login)?, field(row, 1, login)?);
        let count: i64 = field(row, 2, login)?;
        let from = if application.is_empty() { address } else { format!("{address} ({})", shown(&application)) };
        Ok(Sessions { user: shown(user), from, count: u64::try_from(count).unwrap_or_default() })
    };
    rows.iter().map(read).collect()
}
