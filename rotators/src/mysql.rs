//! MySQL 8.0 and later: in what it differs from MariaDB. All rows of an account change in one atomic ALTER USER.
//!
//! An admin sends a hash (`IDENTIFIED WITH … AS 0x…`). The account itself may only say `SET PASSWORD`, which takes the
//! clear text and nothing else; MySQL writes `<secret>` in its place into its own logs. The current password goes with
//! it (`REPLACE`), so that `password_require_current` is met whether it is on or not.
//!
//! Two passwords (8.0.14 and later): `RETAIN CURRENT PASSWORD` makes the first one the second, and evicts the second
//! there was; a change without it leaves the second as it is; `DISCARD OLD PASSWORD` ends it, and may be said again.
//! For its own account it takes APPLICATION_PASSWORD_ADMIN (or CREATE USER), for others CREATE USER. RETAIN is refused
//! for an empty password (3878) and for a changed plugin (3894): it is only sent where the first password is
//! AWSCURRENT's, which is not empty, and the plugin is kept.

use std::sync::Arc;

use async_trait::async_trait;
use engine::outcome::StepError;
use zeroize::Zeroizing;

use crate::connection::{Kind, Login};
use crate::effort::STATEMENT;
use crate::my::accounts::{Row, Rows};
use crate::my::dual::{Aim, By, Goal, Lacking, Outlook, foreign, granted, not_to_be_ended, numbers};
use crate::my::hash::Plugin;
use crate::my::session::Session;
use crate::my::{Brand, Change, Family, Flavor, Statement, contradiction};
use crate::quote::{my_account, my_bytes, my_text, shown};
use crate::tls::Trust;

pub(crate) const KIND: Kind = Kind {
    name: "mysql",
    title: "MySQL",
    engines: &["mysql", "aurora-mysql"],
    port: 3306,
    // 32 characters of at most three bytes.
    longest_user: 96,
    longest_user_chars: 32,
};

/// The rotator of MySQL.
pub(crate) fn rotator(trust: Arc<Trust>) -> Family<MySql> {
    Family { flavor: MySql, trust }
}

pub(crate) struct MySql;

/// Host, plugin, hash, locked, lock limit, hash of the second password.
type UserRow = (String, String, Option<Vec<u8>>, i64, u32, Option<Vec<u8>>);

/// Since when an account may have two passwords.
const TWO_SINCE: [u32; 3] = [8, 0, 14];

#[async_trait]
impl Flavor for MySql {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn brand(&self) -> Brand {
        Brand::MySql
    }

