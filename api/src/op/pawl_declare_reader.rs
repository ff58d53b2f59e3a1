//! pawl.DeclareReader: for how long a principal keeps what it reads of a secret, so that no grace is shorter.

use std::time::Duration;

use store::Role;

use super::{Cx, Operation};
use crate::credentials::PRINCIPAL;
use crate::error::ApiError;
use crate::members::{Between, Length, Required, SecretId, request};
use crate::wire::Which;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    cache_seconds "CacheSeconds": i64 [Required, Between(0..=2_592_000)],
    principal "Principal": String [Length(1..=64), PRINCIPAL],
}

impl Operation for Request {
    type Reply = Which;

    async fn run(self, cx: &Cx<'_>) -> Result<Which, ApiError> {
        let own = cx.principal();
        let principal = self.principal.as_deref().unwrap_or(own);
        if principal != own && cx.caller().principal().role != Role::Administrator {
            return Err(ApiError::access_denied(format!(
                "{own} may declare itself alone: leave Principal out, or have an administrator declare {principal}."
            )));
        }
        let id = self.secret_id.unwrap_or_default();
        let cache = Duration::from_secs(self.cache_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0));
        Ok(cx.state.store.declare_reader(&id, principal, cache).await?.into())
    }
}
