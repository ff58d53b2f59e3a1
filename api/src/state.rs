//! What the operations are given by the binary: the store, the clock, this server's identity and limits.

use std::sync::Arc;
use std::time::Duration;

use engine::port::Clock;
use engine::schedule::Limits;
use store::Store;

use crate::audit::Trail;
use crate::workbench::Workbench;

/// Called after every request: operation, HTTP status, and how long it took.
pub type Observer = Arc<dyn Fn(&str, u16, Duration) + Send + Sync>;

/// What the API works with.
#[derive(Clone)]
pub struct ApiState {
    /// Secrets, rotations and access keys.
    pub store: Store,
    /// The time, for dates and for what is due.
    pub clock: Arc<dyn Clock>,
    /// The time as the machine has it, for the skew of signatures: another one only while a jump of it is not accepted yet,
    /// which who accepts it must be able to say.
    pub wall: Arc<dyn Clock>,
    /// The only region whose signatures are taken.
    pub region: String,
    /// The account in ARNs made here.
    pub account_id: String,
    /// AWS's limits on schedules, or none.
    pub limits: Limits,
    /// Whether a rotator, or the `engine` of a secret, of this name is built in.
    pub builtin: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// The names of the rotators that are built in.
    pub builtins: Vec<String>,
    /// Reaches out to registered rotators; None where nothing does.
    pub workbench: Option<Arc<dyn Workbench>>,
    /// For metrics.
    pub observer: Option<Observer>,
    /// Where every call leaves its record; None where nobody cares.
    pub trail: Option<Arc<dyn Trail>>,
}
