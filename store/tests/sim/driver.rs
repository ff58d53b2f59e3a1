//! One driver of a node: a claimed rotation, or a look, as far as it was let on. Never here: who lets it on.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use engine::driver::{Ports, by_schedule, drive};
use engine::id::VersionId;
use engine::outcome::{StepError, Verdict};
use engine::port::{Clock, Guard, Material, PortError, Rotator, StepContext};
use engine::rotation::Step;
use engine::secret::SecretBytes;
use rand::rngs::StdRng;
use store::{Claim, Look, Store, StoreError};

use crate::clock::VirtualClock;
use crate::gate::{DriverClock, Fate, Gate};
use crate::journal::Journal;
use crate::line::Means;
use crate::rotator::Fake;
use crate::wire::Wire;

/// A step's deadline where no lease gives one: a look is over before its lease is.
const LOOK: Duration = Duration::from_secs(13);

type Way = Pin<Box<dyn Future<Output = Result<(), PortError>>>>;

pub(crate) struct Driver {
    pub(crate) id: u64,
    pub(crate) node: u8,
    pub(crate) arn: String,
    pub(crate) gate: Arc<Gate>,
    way: Way,
}

/// What every driver of a node works with.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) means: Means,
}

impl Driver {
    /// Drives a claim, as `src/scheduler.rs` does.
    pub(crate) fn of_claim(node: u8, claim: Claim, shop: Shop, mut rng: StdRng) -> Self {
        let (id, arn, gate) = (shop.means.sender.driver, claim.lease.arn.clone(), Arc::clone(&shop.means.gate));
        let way = async move {
            let Shop { store, clock, journal, means } = shop;
            let start = by_schedule(&claim.rotation, claim.window, VersionId::random(&mut rng), clock.now());
            let gate = Arc::clone(&means.gate);
            let wire = Wire { store, gate, journal, window: claim.window, clock: Arc::clone(&clock) };
            let clock = DriverClock { clock, gate: Arc::clone(&means.gate) };
            let fake = Fake(means);
            let pick = |_: &Material| Some(&fake as &dyn Rotator);
            let ports = Ports { store: &wire, rotator: &pick, clock: &clock, observer: &|_| {} };
            drive(ports, &claim.lease, start, &mut rng).await
        };
        Self { id, node, arn, gate, way: Box::pin(way) }
    }

    /// Looks whether AWSCURRENT logs in, as `src/looks.rs` does.
    pub(crate) fn of_look(node: u8, look: Look, shop: Shop) -> Self {
        let (id, arn, gate) = (shop.means.sender.driver, look.lease.arn.clone(), Arc::clone(&shop.means.gate));
        let way = async move {
            let Shop { store, clock, means, .. } = shop;
            let gate = Arc::clone(&means.gate);
            let fake = Fake(means);
            let found = fake.verify(&context(&look, &SecretBytes::default())).await;
            if gate.pass().await != Fate::Go {
                return Err(PortError::Store("the store does not answer".to_owned()));
            }
            let looked = {
                let _under_way = gate.begin();
                store.looked(&look, &found, "schedule", clock.now()).await
            };
            looked.map(drop).map_err(|error: StoreError| PortError::Store(format!("!{error}")))
        };
        Self { id, node, arn, gate, way: Box::pin(way) }
    }

    /// Goes on until it waits at its gate, sleeps or has ended.
    pub(crate) async fn go(&mut self) -> Option<Result<(), PortError>> {
        poll_fn(|cx| match self.way.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if self.gate.is_busy() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

struct LookOnly;

#[async_trait]
impl Guard for LookOnly {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        Err(StepError::new(Verdict::NeedsPerson, "look-only", "a look changes nothing"))
    }
}

fn context<'a>(look: &'a Look, scramble: &'a SecretBytes) -> StepContext<'a> {
    StepContext {
        arn: &look.sight.arn,
        step: Step::Prove,
        run: &look.sight.run,
        material: &look.sight.material,
        attempted: false,
        login_budget: look.sight.login_budget,
        deadline: LOOK,
        guard: &LookOnly,
        scramble,
        hold: false,
    }
}
