//! From a seed to a case, and from a case that fails to the smallest that fails alike. Never here: playing it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::Rules;
use crate::op::Case;
use crate::play::{Failure, play};

/// A shrunken case is good enough after so many tries.
const MOST_TRIES: u32 = 600;
/// What cannot be had from a seed (a few random numbers of the store's own) may hide a failure once.
const AGAIN: u32 = 2;

/// A case that fails, shrunken.
pub(crate) struct Found {
    pub(crate) seed: u64,
    pub(crate) case: Case,
    pub(crate) what: String,
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// The kind of a failure: what stands before its colon.
fn sort(what: &str) -> &str {
    what.split(':').next().unwrap_or(what).split(" of ").next().unwrap_or(what)
}

fn fails(case: &Case, rules: Rules, sort_of: Option<&str>) -> Option<Failure> {
    let tries = if sort_of.is_some() { AGAIN } else { 1 };
    (0..tries).find_map(|_| {
        let failure = play(case, rules).err()?;
        sort_of.is_none_or(|wanted| sort(&failure.1) == wanted).then_some(failure)
    })
}

/// Plays the case of a seed.
pub(crate) fn try_seed(seed: u64, rules: Rules, cases: &impl Strategy<Value = Case>) -> Option<Found> {
    let mut tree = cases.new_tree(&mut runner(seed)).unwrap();
    let (_, mut what) = fails(&tree.current(), rules, None)?;
    let wanted = sort(&what).to_owned();
    let mut smallest = tree.current();
    for _ in 0..MOST_TRIES {
        if !tree.simplify() {
            break;
        }
        let mut again = tree.current();
        while let Some(failure) = fails(&again, rules, Some(&wanted)) {
            what = failure.1;
            // Nothing after the op that failed matters.
            again.ops.truncate(failure.0.map_or(again.ops.len(), |number| number + 1));
            smallest = again.clone();
            if !tree.simplify() {
                return Some(Found { seed, case: smallest, what });
            }
            again = tree.current();
        }
        if !tree.complicate() {
            break;
        }
    }
    Some(Found { seed, case: smallest, what })
}

/// Plays seeds on every processor until one fails, or all have been played.
pub(crate) fn try_seeds<S: Strategy<Value = Case>>(seeds: std::ops::Range<u64>, rules: Rules, cases: fn() -> S) -> Option<Found> {
    let next = AtomicU64::new(seeds.start);
    let found = std::sync::Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || found.lock().unwrap().is_some() {
                        return;
                    }
                    if let Some(failure) = try_seed(seed, rules, &cases()) {
                        *found.lock().unwrap() = Some(failure);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

impl Found {
    /// As a test to keep.
    pub(crate) fn told(&self) -> String {
        let mut told = format!("seed {}: {}\n\nto keep it, as a test of reproductions.rs:\n", self.seed, self.what);
        let _infallible = writeln!(told, "    let kinds = vec!{:?};\n    let ops = vec![", self.case.kinds);
        for op in &self.case.ops {
            let _infallible = writeln!(told, "        {op:?},");
        }
        told.push_str("    ];");
        told
    }
}
