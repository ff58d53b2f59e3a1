//! Columns `verify_ms` and `verified`: when AWSCURRENT is tried next, and what came of it. A look at a target is leased as a
//! rotation is, so that nobody changes the account meanwhile; it is no rotation, and leaves the machine's state alone.
//!
//! Never here: how a target is asked, how many looks a minute there are (`src/looks.rs`).

use std::time::Duration;

use chrono::TimeDelta;
use engine::Time;
use engine::account::digest;
use engine::check::{LastVerified, Verified};
use engine::id::SecretId;
use engine::label;
use engine::outcome::StepError;
use engine::port::{Lease, Options};
use engine::retry;
use engine::rotation::{Rotation, Run, Step};
use engine::schedule::{Window, pick};

use crate::due::LEASE;
use crate::event::Occasion;
use crate::hold::Hold;
use crate::instant::{instant_opt, ms};
use crate::lease::millis;
use crate::lease_clock::LeaseClock;
use crate::model::{Look, Sight};
use crate::open::Inner;
use crate::subject::Subject;
use crate::tx::{Conn, Durability, Writing, glance, snapshot};
use crate::{
    Store, StoreError, fleet, history, label as labels, lease_clock, material, reconcile, resolve, rotation, secret,
    sql,
};

/// When a secret that cannot be looked at now, for a rotation of it is open, is looked at again.
const OPEN_NOW: TimeDelta = TimeDelta::minutes(10);
/// What is held and could not be seen is looked at again so soon; where AWSCURRENT was refused, not as soon: each look costs the
/// account a refused login.
const UNSEEN: Duration = Duration::from_secs(60);
const SEEN_DRIFTED: Duration = Duration::from_secs(3600);
/// Who writes a value by hand may change the account a moment later.
const SOON: TimeDelta = TimeDelta::minutes(2);
/// No interval is longer: dates end somewhere.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Store {
    /// Leases up to `most` secrets whose AWSCURRENT is to be tried by now, what has waited longest first. Each is planned
    /// anew with its lease: a process that dies in a look does not repeat it at once, for each costs a login.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim_looks(&self, owner: &str, most: u32, now: Time) -> Result<Vec<Look>, StoreError> {
        let mut looks = Vec::new();
        if most == 0 || !self.any_look(now).await? {
            return Ok(looks);
        }
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        let now = clock.time(now)?;
        let query = sql::query_scalar(DUE).on_postgres(DUE_OF_MANY).bind(ms(now)).bind(&clock.id);
        let query =
            query.bind(clock.since).bind(clock.longest).bind(clock.opened).bind(clock.lease).bind(i64::from(most));
        let ids: Vec<i64> = query.fetch_all(w.conn()).await?;
        for id in ids.into_iter().map(SecretId) {
            match self.claim_look(&mut w, id, owner, now).await {
                Ok(look) => looks.extend(look),
                // One that cannot be read must not keep the others from being looked at.
                Err(error @ (StoreError::Inconsistent { .. } | StoreError::Sealed(_) | StoreError::SecretNotFound)) => {
                    tracing::error!(secret.id = id.0, %error, "a secret cannot be looked at");
                    plan(w.conn(), id, now + TimeDelta::days(1)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        w.commit().await?;
        Ok(looks)
    }

    async fn claim_look(
        &self,
        w: &mut Writing<'_>,
        id: SecretId,
        owner: &str,
        now: Time,
    ) -> Result<Option<Look>, StoreError> {
        let mut row = rotation::load(w.conn(), id).await?;
        if !may_look(&row) {
            plan(w.conn(), id, now + OPEN_NOW).await?;
            return Ok(None);
        }
        let secret = secret::by_id(w.conn(), id).await?.ok_or(StoreError::SecretNotFound)?;
        row.plan_next_look(&secret.arn, now);
        match row.verify {
            Some(next) => plan(w.conn(), id, next).await?,
            None => sql::query(UNPLAN).bind(id.0).execute(w.conn()).await.map(drop)?,
        }
        let Some(sight) = sight(w.conn(), &self.0, secret, &row, None, now).await? else { return Ok(None) };
        let held = row.is_held();
        Ok(Some(Look { lease: lease(w, &self.0, id, &sight.arn, owner).await?, sight, rotation: row.state, held }))
    }

    /// Leases this one secret, to be looked at because somebody asks. None: somebody else has it just now.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::RotationUnderWay`] while it is
    /// being rotated, [`StoreError::NoValue`]; or the database fails.
    pub async fn look_at(&self, id: &str, owner: &str, now: Time) -> Result<Option<Look>, StoreError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let secret = resolve::lock(w.conn(), id).await?;
        secret.live()?;
        rotation::lock(w.conn(), secret.id).await?;
        let row = rotation::load(w.conn(), secret.id).await?;
        if !may_look(&row) {
            return Err(StoreError::RotationUnderWay);
        }
        if !self.is_free(&mut w, &row).await? {
            return Ok(None);
        }
        let id = secret.id;
        let sight = sight(w.conn(), &self.0, secret, &row, None, now).await?.ok_or(StoreError::NoValue)?;
        let lease = lease(&mut w, &self.0, id, &sight.arn, owner).await?;
        w.commit().await?;
        let held = row.is_held();
        Ok(Some(Look { lease, sight, rotation: row.state, held }))
    }

    /// What a look at the target would be made with, as of now and with nothing leased: for what changes nothing. The
    /// settings may be others than those that are stored.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::NoValue`]; or the database fails.
    pub async fn sight(&self, id: &str, options: Option<Options>, now: Time) -> Result<Sight, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let secret = resolve::find(&mut tx, id).await?;
        let row = rotation::load(&mut tx, secret.id).await?;
        sight(&mut tx, &self.0, secret, &row, options, now).await?.ok_or(StoreError::NoValue)
    }

    /// Writes down what a look found, gives its lease back, and lets the secret's policy act on it. None: AWSCURRENT or the
    /// rotation was changed meanwhile, or the lease was lost, and what was found is about nothing any more.
    ///
    /// # Errors
    /// The database fails.
    pub async fn looked(
        &self,
        look: &Look,
        found: &Result<Verified, StepError>,
        by: &str,
        now: Time,
    ) -> Result<Option<LastVerified>, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let Some(mut subject) = Subject::by_id(&mut w, look.lease.secret).await? else { return Ok(None) };
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        let now = clock.time(now)?;
        let held = self.0.check_but_for_pause(&subject.rotation, &look.lease, &clock).is_ok();
        self.0.give_back(&mut w, &look.lease).await?;
        let is_same = subject.labels.holder(label::CURRENT) == Some(&look.sight.version)
            && subject.rotation.state == look.rotation;
        if !held || !is_same {
            w.commit().await?;
            return Ok(None);
        }
        let before = std::mem::take(&mut subject.rotation.verified);
        let after = match found {
            Ok(answer) => before.clone().found(answer.clone(), now),
            Err(error) => before.clone().failed(error, now),
        };
        let account = look.sight.material.current.as_ref().and_then(digest);
        let is_known = account.is_some() && before.account == account;
        subject.rotation.verified = match found {
            Ok(Verified::CurrentLogsIn) => after.of(account),
            _ => after,
        };
        if found.as_ref().is_ok_and(|answer| subject.rotation.is_shown_by(answer)) {
            subject.rotation.hold = subject.rotation.hold.proven();
        }
        let may_help = look.sight.material.admin.is_some() || matches!(found, Ok(Verified::AnotherLogsIn { .. }));
        if found.is_ok() {
            tell(&mut w, &mut subject, &before, by, now).await?;
            self.by_policy(&mut w, &mut subject, may_help && is_known, now).await?;
        }
        subject.rotation.plan_next_look(&subject.secret.arn, now);
        let last = subject.rotation.verified.clone();
        // Nothing of the secret itself has changed.
        let changed = subject.secret.changed;
        subject.save(&mut w, changed).await?;
        w.commit().await?;
        Ok(Some(last))
    }

    /// AWSCURRENT is set again where the settings say so, somebody could do it, and no rival is at work.
    async fn by_policy(
        &self,
        w: &mut Writing<'_>,
        subject: &mut Subject,
        may_help: bool,
        now: Time,
    ) -> Result<(), StoreError> {
        let row = &subject.rotation;
        let wanted = row.verified.drifted && row.options.reconcile && row.is_looked_at() && row.hold == Hold::None;
        if !wanted || row.state != Rotation::Idle || !may_help {
            return Ok(());
        }
        if fleet::load(w.conn()).await?.fleet.paused.is_some() {
            return Ok(());
        }
        let row = &subject.rotation;
        if row.verified.may_reconcile(now) {
            subject.rotation.verified = std::mem::take(&mut subject.rotation.verified).reconciling(now);
            return reconcile::begin(w, subject, &Occasion::called(&self.0, reconcile::POLICY, now)).await;
        }
        if !row.verified.rival {
            subject.rotation.verified.rival = true;
            let said = subject.rotation.verified.message().unwrap_or_default();
            history::note(w, subject.secret.id, None, "rival", Some(reconcile::POLICY), &said, now).await?;
        }
        Ok(())
    }

    /// Gives a look back that was not made, for as long.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_off(&self, look: &Look, length: TimeDelta, now: Time) -> Result<(), StoreError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let until = w.now(now).await? + length;
        sql::query(PUT_OFF).bind(look.lease.secret.0).bind(look.lease.fence).bind(ms(until)).execute(w.conn()).await?;
        self.0.give_back(&mut w, &look.lease).await?;
        w.commit().await
    }

    /// When the next look is planned. What waits at `now` for a lease or a rotation to end does not count: that wakes whoever
    /// asks.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_look(&self, now: Time) -> Result<Option<Time>, StoreError> {
        let mut conn = glance(&self.0).await?;
        let clock = LeaseClock::read(&self.0, &mut conn).await?;
        let next: Option<i64> = sql::query_scalar(NEXT).bind(clock.now_ms(now)).fetch_optional(&mut conn).await?;
        instant_opt(next)?.map(|next| clock.as_shown_here(next, now)).transpose()
    }

    /// Spares the writer the question. What a dead process has leased is asked for there.
    async fn any_look(&self, now: Time) -> Result<bool, StoreError> {
        let mut conn = glance(&self.0).await?;
        let now = lease_clock::now(&mut conn, now).await?;
        let any: Option<i64> = sql::query_scalar(ANY).bind(ms(now)).fetch_optional(&mut conn).await?;
        Ok(any.is_some())
    }

    /// At boot: secrets that an earlier binary left without a plan get theirs, spread over their interval. Says how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn plan_looks(&self, now: Time) -> Result<u64, StoreError> {
        let mut w = Writing::begin_as(&self.0, Durability::Ordered).await?;
        let now = w.now(now).await?;
        let unplanned: Vec<(i64, String)> =
            sql::query_as(UNPLANNED).locking("FOR NO KEY UPDATE OF s SKIP LOCKED").fetch_all(w.conn()).await?;
        let mut planned = 0;
        for (id, arn) in unplanned {
            // A row that cannot be read is for those who rotate it to report.
            let Ok(mut row) = rotation::load(w.conn(), SecretId(id)).await else { continue };
            row.plan_first_look(&arn, now);
            if let Some(first) = row.verify {
                plan(w.conn(), row.secret, first).await?;
                planned += 1;
            }
        }
        w.commit().await?;
        Ok(planned)
    }

    /// Nobody holds it, or somebody whose lease is over.
    pub(crate) async fn is_free(&self, w: &mut Writing<'_>, row: &rotation::Row) -> Result<bool, StoreError> {
        let clock = LeaseClock::read(&self.0, w.conn()).await?;
        let over = |held: &rotation::Held| clock.ends(millis(held.until), held.boot == clock.id, None) <= clock.since;
        Ok(row.lease.as_ref().is_none_or(over))
    }
}

