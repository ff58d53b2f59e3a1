//! pawl.EnableRotation: adopts a secret. RotateSecret with Pawl's settings, and without rotating at once by default.

use engine::check::{Finding, Level, Report};
use engine::id::VersionId;
use engine::port::Options;
use engine::schedule::MOST_BLACKOUTS;
use engine::settings::{Change, Said};
use engine::strategy::{Retirement, UnknownStrategy};
use serde::Serialize;
use store::{Rotate, RotationView, Serves, Start, StoreError};

use super::{Cx, Operation, pawl_update_limits};
use crate::error::ApiError;
use crate::members::{Between, Items, Length, OneOf, Required, SecretId, request};
use crate::registration::span_of;
use crate::report;
use crate::rotation::settings::{self, DEFAULT, said};
use crate::rotation::{Shown, pair, warnings};
use crate::rotator;
use crate::rules::{Expression, RotationRules, WindowLength};
use crate::wire::token_of;
use crate::workbench::{NOT_CHECKED, Problem};

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
    blackouts "Blackouts": Vec<String> [Items(0..=MOST_BLACKOUTS, 1..=256)],
    force "Force": bool [],
}

impl Request {
    fn rules(&self) -> RotationRules {
        RotationRules {
            automatically_after_days: self.automatically_after_days,
            duration: self.duration.clone(),
            schedule_expression: self.schedule_expression.clone(),
        }
    }

    /// Whether it is decided here that the account is rotated, or how: then its target is looked at. In the middle of a
    /// rotation that would tell nothing.
    fn decides(&self, view: &RotationView, change: &Change) -> bool {
        let is_quiet = view.rotation.run().is_none_or(|run| run.promoted);
        let was_enabled = view.config.as_ref().is_some_and(|config| config.enabled);
        let how = change.says_how() || change.allow_superuser.is_some() || self.rotator.is_some();
        is_quiet && (!was_enabled || how)
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
            blackouts: self.blackouts.as_deref().map(pawl_update_limits::read).transpose()?.map(Said::To),
            time_zone: said(self.time_zone.as_deref(), |zone| Ok(zone.to_owned()))?,
        })
    }
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    rotation: Shown,
    /// What somebody should know who enables this.
    #[serde(rename = "Findings", skip_serializing_if = "Vec::is_empty")]
    findings: Vec<report::Finding>,
}

/// What the preflight of a built-in rotator found; nothing where there is no value to look with.
async fn preflight(cx: &Cx<'_>, id: &str, rotator: Option<&str>, options: Option<Options>) -> Result<Report, ApiError> {
    let Some(bench) = &cx.state.workbench else { return Ok(Report::default()) };
    match bench.preflight(id, rotator, options).await {
        Err(Problem::Store(StoreError::NoValue)) => Ok(Report::default()),
        other => Ok(other?),
    }
}

/// A problem that a person must put right first. A server that cannot be reached just now stands in nobody's way.
fn obstacle(report: &Report) -> Option<&Finding> {
    let absent = |finding: &Finding| [NOT_CHECKED, "unreachable"].contains(&finding.code.as_str());
    report.findings.iter().find(|finding| finding.level == Level::Problem && !absent(finding))
}

fn refused(finding: &Finding) -> ApiError {
    let Finding { code, message, remedy, .. } = finding;
    let remedy = if remedy.is_empty() { String::new() } else { format!(" What to do: {remedy}.") };
    ApiError::invalid_request(format!(
        "{message} ({code}).{remedy} Rotation is not enabled: put that right and enable it again (`pawl rotation check` \
         shows everything that was found), or give Force (--force)."
    ))
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let token = match self.client_request_token.clone() {
            None => VersionId::random(&mut rand::rng()),
            given => token_of(given, ApiError::invalid_parameter)?,
        };
        let zone = self.time_zone.as_deref().filter(|zone| *zone != DEFAULT);
        let rules = self.rules().parsed(zone, cx.state.limits)?;
        let mut change = self.change()?;
        let id = self.secret_id.as_deref().unwrap_or_default();
        let unknown = |name: &str| {
            ApiError::not_found(format!("There is no rotator {name}: `pawl rotator list` shows which there are."))
        };
        let serves = rotator::serving(cx, id, self.rotator.as_deref(), unknown).await?;
        if let (Some(Serves::Registered(rotator)), Some(bench)) = (&serves, &cx.state.workbench) {
            bench.may_rotate(rotator, id).await?;
        }
        let view = cx.state.store.rotation(id).await?;
        let settled = change.clone().on(view.options.clone());
        let mut found = match &serves {
            Some(Serves::Builtin) if self.decides(&view, &change) => {
                preflight(cx, id, self.rotator.as_deref(), Some(settled.clone())).await?
            }
            _ => Report::default(),
        };
        let forced = match obstacle(&found) {
            Some(finding) if self.force != Some(true) => return Err(refused(finding)),
            Some(finding) => Some(format!("enabled although: {} ({})", finding.message, finding.code)),
            None => None,
        };
        if pair::keeps_both(&view, &settled, &change, &found) {
            change.retirement = Some(Said::To(Retirement::Never));
            found.findings.push(pair::kept(&view));
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
        if let Some(said) = forced {
            cx.state.store.note(id, "forced", cx.principal(), &said, cx.now).await?;
        }
        let told = found.findings.into_iter().filter(|finding| finding.level != Level::Ok).collect();
        let view = cx.state.store.rotation(id).await?;
        let warnings = warnings::of(cx, &view).await?;
        Ok(Reply { rotation: Shown::from(view).warned(warnings), findings: report::findings(told) })
    }
}
