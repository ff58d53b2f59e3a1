//! A secret as a write works on it: its row, labels and rotation, loaded together and saved together.
//!
//! Never here: decisions. Writers change the fields; [`Subject::save`] brings the database to them.

use crypto::{DataKey, Keyring};
use engine::Time;
use engine::id::{SecretId, VersionId};
use engine::label::{self as labels, Labels};
use engine::schedule::Limits;

use crate::instant::whole_ms;
use crate::model::{Named, Written};
use crate::tx::Writing;
use crate::{StoreError, label, resolve, rotation, secret, target, version};

/// A secret being written. Nobody else writes it meanwhile: its row is the first that is locked.
pub(crate) struct Subject {
    pub(crate) secret: secret::Row,
    pub(crate) labels: Labels,
    pub(crate) rotation: rotation::Row,
    /// AWSCURRENT was seen to log in by what is being written.
    pub(crate) proven: bool,
    saved_labels: Labels,
    /// As those know them who are told of moves.
    told_labels: Labels,
    loaded_current: Option<VersionId>,
}

impl Subject {
    /// The secret a SecretId names, also one that is to be deleted. Its cache entry ends with the commit.
    pub(crate) async fn find(w: &mut Writing<'_>, id: &str) -> Result<Self, StoreError> {
        let secret = resolve::lock(w.conn(), id).await?;
        Self::of(w, secret).await
    }

    /// As [`Subject::find`], refusing a secret that is to be deleted.
    pub(crate) async fn find_live(w: &mut Writing<'_>, id: &str) -> Result<Self, StoreError> {
        let subject = Self::find(w, id).await?;
        subject.secret.live()?;
        Ok(subject)
    }

    /// The secret of this number, unless it is gone.
    pub(crate) async fn by_id(w: &mut Writing<'_>, id: SecretId) -> Result<Option<Self>, StoreError> {
        match secret::lock_by_id(w.conn(), id).await? {
            Some(secret) => Ok(Some(Self::of(w, secret).await?)),
            None => Ok(None),
        }
    }

    /// The rest of a secret whose row is at hand.
    pub(crate) async fn of(w: &mut Writing<'_>, secret: secret::Row) -> Result<Self, StoreError> {
        w.touch(secret.id);
        let labels = label::load(w.conn(), secret.id).await?;
        let rotation = rotation::load(w.conn(), secret.id).await?;
        let loaded_current = labels.holder(labels::CURRENT).cloned();
        Ok(Self {
            proven: false,
            saved_labels: labels.clone(),
            told_labels: labels.clone(),
            loaded_current,
            secret,
            labels,
            rotation,
        })
    }

    /// Its data key.
    pub(crate) fn key(&self, keyring: &Keyring) -> Result<DataKey, StoreError> {
        self.secret.key(keyring)
    }

    /// One of its versions.
    pub(crate) async fn version(
        &self,
        w: &mut Writing<'_>,
        id: &VersionId,
    ) -> Result<Option<version::Row>, StoreError> {
        version::get(w.conn(), self.secret.id, id.as_str()).await
    }

    /// Writes the labels as they are now; versions may be removed after.
    pub(crate) async fn save_labels(&mut self, w: &mut Writing<'_>) -> Result<(), StoreError> {
        label::save(w.conn(), self.secret.id, &self.saved_labels, &self.labels).await?;
        self.saved_labels = self.labels.clone();
        Ok(())
    }

    /// Writes everything; the secret changed at `now`.
    pub(crate) async fn save(&mut self, w: &mut Writing<'_>, now: Time) -> Result<(), StoreError> {
        self.save_labels(w).await?;
        w.tell_labels(self.secret.id, &self.told_labels, &self.labels, now);
        self.told_labels = self.labels.clone();
        self.secret.changed = whole_ms(now);
        let current = self.labels.holder(labels::CURRENT).cloned();
        if current != self.loaded_current {
            self.rotation.current = match &current {
                Some(current) => self.version(w, current).await?.map(|version| version.created),
                None => None,
            };
            self.loaded_current = current;
            self.rotation.target = None;
            self.rotation.look_after_change(&self.secret.arn, self.proven, now);
        }
        // What has a plan has its host, so that nobody has to look it up when it is due.
        if self.rotation.target.is_none() && self.rotation.due.is_some() {
            self.rotation.target = target::known(w, self).await?;
        }
        secret::update(w.conn(), &self.secret).await?;
        rotation::save(w.conn(), &self.rotation).await
    }

    /// Schedules count from `now` on, and the next window is planned if no rotation is open.
    pub(crate) fn rebase(&mut self, now: Time, limits: Limits) {
        self.rotation.base = Some(whole_ms(now));
        self.replan(now, limits);
    }

    /// Plans the first window that opens after `now`, if no rotation is open; else the plan is made when it closes.
    pub(crate) fn replan(&mut self, now: Time, limits: Limits) {
        if !self.rotation.rotates() {
            self.rotation.plan(now, limits);
            self.rotation.set_due(&self.secret.arn, now);
        }
    }

    /// Something kept this rotation from its plan and no longer does. A window that closed meanwhile is over: nothing
    /// starts because a person let things go on.
    pub(crate) fn replan_missed(&mut self, now: Time, limits: Limits) {
        let missed = self.rotation.window.is_none_or(|window| window.closes <= now);
        if missed && !self.rotation.rotates() {
            self.rotation.plan(now, limits);
        }
        self.rotation.set_due(&self.secret.arn, now);
    }

    /// How callers name it.
    pub(crate) fn named(&self) -> Named {
        Named { arn: self.secret.arn.clone(), name: self.secret.name.clone() }
    }

    /// What a write of `version` came to.
    pub(crate) fn written(&self, version: Option<&VersionId>) -> Written {
        Written {
            arn: self.secret.arn.clone(),
            name: self.secret.name.clone(),
            version_id: version.cloned(),
            stages: version.map(|version| self.labels.of(version)).unwrap_or_default(),
        }
    }
}
