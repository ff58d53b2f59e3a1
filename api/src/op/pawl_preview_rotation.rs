//! pawl.PreviewRotation: the next windows of a secret's schedule, or of rules not stored anywhere.
//!
//! With a secret, each window comes with the moment that the scheduler would pick in it, and the
//! windows follow as if every rotation succeeded at that moment.

use engine::Time;
use engine::schedule::{Rules, Schedule, Window, pick};
use serde::{Deserialize, Serialize};
use store::RotationView;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::rules::RotationRules;
use crate::wire::Epoch;

const DEFAULT_COUNT: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    schedule_expression: Option<String>,
    automatically_after_days: Option<i64>,
    duration: Option<String>,
    time_zone: Option<String>,
    count: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    time_zone: String,
    windows: Vec<Planned>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Planned {
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_local: Option<String>,
    opens: Epoch,
    opens_local: String,
    closes: Epoch,
    closes_local: String,
}

impl Request {
    fn rules(&self) -> RotationRules {
        RotationRules {
            automatically_after_days: self.automatically_after_days,
            duration: self.duration.clone(),
            schedule_expression: self.schedule_expression.clone(),
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.optional_secret_id(self.secret_id());
        self.rules().check(must, "");
        must.length("timeZone", self.time_zone.as_deref(), 1..=64);
        must.number("count", self.count, 1..=100);
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let count = self.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(DEFAULT_COUNT);
        let given = self.rules().parsed(self.time_zone.as_deref(), cx.state.limits)?;
        let view = match self.secret_id() {
            Some(id) => Some(cx.state.store.rotation(id).await?),
            None => None,
        };
        let config = view.as_ref().and_then(|view| view.config.as_ref());
        // The window that is planned already comes first, unless the rules or the zone would change.
        let changes = given.is_some() || self.time_zone.is_some();
        let standing = view.as_ref().filter(|_| !changes).and_then(|view| view.window.zip(view.due));
        let zone = self.time_zone.or_else(|| config.and_then(|config| config.time_zone.clone()));
        let rules = given.or_else(|| config.and_then(|config| config.rules.clone())).unwrap_or_default();
        let schedule = parsed(&rules, zone.as_deref(), cx)?;
        let arn = view.as_ref().map(|view| view.arn.as_str());
        Ok(Reply {
            time_zone: schedule.zone().name().to_owned(),
            windows: planned(&schedule, arn, standing, base(view.as_ref(), cx.now), count),
        })
    }
}

fn parsed(rules: &Rules, zone: Option<&str>, cx: &Cx<'_>) -> Result<Schedule, ApiError> {
    Schedule::parse(rules, zone, cx.state.limits)
        .map_err(|error| ApiError::invalid_parameter(error.to_string()))?
        .ok_or_else(|| ApiError::invalid_request("There is no schedule to preview."))
}

/// From when a change of the rules would count: the last rotation, or else now.
fn base(view: Option<&RotationView>, now: Time) -> Time {
    view.and_then(|view| view.rotated).unwrap_or(now)
}

/// The windows, first the one that stands, with the moments picked in them.
fn planned(
    schedule: &Schedule,
    arn: Option<&str>,
    standing: Option<(Window, Time)>,
    mut base: Time,
    count: usize,
) -> Vec<Planned> {
    let mut list = Vec::with_capacity(count);
    if let Some((window, due)) = standing {
        list.push(shown(schedule, window, Some(due)));
        base = due;
    }
    while list.len() < count {
        let Some(window) = schedule.next_window(base, base) else { break };
        let moment = arn.map(|arn| pick(arn, &window));
        list.push(shown(schedule, window, moment));
        base = moment.unwrap_or(window.opens);
    }
    list
}

fn shown(schedule: &Schedule, window: Window, moment: Option<Time>) -> Planned {
    let local = |at: Time| at.with_timezone(&schedule.zone()).format("%Y-%m-%d %H:%M:%S %Z").to_string();
    Planned {
        planned: moment.map(Epoch),
        planned_local: moment.map(local),
        opens: Epoch(window.opens),
        opens_local: local(window.opens),
        closes: Epoch(window.closes),
        closes_local: local(window.closes),
    }
}
