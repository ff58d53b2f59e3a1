//! Owns which host does which step: a change and its proof are the primary's, a test is every host's. A secret with one
//! host goes straight to the rotator, without one connection more. Never here: SQL.

use std::time::Duration;

use async_trait::async_trait;
use engine::check::{Preparation, Prepare, Report, Sessions, Verified};
use engine::outcome::{Done, Made, Proof, StepError};
use engine::port::{Rotator, StepContext};
use engine::rotation::Step;
use engine::secret::SecretBytes;

use super::round::{Any, AsyncDecides, Round};
use super::{Knock, Place, Site, login_at};

/// A rotator for secrets that may list several hosts.
pub(crate) struct Everywhere<R>(pub R);

#[async_trait]
impl<R: Site + 'static> Rotator for Everywhere<R> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn patience(&self) -> Duration {
        self.0.patience()
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        self.0.create(cx, password).await
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let Some(round) = Round::read(&self.0, cx)? else { return self.0.set(cx).await };
        let step = async {
            if cx.step == Step::Set && !cx.attempted {
                round.ready().await?;
            }
            round.on_primary(|site, cx| site.set(cx), Any).await
        };
        let done = round.within(step).await?;
        Ok(round.done(done))
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match Round::read(&self.0, cx)? {
            Some(round) => round.within(round.test()).await,
            None => self.0.test(cx).await,
        }
    }

    async fn finish(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match Round::read(&self.0, cx)? {
            Some(round) => round.within(round.on_primary(|site, cx| site.finish(cx), Any)).await,
            None => self.0.finish(cx).await,
        }
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        let Some(round) = Round::read(&self.0, cx)? else { return self.0.prove(cx).await };
        round.within(round.on_primary(|site, cx| site.prove(cx), NotByStandby(&round))).await
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let Some(round) = Round::read(&self.0, cx)? else { return self.0.retire(cx).await };
        let step = async {
            if cx.hold {
                round.still_used().await?;
            }
            round.on_primary(|site, cx| site.retire(cx), Any).await
        };
        let done = round.within(step).await?;
        Ok(round.done(done))
    }

    async fn verify(&self, cx: &StepContext<'_>) -> Result<Verified, StepError> {
        match Round::read(&self.0, cx)? {
            Some(round) => round.within(round.verify()).await,
            None => self.0.verify(cx).await,
        }
    }

    async fn check(&self, cx: &StepContext<'_>) -> Result<Report, StepError> {
        match Round::read(&self.0, cx)? {
            Some(round) => round.within(round.check()).await,
            None => self.0.check(cx).await,
        }
    }

    async fn sessions(&self, cx: &StepContext<'_>) -> Result<Option<Vec<Sessions>>, StepError> {
        match Round::read(&self.0, cx)? {
            Some(round) => round.within(round.sessions()).await,
            None => self.0.sessions(cx).await,
        }
    }

    async fn prepare(&self, cx: &StepContext<'_>, what: Prepare) -> Result<Preparation, StepError> {
        match Round::read(&self.0, cx)? {
            Some(round) => round.within(round.on_primary(move |site, cx| site.prepare(cx, what), Any)).await,
            None => self.0.prepare(cx, what).await,
        }
    }

    async fn revoke(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.0.revoke(cx).await
    }
}

/// That another value logs in is an answer only where it may be put right: a standby may just not have got it yet.
struct NotByStandby<'a, 'r, R>(&'a Round<'r, R>);

#[async_trait]
impl<R: Site> AsyncDecides<Proof> for NotByStandby<'_, '_, R> {
    async fn decides(&self, place: &Place, proof: &Proof) -> bool {
        let round = self.0;
        let login = match proof {
            Proof::CurrentLogsIn => return true,
            Proof::CanRestore { held: None } => round.admin_at(place),
            Proof::CanRestore { held: Some(held) } => {
                let known = round.cx.material.known.iter().find(|known| known.role == *held);
                known.and_then(|known| login_at(round.kind(), &known.value, place)).or_else(|| round.admin_at(place))
            }
        };
        match login {
            // Set looks at the world again, and at a standby it changes nothing.
            None => true,
            Some(login) => match round.knock(&login).await {
                Ok(Knock::In(role)) => !role.standby,
                Ok(Knock::Refused | Knock::Failed(_)) | Err(_) => true,
            },
        }
    }
}
