//! pawl.EnableRotation: adopts a secret. RotateSecret with Pawl's settings, and without rotating at once by default.

use engine::check::{Finding, Level, Report};
use engine::id::VersionId;
use engine::port::Options;
use engine::strategy::{Retirement, Strategy};
use serde::Serialize;
use store::{Rotate, Serves, Start, StoreError};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, Required, SecretId, request};
use crate::report;
use crate::rotation::Shown;
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

/// The code of a finding: two accounts take turns already, made by somebody else.
const EXISTING_PAIR: &str = "existing-pair";

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

/// Both accounts of a pair that was taken over go on working, as whoever made it left them.
async fn keep_both(cx: &Cx<'_>, id: &str, options: &mut Option<Options>, report: &mut Report) -> Result<(), ApiError> {
    let stored = cx.state.store.rotation(id).await?.config.map(|config| config.options);
    let mut settled = options.clone().or(stored).unwrap_or_default();
    let is_pair = report.findings.iter().any(|finding| finding.code == EXISTING_PAIR);
    if is_pair && settled.strategy == Some(Strategy::AlternatingUsers) && settled.retirement.is_none() {
        settled.retirement = Some(Retirement::Never);
        *options = Some(settled);
        let said = "the two accounts took turns before: both go on working after a rotation, as they did";
        let remedy = format!("pawl rotation enable {id} --retire at-grace-end");
        report.findings.push(Finding::new(Level::Warning, "keeps-both", said).remedy(remedy));
    }
    Ok(())
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
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
        let mut options = self.options(cx, id).await?;
        let mut found = match &serves {
            Some(Serves::Builtin) => preflight(cx, id, self.rotator.as_deref(), options.clone()).await?,
            _ => Report::default(),
        };
        let forced = match obstacle(&found) {
            Some(finding) if self.force != Some(true) => return Err(refused(finding)),
            Some(finding) => Some(format!("enabled although: {} ({})", finding.message, finding.code)),
            None => None,
        };
        keep_both(cx, id, &mut options, &mut found).await?;
        let rotate = Rotate {
            token,
            options,
            rotator: self.rotator.clone(),
            rules,
            time_zone: self.time_zone.clone(),
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
        Ok(Reply { rotation: cx.state.store.rotation(id).await?.into(), findings: report::findings(told) })
    }
}
