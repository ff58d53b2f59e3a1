//! RotateSecret: configures rotation and, unless told otherwise, asks for one at once.

use serde::Deserialize;
use store::Rotate;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::external::{self, Metadata};
use crate::rotator;
use crate::rules::RotationRules;
use crate::wire::{Made, token_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    #[serde(rename = "RotationLambdaARN")]
    rotation_lambda_arn: Option<String>,
    rotation_rules: Option<RotationRules>,
    rotate_immediately: Option<bool>,
    external_secret_rotation_metadata: Option<Vec<Metadata>>,
    external_secret_rotation_role_arn: Option<String>,
}

impl Operation for Request {
    type Reply = Made;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.length("rotationLambdaARN", self.rotation_lambda_arn.as_deref(), 0..=2048);
        if let Some(rules) = &self.rotation_rules {
            rules.check(must, "rotationRules.");
        }
        external::check(must, self.external_secret_rotation_metadata.as_deref());
        let role = self.external_secret_rotation_role_arn.as_deref();
        must.length("externalSecretRotationRoleArn", role, 20..=2048);
    }

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
        let builtin = rotator::is_builtin(cx, &id, rotator.as_deref()).await?;
        let rotate = Rotate {
            token,
            rotator,
            rules,
            time_zone: None,
            options: None,
            immediately: self.rotate_immediately.unwrap_or(true),
            external,
            by: cx.principal().to_owned(),
            builtin,
            while_open: false,
        };
        Ok(cx.state.store.rotate(&id, rotate, cx.now).await?.into())
    }
}
