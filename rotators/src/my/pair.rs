//! Owns the steps of two accounts that take turns on MySQL and MariaDB. Everything is done by the admin; AWSCURRENT's
//! account is only ever logged in to. Before the idle account gets its new password it gets the rights and settings that
//! it lacks, so that a Set that is not allowed something leaves the password as it was. Never here: what the two servers
//! say differently.

mod ending;
mod twins;

use engine::outcome::{StepError, Verdict};
use engine::port::StepContext;

use self::twins::{Twin, Twins, enumerated};
use super::entry::{account, enter, lock, open_admin};
use super::errors::{Moment, line, told};
use super::rights::read::is_there;
use super::rights::{Bundle, bundles};
use super::session::Session;
use super::settings::Settings;
use super::steps::{right_but_refused, row_lacks};
use super::{Brand, Change, Flavor};
use crate::connection::Login;
use crate::effort::{CHANGE, Effort, IDLE};
use crate::pair::{self, Pair, knows};
use crate::quote::{my_account, shown};
use crate::tls::Trust;

/// One step under way.
pub(super) struct Turns<'a> {
    pub flavor: &'a dyn Flavor,
    pub trust: &'a Trust,
    pub cx: &'a StepContext<'a>,
    pub pair: &'a Pair,
    pub effort: &'a Effort,
}

