//! The scheduler loop: claims what is due, drives it, and sleeps until something is due again.
//!
//! Wakes on a timer, on a change of the store and on shutdown. Takes no more than there is room for in each lane.
//! Decides nothing: the store says what is due, `engine` what to do.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use api::audit::{Kind, Record, Trail, Until, plain};
use chrono::TimeDelta;
use engine::Time;
use engine::driver::{Ports, Report, drive};
use engine::id::VersionId;
use engine::outcome::Verdict;
use engine::port::{Clock, Material, PortError, RotationStore, Rotator};
use engine::rotation::{Event, Rotation, Step};
use rotators::Callers;
use store::{Claim, Room, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::drill::Drills;
use crate::lanes::Lanes;
use crate::looks::{Looks, pick};
use crate::metrics::Metrics;

/// How long a rotation that starts late, or at the end of its window, may be retried.
const LATE_RUN: TimeDelta = TimeDelta::hours(1);
/// Between two looks at what is due, however much is.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// Before a store that failed is asked again.
const STORE_AWAY: Duration = Duration::from_secs(1);
/// How often a secret whose deletion window ended is looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// A token has at most so many bytes: 64 characters of four.
const LONGEST_TOKEN: usize = 256;

/// Everything a scheduler works with.
pub struct Scheduler {
    /// Where rotations are remembered.
    pub store: Store,
    /// What drivers see of the store (the same one, with fail points in the crash tests).
    pub rotations: Arc<dyn RotationStore>,
    /// What looks at targets beside rotations, and knows the rotators that are built in.
    pub looks: Arc<Looks>,
    /// What calls those that are registered.
    pub callers: Callers,
    /// Conformance runs that are under way.
    pub drills: Arc<Drills>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where every step leaves its record.
    pub trail: Arc<dyn Trail>,
    /// How many rotations at once by built-in rotators; registered ones have their own numbers.
    pub permits: usize,
    /// The lease, which bounds how long a missed wake-up can last.
    pub lease: Duration,
    /// This process, in leases.
    pub owner: String,
}

/// A registered rotator, for one drive.
struct Hired {
    rotator: Box<dyn Rotator>,
    /// createSecret is sent to it; others have their values made here.
    is_sent_create: bool,
}

impl Scheduler {
    /// Runs until `shutdown` says true, then waits for what is under way: at most one lease.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let lanes = Lanes::new(this.permits);
        let mut under_way = JoinSet::new();
        let mut purge_at = this.clock.since_boot();
        while !*shutdown.borrow() {
            let changed = this.store.changed();
            let wake = changed.notified();
            tokio::pin!(wake);
            // Interest is registered before the question is asked, so no change is missed in between.
            wake.as_mut().enable();
            let asked_at = this.clock.since_boot();
            if asked_at >= purge_at {
                this.purge().await;
                purge_at = asked_at + PURGE_EVERY;
            }
            let asked = this.start_what_is_due(&lanes, &mut under_way).await;
            let asked = match this.looks.begin(&mut under_way).await {
                Ok(()) => asked,
                Err(error) => Err(error),
            };
            let pause = match asked {
                Ok(room) => this.pause(&room).await,
                Err(error) => Err(error),
            };
            let pause = pause.unwrap_or_else(|error| {
                tracing::error!(%error, "cannot read what is due; trying again");
                STORE_AWAY
            });
            tokio::select! {
                () = wake => {}
                () = tokio::time::sleep(pause) => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                _ = shutdown.changed() => {}
            }
            // However much ends and changes at once, it is one question.
            let since = this.clock.since_boot().saturating_sub(asked_at);
            tokio::time::sleep(SHORTEST_PAUSE.saturating_sub(since)).await;
            while under_way.try_join_next().is_some() {}
        }
        let drained = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(this.lease, drained).await.is_err() {
            tracing::warn!("rotations were still under way after a whole lease; they are resumed at the next start");
        }
    }

    /// Returns the room that is left.
    async fn start_what_is_due(
        self: &Arc<Self>,
        lanes: &Arc<Lanes>,
        under_way: &mut JoinSet<()>,
    ) -> Result<Room, StoreError> {
        let registered = self.store.lanes().await?;
        let room = lanes.room(registered.clone());
        for claim in self.store.claim(&self.owner, &room, self.clock.now()).await? {
            let place = lanes.take(&claim.lane);
            let this = Arc::clone(self);
            under_way.spawn(async move {
                this.drive(claim).await;
                drop(place);
            });
        }
        Ok(lanes.room(registered))
    }

    /// Until the next thing is due; never long, since clocks jump and leases of the dead run out.
    async fn pause(&self, room: &Room) -> Result<Duration, StoreError> {
        // Not every node at the same moments: nobody may have told this one of what another one planned.
        let longest = (self.lease / 3).mul_f64(rand::random_range(0.7..1.0));
        let until_due = |due: Time| (due - self.clock.now()).to_std().unwrap_or(SHORTEST_PAUSE);
        let due = self.store.next_due(room).await?.map_or(longest, until_due);
        let look = self.looks.pause().await?.unwrap_or(longest);
        Ok(due.min(look).clamp(SHORTEST_PAUSE, longest))
    }

    async fn drive(&self, claim: Claim) {
        let Claim { lease, name, rotation, rotator, window, lane } = claim;
        let hired = match self.hire(&lane, &lease.arn).await {
            Ok(hired) => hired,
            Err(error) => {
                tracing::error!(secret.name = name, %error, "the rotation is resumed when its lease ends");
                return;
            }
        };
        let mut rng: rand::rngs::StdRng = rand::make_rng();
        let soon = self.clock.now() + LATE_RUN;
        let start = (rotation == Rotation::Idle).then(|| Event::Requested {
            token: VersionId::random(&mut rng),
            by: "schedule".to_owned(),
            // A late run has its window behind it; it gets an hour all the same.
            window_ends: window.map_or(soon, |window| window.closes.max(soon)),
        });
        let observer = |report: Report<'_>| self.observe(&name, hired.as_ref(), report);
        let pick = |material: &Material| match &hired {
            Some(hired) => Some(hired.rotator.as_ref()),
            None if lane.is_empty() => pick(&self.looks.registry, rotator.as_deref(), material),
            // It was removed. A built-in rotator is never put in its place.
            None => None,
        };
        let ports = Ports { store: &*self.rotations, rotator: &pick, clock: &*self.clock, observer: &observer };
        match drive(ports, &lease, start, &mut rng).await {
            Ok(()) => {}
            Err(PortError::Fenced) => tracing::warn!(secret.name = name, "the lease was lost; its new owner goes on"),
            Err(error) => tracing::error!(secret.name = name, %error, "the rotation is resumed when its lease ends"),
        }
    }

    /// The registered rotator of this lane; with a drill around it while this secret has one.
    async fn hire(&self, lane: &str, arn: &str) -> Result<Option<Hired>, StoreError> {
        if lane.is_empty() {
            return Ok(None);
        }
        let Some(registration) = self.store.rotator(lane).await? else { return Ok(None) };
        let rotator = self.drills.around(self.callers.rotator(&registration), arn);
        Ok(Some(Hired { rotator, is_sent_create: registration.settings.makes_values() }))
    }

    fn observe(&self, name: &str, hired: Option<&Hired>, report: Report<'_>) {
        self.metrics.step_ended(&report);
        if let Some(hired) = hired.filter(|hired| hired.is_sent_create || report.step != Step::Create) {
            self.metrics.delivered(hired.rotator.name(), &report);
        }
        self.record(&report);
        let millis = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
        match report.error {
            None => tracing::info!(
                secret.name = name,
                rotation.step = report.step.name(),
                took_ms = millis,
                "{} of {name} done",
                report.step
            ),
            Some(error) if error.verdict == Verdict::InProgress => tracing::info!(
                secret.name = name,
                rotation.step = report.step.name(),
                took_ms = millis,
                "{} of {name} is in progress",
                report.step
            ),
            Some(error) => tracing::warn!(
                secret.name = name,
                rotation.step = report.step.name(),
                took_ms = millis,
                verdict = %error.verdict,
                code = error.code,
                remedy = error.remedy,
                "{} of {name}: {error}",
                report.step
            ),
        }
    }

    /// A rotation never waits for its record, and goes on when there can be none.
    fn record(&self, report: &Report<'_>) {
        let verdict = report.error.map(|error| error.verdict.to_string());
        let token = plain(report.token.as_str().as_bytes(), LONGEST_TOKEN);
        let record = Record {
            request_id: Some(&format!("Rotation-{}-{}", report.lease.arn, token)),
            principal: Some("pawl"),
            operation: Some(report.step.name()),
            secret: Some(Cow::Borrowed(&report.lease.arn)),
            version: Some(&token),
            outcome: Some(verdict.as_deref().unwrap_or("ok")),
            code: report.error.map(|error| Cow::Borrowed(error.code.as_str())),
            took_us: Some(u64::try_from(report.took.as_micros()).unwrap_or(u64::MAX)),
            ..Record::new(Kind::Step, self.clock.now())
        };
        let _unawaited = self.trail.take(&record, Until::Synced);
    }

    async fn purge(&self) {
        match self.store.purge(self.clock.now()).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "secrets whose recovery window ended were removed"),
            Err(error) => tracing::error!(%error, "cannot remove deleted secrets; trying again"),
        }
    }
}
