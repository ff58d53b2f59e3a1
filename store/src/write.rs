//! What users write: new secrets, values, descriptions, labels. Tokens make each of them repeatable.
//!
//! A write that moves AWSCURRENT, or takes AWSPENDING from an open rotation, is an event of that rotation and commits
//! with it. Never here: label rules (`engine::label`), the machine (`engine::rotation`).

use engine::Time;
use engine::id::VersionId;
use engine::label::{self, Labels};
use engine::rotation::{Event, Step};
use engine::secret::SecretValue;
use rand::RngExt;

use crate::event::{self, Occasion};
use crate::instant::whole_ms;
use crate::mark::{self, Marks};
use crate::model::{External, Facts, Identity, MoveLabel, Named, NewSecret, PutValue, UpdateSecret, Written};
use crate::open::Inner;
use crate::subject::Subject;
use crate::tx::{Conn, Writing};
use crate::{
    Store, StoreError, admin, check, external, pass, replica, rotation, sealed, secret, setting, tag, version,
};

const SUFFIX_LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Store {
    /// CreateSecret. The same name, token and value again is the same answer again.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::NameScheduledForDeletion`], [`StoreError::TokenInUse`],
    /// [`StoreError::TagQuota`], [`StoreError::Setting`], or the database fails.
    pub async fn create_secret(&self, new: NewSecret, now: Time) -> Result<Written, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        if let Some(row) = secret::by_name(w.conn(), &new.name).await? {
            let subject = Subject::of(&mut w, row).await?;
            return created_before(&mut w, &self.0, &subject, &new).await;
        }
        w.acting(&new.by);
        let mut subject = insert(&mut w, &self.0, &new, now).await?;
        let version_id = new.value.is_some().then_some(&new.token);
        if let Some(value) = &new.value {
            make_version(&mut w, &self.0, &mut subject, &new.token, value, now).await?;
            subject.labels = subject.labels.put(&new.token, None)?;
        }
        subject.save(&mut w, now).await?;
        w.commit().await?;
        Ok(subject.written(version_id))
    }

    /// PutSecretValue.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::TokenInUse`],
    /// [`StoreError::LabelQuota`], [`StoreError::VersionQuota`], [`StoreError::BadLabel`], [`StoreError::AdminDiffers`],
    /// [`StoreError::BadRotationToken`], [`StoreError::NotWithinRotation`], or the database fails.
    pub async fn put_value(&self, id: &str, put: PutValue, now: Time) -> Result<Written, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        if put.within.as_ref().is_some_and(|within| *within != put.token) {
            return Err(StoreError::NotWithinRotation);
        }
        within(&mut w, &subject, put.within.as_ref()).await?;
        if let Some(token) = &put.rotation_token {
            pass::check_token(&self.0, &subject.secret.arn, &put.token, token, now)?;
            let open = pass::is_open(&subject.rotation, &put.token);
            open.then_some(()).ok_or(StoreError::BadRotationToken)?;
        }
        if put.keeps_admin {
            same_admin(&mut w, &subject, &admin::mark_of(&put.value.bytes)).await?;
        }
        w.acting(&put.by);
        let at = Occasion { kind: put.value.kind, ..Occasion::called(&self.0, &put.by, now) };
        let value = Offered { token: &put.token, value: &put.value, stages: put.stages.as_deref() };
        let changed = offer(&mut w, &mut subject, &value, &at).await?;
        let written = subject.written(Some(&put.token));
        if changed {
            subject.save(&mut w, now).await?;
            self.0.room(&mut w, &subject, now).await?;
            w.commit().await?;
        }
        Ok(written)
    }

    /// UpdateSecret. Naming nothing to change is a success that changes nothing.
    ///
    /// # Errors
    /// As [`Store::put_value`].
    pub async fn update_secret(&self, id: &str, update: UpdateSecret, now: Time) -> Result<Written, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let rekeyed = update.kms_key_id.is_some();
        let mut changed = update.description.is_some() || rekeyed || update.kind.is_some();
        let external = External { kind: update.kind, ..External::default() };
        external::change(w.conn(), subject.secret.id, &external).await?;
        if let Some(description) = update.description {
            subject.secret.description = Some(description).filter(|text| !text.is_empty());
        }
        if let Some(kms_key_id) = update.kms_key_id {
            subject.secret.kms_key_id = Some(kms_key_id).filter(|text| !text.is_empty());
        }
        w.acting(&update.by);
        if let Some(value) = &update.value {
            let at = Occasion { kind: value.kind, ..Occasion::called(&self.0, &update.by, now) };
            let value = Offered { token: &update.token, value, stages: None };
            changed |= offer(&mut w, &mut subject, &value, &at).await?;
        }
        let written = subject.written(update.value.is_some().then_some(&update.token));
        if changed {
            subject.save(&mut w, now).await?;
            if rekeyed {
                version::relabel_key(w.conn(), subject.secret.id).await?;
            }
            self.0.room(&mut w, &subject, now).await?;
            w.commit().await?;
        }
        Ok(written)
    }

    /// UpdateSecretVersionStage.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::AdminDiffers`],
    /// [`StoreError::NotWithinRotation`], and every label error.
    pub async fn move_label(&self, id: &str, moving: MoveLabel<'_>, now: Time) -> Result<Named, StoreError> {
        let MoveLabel { label, remove_from, move_to, by, keeps_admin, .. } = moving;
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        within(&mut w, &subject, moving.within).await?;
        // A text that cannot be a version id names no version of this secret.
        let from = remove_from.map(|from| {
            let not_holder = |_| StoreError::NotHolder { label: label.to_owned(), version: from.to_owned() };
            VersionId::new(from).map_err(not_holder)
        });
        let from = from.transpose()?;
        let to = move_to.map(|to| VersionId::new(to).map_err(|_| StoreError::NoSuchVersion(to.to_owned())));
        let to = to.transpose()?;
        // A placeholder is no version to move labels to: nothing could be read there.
        let readable = match &to {
            Some(to) => subject.version(&mut w, to).await?.is_some_and(|version| version.sealed.is_some()),
            None => false,
        };
        let next = subject.labels.update(label, from.as_ref(), to.as_ref(), |_| readable)?;
        if next != subject.labels {
            // Any label will do to bring an old admin's name back, or to take the last one away.
            if keeps_admin && let Some(to) = &to {
                mark::look_at(w.conn(), &self.0, subject.secret.id).await?;
                let named = version::masterarn(w.conn(), subject.secret.id, to).await?;
                same_admin(&mut w, &subject, &named).await?;
            }
            w.acting(by);
            let at = Occasion::called(&self.0, by, now);
            let what = format!("staging label {label} was moved by hand");
            relabel(&mut w, &mut subject, next, &what, &at).await?;
            subject.save(&mut w, now).await?;
            w.commit().await?;
        }
        Ok(subject.named())
    }
}

