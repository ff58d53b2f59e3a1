//! Looks at targets beside rotations: does AWSCURRENT log in, by schedule and by command. Within a budget, since every look
//! at an account that has drifted costs it refused logins.
//!
//! Never here: what is written down of a look (`store`), how a target is asked (`rotators`).

mod pace;
mod sessions;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::audit::{Kind, Record, Trail, Until};
use api::workbench::Problem;
use chrono::TimeDelta;
use engine::account;
use engine::check::{LastVerified, Verified};
use engine::driver::LEASE_MARGIN;
use engine::fleet;
use engine::id::SecretId;
use engine::idle::LookOnly;
use engine::outcome::{StepError, Verdict};
use engine::password::PasswordRules;
use engine::port::{Clock, Guard, Material, RotationStore, Rotator, StepContext};
use engine::rotation::Step;
use engine::secret::SecretBytes;
use rotators::Registry;
use store::{Look, Reach, Sight, Store, StoreError, Turned};
use tokio::task::JoinSet;

pub use self::pace::Pace;
use crate::metrics::Metrics;

/// How long a command waits for a look; shorter than a connection may be silent.
pub(crate) const WAIT: Duration = Duration::from_secs(20);
/// How often a secret that somebody else has is asked for again.
const AGAIN: Duration = Duration::from_millis(200);
/// A look at a server that is being looked at waits so long.
const BUSY: TimeDelta = TimeDelta::seconds(3);
/// A look at a server that is not reached waits so long.
const AWAY: TimeDelta = TimeDelta::minutes(5);
/// Who asks where nobody does.
const SCHEDULE: &str = "schedule";
/// What a rotator says that cannot do what was asked of it.
const NO_STEP: &str = "no-step";

/// Everything a look is made with.
pub struct Looks {
    /// Secrets, and what is known of them.
    pub store: Store,
    /// The rotators that are built in: no other can look.
    pub registry: Arc<Registry>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where every look leaves its record.
    pub trail: Arc<dyn Trail>,
    /// How long a lease is, and so a look at most.
    pub lease: Duration,
    /// This process, in leases.
    pub owner: String,
    /// How much of the budget is spent.
    pub pace: Pace,
}

impl Looks {
    /// Begins the looks that are due and within the budget.
    pub(crate) async fn begin(self: &Arc<Self>, under_way: &mut JoinSet<()>) -> Result<(), StoreError> {
        let room = self.pace.room(self.clock.since_boot());
        let claimed = self.store.claim_looks(&self.owner, room, self.clock.now()).await?;
        let away = if claimed.is_empty() { HashSet::new() } else { self.store.away().await? };
        for look in claimed {
            // Its host is tried by a rotation now and then; a look would only be another failure.
            if target_of(&look).is_some_and(|target| away.contains(&target)) {
                self.store.put_off(&look, AWAY, self.clock.now()).await?;
                continue;
            }
            let server = look.sight.material.wanted.as_ref().and_then(rotators::server_of).unwrap_or_default();
            let Some(place) = self.pace.enter(&server, !look.held, self.clock.since_boot()) else {
                self.store.put_off(&look, BUSY, self.clock.now()).await?;
                continue;
            };
            let this = Arc::clone(self);
            under_way.spawn(async move {
                if let Err(error) = this.make(&look, SCHEDULE).await {
                    tracing::error!(secret.name = look.sight.name, %error, "what a look found is lost; it is made again");
                }
                drop(place);
            });
        }
        Ok(())
    }

    /// Until the next look may begin; None: none is planned.
    pub(crate) async fn pause(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.clock.now();
        let Some(next) = self.store.next_look(now).await? else { return Ok(None) };
        let due = (next - now).to_std().unwrap_or_default();
        Ok(Some(due.max(self.pace.full_for(self.clock.since_boot()))))
    }