impl Turns<'_> {
    pub(super) async fn set(&self) -> Result<(), StepError> {
        fail::fail_point!("set::before_login");
        // Whoever can write a secret must not get a password for an account whose own it does not know.
        self.current_logs_in("Nothing was changed.").await?;
        let mut session = open_admin(&self.pair.admin, self.trust).await?;
        fail::fail_point!("set::connected");
        lock(&mut session, self.flavor, self.effort, &self.pair.idle_with(""), true, IDLE).await?;
        never_make_by_granting(&mut session, self.flavor.brand()).await?;
        fail::fail_point!("set::locked");
        let allow = self.cx.material.options.allow_differing_hosts;
        let twins = self.twins(&mut session).await?;
        twins.may_change(self.flavor, self.pair, allow)?;
        let found =
            twins.is_there(self.pair) && !knows(self.flavor.kind(), self.cx, &self.pair.active, &self.pair.other);
        if found && twins.is_stranger() && self.cx.material.options.users.is_none() {
            return Err(stranger(&self.pair.active, &self.pair.other));
        }
        let made = self.make(&mut session, &twins).await?;
        let given = self.make_equal(&mut session, &twins).await?;
        self.set_password(&mut session, &twins).await?;
        fail::fail_point!("set::after_commit");
        session.close().await;
        let said: Vec<String> = made.into_iter().chain(given).collect();
        if !said.is_empty() {
            self.effort.note(format!("{} got {}.", shown(&self.pair.other), enumerated(&said, |said| in_short(said))));
        }
        self.effort.retains_current();
        Ok(())
    }

    async fn twins(&self, session: &mut Session) -> Result<Twins, StepError> {
        let twins = Twins::read(session, self.flavor, self.pair).await?;
        let rows = twins.list.iter().flat_map(|twin| [Some(&twin.active), twin.idle.as_ref()]).flatten();
        if let Some(limit) = rows.filter_map(|row| row.lock_limit).min() {
            self.effort.locks_after(limit);
        }
        Ok(twins)
    }

    /// Makes the rows that the idle account lacks, with the new password at once: no account is ever without one.
    async fn make(&self, session: &mut Session, twins: &Twins) -> Result<Option<String>, StepError> {
        let Some(wanted) = &self.pair.wanted else { return Ok(None) };
        let lacking: Vec<&Twin> = twins.list.iter().filter(|twin| twin.idle.is_none()).collect();
        if lacking.is_empty() {
            return Ok(None);
        }
        let plugins = self.flavor.plugins();
        let rows: Result<Vec<_>, StepError> =
            lacking.iter().map(|twin| Ok((&twin.active, twin.active.known_plugin(plugins, wanted)?))).collect();
        let change = Change { wanted, rows: rows?, create: true };
        for statement in self.flavor.give(session, &change).await? {
            self.change(session, &statement).await?;
        }
        fail::fail_point!("set::made");
        Ok(Some(format!("rows: {}", enumerated(&lacking, |twin| twin.idle_name(self.pair)))))
    }

    /// Settings first, so that no right is there without the restrictions that go with it.
    async fn make_equal(&self, session: &mut Session, twins: &Twins) -> Result<Vec<String>, StepError> {
        let mut given = Vec::new();
        for twin in &twins.list {
            let name = twin.idle_name(self.pair);
            let settings = match &twin.idle_settings {
                Some(settings) => Some(settings.clone()),
                None => Settings::read(session, self.flavor.brand(), &self.pair.other, &twin.active.host).await?,
            };
            if let Some(clauses) = twin.active_settings.differing(settings.as_ref()) {
                self.change(session, &format!("ALTER USER {name} {clauses}")).await?;
                given.push(clauses);
            }
            for bundle in bundles(&twin.missing) {
                if self.give(session, twin, &bundle).await? {
                    given.push(bundle.shown());
                }
            }
            let brand = self.flavor.brand();
            if let Some(statement) = twin.active_settings.default_roles(settings.as_ref(), brand, &name) {
                let outcome = self.change(session, &statement).await;
                outcome
                    .map_err(|error| if is_denied(&error) { no_default_role(session, &statement) } else { error })?;
                given.push("its default roles".to_owned());
            }
        }
        fail::fail_point!("set::made_equal");
        Ok(given)
    }

    /// Gives some rights, as far as what they are about is still there. False: none of it is.
    async fn give(&self, session: &mut Session, twin: &Twin, bundle: &Bundle) -> Result<bool, StepError> {
        let Err(error) = self.try_to_give(session, twin, bundle).await else { return Ok(true) };
        if !is_gone(&error) {
            return Err(error);
        }
        let mut left = Vec::new();
        for right in &bundle.rights {
            if is_there(session, &right.on).await? {
                left.push(right);
            }
        }
        if left.len() == bundle.rights.len() {
            return Err(error);
        }
        let any = !left.is_empty();
        for rest in bundles(left) {
            self.try_to_give(session, twin, &rest).await?;
        }
        Ok(any)
    }

    async fn try_to_give(&self, session: &mut Session, twin: &Twin, bundle: &Bundle) -> Result<(), StepError> {
        let name = twin.idle_name(self.pair);
        match self.change(session, &bundle.give(&name)).await {
            Err(error) if is_denied(&error) => return Err(not_grantable(session, self.pair, bundle)),
            Err(error) if matches!(error.code.as_str(), "1133" | "1410") => return Err(dropped(self.pair)),
            outcome => outcome?,
        }
        // Both servers answer a proxy WITH GRANT OPTION by the GRANT OPTION of everything, and MySQL takes that of dynamic
        // privileges away with it.
        if bundle.hands_on_a_proxy() && !twin.active_grants_all() {
            self.change(session, &format!("REVOKE GRANT OPTION ON *.* FROM {name}")).await?;
            for again in bundles(twin.dynamic_to_pass_on()) {
                self.change(session, &again.give(&name)).await?;
            }
        }
        Ok(())
    }

    async fn set_password(&self, session: &mut Session, twins: &Twins) -> Result<(), StepError> {
        let Some(wanted) = &self.pair.wanted else { return Ok(()) };
        let mut rows = Vec::new();
        for twin in &twins.list {
            let Some(idle) = &twin.idle else { continue };
            // Clients that can log in to the one account must be able to log in to the other.
            let plugin = twin.active.known_plugin(self.flavor.plugins(), &self.pair.active)?;
            if !idle.holds(wanted, wanted) || idle.plugin != plugin.name() {
                rows.push((idle, plugin));
            }
        }
        if !rows.is_empty() {
            let change = Change { wanted, rows, create: false };
            for statement in self.flavor.give(session, &change).await? {
                self.change(session, &statement).await?;
            }
        }
        for twin in &twins.list {
            // Left from the time when this account had two: whatever it is, it is nobody's to use any more.
            if twin.idle_settings.as_ref().is_some_and(|settings| settings.second_password) {
                self.change(session, &format!("ALTER USER {} DISCARD OLD PASSWORD", twin.idle_name(self.pair))).await?;
            }
        }
        Ok(())
    }

    /// One statement that changes the target.
    async fn change(&self, session: &mut Session, statement: &str) -> Result<(), StepError> {
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("set::before_change");
        self.effort.sending();
        let outcome = session.run(statement, Moment::Changing).await;
        match &outcome {
            Ok(()) => self.effort.changed(),
            // A refusal is an answer too, and some are not the end of the step.
            Err(error) if error.verdict != Verdict::Unknown => self.effort.answered(),
            Err(_) => {}
        }
        outcome?;
        fail::fail_point!("set::after_change");
        Ok(())
    }

    pub(super) async fn test(&self) -> Result<(), StepError> {
        let Some(wanted) = &self.pair.wanted else { return Ok(()) };
        fail::fail_point!("test::before_login");
        let Some(mut session) = enter(wanted, self.trust, self.effort).await? else {
            return Err(self.why_refused(wanted).await);
        };
        session.run("SELECT NOW()", Moment::Before).await?;
        fail::fail_point!("test::after_login");
        session.close().await;
        let mut admin = open_admin(&self.pair.admin, self.trust).await?;
        let twins = self.twins(&mut admin).await?;
        // Rows that our address cannot log in by are verified by their stored hash.
        let lacking = twins.lacking(self.pair);
        if !lacking.is_empty() {
            let rows: Vec<_> = lacking.iter().map(|twin| &twin.active).collect();
            return Err(row_lacks(&rows, wanted));
        }
        twins.no_more_than_active(self.pair)?;
        twins.no_less_than_active(&mut admin, self.flavor.brand(), self.pair).await?;
        admin.close().await;
        Ok(())
    }

    /// 1045 has several causes. Where the catalogue says that the password is right, it is one of the others.
    async fn why_refused(&self, wanted: &Login) -> StepError {
        let general = told(line(1045), 1045, Verdict::Rejected, wanted, "");
        let Ok(mut session) = open_admin(&self.pair.admin, self.trust).await else { return general };
        let twins = self.twins(&mut session).await;
        session.close().await;
        match twins {
            Ok(twins) if twins.lacking(self.pair).is_empty() => right_but_refused(wanted),
            _ => general,
        }
    }

    /// AWSCURRENT logs in, or nothing is done.
    async fn current_logs_in(&self, so: &str) -> Result<(), StepError> {
        match enter(&self.pair.active, self.trust, self.effort).await? {
            Some(session) => {
                session.close().await;
                Ok(())
            }
            None => Err(current_refused(&self.pair.active, so)),
        }
    }
}

