//! The rotation state machine. [`step`] is pure: it takes the state and what happened, and gives the
//! next state, the writes that commit with it, and at most one act, to be made only after that commit.
//!
//! Going forward: Create, Set, Test, Finish. Giving up: Prove, and Restore where AWSCURRENT no longer
//! logs in. A rotation is never forgotten: every way out either promotes the candidate or proves AWSCURRENT.
//!
//! A *trial* (RotateImmediately=false) is the fifth way: one Test of AWSCURRENT's own value on a temporary version. It
//! changes nothing and makes no candidate, so it has nothing to prove: however it ends, it is over.
//!
//! What a rotator can do beside that comes in as its [`crate::port::Abilities`]: to *retire* the old credential after a grace, to
//! *revoke* what it issued and nobody wants, to write the value by itself.
//!
//! Never here: I/O, the clock, randomness. They come in with the [`Event`] and the [`Moment`].

mod decision;
mod event;
mod grace;
mod reconcile;
mod state;

use std::time::Duration;

use crate::Time;
use crate::id::VersionId;
use crate::outcome::{Proof, StepError, Verdict};
use crate::retry;
use crate::secret::SecretBytes;

pub use self::decision::{Decision, Refusal, Write};
pub use self::event::{Event, Moment, Outcome};
pub use self::state::{Reason, Rotation, Run, Step};

/// How many candidates one rotation may go through when the target rejects values.
pub const MAX_CANDIDATES: u32 = 3;

/// How often AWSCURRENT is put back before a person is asked why that does not help.
pub const MAX_RESTORES: u32 = 3;