impl rotation::Row {
    /// By schedule AWSCURRENT is tried of what is rotated, by rotators that are built in: no other can look.
    pub(crate) fn is_looked_at(&self) -> bool {
        let by_schedule = self.live && self.configured && self.enabled && !self.paused && self.lane.is_empty();
        by_schedule || self.is_to_be_seen()
    }

    /// How often AWSCURRENT is tried; None: not by schedule.
    pub(crate) fn look_every(&self) -> Option<Duration> {
        if self.is_to_be_seen() {
            return Some(if self.verified.drifted { SEEN_DRIFTED } else { UNSEEN });
        }
        let looks = self.configured && self.enabled && self.lane.is_empty();
        self.options.verify_every().filter(|_| looks).map(|every| every.min(LONGEST))
    }

    /// The first look comes within one interval, so that what begins together does not look together.
    pub(crate) fn plan_first_look(&mut self, arn: &str, now: Time) {
        self.verify = self.look_every().map(|every| within(arn, now, now + length(every)));
    }

    /// The next one after a look: when its interval is over, a tenth more or less.
    pub(crate) fn plan_next_look(&mut self, arn: &str, now: Time) {
        self.verify = self.look_every().map(|every| {
            let wait = self.verified.wait(every).min(LONGEST);
            within(arn, now + length(wait.mul_f64(0.9)), now + length(wait.mul_f64(1.1)))
        });
    }

