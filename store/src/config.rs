//! What people say about a secret's rotation: configure and rotate, cancel, pause, resume, abandon, look.
//!
//! Nothing here makes a schedule fire at once: a plan that is made or changed waits for the first window that opens
//! after now. Never here: what a schedule means (`engine::schedule`), what a rotation does next (`engine::rotation`).

use engine::Time;
use engine::id::VersionId;
use engine::label;
use engine::rotation::{Event, Rotation};

use crate::event::{self, Occasion};
use crate::instant::whole_ms;
use crate::model::{Rotate, RotationView, Serves, Start, Written};
use crate::rotation::MANUAL_WINDOW;
use crate::subject::Subject;
use crate::tx::{Conn, Writing, snapshot};
use crate::{
    Store, StoreError, account, candidate, delivery, external, fleet, history, hold, managed, queue, registration,
    resolve, rotation, secret, setting,
};

impl Store {
    /// RotateSecret: stores the configuration and opens a rotation, or a trial of the configuration, under the token.
    /// The token of what is open or of an existing version is a repeat and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::RotationOpen`],
    /// [`StoreError::NoRotator`], [`StoreError::RotatorNotFound`], [`StoreError::RotatorDisabled`], [`StoreError::Held`],
    /// [`StoreError::NoValue`], [`StoreError::Schedule`], [`StoreError::Setting`], [`StoreError::AccountShared`],
    /// [`StoreError::ManagedElsewhere`], [`StoreError::AllPaused`], [`StoreError::Blackout`], or the database fails.
    pub async fn rotate(&self, id: &str, rotate: Rotate, now: Time) -> Result<Written, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let alone = self.alone_to_enable(&mut w, id).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let is_open_token = subject.rotation.state.run().is_some_and(|run| run.token == rotate.token);
        if is_open_token || subject.version(&mut w, &rotate.token).await?.is_some() {
            return Ok(subject.written(Some(&rotate.token)));
        }
        managed::refuse(w.conn(), &subject).await?;
        // Settings of an open rotation may be what it waits for; only a new rotation would forget its candidate.
        if rotate.start != Start::Wait {
            refuse_while_pending(&subject)?;
        }
        let Rotate { token, by, start, .. } = rotate.clone();
        if hold::hold_new(w.conn(), &mut subject, now).await? && start == Start::Rotate {
            return Err(StoreError::Held);
        }
        external::change(w.conn(), subject.secret.id, &rotate.external).await?;
        let lane = subject.rotation.lane.clone();
        let (before, said) = (setting::Before::of(&subject.rotation), rotate.options.clone().unwrap_or_default());
        let was_ours = subject.rotation.enabled && subject.rotation.lane.is_empty();
        self.configure(&mut subject, rotate, now)?;
        setting::show(&mut w, &mut subject, &before, &said).await?;
        if !was_ours && subject.rotation.lane.is_empty() {
            // It was so when nothing was locked yet, and is no longer.
            alone.then_some(()).ok_or(StoreError::Again)?;
            account::refuse_shared(w.conn(), subject.secret.id).await?;
        }
        let begins = start != Start::Wait || lane != subject.rotation.lane;
        if lane != subject.rotation.lane {
            subject.rotation.target = None;
            let at = Occasion::called(&self.0, &by, now);
            exchanged(&mut w, &mut subject, &at).await?;
        }
        let makes_first = self.serving(&mut w, &subject.rotation.lane, begins).await?;
        if subject.labels.holder(label::CURRENT).is_none() {
            match start {
                Start::Test => return self.configured_without_value(w, subject, &token, &by, now).await,
                _ if makes_first => {}
                Start::Rotate | Start::RotateAnyway | Start::Wait => return Err(StoreError::NoValue),
            }
        }
        if matches!(start, Start::Rotate | Start::RotateAnyway) {
            fleet::may_start(w.conn(), &subject.rotation, start == Start::RotateAnyway, now).await?;
        }
        let (asks, by, window_ends) = (token.clone(), by.as_str(), now + MANUAL_WINDOW);
        let at = Occasion::called(&self.0, by, now);
        let event = match start {
            Start::Rotate | Start::RotateAnyway => {
                Some(Event::Requested { token: asks, by: by.to_owned(), window_ends })
            }
            Start::Test => {
                // It changes nothing, and shows whether AWSCURRENT works.
                subject.rotation.hold = subject.rotation.hold.asked();
                Some(Event::TrialRequested { token: asks, by: by.to_owned(), window_ends })
            }
            Start::Wait => None,
        };
        match event {
            Some(event) => drop(event::apply(&mut w, &mut subject, event, &at).await?),
            None => {
                let said = "rotation was configured; it waits for its next window";
                history::note(&mut w, subject.secret.id, None, "configured", Some(by), said, now).await?;
            }
        }
        subject.save(&mut w, now).await?;
        w.wake();
        w.commit().await?;
        Ok(subject.written(Some(&token)))
    }

    /// Two secrets of one account must not both begin to be rotated because neither sees the other: whoever may enable a
    /// rotation is alone with it. What a built-in rotator rotates already goes on without waiting for anybody.
    async fn alone_to_enable(&self, w: &mut Writing<'_>, id: &str) -> Result<bool, StoreError> {
        if w.conn().is_shared() {
            let row = resolve::find(w.conn(), id).await?;
            let row = rotation::load(w.conn(), row.id).await?;
            if row.enabled && row.lane.is_empty() {
                return Ok(false);
            }
        }
        w.lock_store().await?;
        Ok(true)
    }

    /// Whether who serves this lane can make a secret's first value. Nothing begins with one that is not called.
    pub(crate) async fn serving(&self, w: &mut Writing<'_>, lane: &str, begins: bool) -> Result<bool, StoreError> {
        if lane.is_empty() {
            return Ok(false);
        }
        match registration::hold(w.conn(), lane).await? {
            None => Err(StoreError::RotatorNotFound(lane.to_owned())),
            Some((_, disabled)) if disabled && begins => Err(StoreError::RotatorDisabled(lane.to_owned())),
            Some((settings, _)) => Ok(settings.makes_values()),
        }
    }

    /// There is nothing to test with yet: the configuration is kept all the same, as after any test that fails.
    async fn configured_without_value(
        &self,
        mut w: Writing<'_>,
        mut subject: Subject,
        token: &VersionId,
        by: &str,
        now: Time,
    ) -> Result<Written, StoreError> {
        let said = "rotation was configured; the secret has no value to test with";
        history::note(&mut w, subject.secret.id, None, "configured", Some(by), said, now).await?;
        subject.save(&mut w, now).await?;
        w.wake();
        w.commit().await?;
        Ok(subject.written(Some(token)))
    }

    /// Takes over what the request names; what it leaves out stays. Plans anew only where the plan changes.
    fn configure(&self, subject: &mut Subject, rotate: Rotate, now: Time) -> Result<(), StoreError> {
        let limits = self.0.options.schedule_limits;
        let row = &mut subject.rotation;
        let before = (row.enabled, row.rules.clone(), row.time_zone.clone());
        let looked = row.look_every();
        match rotate.serves {
            Some(Serves::Builtin) => (row.builtin, row.lane) = (true, String::new()),
            Some(Serves::Registered(name)) => (row.builtin, row.lane) = (false, name),
            None => {}
        }
        row.rotator = rotate.rotator.or(row.rotator.take());
        row.rules = rotate.rules.or(row.rules.take());
        row.time_zone = rotate.time_zone.or(row.time_zone.take());
        if let Some(change) = rotate.options {
            setting::refuse_how(row, &change)?;
            change.apply(&mut row.options, &mut row.time_zone);
        }
        if row.rotator.is_none() && !row.builtin {
            return Err(StoreError::NoRotator);
        }
        setting::check(row, limits, now)?;
        row.configured = true;
        row.enabled = true;
        row.base = row.base.or(Some(whole_ms(now)));
        if before != (row.enabled, row.rules.clone(), row.time_zone.clone()) {
            subject.replan(now, limits);
        }
        if looked != subject.rotation.look_every() || subject.rotation.verify.is_none() {
            subject.rotation.plan_first_look(&subject.secret.arn, now);
        }
        Ok(())
    }

    /// CancelRotateSecret: no schedule any more; labels and configuration stay. An open rotation is given up the safe
    /// way, and its token is the answer's version.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], or the database fails.
    pub async fn cancel_rotation(&self, id: &str, by: &str, now: Time) -> Result<Written, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let open = subject.rotation.state.run().map(|run| run.token.clone());
        subject.rotation.enabled = false;
        subject.rotation.window = None;
        subject.rotation.set_due(&subject.secret.arn, now);
        let at = Occasion::called(&self.0, by, now);
        match &open {
            Some(_) => {
                let what = "rotation was cancelled".to_owned();
                event::apply(&mut w, &mut subject, Event::Interfered { what }, &at).await?;
            }
            None => {
                let said = "rotation was cancelled";
                history::note(&mut w, subject.secret.id, None, "cancelled", Some(by), said, now).await?;
            }
        }
        subject.save(&mut w, now).await?;
        w.commit().await?;
        Ok(subject.written(open.as_ref()))
    }

    /// Nothing is begun any more until it is resumed. A step under way ends, and how it ended is recorded.
    ///
    /// # Errors
    /// As [`Store::cancel_rotation`].
    pub async fn pause_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        subject.rotation.paused = true;
        subject.rotation.set_due(&subject.secret.arn, now);
        self.end(w, subject, Some("paused"), by, now).await
    }

    /// Goes on: after a pause as if nothing had been, from Parked or a wait with the next try at once.
    ///
    /// # Errors
    /// As [`Store::cancel_rotation`]; [`StoreError::NotOpen`] and [`StoreError::Refused`] where there is nothing to
    /// resume.
    pub async fn resume_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let was_paused = std::mem::replace(&mut subject.rotation.paused, false);
        if !was_paused {
            subject.rotation.hold = subject.rotation.hold.asked();
        }
        let is_parked = matches!(subject.rotation.state, Rotation::Parked { .. });
        if is_parked || !was_paused {
            let at = Occasion::called(&self.0, by, now);
            let window_ends = now + MANUAL_WINDOW;
            event::apply(&mut w, &mut subject, Event::Resumed { window_ends }, &at).await?;
        }
        if was_paused {
            subject.replan_missed(now, self.0.options.schedule_limits);
        }
        w.wake();
        self.end(w, subject, was_paused.then_some("unpaused"), by, now).await
    }

    /// Gives the open rotation up: AWSCURRENT is proven first, and put back where it does not log in. Where none is open
    /// and AWSPENDING is left over (CancelRotateSecret leaves it, as AWS's does), the label is taken away.
    ///
    /// # Errors
    /// As [`Store::cancel_rotation`]; [`StoreError::NotOpen`] where there is neither.
    pub async fn abandon_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let left_over = left_over(&subject).cloned();
        if let (Rotation::Idle, Some(version)) = (&subject.rotation.state, left_over) {
            subject.labels = subject.labels.drop_pending(&version);
            let said = format!("AWSPENDING was taken off version {version}");
            history::note(&mut w, subject.secret.id, None, "abandoned", Some(by), &said, now).await?;
        } else {
            let at = Occasion::called(&self.0, by, now);
            subject.rotation.hold = subject.rotation.hold.asked();
            event::apply(&mut w, &mut subject, Event::Abandoned, &at).await?;
        }
        self.end(w, subject, None, by, now).await
    }

    /// A person has seen AWSCURRENT log in, which a rotation that was given up waits for: it is over.
    ///
    /// # Errors
    /// As [`Store::cancel_rotation`]; [`StoreError::NotOpen`] where none is open, [`StoreError::Refused`] where it was not
    /// given up.
    pub async fn vouch_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let at = Occasion::called(&self.0, by, now);
        event::apply(&mut w, &mut subject, Event::Vouched { by: by.to_owned() }, &at).await?;
        self.end(w, subject, None, by, now).await
    }

    /// Sends the step that a delivery was about once more, at once: where the rotation still stands at that step of that
    /// version. Anything else would set an old value.
    ///
    /// # Errors
    /// [`StoreError::DeliveryNotFound`], [`StoreError::DeliveryIsPast`], [`StoreError::DeliveryUnderWay`],
    /// [`StoreError::RotatorDisabled`], [`StoreError::RotationPaused`], [`StoreError::MarkedForDeletion`],
    /// [`StoreError::Refused`] where it waits for a grace to end; or the database fails.
    pub async fn redeliver(
        &self,
        rotator: &str,
        delivery: i64,
        by: &str,
        now: Time,
    ) -> Result<RotationView, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let now = w.now(now).await?;
        let sent = delivery::find(w.conn(), rotator, delivery).await?.ok_or(StoreError::DeliveryNotFound)?;
        let subject = Subject::by_id(&mut w, sent.secret).await?;
        let mut subject = subject.ok_or(StoreError::DeliveryIsPast)?;
        subject.secret.live()?;
        may_redeliver(&subject, rotator, &sent)?;
        if registration::state(w.conn(), rotator).await?.is_none_or(|(_, disabled)| disabled) {
            return Err(StoreError::RotatorDisabled(rotator.to_owned()));
        }
        let at = Occasion::called(&self.0, by, now);
        let window_ends = now + MANUAL_WINDOW;
        event::apply(&mut w, &mut subject, Event::Resumed { window_ends }, &at).await?;
        w.wake();
        self.end(w, subject, None, by, now).await
    }

    /// A secret's rotation, as people see it; also of a secret that is to be deleted.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn rotation(&self, id: &str) -> Result<RotationView, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        let rotation = rotation::load(&mut tx, row.id).await?;
        view(&mut tx, row, rotation, self.0.clock.now()).await
    }

    pub(crate) async fn end(
        &self,
        mut w: Writing<'_>,
        mut subject: Subject,
        kind: Option<&str>,
        by: &str,
        now: Time,
    ) -> Result<RotationView, StoreError> {
        if let Some(kind) = kind {
            let run = subject.rotation.state.run();
            let said = format!("rotation was {kind}");
            history::note(&mut w, subject.secret.id, run, kind, Some(by), &said, now).await?;
        }
        subject.save(&mut w, now).await?;
        let view = view(w.conn(), subject.secret, subject.rotation, now).await?;
        w.commit().await?;
        Ok(view)
    }
}

