//! The rotation state machine. [`step`] is pure: it takes the state and what happened, and gives the
//! next state, the writes that commit with it, and at most one act, to be made only after that commit.
//!
//! Going forward: Create, Set, Test, Finish. Giving up: Prove, and Restore where AWSCURRENT no longer
//! logs in. A rotation is never forgotten: every way out either promotes the candidate or proves AWSCURRENT.
//!
//! A *trial* (RotateImmediately=false) is the fifth way: one Test of AWSCURRENT's own value on a temporary version. It
//! changes nothing and makes no candidate, so it has nothing to prove: however it ends, it is over.
//!
//! Never here: I/O, the clock, randomness. They come in with the [`Event`] and the [`Moment`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::id::VersionId;
use crate::outcome::{Done, Proof, StepError, Verdict};
use crate::retry;
use crate::schedule::Window;
use crate::secret::SecretBytes;

/// How many candidates one rotation may go through when the target rejects values.
pub const MAX_CANDIDATES: u32 = 3;

/// How often AWSCURRENT is put back before a person is asked why that does not help.
pub const MAX_RESTORES: u32 = 3;

/// One outside act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// createSecret: make a value.
    Create,
    /// setSecret: give the candidate to the target.
    Set,
    /// testSecret: log in with the candidate.
    Test,
    /// finishSecret: what the target needs before AWSCURRENT moves.
    Finish,
    /// Giving up: does AWSCURRENT log in?
    Prove,
    /// Giving up: make AWSCURRENT the account's credential again.
    Restore,
}

impl Step {
    /// The name users know it by: AWS's, for the four steps that are AWS's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
            Self::Prove => "prove",
            Self::Restore => "restore",
        }
    }

    fn gives_up(self) -> bool {
        matches!(self, Self::Prove | Self::Restore)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one rotation carries from step to step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The version being made; retries keep it.
    pub token: VersionId,
    /// Who or what started it, as history shows it: `schedule`, or a principal.
    pub started_by: String,
    /// The latest candidate sealed for this token; 0 before the first.
    pub candidate: u32,
    /// How many Sets of that candidate have begun and are not known to have changed nothing: above 0, the target may
    /// hold it.
    pub sets: u32,
    /// How often AWSCURRENT has been put back since the rotation was given up.
    #[serde(default)]
    pub restores: u32,
    /// Failures in a row since the last step that succeeded.
    pub attempt: u32,
    /// Refused logins spent on the account in this window.
    pub failed_logins: u32,
    /// After how many refused logins the server locks the account, where it told us.
    pub lock_limit: Option<u32>,
    /// Retries go on until here; then the next window.
    pub window_ends: Time,
    /// No rotation: only a test of what is configured, with AWSCURRENT's value.
    #[serde(default)]
    pub trial: bool,
}

/// Why a rotation stopped until a person acts. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// The server's code, or a word of ours.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// The rotation of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Rotation {
    /// None is open, and only one candidate is unresolved: the value the target holds.
    Idle,
    /// Open; nothing outside is under way; `step` is due at `not_before`.
    Waiting {
        /// What is carried along.
        run: Run,
        /// The next step.
        step: Step,
        /// When it is due.
        not_before: Time,
    },
    /// Open; `step` is committed: under way, or cut short by a crash and perhaps effective.
    Acting {
        /// What is carried along.
        run: Run,
        /// The step.
        step: Step,
    },
    /// Open; stopped until a person acts; candidates are kept.
    Parked {
        /// What is carried along.
        run: Run,
        /// The step that stopped.
        step: Step,
        /// Why, and what to do.
        reason: Reason,
    },
}

impl Rotation {
    /// What the open rotation carries; None when idle.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Idle => None,
            Self::Waiting { run, .. } | Self::Acting { run, .. } | Self::Parked { run, .. } => Some(run),
        }
    }

    /// The step it stands at; None when idle.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Idle => None,
            Self::Waiting { step, .. } | Self::Acting { step, .. } | Self::Parked { step, .. } => Some(*step),
        }
    }

    /// One word for people: `idle`, `waiting`, `acting`, `parked`.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting { .. } => "waiting",
            Self::Acting { .. } => "acting",
            Self::Parked { .. } => "parked",
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A schedule or a command asks for a rotation under this token.
    Requested {
        /// The version to make.
        token: VersionId,
        /// Who or what asks.
        by: String,
        /// Until when it may be retried.
        window_ends: Time,
    },
    /// What is configured is to be tested, and nothing rotated (RotateImmediately=false).
    TrialRequested {
        /// The temporary version.
        token: VersionId,
        /// Who asks.
        by: String,
        /// Shown as the end of retries; a trial has none.
        window_ends: Time,
    },
    /// A driver holds the lease and asks what to do: a start, a retry, or the resumption after a crash.
    Leased,
    /// The act of `step` ended.
    Ended {
        /// Which step.
        step: Step,
        /// How.
        outcome: Outcome,
    },
    /// Someone wrote the value of the open rotation's version over the API (a callback's createSecret).
    Filled(SecretBytes),
    /// Someone changed AWSCURRENT, took AWSPENDING away or cancelled rotation in the middle.
    Interfered {
        /// What they did, for history.
        what: String,
    },
    /// A person asks to go on after Parked.
    Resumed {
        /// Until when it may be retried.
        window_ends: Time,
    },
    /// A person gives the rotation up.
    Abandoned,
}

