//! pawl.EnableRotation: adopts a secret. RotateSecret with Pawl's settings, and without rotating at once by default.

use engine::id::VersionId;
use engine::settings::Change;
use engine::strategy::UnknownStrategy;
use store::{Rotate, Serves, Start};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Items, Length, OneOf, Required, SecretId, request};
use crate::registration::span_of;
use crate::rotation::settings::{self, DEFAULT, said};
use crate::rotation::{Shown, warnings};
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
    allow_superuser "AllowSuperuser": bool [],
    strategy "Strategy": String [OneOf(&["single-user", "dual-password", "alternating-users", DEFAULT])],
    users "Users": Vec<String> [Items(0..=2, 1..=128)],
    grace "Grace": String [Length(1..=16)],
    retire "Retire": String [OneOf(&["at-grace-end", "when-drained", "never", DEFAULT])],
    retire_deadline "RetireDeadline": String [Length(1..=16)],
    verify "Verify": String [Length(1..=16)],
    reconcile "Reconcile": bool [],
}

impl Request {
    fn rules(&self) -> RotationRules {
        RotationRules {
            automatically_after_days: self.automatically_after_days,
            duration: self.duration.clone(),
            schedule_expression: self.schedule_expression.clone(),
        }
    }

    /// What is said about the settings. What is not said stays.
    fn change(&self) -> Result<Change, ApiError> {
        let unknown = |error: UnknownStrategy| ApiError::invalid_parameter(error.to_string());
        Ok(Change {
            allow_md5_upgrade: self.allow_md5_upgrade,
            allow_differing_hosts: self.allow_differing_hosts,
            allow_superuser: self.allow_superuser,
            strategy: said(self.strategy.as_deref(), |strategy| strategy.parse().map_err(unknown))?,
            users: self.users.clone().map(settings::users).transpose()?,
            grace_seconds: said(self.grace.as_deref(), |grace| Ok(span_of("Grace", grace)?.as_secs()))?,
            retirement: settings::retirement(self.retire.as_deref(), self.retire_deadline.as_deref())?,
            reconcile: self.reconcile,
            verify_seconds: settings::verify(self.verify.as_deref())?,
            time_zone: said(self.time_zone.as_deref(), |zone| Ok(zone.to_owned()))?,
        })
    }
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let token = match self.client_request_token.clone() {
            None => VersionId::random(&mut rand::rng()),
            given => token_of(given, ApiError::invalid_parameter)?,
        };
        let zone = self.time_zone.as_deref().filter(|zone| *zone != DEFAULT);
        let rules = self.rules().parsed(zone, cx.state.limits)?;
        let change = self.change()?;
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
            options: Some(change),
            rotator: self.rotator.clone(),
            rules,
            time_zone: None,
            start: if self.rotate_immediately == Some(true) { Start::Rotate } else { Start::Wait },
            external: store::External::default(),
            by: cx.principal().to_owned(),
            serves,
        };
        cx.state.store.rotate(id, rotate, cx.now).await?;
        let view = cx.state.store.rotation(id).await?;
        let warnings = warnings::of(cx, &view).await?;
        Ok(Shown::from(view).warned(warnings))
    }
}