fn may_redeliver(subject: &Subject, rotator: &str, sent: &delivery::Sent) -> Result<(), StoreError> {
    let row = &subject.rotation;
    let stands = row.state.step().is_some_and(|step| step.name() == sent.step);
    let is_same = row.state.run().map(|run| run.token.as_str()) == sent.token.as_deref();
    if !stands || !is_same || row.lane != rotator {
        return Err(StoreError::DeliveryIsPast);
    }
    match row.state {
        Rotation::Acting { .. } => Err(StoreError::DeliveryUnderWay),
        _ if row.paused => Err(StoreError::RotationPaused),
        _ if row.is_held() => Err(StoreError::Held),
        _ => Ok(()),
    }
}

/// Another rotator serves the secret from now on. Where none is open there is nothing to say.
async fn exchanged(w: &mut Writing<'_>, subject: &mut Subject, at: &Occasion<'_>) -> Result<(), StoreError> {
    if subject.rotation.state.run().is_none() {
        return Ok(());
    }
    event::apply(w, subject, Event::RotatorChanged, at).await.map(drop)
}

/// AWS refuses while AWSPENDING sits on a version that is not AWSCURRENT too; we also refuse while a candidate is
/// unresolved, whatever became of its label.
pub(crate) fn refuse_while_pending(subject: &Subject) -> Result<(), StoreError> {
    if !subject.rotation.state.takes_request() || left_over(subject).is_some() {
        return Err(StoreError::RotationOpen);
    }
    Ok(())
}

