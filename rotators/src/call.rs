//! Owns one call of a registered rotator from the beginning of a step to its answer: may it be called, the pass it gets,
//! the last look at the lease, the exchange, and the wait after an answer that was lost or is somebody else's.
//!
//! Never here: what is in the event, what the answer says.

use std::sync::Arc;
use std::time::Duration;

use engine::Time;
use engine::outcome::{StepError, Verdict};
use engine::port::{Guard, StepContext};
use engine::registration::Registration;
use engine::rotation::Step;

use crate::breaker::{Breakers, Permit};
use crate::delivery::{self, Answer, Clients, Exchange, Loss, NotSent, Parcel, Sent, TIMEOUT, host_of};
use crate::desk::{Desk, DeskError, Pass, PassOrder};

/// Taken off the step's deadline, so that our verdict comes before the driver's.
pub(crate) const MARGIN: Duration = Duration::from_millis(500);
/// With less left than this no call is begun: it could only end as a doubt.
const LEAST: Duration = Duration::from_millis(500);

/// What all calls share.
pub(crate) struct Shared {
    pub clients: Clients,
    pub breakers: Breakers,
    pub desk: Arc<dyn Desk>,
}

impl Shared {
    /// The registration as it is now, where it may be called.
    ///
    /// # Errors
    /// Retry where it is disabled or cannot be read; NeedsPerson where it is gone.
    pub(crate) async fn registration(&self, name: &str) -> Result<Arc<Registration>, StepError> {
        match self.desk.registration(name).await {
            Ok(Some(registration)) if registration.disabled => Err(disabled(name)),
            Ok(Some(registration)) => Ok(registration),
            Ok(None) => {
                self.breakers.forget(name);
                Err(gone(name))
            }
            Err(error) => Err(no_desk(&error)),
        }
    }
}

/// What a call makes of an answer before it is judged.
pub(crate) struct Impression {
    /// Though its status is from 500 up, it comes from a receiver that works.
    pub healthy: bool,
    /// Not the word of who does the work, who may be at it still: a gateway's 504, say.
    pub doubtful: bool,
}

/// One call.
pub(crate) struct Call<'a> {
    pub shared: &'a Shared,
    pub registration: &'a Registration,
    /// How long it may take, all told.
    pub budget: Duration,
    /// Asked last before anything is sent.
    pub guard: Option<&'a dyn Guard>,
    /// It may have changed something though its answer was lost.
    pub changing: bool,
    /// What it writes through our API may come late as well.
    pub writes: bool,
}

impl<'a> Call<'a> {
    /// The call of a rotation's step.
    pub(crate) fn of_step(shared: &'a Shared, registration: &'a Registration, cx: &StepContext<'a>) -> Self {
        let looks_only = matches!(cx.step, Step::Test | Step::Prove);
        Self {
            shared,
            registration,
            budget: registration.settings.timeout().min(cx.deadline.saturating_sub(MARGIN)),
            guard: (!looks_only).then_some(cx.guard),
            changing: matches!(cx.step, Step::Set | Step::Restore | Step::Retire | Step::Revoke),
            writes: registration.settings.abilities().callback && matches!(cx.step, Step::Create | Step::Finish),
        }
    }

    /// When the receiver must have stopped.
    pub(crate) fn deadline(&self) -> Time {
        let budget = chrono::TimeDelta::from_std(self.budget).unwrap_or(chrono::TimeDelta::minutes(15));
        self.shared.desk.now() + budget
    }

    /// Makes it. `pack` makes the request from the pass; `weigh` says how an answer looks.
    ///
    /// # Errors
    /// By verdict, where no whole answer came.
    pub(crate) async fn make(
        &self,
        order: PassOrder<'_>,
        pack: impl FnOnce(&Pass) -> Result<Parcel, StepError> + Send,
        weigh: impl Fn(&Answer) -> Impression + Send,
    ) -> Result<Answer, StepError> {
        if self.budget < LEAST {
            return Err(no_time());
        }
        let permit = self.permit()?;
        // From here on: when it rings, the receiver must have stopped.
        let mut alarm = std::pin::pin!(tokio::time::sleep(self.budget));
        let sent = Sent::default();
        let exchange = tokio::select! {
            ended = self.exchange(order, pack, &sent) => ended?,
            () = self.unreached(&sent) => self.out_of_time(&sent),
            () = alarm.as_mut() => self.out_of_time(&sent),
        };
        match exchange {
            Exchange::Answered(answer) => {
                let Impression { healthy, doubtful } = weigh(&answer);
                match answer.status < 500 || healthy {
                    true => permit.answered(),
                    false => permit.failed(self.shared.desk.now()),
                }
                if doubtful {
                    self.wait_out(alarm).await;
                }
                Ok(answer)
            }
            Exchange::NotSent(NotSent { error, unreachable }) => {
                if unreachable {
                    permit.failed(self.shared.desk.now());
                }
                Err(error)
            }
            Exchange::Lost(loss) => {
                permit.failed(self.shared.desk.now());
                self.wait_out(alarm).await;
                Err(self.lost(loss))
            }
        }
    }

