//! From a seed to a case, and from a case that fails to the smallest that fails alike. Never here: playing it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::Rules;
use crate::op::Case;
use crate::play::{Failure, play};

/// A shrunken case is good enough after so many tries.
const MOST_TRIES: u32 = 150;
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
    let case = cases.new_tree(&mut runner(seed)).unwrap().current();
    let failure = fails(&case, rules, None)?;
    let mut shrinker = Shrinker {
        rules,
        sort: sort(&failure.1).to_owned(),
        tries: 0,
        found: Found { seed, case, what: String::new() },
    };
    shrinker.keep(failure);
    shrinker.shrink();
    Some(shrinker.found)
}

struct Shrinker {
    rules: Rules,
    sort: String,
    tries: u32,
    found: Found,
}

impl Shrinker {
    fn keep(&mut self, (at, what): Failure) {
        // Nothing after the op that failed matters.
        self.found.case.ops.truncate(at.map_or(usize::MAX, |at| at + 1));
        self.found.what = what;
    }

    /// Leaves ops out, many at once and then ever fewer, as long as what is left fails alike.
    fn shrink(&mut self) {
        let mut size = self.found.case.ops.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.found.case.ops.len() {
                if self.tries >= MOST_TRIES {
                    return;
                }
                let mut without = self.found.case.clone();
                without.ops.drain(from..(from + size).min(without.ops.len()));
                self.tries += 1;
                match fails(&without, self.rules, Some(&self.sort)) {
                    Some(failure) => {
                        self.found.case = without;
                        self.keep(failure);
                    }
                    None => from += size,
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
}

/// Plays seeds on every processor until one fails, or all have been played.
pub(crate) fn try_seeds<S: Strategy<Value = Case>>(
    seeds: std::ops::Range<u64>,
    rules: Rules,
    cases: fn() -> S,
) -> Option<Found> {
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
