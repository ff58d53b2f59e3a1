//! pawl.EnableRotation: adopts a secret. RotateSecret with Pawl's settings, and without rotating at once by default.

use engine::id::VersionId;
use store::{Rotate, Serves, Start};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, SecretId, request};
use crate::rotation::Shown;
use crate::rotator;
use crate::rules::{Expression, RotationRules, WindowLength};
use crate::wire::token_of;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    client_request_token "ClientRequestToken": String [],
    schedule_expression "ScheduleExpression": String [Length(1..=256), Expression],
    automatically_after_days "AutomaticallyAfterDays": i64 [Between(1..=1000)],
    duration "Duration": String [WindowLength],
    time_zone "TimeZone": String [Length(1..=64)],
    rotator "Rotator": String [Length(1..=2048)],
    rotate_immediately "RotateImmediately": bool [],
    allow_md5_upgrade "AllowMd5Upgrade": bool [],
    allow_differing_hosts "AllowDifferingHosts": bool [],
}

impl Request {
    fn rules(&self) -> RotationRules {
        RotationRules {
            automatically_after_days: self.automatically_after_days,
            duration: self.duration.clone(),
            schedule_expression: self.schedule_expression.clone(),
        }
    }

    /// The options as they will be: what is not said stays. None where nothing is said.
    async fn options(&self, cx: &Cx<'_>, id: &str) -> Result<Option<engine::port::Options>, ApiError> {
        if self.allow_md5_upgrade.is_none() && self.allow_differing_hosts.is_none() {
            return Ok(None);
        }
        let config = cx.state.store.rotation(id).await?.config;
        let mut options = config.map(|config| config.options).unwrap_or_default();
        options.allow_md5_upgrade = self.allow_md5_upgrade.unwrap_or(options.allow_md5_upgrade);
        options.allow_differing_hosts = self.allow_differing_hosts.unwrap_or(options.allow_differing_hosts);
        Ok(Some(options))
    }
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let token = match self.client_request_token.clone() {
            None => VersionId::random(&mut rand::rng()),
            given => token_of(given, ApiError::invalid_parameter)?,
        };
        let rules = self.rules().parsed(self.time_zone.as_deref(), cx.state.limits)?;
        let id = self.secret_id.as_deref().unwrap_or_default();
        let unknown = |name: &str| {
            ApiError::not_found(format!("There is no rotator {name}: `pawl rotator list` shows which there are."))
        };
        let serves = rotator::serving(cx, id, self.rotator.as_deref(), unknown).await?;
        if let (Some(Serves::Registered(rotator)), Some(bench)) = (&serves, &cx.state.workbench) {
            bench.may_rotate(rotator, id).await?;
        }
        let rotate = Rotate {
            token,
            options: self.options(cx, id).await?,
            rotator: self.rotator.clone(),
            rules,
            time_zone: self.time_zone.clone(),
            start: if self.rotate_immediately == Some(true) { Start::Rotate } else { Start::Wait },
            external: store::External::default(),
            by: cx.principal().to_owned(),
            serves,
        };
        cx.state.store.rotate(id, rotate, cx.now).await?;
        Ok(cx.state.store.rotation(id).await?.into())
    }
}
