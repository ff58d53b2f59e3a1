//! A rotator's connection to a target in one step: each word may be lost, and so may its answer. Owns what a step spends
//! and what its errors say, as `rotators/src/effort.rs` does. Never here: the order of things in a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use engine::outcome::{Done, StepError, Verdict};
use engine::port::StepContext;

use crate::Rules;
use crate::gate::{Fate, Gate};
use crate::journal::Sender;
use crate::parties::Login;
use crate::target::{Account, Problem, Statement, Target};

/// What must be left of the lease when the changing statement is sent.
const CHANGE: Duration = Duration::from_secs(8);

/// What a driver's rotator works with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) target: Arc<Target>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sender: Sender,
    pub(crate) rules: Rules,
}

/// One step.
pub(crate) struct Line<'a> {
    pub(crate) means: &'a Means,
    pub(crate) cx: &'a StepContext<'a>,
    refused: AtomicU32,
    changed: AtomicBool,
    retains: AtomicBool,
}

/// A session at a server.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) login: Login,
    id: u64,
}

impl<'a> Line<'a> {
    pub(crate) fn new(means: &'a Means, cx: &'a StepContext<'a>) -> Self {
        let (changed, retains) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { means, cx, refused: AtomicU32::new(0), changed, retains }
    }

    /// A step's error, with what it cost.
    pub(crate) fn end<T>(&self, step: Result<T, StepError>) -> Result<T, StepError> {
        step.map_err(|mut error| {
            if error.verdict == Verdict::Retry && self.changed.load(Ordering::SeqCst) {
                error.verdict = Verdict::Unknown;
            }
            error.after_refused_logins(self.refused.load(Ordering::SeqCst))
        })
    }

    pub(crate) fn done(&self) -> Done {
        let retains = self.retains.load(Ordering::SeqCst);
        Done { failed_logins: self.refused.load(Ordering::SeqCst), retains, ..Done::default() }
    }

    pub(crate) fn retains_current(&self) {
        self.retains.store(true, Ordering::SeqCst);
    }

    /// Logs in as the account. None: it was refused, which counts.
    pub(crate) async fn enter(&self, login: &Login) -> Result<Option<Session>, StepError> {
        if self.refused.load(Ordering::SeqCst) >= self.cx.login_budget {
            return Err(StepError::new(Verdict::Retry, "login-budget", "so many logins were refused"));
        }
        let entered = self.log_in(login).await?;
        if entered.is_none() {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        Ok(entered)
    }

    pub(crate) async fn logs_in(&self, login: &Login) -> Result<bool, StepError> {
        let entered = self.enter(login).await?;
        let logged_in = entered.is_some();
        if let Some(session) = entered {
            self.close(&session);
        }
        Ok(logged_in)
    }

    /// Logs in as the admin, where no refusal counts.
    pub(crate) async fn log_in(&self, login: &Login) -> Result<Option<Session>, StepError> {
        if self.means.gate.pass().await != Fate::Go {
            return Err(away(Verdict::Retry));
        }
        let answer = self.means.target.login(&login.host, &login.user, &login.password, &self.means.sender);
        let id = answer.map_err(|problem| self.told(problem, Verdict::Retry))?;
        Ok(id.map(|id| Session { login: login.clone(), id }))
    }

    pub(crate) async fn admin(&self, login: &Login) -> Result<Session, StepError> {
        let refused = || {
            let message = "the admin's login is refused";
            StepError::new(Verdict::NeedsPerson, "admin-refused", message)
                .remedy("Correct the admin secret, then resume.")
        };
        self.log_in(login).await?.ok_or_else(refused)
    }

    pub(crate) fn close(&self, session: &Session) {
        self.means.target.close(&session.login.host, session.id);
    }

    pub(crate) async fn lock(&self, session: &Session, account: &str) -> Result<(), StepError> {
        if self.means.gate.pass().await != Fate::Go {
            return Err(away(Verdict::Retry));
        }
        let answer = self.means.target.lock(&session.login.host, session.id, account);
        answer.map_err(|problem| self.told(problem, Verdict::Retry))
    }

    /// The account as the catalogue shows it.
    pub(crate) async fn read(&self, session: &Session, user: &str) -> Result<Option<Account>, StepError> {
        if self.means.gate.pass().await != Fate::Go {
            return Err(away(Verdict::Retry));
        }
        let answer = self.means.target.read(&session.login.host, session.id, user);
        answer.map_err(|problem| self.told(problem, Verdict::Retry))
    }

    /// Changes the target, after the last look at the lease.
    pub(crate) async fn change(&self, session: &Session, statements: &[Statement]) -> Result<(), StepError> {
        if self.means.rules.asks_the_guard {
            self.cx.guard.still_ours(CHANGE).await?;
        }
        let host = &session.login.host;
        match self.means.gate.pass().await {
            Fate::Go => {}
            Fate::Lose => return Err(away(Verdict::Unknown)),
            Fate::Late => {
                self.means.target.send_late(host, session.id, statements);
                return Err(away(Verdict::Unknown));
            }
        }
        let answer = self.means.target.send(host, session.id, statements);
        if answer.is_ok() {
            self.changed.store(true, Ordering::SeqCst);
        }
        match self.means.gate.pass().await {
            Fate::Go => answer.map_err(|problem| self.told(problem, Verdict::Unknown)),
            Fate::Lose | Fate::Late => Err(away(Verdict::Unknown)),
        }
    }

    /// `silence`: what it means to hear nothing at this moment.
    fn told(&self, problem: Problem, silence: Verdict) -> StepError {
        match problem {
            Problem::Away | Problem::Gone => away(silence),
            Problem::Locked => StepError::new(Verdict::Retry, "lock", "somebody else is at work with this account"),
            Problem::Rejected => StepError::new(Verdict::Rejected, "policy", "the policy does not take this value"),
            Problem::Differs => StepError::new(Verdict::Retry, "3892", "the account's password is another one by now"),
        }
    }
}

fn away(verdict: Verdict) -> StepError {
    StepError::new(verdict, "08006", "the server does not answer")
}