/// Decides. Total over (state, event): what is not listed in the bodies below is a named [`Refusal`].
///
/// # Errors
/// A [`Refusal`]: the event does not apply, and nothing changes.
pub fn step(state: &Rotation, event: Event, at: &Moment) -> Result<Decision, Refusal> {
    match (state.clone(), event) {
        (Rotation::Idle, Event::Requested { token, by, window_ends }) => {
            Ok(request(Run::new(token, by, window_ends), at))
        }
        (Rotation::Idle, Event::RollbackRequested { token, by, window_ends, carries }) => {
            Ok(request(Run { carries: Some(carries), ..Run::new(token, by, window_ends) }, at))
        }
        (Rotation::Idle, Event::TrialRequested { token, by, window_ends }) => Ok(try_out(token, by, window_ends, at)),
        (Rotation::Idle, Event::ReconcileRequested { by, window_ends }) => reconcile::begin(by, window_ends, at),
        (Rotation::Idle, Event::GraceEnded { .. }) => Err(Refusal::NoGrace),
        (Rotation::Idle, _) => Err(Refusal::NoneOpen),

        (open, Event::Requested { token, by, window_ends }) => ask_again(open, Run::new(token, by, window_ends), at),
        (open, Event::RollbackRequested { token, by, window_ends, carries }) => {
            ask_again(open, Run { carries: Some(carries), ..Run::new(token, by, window_ends) }, at)
        }
        (open, Event::TrialRequested { token, .. }) => same(open, &token),
        (_, Event::ReconcileRequested { .. }) => Err(Refusal::Open),
        (Rotation::Waiting { run, step: Step::Retire, .. }, Event::GraceEnded { by }) => Ok(grace::end(run, &by, at)),
        (_, Event::GraceEnded { .. }) => Err(Refusal::NoGrace),

        (Rotation::Waiting { not_before, .. }, Event::Leased) if at.now < not_before => {
            Err(Refusal::NotDue(not_before))
        }
        (Rotation::Waiting { run, step, .. }, Event::Leased) => Ok(resume(run, after_a_pause(step), at)),
        (Rotation::Acting { run, step }, Event::Leased) => Ok(resume(run, after_a_crash(step), at)),
        (Rotation::Parked { .. }, Event::Leased) => Err(Refusal::Parked),

        (Rotation::Acting { run, step }, Event::Ended { step: ended, outcome }) if step == ended => {
            Ok(ended_as(run, step, outcome, at))
        }
        // It was given up while setSecret was asked for, and that has begun work which outlasts the call.
        (
            Rotation::Waiting { run, step: Step::Prove, .. },
            Event::Ended { step: Step::Set, outcome: Outcome::Failed(error) },
        ) if error.verdict == Verdict::InProgress && run.working_since.is_none() => {
            let run = Run { working_since: Some(at.now), ..run };
            Ok(outlast(run, vec![], at))
        }
        (_, Event::Ended { .. }) => Err(Refusal::Stale),

        // The rotator that writes by itself is in the middle of it: its answer says when it is done.
        (Rotation::Acting { run, step: Step::Create }, Event::Filled(value)) if at.abilities.callback => {
            let (run, seal) = fill(run, value)?;
            Ok(Decision { next: Rotation::Acting { run, step: Step::Create }, writes: vec![seal], act: None })
        }
        // What an issuing receiver makes meanwhile would be nobody's.
        (
            Rotation::Waiting { run, step: Step::Create, .. }
            | Rotation::Acting { run, step: Step::Create }
            | Rotation::Parked { run, step: Step::Create, .. },
            Event::Filled(value),
        ) if !at.abilities.revokes => {
            let (run, seal) = fill(run, value)?;
            Ok(wait(run, Step::Set, at.now, vec![seal]))
        }
        (open, Event::Filled(_)) => Err(match open.run() {
            Some(run) if run.candidate == 0 && !run.trial => Refusal::NotAsked,
            _ => Refusal::AlreadyFilled,
        }),

        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Interfered { what },
        ) if run.reconciles => Ok(reconcile::anew(run, what, at)),
        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Abandoned,
        ) if run.reconciles => Ok(reconcile::give_up(run)),
        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Interfered { what },
        ) => {
            // Whoever changes AWSCURRENT by hand may have taken what was made here.
            let run = Run { kept: run.stored, ..run };
            Ok(match run.closing {
                true => close(run, vec![note("interfered", what)], at),
                false => interfered(run, note("interfered", what), at),
            })
        }
        (Rotation::Waiting { run, step: Step::Retire, not_before }, Event::Abandoned)
            if !run.promoted && run.candidate == 0 && at.current.is_some() =>
        {
            Ok(grace::withdraw(run, not_before, at))
        }
        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Abandoned,
        ) => Ok(give_up(run, Write::DropPending, note("abandoning", "given up by a person"), at)),
        (
            Rotation::Waiting { run, step, .. } | Rotation::Acting { run, step } | Rotation::Parked { run, step, .. },
            Event::Vouched { by },
        ) => match (step.gives_up() || run.given_up) && at.current.is_some() {
            true => Ok(proven(run, &format!("{by} says that AWSCURRENT logs in; the rotation is given up"), at)),
            false => Err(Refusal::NotGivenUp),
        },

        (
            Rotation::Waiting { run, step: step @ (Step::Retire | Step::Revoke), .. }
            | Rotation::Parked { run, step: step @ (Step::Retire | Step::Revoke), .. },
            Event::RotatorChanged,
        ) => Ok(call_off(run, step, vec![], at)),
        (open, Event::RotatorChanged) => Ok(Decision { next: open, writes: vec![], act: None }),

        (Rotation::Parked { run, step, .. }, Event::Resumed { window_ends }) => {
            let working_since = None;
            let run = Run { working_since, attempt: 0, returns: 0, restores: 0, failed_logins: 0, window_ends, ..run };
            Ok(wait(run, step, at.now, vec![note("resumed", "resumed by a person")]))
        }
        // A grace is for the readers of the old credential, and not cut short by the way.
        (Rotation::Waiting { run, step, .. }, Event::Resumed { window_ends }) if step != Step::Retire => {
            let run = Run { window_ends, ..run };
            Ok(wait(run, step, at.now, vec![note("resumed", "the wait was cut short by a person")]))
        }
        (Rotation::Waiting { .. } | Rotation::Acting { .. }, Event::Resumed { .. }) => Err(Refusal::NotParked),
    }
}

