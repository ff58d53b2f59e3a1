//! Owns the questions that the preflight asks a PostgreSQL server; each reads and changes nothing. Never here: what an
//! answer means.

use engine::outcome::StepError;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::super::errors::{line, told};
use super::super::session::Session;
use crate::connection::Login;

/// What matters about the server.
#[derive(Debug, Clone)]
pub(super) struct ServerFacts {
    pub version: String,
    pub number: i32,
    pub standby: bool,
    pub tls: Option<String>,
    /// `shared_preload_libraries`, where this login may see it.
    pub libraries: String,
    /// credcheck is there and wants to see clear passwords.
    pub wants_clear: bool,
}

/// What matters about the role.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleFacts {
    pub can_login: bool,
    pub superuser: bool,
    pub replication: bool,
    /// The role that made the cluster.
    pub bootstrap: bool,
    pub expired: bool,
    /// Its VALID UNTIL is within a month.
    pub expires_soon: bool,
    /// -1: none.
    pub limit: i32,
    /// Sessions of the role, without the one that asks.
    pub sessions: i64,
    /// The role that is set at login.
    pub sets_role: Option<String>,
    /// It may connect to the secret's database.
    pub connects: bool,
}

impl RoleFacts {
    /// These facts say why the role is kept out.
    pub(super) fn keeps_out(&self) -> bool {
        !self.can_login || self.expired || !self.connects || self.used_up()
    }

    pub(super) fn used_up(&self) -> bool {
        self.limit >= 0 && self.sessions >= i64::from(self.limit)
    }
}

/// What matters about the admin. Rights are those of its current role, which is what a change is made with.
#[derive(Debug, Clone)]
pub(super) struct AdminFacts {
    /// The current role, which may be one that is set at login.
    pub name: String,
    pub superuser: bool,
    pub createrole: bool,
    /// ADMIN OPTION on the account.
    pub admin_option: bool,
}

pub(super) async fn server(session: &mut Session, login: &Login) -> Result<ServerFacts, StepError> {
    let sql = "SELECT pg_catalog.current_setting('server_version'), \
               pg_catalog.current_setting('server_version_num')::pg_catalog.int4, pg_catalog.pg_is_in_recovery(), \
               (SELECT s.version FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_catalog.pg_backend_pid()), \
               COALESCE((SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'shared_preload_libraries'), ''), \
               EXISTS (SELECT FROM pg_catalog.pg_settings s \
               WHERE s.name = 'credcheck.encrypted_password_allowed' AND s.setting = 'off')";
    let row = session.row(sql, &[]).await?;
    let facts = row.and_then(|row| {
        Some(ServerFacts {
            version: get(&row, 0)?,
            number: get(&row, 1)?,
            standby: get(&row, 2)?,
            tls: get(&row, 3)?,
            libraries: get(&row, 4)?,
            wants_clear: get(&row, 5)?,
        })
    });
    facts.ok_or_else(|| contradiction(login))
}

/// None: there is no such role.
pub(super) async fn role(session: &mut Session, login: &Login) -> Result<Option<RoleFacts>, StepError> {
    // A setting for this database wins over one for all.
    let sql = "SELECT r.rolcanlogin, r.rolsuper, r.rolreplication, r.oid = 10, \
               COALESCE(r.rolvaliduntil <= pg_catalog.clock_timestamp(), false), \
               COALESCE(r.rolvaliduntil <= pg_catalog.clock_timestamp() + interval '30 days', false), r.rolconnlimit, \
               (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a \
               WHERE a.usesysid = r.oid AND a.pid <> pg_catalog.pg_backend_pid()), \
               (SELECT pg_catalog.substr(c, 6) FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c \
               WHERE s.setrole = r.oid AND c LIKE 'role=%' AND s.setdatabase IN \
               (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) \
               ORDER BY s.setdatabase DESC LIMIT 1), \
               pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT') \
               FROM pg_catalog.pg_roles r WHERE r.rolname = $1";
    let Some(row) = session.row(sql, &[(&login.user, Type::TEXT)]).await? else { return Ok(None) };
    let facts = (|| {
        Some(RoleFacts {
            can_login: get(&row, 0)?,
            superuser: get(&row, 1)?,
            replication: get(&row, 2)?,
            bootstrap: get(&row, 3)?,
            expired: get(&row, 4)?,
            expires_soon: get(&row, 5)?,
            limit: get(&row, 6)?,
            sessions: get(&row, 7)?,
            sets_role: get(&row, 8)?,
            connects: get(&row, 9)?,
        })
    })();
    facts.map(Some).ok_or_else(|| contradiction(login))
}

/// The admin's rights over the account. Without such a role there is no ADMIN OPTION on it.
pub(super) async fn admin(session: &mut Session, login: &Login) -> Result<AdminFacts, StepError> {
    let sql = "SELECT a.rolname::pg_catalog.text, a.rolsuper, a.rolcreaterole, \
               COALESCE((SELECT pg_catalog.pg_has_role(a.oid, r.oid, 'MEMBER WITH ADMIN OPTION') \
               FROM pg_catalog.pg_roles r WHERE r.rolname = $1), false) \
               FROM pg_catalog.pg_roles a WHERE a.rolname = CURRENT_USER";
    let row = session.row(sql, &[(&login.user, Type::TEXT)]).await?;
    let facts = row.and_then(|row| {
        Some(AdminFacts {
            name: get(&row, 0)?,
            superuser: get(&row, 1)?,
            createrole: get(&row, 2)?,
            admin_option: get(&row, 3)?,
        })
    });
    facts.ok_or_else(|| contradiction(login))
}

/// Whether this login may read the stored hashes.
pub(super) async fn reads_hashes(session: &mut Session) -> Result<bool, StepError> {
    let sql = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')";
    Ok(session.row(sql, &[]).await?.and_then(|row| get(&row, 0)).unwrap_or(false))
}

pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Option<T> {
    row.try_get(index).ok()
}

/// The catalogue answers in a form that no version we know has.
pub(super) fn contradiction(login: &Login) -> StepError {
    let unknown = line("");
    told(unknown, "contradiction", unknown.verdict, login)
}
