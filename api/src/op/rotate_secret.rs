//! RotateSecret: configures rotation and asks for one at once, or only for a test of what is configured.

use engine::settings::{Change, Said};
use engine::strategy::Retirement;
use store::{Rotate, Serves, Start};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::external::{self, Metadata};
use crate::members::{Each, Inner, Length, Required, SecretId, request};
use crate::rotation::pair;
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
        let kept = match &serves {
            Some(Serves::Builtin) => pair::kept_by_tag(cx, &id, rotator.as_deref()).await?,
            _ => None,
        };
        let never = Change { retirement: Some(Said::To(Retirement::Never)), ..Change::default() };
        let rotate = Rotate {
            token,
            rotator,
            rules,
            time_zone: None,
            options: kept.as_ref().map(|_| never),
            start: if self.rotate_immediately == Some(false) { Start::Test } else { Start::Rotate },
            external,
            by: cx.principal().to_owned(),
            serves,
        };
        let made = cx.state.store.rotate(&id, rotate, cx.now).await?;
        if let Some(kept) = kept {
            let said = format!("{} (`{}` ends the old one)", kept.message, kept.remedy);
            cx.state.store.note(&id, &kept.code, cx.principal(), &said, cx.now).await?;
        }
        Ok(made.into())
    }
}