impl Inner {
    async fn room(&self, w: &mut Writing<'_>, subject: &Subject, now: Time) -> Result<(), StoreError> {
        let limits = self.options.schedule_limits;
        match version::make_room(w.conn(), subject.secret.id, now, limits).await? {
            true => Ok(()),
            false => Err(StoreError::VersionQuota),
        }
    }
}

/// A value offered under a token.
struct Offered<'a> {
    token: &'a VersionId,
    value: &'a SecretValue,
    stages: Option<&'a [String]>,
}

/// The token matrix: a new token makes a version, a placeholder's is filled, a known one must bring the same value.
/// False: nothing changed.
async fn offer(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    offered: &Offered<'_>,
    at: &Occasion<'_>,
) -> Result<bool, StoreError> {
    let token = offered.token;
    let is_new = match subject.version(w, token).await? {
        None => {
            make_version(w, at.inner, subject, token, offered.value, at.now).await?;
            true
        }
        Some(version) => match version.sealed {
            Some(sealed) => {
                same_value(at.inner, subject, token, &sealed, offered.value)?;
                false
            }
            None => {
                fill(w, subject, offered, at).await?;
                true
            }
        },
    };
    // A plain repeat changes nothing; labels that are named are attached even then.
    let next = match offered.stages {
        None if !is_new => return Ok(false),
        stages => subject.labels.put(token, stages)?,
    };
    if !is_new && next == subject.labels {
        return Ok(false);
    }
    relabel(w, subject, next, "a new value was written", at).await?;
    Ok(true)
}

