//! Owns what one step spends: its time, the refused logins it cost, and whether a change was sent.
//! Never here: SQL, drivers, secrets.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::outcome::{Done, StepError, Verdict};
use tokio::time::timeout;

/// A login that takes longer counts as a server that does not answer.
pub(crate) const LOGIN: Duration = Duration::from_secs(5);
/// The server ends our session when it hears nothing from us for this long between the locks and the change. It is
/// the wall behind the lease: a process that stalls after its last check finds its session gone.
pub(crate) const IDLE: Duration = Duration::from_secs(3);
/// The server gives up one statement, and any wait for a lock, after this.
pub(crate) const STATEMENT: Duration = Duration::from_secs(2);
/// What must be left of the lease when the changing statement is sent: the longest silence, a wait for a lock, the
/// statement itself, and a second for the network. After that the server has ended whatever could still land.
pub(crate) const CHANGE: Duration = Duration::from_secs(8);
/// We wait a little longer than the server's own limit, so that its answer, which says more, arrives first.
pub(crate) const REPLY: Duration = Duration::from_secs(4);
/// Taken off the step's deadline, so that our verdict comes before the driver's.
const MARGIN: Duration = Duration::from_millis(250);

/// The account of one step.
#[derive(Debug)]
pub(crate) struct Effort {
    login_budget: u32,
    refused: AtomicU32,
    lock_limit: AtomicU32,
    sent: AtomicBool,
    changed: AtomicBool,
    note: Mutex<String>,
    retains: AtomicBool,
}

impl Effort {
    /// A step that may cost the account `login_budget` refused logins.
    pub(crate) fn new(login_budget: u32) -> Self {
        Self {
            login_budget,
            refused: AtomicU32::new(0),
            lock_limit: AtomicU32::new(0),
            sent: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            note: Mutex::default(),
            retains: AtomicBool::new(false),
        }
    }

    /// Runs a whole step inside its deadline and writes what it cost on its error.
    pub(crate) async fn within<T>(
        &self,
        deadline: Duration,
        server: &str,
        step: impl Future<Output = Result<T, StepError>> + Send,
    ) -> Result<T, StepError> {
        let mut error = match timeout(deadline.saturating_sub(MARGIN), step).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) if self.sent.load(Ordering::SeqCst) => StepError::new(
                Verdict::Unknown,
                "deadline",
                format!("The step's time ran out before {server} answered to the change; it may have happened."),
            ),
            Err(_) => StepError::new(
                Verdict::Retry,
                "deadline",
                format!("The step's time ran out at {server} before anything was changed."),
            ),
        };
        // Retry says that nothing was changed; a Set of which a part landed must not count as never begun.
        if error.verdict == Verdict::Retry && self.changed.load(Ordering::SeqCst) {
            error.verdict = Verdict::Unknown;
            error.message += " This step had changed something by then.";
        }
        error.failed_logins = self.refused.load(Ordering::SeqCst);
        error.lock_limit = match self.lock_limit.load(Ordering::SeqCst) {
            0 => None,
            limit => Some(limit),
        };
        Err(error)
    }

    /// Success, with what it cost.
    pub(crate) fn done(&self) -> Done {
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let retains = self.retains.load(Ordering::SeqCst);
        Done { failed_logins: self.refused.load(Ordering::SeqCst), note, status: None, retains }
    }

    /// AWSCURRENT's credential goes on working beside the candidate.
    pub(crate) fn retains_current(&self) {
        self.retains.store(true, Ordering::SeqCst);
    }

    /// A sentence for the history, should the step succeed; it is put after those before it.
    pub(crate) fn note(&self, note: String) {
        let mut all = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        *all = if all.is_empty() { note } else { format!("{all} {note}") };
    }

    /// To be asked before each login as the account: may one more be refused?
    ///
    /// # Errors
    /// Retry where the budget is spent. Logins come before the change, so nothing was changed.
    pub(crate) fn may_log_in(&self, account: &str) -> Result<(), StepError> {
        let refused = self.refused.load(Ordering::SeqCst);
        if refused < self.login_budget {
            return Ok(());
        }
        Err(StepError::new(
            Verdict::Retry,
            "login-budget",
            format!(
                "{refused} logins of {account} were refused in this step; it stops there, so that the account does \
                 not get locked. Nothing was changed."
            ),
        ))
    }

    /// One more refused login.
    pub(crate) fn login_refused(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
    }

    /// The server told us after how many refused logins it locks the account.
    pub(crate) fn locks_after(&self, logins: u32) {
        self.lock_limit.store(logins, Ordering::SeqCst);
    }

    /// The changing statement is about to be sent: from here, silence means Unknown.
    pub(crate) fn sending(&self) {
        self.sent.store(true, Ordering::SeqCst);
    }

    /// The server accepted a changing statement: whatever the step fails by from here, something was changed.
    pub(crate) fn changed(&self) {
        self.changed.store(true, Ordering::SeqCst);
        self.answered();
    }

    /// The server answered: silence from here says nothing about the change.
    pub(crate) fn answered(&self) {
        self.sent.store(false, Ordering::SeqCst);
    }
}