fn request(run: Run, at: &Moment) -> Decision {
    let writes = requested(&run);
    wait(run, Step::Create, at.now, writes)
}

fn requested(run: &Run) -> Vec<Write> {
    vec![Write::SealCurrent, Write::Placeholder, note("requested", format!("requested by {}", run.started_by))]
}

fn try_out(token: VersionId, by: String, window_ends: Time, at: &Moment) -> Decision {
    let asked = note("test-requested", format!("a test of the configuration was requested by {by}"));
    let writes = vec![Write::Copy(token.clone()), asked];
    wait(Run { trial: true, ..Run::new(token, by, window_ends) }, Step::Test, at.now, writes)
}

/// The same token again is the same request; another one would forget this rotation's candidate, unless it has none: all
/// that is left is the end of a grace, or AWSCURRENT is to be set again.
fn ask_again(open: Rotation, asked: Run, at: &Moment) -> Result<Decision, Refusal> {
    match open {
        open if open.run().is_some_and(|run| run.token == asked.token) => same(open, &asked.token),
        Rotation::Waiting { run, .. } | Rotation::Parked { run, .. } if run.reconciles => {
            Ok(reconcile::replaced(run, asked, at))
        }
        Rotation::Waiting { run, step: Step::Retire, not_before } if run.promoted => {
            Ok(grace::ask_within(&run, asked, not_before, at))
        }
        Rotation::Acting { run, step: Step::Retire } if run.promoted => Ok(grace::ask_at_its_end(&run, asked)),
        Rotation::Parked { run, step: Step::Retire, reason } if run.promoted => {
            Ok(grace::left_alone(&run, asked, &reason.message, at))
        }
        _ => Err(Refusal::Open),
    }
}

fn same(open: Rotation, token: &VersionId) -> Result<Decision, Refusal> {
    match open.run() {
        Some(run) if run.token == *token => Ok(Decision { next: open, writes: vec![], act: None }),
        _ => Err(Refusal::Open),
    }
}

/// A proof goes stale while nobody holds the lease, so Finish tests again.
fn after_a_pause(step: Step) -> Step {
    match step {
        Step::Finish => Step::Test,
        other => other,
    }
}

/// Whoever held the lease died in this step. Restore proves again first: the user may have put
/// things right, and Prove is the step that looks.
fn after_a_crash(step: Step) -> Step {
    match step {
        Step::Finish => Step::Test,
        Step::Restore => Step::Prove,
        other => other,
    }
}

fn resume(run: Run, step: Step, at: &Moment) -> Decision {
    match step {
        Step::Create => make(run, vec![], at),
        // The rotator may have been told meanwhile to do without.
        Step::Retire if at.abilities.retires_after.is_none() => call_off(run, step, vec![], at),
        Step::Revoke if !at.abilities.revokes => call_off(run, step, vec![], at),
        step => act(run, step, vec![]),
    }
}

/// Create. What was issued before and not stored, or was rejected, is ended first: nobody else knows that it is there.
/// What the other end is at work on is no such thing: it is asked for again.
fn make(run: Run, writes: Vec<Write>, at: &Moment) -> Decision {
    match at.abilities.revokes && run.working_since.is_none() && run.orphans().next().is_some() {
        true => act(run, Step::Revoke, writes),
        false => act(run, Step::Create, writes),
    }
}

