//! Plays a case: its ops one after the other, each followed by the oracle, and then a quiet end in which everything must
//! come to rest. Never here: what an op does, what must hold.

use std::time::Duration;

use chrono::TimeDelta;

use crate::Rules;
use crate::op::{Case, Leap, Op, Trouble};
use crate::world::{HOSTS, World};

/// How long nothing goes wrong any more.
const QUIET: TimeDelta = TimeDelta::hours(26);
/// Claims of one secret in an hour of virtual time: a rotation, its retries, the end of its grace.
const MOST_CLAIMS: u32 = 60;
/// Wake-ups in the quiet end, for each secret.
const MOST_WAKES: usize = 400;

/// What went wrong, and at which op; None: in the quiet end.
pub(crate) type Failure = (Option<usize>, String);

/// Plays a case on a runtime of its own.
pub(crate) fn play(case: &Case, rules: Rules) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(&case.kinds, rules).await;
        let outcome = all(&mut world, &case.ops).await;
        world.close().await;
        outcome
    })
}

async fn all(world: &mut World, ops: &[Op]) -> Result<(), Failure> {
    for (number, op) in ops.iter().enumerate() {
        world.once(*op).await.map_err(|what| (Some(number), what))?;
    }
    world.quiet().await.map_err(|what| (None, what))
}

impl World {
    async fn once(&mut self, op: Op) -> Result<(), String> {
        let about = match op {
            Op::Write(secret, _) | Op::Label(secret, _) | Op::Ask(secret, _) | Op::Rival(secret) => {
                vec![self.secret(secret)]
            }
            Op::Restart { .. } | Op::Server(_, Trouble::Restore) => (0..self.secrets.len()).collect(),
            _ => vec![],
        };
        match op {
            Op::Wake(node) => self.wake(node).await,
            Op::Drive { node, pick, calls, fate, times, then } => {
                self.drive(node, pick, calls, (fate, times), then).await;
            }
            Op::Run(node) => self.run(node).await,
            Op::Pass(span) => self.pass(span).await,
            Op::Land => drop(self.target.land()),
            Op::Restart { reboot } => self.restart(reboot).await,
            Op::Jump(leap) => self.jump(leap),
            Op::Server(host, trouble) => self.trouble(host, trouble),
            Op::Write(_, text) => self.write(about[0], text).await?,
            Op::Label(_, how) => self.label(about[0], how).await?,
            Op::Ask(_, wish) => self.ask(about[0], wish).await?,
            Op::Rival(_) => self.rival(about[0]).await,
        }
        let touched = self.touched();
        self.check(touched.into_iter().chain(about)).await
    }

    fn jump(&mut self, leap: Leap) {
        match leap {
            Leap::AnHourBack => {
                self.clock.jump(TimeDelta::hours(-1));
                // A person who writes a value starts the count anew, from a moment that was before.
                self.secrets.iter_mut().for_each(|secret| secret.last_opens = None);
            }
            Leap::ADayOn => self.clock.jump(TimeDelta::days(1)),
            Leap::AYearOn => self.clock.jump(TimeDelta::days(365)),
        }
    }

    /// Nothing goes wrong any more: whoever is alive goes on, time passes, and everything comes to rest.
    async fn quiet(&mut self) -> Result<(), String> {
        for (number, host) in HOSTS.iter().enumerate() {
            self.trouble(u8::try_from(number).unwrap(), Trouble::Up);
            self.target.reject(host, 0);
        }
        for node in 0..3 {
            self.run(node).await;
            self.check_touched().await?;
        }
        self.clock.pass(Duration::from_secs(20));
        self.target.settle();
        self.check_touched().await?;
        self.note_open().await;
        self.journal.claims();
        let (until, mut hour) = (self.now() + QUIET, self.now() + TimeDelta::hours(1));
        for wake in 0.. {
            if wake > MOST_WAKES * self.secrets.len() {
                return Err("busy loop: nodes wake up for ever".to_owned());
            }
            self.run(u8::try_from(wake % 3).unwrap()).await;
            self.check_touched().await?;
            if self.now() >= hour {
                self.check_pace()?;
                hour = self.now() + TimeDelta::hours(1);
            }
            let Some(next) = self.next().await.filter(|next| *next < until) else { break };
            // As the scheduler does: never sooner than it may.
            self.clock.pass(Duration::from_millis(20));
            self.clock.pass_until(next);
        }
        self.clock.pass_until(until);
        self.run(0).await;
        self.check(0..self.secrets.len()).await?;
        self.check_ended().await
    }

    async fn check_touched(&mut self) -> Result<(), String> {
        let touched = self.touched();
        self.check(touched).await
    }

    fn check_pace(&self) -> Result<(), String> {
        let claims = self.journal.claims();
        match claims.iter().find(|(_, count)| **count > MOST_CLAIMS) {
            Some((arn, count)) => Err(format!("busy loop: {arn} was claimed {count} times in an hour")),
            None => Ok(()),
        }
    }
}
