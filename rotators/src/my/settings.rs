//! Owns what a row of an account is set to beside its password and its rights: TLS requirement, resource limits, password
//! policy, default roles; read from the catalogue, and the statements that give one row another's. Never here:
//! connections that change anything.

use engine::outcome::{StepError, Verdict};
use serde::Deserialize;

use super::errors::{line, told};
use super::session::Session;
use super::{Brand, contradiction};
use crate::quote::{my_account, my_bytes, my_name, my_text};

/// The settings of one row, as clauses of ALTER USER.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// In the order in which the grammar takes them; the same number for every row of a server.
    clauses: Vec<String>,
    /// As the statement lists them; empty: none.
    default_roles: Vec<String>,
    /// MySQL: the row has a second password (`RETAIN CURRENT PASSWORD`).
    pub second_password: bool,
}

impl Settings {
    /// The clauses in which `self` differs from `other`, as one text; None: in none.
    pub(super) fn differing(&self, other: Option<&Self>) -> Option<String> {
        let differs = |(i, clause): (usize, &String)| other.and_then(|other| other.clauses.get(i)) != Some(clause);
        let list = self.clauses.iter().enumerate().filter(|pair| differs(*pair)).map(|(_, clause)| clause.as_str());
        let text = list.filter(|clause| !clause.is_empty()).collect::<Vec<_>>().join(" ");
        Some(text).filter(|text| !text.is_empty())
    }

    /// The statement that gives `account` (quoted) these default roles, where `other` has different ones.
    pub(super) fn default_roles(&self, other: Option<&Self>, brand: Brand, account: &str) -> Option<String> {
        let before = other.map(|other| other.default_roles.as_slice()).unwrap_or_default();
        if before == self.default_roles {
            return None;
        }
        let roles = match self.default_roles.is_empty() {
            true => "NONE".to_owned(),
            false => self.default_roles.join(", "),
        };
        Some(match brand {
            Brand::MySql => format!("ALTER USER {account} DEFAULT ROLE {roles}"),
            Brand::MariaDb => format!("SET DEFAULT ROLE {roles} FOR {account}"),
        })
    }

    /// Reads the settings of `user@host`. None: there is no such row.
    pub(super) async fn read(
        session: &mut Session,
        brand: Brand,
        user: &str,
        host: &str,
    ) -> Result<Option<Self>, StepError> {
        let sql = match brand {
            Brand::MySql => MYSQL,
            Brand::MariaDb => MARIADB,
        };
        let sql = format!("{sql} WHERE User = {} AND Host = {}", my_bytes(user.as_bytes()), my_bytes(host.as_bytes()));
        let found: Vec<String> = ask(session, &sql).await?;
        let Some(json) = found.first() else { return Ok(None) };
        let read = match brand {
            Brand::MySql => serde_json::from_str::<MySqlRow>(json).ok().map(Self::from),
            Brand::MariaDb => serde_json::from_str::<MariaDbRow>(json).ok().map(Self::from),
        };
        let mut settings = read.ok_or_else(|| contradiction(&session.login))?;
        if brand == Brand::MySql {
            let sql = format!(
                "SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles \
                 WHERE USER = {} AND HOST = {} ORDER BY 1, 2",
                my_bytes(user.as_bytes()),
                my_bytes(host.as_bytes())
            );
            let roles: Vec<(String, String)> = ask(session, &sql).await?;
            settings.default_roles = roles.iter().map(|(user, host)| my_account(user, host)).collect();
        }
        Ok(Some(settings))
    }
}

async fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(
    session: &mut Session,
    sql: &str,
) -> Result<Vec<T>, StepError> {
    match session.rows_if_allowed(sql).await? {
        Ok(rows) => Ok(rows),
        Err(_) => Err(told(line(1142), 1142, Verdict::NeedsPerson, &session.login, &session.by)),
    }
}