/// Retire and Revoke are left out: what was to be ended may be wanted again, or nobody is there to end it.
fn call_off(run: Run, step: Step, mut writes: Vec<Write>, at: &Moment) -> Decision {
    let left = "what was to be ended is left as it is; it may have been ended already where that was under way";
    writes.push(note("called-off", format!("{step}: {left}")));
    if run.is_over() {
        return Decision { next: Rotation::Idle, writes, act: None };
    }
    // A rotation that waited for it begins.
    let run = Run { attempt: 0, retiring: None, revoked: run.issued, ..run };
    wait(run, Step::Create, at.now, writes)
}

fn fill(run: Run, value: SecretBytes) -> Result<(Run, Write), Refusal> {
    if run.candidate > 0 || run.trial {
        return Err(Refusal::AlreadyFilled);
    }
    Ok((Run { candidate: 1, attempt: 0, ..run }, Write::Seal { candidate: 1, value }))
}

/// Somebody has changed AWSCURRENT, or taken AWSPENDING away. That ends no grace.
fn interfered(run: Run, why: Write, at: &Moment) -> Decision {
    if run.promoted {
        let mut writes = vec![why.clone()];
        if let Some(grace) = grace::goes_on(&run, &mut writes, at) {
            return grace;
        }
    }
    give_up(run, Write::DropPlaceholder, why, at)
}

/// The way back. Without a candidate nothing was ever sent, so there is nothing to prove.
/// With one, the rotation stays open until AWSCURRENT is proven.
fn give_up(run: Run, labels: Write, why: Write, at: &Moment) -> Decision {
    if run.trial {
        let closing = note("test-failed", "ended before the target had answered");
        let token = run.token;
        return Decision { next: Rotation::Idle, writes: vec![why, Write::DropCopy(token), closing], act: None };
    }
    if run.promoted && run.retiring.is_some() && at.current == run.retiring {
        // Its credential may have been ended in this very moment.
        let run = Run { attempt: 0, restores: 0, promoted: false, retiring: None, ..run };
        return wait(run, Step::Prove, at.now, vec![why]);
    }
    if run.is_over() {
        // Whatever somebody has done may have made a credential wanted again that was to be ended.
        let step = if run.promoted { Step::Retire } else { Step::Revoke };
        return call_off(run, step, vec![why], at);
    }
    if run.candidate == 0 {
        let mut writes = vec![why, labels, note("abandoned", "given up before any value was made")];
        if let Some(grace) = grace::goes_on(&run, &mut writes, at) {
            return grace;
        }
        let kept = |version| note("called-off", format!("version {version} is not retired: it goes on logging in"));
        writes.extend(run.retiring.as_ref().map(kept));
        return close(run, writes, at);
    }
    let mut writes = vec![why, labels];
    writes.extend(run.copy.map(Write::DropCopy));
    let copy = (at.abilities.proves_by_copy && at.current.is_some()).then(|| at.fresh.clone());
    writes.extend(copy.clone().map(Write::Copy));
    // From Restore too: what it was sending may be another AWSCURRENT by now.
    let run = Run { attempt: 0, restores: 0, given_up: false, copy, ..run };
    match run.working_since.is_some() && run.sets > 0 {
        true => outlast(run, writes, at),
        false => wait(run, Step::Prove, at.now, writes),
    }
}

/// The other end may set the candidate whenever it comes to it: AWSCURRENT can be proven only after that.
fn outlast(run: Run, mut writes: Vec<Write>, at: &Moment) -> Decision {
    writes.push(note("in-progress", "the other end is still at work on setSecret; that is waited for"));
    wait(Run { given_up: true, ..run }, Step::Set, at.now, writes)
}

