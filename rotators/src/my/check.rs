//! The preflight of MySQL and MariaDB, in order: who gets in, what the server and the account are, what the rotation needs,
//! and what it would send. Nothing is changed. Never here: what a fact means (`judge.rs` and its neighbours).

mod account;
mod grants;
mod judge;
mod mariadb;
mod mysql;
mod pair;
mod policy;
mod statements;
mod strategy;

use async_trait::async_trait;
use engine::check::{Report, Server};
use engine::outcome::{StepError, Verdict};
use engine::strategy::Strategy;

use self::account::RowFacts;
use self::grants::Grants;
use self::policy::Demand;
use self::strategy::Choice;
use super::accounts::Rows;
use super::errors::Moment;
use super::session::{Entry, Session};
use super::steps::{Steps, admin_refused, right_but_refused};
use crate::connection::Login;
use crate::findings::Findings;
use crate::quote::{my_account, my_bytes, shown};
use crate::tls::{Channel, is_loopback};

/// In what MySQL and MariaDB differ for a preflight.
#[async_trait]
pub(crate) trait Look: Send + Sync {
    /// What may be known of each row beside its password: expiry and limits. None where the catalogue may not be read.
    async fn row_facts(&self, session: &mut Session, user: &str) -> Result<Option<Vec<RowFacts>>, StepError>;

    /// What the server's password policy demands of what is sent to it.
    async fn demands(&self, session: &mut Session, by_admin: bool) -> Result<Vec<Demand>, StepError>;

    /// Privileges that make an account one of the server's own.
    fn privileged(&self) -> &'static [&'static str];

    /// Two passwords at once: what this version or this login lacks, with the statement that gives it.
    fn dual_lacks(&self, version: &str, grants: &Grants, by_admin: bool, by: &str) -> Option<(String, String)>;

    /// The privileges that give roles on; a statement of the server's own words where they are lacking.
    fn role_lacks(&self, grants: &Grants, role: &str, by: &str) -> Option<String>;
}

/// A session of ours, and what was asked of it first.
struct Eyes {
    session: Box<Session>,
    version: String,
    tls: Option<String>,
    standby: bool,
    /// After how many refused logins the server locks any account; 0: never.
    lock_limit: u64,
    /// Of this login, for all hosts of it; 0: none.
    connections: u64,
    /// The host part of the row we are logged in by.
    host: String,
    grants: Grants,
}

