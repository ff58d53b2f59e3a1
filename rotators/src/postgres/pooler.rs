//! Owns what a pooler between Pawl and PostgreSQL (PgBouncer and its like) makes of a login. It checks passwords by
//! itself: with `auth_query` against what the server has now, with a list of its own against what somebody once wrote
//! there. And it answers over connections to the server that it opened earlier. Never here: changes.
//!
//! It is known for sure that there is one: it names another process than the one that serves us. That it has a list is
//! known where the list holds clear text, for then each login gets another salt. A list of verifiers looks like
//! `auth_query`; testSecret finds out, because it refuses the new value, and a proof asks for a new connection.

use engine::check::{Finding, Level};
use engine::outcome::{StepError, Verdict};
use tokio_postgres::types::Type;

use super::errors::{Moment, POOLER};
use super::session::{Entry, Manner, Session};
use crate::connection::Login;
use crate::effort::{IDLE, LOGIN};
use crate::quote::shown;
use crate::tls::Trust;

/// How many connections to the server are asked for one that is new.
const CONNECTIONS: usize = 5;
const LOOKING: Manner = Manner { md5: true };

/// Whoever let this session in is not the process that serves it.
pub(crate) fn between(session: &Session, backend: Option<i32>) -> bool {
    matches!((session.question.backend(), backend), (Some(told), Some(serving)) if told != serving)
}

/// Whether passwords are checked against a list in clear text: asked with a login that is let in.
async fn has_list(login: &Login, trust: &Trust) -> Option<bool> {
    let mut salts = Vec::new();
    for _ in 0..2 {
        let Entry::In(session) = Session::open(login, trust, LOOKING).await else { return None };
        salts.push(session.question.salt()?);
        session.close().await;
    }
    Some(salts[0] != salts[1])
}

/// Before a change through a pooler: one with a list of its own would refuse the new value, and let the old one in for
/// ever, whatever the server has.
///
/// # Errors
/// NeedsPerson where that is known.
pub(crate) async fn refuse_list(login: &Login, trust: &Trust) -> Result<(), StepError> {
    match has_list(login, trust).await {
        Some(true) => Err(StepError::new(Verdict::NeedsPerson, "pooler-userlist", list(login)).remedy(LIST_REMEDY)),
        Some(false) | None => Ok(()),
    }
}

/// What a preflight says about a pooler; None where there is none, or the login does not work.
pub(crate) async fn finding(login: &Login, trust: &Trust) -> Option<Finding> {
    let Entry::In(mut session) = Session::open(login, trust, LOOKING).await else { return None };
    let row = session.row("SELECT pg_catalog.pg_backend_pid()", &[]).await.ok()??;
    if !between(&session, row.try_get(0).ok()) {
        session.close().await;
        return None;
    }
    // Alone: a transaction that ends in the message in which it began is none to a pooler.
    let begun = session.batch("BEGIN", Moment::Before).await;
    session.close().await;
    if begun.is_err_and(|error| error.code == POOLER) {
        let message = format!("{} is a pooler that allows no transactions (pool_mode = statement).", login.server());
        return Some(Finding::new(Level::Problem, "pooler", message).remedy("pool_mode = transaction"));
    }
    if has_list(login, trust).await == Some(true) {
        return Some(Finding::new(Level::Problem, "pooler-userlist", list(login)).remedy(LIST_REMEDY));
    }
    let message = format!(
        "{} is a pooler. With auth_query it learns new passwords from the server and rotation works; with a list of \
         verifiers (auth_file) it refuses every new password in testSecret, and which of the two it has cannot be told \
         from outside.",
        login.server()
    );
    Some(Finding::new(Level::Warning, "pooler", message).remedy(LIST_REMEDY))
}

fn list(login: &Login) -> String {
    format!(
        "{} is a pooler that checks the password of {} against a list of its own: it would refuse every new one.",
        login.server(),
        shown(&login.user)
    )
}

const LIST_REMEDY: &str = "PgBouncer: set auth_user and auth_query, and take the account out of auth_file, then RELOAD; \
                           or put the server itself into \"host\".";

/// The moment at which the lock was taken, by the server's clock.
pub(crate) async fn now(session: &mut Session) -> Result<String, StepError> {
    let row = session.row("SELECT pg_catalog.clock_timestamp()::pg_catalog.text", &[]).await?;
    row.and_then(|row| row.try_get(0).ok()).ok_or_else(|| stale(session.login()))
}

/// That a pooler lets a password in proves nothing about the server, but a connection to the server that it opens with
/// it does. So sessions are opened until one is served by a process that is younger than the lock.
///
/// # Errors
/// Retry where none is.
pub(crate) async fn opens_a_connection(first: Box<Session>, since: &str, trust: &Trust) -> Result<(), StepError> {
    let login = first.login().clone();
    let mut held = vec![first];
    loop {
        if let Some(last) = held.last_mut()
            && is_younger(last, since).await?
        {
            break;
        }
        if held.len() == CONNECTIONS {
            return Err(stale(&login));
        }
        match Session::open(&login, trust, LOOKING).await {
            Entry::In(session) => held.push(session),
            Entry::Refused(error) | Entry::Failed(error) => return Err(error),
        }
    }
    for session in held {
        session.close().await;
    }
    Ok(())
}

/// In a transaction, which keeps the connection from being lent to the next session.
async fn is_younger(session: &mut Session, since: &str) -> Result<bool, StepError> {
    let limit = (LOGIN + IDLE).as_millis();
    let begin = format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout = {limit}");
    session.batch(&begin, Moment::Before).await?;
    let sql = "SELECT a.backend_start >= $1::pg_catalog.text::pg_catalog.timestamptz FROM pg_catalog.pg_stat_activity a \
               WHERE a.pid = pg_catalog.pg_backend_pid()";
    let row = session.row(sql, &[(&since, Type::TEXT)]).await?;
    Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or(false))
}

fn stale(login: &Login) -> StepError {
    StepError::new(
        Verdict::Retry,
        "pooler-stale",
        format!(
            "The pooler at {} lets {} in, but used only connections to the server that it had opened before: that \
             proves nothing about the password there.",
            login.server(),
            shown(&login.user)
        ),
    )
    .remedy("Run RECONNECT on PgBouncer's console, or wait until it opens new connections (server_lifetime).")
}