/// How an act ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Create made this value.
    Created(SecretBytes),
    /// Set, Test, Finish or Restore succeeded.
    Done(Done),
    /// Prove has an answer.
    Proved(Proof),
    /// It did not succeed.
    Failed(StepError),
}

/// The time and chance that come with an event.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Wall time.
    pub now: Time,
    /// Uniform in 0..1.
    pub jitter: f64,
    /// The next window of the secret's schedule after `now`, where it has one.
    pub next_window: Option<Window>,
}

/// A change the store commits together with the next state.
#[derive(Debug, Clone)]
pub enum Write {
    /// Register the token as a version without a value, labelled AWSPENDING.
    Placeholder,
    /// Register the token as a version that holds a copy of AWSCURRENT's value, labelled AWSPENDING.
    Copy,
    /// Take AWSPENDING off the token, and the version away unless somebody has labelled it meanwhile.
    DropCopy,
    /// Seal this value as candidate `candidate` of the token; the version shows it from now on.
    Seal {
        /// Its number, from 1.
        candidate: u32,
        /// The value.
        value: SecretBytes,
    },
    /// AWSCURRENT's value is on the target, or about to be sent there: keep it as a candidate of its own
    /// version, so that no later write or label move can take it out of our hands.
    SealCurrent,
    /// Move AWSCURRENT to the token, take AWSPENDING off; of the secret's candidates only the token's latest stays
    /// unresolved, for it is what the target holds.
    Promote,
    /// AWSCURRENT was proven: of the secret's candidates only its value stays unresolved.
    Resolve,
    /// Take AWSPENDING off the token (and the version itself away if it never had a value).
    DropPending,
    /// Take the version away if it never had a value; labels of others stay.
    DropPlaceholder,
    /// A line of history.
    Note {
        /// Short word: `requested`, `succeeded`, `parked`, `abandoned`, …
        kind: &'static str,
        /// A sentence without secrets.
        message: String,
    },
}

/// What follows from an event.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The next state.
    pub next: Rotation,
    /// What commits with it.
    pub writes: Vec<Write>,
    /// The one act to make after the commit.
    pub act: Option<Step>,
}

/// An event that the state does not take. Nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rotation is open; a new token would forget its candidate.
    #[error("a previous rotation isn't complete")]
    Open,
    /// There is no open rotation to do this to.
    #[error("no rotation is open")]
    NoneOpen,
    /// The step is not due yet.
    #[error("the rotation waits until {0}")]
    NotDue(Time),
    /// Only a person may go on.
    #[error("the rotation is parked")]
    Parked,
    /// The report is about a step the machine has left (a user's change came first).
    #[error("the report came after the rotation had moved on")]
    Stale,
    /// The version has its value already.
    #[error("the version has a value already")]
    AlreadyFilled,
    /// The rotation is under way by itself and needs nobody to resume it.
    #[error("the rotation is not parked")]
    NotParked,
}