    fn plugins(&self) -> &'static [Plugin] {
        &[Plugin::CachingSha2, Plugin::Native]
    }

    fn statement_limits(&self) -> String {
        format!("innodb_lock_wait_timeout = {}, max_execution_time = {}", STATEMENT.as_secs(), STATEMENT.as_millis())
    }

    fn server_state(&self) -> &'static str {
        "@@global.read_only + @@global.super_read_only + @@global.innodb_read_only, 0"
    }

    async fn all_rows(&self, session: &mut Session, user: &str) -> Result<Option<Vec<Row>>, StepError> {
        let sql = format!(
            "SELECT Host, plugin, authentication_string, account_locked = 'Y', \
             COALESCE(User_attributes->>'$.Password_locking.failed_login_attempts', 0), \
             User_attributes->>'$.additional_password' \
             FROM mysql.user WHERE User = {} ORDER BY Host",
            my_bytes(user.as_bytes())
        );
        let Ok(rows) = session.rows_if_allowed::<UserRow>(&sql).await? else {
            return Ok(None);
        };
        let row = |(host, plugin, stored, locked, limit, second): UserRow| Row {
            host,
            plugin,
            stored: Some(stored.unwrap_or_default()),
            locked: locked != 0,
            lock_limit: (limit > 0).then_some(limit),
            several_ways: false,
            second,
            methods: vec![],
        };
        Ok(Some(rows.into_iter().map(row).collect()))
    }

    async fn own_row(&self, session: &mut Session, host: &str) -> Result<Row, StepError> {
        let shown = session.own_row(host, " IDENTIFIED WITH ").await?;
        shown.and_then(|rest| own_row(&rest, host)).ok_or_else(|| contradiction(&session.login))
    }

    fn takes_two(&self, version: &str) -> bool {
        !version.contains("MariaDB") && numbers(version) >= TWO_SINCE
    }

    fn two_since(&self) -> &'static str {
        "MySQL 8.0.14 or later"
    }

    async fn lacking_privilege(&self, session: &mut Session, by: By) -> Result<Option<Lacking>, StepError> {
        let enough = [("APPLICATION_PASSWORD_ADMIN", "*.*"), ("CREATE USER", "*.*")];
        if by == By::Admin || granted(session, &enough).await? {
            return Ok(None);
        }
        let account = shown(&session.by);
        let why = format!("{account} may not keep its old password beside the new one");
        Ok(Some(Lacking { why, grant: format!("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {account};") }))
    }

    async fn lacking_conditions(
        &self,
        session: &mut Session,
        by: By,
        _rows: &Rows,
    ) -> Result<Option<Lacking>, StepError> {
        if by != (By::Own { blind: true }) || !remembers(session).await? {
            return Ok(None);
        }
        let account = shown(&session.by);
        let why = format!(
            "{account} has a password history, which keeps it from finding out which of two passwords comes first"
        );
        Ok(Some(Lacking { why, grant: format!("GRANT SELECT ON mysql.user TO {account};") }))
    }

    fn outlook(&self, row: &Row, goal: &Goal<'_>) -> Result<Outlook, StepError> {
        outlook(row, goal)
    }

    async fn statements(
        &self,
        session: &mut Session,
        goal: &Goal<'_>,
        rows: &[(&Row, Outlook)],
        own: bool,
    ) -> Result<Vec<Statement>, StepError> {
        let wanted = &goal.parties.wanted;
        let (mut set, mut end) = (Vec::new(), Vec::new());
        for (row, plan) in rows {
            let plugin = row.known_plugin(self.plugins(), wanted)?;
            let account = my_account(&wanted.user, &row.host);
            if plan.set && own {
                let first = goal.logins().find(|login| row.holds(login, goal.entered)).unwrap_or(&session.login);
                set.push(swap(wanted, first, plan.retain));
            } else if plan.set {
                let hash = plugin.make(&wanted.password, row.stored.as_deref().unwrap_or_default());
                let retain = if plan.retain { RETAIN } else { "" };
                let how = format!("{account} IDENTIFIED WITH '{}' AS {}{retain}", plugin.name(), my_bytes(&hash));
                set.push(Zeroizing::new(how));
            }
            if plan.end {
                end.push(if own { END_OWN.to_owned() } else { format!("{account} {END}") });
            }
        }
        if own {
            return Ok(set.into_iter().chain(end.into_iter().map(Zeroizing::new)).collect());
        }
        let set: Vec<&str> = set.iter().map(|how| how.as_str()).collect();
        let all = [set.join(", "), end.join(", ")];
        Ok(all
            .iter()
            .filter(|rows| !rows.is_empty())
            .map(|rows| Zeroizing::new(format!("ALTER USER {rows}")))
            .collect())
    }

    async fn give(&self, _session: &mut Session, change: &Change<'_>) -> Result<Vec<Statement>, StepError> {
        let wanted = change.wanted;
        let row = |(row, plugin): &(&Row, Plugin)| {
            let hash = plugin.make(&wanted.password, row.stored.as_deref().unwrap_or_default());
            let account = my_account(&wanted.user, &row.host);
            format!("{account} IDENTIFIED WITH '{}' AS {}", plugin.name(), my_bytes(&hash))
        };
        let rows: Vec<String> = change.rows.iter().map(row).collect();
        Ok(vec![Zeroizing::new(format!("{} USER {}", change.verb(), rows.join(", ")))])
    }

    fn swap(&self, wanted: &Login, first: &Login, retain: bool) -> Option<Statement> {
        Some(swap(wanted, first, retain))
    }

    fn end_second(&self) -> Option<Statement> {
        Some(Zeroizing::new(END_OWN.to_owned()))
    }
}

const RETAIN: &str = " RETAIN CURRENT PASSWORD";
const END: &str = "DISCARD OLD PASSWORD";
const END_OWN: &str = "ALTER USER USER() DISCARD OLD PASSWORD";

/// The account's own change, which is refused unless its first password is that of `first`.
fn swap(wanted: &Login, first: &Login, retain: bool) -> Statement {
    let (new, old) = (my_text(&wanted.password), my_text(&first.password));
    let retain = if retain { RETAIN } else { "" };
    Zeroizing::new(format!("SET PASSWORD = {} REPLACE {}{retain}", *new, *old))
}

