//! MariaDB 10.4 and later: in what it differs from MySQL. Each row of an account is changed by a statement of its own,
//! so an interruption can leave rows that differ; the next Set makes them equal again.
//!
//! A hash is sent, unless the server has a password validation plugin and `strict_password_validation` (its default):
//! then it takes nothing but the clear text. MariaDB does not hide that from its general log, so we ask for our
//! session to be left out of it, which needs a privilege that the account may not have.
//!
//! Two passwords (10.4.3 and later): two ways to log in, joined by `OR`. They are set together, so that one statement
//! says all there are, and it may be said again. It takes CREATE USER (or UPDATE on the database mysql), for the account
//! itself too; what was tried on 10.11 beside that:
//! - `ALTER USER CURRENT_USER() IDENTIFIED …` answers that all is well and changes nothing: the account is always named.
//! - `SET PASSWORD` changes the first way with a password alone; where a way without one stands before it (unix_socket),
//!   it fails with 1699, having changed it.
//! - `SHOW CREATE USER` shows an account its own hashes.
//! - A client is told with an AuthSwitchRequest to try the next way. The handshake offers mysql_native_password, so that
//!   the first way costs no switch where it is that, and a password after it costs one. A password after ed25519 or
//!   unix_socket costs one, and one more a second one, which mysql_async and the Go drivers do not follow: an account
//!   whose first way is none with mysql_native_password is not given two.
//! - Where only clear text is taken, the retained password is checked like a new one, and `password_reuse_check`
//!   refuses it: there an account is not given two.

mod methods;

use std::sync::Arc;

use async_trait::async_trait;
use engine::outcome::StepError;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::connection::Kind;
use crate::effort::STATEMENT;
use crate::my::accounts::{Method, Row, Rows};
use crate::my::dual::{By, Goal, Lacking, Outlook, granted, numbers};
use crate::my::hash::Plugin;
use crate::my::session::Session;
use crate::my::{Brand, Change, Family, Flavor, Statement, contradiction};
use crate::quote::{my_account, my_bytes, my_text, shown};
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
        &methods::PLUGINS
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
        let shown = session.own_row(host, " ").await?;
        shown.and_then(|rest| own_row(&rest, host)).ok_or_else(|| contradiction(&session.login))
    }

    fn takes_two(&self, version: &str) -> bool {
        numbers(version) >= TWO_SINCE
    }

    fn two_since(&self) -> &'static str {
        "MariaDB 10.4.3 or later"
    }

    async fn lacking_privilege(&self, session: &mut Session, by: By) -> Result<Option<Lacking>, StepError> {
        let enough = [("CREATE USER", "*.*"), ("UPDATE", "*.*"), ("UPDATE", "`mysql`.*")];
        if by == By::Admin || granted(session, &enough).await? {
            return Ok(None);
        }
        let account = shown(&session.by);
        let why = format!("{account} may not give itself a second password");
        Ok(Some(Lacking { why, grant: format!("GRANT CREATE USER ON *.* TO {account};") }))
    }

    async fn lacking_conditions(
        &self,
        session: &mut Session,
        _by: By,
        rows: &Rows,
    ) -> Result<Option<Lacking>, StepError> {
        let first = |row: &Row| row.methods.first().map(|method| method.plugin.clone()).unwrap_or_default();
        if let Some(first) = rows.list.iter().map(first).find(|first| first != Plugin::Native.name()) {
            let why = format!(
                "the first way in which the account logs in is {}, and most clients do not get as far as to a second \
                 password after it",
                shown(&first)
            );
            let grant = "Write mysql_native_password as the first way (ALTER USER … IDENTIFIED VIA \
                         mysql_native_password USING … OR …), or let two accounts take turns (alternating-users).";
            return Ok(Some(Lacking { why, grant: grant.to_owned() }));
        }
        if wants_clear_text(session).await? {
            let why = format!(
                "{} takes new passwords in clear text only, and would check the old one as if it were new",
                session.login.server()
            );
            return Ok(Some(Lacking { why, grant: "SET GLOBAL strict_password_validation = OFF;".to_owned() }));
        }
        Ok(None)
    }

    fn outlook(&self, row: &Row, goal: &Goal<'_>) -> Result<Outlook, StepError> {
        methods::outlook(row, goal)
    }

    async fn statements(
        &self,
        session: &mut Session,
        goal: &Goal<'_>,
        rows: &[(&Row, Outlook)],
        own: bool,
    ) -> Result<Vec<Statement>, StepError> {
        if rows.is_empty() {
            return Ok(vec![]);
        }
        let clear = wants_clear_text(session).await?;
        if clear {
            // Not allowed to every account, and no reason to stop.
            drop(session.rows_if_allowed::<u8>("SET SESSION sql_log_off = 1").await?);
            tracing::info!(
                server = session.login.server(),
                "the server's validation plugin takes clear text only; its general log may show it"
            );
        }
        let wanted = &goal.parties.wanted;
        let mut statements = Vec::new();
        for (row, _) in rows {
            let plugin = row.known_plugin(self.plugins(), wanted)?;
            let Some(pieces) = methods::target(row, goal)? else { continue };
            if !(own && row.methods.len() == 1 && pieces.len() == 1) {
                let account = my_account(&wanted.user, &row.host);
                let ways = methods::written(&pieces, clear);
                statements.push(Zeroizing::new(format!("ALTER USER {account} IDENTIFIED VIA {}", *ways)));
                continue;
            }
            // What every account may say of itself.
            let secret = match clear {
                true => Zeroizing::new(format!("PASSWORD({})", *my_text(&wanted.password))),
                false => my_text(&String::from_utf8_lossy(&plugin.make(&wanted.password, b""))),
            };
            statements.push(Zeroizing::new(format!("SET PASSWORD = {}", *secret)));
        }
        Ok(statements)
    }

    async fn give(&self, session: &mut Session, change: &Change<'_>) -> Result<Vec<Statement>, StepError> {
        let clear = wants_clear_text(session).await?;
        let wanted = change.wanted;
        let statement = |(row, plugin): &(&Row, Plugin)| {
            let secret = match clear {
                true => Zeroizing::new(format!("PASSWORD({})", *my_text(&wanted.password))),
                false => my_text(&String::from_utf8_lossy(&plugin.make(&wanted.password, b""))),
            };
            Zeroizing::new(format!(
                "{} USER {} IDENTIFIED VIA {} USING {}",
                change.verb(),
                my_account(&wanted.user, &row.host),
                plugin.name(),
                *secret
            ))
        };
        Ok(change.rows.iter().map(statement).collect())
    }
}