    /// AWSCURRENT is another version now; `proven` where it was seen to log in. One that was written or moved by hand in
    /// the place of one that worked is tried soon: a tool that puts an old value back should not be found out a day later.
    /// Only once, so that a tool which goes on costs the account no more logins.
    pub(crate) fn look_after_change(&mut self, arn: &str, proven: bool, now: Time) {
        if proven {
            return self.plan_next_look(arn, now);
        }
        let worked = self.verified.answer == Some(Verified::CurrentLogsIn);
        self.verified = std::mem::take(&mut self.verified).forgotten();
        let before = self.verify.filter(|planned| *planned > now);
        let soon = worked.then(|| within(arn, now + SOON, now + SOON + SOON));
        self.plan_next_look(arn, now);
        self.verify = self.verify.map(|planned| [before, soon].into_iter().flatten().fold(planned, Time::min));
        if self.is_to_be_seen() {
            self.verify = Some(now);
        }
    }
}

impl Subject {
    /// AWSCURRENT logs in: a rotation has proven it.
    pub(crate) fn seen_to_log_in(&mut self, now: Time) {
        let verified = std::mem::take(&mut self.rotation.verified);
        self.rotation.verified = verified.found(Verified::CurrentLogsIn, now);
        self.rotation.plan_next_look(&self.secret.arn, now);
        self.proven = true;
        self.rotation.hold = self.rotation.hold.proven();
        if self.rotation.is_held() {
            self.rotation.due = None;
        }
    }
}

