//! The end of a grace by command. Never here: what follows from it (`engine::rotation`).

use engine::Time;
use engine::rotation::Event;

use crate::event::{self, Occasion};
use crate::model::RotationView;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::{Store, StoreError};

impl Store {
    /// Ends the grace of the credential before AWSCURRENT: it is retired at once, whoever still uses it.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::RotationPaused`],
    /// [`StoreError::Held`],
    /// [`StoreError::Refused`] where no credential waits for its end; or the database fails.
    pub async fn end_grace(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        if subject.rotation.paused {
            return Err(StoreError::RotationPaused);
        }
        if subject.rotation.is_held() {
            return Err(StoreError::Held);
        }
        let at = Occasion::called(&self.0, by, now);
        event::apply(&mut w, &mut subject, Event::GraceEnded { by: by.to_owned() }, &at).await?;
        self.end(w, subject, None, by, now).await
    }
}
