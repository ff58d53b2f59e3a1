//! Owns one step of a secret with several hosts: its time, the refused logins it cost, and which host has the last
//! word. A standby refuses to be changed by itself, so the hosts are simply asked in turn, the likeliest first, and
//! the first that takes the step is the primary. Never here: what the step does there.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::outcome::{Done, StepError, Verdict};
use engine::port::{Guard, StepContext};
use engine::rotation::Step;
use tokio::time::timeout;

use super::reach::reach;
use super::{Knock, Place, Site, listing_all, login_at, material_at};
use crate::connection::{Kind, Login, parse};

/// Taken off the step's deadline: less than a step at one host takes off, so that its own verdict comes first.
const MARGIN: Duration = Duration::from_millis(125);

/// What a step at one host comes to.
pub(super) type Answer<'c, T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send + 'c>>;

/// One step under way at several hosts.
pub(super) struct Round<'a, R> {
    pub site: &'a R,
    pub cx: &'a StepContext<'a>,
    pub places: Vec<Place>,
    refused: AtomicU32,
    /// The step at one host has been told that it may change it, and has not ended.
    changing: AtomicBool,
    /// What is to be said if the time runs out now.
    late: Mutex<Option<StepError>>,
}

/// Lets the lease be asked, and remembers that a change follows.
struct Tap<'a> {
    guard: &'a dyn Guard,
    changing: &'a AtomicBool,
}

#[async_trait]
impl Guard for Tap<'_> {
    async fn still_ours(&self, needed: Duration) -> Result<(), StepError> {
        self.changing.store(true, Ordering::SeqCst);
        self.guard.still_ours(needed).await
    }
}

impl<'a, R: Site> Round<'a, R> {
    /// None where the value of this step names one host alone, or cannot be read: then there is nothing to choose.
    ///
    /// # Errors
    /// NeedsPerson where the value to be set names a host that AWSCURRENT does not, or that the admin does not.
    pub(super) fn read(site: &'a R, cx: &'a StepContext<'a>) -> Result<Option<Self>, StepError> {
        let places = match cx.material.wanted.as_ref().or(cx.material.current.as_ref()) {
            Some(value) => parse(site.kind(), "a value", value).map(|login| login.places).unwrap_or_default(),
            None => vec![],
        };
        if places.len() < 2 {
            return Ok(None);
        }
        if let Some(current) = &cx.material.current {
            let current = parse(site.kind(), "AWSCURRENT", current)?;
            if let Some(other) = places.iter().find(|place| !current.places.contains(place)) {
                return Err(other_host(other, &current));
            }
        }
        // Going forward the new credential is sent to every host: whoever may write the secret but not read it must not
        // have an admin set one and then be shown it. Putting AWSCURRENT back matters more.
        if cx.step == Step::Set
            && let Some(admin) = cx.material.admin.as_ref().and_then(|admin| parse(site.kind(), "a value", admin).ok())
            && let Some(other) = places.iter().find(|place| !admin.places.contains(place))
        {
            return Err(admin_lacks(other, &admin));
        }
        Ok(Some(Self {
            site,
            cx,
            places,
            refused: AtomicU32::new(0),
            changing: AtomicBool::new(false),
            late: Mutex::new(None),
        }))
    }