/// The version that carries AWSPENDING and not AWSCURRENT too.
fn left_over(subject: &Subject) -> Option<&VersionId> {
    let pending = subject.labels.holder(label::PENDING);
    pending.filter(|pending| subject.labels.holder(label::CURRENT) != Some(pending))
}

async fn view(
    conn: &mut Conn,
    row: secret::Row,
    rotation: rotation::Row,
    now: Time,
) -> Result<RotationView, StoreError> {
    let of_all = fleet::load(&mut *conn).await?.fleet.limits.blackouts;
    let rotator = registration::state(conn, &rotation.lane).await?;
    Ok(RotationView {
        waits_for: queue::waits_for(&mut *conn, &rotation, now).await?,
        blackouts: of_all.and(&rotation.options.blackouts),
        took: rotation.took,
        registered: !rotation.lane.is_empty(),
        rotator_disabled: rotator.is_some_and(|(_, disabled)| disabled),
        candidates_unresolved: candidate::count_beside_current(conn, row.id).await?,
        last_test: history::last_test(conn, row.id).await?,
        verified: rotation.verified.clone(),
        verify_due: rotation.verify.filter(|_| rotation.is_looked_at()),
        arn: row.arn,
        name: row.name,
        config: rotation.config(),
        options: rotation.options.clone(),
        paused: rotation.paused,
        held: rotation.is_held(),
        due: rotation.due,
        window: rotation.window,
        next_rotation: rotation.next_rotation(),
        rotated: row.rotated,
        base: rotation.base,
        rotation: rotation.state,
    })
}