/// A moment that is the secret's own. Below a second there is nothing to spread.
fn within(arn: &str, opens: Time, closes: Time) -> Time {
    pick(arn, &Window { opens, closes })
}

fn length(length: Duration) -> TimeDelta {
    TimeDelta::from_std(length).unwrap_or(TimeDelta::days(3650))
}

/// Nothing of a rotation is under way: what a rotation has set is no drift.
/// What is held does not go on meanwhile, and its look only asks what is true.
fn may_look(row: &rotation::Row) -> bool {
    match &row.state {
        _ if row.is_to_be_seen() => true,
        Rotation::Idle => true,
        Rotation::Waiting { run, step: Step::Retire, .. } => run.promoted,
        _ => false,
    }
}

/// None: there is no AWSCURRENT to try.
pub(crate) async fn sight(
    conn: &mut Conn,
    inner: &Inner,
    secret: secret::Row,
    row: &rotation::Row,
    options: Option<Options>,
    now: Time,
) -> Result<Option<Sight>, StoreError> {
    let held = labels::load(conn, secret.id).await?;
    let Some(version) = held.holder(label::CURRENT).cloned() else { return Ok(None) };
    let run = Run::new(version.clone(), "verify".to_owned(), now);
    let looking = Rotation::Acting { run: run.clone(), step: Step::Prove };
    let options = options.unwrap_or_else(|| row.options.clone());
    let mut material = material::gather(conn, inner, secret.id, &looking, options).await?;
    if let Some(pending) = held.holder(label::PENDING).filter(|pending| **pending != version) {
        material::add_pending(conn, inner, &secret, pending, &mut material).await?;
    }
    Ok(Some(Sight {
        arn: secret.arn,
        name: secret.name,
        rotator: row.rotator.clone(),
        lane: row.lane.clone(),
        version,
        material,
        run,
        login_budget: retry::login_budget(row.verified.lock_limit),
    }))
}