/// AWSCURRENT logs in, or was never touched: what was issued for this rotation is ended, if anything was.
fn close(run: Run, mut writes: Vec<Write>, at: &Moment) -> Decision {
    if !at.abilities.revokes {
        return Decision { next: Rotation::Idle, writes, act: None };
    }
    // A version that somebody has labelled is wanted, whoever made its credential.
    let wanted = [&at.current, &at.previous].into_iter().flatten().any(|version| *version == run.token);
    let kept = if wanted { run.stored } else { run.kept };
    let run = Run { attempt: 0, working_since: None, closing: true, kept, ..run };
    if kept > run.revoked {
        let left = "labels were moved by hand: the credential that was stored for it is not revoked";
        writes.push(note("called-off", left));
    }
    let is_left = run.orphans().next().is_some();
    if is_left {
        return wait(run, Step::Revoke, at.now, writes);
    }
    Decision { next: Rotation::Idle, writes, act: None }
}

fn proven(run: Run, why: &str, at: &Moment) -> Decision {
    if run.reconciles {
        return reconcile::done(run);
    }
    let mut writes = vec![Write::Resolve, note("abandoned", why)];
    writes.extend(run.copy.clone().map(Write::DropCopy));
    if let Some(grace) = grace::goes_on(&run, &mut writes, at) {
        return grace;
    }
    close(run, writes, at)
}

fn ended_as(run: Run, step: Step, outcome: Outcome, at: &Moment) -> Decision {
    match outcome {
        Outcome::Failed(error) if error.verdict == Verdict::InProgress => in_progress(run, step, &error, at),
        outcome if run.trial => tested(run, &outcome),
        // Whatever it did, it has ended: Prove finds out.
        Outcome::Done(_) if run.given_up => prove_at_last(run),
        Outcome::Failed(error) if run.given_up && error.verdict == Verdict::Rejected => prove_at_last(run),
        Outcome::Failed(error) => failed(run, step, &error, at),
        Outcome::Created(value, _) => {
            let (candidate, stored) = (run.candidate + 1, run.issued);
            let run = Run { candidate, stored, working_since: None, sets: 0, attempt: 0, ..run };
            act(run, Step::Set, vec![Write::Seal { candidate, value }])
        }
        Outcome::Done(done) => {
            let retains = if step == Step::Set { done.retains } else { run.retains };
            succeeded(spend(Run { retains, ..run }, done.failed_logins, None), step, at)
        }
        Outcome::Proved(Proof::CurrentLogsIn) => proven(run, "AWSCURRENT logs in; the rotation is given up", at),
        Outcome::Proved(Proof::CanRestore { .. }) => put_back(run, at),
    }
}

fn prove_at_last(run: Run) -> Decision {
    act(Run { given_up: false, working_since: None, attempt: 0, ..run }, Step::Prove, vec![])
}

/// Nothing was changed, so that even an unknown outcome leaves nothing behind: a trial is not retried.
fn tested(run: Run, outcome: &Outcome) -> Decision {
    let answer = match outcome {
        Outcome::Failed(error) => note("test-failed", error.message.clone()),
        _ => note("test-succeeded", "AWSCURRENT logs in"),
    };
    Decision { next: Rotation::Idle, writes: vec![Write::DropCopy(run.token), answer], act: None }
}

/// AWSCURRENT is refused: put it back, at once the first time, later the next, and not for ever. A server may take the
/// change and refuse the login all the same, as PostgreSQL does where passwords are checked by LDAP.
fn put_back(run: Run, at: &Moment) -> Decision {
    let restores = run.restores + 1;
    let run = Run { attempt: 0, restores, ..run };
    if restores == 1 {
        return act(run, Step::Restore, vec![Write::SealCurrent]);
    }
    if restores <= MAX_RESTORES {
        let not_before = after(at, retry::delay(restores, at.jitter));
        return wait(run, Step::Restore, not_before, vec![Write::SealCurrent]);
    }
    let message = "AWSCURRENT was put back on the account and is refused all the same";
    let error = StepError::new(Verdict::NeedsPerson, "restore", message)
        .remedy("see what else decides about this account's logins (another password source, a rival tool), make AWSCURRENT log in, then resume");
    park(run, Step::Prove, &error)
}