impl Steps<'_> {
    /// Everything that would stand in the way of a rotation, or that somebody should know.
    pub(super) async fn check(&self) -> Result<Report, StepError> {
        let mut findings = Findings::default();
        let mut admin = self.admin_eyes(&mut findings).await;
        let mut own = self.own_eyes(admin.as_mut(), &mut findings).await?;
        let by_admin = admin.is_some();
        let Some(eyes) = admin.as_mut().or(own.as_mut()) else {
            return Ok(self.report(None, findings, None));
        };
        judge::standby(eyes.standby, &self.parties.wanted, &mut findings);
        let rows = self.account_rows(eyes, by_admin, &mut findings).await?;
        let facts = self.flavor.row_facts(&mut eyes.session, &self.parties.wanted.user).await?;
        let target = self.target_grants(eyes, by_admin, rows.as_ref()).await?;
        let demands = self.flavor.demands(&mut eyes.session, by_admin).await?;
        let by = eyes.session.by.clone();
        let choice = strategy::choose(
            &self.cx.material.options,
            self.flavor.dual_lacks(&eyes.version, &eyes.grants, by_admin, &shown(&by)),
            &mut findings,
        );
        if let Some(rows) = &rows {
            judge::rows(self, rows, &eyes.session.login, &mut findings);
            judge::facts(self, facts.as_deref().unwrap_or_default(), by_admin, &mut findings);
            let several = rows.list.len() > 1;
            judge::change(&self.parties.wanted, &eyes.grants, &target, by_admin, several, &shown(&by), &mut findings);
        }
        judge::privileged(self, &target, rows.as_ref(), &mut findings);
        policy::judge(&demands, &mut findings);
        let statements = match (&rows, choice.strategy) {
            (_, Strategy::AlternatingUsers) if !by_admin => {
                pair::no_admin(self, &mut findings);
                vec![]
            }
            (_, Strategy::AlternatingUsers) => {
                self.turns(eyes, &target, rows.as_ref(), &mut findings).await?.unwrap_or_default()
            }
            (Some(rows), strategy) => self.statements(rows, by_admin, strategy),
            (None, _) => vec![],
        };
        if let Some(own) = &mut own {
            judge::connections(own.connections, &own.session.login, &own.host, &mut findings);
            self.wrong_password(own, rows.as_ref(), &mut findings).await;
        }
        let mut report = self.report(own.as_ref().or(admin.as_ref()), findings, Some(choice));
        report.statements = statements;
        for eyes in [own, admin].into_iter().flatten() {
            eyes.session.close().await;
        }
        Ok(report)
    }

    /// The admin's session, where the secret names an admin. What keeps it out is a problem.
    async fn admin_eyes(&self, findings: &mut Findings) -> Option<Eyes> {
        if let Some(error) = &self.parties.no_admin {
            findings.error(error);
        }
        let admin = self.parties.admin.as_ref()?;
        let eyes = match Session::open(admin, self.trust).await {
            Entry::In(session) => self.look(session).await,
            Entry::Refused(error) => Err(admin_refused(admin, &error)),
            Entry::Failed(error) => Err(error),
        };
        match eyes {
            Ok(eyes) => {
                findings.ok("admin-login", format!("The admin {} logs in.", shown(&eyes.session.by)));
                Some(eyes)
            }
            Err(error) => {
                findings.error(&error);
                None
            }
        }
    }

    /// AWSCURRENT's own session. Where it is kept out, the admin may know why.
    async fn own_eyes(&self, admin: Option<&mut Eyes>, findings: &mut Findings) -> Result<Option<Eyes>, StepError> {
        let wanted = &self.parties.wanted;
        self.effort.may_log_in(&self.parties.account())?;
        let error = match Session::open(wanted, self.trust).await {
            Entry::In(session) => match self.look(session).await {
                Ok(eyes) => {
                    findings.ok("login", format!("AWSCURRENT logs in as {}.", shown(&eyes.session.by)));
                    return Ok(Some(eyes));
                }
                Err(error) => error,
            },
            Entry::Refused(error) => {
                self.effort.login_refused();
                error
            }
            Entry::Failed(error) => error,
        };
        match admin {
            Some(admin) => self.kept_out(&error, admin, findings).await?,
            None => judge::kept_out(&error, wanted, None, findings),
        }
        Ok(None)
    }

    /// The server says the same to several causes; its catalogue tells them apart.
    async fn kept_out(&self, error: &StepError, admin: &mut Eyes, findings: &mut Findings) -> Result<(), StepError> {
        let wanted = &self.parties.wanted;
        let list = self.flavor.all_rows(&mut admin.session, &wanted.user).await?.unwrap_or_default();
        let rows = Rows { list };
        let right = !rows.list.is_empty() && rows.lacking(wanted, &admin.session.login).is_empty();
        match error.code.as_str() {
            // Judged by its rows.
            "1045" | "1698" if rows.list.is_empty() => {}
            "1045" if right => findings.error(&right_but_refused(wanted)),
            _ => judge::kept_out(error, wanted, Some(&rows), findings),
        }
        Ok(())
    }

    /// Asks a new session who and where we are.
    async fn look(&self, mut session: Box<Session>) -> Result<Eyes, StepError> {
        session.run("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", Moment::Before).await?;
        let sql =
            format!("SELECT VERSION(), CURRENT_USER(), @@session.max_user_connections, {}", self.flavor.server_state());
        let rows: Vec<(String, String, u64, i64, u64)> = session.rows(&sql).await?;
        let Some((version, current_user, connections, read_only, lock_limit)) = rows.into_iter().next() else {
            return Err(super::contradiction(&session.login));
        };
        if current_user.starts_with("skip-grants user@") {
            return Err(unguarded(&session.login));
        }
        let (user, host) = current_user.rsplit_once('@').unwrap_or((&current_user, "%"));
        session.by = my_account(user, host);
        if user != session.login.user {
            let line = super::errors::line(1131);
            return Err(super::errors::told(line, 1131, line.verdict, &session.login, &session.by));
        }
        let host = host.to_owned();
        let tls: Vec<(String, String)> = session.rows("SHOW SESSION STATUS LIKE 'Ssl_version'").await?;
        let grants = Grants::read(&session.rows::<String>("SHOW GRANTS").await?);
        Ok(Eyes {
            session,
            version,
            tls: tls.into_iter().next().map(|(_, version)| version).filter(|version| !version.is_empty()),
            standby: read_only != 0,
            lock_limit,
            connections,
            host,
            grants,
        })
    }

    /// The account's rows as the one who will make the change sees them.
    async fn account_rows(
        &self,
        eyes: &mut Eyes,
        by_admin: bool,
        findings: &mut Findings,
    ) -> Result<Option<Rows>, StepError> {
        if let Some(list) = self.flavor.all_rows(&mut eyes.session, &self.parties.wanted.user).await? {
            return Ok(Some(Rows { list }));
        }
        if by_admin {
            judge::no_catalogue(self.flavor.kind(), &shown(&eyes.session.by), findings);
            return Ok(None);
        }
        findings.warning(
            "hosts",
            format!(
                "Only the row {} is seen and changed: the account may not read the catalogue of accounts, so that rows \
                 for other hosts, if there are any, stay as they are.",
                shown(&eyes.session.by)
            ),
            "Where the account has several rows, name an admin's secret as masterarn.",
        );
        Ok(Some(Rows { list: vec![self.flavor.own_row(&mut eyes.session, &eyes.host).await?] }))
    }

    /// What the account may do.
    async fn target_grants(&self, eyes: &mut Eyes, by_admin: bool, rows: Option<&Rows>) -> Result<Grants, StepError> {
        if !by_admin {
            return Ok(eyes.grants.clone());
        }
        let mut all = Grants::default();
        for row in rows.iter().flat_map(|rows| &rows.list) {
            let account = my_account(&self.parties.wanted.user, &row.host);
            if let Ok(lines) = eyes.session.rows_if_allowed::<String>(&format!("SHOW GRANTS FOR {account}")).await? {
                all.add(Grants::read(&lines));
            }
        }
        Ok(all)
    }

    /// Where a password that nobody has gets in, no login proves anything (F93). The login after it, with the right
    /// password, sets the server's count of refused logins back.
    async fn wrong_password(&self, own: &mut Eyes, rows: Option<&Rows>, findings: &mut Findings) {
        let wanted = &self.parties.wanted;
        let Some(random) = self.cx.scramble.expose_str() else { return };
        let of_row = rows.and_then(Rows::lock_limit).map(u64::from);
        let limit = of_row.or(Some(own.lock_limit)).filter(|limit| *limit > 0);
        let spent = self.effort.may_log_in(&self.parties.account()).is_err();
        if spent || limit.is_some_and(|limit| limit <= 2) {
            let why =
                if spent { "the login budget is spent" } else { "the account is locked after very few refused logins" };
            findings.warning("trust", format!("No wrong password was tried: {why}."), "");
            return;
        }
        let wrong = Login { password: random.to_owned().into(), ..wanted.clone() };
        match Session::open(&wrong, self.trust).await {
            Entry::Refused(_) => {
                self.effort.login_refused();
                findings.ok("trust", "A wrong password is refused.");
                if let Entry::In(session) = Session::open(wanted, self.trust).await {
                    session.close().await;
                }
            }
            Entry::In(session) => {
                session.close().await;
                judge::trust(wanted, findings);
            }
            Entry::Failed(error) => findings.warning(
                "trust",
                format!("Whether a wrong password is refused could not be seen: {}", error.message),
                error.remedy,
            ),
        }
    }

    fn report(&self, eyes: Option<&Eyes>, mut findings: Findings, choice: Option<Choice>) -> Report {
        let wanted = &self.parties.wanted;
        if wanted.channel == Channel::Plain && !is_loopback(&wanted.host) {
            findings.warning(
                "tls",
                format!("The way to {} is not encrypted, because the secret says so.", wanted.server()),
                "Take \"ssl\": false out of the secret.",
            );
        }
        let server = eyes.map(|eyes| Server {
            address: wanted.server(),
            title: self.flavor.kind().title.to_owned(),
            version: eyes.version.clone(),
            standby: eyes.standby,
            tls: eyes.tls.clone(),
        });
        let (strategy, why) = choice.map(|choice| (choice.strategy, choice.why)).unzip();
        Report {
            servers: server.into_iter().collect(),
            strategy: strategy.or(self.cx.material.options.strategy),
            why: why.unwrap_or_default(),
            findings: findings.into_list(),
            statements: vec![],
        }
    }
}

/// A server that was started without its accounts.
fn unguarded(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "no-password-asked",
        format!("{} runs with skip-grant-tables: it lets anybody in, so a login proves nothing.", login.server()),
    )
    .remedy("FLUSH PRIVILEGES")
}

/// `WHERE User = …`, for the catalogues of both.
fn of_user(user: &str) -> String {
    format!("WHERE User = {}", my_bytes(user.as_bytes()))
}
