//! The fault matrix: every step of a rotation, with everything that can go wrong in it, on every way to rotate and every
//! store. Each cell ends with AWSCURRENT logging in without a person, or parked with both candidates kept and a message;
//! with no lockout, no lost version and no second value.
//!
//! `make test` plays each step with each fault once. `PAWL_FAULT_MATRIX=all` plays all cells, `PAWL_FAULT_MATRIX=rest` those
//! that have no result yet; both write `docs/fault-matrix.md`. `PAWL_FAULT_CELLS=WORDS` plays only
//! cells with these words in their names; `PAWL_FAULT_STORES` chooses the stores.

mod cell;
mod full;
mod oracle;
mod page;
mod play;
mod stage;
mod store;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use self::cell::Cell;
use self::play::Outcome;
use crate::harness::so_many_at_a_time;

/// Most of a cell is waiting for a lease.
const AT_A_TIME: usize = 8;

/// Which cells the person who runs this wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    OneOfEach,
    All,
    Rest,
}

#[expect(clippy::disallowed_methods, reason = "which cells to play is said by the person who runs them")]
fn wanted() -> (Wanted, String) {
    let words = std::env::var("PAWL_FAULT_CELLS").unwrap_or_default();
    let wanted = match std::env::var("PAWL_FAULT_MATRIX").as_deref() {
        Ok("all") => Wanted::All,
        Ok("rest") => Wanted::Rest,
        Ok(other) => panic!("PAWL_FAULT_MATRIX={other}: it may be `all` or `rest`"),
        Err(_) if !words.is_empty() => Wanted::All,
        Err(_) => Wanted::OneOfEach,
    };
    (wanted, words)
}

// F01, F03, F04, F05, F06, F08, F19
#[test]
fn every_step_survives_everything_that_can_go_wrong_in_it() {
    let (wanted, words) = wanted();
    let mut cells = if wanted == Wanted::OneOfEach { cell::one_of_each() } else { cell::all() };
    cells.retain(|cell| cell.cannot_be().is_none() && words.split(' ').all(|word| cell.id().contains(word)));
    if wanted == Wanted::Rest {
        cells.retain(|cell| !page::has_passed(cell));
    }
    let failed = play_all(cells, wanted != Wanted::OneOfEach);
    if wanted != Wanted::OneOfEach && words.is_empty() {
        page::write();
    }
    let list: Vec<String> = failed.iter().map(|(cell, why)| format!("{cell}: {why}")).collect();
    assert!(list.is_empty(), "{} cells failed:\n{}", list.len(), list.join("\n\n"));
}

/// Plays them, and returns those that failed and why.
fn play_all(cells: Vec<Cell>, record: bool) -> BTreeMap<String, String> {
    let failed = Mutex::new(BTreeMap::new());
    so_many_at_a_time(AT_A_TIME, cells, |cell| {
        let played = catch_unwind(AssertUnwindSafe(|| play::play(cell))).map_err(|panic| said(&*panic));
        let result = match played {
            Ok(Some(Outcome::Completed(took))) => format!("completed {:.1}", took.as_secs_f64()),
            Ok(Some(Outcome::Parked(message))) => format!("parked {message}"),
            Ok(None) => return,
            Err(why) => {
                failed.lock().expect("nothing panics in the lock").insert(cell.id(), why.clone());
                format!("failed {why}")
            }
        };
        if record {
            page::record(&cell, &result);
        }
    });
    failed.into_inner().expect("nothing panics in the lock")
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

#[test]
fn the_page_of_the_fault_matrix_has_every_cell() {
    let missing: Vec<String> = page::missing();
    assert!(
        missing.is_empty(),
        "docs/fault-matrix.md is not of these cells (PAWL_FAULT_MATRIX=rest plays what lacks and writes it):\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_step_and_a_fault_that_can_meet_do_so_in_make_test() {
    let played: Vec<_> = cell::one_of_each().into_iter().map(|cell| (cell.step, cell.fault)).collect();
    let can_be = cell::all().into_iter().filter(|cell| cell.fault.is_some() && cell.cannot_be().is_none());
    let missing: Vec<_> = can_be.filter(|cell| !played.contains(&(cell.step, cell.fault))).collect();
    assert_eq!(missing, []);
}