/// Does the account have a password history? Then a password that it had before is refused before anything is compared.
async fn remembers(session: &mut Session) -> Result<bool, StepError> {
    let shown: Vec<String> = session.rows("SHOW CREATE USER CURRENT_USER()").await?;
    let servers: Vec<(u64, u64)> =
        session.rows("SELECT @@global.password_history, @@global.password_reuse_interval").await?;
    let (text, (history, interval)) =
        shown.first().zip(servers.first().copied()).ok_or_else(|| contradiction(&session.login))?;
    let own = |clause: &str, servers: u64| {
        let says = text.rsplit_once(clause).map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
        says.and_then(|number| number.parse().ok()).unwrap_or(servers)
    };
    Ok(own(" PASSWORD HISTORY ", history) > 0 || own(" PASSWORD REUSE INTERVAL ", interval) > 0)
}

fn outlook(row: &Row, goal: &Goal<'_>) -> Result<Outlook, StepError> {
    let wanted = &goal.parties.wanted;
    let first = |login: &Login| row.holds(login, goal.entered);
    let second = |login: &Login| row.holds_second(login);
    let current = goal.current();
    let set = !first(wanted);
    let keeps_current = current.is_some_and(second);
    Ok(match goal.aim {
        Aim::Beside => {
            // Only where AWSCURRENT is the first password: repeated, RETAIN would evict it. Where it is the second
            // already (a second candidate), a change without RETAIN leaves it there.
            let retain = set && current.is_some_and(first);
            if retain && row.second.is_some() && !goal.logins().any(second) {
                return Err(foreign(row, wanted));
            }
            Outlook { set, retain, end: false, retains: retain || keeps_current }
        }
        // AWSCURRENT beside the new one is ended like any other that was, after its grace.
        Aim::InPlace { ends } => {
            let end = ends && !keeps_current && goal.logins().any(second);
            Outlook { set, retain: false, end, retains: keeps_current }
        }
        Aim::Back { ends } => {
            // Where a rollback into a grace had put AWSPREVIOUS first, it goes back beside AWSCURRENT.
            let retain = set && ends && goal.parties.in_grace().is_some_and(first);
            let over = || second(wanted) || goal.candidates().any(|named| second(&named.login));
            Outlook { set, retain, end: ends && !retain && over(), retains: false }
        }
        Aim::Alone => alone(row, goal, set)?,
    })
}

/// The end of a grace: only a row that is as it was left, or that lost nothing but the order of its two, is changed.
fn alone(row: &Row, goal: &Goal<'_>, set: bool) -> Result<Outlook, StepError> {
    let wanted = &goal.parties.wanted;
    let over_is_first = goal.over().is_some_and(|over| row.holds(over, goal.entered));
    let over_is_second = goal.over().is_some_and(|over| row.holds_second(over));
    let wanted_is_second = row.holds_second(wanted);
    match (set, over_is_first) {
        (false, _) => Ok(Outlook { end: over_is_second || wanted_is_second, ..Outlook::default() }),
        (true, true) if wanted_is_second => Ok(Outlook { set, end: true, ..Outlook::default() }),
        (true, false) if !over_is_second && !wanted_is_second => Ok(Outlook::default()),
        _ => Err(not_to_be_ended(wanted, &format!("AWSCURRENT is not the first password of {}", shown(&row.host)))),
    }
}

/// Reads what follows `IDENTIFIED WITH` in MySQL's own words. The hash is hidden from the account itself, or may be.
fn own_row(text: &str, host: &str) -> Option<Row> {
    let plugin = text.strip_prefix('\'')?.split('\'').next()?;
    let after = |word: &str| text.rsplit_once(word).map(|(_, rest)| rest);
    let limit = after(" FAILED_LOGIN_ATTEMPTS ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    Some(Row {
        host: host.to_owned(),
        plugin: plugin.to_owned(),
        stored: None,
        locked: after(" ACCOUNT LOCK").is_some(),
        lock_limit: limit.filter(|limit| *limit > 0),
        several_ways: after(" AND IDENTIFIED WITH ").is_some(),
        second: None,
        methods: vec![],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mysql_says_of_our_own_row_is_understood() {
        let text = "'caching_sha2_password' AS <secret> REQUIRE NONE PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK \
                    PASSWORD REQUIRE CURRENT FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED";
        let row = own_row(text, "%").expect("understood");
        assert_eq!((row.plugin.as_str(), row.lock_limit, row.locked), ("caching_sha2_password", Some(3), false));
        let row = own_row("'x' AS <secret> REQUIRE NONE ACCOUNT LOCK PASSWORD", "%").expect("understood");
        assert_eq!((row.lock_limit, row.locked), (None, true));
        assert!(own_row("BY RANDOM", "%").is_none());
    }
}