/// Since when an account may have more than one way to log in.
const TWO_SINCE: [u32; 3] = [10, 4, 3];

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
    /// An empty one stands for the `plugin` and `authentication_string` beside this list.
    #[serde(default)]
    auth_or: Vec<Way>,
}

#[derive(Deserialize)]
struct Way {
    plugin: Option<String>,
    authentication_string: Option<String>,
}

impl Way {
    /// An account that was made without any password has neither.
    fn method(self) -> Method {
        let plugin = self.plugin.filter(|plugin| !plugin.is_empty());
        Method {
            plugin: plugin.unwrap_or_else(|| Plugin::Native.name().to_owned()),
            stored: self.authentication_string.unwrap_or_default().into_bytes(),
        }
    }
}

fn row(host: String, privileges: &[u8]) -> Option<Row> {
    let read: Privileges = serde_json::from_slice(privileges).ok()?;
    let main = Way { plugin: read.plugin, authentication_string: read.authentication_string }.method();
    let mut methods: Vec<Method> =
        read.auth_or.into_iter().map(|way| if way.plugin.is_none() { main.clone() } else { way.method() }).collect();
    if methods.is_empty() {
        methods.push(main);
    }
    let mut row = of_methods(host, methods, read.account_locked)?;
    if read.is_role {
        ROLE.clone_into(&mut row.plugin);
    }
    Some(row)
}

/// Reads what follows the account in MariaDB's own words.
fn own_row(text: &str, host: &str) -> Option<Row> {
    let (methods, rest) = methods::read(text)?;
    of_methods(host.to_owned(), methods, rest.contains(" ACCOUNT LOCK"))
}

fn of_methods(host: String, methods: Vec<Method>, locked: bool) -> Option<Row> {
    let Method { plugin, stored } = methods::leading(&methods)?.clone();
    Some(Row {
        host,
        plugin,
        stored: Some(stored),
        locked,
        lock_limit: None,
        several_ways: false,
        second: None,
        methods,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mariadb_says_of_our_own_row_is_understood() {
        for (text, plugin, stored, ways) in [
            ("IDENTIFIED BY PASSWORD '*92'", "mysql_native_password", "*92", 1),
            ("IDENTIFIED VIA ed25519 USING 'Zig'", "ed25519", "Zig", 1),
            ("IDENTIFIED VIA unix_socket", "unix_socket", "", 1),
            ("IDENTIFIED VIA mysql_native_password USING '*6' OR ed25519 USING 'I'", "mysql_native_password", "*6", 2),
            ("IDENTIFIED VIA unix_socket OR ed25519 USING 'I' ACCOUNT LOCK", "ed25519", "I", 2),
        ] {
            let row = own_row(text, "%").expect("understood");
            let found = (row.plugin.as_str(), row.stored.as_deref(), row.methods.len());
            assert_eq!(found, (plugin, Some(stored.as_bytes()), ways), "{text}");
            assert_eq!(row.locked, text.ends_with("LOCK"));
        }
    }

    #[test]
    fn rows_of_the_catalogue_are_read_and_roles_are_known_as_such() {
        let read = |json: &str| row("%".to_owned(), json.as_bytes());
        let two = read(r#"{"plugin":"ed25519","authentication_string":"Z","auth_or":[{"plugin":"unix_socket"},{}]}"#);
        let plugins = |row: Row| row.methods.into_iter().map(|method| method.plugin).collect::<Vec<_>>();
        assert_eq!(two.map(plugins), Some(vec!["unix_socket".to_owned(), "ed25519".to_owned()]));
        let locked = read(r#"{"access":1,"plugin":"ed25519","authentication_string":"Z","account_locked":true}"#);
        assert!(locked.is_some_and(|row| row.locked && row.plugin == "ed25519"));
        assert!(read(r#"{"access":1}"#).is_some_and(|row| row.plugin == "mysql_native_password"));
        assert!(read(r#"{"is_role":true}"#).is_some_and(|row| row.plugin == ROLE));
        assert!(read("nonsense").is_none());
    }
}
