//! A rotation that carries the value of an earlier version. Never here: how it is carried (`engine::rotation`).

use engine::Time;
use engine::id::VersionId;
use engine::label;
use engine::rotation::Event;
use engine::secret::SecretBytes;

use crate::config::refuse_while_pending;
use crate::event::{self, Occasion};
use crate::model::Written;
use crate::rotation::MANUAL_WINDOW;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::{Store, StoreError, managed, registration, sealed};

impl Store {
    /// Opens a rotation under `token` that carries the value of `version`, or of AWSPREVIOUS where none is named. The
    /// token of what is open or of an existing version is a repeat and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::RotationOpen`],
    /// [`StoreError::NoRotator`], [`StoreError::RotatorNotFound`], [`StoreError::RotatorDisabled`],
    /// [`StoreError::MakesValues`], [`StoreError::NoValue`], [`StoreError::NoPrevious`],
    /// [`StoreError::NothingToCarry`], [`StoreError::SameAsCurrent`], [`StoreError::ManagedElsewhere`]; or the database fails.
    pub async fn rollback_rotation(
        &self,
        id: &str,
        token: VersionId,
        version: Option<&str>,
        by: &str,
        now: Time,
    ) -> Result<Written, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let is_open_token = subject.rotation.state.run().is_some_and(|run| run.token == token);
        if is_open_token || subject.version(&mut w, &token).await?.is_some() {
            return Ok(subject.written(Some(&token)));
        }
        managed::refuse(w.conn(), &subject).await?;
        refuse_while_pending(&subject)?;
        if !subject.rotation.configured {
            return Err(StoreError::NoRotator);
        }
        let lane = subject.rotation.lane.clone();
        self.serving(&mut w, &lane, true).await?;
        if registration::state(w.conn(), &lane).await?.is_some_and(|(settings, _)| settings.makes_values()) {
            return Err(StoreError::MakesValues(lane));
        }
        let carries = self.to_carry(&mut w, &subject, version).await?;
        let event = Event::RollbackRequested {
            token: token.clone(),
            by: by.to_owned(),
            window_ends: now + MANUAL_WINDOW,
            carries,
        };
        let at = Occasion::called(&self.0, by, now);
        subject.rotation.hold = subject.rotation.hold.asked();
        event::apply(&mut w, &mut subject, event, &at).await?;
        subject.save(&mut w, now).await?;
        w.wake();
        w.commit().await?;
        Ok(subject.written(Some(&token)))
    }

    /// The version whose value is carried, once it is known to have one that is not AWSCURRENT's.
    async fn to_carry(
        &self,
        w: &mut Writing<'_>,
        subject: &Subject,
        version: Option<&str>,
    ) -> Result<VersionId, StoreError> {
        let current = subject.labels.holder(label::CURRENT).ok_or(StoreError::NoValue)?;
        let carried = match version {
            None => subject.labels.holder(label::PREVIOUS).cloned().ok_or(StoreError::NoPrevious)?,
            Some(text) => VersionId::new(text).map_err(|_| StoreError::NothingToCarry(text.to_owned()))?,
        };
        let nothing = || StoreError::NothingToCarry(carried.to_string());
        let value = self.value_of(w, subject, &carried).await?.ok_or_else(nothing)?;
        let is_same = self.value_of(w, subject, current).await?.is_some_and(|now| now.expose() == value.expose());
        if is_same {
            return Err(StoreError::SameAsCurrent(carried.to_string()));
        }
        Ok(carried)
    }

    async fn value_of(
        &self,
        w: &mut Writing<'_>,
        subject: &Subject,
        version: &VersionId,
    ) -> Result<Option<SecretBytes>, StoreError> {
        let Some(sealed) = subject.version(w, version).await?.and_then(|found| found.sealed) else {
            return Ok(None);
        };
        let key = subject.key(&self.0.keyring)?;
        Ok(Some(sealed::open(&key, &subject.secret.arn, version.as_str(), &sealed)?.bytes))
    }
}
