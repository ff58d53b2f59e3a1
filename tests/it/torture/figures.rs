//! What was measured, and the block in which it is said.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::GRACE;
use super::cluster::{Cluster, LEASE, NODES};
use super::fleet::Fleet;
use super::services::Seen;
use super::watch::Watch;

/// After the end of a dead node's lease, on two cores that are shared with everything else. The goal is a twelfth of it.
const LONGEST_RECOVERY_MS: i64 = 60_000;

/// Everything that is said of a run.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) kills: usize,
    pub(super) killed_while_starting: usize,
    /// How often a lease was held by who died, by the step it was at.
    pub(super) cut: BTreeMap<String, usize>,
    /// What RotateSecret was answered.
    pub(super) answers: BTreeMap<String, usize>,
    pub(super) rotations: usize,
    pub(super) claims: i64,
    /// Milliseconds from when a dead node's rotation could be taken until it was, sorted.
    pub(super) recoveries: Vec<i64>,
    /// Leases that ran out although their owner lived.
    pub(super) run_out: usize,
    pub(super) looks: usize,
    pub(super) writes: usize,
    pub(super) logins: usize,
    pub(super) busy: usize,
    pub(super) outdated: usize,
    pub(super) in_gaps: usize,
    /// Sorted.
    pub(super) gaps: Vec<Duration>,
}

impl Figures {
    /// What the services have seen. Fails if one was refused that may not be.
    pub(super) fn saw(&mut self, seen: &Seen) {
        let of = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        assert_eq!(*seen.broken(), Vec::<String>::new(), "refused logins where none is promised");
        (self.logins, self.busy) = (of(&seen.logins), of(&seen.busy));
        (self.outdated, self.in_gaps) = (of(&seen.outdated), of(&seen.in_gaps));
        self.gaps = std::mem::take(&mut *seen.gaps());
        self.gaps.sort_unstable();
        assert!(self.logins > 0, "services have worked");
    }

    /// What the store's own triggers say. Fails if a lease was taken before its time, or more was made than asked for.
    pub(super) async fn watched(&mut self, watch: &Watch, fleet: &Fleet, cluster: &Cluster) {
        self.claims = watch.claims().await;
        self.rotations = watch.rotations(fleet).await;
        for taken in watch.taken().await {
            let what = format!("{} of {}", taken.step, taken.from);
            assert!(taken.early_ms <= 0, "{what}: another took the lease {} ms before its end", taken.early_ms);
            let owner = taken.from.split('-').next().and_then(|pid| pid.parse().ok());
            if owner.is_some_and(|pid| cluster.was_killed(pid)) {
                self.recoveries.push(taken.after_ms);
            } else {
                self.run_out += 1;
            }
        }
        self.recoveries.sort_unstable();
        let longest = self.recoveries.last().copied().unwrap_or_default();
        assert!(longest < LONGEST_RECOVERY_MS, "a rotation waited {longest} ms after the lease of a dead node");
        let surplus = watch.surplus(fleet).await;
        assert_eq!(surplus, Vec::<String>::new(), "values that no rotation was asked for");
        assert!(self.rotations > 0, "accounts were rotated: {:?}", self.answers);
    }

    /// One block, ready for a note.
    pub(super) fn block(&self, fleet: &Fleet) -> String {
        let mut block = String::new();
        let mut line = |what: &str, figure: String| writeln!(block, "{what:<34} {figure}").unwrap_or_default();
        line("torture", format!("PAWL_TEST_KILLS={} PAWL_TEST_SEED={}", self.kills, self.seed));
        line("nodes, lease, grace", format!("{NODES} on one PostgreSQL store, {LEASE:?}, {GRACE:?}"));
        line("secrets", format!("{} ({})", fleet.secrets.len(), fleet.kinds()));
        line(
            "SIGKILLs",
            format!("{} in {:.0?}; {} of a node not ready yet", self.kills, self.took, self.killed_while_starting),
        );
        line("rotations cut short, by step", format!("{} {:?}", self.cut.values().sum::<usize>(), self.cut));
        line("rotations completed", format!("{} ({:?}; {} leases taken)", self.rotations, self.answers, self.claims));
        line(
            "goes on after the lease's end",
            format!("longest {} ms, {}", at(&self.recoveries, 1.0), shares(&self.recoveries)),
        );
        line("leases run out of a living node", self.run_out.to_string());
        line("lockouts", format!("0 in {} looks, and none at any quiet end", self.looks));
        line("logins", format!("{} let in, {} where the database was busy", self.logins, self.busy));
        line("refused where none is promised", format!("0 ({} with what was older than the grace)", self.outdated));
        let gaps: Vec<i64> = self.gaps.iter().map(|gap| i64::try_from(gap.as_millis()).unwrap_or(i64::MAX)).collect();
        let gap = format!("{} in {} gaps, longest {} ms, {}", self.in_gaps, gaps.len(), at(&gaps, 1.0), shares(&gaps));
        line("refused in single user's gap", gap);
        line("acknowledged writes", format!("{}, all there, and read back from any node at once", self.writes));
        block
    }
}

fn shares(sorted: &[i64]) -> String {
    format!("p50 {} ms, p99 {} ms, of {}", at(sorted, 0.5), at(sorted, 0.99), sorted.len())
}

/// The value at this share of a sorted list.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn at(sorted: &[i64], share: f64) -> i64 {
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}