    /// Makes one look, because `by` asks, and waits for its end.
    pub(crate) async fn verify(self: &Arc<Self>, id: &str, by: &str) -> Result<(), Problem> {
        let sight = self.store.sight(id, None, self.clock.now()).await?;
        self.rotator(&sight, None)?;
        let look = self.leased(|| self.store.look_at(id, &self.owner, self.clock.now())).await?;
        let (this, by) = (Arc::clone(self), by.to_owned());
        // It goes on when nobody waits for it any more.
        let made = tokio::spawn(async move { this.make(&look, &by).await });
        match tokio::time::timeout(WAIT, made).await {
            Ok(Ok(Ok(Some(_)))) => Ok(()),
            Ok(Ok(Ok(None))) => Err(refused(
                "Nothing was found out: the secret was changed meanwhile, or its rotator cannot look. Ask again.",
            )),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(panic)) => Err(Problem::Failed(format!("a look ended in a panic: {panic}"))),
            Err(_elapsed) => {
                Err(refused("The target has not answered yet; `pawl rotation status` shows it when it does."))
            }
        }
    }

    /// What takes a lease on the secret, asked again while somebody else has one.
    pub(crate) async fn leased<F>(&self, take: impl Fn() -> F) -> Result<Look, Problem>
    where
        F: Future<Output = Result<Option<Look>, StoreError>>,
    {
        let until = self.clock.since_boot() + WAIT / 2;
        loop {
            if let Some(look) = take().await? {
                return Ok(look);
            }
            if self.clock.since_boot() >= until {
                return Err(refused("Something else is at work with this secret just now; ask again."));
            }
            self.clock.sleep(AGAIN).await;
        }
    }

    /// None: what was found is about nothing any more, or nobody could look.
    async fn make(&self, look: &Look, by: &str) -> Result<Option<LastVerified>, StoreError> {
        let began = self.clock.since_boot();
        let Some(found) = self.ask(&look.sight).await else {
            let _kept_until_it_ends = self.store.release(&look.lease).await;
            return Ok(None);
        };
        let unreachable = found.as_ref().err().filter(|error| fleet::is_unreachable(error));
        if let (Some(target), Some(error)) = (target_of(look), unreachable) {
            self.tell_reach(&target, look.lease.secret, &Reach::Failed(error.message.clone())).await;
        }
        let last = self.store.looked(look, &found, by, self.clock.now()).await?;
        if let Some(last) = &last {
            self.tell(look, &found, last, self.clock.since_boot().saturating_sub(began));
        }
        Ok(last)
    }

    /// What an act or a look says about its host: one line when it is left alone, and one when it is back, however many
    /// secrets it has.
    pub(crate) async fn tell_reach(&self, target: &str, secret: SecretId, reach: &Reach) {
        match self.store.reached(target, secret, reach, self.clock.now()).await {
            Ok(None) => {}
            Ok(Some(Turned::Away { failures })) => {
                let why = if let Reach::Failed(why) = reach { why.as_str() } else { "" };
                tracing::error!(
                    target_host = target,
                    failures,
                    why,
                    remedy = "see that the server runs and can be reached; `pawl limits show` tells who waits",
                    "{target} is not reached: its secrets wait, and one of them tries now and then"
                );
            }
            Ok(Some(Turned::Back { since })) => {
                tracing::warn!(target_host = target, %since, "{target} answers again: its secrets go on");
            }
            Err(error) => tracing::error!(%error, "what an act says about its host is lost"),
        }
    }

    /// None: the rotator does not look.
    async fn ask(&self, sight: &Sight) -> Option<Result<Verified, StepError>> {
        let rotator = pick(&self.registry, sight.rotator.as_deref(), &sight.material)?;
        let scramble = scramble()?;
        let deadline = self.deadline();
        let cx = context(sight, &LookOnly, deadline, &scramble);
        let found = in_time(deadline, rotator.verify(&cx)).await;
        Some(found).filter(|found| !is_no_step(found))
    }

    /// What a look may take, so that it has ended before its lease has.
    pub(crate) fn deadline(&self) -> Duration {
        self.lease.saturating_sub(LEASE_MARGIN)
    }

    /// The built-in rotator of a secret, or why there is none to look.
    pub(crate) fn rotator(&self, sight: &Sight, name: Option<&str>) -> Result<&dyn Rotator, Problem> {
        if !sight.lane.is_empty() && name.is_none() {
            return Err(Problem::Refused(format!(
                "{} is rotated by {}, and only rotators that are built in look at a target by themselves, or prepare one. \
                 RotateSecret with RotateImmediately=false has it test AWSCURRENT.",
                sight.name, sight.lane
            )));
        }
        pick(&self.registry, name.or(sight.rotator.as_deref()), &sight.material).ok_or_else(|| {
            let name = &sight.name;
            Problem::Refused(format!("No built-in rotator serves {name}: its value names no \"engine\" that has one."))
        })
    }

    fn tell(&self, look: &Look, found: &Result<Verified, StepError>, last: &LastVerified, took: Duration) {
        let answer = match found {
            Ok(Verified::CurrentLogsIn) => "current-logs-in",
            Ok(Verified::AnotherLogsIn { .. }) => "another-logs-in",
            Ok(Verified::NoneLogsIn) => "none-logs-in",
            Err(_) => "not-verified",
        };
        self.metrics.verified(answer);
        let (name, millis) = (&look.sight.name, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        match found {
            Ok(Verified::CurrentLogsIn) => {
                tracing::info!(secret.name = name, took_ms = millis, "AWSCURRENT of {name} logs in");
            }
            Ok(_) => tracing::warn!(
                secret.name = name,
                took_ms = millis,
                remedy = last.remedy(name),
                "{name} has drifted: {}",
                last.message().unwrap_or_default()
            ),
            Err(error) => tracing::warn!(
                secret.name = name,
                took_ms = millis,
                code = error.code,
                "whether AWSCURRENT of {name} logs in could not be found out: {error}"
            ),
        }
        let verdict = found.as_ref().err().map(|error| error.verdict.to_string());
        let drifted = if last.drifted { "drifted" } else { "ok" };
        let record = Record {
            request_id: Some(&format!("Verify-{}", look.sight.arn)),
            principal: Some("pawl"),
            operation: Some("verify"),
            secret: Some(Cow::Borrowed(&look.sight.arn)),
            outcome: Some(verdict.as_deref().unwrap_or(drifted)),
            code: found.as_ref().err().map(|error| Cow::Borrowed(error.code.as_str())),
            took_us: Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            ..Record::new(Kind::Step, self.clock.now())
        };
        let _unawaited = self.trail.take(&record, Until::Synced);
    }
}

