//! Carries out what the rotation machine decides: an event, its writes and the next state, in the caller's transaction.
//!
//! Never here: decisions (they are `engine::rotation`'s), leases, outside calls.

use engine::Time;
use engine::id::VersionId;
use engine::label;
use engine::outcome::Proof;
use engine::rotation::{self, Decision, Event, Moment, Outcome, Run, Write};
use engine::schedule::Limits;
use engine::secret::{SecretBytes, SecretValue, ValueKind};

use crate::StoreError;
use crate::history::Ended;
use crate::instant::whole_ms;
use crate::mark::Marks;
use crate::model::Facts;
use crate::open::Inner;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::{candidate, due, history, registration, sealed, version};

/// What comes with an event.
pub(crate) struct Occasion<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) now: Time,
    /// Uniform in 0..1.
    pub(crate) jitter: f64,
    /// Of a value that comes with the event.
    pub(crate) kind: ValueKind,
    /// Who did it, where it was not the machine.
    pub(crate) by: Option<&'a str>,
}

impl<'a> Occasion<'a> {
    /// Someone called over the API.
    pub(crate) fn called(inner: &'a Inner, by: &'a str, now: Time) -> Self {
        Self { inner, now, jitter: rand::random(), kind: ValueKind::String, by: Some(by) }
    }

    fn limits(&self) -> Limits {
        self.inner.options.schedule_limits
    }
}

/// Runs the machine on the subject's state and carries out what it says. The caller saves the subject and commits.
pub(crate) async fn apply(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    event: Event,
    at: &Occasion<'_>,
) -> Result<Decision, StoreError> {
    let before = subject.rotation.state.clone();
    let ended = ending(&event);
    let moment = Moment {
        now: at.now,
        jitter: at.jitter,
        next_window: subject.rotation.next_window(at.now, at.limits()),
        abilities: registration::abilities(w.conn(), &subject.rotation.lane, &subject.rotation.options).await?,
        current: subject.labels.holder(label::CURRENT).cloned(),
        previous: subject.labels.holder(label::PREVIOUS).cloned(),
        fresh: VersionId::random(&mut rand::rng()),
    };
    let decision = rotation::step(&before, event, &moment)?;
    if let Some(ended) = ended {
        history::end(w.conn(), subject.secret.id, &ended, at.now).await?;
    }
    // What comes with a placeholder speaks of the run that begins, perhaps while a grace is still open; everything else
    // of the one that was open.
    let begins = decision.writes.iter().any(|write| matches!(write, Write::Placeholder));
    let was_open = before.run().filter(|_| !begins);
    let run = was_open.or(decision.next.run()).cloned();
    if let Some(by) = at.by.or(run.as_ref().map(|run| run.started_by.as_str())) {
        w.acting(by);
    }
    subject.rotation.state = decision.next.clone();
    for write in &decision.writes {
        carry_out(w, subject, run.as_ref(), write, at).await?;
    }
    if let (Some(step), Some(run)) = (decision.act, decision.next.run()) {
        history::begin(w.conn(), &subject.rotation, run, step, at.now).await?;
    }
    let closed = before.run().is_some() && subject.rotation.state.run().is_none();
    if closed {
        history::trim(w.conn(), subject.secret.id).await?;
    }
    // A plan is made when AWSCURRENT has moved, or the rotation is given up; what comes after that leaves it alone.
    let promoted = decision.writes.iter().any(|write| matches!(write, Write::Promote));
    let leaves_plan = before.run().is_some_and(|run| run.trial || run.promoted || run.reconciles);
    settle(subject, promoted || closed && !leaves_plan, at);
    if decision.writes.iter().any(|write| matches!(write, Write::Promote | Write::Resolve)) {
        subject.seen_to_log_in(at.now);
    }
    if closed && leaves_plan {
        make_up(w, subject, at).await?;
    }
    // Whoever is to act goes on by itself; only what waits concerns the scheduler.
    if decision.act.is_none() {
        w.wake();
    }
    Ok(decision)
}

/// The plan that goes with the new state. A rotation that has just closed, however, is followed by a window that opens
/// after now: it must not start again by itself in the window it was in. A trial, and the end of a grace, leave the plan
/// as it is.
fn settle(subject: &mut Subject, rotated: bool, at: &Occasion<'_>) {
    if rotated {
        subject.rotation.plan(at.now, at.limits());
    }
    subject.rotation.set_due(&subject.secret.arn, at.now);
}