fn succeeded(run: Run, step: Step, at: &Moment) -> Decision {
    let run = Run { attempt: 0, working_since: None, ..run };
    match step {
        Step::Create if run.candidate == 0 => again_later(run, Step::Create, &nothing_written(), at),
        Step::Create => act(run, Step::Set, vec![]),
        Step::Set => act(run, Step::Test, vec![]),
        Step::Test => act(Run { returns: 0, ..run }, Step::Finish, vec![]),
        Step::Finish => grace::promote(run, at),
        // Restoring is believed only when AWSCURRENT logs in.
        Step::Prove | Step::Restore => act(run, Step::Prove, vec![]),
        Step::Retire => grace::retired(run, at),
        Step::Revoke if run.closing => {
            let ended = note("revoked", "what was issued for this rotation is ended");
            Decision { next: Rotation::Idle, writes: vec![ended], act: None }
        }
        Step::Revoke => act(Run { revoked: run.issued, ..run }, Step::Create, vec![]),
    }
}

fn nothing_written() -> StepError {
    let message = "createSecret ended without a value: none was written for this version";
    StepError::new(Verdict::Retry, "nothing-written", message)
        .remedy("have the function call PutSecretValue with ClientRequestToken and VersionStages [AWSPENDING]")
}

fn failed(run: Run, step: Step, error: &StepError, at: &Moment) -> Decision {
    let run = spend(run, error.failed_logins, error.lock_limit);
    // What was in progress may still be when no answer came.
    let was_working = run.working_since.is_some() && matches!(error.verdict, Verdict::Retry | Verdict::Unknown);
    let run = if changed_nothing(error.verdict) && !was_working { unbegun(run, step) } else { run };
    let run = if was_working { run } else { Run { working_since: None, ..run } };
    match (error.verdict, step) {
        (Verdict::Retry | Verdict::Unknown | Verdict::InProgress, _) => again_later(run, step, error, at),
        (Verdict::Rejected, Step::Set) if run.carries.is_some() => grace::refused_again(run, error, at),
        // A rotator that writes by itself cannot be asked for another value: the version has one.
        (Verdict::Rejected, Step::Set) if run.candidate < MAX_CANDIDATES && !at.abilities.callback => {
            let message = format!("candidate {} was rejected: {}", run.candidate, error.message);
            make(Run { attempt: 0, ..run }, vec![note("rejected", message)], at)
        }
        // The account does not have the candidate although Set said so: a rival set another, or the
        // server cut it short. Set looks at the world again.
        (Verdict::Rejected, Step::Test) => {
            // Each Set that succeeds between two of these begins to count anew: the waits grow all the same.
            let returns = run.returns.saturating_add(1);
            again_later(Run { returns, attempt: run.attempt.max(run.returns), ..run }, Step::Set, error, at)
        }
        (Verdict::Rejected | Verdict::NeedsPerson, _) => park(run, step, error),
    }
}

/// The other end works on it and asks to be asked again, which is not done for ever.
fn in_progress(run: Run, step: Step, error: &StepError, at: &Moment) -> Decision {
    let since = run.working_since.unwrap_or(at.now);
    let is_new = run.working_since.is_none();
    let run = Run { working_since: Some(since), ..run };
    let too_long = (at.now - since).to_std().is_ok_and(|worked| worked > retry::LONGEST_WORK);
    // What is held has a deadline of its own.
    if too_long && !run.trial && !error.is_held() {
        let endless =
            StepError::new(Verdict::NeedsPerson, "endless", format!("{}, and has been for a day", error.message))
                .remedy("see what the other end is at work on, then resume");
        return park(run, step, &endless);
    }
    let wait_for = error.retry_after.unwrap_or(retry::ASK_AGAIN).clamp(retry::FLOOR, retry::CAP);
    let not_before = after(at, wait_for);
    if !may_go_on(&run, step, not_before) {
        let outcome = Outcome::Failed(error.clone());
        return if run.trial { tested(run, &outcome) } else { again_later(run, step, error, at) };
    }
    let again = is_new.then(|| note("in-progress", format!("{step}: {}", error.message)));
    wait(run, step, not_before, again.into_iter().collect())
}

