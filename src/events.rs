//! Tells of events: gives them their order, hands them to the subscriptions' queues, sends them, and removes what is old.
//!
//! A loop of its own, beside the scheduler: however slow a receiver is, and whatever it answers, no rotation waits for it or
//! ends another way. Any number of nodes may do all of this at once. Decides nothing: the store says what is due.

mod shape;

use std::sync::Arc;
use std::time::Duration;

use engine::Time;
use engine::port::Clock;
use engine::subscription::Subscription;
use rotators::{Callers, Notice, Receipt};
use store::{Delivered, Errand, Lane, Retention, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lanes::Lanes;
use crate::metrics::Metrics;

/// How long events are kept, and how many at most.
pub const RETENTION: Retention = Retention { age: Duration::from_secs(7 * 24 * 3600), rows: 1_000_000 };
/// How many secrets one subscription is told of at once.
const AT_ONCE: u32 = 16;
/// How long one receiver may take with one event.
const PATIENCE: Duration = Duration::from_secs(10);
/// With less left of the right to send, nothing is sent.
const LEAST: Duration = Duration::from_secs(2);
/// How many events of one secret are sent before others have their turn.
const IN_A_ROW: u32 = 50;
/// Between two looks, however much happens.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// The same while nobody is told: only the order is given, in larger steps.
const QUIET_PAUSE: Duration = Duration::from_millis(250);
/// Without a sign that something happened: what other nodes did is noticed by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Before a store that failed is asked again.
const STORE_AWAY: Duration = Duration::from_secs(1);
/// How often old events are looked for, and how many steps are made then.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_STEPS: u32 = 20;

/// Everything that telling works with.
pub struct Events {
    /// What happened, and who is told.
    pub store: Store,
    /// What calls receivers.
    pub callers: Callers,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How long events are kept.
    pub keep: Retention,
}

impl Events {
    /// Runs until `shutdown` says true, then waits for what is being sent.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let lanes = Lanes::new(0);
        let mut under_way = JoinSet::new();
        let (mut seen, mut prune_at) = (0, this.clock.since_boot());
        while !*shutdown.borrow() {
            let happened = this.store.happened();
            let wake = happened.notified();
            tokio::pin!(wake);
            // Interest is registered before the question is asked, so nothing is missed in between.
            wake.as_mut().enable();
            if this.clock.since_boot() >= prune_at {
                this.prune().await;
                prune_at = this.clock.since_boot() + PRUNE_EVERY;
            }
            let (shortest, pause) = this.turn(&lanes, &mut under_way, &mut seen).await.unwrap_or_else(|error| {
                tracing::error!(%error, "cannot read what is to be told; trying again");
                (SHORTEST_PAUSE, STORE_AWAY)
            });
            tokio::select! {
                () = wake => {}
                () = tokio::time::sleep(pause) => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                _ = shutdown.changed() => {}
            }
            // However much happens at once, it is one question.
            tokio::select! {
                () = tokio::time::sleep(shortest) => {}
                _ = shutdown.changed() => {}
            }
            while under_way.try_join_next().is_some() {}
        }
        this.store.end_waits();
        let drained = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, drained).await.is_err() {
            tracing::warn!("events were still being sent; they are sent again after the next start");
        }
    }

    /// One look; returns the shortest and the longest pause after it.
    async fn turn(
        self: &Arc<Self>,
        lanes: &Arc<Lanes>,
        under_way: &mut JoinSet<()>,
        seen: &mut i64,
    ) -> Result<(Duration, Duration), StoreError> {
        while self.store.publish().await? > 0 {}
        let next = self.store.next_offset().await?;
        if next != std::mem::replace(seen, next) {
            // Another node may have given these their order; who waits here has not noticed.
            self.store.wake_waiters();
        }
        let told = self.store.subscriptions().await?;
        let told: Vec<_> = told.into_iter().filter(|subscription| !subscription.disabled).collect();
        if told.is_empty() {
            return Ok((QUIET_PAUSE, LONGEST_PAUSE));
        }
        for subscription in &told {
            while self.store.fan_out(&subscription.name, self.clock.now()).await? {}
            self.start(subscription, lanes, under_way).await?;
        }
        let with_room = told.iter().filter(|subscription| room(lanes, &subscription.name) > 0);
        let with_room: Vec<&str> = with_room.map(|subscription| subscription.name.as_str()).collect();
        let until = |due: Time| (due - self.clock.now()).to_std().unwrap_or_default();
        let pause = self.store.next_errand(&with_room).await?.map_or(LONGEST_PAUSE, until);
        Ok((SHORTEST_PAUSE, pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)))
    }

    async fn start(
        self: &Arc<Self>,
        subscription: &Arc<Subscription>,
        lanes: &Arc<Lanes>,
        under_way: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        let room = room(lanes, &subscription.name);
        for errand in self.store.claim_errands(subscription, room, self.clock.now()).await? {
            let place = lanes.take(&subscription.name);
            let this = Arc::clone(self);
            under_way.spawn(async move {
                this.tell(errand).await;
                drop(place);
            });
        }
        Ok(())
    }

    /// The events of one secret, in order, until none waits or one is not taken.
    async fn tell(&self, errand: Errand) {
        let mut next = Some(errand);
        let mut told = 0;
        while let Some(errand) = next {
            let Some(how) = self.send(&errand).await else { return };
            told += 1;
            next = match self.store.settle(errand, &how, told < IN_A_ROW, self.clock.now()).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "what came of an event could not be written down; it is sent again");
                    return;
                }
            };
        }
    }

    /// None: there is no time left for it, and whoever has the right next sends it.
    async fn send(&self, errand: &Errand) -> Option<Delivered> {
        let (subscription, event) = (&errand.subscription, &errand.event);
        let Some(shaped) = shape::of(event, subscription.settings.format, self.store.identity()) else {
            return Some(Delivered::NotWanted);
        };
        let left = self.store.left(errand);
        if left < LEAST {
            return None;
        }
        let notice = Notice { id: event.id.clone(), content_type: shaped.content_type, body: shaped.body };
        let budget = PATIENCE.min(left - LEAST / 2);
        let receipt = self.callers.notify(subscription, &notice, budget).await;
        let outcome = match &receipt {
            Receipt::Taken => "taken",
            Receipt::Gone => "gone",
            Receipt::Failed(_) => "failed",
        };
        self.metrics.event_sent(&subscription.name, outcome);
        Some(match receipt {
            Receipt::Taken => Delivered::Taken,
            Receipt::Gone => {
                tracing::warn!(subscription = subscription.name, "the receiver is gone (410): it is disabled");
                Delivered::Gone
            }
            Receipt::Failed(why) => {
                tracing::warn!(subscription = subscription.name, event.id = event.id, why, "an event was not taken");
                Delivered::Failed(why)
            }
        })
    }

    async fn prune(&self) {
        for _ in 0..PRUNE_STEPS {
            match self.store.prune_events(&self.keep, self.clock.now()).await {
                Ok(0) => return,
                Ok(count) => tracing::debug!(count, "old events were removed"),
                Err(error) => return tracing::error!(%error, "cannot remove old events; trying again"),
            }
        }
    }
}

fn room(lanes: &Arc<Lanes>, name: &str) -> u32 {
    lanes.room(vec![Lane { name: name.to_owned(), concurrency: AT_ONCE }]).of(name)
}
