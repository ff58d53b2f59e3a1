//! RotateSecret: configures rotation and asks for one at once, or only for a test of what is configured.

use store::{Rotate, Start};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::external::{self, Metadata};
use crate::members::{Each, Inner, Length, Required, SecretId, request};
use crate::rotator;
use crate::rules::RotationRules;
use crate::wire::{Made, token_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    client_request_token "ClientRequestToken": String [],
    rotation_lambda_arn "RotationLambdaARN": String [Length(0..=2048)],
    rotation_rules "RotationRules": RotationRules [Inner],
    rotate_immediately "RotateImmediately": bool [],
    external_secret_rotation_metadata "ExternalSecretRotationMetadata": Vec<Metadata> [Each(0..=usize::MAX)],
    external_secret_rotation_role_arn "ExternalSecretRotationRoleArn": String [Length(20..=2048)],
}

impl Operation for Request {
    type Reply = Made;

    async fn run(self, cx: &Cx<'_>) -> Result<Made, ApiError> {
        // Alone among the four, this one calls a missing token a parameter.
        let token = token_of(self.client_request_token, ApiError::invalid_parameter)?;
        let external = store::External {
            kind: None,
            metadata: self.external_secret_rotation_metadata.map(external::pairs_of).transpose()?,
            role_arn: self.external_secret_rotation_role_arn,
        };
        let rules = self.rotation_rules.unwrap_or_default().parsed(None, cx.state.limits)?;
        let rotator = self.rotation_lambda_arn.filter(|arn| !arn.is_empty());
        let id = self.secret_id.unwrap_or_default();
        let serves = rotator::serving(cx, &id, rotator.as_deref(), rotator::cannot_invoke).await?;
        let rotate = Rotate {
            token,
            rotator,
            rules,
            time_zone: None,
            options: None,
            start: if self.rotate_immediately == Some(false) { Start::Test } else { Start::Rotate },
            external,
            by: cx.principal().to_owned(),
            serves,
        };
        Ok(cx.state.store.rotate(&id, rotate, cx.now).await?.into())
    }
}