/// A window that passed while a trial or a grace was open is made up for like any that was missed.
async fn make_up(w: &mut Writing<'_>, subject: &mut Subject, at: &Occasion<'_>) -> Result<(), StoreError> {
    let row = &subject.rotation;
    let late = row.made_up_for(&subject.secret.arn, at.now, at.limits());
    if let Some(due) = late.filter(|_| row.due.is_some()) {
        due::note_missed(w, row, due, at.now).await?;
        subject.rotation.due = Some(due);
    }
    Ok(())
}

fn ending(event: &Event) -> Option<Ended> {
    let Event::Ended { step, outcome } = event else {
        return None;
    };
    let done = |message: String| Ended { step: *step, verdict: "done", message, status: None };
    Some(match outcome {
        Outcome::Failed(error) => {
            Ended { step: *step, verdict: error.verdict.name(), message: error.message.clone(), status: error.status }
        }
        Outcome::Created(_, said) | Outcome::Done(said) => Ended { status: said.status, ..done(said.note.clone()) },
        Outcome::Proved(Proof::CurrentLogsIn) => done("AWSCURRENT logs in".to_owned()),
        Outcome::Proved(Proof::CanRestore { held: Some(held) }) => {
            done(format!("the target holds {held}; AWSCURRENT does not log in and can be put back"))
        }
        Outcome::Proved(Proof::CanRestore { held: None }) => {
            done("AWSCURRENT does not log in and can be put back; what the target holds was not tried".to_owned())
        }
    })
}

async fn carry_out(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    run: Option<&Run>,
    write: &Write,
    at: &Occasion<'_>,
) -> Result<(), StoreError> {
    let id = subject.secret.id;
    if let Write::Note { kind, message } = write {
        return history::note(w, id, run, kind, at.by, message, at.now).await;
    }
    let run = run.ok_or_else(|| StoreError::inconsistent("the machine writes without a rotation"))?;
    match write {
        Write::Placeholder => register(w, subject, &run.token, at).await,
        Write::Copy(version) => copy_current(w, subject, version, at).await,
        Write::DropCopy(version) => drop_copy(w, subject, version).await,
        Write::Seal { candidate, value } => seal(w, subject, &run.token, *candidate, value, at).await,
        Write::SealCurrent => seal_current(w, subject, at).await.map(drop),
        Write::Promote => promote(w, subject, run, at).await,
        Write::Resolve => match seal_current(w, subject, at).await? {
            Some(held) => candidate::resolve_but(w.conn(), id, Some(held), at.now).await,
            // A secret that never had a value: nothing was proven, and what was sent may be all that logs in.
            None => Ok(()),
        },
        Write::DropPending => {
            subject.labels = subject.labels.drop_pending(&run.token);
            drop_placeholder(w, subject, &run.token).await
        }
        Write::DropPlaceholder => drop_placeholder(w, subject, &run.token).await,
        Write::Note { .. } => Ok(()),
    }
}

async fn register(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    token: &VersionId,
    at: &Occasion<'_>,
) -> Result<(), StoreError> {
    candidate::forget_resolved(w.conn(), subject.secret.id, token).await?;
    version::insert_placeholder(w.conn(), subject.secret.id, token, at.now).await?;
    subject.labels = subject.labels.pend(token);
    subject.save_labels(w).await?;
    // The machine's own versions are never refused: what may not be pruned yet stays.
    version::make_room(w.conn(), subject.secret.id, at.now, at.limits()).await.map(drop)
}

/// The copy has a value of its own and is no candidate: nothing that is not AWSCURRENT goes to the target.
async fn copy_current(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    token: &VersionId,
    at: &Occasion<'_>,
) -> Result<(), StoreError> {
    let (_, value) = current(w, subject, at).await?.ok_or(StoreError::NoValue)?;
    let key = subject.key(&at.inner.keyring)?;
    let sealed = sealed::seal(&key, &subject.secret.arn, token.as_str(), 0, &value)?;
    version::insert(w.conn(), subject.secret.id, token, &sealed, &Marks::of(&value.bytes), at.now).await?;
    subject.labels = subject.labels.pend(token);
    subject.save_labels(w).await?;
    version::make_room(w.conn(), subject.secret.id, at.now, at.limits()).await.map(drop)
}

/// A version that somebody has labelled meanwhile is theirs, and stays.
async fn drop_copy(w: &mut Writing<'_>, subject: &mut Subject, token: &VersionId) -> Result<(), StoreError> {
    subject.labels = subject.labels.drop_pending(token);
    subject.save_labels(w).await?;
    if subject.labels.of(token).is_empty() {
        version::remove(w.conn(), subject.secret.id, token).await?;
    }
    Ok(())
}

