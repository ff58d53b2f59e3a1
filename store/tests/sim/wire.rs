//! The store as one driver sees it: each call may be lost, and so may its answer. What was committed goes into the journal.
//! Never here: what the store does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::driver::SCHEDULE;
use engine::port::{Clock, Lease, Material, PortError, RotationStore};
use engine::rotation::{Decision, Event, Rotation, Write};
use engine::schedule::Window;
use store::Store;

use crate::clock::VirtualClock;
use crate::gate::{Fate, Gate};
use crate::journal::{Journal, Started};
use crate::parties::Login;

pub(crate) struct Wire {
    pub(crate) store: Store,
    pub(crate) gate: Arc<Gate>,
    pub(crate) journal: Arc<Journal>,
    /// The window this driver's claim was for.
    pub(crate) window: Option<Window>,
    pub(crate) clock: Arc<VirtualClock>,
}

fn lost() -> PortError {
    PortError::Store("the store does not answer".to_owned())
}

impl Wire {
    /// A call that may be lost, and its answer that may be.
    async fn call<T>(&self, call: impl Future<Output = Result<T, PortError>> + Send) -> Result<T, PortError> {
        if self.gate.pass().await != Fate::Go {
            return Err(lost());
        }
        let answer = {
            let _under_way = self.gate.begin();
            call.await
        };
        match self.gate.pass().await {
            Fate::Go => answer,
            Fate::Lose | Fate::Late => Err(lost()),
        }
    }

    fn note(&self, lease: &Lease, asked: Option<String>, decision: &Decision, now: engine::Time) {
        for write in &decision.writes {
            if let Write::Seal { value, .. } = write
                && let Some(login) = Login::of(value)
            {
                self.journal.committed(&lease.arn, &login.password);
            }
        }
        if let Some(token) = asked {
            self.journal.started(Started { arn: lease.arn.clone(), token, window: self.window, at: now });
        }
    }
}

#[async_trait]
impl RotationStore for Wire {
    async fn look(&self, lease: &Lease) -> Result<(Rotation, Duration), PortError> {
        self.call(self.store.look(lease)).await
    }

    async fn apply(&self, lease: &Lease, event: Event, jitter: f64) -> Result<Decision, PortError> {
        let asked = match &event {
            Event::Requested { token, by, .. } if by == SCHEDULE => Some(token.to_string()),
            _ => None,
        };
        let applied = async {
            let decision = self.store.apply(lease, event, jitter).await?;
            self.note(lease, asked, &decision, self.clock.now());
            Ok(decision)
        };
        self.call(applied).await
    }

    async fn material(&self, lease: &Lease, rotation: &Rotation) -> Result<Material, PortError> {
        self.call(self.store.material(lease, rotation)).await
    }

    async fn renew(&self, lease: &Lease, at_least: Duration) -> Result<Duration, PortError> {
        self.call(self.store.renew(lease, at_least)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.call(self.store.release(lease)).await
    }
}
