//! PutResourcePolicy: judges a policy, and keeps its text as it is.

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::policy::{LOCKS_OUT, Manager, Policy};
use crate::wire::Which;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    resource_policy "ResourcePolicy": String [Required, Length(1..=20_480)],
    block_public_policy "BlockPublicPolicy": bool [],
}

impl Operation for Request {
    type Reply = Which;

    async fn run(self, cx: &Cx<'_>) -> Result<Which, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let document = self.resource_policy.unwrap_or_default();
        let policy = Policy::read(&document).map_err(|flaw| ApiError::malformed_policy(flaw.to_string()))?;
        let (secret, _) = cx.state.store.policy(&id).await?;
        let manager =
            Manager { arn: &cx.caller_arn(), account: &cx.state.account_id, secret: Some(secret.arn.as_str()) };
        if policy.locks_out(manager) {
            return Err(ApiError::malformed_policy(LOCKS_OUT));
        }
        if self.block_public_policy == Some(true) && policy.is_broad() {
            return Err(ApiError::public_policy(
                "You can't attach a resource-based policy that allows broad access to the secret.",
            ));
        }
        Ok(cx.state.store.put_policy(&secret.arn, &document, cx.now).await?.into())
    }
}