/// From the first Set on a rotation is bounded by the budget only: AWSCURRENT is at stake, not a schedule.
fn may_go_on(run: &Run, step: Step, not_before: Time) -> bool {
    // Once a value may be on the target, AWSCURRENT may be refused until this ends: that waits for no window. Nor does
    // the end of what is over.
    step.gives_up() || run.sets > 0 || run.is_over() || step == Step::Retire || not_before <= run.window_ends
}

/// Waits and tries again; past the window or the login budget, the next window; without one, a person.
fn again_later(run: Run, step: Step, error: &StepError, at: &Moment) -> Decision {
    let attempt = run.attempt + 1;
    let asked = error.retry_after.unwrap_or_default().min(retry::CAP);
    let not_before = after(at, retry::delay(attempt, at.jitter).max(asked));
    let in_budget = run.failed_logins == 0 || run.failed_logins < retry::login_budget(run.lock_limit);
    let again = note("retry", format!("{step}: {}", error.message));
    if in_budget && may_go_on(&run, step, not_before) {
        return wait(Run { attempt, ..run }, step, not_before, vec![again]);
    }
    // A budget that is spent is given anew by the next window. Where AWSCURRENT may be refused meanwhile, a person
    // is asked at once.
    let next_window = at.next_window.filter(|_| run.sets == 0 && !step.gives_up());
    match next_window {
        Some(window) => {
            let run = Run { attempt: 0, failed_logins: 0, window_ends: window.closes, ..run };
            wait(run, step, window.opens, vec![again, note("postponed", "retries go on in the next window")])
        }
        None => park(run, step, error),
    }
}

fn after(at: &Moment, wait: Duration) -> Time {
    at.now + chrono::TimeDelta::from_std(wait).unwrap_or(chrono::TimeDelta::minutes(30))
}

fn park(run: Run, step: Step, error: &StepError) -> Decision {
    let reason = Reason { code: error.code.clone(), message: error.message.clone(), remedy: error.remedy.clone() };
    let writes = vec![note("parked", format!("{step}: {}", error.message))];
    Decision { next: Rotation::Parked { run, step, reason }, writes, act: None }
}

/// The target said so, or was never asked.
fn changed_nothing(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Retry | Verdict::Rejected)
}

/// As if the step had never begun.
fn unbegun(run: Run, step: Step) -> Run {
    match step {
        Step::Set => Run { sets: run.sets.saturating_sub(1), ..run },
        Step::Create => Run { issued: run.issued.saturating_sub(1), ..run },
        _ => run,
    }
}

fn spend(run: Run, failed_logins: u32, lock_limit: Option<u32>) -> Run {
    Run {
        failed_logins: run.failed_logins.saturating_add(failed_logins),
        lock_limit: lock_limit.or(run.lock_limit),
        ..run
    }
}

fn act(run: Run, step: Step, writes: Vec<Write>) -> Decision {
    let run = match step {
        Step::Set => Run { sets: run.sets.saturating_add(1), ..run },
        // What is in progress is asked for again under its number.
        Step::Create if run.working_since.is_none() => Run { issued: run.issued.saturating_add(1), ..run },
        _ => run,
    };
    Decision { next: Rotation::Acting { run, step }, writes, act: Some(step) }
}

fn wait(run: Run, step: Step, not_before: Time, writes: Vec<Write>) -> Decision {
    Decision { next: Rotation::Waiting { run, step, not_before }, writes, act: None }
}

/// As people read it.
fn shown(time: Time) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M:%S UTC")
}

fn note(kind: &'static str, message: impl Into<String>) -> Write {
    Write::Note { kind, message: message.into() }
}

#[cfg(test)]
mod tests;