/// Nobody else is at the account until it is given back, or over.
pub(crate) async fn lease(
    w: &mut Writing<'_>,
    inner: &Inner,
    id: SecretId,
    arn: &str,
    owner: &str,
) -> Result<Lease, StoreError> {
    let clock = LeaseClock::read(inner, w.conn()).await?;
    let query = sql::query_scalar(LEASE).bind(id.0).bind(owner);
    let fence: i64 = query.bind(&clock.id).bind(clock.since + clock.lease).fetch_one(w.conn()).await?;
    Ok(Lease { secret: id, arn: arn.to_owned(), fence })
}

/// A line of history where the answer is another than before.
async fn tell(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    before: &LastVerified,
    by: &str,
    now: Time,
) -> Result<(), StoreError> {
    let last = &subject.rotation.verified;
    let kind = match (before.drifted, last.drifted) {
        (true, false) => "verified-again",
        (_, true) if !before.drifted || before.answer != last.answer => "drifted",
        _ => return Ok(()),
    };
    let said = last.message().unwrap_or_default();
    history::note(w, subject.secret.id, None, kind, Some(by), &said, now).await
}

async fn plan(conn: &mut Conn, id: SecretId, at: Time) -> Result<(), StoreError> {
    sql::query(PLAN).bind(id.0).bind(ms(at)).execute(conn).await?;
    Ok(())
}

// What is due as a rotation is rotated first. The plus sign keeps the planner on the index of looks.
const DUE: &str = "-- verify::claim_looks
SELECT secret_id FROM rotation
WHERE verify_ms IS NOT NULL AND verify_ms <= $1 AND live = 1 AND lane = ''
  AND (unproven = 1 OR configured = 1 AND enabled = 1 AND paused = 0 AND state IN ('idle', 'waiting')) AND (+due_ms IS NULL OR +due_ms > $1)
  AND (lease_owner IS NULL
       OR CASE WHEN lease_boot = $2 AND lease_until_ms <= $3 + $4 THEN lease_until_ms
               ELSE $5 + COALESCE(lease_ms, $6) END <= $3)
ORDER BY verify_ms LIMIT $7";

// What another node has, or writes, is not waited for.
const DUE_OF_MANY: &str = "-- verify::claim_looks
SELECT r.secret_id FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.verify_ms IS NOT NULL AND r.verify_ms <= $1 AND r.live = 1 AND r.lane = ''
  AND (r.unproven = 1 OR r.configured = 1 AND r.enabled = 1 AND r.paused = 0 AND r.state IN ('idle', 'waiting'))
  AND (r.due_ms IS NULL OR r.due_ms > $1)
  AND (r.lease_owner IS NULL OR r.lease_until_ms <= $3)
ORDER BY r.verify_ms LIMIT $7 FOR NO KEY UPDATE OF s, r SKIP LOCKED";

const ANY: &str = "-- verify::any_look
SELECT secret_id FROM rotation
WHERE verify_ms IS NOT NULL AND verify_ms <= $1 AND live = 1 AND lane = ''
  AND (unproven = 1 OR configured = 1 AND enabled = 1 AND paused = 0 AND state IN ('idle', 'waiting')) AND (+due_ms IS NULL OR +due_ms > $1) LIMIT 1";

const NEXT: &str = "-- verify::next_look
SELECT verify_ms FROM rotation
WHERE verify_ms IS NOT NULL AND live = 1 AND lane = ''
  AND (unproven = 1 OR configured = 1 AND enabled = 1 AND paused = 0 AND state IN ('idle', 'waiting')) AND lease_owner IS NULL AND (+due_ms IS NULL OR +due_ms > $1)
ORDER BY verify_ms LIMIT 1";

const PLAN: &str = "-- verify::plan
UPDATE rotation SET verify_ms = $2 WHERE secret_id = $1";

const UNPLAN: &str = "-- verify::claim_look (unplanned)
UPDATE rotation SET verify_ms = NULL WHERE secret_id = $1";

const PUT_OFF: &str = "-- verify::put_off
UPDATE rotation SET verify_ms = $3 WHERE secret_id = $1 AND fence = $2";

const UNPLANNED: &str = "-- verify::plan_looks
SELECT r.secret_id, s.arn FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE r.verify_ms IS NULL AND r.live = 1 AND r.configured = 1 AND r.enabled = 1 AND r.lane = ''";
