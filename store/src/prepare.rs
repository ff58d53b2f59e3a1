//! Work that brings an account into the shape which a strategy needs, or back: leased and in the history like a rotation,
//! and none. Never here: the work (a rotator's).

use engine::Time;
use engine::check::{Preparation, Prepare};
use engine::outcome::{StepError, Verdict};
use engine::rotation::Rotation;
use engine::settings::{Change, Said};
use engine::strategy::Strategy;

use crate::model::Look;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::verify::{lease, sight};
use crate::{Store, StoreError, history, managed, mode, setting};

impl Store {
    /// Leases a secret for that work. That it begins is on disk when this returns. None: somebody else has the secret just
    /// now.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::RotationPaused`],
    /// [`StoreError::Held`], [`StoreError::RotationUnderWay`] where one is open or a grace is, [`StoreError::NoValue`],
    /// [`StoreError::ManagedElsewhere`], [`StoreError::Setting`] where the strategy contradicts what is settled; or the database fails.
    pub async fn begin_work(
        &self,
        id: &str,
        what: Prepare,
        owner: &str,
        by: &str,
        now: Time,
    ) -> Result<Option<Look>, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let subject = Subject::find_live(&mut w, id).await?;
        managed::refuse(w.conn(), &subject).await?;
        let Subject { secret, rotation: row, .. } = subject;
        if row.paused {
            return Err(StoreError::RotationPaused);
        }
        // While the store may be older than its targets nothing is changed there, whoever was never rotated.
        let changes = matches!(what, Prepare::Apply | Prepare::Undo);
        if row.is_held() || changes && mode::get(w.conn()).await?.is_some() {
            return Err(StoreError::Held);
        }
        if row.state != Rotation::Idle {
            return Err(StoreError::RotationUnderWay);
        }
        // Better known before the account has another shape than its settings say.
        let mut settled = row.clone();
        strategy_of(what).apply(&mut settled.options, &mut settled.time_zone);
        setting::check(&settled, self.0.options.schedule_limits, now)?;
        if !self.is_free(&mut w, &row).await? {
            return Ok(None);
        }
        let id = secret.id;
        let sight = sight(w.conn(), &self.0, secret, &row, None, now).await?.ok_or(StoreError::NoValue)?;
        let lease = lease(&mut w, &self.0, id, &sight.arn, owner).await?;
        let said = match what {
            Prepare::Show | Prepare::Apply => "the account is being brought into the shape of alternating users",
            Prepare::ShowUndo | Prepare::Undo => {
                "the account is being brought back from the shape of alternating users"
            }
        };
        history::note(&mut w, id, None, "preparing", Some(by), said, now).await?;
        w.commit().await?;
        Ok(Some(Look { lease, sight, rotation: row.state, held: false }))
    }

    /// Writes down how that work ended, and gives the lease back. Where it was done the secret's strategy is the one it
    /// was done for; where there was nothing to undo it stays.
    ///
    /// # Errors
    /// The database fails.
    pub async fn end_work(
        &self,
        look: &Look,
        what: Prepare,
        ended: &Result<Preparation, StepError>,
        by: &str,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let Some(mut subject) = Subject::by_id(&mut w, look.lease.secret).await? else { return Ok(()) };
        self.0.give_back(&mut w, &look.lease).await?;
        // An undo that found nothing to undo says nothing about how the account is to be rotated.
        let undoes = matches!(what, Prepare::ShowUndo | Prepare::Undo);
        let done = matches!(ended, Ok(it) if it.applied || (it.already && !undoes));
        if done {
            let (before, change) = (setting::Before::of(&subject.rotation), strategy_of(what));
            change.clone().apply(&mut subject.rotation.options, &mut subject.rotation.time_zone);
            setting::show(&mut w, &mut subject, &before, &change).await?;
        }
        let (kind, said) = match ended {
            Ok(_) if done => ("prepared", "it was done: the secret's strategy goes with it from now on".to_owned()),
            Ok(it) if it.already => ("prepared", "there was nothing to undo, and nothing was changed".to_owned()),
            Ok(_) => ("prepare-failed", "it was not done".to_owned()),
            Err(error) if error.verdict == Verdict::Unknown => {
                ("prepare-failed", format!("it may have been done: {}; ask for it again", error.message))
            }
            Err(error) => ("prepare-failed", format!("it was not done, or not to its end: {}", error.message)),
        };
        history::note(&mut w, subject.secret.id, None, kind, Some(by), &said, now).await?;
        // Nothing of the secret itself has changed.
        let changed = subject.secret.changed;
        subject.save(&mut w, changed).await?;
        w.wake();
        w.commit().await
    }

    /// A line of a secret's history about something that was decided beside its rotations.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn note(&self, id: &str, kind: &str, by: &str, said: &str, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let secret = crate::resolve::find(w.conn(), id).await?;
        history::note(&mut w, secret.id, None, kind, Some(by), said, now).await?;
        w.commit().await
    }
}

/// The strategy that an account of that shape is rotated by.
fn strategy_of(what: Prepare) -> Change {
    let strategy = match what {
        Prepare::Show | Prepare::Apply => Strategy::AlternatingUsers,
        Prepare::ShowUndo | Prepare::Undo => Strategy::SingleUser,
    };
    Change { strategy: Some(Said::To(strategy)), ..Change::default() }
}
