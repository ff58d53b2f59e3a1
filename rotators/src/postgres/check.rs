//! The preflight of PostgreSQL, in order: who gets in, what the server and the role are, what the rotation needs, and
//! what it would send. Nothing is changed. Never here: what a fact means (`judge.rs`), how it is asked for (`facts.rs`).

mod facts;
mod judge;
mod pair;

use engine::check::{Report, Server};
use engine::outcome::StepError;
use engine::strategy::Strategy;

use self::facts::{AdminFacts, RoleFacts, ServerFacts};
use super::catalogue::{change, locking, stored_as_md5};
use super::session::{Entry, Session, md5_hash, no_password_asked};
use super::sniff::Asked;
use super::{LOOKING, Steps, admin_refused};
use crate::connection::Login;
use crate::findings::Findings;
use crate::quote::{pg_name, shown};
use crate::tls::{Channel, is_loopback};

/// Stands for a value where a statement is shown.
const MASK: &str = "…";

/// What was learnt, for whoever judges it.
struct Seen {
    server: ServerFacts,
    /// None: there is no such role.
    role: Option<RoleFacts>,
    /// Of the admin, where the secret names one that gets in.
    admin: Option<AdminFacts>,
    asked: Asked,
}

impl Steps<'_> {
    /// Everything that would stand in the way of a rotation, or that somebody should know.
    pub(super) async fn check(&self) -> Result<Report, StepError> {
        let mut findings = Findings::default();
        let mut admin = self.admin_session(&mut findings).await;
        let mut own = self.own_session(admin.as_deref_mut(), &mut findings).await?;
        let Some(eyes) = own.as_deref_mut().or(admin.as_deref_mut()) else {
            return Ok(self.report(None, findings));
        };
        let asked = eyes.asked;
        let server = facts::server(eyes, &self.parties.wanted).await?;
        let role = facts::role(eyes, &self.parties.wanted).await?;
        let admin_facts = match admin.as_deref_mut() {
            Some(session) => Some(facts::admin(session, &self.parties.wanted).await?),
            None => None,
        };
        let seen = Seen { server, role, admin: admin_facts, asked };
        judge::server(&seen, &self.parties.wanted, &mut findings);
        if own.is_some() {
            self.wrong_password(&seen, &mut findings).await;
        }
        judge::role(&seen, self.cx, &self.parties.wanted, own.is_some(), &mut findings);
        self.hash(own.as_ref().map(|own| own.asked), admin.as_deref_mut(), &mut findings).await?;
        judge::change(&seen, self.parties, &self.cx.material.options, &mut findings);
        let pair = self.pair(admin.as_deref_mut(), &seen, &mut findings).await?;
        let mut report = self.report(Some(&seen), findings);
        report.statements = match (report.strategy, pair) {
            (Some(Strategy::AlternatingUsers), Some(pair)) => pair.statements,
            (Some(Strategy::AlternatingUsers), None) => vec![],
            _ => self.statements(),
        };
        for session in [own, admin].into_iter().flatten() {
            session.close().await;
        }
        Ok(report)
    }

    /// The admin's session, where the secret names an admin. What keeps it out is a problem.
    async fn admin_session(&self, findings: &mut Findings) -> Option<Box<Session>> {
        if let Some(error) = &self.parties.no_admin {
            findings.error(error);
        }
        let admin = self.parties.admin.as_ref()?;
        match Session::open(admin, self.trust, LOOKING).await {
            Entry::In(session) => {
                findings.ok("admin-login", format!("The admin {} logs in.", shown(&admin.user)));
                Some(session)
            }
            Entry::Refused(error) => {
                findings.error(&admin_refused(admin, &error));
                None
            }
            Entry::Failed(error) if error.code == "42501" => {
                findings.error_mended_by(&error, may_connect(admin));
                None
            }
            Entry::Failed(error) => {
                findings.error(&error);
                None
            }
        }
    }

    /// AWSCURRENT's own session. Where it is kept out, the admin may know why.
    async fn own_session(
        &self,
        admin: Option<&mut Session>,
        findings: &mut Findings,
    ) -> Result<Option<Box<Session>>, StepError> {
        let wanted = &self.parties.wanted;
        self.effort.may_log_in(&self.parties.account())?;
        match Session::open(wanted, self.trust, LOOKING).await {
            Entry::In(session) => {
                findings.ok("login", format!("AWSCURRENT logs in as {}.", shown(&wanted.user)));
                return Ok(Some(session));
            }
            Entry::Refused(error) => {
                self.effort.login_refused();
                self.kept_out(&error, admin, findings).await?;
            }
            Entry::Failed(error) => self.kept_out(&error, admin, findings).await?,
        }
        Ok(None)
    }

    /// PostgreSQL says little to who is kept out; what it asked for first, and the admin, say more.
    async fn kept_out(
        &self,
        error: &StepError,
        admin: Option<&mut Session>,
        findings: &mut Findings,
    ) -> Result<(), StepError> {
        let wanted = &self.parties.wanted;
        let role = match admin {
            Some(session) => Some(facts::role(session, wanted).await?),
            None => None,
        };
        match (error.code.as_str(), role) {
            // Judged by its facts, with the statement that mends it.
            ("28P01" | "28000" | "42501" | "53300", Some(Some(role))) if role.keeps_out() => {}
            ("28P01", Some(None)) => judge::no_role(wanted, findings),
            ("28P01", Some(Some(_))) => judge::other_password(wanted, findings),
            ("42501", _) => findings.error_mended_by(error, may_connect(wanted)),
            // A role without LOGIN is only told so after it gave its password; who has no line is not even asked.
            ("28000", None) if Session::peek(wanted, self.trust).await == Asked::Scram => {
                judge::no_login(wanted, findings);
            }
            _ => findings.error(error),
        }
        Ok(())
    }

    /// Where a password that nobody has gets in, no login proves anything (F93).
    async fn wrong_password(&self, seen: &Seen, findings: &mut Findings) {
        let wanted = &self.parties.wanted;
        if seen.asked == Asked::Nothing {
            findings.error(&no_password_asked(wanted));
            return;
        }
        let Some(random) = self.cx.scramble.expose_str() else { return };
        if self.effort.may_log_in(&self.parties.account()).is_err() {
            findings.warning("trust", "No wrong password was tried: the login budget is spent.", "");
            return;
        }
        let wrong = Login { password: random.to_owned().into(), ..wanted.clone() };
        match Session::open(&wrong, self.trust, LOOKING).await {
            Entry::Refused(_) => {
                self.effort.login_refused();
                findings.ok("trust", "A wrong password is refused.");
            }
            Entry::In(session) => {
                session.close().await;
                findings.error(&no_password_asked(wanted));
            }
            Entry::Failed(error) => findings.warning(
                "trust",
                format!("Whether a wrong password is refused could not be seen: {}", error.message),
                error.remedy,
            ),
        }
    }

    /// The kind of the stored hash: read where we may, else the server gives it away by what it asks for.
    async fn hash(
        &self,
        own: Option<Asked>,
        admin: Option<&mut Session>,
        findings: &mut Findings,
    ) -> Result<(), StepError> {
        let wanted = &self.parties.wanted;
        let md5 = match (own, admin) {
            (Some(asked), _) if asked != Asked::Nothing => asked == Asked::Md5,
            (_, Some(admin)) => facts::reads_hashes(admin).await? && stored_as_md5(admin, wanted).await?,
            _ => false,
        };
        match (md5, self.cx.material.options.allow_md5_upgrade) {
            (false, _) => {}
            (true, false) => findings.error(&md5_hash(wanted)),
            (true, true) => findings.warning(
                "md5",
                "The stored password is md5; the next rotation makes it SCRAM-SHA-256, as the settings allow.",
                "",
            ),
        }
        Ok(())
    }

    fn report(&self, seen: Option<&Seen>, findings: Findings) -> Report {
        let (strategy, why) = judge::strategy(&self.cx.material.options);
        let wanted = &self.parties.wanted;
        let server = seen.map(|seen| Server {
            address: wanted.server(),
            title: super::KIND.title.to_owned(),
            version: seen.server.version.clone(),
            standby: seen.server.standby,
            tls: seen.server.tls.clone(),
        });
        let mut findings = findings;
        if wanted.channel == Channel::Plain && !is_loopback(&wanted.host) {
            findings.warning(
                "tls",
                format!("The way to {} is not encrypted, because the secret says so.", wanted.server()),
                "Take \"ssl\": false out of the secret.",
            );
        }
        judge::strategy_possible(&self.cx.material.options, &mut findings);
        Report {
            servers: server.into_iter().collect(),
            strategy: Some(strategy),
            why,
            findings: findings.into_list(),
            statements: vec![],
        }
    }

    /// What one user's rotation sends, message by message.
    fn statements(&self) -> Vec<String> {
        let wanted = &self.parties.wanted;
        vec![locking(wanted, self.parties.admin.is_some()), change(wanted, MASK).to_string()]
    }
}

fn may_connect(login: &Login) -> String {
    let database = login.database.as_deref().unwrap_or("postgres");
    format!("GRANT CONNECT ON DATABASE {} TO {}", shown(&pg_name(database)), shown(&pg_name(&login.user)))
}
