//! AWSCURRENT was found not to log in, and is set again: the second half of giving a rotation up, without a rotation. It
//! makes no value, so whatever ends it leaves nothing behind.
//!
//! Never here: who decides that it is to be done.

use super::{Decision, Moment, Refusal, Rotation, Run, Step, Write, note, requested, wait};
use crate::Time;

/// Prove looks first: AWSCURRENT may log in by now.
pub(super) fn begin(by: String, window_ends: Time, at: &Moment) -> Result<Decision, Refusal> {
    let current = at.current.clone().ok_or(Refusal::NoCurrent)?;
    let asked = note("reconciling", format!("AWSCURRENT is set again where it does not log in; asked for by {by}"));
    let run = Run { reconciles: true, ..Run::new(current, by, window_ends) };
    Ok(look(run, vec![asked], at))
}

/// AWSCURRENT has been changed by hand: what was being sent may be another value by now, and may still land.
pub(super) fn anew(run: Run, what: String, at: &Moment) -> Decision {
    let mut writes = vec![note("interfered", what)];
    writes.extend(run.copy.clone().map(Write::DropCopy));
    match at.current.clone() {
        Some(token) => look(Run { token, attempt: 0, restores: 0, ..run }, writes, at),
        None => Decision { next: Rotation::Idle, writes, act: None },
    }
}

fn look(run: Run, mut writes: Vec<Write>, at: &Moment) -> Decision {
    let copy = at.abilities.proves_by_copy.then(|| at.fresh.clone());
    writes.push(Write::SealCurrent);
    writes.extend(copy.clone().map(Write::Copy));
    wait(Run { copy, ..run }, Step::Prove, at.now, writes)
}

/// AWSCURRENT logs in.
pub(super) fn done(run: Run) -> Decision {
    let mut writes = vec![Write::Resolve, note("reconciled", "AWSCURRENT logs in")];
    writes.extend(run.copy.map(Write::DropCopy));
    Decision { next: Rotation::Idle, writes, act: None }
}

/// What may still land is AWSCURRENT itself.
pub(super) fn give_up(run: Run) -> Decision {
    let mut writes = vec![note("abandoned", "AWSCURRENT is not set again; given up by a person")];
    writes.extend(run.copy.map(Write::DropCopy));
    Decision { next: Rotation::Idle, writes, act: None }
}

/// A rotation sets the account's credential anyway.
pub(super) fn replaced(run: Run, asked: Run, at: &Moment) -> Decision {
    let mut writes = vec![note("abandoned", "AWSCURRENT is not set again: a rotation is begun instead")];
    writes.extend(run.copy.map(Write::DropCopy));
    writes.extend(requested(&asked));
    wait(asked, Step::Create, at.now, writes)
}