/// Whoever acts for one rotation alone may do so only within it.
async fn within(w: &mut Writing<'_>, subject: &Subject, version: Option<&VersionId>) -> Result<(), StoreError> {
    match version {
        Some(version) => pass::within(w.conn(), &subject.rotation, version).await,
        None => Ok(()),
    }
}

/// Refuses another admin secret than AWSCURRENT names, or none where it names one: another would lend its login, and an
/// admin secret that nobody names any more is one no longer.
async fn same_admin(w: &mut Writing<'_>, subject: &Subject, named: &str) -> Result<(), StoreError> {
    let current = match subject.labels.holder(label::CURRENT) {
        Some(current) => version::masterarn(w.conn(), subject.secret.id, current).await?,
        None => String::new(),
    };
    if named == current { Ok(()) } else { Err(StoreError::AdminDiffers) }
}

/// The value of a rotation's placeholder, written by whoever makes it.
async fn fill(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    offered: &Offered<'_>,
    at: &Occasion<'_>,
) -> Result<(), StoreError> {
    let open = subject.rotation.state.run().is_some_and(|run| run.token == *offered.token);
    if !open {
        return Err(StoreError::inconsistent("a version has no value and no rotation is making one"));
    }
    let event = Event::Filled(offered.value.bytes.clone());
    event::apply(w, subject, event, at).await.map(drop)
}

/// Takes over labels that a user's call asks for. Where that moves AWSCURRENT, schedules count from now on, and a
/// rotation that is open has been interfered with; so it has where AWSPENDING is taken from it.
async fn relabel(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    next: Labels,
    what: &str,
    at: &Occasion<'_>,
) -> Result<(), StoreError> {
    // A version of an earlier binary may get its first label for long.
    mark::look_at(w.conn(), at.inner, subject.secret.id).await?;
    let before = std::mem::replace(&mut subject.labels, next);
    let moved = before.holder(label::CURRENT) != subject.labels.holder(label::CURRENT);
    let Some(run) = subject.rotation.state.run() else {
        if moved {
            subject.rebase(at.now, at.inner.options.schedule_limits);
            w.wake();
        }
        return Ok(());
    };
    // A callback's finishSecret moves AWSCURRENT to the version that has just been tested: that is its part. So it is when
    // the call comes late, after its answer was given up.
    let token = Some(&run.token);
    let finishing = subject.rotation.state.step() == Some(Step::Finish);
    if finishing && subject.labels.holder(label::CURRENT) == token {
        return Ok(());
    }
    let lost = before.holder(label::PENDING) == token && subject.labels.holder(label::PENDING) != token;
    if moved {
        subject.rotation.base = Some(whole_ms(at.now));
    }
    if moved || lost {
        subject.save_labels(w).await?;
        event::apply(w, subject, Event::Interfered { what: what.to_owned() }, at).await?;
    }
    if moved {
        subject.replan(at.now, at.inner.options.schedule_limits);
    }
    Ok(())
}

/// CreateSecret met a secret of this name.
async fn created_before(
    w: &mut Writing<'_>,
    inner: &Inner,
    subject: &Subject,
    new: &NewSecret,
) -> Result<Written, StoreError> {
    if subject.secret.deleted.is_some() {
        return Err(StoreError::NameScheduledForDeletion);
    }
    let version = subject.version(w, &new.token).await?.and_then(|version| version.sealed);
    match (version, &new.value) {
        (Some(sealed), Some(value)) => {
            same_value(inner, subject, &new.token, &sealed, value)?;
            Ok(subject.written(Some(&new.token)))
        }
        (Some(_), None) => Err(token_in_use(subject, &new.token)),
        // Made without a value under this very token, and asked for again.
        (None, None) if subject.secret.token == new.token.as_str() => Ok(subject.written(None)),
        (None, _) => Err(StoreError::NameTaken(new.name.clone())),
    }
}

