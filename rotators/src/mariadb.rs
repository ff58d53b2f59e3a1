//! MariaDB 10.4 and later: in what it differs from MySQL. Each row of an account is changed by a statement of its own,
//! so an interruption can leave rows that differ; the next Set makes them equal again.
//!
//! A hash is sent, unless the server has a password validation plugin and `strict_password_validation` (its default):
//! then it takes nothing but the clear text. MariaDB does not hide that from its general log, so we ask for our
//! session to be left out of it, which needs a privilege that the account may not have.

use std::sync::Arc;

use async_trait::async_trait;
use engine::outcome::StepError;
use serde::Deserialize;
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
    name: "mariadb",
    title: "MariaDB",
    engines: &["mariadb"],
    port: 3306,
    // 128 characters of at most three bytes.
    longest_user: 384,
    longest_user_chars: 128,
};

/// The rotator of MariaDB.
pub(crate) fn rotator(trust: Arc<Trust>) -> Family<MariaDb> {
    Family { flavor: MariaDb, trust }
}

pub(crate) struct MariaDb;

#[async_trait]
impl Flavor for MariaDb {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn brand(&self) -> Brand {
        Brand::MariaDb
    }

    fn plugins(&self) -> &'static [Plugin] {
        &[Plugin::Native, Plugin::Ed25519]
    }

    fn statement_limits(&self) -> String {
        format!("innodb_lock_wait_timeout = {0}, max_statement_time = {0}", STATEMENT.as_secs())
    }

    fn server_state(&self) -> &'static str {
        // A word from MariaDB 12 on, a number before.
        "@@global.read_only NOT IN ('0', 'OFF') OR @@global.innodb_read_only, @@global.max_password_errors"
    }

    async fn all_rows(&self, session: &mut Session, user: &str) -> Result<Option<Vec<Row>>, StepError> {
        let sql = format!(
            "SELECT Host, Priv FROM mysql.global_priv WHERE User = {} ORDER BY Host",
            my_bytes(user.as_bytes())
        );
        let Ok(rows) = session.rows_if_allowed::<(String, Zeroized)>(&sql).await? else {
            return Ok(None);
        };
        let rows: Option<Vec<Row>> = rows.into_iter().map(|(host, privileges)| row(host, &privileges.0)).collect();
        rows.map(|rows| Some(rows.into_iter().filter(|row| row.plugin != ROLE).collect()))
            .ok_or_else(|| contradiction(&session.login))
    }

    async fn own_row(&self, session: &mut Session, host: &str) -> Result<Row, StepError> {
        let shown: Vec<String> = session.rows("SHOW CREATE USER CURRENT_USER()").await?;
        let head = format!("CREATE USER {} ", my_account(&session.login.user, host));
        shown
            .first()
            .and_then(|text| text.strip_prefix(&head))
            .and_then(|rest| own_row(rest, host))
            .ok_or_else(|| contradiction(&session.login))
    }

    async fn statements(&self, session: &mut Session, change: &Change<'_>) -> Result<Vec<Statement>, StepError> {
        let clear = wants_clear_text(session).await?;
        if clear {
            // Not allowed to every account, and no reason to stop.
            drop(session.rows_if_allowed::<u8>("SET SESSION sql_log_off = 1").await?);
            tracing::info!(
                server = session.login.server(),
                "the server's validation plugin takes clear text only; its general log may show it"
            );
        }
        let wanted = change.wanted;
        let secret = |plugin: Plugin| match clear {
            true => Zeroizing::new(format!("PASSWORD({})", *my_text(&wanted.password))),
            false => my_text(&String::from_utf8_lossy(&plugin.make(&wanted.password, b""))),
        };
        let statement = |(row, plugin): &(&Row, Plugin)| {
            let secret = secret(*plugin);
            Zeroizing::new(match change.own {
                true => format!("SET PASSWORD = {}", *secret),
                false => format!(
                    "{} USER {} IDENTIFIED VIA {} USING {}",
                    change.verb(),
                    my_account(&wanted.user, &row.host),
                    plugin.name(),
                    *secret
                ),
            })
        };
        Ok(change.rows.iter().map(statement).collect())
    }
}

/// `global_priv` holds hashes: wiped after use.
struct Zeroized(Zeroizing<Vec<u8>>);

impl mysql_async::prelude::FromValue for Zeroized {
    type Intermediate = Vec<u8>;
}