/// Decides. Total over (state, event): what is not listed in the bodies below is a named [`Refusal`].
///
/// # Errors
/// A [`Refusal`]: the event does not apply, and nothing changes.
pub fn step(state: &Rotation, event: Event, at: Moment) -> Result<Decision, Refusal> {
    match (state.clone(), event) {
        (Rotation::Idle, Event::Requested { token, by, window_ends }) => Ok(request(token, by, window_ends, at)),
        (Rotation::Idle, Event::TrialRequested { token, by, window_ends }) => Ok(try_out(token, by, window_ends, at)),
        (Rotation::Idle, _) => Err(Refusal::NoneOpen),

        (open, Event::Requested { token, .. } | Event::TrialRequested { token, .. }) => again(open, &token),

        (Rotation::Waiting { not_before, .. }, Event::Leased) if at.now < not_before => {
            Err(Refusal::NotDue(not_before))
        }
        (Rotation::Waiting { run, step, .. }, Event::Leased) => Ok(act(run, after_a_pause(step), vec![])),
        (Rotation::Acting { run, step }, Event::Leased) => Ok(act(run, after_a_crash(step), vec![])),
        (Rotation::Parked { .. }, Event::Leased) => Err(Refusal::Parked),

        (Rotation::Acting { run, step }, Event::Ended { step: ended, outcome }) if step == ended => {
            Ok(ended_as(run, step, outcome, at))
        }
        (_, Event::Ended { .. }) => Err(Refusal::Stale),

        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Filled(value),
        ) => fill(run, value, at),

        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Interfered { what },
        ) => Ok(give_up(run, Write::DropPlaceholder, note("interfered", what), at)),
        (
            Rotation::Waiting { run, .. } | Rotation::Acting { run, .. } | Rotation::Parked { run, .. },
            Event::Abandoned,
        ) => Ok(give_up(run, Write::DropPending, note("abandoning", "given up by a person"), at)),

        (Rotation::Parked { run, step, .. }, Event::Resumed { window_ends }) => {
            let run = Run { attempt: 0, restores: 0, failed_logins: 0, window_ends, ..run };
            Ok(wait(run, step, at.now, vec![note("resumed", "resumed by a person")]))
        }
        (Rotation::Waiting { run, step, .. }, Event::Resumed { window_ends }) => {
            let run = Run { window_ends, ..run };
            Ok(wait(run, step, at.now, vec![note("resumed", "the wait was cut short by a person")]))
        }
        (Rotation::Acting { .. }, Event::Resumed { .. }) => Err(Refusal::NotParked),
    }
}

fn request(token: VersionId, by: String, window_ends: Time, at: Moment) -> Decision {
    let writes = vec![Write::SealCurrent, Write::Placeholder, note("requested", format!("requested by {by}"))];
    wait(begin(token, by, window_ends), Step::Create, at.now, writes)
}

fn try_out(token: VersionId, by: String, window_ends: Time, at: Moment) -> Decision {
    let writes =
        vec![Write::Copy, note("test-requested", format!("a test of the configuration was requested by {by}"))];
    wait(Run { trial: true, ..begin(token, by, window_ends) }, Step::Test, at.now, writes)
}

fn begin(token: VersionId, by: String, window_ends: Time) -> Run {
    Run {
        token,
        started_by: by,
        candidate: 0,
        sets: 0,
        restores: 0,
        attempt: 0,
        failed_logins: 0,
        lock_limit: None,
        window_ends,
        trial: false,
    }
}

