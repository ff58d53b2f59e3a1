//! How many rotations may be under way: one number for all that is built in, one for each registered rotator. So a slow
//! receiver fills its own lane and takes nobody else's place.
//!
//! Never here: what is due, how long a lane's rotations take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Lane, Room};

/// The lane of what is built in, as the store has it.
const BUILTIN: &str = "";
/// In a lane whose rotator is gone: such a rotation only comes to be told so.
const UNKNOWN: u32 = 1;

/// Who is under way in which lane.
pub(crate) struct Lanes {
    permits: u32,
    taken: Mutex<HashMap<String, u32>>,
}

impl Lanes {
    /// So many permits for what is built in.
    pub(crate) fn new(permits: usize) -> Arc<Self> {
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        Arc::new(Self { permits, taken: Mutex::default() })
    }

    /// What is left, of these registered rotators and of what is built in.
    pub(crate) fn room(&self, registered: Vec<Lane>) -> Room {
        let taken = self.taken();
        let left = |lane: &str, all: u32| all.saturating_sub(taken.get(lane).copied().unwrap_or(0));
        Room {
            builtin: left(BUILTIN, self.permits),
            lanes: registered
                .into_iter()
                .map(|Lane { name, concurrency }| {
                    let left = left(&name, concurrency);
                    (name, left)
                })
                .collect(),
            default_lane: UNKNOWN,
            resumes_only: false,
        }
    }

    /// Takes a place, until it is dropped.
    pub(crate) fn take(self: &Arc<Self>, lane: &str) -> Place {
        *self.taken().entry(lane.to_owned()).or_default() += 1;
        Place { lanes: Arc::clone(self), lane: lane.to_owned() }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        // Counts are whole at every moment, whoever panicked.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a lane.
pub(crate) struct Place {
    lanes: Arc<Lanes>,
    lane: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.lanes.taken();
        if let Some(count) = taken.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, concurrency: u32) -> Lane {
        Lane { name: name.to_owned(), concurrency }
    }

    #[test]
    fn a_lane_that_is_full_leaves_the_others_their_room() {
        let lanes = Lanes::new(2);
        let held: Vec<Place> = (0..3).map(|_| lanes.take("slow")).collect();
        let room = lanes.room(vec![lane("slow", 3), lane("other", 3)]);
        assert_eq!((room.of("slow"), room.of("other"), room.of("")), (0, 3, 2));
        drop(held);
        assert_eq!(lanes.room(vec![lane("slow", 3)]).of("slow"), 3);
    }

    #[test]
    fn a_lane_that_was_made_narrower_has_no_room_until_enough_has_ended() {
        let lanes = Lanes::new(1);
        let _held = [lanes.take("a"), lanes.take("a")];
        assert_eq!(lanes.room(vec![lane("a", 1)]).of("a"), 0);
        assert_eq!(lanes.room(vec![lane("a", 3)]).of("a"), 1);
    }
}
