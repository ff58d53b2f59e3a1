//! pawl.StartRotation: a rotation now, as RotateSecret begins one, of what is configured. With Force in a blackout too.

use store::{External, Rotate, Start};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::rotator;
use crate::wire::{Made, token_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    client_request_token "ClientRequestToken": String [],
    force "Force": bool [],
}

impl Operation for Request {
    type Reply = Made;

    async fn run(self, cx: &Cx<'_>) -> Result<Made, ApiError> {
        let token = token_of(self.client_request_token, ApiError::invalid_parameter)?;
        let id = self.secret_id.unwrap_or_default();
        let rotate = Rotate {
            token,
            rotator: None,
            rules: None,
            time_zone: None,
            options: None,
            start: if self.force == Some(true) { Start::RotateAnyway } else { Start::Rotate },
            external: External::default(),
            by: cx.principal().to_owned(),
            serves: rotator::serving(cx, &id, None, rotator::cannot_invoke).await?,
        };
        Ok(cx.state.store.rotate(&id, rotate, cx.now).await?.into())
    }
}
