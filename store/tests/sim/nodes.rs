//! What nodes do: wake, claim, drive so far and no further, die. Never here: what users and servers do.

use std::sync::Arc;
use std::time::Duration;

use engine::port::{Clock, PortError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::Room;

use crate::driver::{Driver, Shop};
use crate::gate::{Fate, Gate, Point};
use crate::journal::Sender;
use crate::line::Means;
use crate::op::{Span, Then, To};
use crate::world::{GRACE, World};

/// No driver makes more calls than this before it gives its lease back.
const MOST_CALLS: u32 = 2000;
/// A driver that changes a target does so within so many calls.
const FAR: u32 = 80;
/// A driver that waits for the store to come back is waited for; one that waits longer than this has stalled.
const SHORT_SLEEP: Duration = Duration::from_secs(4);

impl World {
    /// A node claims what is due.
    pub(crate) async fn wake(&mut self, node: u8) {
        let owner = format!("n{node}-{}", self.lives[usize::from(node)]);
        let room = Room::everywhere(16);
        let store = self.store_of(node).clone();
        let claims = store.claim(&owner, &room, self.now()).await.unwrap();
        if claims.is_empty() {
            let next = store.next_due(&room).await.unwrap();
            if let Some(next) = next.filter(|next| *next <= self.now()) {
                self.journal.break_rule(format!("busy loop: something is due at {next}, and nothing can be claimed"));
            }
        }
        for claim in claims {
            self.journal.claimed(&claim.lease.arn);
            let shop = self.shop(node, &claim.lease.arn, claim.lease.fence);
            let rng = StdRng::seed_from_u64(self.rng.random());
            self.drivers.push(Driver::of_claim(node, claim, shop, rng));
        }
        for look in store.claim_looks(&owner, 8, self.now()).await.unwrap() {
            let shop = self.shop(node, &look.lease.arn, look.lease.fence);
            self.drivers.push(Driver::of_look(node, look, shop));
        }
        self.purge().await;
    }

    async fn purge(&mut self) {
        let now = self.now();
        if self.store().purge(now).await.unwrap() == 0 {
            return;
        }
        self.disk.synced();
        for index in 0..self.secrets.len() {
            let found = self.store().rotation(&self.secrets[index].name).await.is_ok();
            if !found && !self.secrets[index].deleted {
                self.journal.break_rule(format!("{} was removed and nobody had deleted it", self.secrets[index].name));
            }
            self.secrets[index].gone |= !found;
        }
    }

    fn shop(&mut self, node: u8, arn: &str, fence: i64) -> Shop {
        self.driver_ids += 1;
        let sender = Sender { arn: arn.to_owned(), fence, driver: self.driver_ids };
        let (target, gate) = (Arc::clone(&self.target), Arc::new(Gate::default()));
        let means = Means { target, gate, sender, rules: self.rules };
        let (store, clock, journal) = (self.store_of(node).clone(), Arc::clone(&self.clock), Arc::clone(&self.journal));
        Shop { store, clock, journal, means, disk: Arc::clone(&self.disk) }
    }

    /// The drivers of a node, those of one secret together.
    fn of_node(&self, node: u8) -> Vec<u64> {
        let mut ids: Vec<(&str, u64)> =
            self.drivers.iter().filter(|driver| driver.node == node).map(|d| (d.arn.as_str(), d.id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// A node with something to do; where nothing is due, the next hours are skipped.
    async fn busy(&mut self, node: u8) -> Vec<u64> {
        if self.of_node(node).is_empty() {
            self.wake(node).await;
        }
        if self.of_node(node).is_empty() {
            self.pass(Span::NextDue).await;
            self.wake(node).await;
        }
        self.of_node(node)
    }

    pub(crate) async fn drive(&mut self, node: u8, pick: u8, to: To, (fate, times): (Fate, u8), then: Then) {
        let ids = self.busy(node).await;
        let Some(id) = ids.get(usize::from(pick) % ids.len().max(1)).copied() else { return };
        self.advance_to(id, to).await;
        for _ in 0..times {
            self.advance(id, fate).await;
        }
        match then {
            Then::Finish => self.finish(id).await,
            Then::Crash => self.kill(node, true),
            Then::PowerLoss => self.kill(node, false),
            Then::Stall => {}
        }
    }

    /// A node wakes, and all of its drivers go on to their ends.
    pub(crate) async fn run(&mut self, node: u8) {
        self.wake(node).await;
        for id in self.of_node(node) {
            self.finish(id).await;
        }
    }

    async fn advance_to(&mut self, id: u64, to: To) {
        let (calls, point) = match to {
            To::Calls(calls) => (u32::from(calls), None),
            To::Change => (FAR, Some(Point::Change)),
            To::Changed => (FAR, Some(Point::Changed)),
        };
        for _ in 0..calls {
            let Some(at) = self.drivers.iter().position(|driver| driver.id == id) else { return };
            if point.is_some() && self.drivers[at].gate.waits() == point {
                return;
            }
            self.advance(id, Fate::Go).await;
        }
    }

    /// Lets a driver make one call, or sleep for a moment.
    async fn advance(&mut self, id: u64, fate: Fate) {
        let Some(at) = self.drivers.iter().position(|driver| driver.id == id) else { return };
        let mut ended = self.drivers[at].go().await;
        if ended.is_none() {
            let gate = Arc::clone(&self.drivers[at].gate);
            match (gate.waits(), gate.wakes_at()) {
                (Some(_), _) => gate.grant(fate),
                (None, Some(until)) => {
                    let left = until.saturating_sub(self.clock.since_boot());
                    if left <= SHORT_SLEEP {
                        self.clock.pass(left);
                    }
                }
                (None, None) => {}
            }
            ended = self.drivers[at].go().await;
        }
        if let Some(ended) = ended {
            self.ended(at, &ended);
        }
    }

    fn ended(&mut self, at: usize, ended: &Result<(), PortError>) {
        let driver = self.drivers.remove(at);
        // The store itself did not fail: whoever lost it for a moment was told so by the wire.
        if let Err(PortError::Store(why)) = ended
            && why != "the store does not answer"
        {
            self.journal.break_rule(format!("the store failed {}: {why}", driver.arn));
        }
        self.target.died(driver.id, true);
    }

    async fn finish(&mut self, id: u64) {
        let Some(driver) = self.drivers.iter().find(|driver| driver.id == id) else { return };
        let before = driver.gate.passed();
        driver.gate.open();
        for _ in 0..200 {
            let Some(driver) = self.drivers.iter().find(|driver| driver.id == id) else { return };
            if driver.gate.passed() > before + MOST_CALLS {
                break;
            }
            self.advance(id, Fate::Go).await;
        }
        self.journal.break_rule("a driver never ends".to_owned());
    }

    pub(crate) async fn pass(&mut self, span: Span) {
        let seconds = |n| Duration::from_secs(n);
        match span {
            Span::Second => self.clock.pass(seconds(1)),
            Span::Idle => self.clock.pass(seconds(5)),
            Span::Lease => self.clock.pass(seconds(17)),
            Span::Grace => self.clock.pass(seconds(GRACE + 5)),
            Span::Hours => self.clock.pass(seconds(6 * 3600 + 60)),
            Span::Day => self.clock.pass(seconds(24 * 3600)),
            Span::NextDue => {
                let next = self.next().await;
                self.clock.pass_until(next.unwrap_or(self.now()));
            }
        }
    }

    /// When a node has something to do next.
    pub(crate) async fn next(&self) -> Option<engine::Time> {
        let due = self.store().next_due(&Room::everywhere(16)).await.unwrap();
        let look = self.store().next_look(self.now()).await.unwrap();
        due.into_iter().chain(look).min()
    }
}