async fn seal(
    w: &mut Writing<'_>,
    subject: &Subject,
    token: &VersionId,
    n: u32,
    value: &SecretBytes,
    at: &Occasion<'_>,
) -> Result<(), StoreError> {
    let value = SecretValue { kind: at.kind, bytes: value.clone() };
    let key = subject.key(&at.inner.keyring)?;
    let sealed = sealed::seal(&key, &subject.secret.arn, token.as_str(), n, &value)?;
    candidate::insert(w.conn(), subject.secret.id, token, &sealed, at.now).await?;
    let marks = Marks::of(&value.bytes);
    version::show_candidate(w.conn(), subject.secret.id, token, &sealed, &marks, at.now).await?;
    w.tell(subject.secret.id, "secret.version-created", Facts::of_version(token), at.now);
    Ok(())
}

/// AWSCURRENT's value becomes a candidate of its own version, unless it is an unresolved one already. Returns that
/// candidate's row; None where there is no AWSCURRENT.
async fn seal_current(w: &mut Writing<'_>, subject: &Subject, at: &Occasion<'_>) -> Result<Option<i64>, StoreError> {
    let id = subject.secret.id;
    let arn = &subject.secret.arn;
    let Some((current, value)) = current(w, subject, at).await? else {
        return Ok(None);
    };
    let key = subject.key(&at.inner.keyring)?;
    for row in candidate::unresolved(w.conn(), id).await? {
        if row.version == current && sealed::open(&key, arn, current.as_str(), &row.sealed)?.same_as(&value) {
            return Ok(Some(row.id));
        }
    }
    let n = candidate::highest(w.conn(), id, &current).await? + 1;
    let sealed = sealed::seal(&key, arn, current.as_str(), n, &value)?;
    candidate::insert(w.conn(), id, &current, &sealed, at.now).await.map(Some)
}

/// AWSCURRENT and its value; None where the secret has none.
async fn current(
    w: &mut Writing<'_>,
    subject: &Subject,
    at: &Occasion<'_>,
) -> Result<Option<(VersionId, SecretValue)>, StoreError> {
    let Some(current) = subject.labels.holder(label::CURRENT) else {
        return Ok(None);
    };
    let held = subject.version(w, current).await?.and_then(|version| version.sealed);
    let held = held.ok_or_else(|| StoreError::inconsistent("AWSCURRENT has no value"))?;
    let key = subject.key(&at.inner.keyring)?;
    let value = sealed::open(&key, &subject.secret.arn, current.as_str(), &held)?;
    Ok(Some((current.clone(), value)))
}

/// The token's latest candidate is what the target holds now: of the secret's candidates it alone stays unresolved.
async fn promote(w: &mut Writing<'_>, subject: &mut Subject, run: &Run, at: &Occasion<'_>) -> Result<(), StoreError> {
    let has_value = subject.version(w, &run.token).await?.is_some_and(|version| version.sealed.is_some());
    if !has_value {
        return Err(StoreError::inconsistent("the version to become AWSCURRENT has no value"));
    }
    subject.labels = subject.labels.promote(&run.token);
    subject.secret.rotated = Some(whole_ms(at.now));
    subject.rotation.base = Some(whole_ms(at.now));
    let held = candidate::get(w.conn(), subject.secret.id, &run.token, run.candidate).await?;
    let held = held.ok_or_else(|| StoreError::inconsistent("the rotation's candidate is not there"))?;
    candidate::resolve_but(w.conn(), subject.secret.id, Some(held.id), at.now).await
}

/// Takes the token's version away if it never had a value. Whatever labels it carried go with it.
async fn drop_placeholder(w: &mut Writing<'_>, subject: &mut Subject, token: &VersionId) -> Result<(), StoreError> {
    let empty = subject.version(w, token).await?.is_some_and(|version| version.sealed.is_none());
    if empty {
        let kept = subject.labels.iter().filter(|(_, holder)| *holder != token);
        let kept = kept.map(|(label, holder)| (label.to_owned(), holder.clone()));
        subject.labels = label::Labels::from_pairs(kept.collect::<Vec<_>>());
        subject.save_labels(w).await?;
        version::remove_placeholder(w.conn(), subject.secret.id, token).await?;
    }
    Ok(())
}
