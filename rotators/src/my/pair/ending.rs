//! Owns what ends a credential of the idle account: retiring the one that was AWSCURRENT, and proving and restoring after a
//! rotation was given up. AWSCURRENT's own account is none of its business. Never here: making anything new.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::check::Sessions;
use engine::outcome::{Proof, SESSIONS_UNSEEN, StepError, Verdict};

use super::Turns;
use super::twins::{enumerated, rows};
use crate::effort::{CHANGE, IDLE, LOGIN};
use crate::my::Change;
use crate::my::accounts::Row;
use crate::my::entry::{lock, open_admin, unlock};
use crate::my::errors::{Moment, line, told};
use crate::my::hash::Plugin;
use crate::my::session::Session;
use crate::my::settings::Settings;
use crate::my::steps::Steps;
use crate::parties::Named;
use crate::quote::{my_account, my_bytes, shown};

/// How soon to look again whether an old credential is still used.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Turns<'_> {
    /// Ends the account that was AWSCURRENT's, where it still has the password of the version to be retired.
    pub(in crate::my) async fn retire(&self) -> Result<(), StepError> {
        fail::fail_point!("retire::before_login");
        // What works is not ended while its successor does not.
        self.current_logs_in("The credential before it was not ended.").await?;
        let mut session = open_admin(&self.pair.admin, self.trust).await?;
        fail::fail_point!("retire::connected");
        lock(&mut session, self.flavor, self.effort, &self.pair.idle_with(""), true, IDLE).await?;
        fail::fail_point!("retire::locked");
        let rows = rows(&mut session, self.flavor, &self.pair.other).await?;
        let alive: Vec<&Row> = rows.iter().filter(|row| self.holder(row, |_| true).is_some()).collect();
        if !alive.is_empty() && self.cx.hold {
            self.held_back(&mut session).await?;
        }
        self.scramble(&mut session, &alive).await?;
        fail::fail_point!("retire::after_commit");
        session.close().await;
        Ok(())
    }

    /// Ends candidates of a rotation that was given up. What the account has by right stays: AWSPREVIOUS's password.
    pub(in crate::my) async fn end_candidates(&self) -> Result<(), StepError> {
        let mut session = open_admin(&self.pair.admin, self.trust).await?;
        lock(&mut session, self.flavor, self.effort, &self.pair.idle_with(""), true, IDLE).await?;
        let rows = rows(&mut session, self.flavor, &self.pair.other).await?;
        let alive: Vec<&Row> = rows.iter().filter(|row| self.holder(row, |named| named.expected).is_some()).collect();
        self.scramble(&mut session, &alive).await?;
        session.close().await;
        Ok(())
    }

    /// No candidate is alive in the idle account, and AWSCURRENT logs in: both seen while nobody else can change either.
    pub(in crate::my) async fn prove(&self, alone: &Steps<'_>) -> Result<Proof, StepError> {
        let idle = self.pair.idle_with("");
        let mut keeper = open_admin(&self.pair.admin, self.trust).await?;
        lock(&mut keeper, self.flavor, self.effort, &idle, true, LOGIN + LOGIN + IDLE).await?;
        let rows = rows(&mut keeper, self.flavor, &self.pair.other).await?;
        let alive = rows.iter().find_map(|row| self.holder(row, |named| named.expected));
        if let Some(named) = alive {
            unlock(keeper, &idle).await?;
            return Ok(Proof::CanRestore { held: Some(named.role.clone()) });
        }
        let proof = alone.prove().await?;
        unlock(keeper, &idle).await?;
        Ok(proof)
    }

    /// Who is logged in as the idle account.
    pub(in crate::my) async fn sessions(&self) -> Result<Vec<Sessions>, StepError> {
        let mut session = open_admin(&self.pair.admin, self.trust).await?;
        let seen = self.seen(&mut session).await?;
        let by = session.by.clone();
        session.close().await;
        seen.ok_or_else(|| unseen(&by, Verdict::NeedsPerson))
    }

    /// Which of the known passwords of the idle account this row has.
    fn holder(&self, row: &Row, counts: impl Fn(&Named) -> bool) -> Option<&Named> {
        self.pair.idle.iter().filter(|named| counts(named)).find(|named| row.holds(&named.login, &named.login))
    }

    /// Gives these rows a password that nobody has.
    async fn scramble(&self, session: &mut Session, rows: &[&Row]) -> Result<(), StepError> {
        if rows.is_empty() {
            return Ok(());
        }
        let idle = self.pair.idle_with(self.cx.scramble.expose_str().unwrap_or_default());
        if idle.password.is_empty() {
            return Err(told(line(1827), 1827, Verdict::NeedsPerson, &idle, ""));
        }
        let plugin = |row: &Row| {
            let known = [Plugin::Native, Plugin::CachingSha2, Plugin::Ed25519];
            known.into_iter().find(|plugin| plugin.name() == row.plugin).unwrap_or(self.flavor.plugins()[0])
        };
        let changed = rows.iter().map(|row| (*row, plugin(row))).collect();
        let change = Change { wanted: &idle, rows: changed, create: false };
        for statement in self.flavor.give(session, &change).await? {
            self.end(session, &statement).await?;
        }
        for row in rows {
            let settings = Settings::read(session, self.flavor.brand(), &self.pair.other, &row.host).await?;
            if settings.is_some_and(|settings| settings.second_password) {
                let name = my_account(&self.pair.other, &row.host);
                self.end(session, &format!("ALTER USER {name} DISCARD OLD PASSWORD")).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, session: &mut Session, statement: &str) -> Result<(), StepError> {
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("retire::before_change");
        self.effort.sending();
        session.run(statement, Moment::Changing).await?;
        self.effort.changed();
        fail::fail_point!("retire::after_change");
        Ok(())
    }

    /// Fails while somebody is logged in with the old credential, or nobody can tell.
    async fn held_back(&self, session: &mut Session) -> Result<(), StepError> {
        let Some(seen) = self.seen(session).await? else {
            return Err(unseen(&session.by, Verdict::InProgress).retry_after(LOOK_AGAIN));
        };
        if seen.is_empty() {
            return Ok(());
        }
        let count: u64 = seen.iter().map(|sessions| sessions.count).sum();
        let from = enumerated(&seen, |sessions| format!("{} ({})", shown(&sessions.from), sessions.count));
        let message = format!("{count} sessions of {} are open, from {from}.", self.pair.account());
        Err(StepError::new(Verdict::InProgress, "still-used", message)
            .remedy("Have these services read the secret again and reconnect.")
            .retry_after(LOOK_AGAIN))
    }

    /// The open sessions of the idle account by where they come from; None where this login may not see those of others.
    async fn seen(&self, session: &mut Session) -> Result<Option<Vec<Sessions>>, StepError> {
        let own: Vec<String> = session.rows("SHOW GRANTS").await?;
        if !own.iter().any(|line| sees_sessions(line)) {
            return Ok(None);
        }
        let sql = format!(
            "SELECT HOST FROM information_schema.PROCESSLIST WHERE USER = {}",
            my_bytes(self.pair.other.as_bytes())
        );
        let mut by_address: BTreeMap<String, u64> = BTreeMap::new();
        for host in session.rows::<String>(&sql).await? {
            // The port tells nothing.
            let address = host.rsplit_once(':').map_or(host.as_str(), |(address, _)| address);
            *by_address.entry(address.to_owned()).or_default() += 1;
        }
        let user = self.pair.other.clone();
        Ok(Some(by_address.into_iter().map(|(from, count)| Sessions { user: user.clone(), from, count }).collect()))
    }
}

/// Whether a line of our own `SHOW GRANTS` (a role's too) lets us see the sessions of others.
fn sees_sessions(line: &str) -> bool {
    let privileges = line.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON *.* TO "));
    let Some((privileges, _)) = privileges else { return false };
    privileges.split(", ").any(|privilege| matches!(privilege, "PROCESS" | "ALL PRIVILEGES"))
}

fn unseen(admin: &str, verdict: Verdict) -> StepError {
    let message = format!("The admin {} may not see who is logged in.", shown(admin));
    StepError::new(verdict, SESSIONS_UNSEEN, message).remedy(format!("Run GRANT PROCESS ON *.* TO {}.", shown(admin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_see_sessions_is_known_by_its_word_alone() {
        assert!(sees_sessions("GRANT SELECT, PROCESS ON *.* TO `boss`@`%`"));
        assert!(sees_sessions("GRANT ALL PRIVILEGES ON *.* TO `boss`@`%` WITH GRANT OPTION"));
        assert!(!sees_sessions("GRANT SELECT ON `PROCESS`.* TO `boss`@`%`"));
        assert!(!sees_sessions("GRANT SELECT ON *.* TO `PROCESS`@`%`"));
        assert!(!sees_sessions("GRANT `PROCESS`@`%` TO `boss`@`%`"));
    }
}
