//! pawl.UpdateRotator: changes how a registered rotator is called, or whether it is. What is not said stays.

use std::sync::Arc;

use engine::registration::Registration;
use serde::Deserialize;
use store::StoreError;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::members::{Asks, Members};
use crate::registration::{Details, Said, accepted};

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

    /// A receiver that somebody else got hold of is not to be called because a disk is full.
    fn runs_in_outage(&self, _cx: &Cx<'_>) -> bool {
        self.0.only_disables()
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Details, ApiError> {
        let store = &cx.state.store;
        let (name, enabled) = (self.0.name.clone().unwrap_or_default(), self.0.enabled);
        cx.notes.about(match enabled {
            None => name.clone(),
            Some(enabled) => format!("{name} {}", if enabled { "enabled" } else { "disabled" }),
        });
        if self.0.says_settings() {
            change(cx, &name, self.0).await?;
        }
        if let Some(enabled) = enabled {
            store.set_rotator_disabled(&name, !enabled, cx.now).await?;
        }
        let there = find(cx, &name).await?;
        Ok(Details::of(&there, store.served_by(&name).await?, cx.now))
    }
}

async fn change(cx: &Cx<'_>, name: &str, said: Said) -> Result<(), ApiError> {
    let there = find(cx, name).await?;
    let (settings, keys) = said.update(&there)?;
    let changed = Registration { settings, keys, ..Registration::clone(&there) };
    accepted(cx, &changed).await?;
    Ok(cx.state.store.update_rotator(name, &changed.settings, &changed.keys, there.changed, cx.now).await?)
}

async fn find(cx: &Cx<'_>, name: &str) -> Result<Arc<Registration>, ApiError> {
    let there = cx.state.store.rotator(name).await?;
    Ok(there.ok_or_else(|| StoreError::RotatorNotFound(name.to_owned()))?)
}