    /// Nothing of this call may land after our verdict: the next step looks at the target.
    async fn wait_out(&self, alarm: impl Future<Output = ()> + Send) {
        if self.changing || self.writes {
            alarm.await;
        }
    }

    async fn exchange(
        &self,
        order: PassOrder<'_>,
        pack: impl FnOnce(&Pass) -> Result<Parcel, StepError> + Send,
        sent: &Sent,
    ) -> Result<Exchange, StepError> {
        let pass = self.shared.desk.pass(&order).await.map_err(|error| no_desk(&error))?;
        let parcel = pack(&pass)?;
        if let Some(guard) = self.guard {
            guard.still_ours(self.budget).await?;
        }
        fail::fail_point!("webhook::before-send");
        let exchange = delivery::post(&self.shared.clients, self.registration, parcel, sent).await;
        fail::fail_point!("webhook::after-answer");
        Ok(exchange)
    }

    fn permit(&self) -> Result<Permit, StepError> {
        let Registration { name, changed, .. } = self.registration;
        self.shared.breakers.admit(name, *changed, self.shared.desk.now()).map_err(|wait| {
            let message =
                format!("The rotator {name} did not answer several times in a row, and is left alone for a while.");
            StepError::new(Verdict::Retry, "circuit-open", message)
                .remedy("See why the receiver does not answer; calls go on by themselves.")
                .retry_after(wait)
        })
    }

    /// Ends where the event is not on its way when it should be.
    async fn unreached(&self, sent: &Sent) {
        tokio::time::sleep(delivery::reach(self.budget)).await;
        if sent.happened() {
            std::future::pending::<()>().await;
        }
    }

    fn out_of_time(&self, sent: &Sent) -> Exchange {
        match sent.decided() {
            true => Exchange::Lost(TIMEOUT),
            false => Exchange::NotSent(NotSent { error: not_reached(&self.registration.name), unreachable: true }),
        }
    }

    /// The event arrived, perhaps, and what became of it is not known.
    fn lost(&self, loss: Loss) -> StepError {
        let name = &self.registration.name;
        let (verdict, so) = match self.changing {
            true => (Verdict::Unknown, "It may have done what it was asked to."),
            false => (Verdict::Retry, "It is asked again."),
        };
        StepError::new(verdict, loss.code, format!("The rotator {name} {}. {so}", loss.says))
            .remedy("See what the receiver logged for this delivery, and that it answers within its timeout.")
    }
}

/// `name (host:port)`, for messages.
pub(crate) fn called(registration: &Registration, url: &url::Url) -> String {
    format!("{} ({})", registration.name, host_of(url))
}

fn disabled(name: &str) -> StepError {
    StepError::new(Verdict::Retry, "rotator-disabled", format!("The rotator {name} is disabled: it is not called."))
        .remedy(format!("Enable it with `pawl rotator enable {name}`."))
        .retry_after(Duration::from_secs(60))
}

fn gone(name: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-rotator", format!("The rotator {name} is not registered any more."))
        .remedy("Register it again, or name another with `pawl rotation enable`, then resume.")
}

fn no_desk(error: &DeskError) -> StepError {
    StepError::new(Verdict::Retry, "server", format!("Nothing was sent: {error}"))
}

fn no_time() -> StepError {
    StepError::new(Verdict::Retry, "no-time", "Too little time is left for a call. Nothing was sent.")
}

fn not_reached(name: &str) -> StepError {
    StepError::new(
        Verdict::Retry,
        "connect-timeout",
        format!("The rotator {name} was not reached in time. Nothing was sent."),
    )
    .remedy("See that the receiver runs and that the rotator's URL is right.")
}