    pub(super) fn kind(&self) -> &'static Kind {
        self.site.kind()
    }

    /// Runs all of it inside the step's deadline, and writes what it cost on its error.
    pub(super) async fn within<T>(
        &self,
        step: impl Future<Output = Result<T, StepError>> + Send,
    ) -> Result<T, StepError> {
        let mut error = match timeout(self.cx.deadline.saturating_sub(MARGIN), step).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) if self.changing.load(Ordering::SeqCst) => StepError::new(
                Verdict::Unknown,
                "deadline",
                "The step's time ran out before the answer to the change came; it may have happened.",
            ),
            Err(_) => self.late().take().unwrap_or_else(|| {
                StepError::new(
                    Verdict::Retry,
                    "deadline",
                    format!("The step's time ran out at the hosts {}; nothing was changed.", self.listed()),
                )
            }),
        };
        error.failed_logins = self.refused.load(Ordering::SeqCst);
        Err(error)
    }

    /// Sets what is to be said if the time runs out.
    pub(super) fn if_late(&self, error: StepError) {
        *self.late() = Some(error);
    }

    // What it holds is whole at any time.
    fn late(&self) -> MutexGuard<'_, Option<StepError>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Success, with what all of it cost.
    pub(super) fn done(&self, done: Done) -> Done {
        Done { failed_logins: self.refused.load(Ordering::SeqCst) + done.failed_logins, ..done }
    }

    pub(super) fn listed(&self) -> String {
        self.places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The step at one host.
    pub(super) async fn at<T>(
        &self,
        place: &Place,
        step: impl for<'c> Fn(&'c R, &'c StepContext<'c>) -> Answer<'c, T> + Send + Sync,
    ) -> Result<T, StepError> {
        let mut material = material_at(self.kind(), self.cx.material, place);
        // What of them may log in is decided by the values as they were written.
        if self.cx.step == Step::Set {
            let known = listing_all(self.kind(), &self.cx.material.known, &self.places);
            material.known.retain(|it| known.iter().any(|kept| kept.role == it.role && kept.version == it.version));
        }
        let guard = Tap { guard: self.cx.guard, changing: &self.changing };
        let login_budget = self.cx.login_budget.saturating_sub(self.refused.load(Ordering::SeqCst));
        let cx = StepContext { material: &material, guard: &guard, login_budget, ..*self.cx };
        self.changing.store(false, Ordering::SeqCst);
        let answer = step(self.site, &cx).await;
        if let Err(error) = &answer {
            self.cost(error.failed_logins);
        }
        answer
    }

    /// So many logins of the account were refused.
    pub(super) fn cost(&self, logins: u32) {
        self.refused.fetch_add(logins, Ordering::SeqCst);
    }

    /// The last refusal is not held against the account: a login of the same account followed it, which sets back the
    /// count of a server that locks accounts; or servers of this kind lock none.
    pub(super) fn forgive(&self) {
        self.refused.fetch_sub(1, Ordering::SeqCst);
    }

    /// Asks the hosts in turn. The first that takes the step, or has begun to change something, has the last word.
    pub(super) async fn on_primary<T>(
        &self,
        step: impl for<'c> Fn(&'c R, &'c StepContext<'c>) -> Answer<'c, T> + Send + Sync,
        decides: impl AsyncDecides<T>,
    ) -> Result<T, StepError> {
        let (there, mut said) = reach(&self.places).await;
        for place in &there {
            match self.at(place, &step).await {
                Ok(value) if decides.decides(place, &value).await => {
                    self.changing.store(false, Ordering::SeqCst);
                    return Ok(value);
                }
                Ok(_) => said.push(read_only(place)),
                Err(error) if self.changing.load(Ordering::SeqCst) || is_final(&error) => {
                    self.changing.store(false, Ordering::SeqCst);
                    return Err(error);
                }
                Err(error) => said.push(error),
            }
        }
        Err(no_primary(said))
    }

    /// Logs in at one host, only to see whether that works; a refusal counts.
    ///
    /// # Errors
    /// Retry where the budget of refused logins is spent.
    pub(super) async fn knock(&self, login: &Login) -> Result<Knock, StepError> {
        let refused = self.refused.load(Ordering::SeqCst);
        if refused >= self.cx.login_budget {
            return Err(StepError::new(
                Verdict::Retry,
                "login-budget",
                format!(
                    "{refused} logins were refused in this step; it stops there, so that the account does not get locked."
                ),
            ));
        }
        let knock = self.site.knock(login).await;
        if matches!(knock, Knock::Refused) {
            self.cost(1);
        }
        Ok(knock)
    }

    /// The value that is wanted, or asked about, as a login at one host.
    pub(super) fn wanted_at(&self, place: &Place) -> Result<Login, StepError> {
        let value = self.cx.material.wanted.as_ref().or(self.cx.material.current.as_ref());
        value.and_then(|value| login_at(self.kind(), value, place)).ok_or_else(crate::no_current)
    }

    /// AWSCURRENT as a login at one host.
    pub(super) fn current_at(&self, place: &Place) -> Option<Login> {
        login_at(self.kind(), self.cx.material.current.as_ref()?, place)
    }

    /// The admin as a login at one host, where its secret lists that.
    pub(super) fn admin_at(&self, place: &Place) -> Option<Login> {
        login_at(self.kind(), self.cx.material.admin.as_ref()?, place)
    }
}

