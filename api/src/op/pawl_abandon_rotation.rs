//! pawl.AbandonRotation: gives an open rotation up; AWSCURRENT is proven before it is forgotten. A person who has seen it log
//! in may say so, where the rotator cannot.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::rotation::Shown;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    current_works "CurrentWorks": bool [],
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let store = &cx.state.store;
        let view = match self.current_works {
            Some(true) => store.vouch_rotation(&id, cx.principal(), cx.now).await?,
            _ => store.abandon_rotation(&id, cx.principal(), cx.now).await?,
        };
        Ok(view.into())
    }
}
