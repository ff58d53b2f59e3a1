//! Owns what is read and locked on a PostgreSQL server before a role is changed. Never here: the change.

use std::time::Duration;

use engine::outcome::{StepError, Verdict};
use tokio_postgres::types::Type;
use zeroize::Zeroizing;

use super::errors::{Moment, line, told};
use super::session::Session;
use crate::connection::Login;
use crate::effort::{IDLE, LOGIN, STATEMENT};
use crate::quote::{pg_name, pg_text, shown};

/// Stands before the account's name in what is hashed to the lock's key.
const PREFIX: &str = "pawl/account/";
/// Seeds that hash, so that our advisory locks meet nobody else's.
const SEED: i64 = 0x7061_776c_0001;
/// The lock under which roles of one database server are changed, one at a time. Advisory locks belong to a database:
/// across databases PostgreSQL's own "tuple concurrently updated" is the answer, and it means Retry.
const ROLE_DDL: i64 = 0x7061_776c_0002;

/// What matters about a role.
#[derive(Debug)]
pub(crate) struct Role {
    can_login: bool,
    expired: bool,
    standby: bool,
    /// This session may read `pg_authid`.
    pub hash_readable: bool,
    /// The process that serves us, by its own word.
    pub backend: Option<i32>,
}

/// Begins the transaction of a change: the server's limits first, then the lock of this account. Its key is the
/// account, not the secret, so that two secrets of one account exclude each other too.
pub(crate) async fn lock(session: &mut Session, account: &Login, by_admin: bool) -> Result<(), StepError> {
    session.batch(&locking(account, by_admin), Moment::Before).await.map_err(standby)
}

/// What [`lock`] sends.
pub(crate) fn locking(account: &Login, by_admin: bool) -> String {
    // A role may have another role set at login; its own password it changes as itself.
    let role = if by_admin { "" } else { "SET LOCAL ROLE NONE; " };
    format!("BEGIN READ WRITE; {}{role}{}", limits(IDLE.as_millis()), take_lock(account))
}

/// The same lock while a proof is made: nothing is changed, so the session may be idle during a login.
pub(crate) async fn lock_for_proof(session: &mut Session, account: &Login) -> Result<(), StepError> {
    let sql = format!("BEGIN; {}{}", limits((LOGIN + IDLE).as_millis()), take_lock(account));
    session.batch(&sql, Moment::Before).await
}

/// Begins a transaction under the locks of both accounts of a pair, always in the same order. It may be idle for
/// `patience`: for [`IDLE`] before a change, for longer while logins are tried.
pub(crate) async fn lock_both(session: &mut Session, users: [&str; 2], patience: Duration) -> Result<(), StepError> {
    let mut users = users;
    users.sort_unstable();
    let locks = users.map(lock_of).join("; ");
    let sql = format!("BEGIN READ WRITE; {}{CATALOGUE_ONLY}; {locks}", limits(patience.as_millis()));
    session.batch(&sql, Moment::Before).await.map_err(standby)
}

/// From here on the session may be silent no longer than before any change.
pub(crate) async fn hurry(session: &mut Session) -> Result<(), StepError> {
    let sql = format!("SET LOCAL idle_in_transaction_session_timeout = {}", IDLE.as_millis());
    session.batch(&sql, Moment::Before).await
}

/// Names mean the server's own catalogue and nothing that an account has made: an admin works in the account's database.
pub(crate) const CATALOGUE_ONLY: &str = "SET LOCAL search_path = pg_catalog, pg_temp";

fn take_lock(account: &Login) -> String {
    lock_of(&account.user)
}

fn lock_of(user: &str) -> String {
    let key = pg_text(&format!("{PREFIX}{user}"));
    format!("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended({key}, {SEED}))")
}

/// The server's own limits on a transaction, which begins with them.
pub(crate) fn limits(idle_ms: u128) -> String {
    let statement_ms = STATEMENT.as_millis();
    // Below the statement's limit, so that a lock that is held is told from a server that is slow.
    let lock_ms = statement_ms * 3 / 4;
    format!(
        "SET LOCAL idle_in_transaction_session_timeout = {idle_ms}; SET LOCAL statement_timeout = {statement_ms}; \
         SET LOCAL lock_timeout = {lock_ms}; "
    )
}