/// Whether the answer of a host counts.
#[async_trait]
pub(super) trait AsyncDecides<T>: Send + Sync {
    async fn decides(&self, place: &Place, answer: &T) -> bool;
}

/// Whatever host answers.
pub(super) struct Any;

#[async_trait]
impl<T: Sync> AsyncDecides<T> for Any {
    async fn decides(&self, _: &Place, _: &T) -> bool {
        true
    }
}

/// No other host is asked after this.
fn is_final(error: &StepError) -> bool {
    matches!(error.verdict, Verdict::Unknown | Verdict::InProgress | Verdict::Rejected)
        || matches!(error.code.as_str(), "lease" | "login-budget")
}

/// What a standby says to a change: SQLSTATE and errno.
fn is_standby(error: &StepError) -> bool {
    matches!(error.code.as_str(), "25006" | "1836")
}

fn read_only(place: &Place) -> StepError {
    StepError::new(Verdict::Retry, "25006", format!("{place} is a read-only standby."))
}

/// No host took the step. Where every one but the standbys has an answer that only a person can do something about,
/// it is that; while a host that may be the primary is away, it is not known yet.
pub(super) fn no_primary(said: Vec<StepError>) -> StepError {
    let doubtful = said.iter().any(|error| error.verdict == Verdict::Retry && !is_standby(error));
    let lock_limit = said.iter().filter_map(|error| error.lock_limit).min();
    let all = said.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join(" ");
    match said.into_iter().find(|error| error.verdict != Verdict::Retry) {
        Some(error) if !doubtful => error,
        _ => {
            let mut error =
                StepError::new(Verdict::Retry, "no-primary", format!("No host of the secret takes writes now: {all}"))
                    .remedy(
                        "Wait for the failover to end, or put the primary into \"host\" or \"hosts\" of the secret.",
                    );
            error.lock_limit = lock_limit;
            error
        }
    }
}

fn admin_lacks(place: &Place, admin: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "admin-elsewhere",
        format!("The secret lists the host {place}, which the admin secret for {} does not.", admin.server()),
    )
    .remedy("Put the same \"hosts\" into the admin secret, or take the host out of the secret, then resume.")
}

fn other_host(place: &Place, current: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "other-account",
        format!("The value to be set lists the host {place}, which AWSCURRENT at {} does not.", current.server()),
    )
    .remedy("Abandon this rotation; write \"hosts\" by a plain PutSecretValue first, then rotate.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_host_may_be_the_primary_nobody_is_asked_for_help() {
        let error = |verdict, code: &str| StepError::new(verdict, code, format!("{code}."));
        let refused = || error(Verdict::NeedsPerson, "28P01");
        let standby = || error(Verdict::Retry, "25006");
        let away = || error(Verdict::Retry, "refused");
        for (said, code) in [
            (vec![standby(), standby()], "no-primary"),
            (vec![standby(), refused()], "28P01"),
            (vec![refused(), away()], "no-primary"),
            (vec![standby(), away()], "no-primary"),
        ] {
            assert_eq!(no_primary(said).code, code);
        }
        assert!(no_primary(vec![standby(), away()]).message.contains("25006. refused."));
    }
}
