//! What registered rotators ask of the server while they work, answered from the store and the clock.
//!
//! Never here: what is sent to a receiver (`rotators`), what a pass allows (`api`).

use std::sync::Arc;

use api::sigv4::{Signer, Unsigned, sign_for};
use async_trait::async_trait;
use engine::Time;
use engine::port::Clock;
use engine::registration::Registration;
use rotators::{Credentials, Desk, DeskError, LambdaRequest, Pass, PassOrder};
use store::{Grant, Store, StoreError, causes};

/// The signing name of Lambda.
const LAMBDA: &str = "lambda";

/// The server, as registered rotators see it.
pub struct ServerDesk {
    /// Registrations, and the keys that seal passes.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where functions call this server; None where nobody said so and it listens everywhere.
    pub endpoint: Option<String>,
    /// The region that requests to it are signed for.
    pub region: String,
}

#[async_trait]
impl Desk for ServerDesk {
    async fn registration(&self, name: &str) -> Result<Option<Arc<Registration>>, DeskError> {
        self.store.rotator(name).await.map_err(|error| failed(&error))
    }

    async fn pass(&self, order: &PassOrder<'_>) -> Result<Pass, DeskError> {
        let expires = self.clock.now() + order.valid_for;
        let rotation_token =
            self.store.rotation_token(order.arn, order.token, expires).map_err(|error| failed(&error))?;
        let credentials = match order.credentials {
            true => Some(self.credentials(order, expires)?),
            false => None,
        };
        Ok(Pass { rotation_token, endpoint: self.endpoint.clone(), region: self.region.clone(), credentials })
    }

    fn sign(&self, request: &LambdaRequest<'_>) -> Vec<(&'static str, String)> {
        let LambdaRequest { path, headers, body, region, access_key_id, secret } = *request;
        let unsigned = Unsigned { method: "POST", path, query: "", headers, body };
        sign_for(LAMBDA, &unsigned, &Signer { access_key_id, secret, region }, self.clock.now()).into()
    }

    fn now(&self) -> Time {
        self.clock.now()
    }
}

impl ServerDesk {
    fn credentials(&self, order: &PassOrder<'_>, expires: Time) -> Result<Credentials, DeskError> {
        let grant = Grant { arn: order.arn.to_owned(), version: order.token.clone(), check: order.check };
        let session = self.store.create_pass(&grant, expires).map_err(|error| failed(&error))?;
        Ok(Credentials {
            access_key_id: session.access_key_id,
            secret: session.secret,
            session_token: session.token.into(),
            expires: session.expires,
        })
    }
}

fn failed(error: &StoreError) -> DeskError {
    DeskError(causes(error))
}