/// Waits for a login, at most [`LOGIN`].
pub(crate) async fn login_in_time<T>(login: impl Future<Output = T> + Send) -> Option<T> {
    timeout(LOGIN, login).await.ok()
}

/// Waits for the reply to one statement, at most [`REPLY`].
pub(crate) async fn reply_in_time<T>(reply: impl Future<Output = T> + Send) -> Option<T> {
    timeout(REPLY, reply).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn never() -> Result<(), StepError> {
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_runs_out_before_the_change_is_retry_and_after_it_unknown() {
        let effort = Effort::new(10);
        effort.login_refused();
        effort.locks_after(3);
        let before = effort.within(Duration::from_secs(1), "db:1", never()).await;
        let before = before.expect_err("time ran out");
        assert_eq!((before.verdict, before.failed_logins, before.lock_limit), (Verdict::Retry, 1, Some(3)));

        effort.sending();
        let after = effort.within(Duration::from_secs(1), "db:1", never()).await;
        assert_eq!(after.expect_err("time ran out").verdict, Verdict::Unknown);

        effort.answered();
        let answered = effort.within(Duration::from_secs(1), "db:1", never()).await;
        assert_eq!(answered.expect_err("time ran out").verdict, Verdict::Retry);

        effort.changed();
        let changed = effort.within(Duration::from_secs(1), "db:1", never()).await;
        assert_eq!(changed.expect_err("time ran out").verdict, Verdict::Unknown);
    }

    #[tokio::test]
    async fn after_the_first_accepted_change_a_failure_is_not_one_that_changed_nothing() {
        let fails = |verdict| async move { Err::<(), _>(StepError::new(verdict, "lease", "The lease is gone.")) };
        let effort = Effort::new(10);
        let limit = Duration::from_secs(1);
        effort.sending();
        effort.answered();
        let refused = effort.within(limit, "db:1", fails(Verdict::Retry)).await;
        assert_eq!(refused.expect_err("a refused statement changed nothing").verdict, Verdict::Retry);
        effort.sending();
        effort.changed();
        effort.sending();
        effort.answered();
        for (verdict, told) in [
            (Verdict::Retry, Verdict::Unknown),
            (Verdict::Rejected, Verdict::Rejected),
            (Verdict::NeedsPerson, Verdict::NeedsPerson),
        ] {
            let error = effort.within(limit, "db:1", fails(verdict)).await.expect_err("it fails");
            assert_eq!((error.verdict, error.code.as_str()), (told, "lease"));
        }
    }

    #[test]
    fn a_login_may_be_tried_until_the_budget_of_refused_ones_is_spent() {
        let effort = Effort::new(2);
        effort.login_refused();
        effort.may_log_in("app").expect("one is left");
        effort.login_refused();
        let error = effort.may_log_in("app").expect_err("none is left");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "login-budget"));
        assert_eq!(Effort::new(0).may_log_in("app").expect_err("none at all").code, "login-budget");
    }
}
