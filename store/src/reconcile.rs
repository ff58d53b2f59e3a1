//! AWSCURRENT is set again because it was found not to log in: by command, and by the secret's own policy.
//! Never here: how it is set again (`engine::rotation`), looks at the target (`verify.rs`).

use engine::Time;
use engine::rotation::{Event, Refusal, Rotation, Step};

use crate::event::{self, Occasion};
use crate::model::RotationView;
use crate::rotation::MANUAL_WINDOW;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::{Store, StoreError, managed};

impl Store {
    /// Sets AWSCURRENT again where it does not log in. What a policy has done before counts no more.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::RotationPaused`],
    /// [`StoreError::NoRotator`], [`StoreError::RotatorNotFound`], [`StoreError::RotatorDisabled`],
    /// [`StoreError::InGrace`], [`StoreError::ManagedElsewhere`], [`StoreError::RotationOpen`], [`StoreError::Refused`] where there is no AWSCURRENT; or the
    /// database fails.
    pub async fn reconcile_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        managed::refuse(w.conn(), &subject).await?;
        let row = &subject.rotation;
        if row.paused {
            return Err(StoreError::RotationPaused);
        }
        if !row.configured {
            return Err(StoreError::NoRotator);
        }
        if let Rotation::Waiting { run, step: Step::Retire, not_before } = &row.state
            && run.promoted
        {
            return Err(StoreError::InGrace(*not_before));
        }
        let lane = row.lane.clone();
        self.serving(&mut w, &lane, true).await?;
        subject.rotation.verified = std::mem::take(&mut subject.rotation.verified).reconciled_by_hand();
        subject.rotation.hold = subject.rotation.hold.asked();
        begin(&mut w, &mut subject, &Occasion::called(&self.0, by, now)).await?;
        self.end(w, subject, None, by, now).await
    }
}

/// Opens what sets AWSCURRENT again, asked for by whoever the occasion names.
///
/// # Errors
/// [`StoreError::RotationOpen`], [`StoreError::Refused`] where there is no AWSCURRENT; or the database fails.
pub(crate) async fn begin(w: &mut Writing<'_>, subject: &mut Subject, at: &Occasion<'_>) -> Result<(), StoreError> {
    let by = at.by.unwrap_or(POLICY).to_owned();
    let event = Event::ReconcileRequested { by, window_ends: at.now + MANUAL_WINDOW };
    match event::apply(w, subject, event, at).await {
        Ok(_) => Ok(()),
        Err(StoreError::Refused(Refusal::NoCurrent)) => Err(StoreError::NoValue),
        Err(error) => Err(error),
    }
}

/// Who asks where nobody does.
pub(crate) const POLICY: &str = "policy";