/// The same token again is the same request; another one would forget this rotation's candidate.
fn again(open: Rotation, token: &VersionId) -> Result<Decision, Refusal> {
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

fn fill(run: Run, value: SecretBytes, at: Moment) -> Result<Decision, Refusal> {
    if run.candidate > 0 || run.trial {
        return Err(Refusal::AlreadyFilled);
    }
    let run = Run { candidate: 1, attempt: 0, ..run };
    Ok(wait(run, Step::Set, at.now, vec![Write::Seal { candidate: 1, value }]))
}

/// The way back. Without a candidate nothing was ever sent, so there is nothing to prove.
/// With one, the rotation stays open until AWSCURRENT is proven.
fn give_up(run: Run, labels: Write, why: Write, at: Moment) -> Decision {
    if run.trial {
        let closing = note("test-failed", "ended before the target had answered");
        return Decision { next: Rotation::Idle, writes: vec![why, Write::DropCopy, closing], act: None };
    }
    if run.candidate == 0 {
        let closing = note("abandoned", "given up before any value was made");
        return Decision { next: Rotation::Idle, writes: vec![why, labels, closing], act: None };
    }
    // From Restore too: what it was sending may be another AWSCURRENT by now.
    wait(Run { attempt: 0, restores: 0, ..run }, Step::Prove, at.now, vec![why, labels])
}

fn ended_as(run: Run, step: Step, outcome: Outcome, at: Moment) -> Decision {
    match outcome {
        outcome if run.trial => tested(&outcome),
        Outcome::Failed(error) => failed(run, step, &error, at),
        Outcome::Created(value) => {
            let candidate = run.candidate + 1;
            let run = Run { candidate, sets: 0, attempt: 0, ..run };
            act(run, Step::Set, vec![Write::Seal { candidate, value }])
        }
        Outcome::Done(done) => succeeded(spend(run, done.failed_logins, None), step),
        Outcome::Proved(Proof::CurrentLogsIn) => {
            let writes = vec![Write::Resolve, note("abandoned", "AWSCURRENT logs in; the rotation is given up")];
            Decision { next: Rotation::Idle, writes, act: None }
        }
        Outcome::Proved(Proof::CanRestore { .. }) => put_back(run, at),
    }
}

/// Nothing was changed, so that even an unknown outcome leaves nothing behind: a trial is not retried.
fn tested(outcome: &Outcome) -> Decision {
    let answer = match outcome {
        Outcome::Failed(error) => note("test-failed", error.message.clone()),
        _ => note("test-succeeded", "AWSCURRENT logs in"),
    };
    Decision { next: Rotation::Idle, writes: vec![Write::DropCopy, answer], act: None }
}

/// AWSCURRENT is refused: put it back, at once the first time, later the next, and not for ever. A server may take the
/// change and refuse the login all the same, as PostgreSQL does where passwords are checked by LDAP.
fn put_back(run: Run, at: Moment) -> Decision {
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

fn succeeded(run: Run, step: Step) -> Decision {
    let run = Run { attempt: 0, ..run };
    match step {
        Step::Create | Step::Set => act(run, Step::Test, vec![]),
        Step::Test => act(run, Step::Finish, vec![]),
        Step::Finish => {
            let message = format!("version {} is AWSCURRENT", run.token);
            Decision { next: Rotation::Idle, writes: vec![Write::Promote, note("succeeded", message)], act: None }
        }
        // Restoring is believed only when AWSCURRENT logs in.
        Step::Prove | Step::Restore => act(run, Step::Prove, vec![]),
    }
}

fn failed(run: Run, step: Step, error: &StepError, at: Moment) -> Decision {
    let run = spend(run, error.failed_logins, error.lock_limit);
    let run = if step == Step::Set && changed_nothing(error.verdict) { unset(run) } else { run };
    match (error.verdict, step) {
        (Verdict::Retry | Verdict::Unknown, _) => again_later(run, step, error, at),
        (Verdict::Rejected, Step::Set) if run.candidate < MAX_CANDIDATES => {
            let message = format!("candidate {} was rejected: {}", run.candidate, error.message);
            act(Run { attempt: 0, ..run }, Step::Create, vec![note("rejected", message)])
        }
        // The account does not have the candidate although Set said so: a rival set another, or the
        // server cut it short. Set looks at the world again.
        (Verdict::Rejected, Step::Test) => again_later(run, Step::Set, error, at),
        (Verdict::Rejected | Verdict::NeedsPerson, _) => park(run, step, error),
    }
}

/// Waits and tries again; past the window or the login budget, the next window; without one, a person. From the
/// first Set on it is bounded by the budget only: AWSCURRENT is at stake, not a schedule.
fn again_later(run: Run, step: Step, error: &StepError, at: Moment) -> Decision {
    let attempt = run.attempt + 1;
    let wait_for = retry::delay(attempt, at.jitter);
    let not_before = after(at, wait_for);
    let in_budget = run.failed_logins == 0 || run.failed_logins < retry::login_budget(run.lock_limit);
    // Once a value may be on the target, AWSCURRENT may be refused until this ends: that waits for no window.
    let in_window = step.gives_up() || run.sets > 0 || not_before <= run.window_ends;
    let again = note("retry", format!("{step}: {}", error.message));
    if in_budget && in_window {
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

fn after(at: Moment, wait: std::time::Duration) -> Time {
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

fn unset(run: Run) -> Run {
    Run { sets: run.sets.saturating_sub(1), ..run }
}

fn spend(run: Run, failed_logins: u32, lock_limit: Option<u32>) -> Run {
    Run {
        failed_logins: run.failed_logins.saturating_add(failed_logins),
        lock_limit: lock_limit.or(run.lock_limit),
        ..run
    }
}

fn act(run: Run, step: Step, writes: Vec<Write>) -> Decision {
    let sets = if step == Step::Set { run.sets.saturating_add(1) } else { run.sets };
    Decision { next: Rotation::Acting { run: Run { sets, ..run }, step }, writes, act: Some(step) }
}

fn wait(run: Run, step: Step, not_before: Time, writes: Vec<Write>) -> Decision {
    Decision { next: Rotation::Waiting { run, step, not_before }, writes, act: None }
}

fn note(kind: &'static str, message: impl Into<String>) -> Write {
    Write::Note { kind, message: message.into() }
}

#[cfg(test)]
mod tests;