/// The host that a look is at.
fn target_of(look: &Look) -> Option<String> {
    look.sight.material.wanted.as_ref().and_then(account::server)
}

/// By the name the secret was given (a name or a function ARN, whose last part is one), else by its `engine`.
pub(crate) fn pick<'a>(registry: &'a Registry, name: Option<&str>, material: &Material) -> Option<&'a dyn Rotator> {
    match name {
        Some(name) => registry.get(api::rotator_name(name)?),
        None => {
            let value = material.wanted.as_ref().or(material.current.as_ref())?;
            registry.get(rotators::engine_of(value)?)
        }
    }
}

/// What a rotator is given where no rotation is.
pub(crate) fn context<'a>(
    sight: &'a Sight,
    guard: &'a dyn Guard,
    deadline: Duration,
    scramble: &'a SecretBytes,
) -> StepContext<'a> {
    StepContext {
        arn: &sight.arn,
        step: Step::Prove,
        run: &sight.run,
        material: &sight.material,
        attempted: false,
        login_budget: sight.login_budget,
        deadline,
        guard,
        scramble,
        hold: false,
    }
}

/// A password that nobody has.
pub(crate) fn scramble() -> Option<SecretBytes> {
    PasswordRules::for_rotators().generate(&mut rand::rng()).ok()
}

/// A rotator ends by itself before its deadline; this is for one that does not.
pub(crate) async fn in_time<T>(
    deadline: Duration,
    asked: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    tokio::time::timeout(deadline, asked)
        .await
        .unwrap_or_else(|_| Err(StepError::new(Verdict::Unknown, "deadline", "the target did not answer in time")))
}

/// The rotator cannot do what was asked of it.
pub(crate) fn is_no_step<T>(found: &Result<T, StepError>) -> bool {
    found.as_ref().is_err_and(|error| error.code == NO_STEP)
}

fn refused(why: &str) -> Problem {
    Problem::Refused(why.to_owned())
}
