//! pawl.UpdateSubscription: changes what a subscription is, or whether it is told. What is not said stays.

use serde::Deserialize;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::members::{Asks, Members};
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

impl Operation for Request {
    type Reply = Details;

    /// A receiver that somebody else got hold of is not to be told because a disk is full.
    fn runs_in_outage(&self, _cx: &Cx<'_>) -> bool {
        self.0.only_disables()
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Details, ApiError> {
        let store = &cx.state.store;
        let (name, enabled) = (self.0.name.clone().unwrap_or_default(), self.0.enabled);
        cx.notes.about(&name);
        let there = store.subscription(&name).await?;
        let judged = self.0.says_settings();
        let settings = self.0.update(there.settings)?;
        if judged {
            accepted(cx, &name, &settings).await?;
        }
        let disabled = enabled.map_or(there.disabled, |enabled| !enabled);
        store.update_subscription(&name, &settings, disabled, there.changed, cx.principal(), cx.now).await?;
        Details::of(cx, &name).await
    }
}
