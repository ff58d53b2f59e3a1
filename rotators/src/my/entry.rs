//! Owns getting in: logging in within the budget, bounding a session on the server's side, and the lock of an account.
//! Never here: what is done in a session.

use std::time::Duration;

use engine::outcome::{StepError, Verdict};
use sha2::{Digest, Sha256};

use super::errors::{Moment, line, told};
use super::session::{Entry, Session};
use super::{Flavor, contradiction};
use crate::connection::Login;
use crate::effort::{Effort, STATEMENT};
use crate::quote::{my_account, my_text, shown};
use crate::tls::Trust;

/// Logs in as the account. None: the password was refused.
pub(super) async fn enter(login: &Login, trust: &Trust, effort: &Effort) -> Result<Option<Box<Session>>, StepError> {
    effort.may_log_in(&account(login))?;
    match Session::open(login, trust).await {
        Entry::In(session) => Ok(Some(session)),
        Entry::Refused(_) => {
            effort.login_refused();
            Ok(None)
        }
        Entry::Failed(error) => {
            // The refusal that locks an account comes with its own number.
            if matches!(error.code.as_str(), "3955" | "4150") {
                effort.login_refused();
            }
            Err(error)
        }
    }
}

/// Logs in as the admin.
pub(super) async fn open_admin(admin: &Login, trust: &Trust) -> Result<Box<Session>, StepError> {
    match Session::open(admin, trust).await {
        Entry::In(session) => Ok(session),
        Entry::Failed(error) => Err(error),
        Entry::Refused(error) => Err(admin_refused(admin, &error)),
    }
}

/// Bounds the session on the server's side, takes the lock of this account and looks at the server. Returns the
/// host part of the row we are logged in by.
pub(super) async fn lock(
    session: &mut Session,
    flavor: &dyn Flavor,
    effort: &Effort,
    locked: &Login,
    by_admin: bool,
    idle: Duration,
) -> Result<String, StepError> {
    let set = format!(
        "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', wait_timeout = {}, lock_wait_timeout = {}, {}",
        idle.as_secs(),
        STATEMENT.as_secs(),
        flavor.statement_limits()
    );
    session.run(&set, Moment::Before).await?;
    let sql = format!(
        "SELECT GET_LOCK({}, {}), CURRENT_USER(), {}",
        *my_text(&lock_name(&locked.user)),
        STATEMENT.as_secs() - 1,
        flavor.server_state()
    );
    let rows: Vec<(Option<i64>, String, i64, u64)> = session.rows(&sql).await?;
    let Some((got, current_user, read_only, lock_limit)) = rows.into_iter().next() else {
        return Err(contradiction(&session.login));
    };
    if got != Some(1) {
        return Err(lock_taken(locked));
    }
    if read_only != 0 {
        return Err(told(line(1836), 1836, Verdict::Retry, &session.login, &session.by));
    }
    if let Ok(limit @ 1..=1_000_000) = u32::try_from(lock_limit) {
        effort.locks_after(limit);
    }
    let (user, host) = current_user.rsplit_once('@').unwrap_or((&current_user, "%"));
    session.by = my_account(user, host);
    if !by_admin && user != session.login.user {
        return Err(told(line(1131), 1131, Verdict::NeedsPerson, &session.login, &session.by));
    }
    Ok(host.to_owned())
}

/// Gives the lock back. Fails where its session was ended meanwhile: then nothing was proven.
pub(super) async fn unlock(mut keeper: Box<Session>, locked: &Login) -> Result<(), StepError> {
    let held = format!("SELECT IS_USED_LOCK({}) = CONNECTION_ID()", *my_text(&lock_name(&locked.user)));
    let held: Vec<Option<i64>> = keeper.rows(&held).await?;
    keeper.close().await;
    match held.first() {
        Some(Some(1)) => Ok(()),
        _ => Err(lock_taken(locked)),
    }
}

pub(super) fn admin_refused(admin: &Login, error: &StepError) -> StepError {
    let message =
        format!("{} refuses the login of the admin {} (error {}).", admin.server(), shown(&admin.user), error.code);
    StepError::new(Verdict::NeedsPerson, "admin-refused", message)
        .remedy("Correct the password in the admin secret named by masterarn, then resume.")
}

fn lock_taken(locked: &Login) -> StepError {
    let message = format!("Another session of Pawl works on {} at the moment.", account(locked));
    StepError::new(Verdict::Retry, "lock", message)
}

/// `"user" at host:port`, for messages.
pub(super) fn account(login: &Login) -> String {
    format!("{} at {}", shown(&login.user), login.server())
}

/// The key is the account, not the secret, so that two secrets of one account exclude each other too. Lock names have
/// at most 64 characters, and do not tell letters' cases apart; names of accounts may be longer, and do.
fn lock_name(user: &str) -> String {
    let digest = hex::encode(Sha256::digest(format!("pawl/account/{user}")));
    format!("pawl.{}", &digest[..40])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_names_fit_and_differ() {
        assert!(lock_name(&"user".repeat(40)).len() <= 64);
        assert_ne!(lock_name("user"), lock_name("User"));
    }
}
