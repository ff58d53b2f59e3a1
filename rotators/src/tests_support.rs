//! What unit tests of registered rotators share.

use std::sync::Arc;

use engine::Time;
use engine::registration::{Keys, Kind, Lambda, Mode, Registration, Settings, SigningKey, Webhook};
use engine::secret::SecretBytes;

use crate::desk::{Desk, DeskError, LambdaRequest, Pass, PassOrder};

pub(crate) fn function(endpoint: &str, function: &str) -> Kind {
    Kind::Lambda(Lambda {
        endpoint: endpoint.to_owned(),
        function: function.to_owned(),
        region: None,
        access_key_id: None,
    })
}

pub(crate) fn webhook(url: &str) -> Kind {
    Kind::Webhook(Webhook {
        url: url.to_owned(),
        mode: Mode::Managed,
        issues: false,
        password_key: None,
        credentials: false,
        checks: false,
        revokes: false,
        retires_after: None,
    })
}

pub(crate) fn registration(kind: Kind) -> Registration {
    let created = Time::from_timestamp(1_800_000_000, 0).expect("a time");
    let settings = Settings { kind, timeout_seconds: 10, concurrency: 16, ca: None, client_certificate: None };
    let signing = vec![SigningKey { secret: SecretBytes::from("a signing key"), created, expires: None }];
    let keys = Keys { signing, ..Keys::default() };
    Registration { name: "hook".to_owned(), settings, keys, disabled: false, created, changed: created }
}

/// A server whose clock stands still and which knows no rotator.
pub(crate) struct NoDesk;

#[async_trait::async_trait]
impl Desk for NoDesk {
    async fn registration(&self, _: &str) -> Result<Option<Arc<Registration>>, DeskError> {
        Ok(None)
    }

    async fn pass(&self, _: &PassOrder<'_>) -> Result<Pass, DeskError> {
        Err(DeskError("there is no pass".to_owned()))
    }

    fn sign(&self, _: &LambdaRequest<'_>) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn now(&self) -> Time {
        Time::from_timestamp(1_800_000_000, 0).expect("a time")
    }
}
