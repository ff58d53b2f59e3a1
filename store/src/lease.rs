//! The store as a driver sees it: every call presents its lease, and a stale one changes nothing.
//!
//! Leases are counted on the clock of `lease_clock.rs`. Never here: who gets one (`due.rs`), what a step does.

use std::time::Duration;

use async_trait::async_trait;
use engine::driver::LEASE_MARGIN;
use engine::port::{Lease, Material, PortError, RotationStore};
use engine::registration::LONGEST_TIMEOUT;
use engine::rotation::{Decision, Event, Refusal, Rotation, Step};
use engine::secret::ValueKind;
use tokio::time::sleep;

use crate::event::{self, Occasion};
use crate::instant::ms;
use crate::lease_clock::LeaseClock;
use crate::open::Inner;
use crate::subject::Subject;
use crate::tx::{Durability, Writing, glance, snapshot};
use crate::{Store, StoreError, fleet, material, rotation, sql};

/// The longest a lease may be: what a step may take, and what comes around it.
pub(crate) const LONGEST_LEASE: Duration = LONGEST_TIMEOUT.saturating_add(Duration::from_secs(30));

/// Between two tries of a write that somebody else, or a database that was away, kept from being made. Whoever is here holds
/// a lease, and it runs out.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1500),
];

#[async_trait]
impl RotationStore for Store {
    async fn look(&self, lease: &Lease) -> Result<(Rotation, Duration), PortError> {
        // One row: no transaction around it.
        let mut conn = glance(&self.0).await?;
        let row = rotation::load(&mut conn, lease.secret).await.map_err(gone_is_fenced)?;
        let clock = LeaseClock::read(&self.0, &mut conn).await?;
        let left = self.0.check(&row, lease, &clock)?;
        Ok((row.state, left))
    }

    async fn apply(&self, lease: &Lease, event: Event, jitter: f64) -> Result<Decision, PortError> {
        for pause in PAUSES {
            match self.apply_once(lease, event.clone(), jitter).await {
                Err(halt) if halt.is_passing() => sleep(pause).await,
                ended => return ended.map_err(PortError::from),
            }
        }
        Ok(self.apply_once(lease, event, jitter).await?)
    }

    async fn material(&self, lease: &Lease, rotation: &Rotation) -> Result<Material, PortError> {
        let mut tx = snapshot(&self.0).await?;
        let row = rotation::load(&mut tx, lease.secret).await.map_err(gone_is_fenced)?;
        let clock = LeaseClock::read(&self.0, &mut tx).await?;
        self.0.check(&row, lease, &clock)?;
        Ok(material::gather(&mut tx, &self.0, lease.secret, rotation, row.options).await?)
    }

    async fn renew(&self, lease: &Lease, at_least: Duration) -> Result<Duration, PortError> {
        for pause in PAUSES {
            match self.renew_once(lease, at_least).await {
                Err(halt) if halt.is_passing() => sleep(pause).await,
                ended => return ended.map_err(PortError::from),
            }
        }
        Ok(self.renew_once(lease, at_least).await?)
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        self.0.give_back(&mut w, lease).await?;
        Ok(w.commit().await?)
    }
}

impl Store {
    async fn apply_once(&self, lease: &Lease, event: Event, jitter: f64) -> Result<Decision, Halt> {
        let durability = durability(&event);
        if let Some(decision) = self.apply_as(lease, event.clone(), jitter, durability).await? {
            return Ok(decision);
        }
        let synced = self.apply_as(lease, event, jitter, Durability::Synced).await?;
        let said = || PortError::Store("a synced commit was taken for an ordered one".to_owned());
        Ok(synced.ok_or_else(said)?)
    }

    async fn renew_once(&self, lease: &Lease, at_least: Duration) -> Result<Duration, Halt> {
        let length = self.0.options.lease.max(at_least.min(LONGEST_LEASE));
        // Whoever comes after a power failure must know of a call that may still be under way, and that it was begun.
        let durability = if at_least > LEASE_MARGIN { Durability::Synced } else { Durability::Ordered };
        // Taken before the write: a slow commit shortens what is left and never lengthens it. SQLite's is taken before
        // the writer's turn is waited for, too.
        let since_boot = self.0.clock.since_boot();
        let mut w = Writing::begin_as(&self.0, durability).await?;
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        let until = if w.conn().is_shared() { clock.since + millis(length) } else { millis(since_boot + length) };
        let query = sql::query(RENEW).bind(lease.secret.0).bind(lease.fence).bind(&clock.id);
        let query = query.bind(clock.since).bind(until).bind(millis(length));
        let renewed = query.execute(w.conn()).await.map_err(StoreError::from)?.rows_affected();
        if renewed != 1 {
            return Err(PortError::Fenced.into());
        }
        w.commit().await?;
        let left = clock.left(&self.0, until);
        if left.is_zero() { Err(PortError::Fenced.into()) } else { Ok(left) }
    }