/// The change and its commit, behind the lock of all role DDL, in one message: the server takes all of it or, when it
/// has ended the session meanwhile, nothing. The lock is held for the statement alone, so that a process that stalls
/// with a session open keeps nobody else waiting.
pub(crate) fn change(login: &Login, verifier: &str) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "SELECT pg_catalog.pg_advisory_xact_lock({ROLE_DDL}); ALTER ROLE {} PASSWORD '{verifier}'; COMMIT",
        pg_name(&login.user)
    ))
}

/// Several statements of one change, in the same way as [`change`].
pub(crate) fn changes<'s>(statements: impl IntoIterator<Item = &'s str>) -> Zeroizing<String> {
    let mut sql = Zeroizing::new(format!("SELECT pg_catalog.pg_advisory_xact_lock({ROLE_DDL}); "));
    for statement in statements {
        sql.push_str(statement);
        sql.push_str("; ");
    }
    sql.push_str("COMMIT");
    sql
}

/// `BEGIN READ WRITE` on a standby is "feature not supported".
fn standby(error: StepError) -> StepError {
    if error.code != "0A000" && error.code != "25006" {
        return error;
    }
    let mut standby = error;
    let line = line("25006");
    standby.verdict = line.verdict;
    "25006".clone_into(&mut standby.code);
    "The server is a read-only standby (SQLSTATE 25006).".clone_into(&mut standby.message);
    line.remedy.clone_into(&mut standby.remedy);
    standby
}

/// Looks the role up.
///
/// # Errors
/// NeedsPerson (42704) where there is none; else as the session says.
pub(crate) async fn read_role(session: &mut Session, login: &Login) -> Result<Role, StepError> {
    let sql = "SELECT r.rolcanlogin, COALESCE(r.rolvaliduntil <= pg_catalog.clock_timestamp(), false), \
               pg_catalog.pg_is_in_recovery(), \
               pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'), pg_catalog.pg_backend_pid() \
               FROM pg_catalog.pg_roles r WHERE r.rolname = $1";
    let row = session.row(sql, &[(&login.user, Type::TEXT)]).await?;
    let role = row.and_then(|row| {
        Some(Role {
            can_login: row.try_get(0).ok()?,
            expired: row.try_get(1).ok()?,
            standby: row.try_get(2).ok()?,
            hash_readable: row.try_get(3).ok()?,
            backend: row.try_get(4).ok(),
        })
    });
    role.ok_or_else(|| told(line("42704"), "42704", Verdict::NeedsPerson, login))
}

/// Whether the stored hash is md5. Only the kind leaves the server, never the hash.
pub(crate) async fn stored_as_md5(session: &mut Session, login: &Login) -> Result<bool, StepError> {
    let sql = "SELECT COALESCE(a.rolpassword LIKE 'md5%', false) FROM pg_catalog.pg_authid a WHERE a.rolname = $1";
    let row = session.row(sql, &[(&login.user, Type::TEXT)]).await?;
    Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or(false))
}

impl Role {
    /// Can this role be changed here, and log in afterwards?
    pub(crate) fn check(&self, login: &Login) -> Result<(), StepError> {
        if self.standby {
            return Err(told(line("25006"), "25006", Verdict::Retry, login));
        }
        self.check_login(login)
    }

    /// Could this role log in with the right password?
    pub(crate) fn check_login(&self, login: &Login) -> Result<(), StepError> {
        let (user, role) = (shown(&login.user), shown(&pg_name(&login.user)));
        if !self.can_login {
            return Err(StepError::new(
                Verdict::NeedsPerson,
                "nologin",
                format!("The role {user} at {} has no LOGIN, whatever its password is.", login.server()),
            )
            .remedy(format!("ALTER ROLE {role} LOGIN")));
        }
        if self.expired {
            return Err(StepError::new(
                Verdict::NeedsPerson,
                "expired",
                format!("The VALID UNTIL of the role {user} at {} is in the past.", login.server()),
            )
            .remedy(format!("ALTER ROLE {role} VALID UNTIL 'infinity' (or another date), then resume.")));
        }
        Ok(())
    }
}