impl From<Vec<u8>> for Zeroized {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

pub(crate) async fn wants_clear_text(session: &mut Session) -> Result<bool, StepError> {
    let sql = "SELECT @@global.strict_password_validation AND EXISTS (SELECT * FROM information_schema.PLUGINS \
               WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE')";
    let answer: Vec<i64> = session.rows(sql).await?;
    Ok(answer.first().is_some_and(|strict| *strict != 0))
}

/// How `row` marks a role, which is no account.
const ROLE: &str = "(role)";

#[derive(Deserialize)]
struct Privileges {
    plugin: Option<String>,
    authentication_string: Option<String>,
    #[serde(default)]
    account_locked: bool,
    #[serde(default)]
    is_role: bool,
    #[serde(default)]
    auth_or: Vec<serde::de::IgnoredAny>,
}

fn row(host: String, privileges: &[u8]) -> Option<Row> {
    let read: Privileges = serde_json::from_slice(privileges).ok()?;
    Some(Row {
        host,
        plugin: match (read.is_role, read.plugin) {
            (true, _) => ROLE.to_owned(),
            // An account that was made without any password.
            (false, None) => Plugin::Native.name().to_owned(),
            (false, Some(plugin)) if plugin.is_empty() => Plugin::Native.name().to_owned(),
            (false, Some(plugin)) => plugin,
        },
        stored: Some(read.authentication_string.unwrap_or_default().into_bytes()),
        locked: read.account_locked,
        lock_limit: None,
        several_ways: read.auth_or.len() > 1,
    })
}

/// Reads what follows the account in MariaDB's own words.
fn own_row(text: &str, host: &str) -> Option<Row> {
    let (plugin, rest) = match text.strip_prefix("IDENTIFIED BY PASSWORD ") {
        Some(rest) => (Plugin::Native.name(), rest),
        None => {
            let rest = text.strip_prefix("IDENTIFIED VIA ").unwrap_or_default();
            let (plugin, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            (plugin, rest.strip_prefix("USING ").unwrap_or(rest))
        }
    };
    let stored = rest.strip_prefix('\'').and_then(|rest| rest.split('\'').next()).unwrap_or_default();
    Some(Row {
        host: host.to_owned(),
        plugin: if plugin.is_empty() { Plugin::Native.name().to_owned() } else { plugin.to_owned() },
        stored: Some(stored.as_bytes().to_vec()),
        locked: rest.contains(" ACCOUNT LOCK"),
        lock_limit: None,
        several_ways: rest.contains("' OR ") || rest.starts_with("OR "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mariadb_says_of_our_own_row_is_understood() {
        for (text, plugin, stored, several) in [
            ("IDENTIFIED BY PASSWORD '*92'", "mysql_native_password", "*92", false),
            ("IDENTIFIED VIA ed25519 USING 'Zig'", "ed25519", "Zig", false),
            ("IDENTIFIED VIA unix_socket", "unix_socket", "", false),
            (
                "IDENTIFIED VIA mysql_native_password USING '*6' OR ed25519 USING 'I'",
                "mysql_native_password",
                "*6",
                true,
            ),
            ("IDENTIFIED VIA unix_socket OR mysql_native_password USING '*6'", "unix_socket", "", true),
        ] {
            let row = own_row(text, "%").expect("understood");
            let found = (row.plugin.as_str(), row.stored.as_deref(), row.several_ways);
            assert_eq!(found, (plugin, Some(stored.as_bytes()), several), "{text}");
        }
    }

    #[test]
    fn rows_of_the_catalogue_are_read_and_roles_are_known_as_such() {
        let read = |json: &str| row("%".to_owned(), json.as_bytes());
        let two = read(
            r#"{"plugin":"mysql_native_password","authentication_string":"*6","auth_or":[{},{"plugin":"ed25519"}]}"#,
        );
        assert!(two.is_some_and(|row| row.several_ways));
        let locked = read(r#"{"access":1,"plugin":"ed25519","authentication_string":"Z","account_locked":true}"#);
        assert!(locked.is_some_and(|row| row.locked && row.plugin == "ed25519"));
        assert!(read(r#"{"access":1}"#).is_some_and(|row| row.plugin == "mysql_native_password"));
        assert!(read(r#"{"is_role":true}"#).is_some_and(|row| row.plugin == ROLE));
        assert!(read("nonsense").is_none());
    }
}