async fn insert(w: &mut Writing<'_>, inner: &Inner, new: &NewSecret, now: Time) -> Result<Subject, StoreError> {
    let arn = fresh_arn(w.conn(), inner, &new.name).await?;
    check::keep_up(w.conn(), inner).await?;
    let key = crypto::DataKey::generate()?;
    let row = secret::Row {
        id: engine::id::SecretId(0),
        data_key: inner.keyring.wrap(&arn, &key)?,
        arn,
        name: new.name.clone(),
        token: new.token.as_str().to_owned(),
        description: new.description.clone().filter(|text| !text.is_empty()),
        kms_key_id: new.kms_key_id.clone().filter(|text| !text.is_empty()),
        tagged: new.tags.is_some(),
        created: whole_ms(now),
        changed: whole_ms(now),
        accessed: None,
        rotated: None,
        deleted: None,
    };
    let id = secret::insert(w.conn(), &row).await?;
    rotation::insert(w.conn(), id).await?;
    tag::put(w.conn(), id, new.tags.as_deref().unwrap_or_default()).await?;
    replica::put(w.conn(), id, &new.replicas).await?;
    let external = External { kind: new.kind.clone().filter(|kind| !kind.is_empty()), ..External::default() };
    external::change(w.conn(), id, &external).await?;
    let mut subject = Subject::of(w, secret::Row { id, ..row }).await?;
    w.tell(id, "secret.created", Facts::default(), now);
    if let Some(change) = setting::said_by(new.tags.as_deref().unwrap_or_default())? {
        setting::change(w, &mut subject, change, inner.options.schedule_limits, now).await?;
    }
    Ok(subject)
}

/// A new suffix at every creation, so that grants on an old ARN do not carry over.
async fn fresh_arn(conn: &mut Conn, inner: &Inner, name: &str) -> Result<String, StoreError> {
    let Identity { partition, region, account_id } = &inner.options.identity;
    loop {
        let suffix: String = {
            let mut rng = rand::rng();
            let letter = |_| char::from(SUFFIX_LETTERS[rng.random_range(0..SUFFIX_LETTERS.len())]);
            (0..6).map(letter).collect()
        };
        let arn = format!("arn:{partition}:secretsmanager:{region}:{account_id}:secret:{name}-{suffix}");
        if !secret::arn_taken(&mut *conn, &arn).await? {
            return Ok(arn);
        }
    }
}

async fn make_version(
    w: &mut Writing<'_>,
    inner: &Inner,
    subject: &mut Subject,
    token: &VersionId,
    value: &SecretValue,
    now: Time,
) -> Result<(), StoreError> {
    let key = subject.key(&inner.keyring)?;
    let sealed = sealed::seal(&key, &subject.secret.arn, token.as_str(), 0, value)?;
    version::insert(w.conn(), subject.secret.id, token, &sealed, &Marks::of(&value.bytes), now).await?;
    w.tell(subject.secret.id, "secret.version-created", Facts::of_version(token), now);
    Ok(())
}

fn same_value(
    inner: &Inner,
    subject: &Subject,
    token: &VersionId,
    sealed: &sealed::Sealed,
    value: &SecretValue,
) -> Result<(), StoreError> {
    let key = subject.key(&inner.keyring)?;
    let stored = sealed::open(&key, &subject.secret.arn, token.as_str(), sealed)?;
    if stored.same_as(value) { Ok(()) } else { Err(token_in_use(subject, token)) }
}

fn token_in_use(subject: &Subject, token: &VersionId) -> StoreError {
    StoreError::TokenInUse { token: token.to_string(), arn: subject.secret.arn.clone() }
}
