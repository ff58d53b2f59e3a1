//! Deleting, restoring, and really removing. A secret whose rotation is open, or whose target may hold another value
//! than AWSCURRENT, is never removed but buried: it answers to nothing and frees its name, and the values are kept.

use chrono::TimeDelta;
use engine::Time;
use engine::id::SecretId;
use engine::rotation::{Event, Rotation};
use engine::secret::ValueKind;

use crate::event::{self, Occasion};
use crate::instant::{ms, whole_ms};
use crate::model::{Deleted, Facts, Named};
use crate::subject::Subject;
use crate::tx::{Conn, Writing};
use crate::{Store, StoreError, account, candidate, mode, replica, rotation, secret, version};

impl Store {
    /// DeleteSecret: planned for `window_days` from now, or at once and for good where that is 0 (force).
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`]; [`StoreError::MarkedForDeletion`] where deletion is planned already and this is
    /// no force; [`StoreError::HasReplicas`]; or the database fails.
    pub async fn delete_secret(&self, id: &str, window_days: u32, now: Time) -> Result<Deleted, StoreError> {
        self.delete_secret_as(id, window_days, None, now).await
    }

    /// The same, with who asks.
    ///
    /// # Errors
    /// As [`Store::delete_secret`].
    pub async fn delete_secret_as(
        &self,
        id: &str,
        window_days: u32,
        by: Option<&str>,
        now: Time,
    ) -> Result<Deleted, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find(&mut w, id).await?;
        let force = window_days == 0;
        if !force {
            subject.secret.live()?;
        }
        let replicas = replica::all(w.conn(), subject.secret.id).await?;
        if !replicas.is_empty() {
            let regions = replicas.into_iter().map(|replica| replica.region).collect();
            return Err(StoreError::HasReplicas { id: id.to_owned(), regions });
        }
        if subject.rotation.state.run().is_some_and(|run| run.trial || run.promoted || run.closing) {
            // Nothing of a trial is worth keeping through a recovery window, nor what is left of a rotation that is
            // over; any other goes on after it.
            let at = Occasion { inner: &self.0, now, jitter: 0.0, kind: ValueKind::String, by: None };
            let what = "the secret was deleted".to_owned();
            event::apply(&mut w, &mut subject, Event::Interfered { what }, &at).await?;
        }
        let deletion_date = whole_ms(now + TimeDelta::days(i64::from(window_days)));
        subject.secret.deleted = Some(deletion_date);
        subject.rotation.live = false;
        subject.rotation.due = None;
        by.into_iter().for_each(|by| w.acting(by));
        let facts = Facts { deletion_ms: Some(ms(deletion_date)), ..Facts::default() };
        w.tell(subject.secret.id, "secret.deletion-scheduled", facts, now);
        subject.save(&mut w, now).await?;
        if force {
            w.tell_of((&subject.secret.arn, &subject.secret.name), subject.secret.id, "secret.deleted", now);
            bury_or_remove(w.conn(), subject.secret.id).await?;
        }
        w.commit().await?;
        let Named { arn, name } = subject.named();
        Ok(Deleted { arn, name, deletion_date })
    }

    /// RestoreSecret. An open rotation goes on; a schedule waits for the first window that opens after now.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn restore_secret(&self, id: &str, now: Time) -> Result<Named, StoreError> {
        self.restore_secret_as(id, None, now).await
    }

    /// The same, with who asks.
    ///
    /// # Errors
    /// As [`Store::restore_secret`].
    pub async fn restore_secret_as(&self, id: &str, by: Option<&str>, now: Time) -> Result<Named, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        w.lock_store().await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find(&mut w, id).await?;
        if subject.secret.deleted.is_some() {
            // While it was away another secret may have taken its account over.
            if subject.rotation.enabled && subject.rotation.lane.is_empty() {
                account::refuse_shared(w.conn(), subject.secret.id).await?;
            }
            subject.secret.deleted = None;
            subject.rotation.live = true;
            subject.replan_missed(now, self.0.options.schedule_limits);
            by.into_iter().for_each(|by| w.acting(by));
            w.tell(subject.secret.id, "secret.restored", Facts::default(), now);
            subject.save(&mut w, now).await?;
            w.wake();
            w.commit().await?;
        }
        Ok(subject.named())
    }

    /// Really removes secrets whose window has ended, and says how many are gone that were not. What is buried stays; and
    /// everything does while the store is verify-only.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge(&self, now: Time) -> Result<u64, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        // Nobody knows yet what the store has missed: a deletion may have been called off.
        if mode::get(w.conn()).await?.is_some() {
            return w.rollback().await.map(|()| 0);
        }
        let now = w.now(now).await?;
        let ended = secret::ended(w.conn(), now).await?;
        let mut gone = 0;
        for id in ended {
            w.touch(id);
            if let Some(row) = secret::by_id(w.conn(), id).await? {
                w.tell_of((&row.arn, &row.name), id, "secret.deleted", now);
                gone += 1;
            }
            bury_or_remove(w.conn(), id).await?;
        }
        w.commit().await?;
        Ok(gone)
    }
}

/// A healthy secret goes with all it has, what is AWSCURRENT included: that is what deleting means. One whose rotation
/// is open, or whose target may hold another value, keeps its candidates and the key that opens them.
async fn bury_or_remove(conn: &mut Conn, id: SecretId) -> Result<(), StoreError> {
    let beside_current = candidate::count_beside_current(&mut *conn, id).await?;
    // Nobody can say any more what a rotation that cannot be read has done.
    let is_idle = rotation::load(&mut *conn, id).await.is_ok_and(|row| row.state == Rotation::Idle);
    let keeps = beside_current > 0 || !is_idle && candidate::any_unresolved(&mut *conn, id).await?;
    if keeps {
        candidate::remove_resolved(&mut *conn, id).await?;
        secret::bury(&mut *conn, id).await?;
        return version::remove_all(conn, id).await;
    }
    candidate::remove_all(&mut *conn, id).await?;
    version::remove_all(&mut *conn, id).await?;
    secret::remove(conn, id).await
}