/// An account of that name that may do nothing of what AWSCURRENT's may.
pub(super) fn stranger(active: &Login, other: &str) -> StepError {
    let because = format!("it has no right in common with {}", shown(&active.user));
    pair::stranger(active, other, &because, &format!("DROP USER {}", shown(&my_account(other, "%"))))
}

/// ALL PRIVILEGES are fifty words in the catalogue: enough of them for the history.
fn in_short(said: &str) -> String {
    const LONG: usize = 160;
    let mut text: String = said.chars().take(LONG).collect();
    if text.len() < said.len() {
        text.push('…');
    }
    shown(&text)
}

/// MariaDB answers a GRANT to an account that is not there by making it, without a password, unless this is said.
async fn never_make_by_granting(session: &mut Session, brand: Brand) -> Result<(), StepError> {
    match brand {
        Brand::MySql => Ok(()),
        Brand::MariaDb => {
            session.run("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,NO_AUTO_CREATE_USER'", Moment::Before).await
        }
    }
}

/// The server does not let the admin give this.
fn is_denied(error: &StepError) -> bool {
    const DENIED: [&str; 8] = ["1044", "1045", "1142", "1143", "1227", "1370", "1698", "1961"];
    DENIED.contains(&error.code.as_str())
}

/// What a right is about is not there: no such table, column, routine.
fn is_gone(error: &StepError) -> bool {
    matches!(error.code.as_str(), "1146" | "1054" | "1305")
}

fn not_grantable(session: &Session, pair: &Pair, bundle: &Bundle) -> StepError {
    let message = format!(
        "The admin {} may not give {} what {} has: {}.",
        shown(&session.by),
        shown(&pair.other),
        shown(&pair.active.user),
        bundle.shown()
    );
    StepError::new(Verdict::NeedsPerson, "no-grant-option", message)
        .remedy(format!("Run {}; then resume.", shown(&bundle.needed_by(&session.by))))
}

fn dropped(pair: &Pair) -> StepError {
    let message = format!("Somebody dropped {} while it was getting its rights.", pair.account());
    StepError::new(Verdict::Retry, "dropped", message)
        .remedy("See who drops accounts; the next setSecret makes it again.")
}

fn no_default_role(session: &Session, statement: &str) -> StepError {
    let message = format!("The admin {} may not set the default role of another account.", shown(&session.by));
    let needed = format!("GRANT CREATE USER ON *.* TO {0} and GRANT UPDATE ON `mysql`.* TO {0}", shown(&session.by));
    StepError::new(Verdict::NeedsPerson, "no-default-role", message)
        .remedy(format!("Run {} yourself, or {needed}; then resume.", shown(statement)))
}

fn current_refused(active: &Login, so: &str) -> StepError {
    let message = format!("AWSCURRENT does not log in: {} is refused (error 1045). {so}", account(active));
    StepError::new(Verdict::NeedsPerson, "current-refused", message).remedy(
        "Write the password that the account has into the secret (PutSecretValue), or give the account AWSCURRENT's;          then resume.",
    )
}
