//! pawl.PreviewRotation: the next windows of a secret's schedule, or of rules not stored anywhere.
//!
//! With a secret, each window comes with the moment that the scheduler would pick in it, and the
//! windows follow as if every rotation succeeded at that moment. One in a blackout comes right after it, or a bit later.

use engine::Time;
use engine::rotation::Rotation;
use engine::schedule::{Limits, Schedule, Window, moment};
use serde::Serialize;
use store::RotationView;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Between, Length, SecretId, request};
use crate::rotation::settings::DEFAULT;
use crate::rules::{Expression, RotationRules, WindowLength};
use crate::wire::Epoch;

const DEFAULT_COUNT: usize = 10;

request! {
    about secret_id;
    secret_id "SecretId": String [SecretId],
    schedule_expression "ScheduleExpression": String [Length(1..=256), Expression],
    automatically_after_days "AutomaticallyAfterDays": i64 [Between(1..=1000)],
    duration "Duration": String [WindowLength],
    time_zone "TimeZone": String [Length(1..=64)],
    count "Count": i64 [Between(1..=100)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    time_zone: String,
    windows: Vec<Planned>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Planned {
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_local: Option<String>,
    /// The moment that the schedule picks falls into a blackout, or would run into one: it comes after that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    put_off: bool,
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

    async fn run(mut self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        if self.time_zone.as_deref() == Some(DEFAULT) {
            self.time_zone = Some("UTC".to_owned());
        }
        let count = self.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(DEFAULT_COUNT);
        let given = self.rules().parsed(self.time_zone.as_deref(), cx.state.limits)?;
        let view = match self.secret_id.as_deref() {
            Some(id) => Some(cx.state.store.rotation(id).await?),
            None => None,
        };
        let config = view.as_ref().and_then(|view| view.config.as_ref());
        let changes = given.is_some() || self.time_zone.is_some();
        let standing = view.as_ref().filter(|_| !changes).and_then(standing);
        let zone = self.time_zone.or_else(|| config.and_then(|config| config.time_zone.clone()));
        let rules = given.or_else(|| config.and_then(|config| config.rules.clone())).unwrap_or_default();
        // What is stored was accepted under the limits of its day.
        let limits = if changes { cx.state.limits } else { Limits::None };
        let schedule = Schedule::parse(&rules, zone.as_deref(), limits)
            .map_err(|error| ApiError::invalid_parameter(error.to_string()))?
            .ok_or_else(|| ApiError::invalid_request("There is no schedule to preview."))?;
        let forecast = Forecast { schedule: &schedule, secret: view.as_ref(), now: cx.now };
        Ok(Reply { time_zone: schedule.zone().name().to_owned(), windows: forecast.windows(standing, count) })
    }
}

/// The window that is planned already. While a rotation is open, the planned moment is a retry of it.
fn standing(view: &RotationView) -> Option<(Window, Time)> {
    let idle = matches!(view.rotation, Rotation::Idle);
    view.window.zip(view.due).filter(|_| idle)
}

/// The next windows of a schedule as it is stored; none without one.
pub(crate) fn planned(view: &RotationView, now: Time, count: usize) -> Vec<Planned> {
    let Some(config) = view.config.as_ref().filter(|config| config.enabled) else { return vec![] };
    let rules = config.rules.clone().unwrap_or_default();
    let schedule = Schedule::parse(&rules, config.time_zone.as_deref(), Limits::None).ok().flatten();
    let forecast = |schedule: &Schedule| Forecast { schedule, secret: Some(view), now }.windows(standing(view), count);
    schedule.as_ref().map(forecast).unwrap_or_default()
}

/// What the windows follow from.
struct Forecast<'a> {
    schedule: &'a Schedule,
    secret: Option<&'a RotationView>,
    now: Time,
}

impl Forecast<'_> {
    /// The windows, first the one that stands, with the moments picked in them.
    fn windows(&self, standing: Option<(Window, Time)>, count: usize) -> Vec<Planned> {
        let mut list = Vec::with_capacity(count);
        let mut base = self.secret.and_then(|view| view.base).unwrap_or(self.now);
        if let Some((window, due)) = standing {
            let (due, put_off) = self.put_off(due);
            list.push(shown(self.schedule, window, Some(due), put_off));
            base = due;
        }
        while list.len() < count {
            // Windows that passed unused are not coming back.
            let after = if list.is_empty() { base.max(self.now) } else { base };
            let Some(window) = self.schedule.next_window(base, after) else { break };
            let picked = self.secret.map(|view| self.put_off(moment(&view.arn, &window, view.took)));
            list.push(shown(
                self.schedule,
                window,
                picked.map(|(at, _)| at),
                picked.is_some_and(|(_, put_off)| put_off),
            ));
            base = picked.map_or(window.opens, |(at, _)| at);
        }
        list
    }

    /// The earliest moment outside every blackout, and whether that is another one.
    fn put_off(&self, at: Time) -> (Time, bool) {
        let ends = self.secret.and_then(|view| view.blackouts.in_the_way(at, view.took.unwrap_or_default()));
        (ends.unwrap_or(at), ends.is_some())
    }
}

fn shown(schedule: &Schedule, window: Window, moment: Option<Time>, put_off: bool) -> Planned {
    let local = |at: Time| at.with_timezone(&schedule.zone()).format("%Y-%m-%d %H:%M:%S %Z").to_string();
    Planned {
        planned: moment.map(Epoch),
        planned_local: moment.map(local),
        put_off,
        opens: Epoch(window.opens),
        opens_local: local(window.opens),
        closes: Epoch(window.closes),
        closes_local: local(window.closes),
    }
}
