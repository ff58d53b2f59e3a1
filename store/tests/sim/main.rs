//! A simulation of everything around a rotation, over virtual time: the real store over SQLite, the real machine and its
//! driver, real schedules; nodes that share the store, or a real PostgreSQL with a store open in each; servers in memory whose semantics are those that the experiments
//! with real ones showed. A seed is a list of things that happen ([`op::Op`]): drivers that go on to their n-th call and
//! die, stall or lose it there; statements that land later; servers that restart or are restored from a backup; clocks that
//! jump; users who write, move labels, cancel, delete and change their minds. After each of them the oracle looks from
//! outside ([`oracle`]); in the end nothing goes wrong any more, and everything must come to rest.
//!
//! **What counts as a failure.** No value that the store knows logs in (a lockout). AWSCURRENT is refused where the strategy
//! promises that it never is, or outside of the gap of a single user. What a target holds is not among the unresolved
//! candidates, or reached it before it was committed. Two owners changed an account. A schedule rotated twice in a window,
//! outside of one, or what was cancelled, paused or deleted; something is open that nobody asked for. Labels that AWS's
//! rules do not allow. A rotation that neither ends nor parks with a message when faults have stopped. A secret that wakes
//! nodes up for ever. A store that contradicts itself.
//!
//! **What does not.** A rotation that parks, however needlessly. What a rival does to a password, what a backup brings back,
//! what a person writes over the first value before any rotation was asked for: until AWSCURRENT logs in again. AWSCURRENT
//! that a person moved while nothing was at stake. Whether an answer comes soon. Windows missed while nobody was there.
//!
//! **What is not the seed's.** The suffix of an ARN, and with it the moment inside of a window; the delay of a retry that a
//! user's call brings about; ids of versions that the machine makes by itself. A shrunken case is therefore played twice
//! before it is believed to hold.
//!
//! Registered rotators are not simulated: `engine/tests/model/issuing.rs` searches them. A failing seed is printed as a test
//! for [`reproductions`]. `PAWL_SIM_SEEDS` says how many seeds there are (`make torture`: thousands), `PAWL_SIM_FIRST` where
//! they begin, `PAWL_SIM_SHARED` how many are played on PostgreSQL; `PAWL_SIM_LARGE`, `PAWL_SIM_SECRETS` and `PAWL_SIM_OPS` how large the large worlds are.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod clock;
#[path = "../contract/database.rs"]
#[expect(dead_code, reason = "the contract suite looks into it beside the store")]
mod database;
mod disk;
mod driver;
mod dual;
mod gate;
mod journal;
mod line;
mod nodes;
mod op;
mod oracle;
mod pair;
mod parties;
mod play;
mod reproductions;
mod rotator;
mod sanity;
mod seeds;
mod single;
mod target;
mod users;
mod wire;
mod world;

use crate::journal::tallied;
use crate::seeds::try_seeds;

/// What holds by design. A rule is switched off to see that the simulation finds what it is there for.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Where the store is.
    over: Over,
    /// The last look at the lease comes immediately before the statement.
    asks_the_guard: bool,
    /// Servers end silent sessions, and statements that take too long.
    has_walls: bool,
    /// One session at a time is at work with an account.
    takes_locks: bool,
    /// What a target may hold stays an unresolved candidate.
    keeps_candidates: bool,
    /// A window that was used is not planned again.
    spends_windows: bool,
    /// RETAIN is said only where AWSCURRENT is the primary.
    looks_who_is_primary: bool,
}

/// The kinds of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Sqlite,
    /// Its clock is the simulated one; a power failure of a node takes nothing of it back.
    Postgres,
}

const SOUND: Rules = Rules {
    over: Over::Sqlite,
    asks_the_guard: true,
    has_walls: true,
    takes_locks: true,
    keeps_candidates: true,
    spends_windows: true,
    looks_who_is_primary: true,
};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

// F01, F05, F17, F19, F26, F46, F102, F103
#[test]
fn whatever_happens_somebodys_password_still_works_and_the_store_still_knows_it() {
    let first = number("PAWL_SIM_FIRST", 0);
    let found = try_seeds(first..first + number("PAWL_SIM_SEEDS", 80), SOUND, op::small);
    assert!(found.is_none(), "{}", found.map(|found| found.told()).unwrap_or_default());
    // A simulation that never gets anywhere finds nothing.
    let tallied = tallied();
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret", "prove", "restore", "retire"] {
        assert!(tallied.contains_key(&(step, "done")), "no {step} has ever succeeded: {tallied:?}");
    }
    for verdict in ["retry", "rejected", "unknown", "needs-person"] {
        assert!(
            tallied.contains_key(&("setSecret", verdict)),
            "no setSecret has ever ended so: {verdict}, {tallied:?}"
        );
    }
}

// F17, F19, F21
#[test]
fn the_same_holds_on_nodes_that_share_a_postgresql() {
    if database::server().is_none() {
        return;
    }
    let first = number("PAWL_SIM_FIRST", 0);
    let rules = Rules { over: Over::Postgres, ..SOUND };
    let found = try_seeds(first..first + number("PAWL_SIM_SHARED", 10), rules, op::small);
    assert!(found.is_none(), "{}", found.map(|found| found.told()).unwrap_or_default());
}

#[test]
fn hundreds_of_secrets_on_three_nodes_come_to_rest_too() {
    let first = number("PAWL_SIM_FIRST", 0);
    let (secrets, ops) = (number("PAWL_SIM_SECRETS", 60), number("PAWL_SIM_OPS", 200));
    let large = || op::large(usize::try_from(secrets).unwrap(), usize::try_from(ops).unwrap());
    let found = try_seeds(first..first + number("PAWL_SIM_LARGE", 1), SOUND, large);
    assert!(found.is_none(), "{}", found.map(|found| found.told()).unwrap_or_default());
}
