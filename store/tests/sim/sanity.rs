//! A rule switched off is found: the simulation can fail.

use crate::seeds::try_seeds;
use crate::{Rules, SOUND, op};

/// What the first of the seeds that fails says.
fn found(rules: Rules) -> String {
    let found = try_seeds(0..2000, rules, op::small).unwrap_or_else(|| panic!("nothing was found"));
    found.what
}

#[test]
fn the_simulation_finds_the_late_statement_when_nobody_asks_the_guard_and_servers_wait_for_ever() {
    let what = found(Rules { asks_the_guard: false, has_walls: false, ..SOUND });
    assert!(["lockout", "two owners", "AWSCURRENT", "lost"].iter().any(|word| what.starts_with(word)), "{what}");
}

#[test]
fn the_simulation_finds_awscurrent_evicted_when_nobody_looks_which_password_is_the_primary() {
    let what = found(Rules { looks_who_is_primary: false, ..SOUND });
    assert!(["lockout", "AWSCURRENT", "lost"].iter().any(|word| what.starts_with(word)), "{what}");
}
