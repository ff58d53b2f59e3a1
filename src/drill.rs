//! A drill: what `pawl rotator test` does around a real rotation of a throw-away secret, kept in memory while it lasts.
//!
//! The rotation is the machine's own; around each of its deliveries the drill makes more of them (`drilled.rs`) and writes
//! down what it saw (`trial.rs`). Never here: beginning and ending one (`src/workbench.rs`).

mod drilled;
mod trial;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::workbench::Case;
use engine::port::{Clock, Rotator};
use engine::registration::{LONGEST_TIMEOUT, Registration};
use rotators::Callers;

use self::drilled::Drilled;
pub(crate) use self::trial::{Seen, Trial};

/// What a delivery on the side may take, however long the receiver may take for real ones.
const HASTE: Duration = Duration::from_secs(10);
/// How many of them there are around one step, at most.
const ON_THE_SIDE: u32 = 15;
/// The steps of a rotation, and one that is asked for again.
const STEPS: u32 = 5;
/// What a run is given at least: retries wait for a moment.
const SHORTEST: Duration = Duration::from_secs(120);

/// The drills that are under way, by the ARN of their secret.
#[derive(Default)]
pub struct Drills(Mutex<HashMap<String, Arc<Drill>>>);

impl Drills {
    /// The rotator itself, or with a drill around it where this secret has one.
    pub(crate) fn around(&self, rotator: Box<dyn Rotator>, arn: &str) -> Box<dyn Rotator> {
        match self.all().get(arn) {
            Some(drill) => Box::new(Drilled::new(rotator, Arc::clone(drill))),
            None => rotator,
        }
    }

    /// Begins one, which ends when what is returned is dropped. None: this secret has one.
    pub(crate) fn begin(self: &Arc<Self>, arn: &str, drill: Drill) -> Option<Held> {
        let mut all = self.all();
        if all.contains_key(arn) {
            return None;
        }
        let drill = Arc::new(drill);
        all.insert(arn.to_owned(), Arc::clone(&drill));
        Some(Held { drills: Arc::clone(self), arn: arn.to_owned(), drill })
    }

    /// Every change is one statement, so what a panic leaves is whole.
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Drill>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A drill that is under way.
pub(crate) struct Held {
    drills: Arc<Drills>,
    arn: String,
    pub(crate) drill: Arc<Drill>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.drills.all().remove(&self.arn);
    }
}

/// One drill: whom it is about, until when, and what was seen.
pub(crate) struct Drill {
    /// As it is, but for the timeout: this one is of deliveries on the side.
    pub(crate) registration: Registration,
    callers: Callers,
    clock: Arc<dyn Clock>,
    /// How long one step may take, with all that is around it.
    patience: Duration,
    /// How long it may take.
    pub(crate) length: Duration,
    /// Since boot.
    ends: Duration,
    /// The bent deliveries were made: once is enough.
    bent: AtomicBool,
    /// A credential was issued on the side, and revoked: once is enough as well.
    issued: AtomicBool,
    seen: Mutex<BTreeMap<Trial, Seen>>,
}

impl Drill {
    /// Of this rotator, for as long as everything that is tried may take.
    pub(crate) fn new(mut registration: Registration, callers: Callers, clock: Arc<dyn Clock>) -> Self {
        let timeout = registration.settings.timeout();
        let haste = timeout.min(HASTE);
        registration.settings.timeout_seconds = haste.as_secs();
        let patience = (timeout * 2 + haste * ON_THE_SIDE).min(LONGEST_TIMEOUT);
        let length = (patience * STEPS).max(SHORTEST);
        let ends = clock.since_boot() + length;
        let (bent, issued, seen) = (AtomicBool::default(), AtomicBool::default(), Mutex::default());
        Self { registration, callers, clock, patience, length, ends, bent, issued, seen }
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        self.ends.saturating_sub(self.clock.since_boot())
    }

    /// What was seen of a trial. One failure outweighs everything else; what was seen outweighs what could not be.
    pub(crate) fn note(&self, trial: Trial, seen: Seen) {
        let mut all = self.seen();
        match all.get(&trial) {
            Some(Seen::Failed(_)) => {}
            Some(Seen::Passed(_)) if matches!(seen, Seen::Skipped(_)) => {}
            _ => drop(all.insert(trial, seen)),
        }
    }

    /// Everything that applies to this rotator, in order.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let seen = self.seen();
        let trials = Trial::of(&self.registration.settings.kind);
        trials.into_iter().map(|trial| trial.case(seen.get(&trial))).collect()
    }

    /// Whether the bent deliveries are to be made: true the first time only.
    fn bends(&self) -> bool {
        !self.bent.swap(true, Ordering::SeqCst)
    }

    /// Whether a credential is to be issued on the side: true the first time only.
    fn issues(&self) -> bool {
        !self.issued.swap(true, Ordering::SeqCst)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Trial, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
