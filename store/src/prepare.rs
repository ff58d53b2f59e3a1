//! Work that brings an account into the shape which a strategy needs, or back: leased and in the history like a rotation,
//! and none. Never here: the work (a rotator's).

use engine::Time;
use engine::check::{Preparation, Prepare};
use engine::outcome::{StepError, Verdict};
use engine::rotation::Rotation;
use engine::strategy::Strategy;

use crate::model::Look;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::verify::{lease, sight};
use crate::{Store, StoreError, history};

impl Store {
    /// Leases a secret for that work. That it begins is on disk when this returns. None: somebody else has the secret just
    /// now.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::NoRotator`] where its rotation was
    /// never configured, [`StoreError::RotationPaused`], [`StoreError::RotationUnderWay`] where one is open or a grace is,
    /// [`StoreError::NoValue`]; or the database fails.
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
        let Subject { secret, rotation: row, .. } = subject;
        if !row.configured {
            return Err(StoreError::NoRotator);
        }
        if row.paused {
            return Err(StoreError::RotationPaused);
        }
        if row.state != Rotation::Idle {
            return Err(StoreError::RotationUnderWay);
        }
        if !self.is_free(&row) {
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
        history::note(w.conn(), id, None, "preparing", Some(by), said, now).await?;
        w.commit().await?;
        Ok(Some(Look { lease, sight, rotation: row.state }))
    }

    /// Writes down how that work ended, and gives the lease back. Where it was done the secret's strategy is the one it
    /// was done for.
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
        let done = matches!(ended, Ok(preparation) if preparation.applied || preparation.already);
        if done {
            let undone = matches!(what, Prepare::ShowUndo | Prepare::Undo);
            let options = &mut subject.rotation.options;
            options.strategy = Some(if undone { Strategy::SingleUser } else { Strategy::AlternatingUsers });
            if undone {
                options.users = None;
            }
        }
        let (kind, said) = match ended {
            Ok(_) if done => ("prepared", "it was done: the secret's strategy goes with it from now on".to_owned()),
            Ok(_) => ("prepare-failed", "it was not done".to_owned()),
            Err(error) if error.verdict == Verdict::Unknown => {
                ("prepare-failed", format!("it may have been done: {}; ask for it again", error.message))
            }
            Err(error) => ("prepare-failed", format!("it was not done, or not to its end: {}", error.message)),
        };
        history::note(w.conn(), subject.secret.id, None, kind, Some(by), &said, now).await?;
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
        history::note(w.conn(), secret.id, None, kind, Some(by), said, now).await?;
        w.commit().await
    }
}