/// Everything but the hashes.
const MYSQL: &str = "SELECT JSON_OBJECT('tls', ssl_type, 'cipher', CONVERT(ssl_cipher USING utf8mb4), \
    'issuer', CONVERT(x509_issuer USING utf8mb4), 'subject', CONVERT(x509_subject USING utf8mb4), \
    'questions', max_questions, 'updates', max_updates, 'connections', max_connections, 'at_once', max_user_connections, \
    'locked', account_locked, 'lifetime', password_lifetime, \
    'history', Password_reuse_history, 'reuse_days', Password_reuse_time, 'require_current', Password_require_current, \
    'attempts', User_attributes->'$.Password_locking.failed_login_attempts', \
    'lock_days', User_attributes->'$.Password_locking.password_lock_time_days', \
    'second', COALESCE(JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password'), 0)) FROM mysql.user";

const MARIADB: &str = "SELECT JSON_REMOVE(Priv, '$.authentication_string', '$.auth_or') FROM mysql.global_priv";

#[derive(Deserialize)]
struct MySqlRow {
    tls: String,
    cipher: String,
    issuer: String,
    subject: String,
    questions: u64,
    updates: u64,
    connections: u64,
    at_once: u64,
    locked: String,
    lifetime: Option<u64>,
    history: Option<u64>,
    reuse_days: Option<u64>,
    require_current: Option<String>,
    attempts: Option<u64>,
    lock_days: Option<i64>,
    second: u8,
}

