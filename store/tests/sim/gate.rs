//! Where a driver waits for the simulation: before and after every call of the store, at every word with a target, and
//! in its sleep. What is polled goes on to the next such place and no further, so an interleaving is a list of numbers.
//! Never here: who is let on, and what becomes of the call.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use engine::Time;
use engine::port::Clock;

use crate::clock::VirtualClock;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is made, and answered.
    Go,
    /// Before a call: it is never made. After it: its answer is lost. The caller sees the same.
    Lose,
    /// A changing statement is on its way and lands when it likes; its answer is lost. Else as [`Fate::Lose`].
    Late,
}

#[derive(Default)]
struct State {
    granted: Option<Fate>,
    waits: bool,
    /// Everything goes; nothing waits.
    open: bool,
    /// Calls of the store that are under way.
    outstanding: u32,
    /// Until when sleepers sleep, since boot.
    sleeps: Vec<(u64, Duration)>,
    sleeper: u64,
    passed: u32,
}

/// One driver's.
#[derive(Default)]
pub(crate) struct Gate(Mutex<State>);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Waits to be let on.
    pub(crate) async fn pass(&self) -> Fate {
        poll_fn(|_| {
            let mut state = self.state();
            let fate = state.granted.take().or(state.open.then_some(Fate::Go));
            state.waits = fate.is_none();
            state.passed += u32::from(fate.is_some());
            fate.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Lets one call on.
    pub(crate) fn grant(&self, fate: Fate) {
        self.state().granted = Some(fate);
    }

    /// From now on everything goes.
    pub(crate) fn open(&self) {
        self.state().open = true;
    }

    /// It waits for [`Gate::grant`].
    pub(crate) fn waits(&self) -> bool {
        self.state().waits
    }

    /// How often it was let on.
    pub(crate) fn passed(&self) -> u32 {
        self.state().passed
    }

    /// A call of the store begins, which takes real time; it ends with what is returned, also where nobody waits for it
    /// any more.
    pub(crate) fn begin(&self) -> Call<'_> {
        self.state().outstanding += 1;
        Call(self)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.state().outstanding > 0
    }

    /// When the first of its sleepers wakes up, since boot.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        self.state().sleeps.iter().map(|(_, until)| *until).min()
    }
}

/// A call of the store that is under way.
pub(crate) struct Call<'a>(&'a Gate);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.state().outstanding -= 1;
    }
}

/// The clock as one driver sees it.
pub(crate) struct DriverClock {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) gate: Arc<Gate>,
}

/// Sleeps until it is dropped.
struct Sleeper<'a>(&'a Gate, u64);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.state().sleeps.retain(|(id, _)| *id != self.1);
    }
}

#[async_trait]
impl Clock for DriverClock {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn since_boot(&self) -> Duration {
        self.clock.since_boot()
    }

    async fn sleep(&self, length: Duration) {
        let until = self.clock.since_boot() + length;
        let sleeper = {
            let mut state = self.gate.state();
            state.sleeper += 1;
            let id = state.sleeper;
            state.sleeps.push((id, until));
            Sleeper(&self.gate, id)
        };
        // Nothing wakes it: the simulation polls.
        poll_fn(|_| if self.clock.since_boot() >= until { Poll::Ready(()) } else { Poll::Pending }).await;
        drop(sleeper);
    }
}
