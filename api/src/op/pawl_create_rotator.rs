//! pawl.CreateRotator: registers a webhook or an AWS rotation function. A webhook's reply is the one that has its signing
//! key.

use engine::registration::{Keys, Kind, Registration};
use serde::{Deserialize, Serialize};
use store::{NewRotator, new_signing_key};

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::credentials::Shown;
use crate::error::ApiError;
use crate::members::{Asks, Members};
use crate::registration::{Details, Said, accepted, not_built_in, spelled};

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
    rotator: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_key: Option<Shown>,
    /// Where a receiver that calls back will be told to.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_endpoint: Option<String>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let name = self.0.name.clone().unwrap_or_default();
        cx.notes.about(&name);
        not_built_in(cx, &name)?;
        let disabled = self.0.enabled == Some(false);
        let (settings, keys) = self.0.create()?;
        let signing = matches!(settings.kind, Kind::Webhook(_)).then(|| new_signing_key(cx.now));
        let keys = Keys { signing: signing.iter().cloned().collect(), ..keys };
        let registration = Registration { name, settings, keys, disabled, created: cx.now, changed: cx.now };
        accepted(cx, &registration).await?;
        let bench = cx.state.workbench.as_ref().filter(|_| registration.settings.is_told_endpoint());
        let endpoint = bench.and_then(|bench| bench.endpoint());
        let Registration { name, settings, keys, .. } = registration.clone();
        cx.state.store.create_rotator(NewRotator { name, settings, keys, disabled }, cx.now).await?;
        Ok(Reply {
            rotator: Details::of(&registration, (0, Vec::new()), cx.now),
            signing_key: signing.as_ref().map(spelled),
            callback_endpoint: endpoint.map(str::to_owned),
        })
    }
}