    /// None: what was decided must be synced, and this durability is less; nothing was changed.
    async fn apply_as(
        &self,
        lease: &Lease,
        event: Event,
        jitter: f64,
        durability: Durability,
    ) -> Result<Option<Decision>, Halt> {
        let mut w = Writing::begin_as(&self.0, durability).await?;
        let subject = Subject::by_id(&mut w, lease.secret).await.map_err(gone_is_fenced)?;
        let mut subject = subject.ok_or(PortError::Fenced)?;
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        // What is planned from now on is compared with the same clock.
        let now = clock.time(self.0.clock.now())?;
        match &event {
            // What was done outside is written down even after somebody paused the rotation.
            Event::Ended { .. } => self.0.check_but_for_pause(&subject.rotation, lease, &clock)?,
            _ => self.0.check(&subject.rotation, lease, &clock)?,
        };
        // A plan that was changed or called off between the claim and now starts nothing.
        let starts = matches!(event, Event::Requested { .. }) && subject.rotation.state.run().is_none();
        let planned = subject.rotation.enabled && subject.rotation.due.is_some_and(|due| ms(due) <= clock.now_ms(now));
        if starts && (!planned || fleet::load(w.conn()).await?.fleet.paused.is_some()) {
            self.0.give_back(&mut w, lease).await?;
            w.commit().await?;
            return Err(PortError::Fenced.into());
        }
        let at = Occasion {
            inner: &self.0,
            now,
            jitter,
            // What rotators make is the secret's JSON.
            kind: ValueKind::String,
            by: None,
        };
        let decision = event::apply(&mut w, &mut subject, event, &at).await?;
        if durability == Durability::Ordered && begins_to_set(&decision) {
            w.rollback().await?;
            return Ok(None);
        }
        subject.save(&mut w, now).await?;
        w.commit().await?;
        Ok(Some(decision))
    }
}

/// Why a write of a driver was not made.
enum Halt {
    Port(PortError),
    Store(StoreError),
}

impl Halt {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_passing())
    }
}

impl From<PortError> for Halt {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Halt> for PortError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Port(error) => error,
            Halt::Store(error) => error.into(),
        }
    }
}

/// The first setSecret of a candidate begins. A power failure that took this back would leave a row that says nothing was
/// sent: AWSCURRENT would be refused, and nobody would try the candidate.
fn begins_to_set(decision: &Decision) -> bool {
    decision.act == Some(Step::Set) && decision.next.run().is_some_and(|run| run.sets == 1)
}

/// Synced is what makes a value known or ends a rotation. What is lost with one of the others is a step that is
/// repeated: every step may run twice.
fn durability(event: &Event) -> Durability {
    match event {
        Event::Leased | Event::Ended { step: Step::Set | Step::Test | Step::Restore, .. } => Durability::Ordered,
        _ => Durability::Synced,
    }
}

impl Inner {
    pub(crate) async fn give_back(&self, w: &mut Writing<'_>, lease: &Lease) -> Result<(), StoreError> {
        let query = sql::query(RELEASE).bind(lease.secret.0).bind(lease.fence);
        query.execute(w.conn()).await?;
        w.wake();
        Ok(())
    }

    /// What is left of the lease, if it still holds and the secret may be worked on.
    pub(crate) fn check(&self, row: &rotation::Row, lease: &Lease, clock: &LeaseClock) -> Result<Duration, PortError> {
        if row.paused || row.is_held() {
            return Err(PortError::Fenced);
        }
        self.check_but_for_pause(row, lease, clock)
    }

    pub(crate) fn check_but_for_pause(
        &self,
        row: &rotation::Row,
        lease: &Lease,
        clock: &LeaseClock,
    ) -> Result<Duration, PortError> {
        let held = row.lease.as_ref().filter(|held| held.boot == clock.id).ok_or(PortError::Fenced)?;
        let left = clock.left(self, millis(held.until));
        if row.fence != lease.fence || !row.live || left.is_zero() {
            return Err(PortError::Fenced);
        }
        Ok(left)
    }
}

/// Milliseconds since boot, rounded down.
pub(crate) fn millis(since_boot: Duration) -> i64 {
    i64::try_from(since_boot.as_millis()).unwrap_or(i64::MAX)
}

/// A secret that was removed has no rotation row; to its driver that is a lost lease.
fn gone_is_fenced(error: StoreError) -> Halt {
    match error {
        StoreError::SecretNotFound => PortError::Fenced.into(),
        other => other.into(),
    }
}

impl From<StoreError> for PortError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => Self::Refused(refusal),
            StoreError::RotationOpen => Self::Refused(Refusal::Open),
            StoreError::NotOpen => Self::Refused(Refusal::NoneOpen),
            StoreError::Database(source) => Self::Store(format!("the database failed: {source}")),
            StoreError::Away(source) => Self::Store(format!("the database cannot be reached: {source}")),
            other => Self::Store(other.to_string()),
        }
    }
}

const RENEW: &str = "-- lease::renew
UPDATE rotation SET lease_until_ms = $5, lease_ms = $6
WHERE secret_id = $1 AND fence = $2 AND lease_owner IS NOT NULL AND lease_boot = $3 AND lease_until_ms > $4
  AND live = 1 AND paused = 0";

const RELEASE: &str = "-- lease::release
UPDATE rotation SET lease_owner = NULL, lease_boot = NULL, lease_until_ms = NULL
WHERE secret_id = $1 AND fence = $2";
