//! The end of a rotation and what comes after: AWSCURRENT moves, the credential before it goes on working for its grace,
//! and is retired then; and what is asked for in the meantime.
//!
//! Never here: the way back ([`super::reconcile`] and `give_up`).

use std::time::Duration;

use super::{Decision, Moment, Rotation, Run, Step, Write, after, give_up, make, note, requested, shown, wait};
use crate::Time;
use crate::id::VersionId;
use crate::outcome::StepError;

/// The version becomes AWSCURRENT; the credential before it goes on working for its grace, where the rotator ends it.
pub(super) fn promote(run: Run, at: &Moment) -> Decision {
    let mut writes = vec![Write::Promote, note("succeeded", format!("version {} is AWSCURRENT", run.token))];
    // A rotator that writes by itself may have moved the label already.
    let before = at.current.clone().filter(|current| *current != run.token).or(at.previous.clone());
    let works = run.retains || !at.abilities.retires_retained;
    match (at.abilities.retires_after, before) {
        (Some(grace), Some(before)) if works => {
            let not_before = after(at, Duration::from_secs(grace));
            writes.push(note("retiring", format!("version {before} is retired at {}", shown(not_before))));
            let run = Run { promoted: true, retiring: Some(before), retire_at: Some(not_before), ..run };
            wait(run, Step::Retire, not_before, writes)
        }
        _ => Decision { next: Rotation::Idle, writes, act: None },
    }
}

/// The old credential is ended. A rotation that was asked for meanwhile begins.
pub(super) fn retired(run: Run, at: &Moment) -> Decision {
    let version = run.retiring.as_ref().map_or("", VersionId::as_str);
    let writes = vec![note("retired", format!("version {version} is retired"))];
    match run.promoted {
        true => Decision { next: Rotation::Idle, writes, act: None },
        false => make(Run { retiring: None, retire_at: None, ..run }, writes, at),
    }
}

/// A rotation that is asked for within the grace begins when that is over: there is no room for a third credential. One
/// that carries the very value which would be retired needs no room, and begins at once.
pub(super) fn ask_within(before: &Run, asked: Run, not_before: Time, at: &Moment) -> Decision {
    let mut writes = requested(&asked);
    if let Some(carried) = asked.carries.clone().filter(|carried| before.retiring.as_ref() == Some(carried)) {
        let kept = format!("version {carried} is not retired now: its value becomes AWSCURRENT again");
        writes.push(note("kept", kept));
        return wait(after_retiring(before, asked), Step::Create, at.now, writes);
    }
    writes.push(note("waits", format!("it begins at {}, when the old credential is retired", shown(not_before))));
    wait(after_retiring(before, asked), Step::Retire, not_before, writes)
}

/// The same in the moment in which it is retired.
pub(super) fn ask_at_its_end(before: &Run, asked: Run) -> Decision {
    let writes = requested(&asked);
    let next = Rotation::Acting { run: after_retiring(before, asked), step: Step::Retire };
    Decision { next, writes, act: None }
}

fn after_retiring(before: &Run, asked: Run) -> Run {
    Run { retiring: before.retiring.clone(), retire_at: before.retire_at, ..asked }
}

/// A rotation that waits for a grace to end is given up; the grace ends all the same.
pub(super) fn withdraw(run: Run, not_before: Time, at: &Moment) -> Decision {
    let writes =
        vec![Write::DropPending, note("abandoned", "given up before it began; the old credential is still retired")];
    let current = at.current.clone().unwrap_or(run.token);
    let before = Run::new(current, run.started_by, run.window_ends);
    let before = Run { promoted: true, retiring: run.retiring, retire_at: run.retire_at, ..before };
    wait(before, Step::Retire, not_before, writes)
}

/// What waits for the end of a grace is given up, or somebody has written a value or moved a label in it: the old credential
/// is retired all the same, when its grace is over, unless it is AWSCURRENT again. Retire looks before it ends anything.
/// None where nothing is to be retired, or where the rotator made the credential (it may be wanted again then).
pub(super) fn goes_on(run: &Run, writes: &mut Vec<Write>, at: &Moment) -> Option<Decision> {
    let retiring = run.retiring.clone()?;
    let current = at.current.clone().filter(|current| *current != retiring)?;
    let is_previous = at.previous.as_ref() == Some(&retiring);
    // A rollback that has begun may have made it the account's own again, wherever the labels are now.
    let goes_on = at.abilities.retires_retained || run.carries.as_ref() == Some(&retiring) && is_previous;
    if !goes_on {
        return None;
    }
    let not_before = run.retire_at.map_or(at.now, |over| over.max(at.now));
    writes.push(note("retiring", format!("version {retiring} is retired at {}", shown(not_before))));
    let before = Run::new(current, run.started_by.clone(), run.window_ends);
    let run = Run { promoted: true, retiring: Some(retiring), retire_at: run.retire_at, ..before };
    Some(wait(run, Step::Retire, not_before, std::mem::take(writes)))
}

/// The old credential could not be retired, which is no reason to rotate no more: a rotation that is asked for begins.
pub(super) fn left_alone(before: &Run, asked: Run, reason: &str, at: &Moment) -> Decision {
    let version = before.retiring.as_ref().map_or("", VersionId::as_str);
    let left = format!("version {version} could not be retired ({reason}); it may log in until its account is changed");
    let mut writes = requested(&asked);
    writes.push(note("called-off", left));
    wait(asked, Step::Create, at.now, writes)
}

/// A person ends the grace. Without its end nothing holds the old credential any longer.
pub(super) fn end(run: Run, by: &str, at: &Moment) -> Decision {
    let version = run.retiring.as_ref().map_or("", VersionId::as_str);
    let ended = note("grace-ended", format!("{by} ends the grace of version {version} now"));
    wait(Run { retire_at: None, working_since: None, attempt: 0, ..run }, Step::Retire, at.now, vec![ended])
}

/// A rollback cannot take another value: it is given up, and AWSCURRENT stays.
pub(super) fn refused_again(run: Run, error: &StepError, at: &Moment) -> Decision {
    let carried = run.carries.as_ref().map_or("", VersionId::as_str);
    let why = format!(
        "the target does not take the value of version {carried} again: {}; AWSCURRENT stays what it is",
        error.message
    );
    give_up(run, Write::DropPending, note("rejected", why), at)
}