impl From<MySqlRow> for Settings {
    fn from(row: MySqlRow) -> Self {
        let or_default = |value: Option<u64>, unit: &str| match value {
            Some(value) => format!("{value}{unit}"),
            None => "DEFAULT".to_owned(),
        };
        let require_current = match row.require_current.as_deref() {
            Some("Y") => "",
            Some(_) => " OPTIONAL",
            None => " DEFAULT",
        };
        let lock_days = match row.lock_days.unwrap_or_default() {
            days if days < 0 => "UNBOUNDED".to_owned(),
            days => days.to_string(),
        };
        let clauses = vec![
            require(&row.tls, &row.issuer, &row.subject, &row.cipher),
            limits(row.questions, row.updates, row.connections, row.at_once),
            expiry(row.lifetime.map(i64::try_from).transpose().unwrap_or_default()),
            format!("PASSWORD HISTORY {}", or_default(row.history, "")),
            format!("PASSWORD REUSE INTERVAL {}", or_default(row.reuse_days, " DAY")),
            format!("PASSWORD REQUIRE CURRENT{require_current}"),
            format!("FAILED_LOGIN_ATTEMPTS {} PASSWORD_LOCK_TIME {lock_days}", row.attempts.unwrap_or_default()),
            locked(row.locked == "Y"),
        ];
        Self { clauses, default_roles: vec![], second_password: row.second != 0 }
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct MariaDbRow {
    ssl_type: i64,
    ssl_cipher: String,
    x509_issuer: String,
    x509_subject: String,
    max_questions: u64,
    max_updates: u64,
    max_connections: u64,
    max_user_connections: i64,
    max_statement_time: f64,
    account_locked: bool,
    password_lifetime: Option<i64>,
    default_role: String,
}

impl From<MariaDbRow> for Settings {
    fn from(row: MariaDbRow) -> Self {
        let tls = match row.ssl_type {
            1 => "ANY",
            2 => "X509",
            3 => "SPECIFIED",
            _ => "",
        };
        let limits = limits(row.max_questions, row.max_updates, row.max_connections, row.max_user_connections);
        let clauses = vec![
            require(tls, &row.x509_issuer, &row.x509_subject, &row.ssl_cipher),
            format!("{limits} MAX_STATEMENT_TIME {}", row.max_statement_time),
            expiry(row.password_lifetime.filter(|days| *days >= 0)),
            locked(row.account_locked),
        ];
        let default_roles = Some(row.default_role).filter(|role| !role.is_empty());
        Self {
            clauses,
            default_roles: default_roles.iter().map(|role| my_name(role)).collect(),
            second_password: false,
        }
    }
}

fn require(tls: &str, issuer: &str, subject: &str, cipher: &str) -> String {
    match tls {
        "ANY" => "REQUIRE SSL".to_owned(),
        "X509" => "REQUIRE X509".to_owned(),
        "SPECIFIED" => {
            let parts = [("ISSUER", issuer), ("SUBJECT", subject), ("CIPHER", cipher)];
            let parts = parts.iter().filter(|(_, text)| !text.is_empty());
            let parts: Vec<String> = parts.map(|(word, text)| format!("{word} {}", *my_text(text))).collect();
            format!("REQUIRE {}", parts.join(" AND "))
        }
        _ => "REQUIRE NONE".to_owned(),
    }
}

fn limits(questions: u64, updates: u64, connections: u64, at_once: impl std::fmt::Display) -> String {
    format!(
        "WITH MAX_QUERIES_PER_HOUR {questions} MAX_UPDATES_PER_HOUR {updates} MAX_CONNECTIONS_PER_HOUR {connections} \
         MAX_USER_CONNECTIONS {at_once}"
    )
}

fn expiry(days: Option<i64>) -> String {
    match days {
        None => "PASSWORD EXPIRE DEFAULT".to_owned(),
        Some(0) => "PASSWORD EXPIRE NEVER".to_owned(),
        Some(days) => format!("PASSWORD EXPIRE INTERVAL {days} DAY"),
    }
}

/// A lock is copied; it is never opened, which only a person may do.
fn locked(locked: bool) -> String {
    if locked { "ACCOUNT LOCK".to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_set_and_a_lock_is_never_opened() {
        let plain = Settings::from(MariaDbRow::default());
        let strict = MariaDbRow {
            ssl_type: 3,
            x509_subject: "/CN=it's".to_owned(),
            ssl_cipher: "AES".to_owned(),
            account_locked: true,
            default_role: "r`".to_owned(),
            ..MariaDbRow::default()
        };
        let strict = Settings::from(strict);
        assert_eq!(
            strict.differing(Some(&plain)).as_deref(),
            Some("REQUIRE SUBJECT '/CN=it''s' AND CIPHER 'AES' ACCOUNT LOCK")
        );
        assert_eq!(plain.differing(Some(&strict)).as_deref(), Some("REQUIRE NONE"));
        assert_eq!(plain.differing(Some(&plain)), None);
        let roles = |from: &Settings, to: &Settings| to.default_roles(Some(from), Brand::MariaDb, "`u`@`%`");
        assert_eq!(roles(&plain, &strict).as_deref(), Some("SET DEFAULT ROLE `r``` FOR `u`@`%`"));
        assert_eq!(roles(&strict, &plain).as_deref(), Some("SET DEFAULT ROLE NONE FOR `u`@`%`"));
        assert_eq!(roles(&strict, &strict), None);
    }

    #[test]
    fn mysqls_settings_are_read_as_its_clauses() {
        let json = r#"{"tls":"ANY","cipher":"","issuer":"","subject":"","questions":1,"updates":2,"connections":3,"at_once":4,
            "locked":"N","lifetime":5,"history":null,"reuse_days":6,"require_current":"N","attempts":3,"lock_days":-1,"second":1}"#;
        let read: MySqlRow = serde_json::from_str(json).expect("a row");
        let settings = Settings::from(read);
        assert!(settings.second_password);
        assert_eq!(
            settings.differing(None).as_deref(),
            Some(
                "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 1 MAX_UPDATES_PER_HOUR 2 MAX_CONNECTIONS_PER_HOUR 3 \
                 MAX_USER_CONNECTIONS 4 PASSWORD EXPIRE INTERVAL 5 DAY PASSWORD HISTORY DEFAULT PASSWORD REUSE \
                 INTERVAL 6 DAY PASSWORD REQUIRE CURRENT OPTIONAL FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED"
            )
        );
    }
}
