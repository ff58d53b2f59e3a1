//! pawl.CreateSubscription: a receiver that is told of events from now on. The one reply that has its signing key.

use serde::{Deserialize, Serialize};

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::credentials::Shown;
use crate::error::ApiError;
use crate::members::{Asks, Members};
use crate::registration::spelled;
use crate::subscription::{Details, Said, accepted};

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Request(Said);

impl Members for Request {
    #[cfg(test)]
    const NAMES: &'static [&'static str] = Said::NAMES;

    fn check(&self, path: &str, must: &mut Constraints) {
        self.0.check(path, must);
    }
}

impl Asks for Request {
    fn secret_id(&self) -> Option<&str> {
        None
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    #[serde(flatten)]
    subscription: Details,
    signing_key: Shown,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let store = &cx.state.store;
        let (name, disabled) = (self.0.name.clone().unwrap_or_default(), self.0.enabled == Some(false));
        cx.notes.about(&name);
        let settings = self.0.create()?;
        accepted(cx, &name, &settings).await?;
        let key = store.subscribe(&name, &settings, disabled, cx.principal(), cx.now).await?;
        Ok(Reply { subscription: Details::of(cx, &name).await?, signing_key: spelled(&key) })
    }
}
