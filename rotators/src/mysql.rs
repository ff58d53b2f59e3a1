//! MySQL 8.0 and later: in what it differs from MariaDB. All rows of an account change in one atomic ALTER USER.
//!
//! An admin sends a hash (`IDENTIFIED WITH … AS 0x…`). The account itself may only say `SET PASSWORD`, which takes the
//! clear text and nothing else; MySQL writes `<secret>` in its place into its own logs. The current password goes with
//! it (`REPLACE`), so that `password_require_current` is met whether it is on or not.

use std::sync::Arc;

use async_trait::async_trait;
use engine::outcome::StepError;
use zeroize::Zeroizing;

use crate::connection::Kind;
use crate::effort::STATEMENT;
use crate::my::accounts::Row;
use crate::my::hash::Plugin;
use crate::my::session::Session;
use crate::my::{Brand, Change, Family, Flavor, Statement, contradiction};
use crate::quote::{my_account, my_bytes, my_text};
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

/// Host, plugin, hash, locked, lock limit.
type UserRow = (String, String, Option<Vec<u8>>, i64, u32);

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
             COALESCE(User_attributes->>'$.Password_locking.failed_login_attempts', 0) \
             FROM mysql.user WHERE User = {} ORDER BY Host",
            my_bytes(user.as_bytes())
        );
        let Ok(rows) = session.rows_if_allowed::<UserRow>(&sql).await? else {
            return Ok(None);
        };
        let row = |(host, plugin, stored, locked, limit): UserRow| Row {
            host,
            plugin,
            stored: Some(stored.unwrap_or_default()),
            locked: locked != 0,
            lock_limit: (limit > 0).then_some(limit),
            several_ways: false,
        };
        Ok(Some(rows.into_iter().map(row).collect()))
    }

    async fn own_row(&self, session: &mut Session, host: &str) -> Result<Row, StepError> {
        let shown: Vec<String> = session.rows("SHOW CREATE USER CURRENT_USER()").await?;
        let head = format!("CREATE USER {} IDENTIFIED WITH ", my_account(&session.login.user, host));
        shown
            .first()
            .and_then(|text| text.strip_prefix(&head))
            .and_then(|rest| own_row(rest, host))
            .ok_or_else(|| contradiction(&session.login))
    }

    async fn statements(&self, session: &mut Session, change: &Change<'_>) -> Result<Vec<Statement>, StepError> {
        let wanted = change.wanted;
        if change.own {
            let (new, old) = (my_text(&wanted.password), my_text(&session.login.password));
            return Ok(vec![Zeroizing::new(format!("SET PASSWORD = {} REPLACE {}", *new, *old))]);
        }
        let rows: Vec<String> = change
            .rows
            .iter()
            .map(|(row, plugin)| {
                let hash = plugin.make(&wanted.password, row.stored.as_deref().unwrap_or_default());
                format!(
                    "{} IDENTIFIED WITH '{}' AS {}",
                    my_account(&wanted.user, &row.host),
                    plugin.name(),
                    my_bytes(&hash)
                )
            })
            .collect();
        Ok(vec![Zeroizing::new(format!("{} USER {}", change.verb(), rows.join(", ")))])
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
