//! RotationRules: their form on the wire, their constraints, and what is shown of stored ones.
//!
//! Never here: what a schedule means. That is the engine's, and so are the texts of its errors.

use engine::schedule::{Limits, Rules, Schedule};
use serde::Serialize;
use store::RotationConfig;

use crate::constraint::{Constraints, Place};
use crate::error::ApiError;
use crate::members::{Between, Length, Matching, Rule, members};

members! {
    /// As it stands in requests and replies.
    #[derive(Default, Serialize)]
    pub(crate) struct RotationRules {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(crate) automatically_after_days "AutomaticallyAfterDays": i64 [Between(1..=1000)],
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(crate) duration "Duration": String [WindowLength],
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(crate) schedule_expression "ScheduleExpression": String [Length(1..=256), Expression],
    }
}

/// A Duration. What AWS does not have but a server setting could allow is left to the engine, whose message says so.
pub(crate) struct WindowLength;

impl Rule<String> for WindowLength {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        Length(2..=longest_duration(must.limits)).check(place, value, must);
        let is_one = |text: &str| {
            let digits = text.trim_end_matches(['h', 'm', 's']);
            digits.len() + 1 == text.len() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        Matching("[0-9]+h", is_one).check(place, value, must);
    }
}

/// A ScheduleExpression, by its characters alone.
pub(crate) struct Expression;

impl Rule<String> for Expression {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        let is_one = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "()#?*-/, ".contains(c));
        Matching(r"[0-9A-Za-z\(\)#\?\*\-\/, ]+", is_one).check(place, value, must);
    }
}

impl RotationRules {
    /// The rules, where there are any, read once so that what is not a schedule is refused before anything is looked up.
    pub(crate) fn parsed(self, zone: Option<&str>, limits: Limits) -> Result<Option<Rules>, ApiError> {
        let rules = Rules {
            automatically_after_days: self.automatically_after_days.and_then(|days| u16::try_from(days).ok()),
            expression: self.schedule_expression,
            duration: self.duration,
        };
        let schedule =
            Schedule::parse(&rules, zone, limits).map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
        match schedule {
            Some(_) => Ok(Some(rules)),
            None if rules.duration.is_some() => Err(ApiError::invalid_parameter(
                "Duration needs AutomaticallyAfterDays or ScheduleExpression beside it.",
            )),
            None => Ok(None),
        }
    }
}

/// Three characters hold AWS's hours; minutes and seconds need more.
fn longest_duration(limits: Limits) -> usize {
    match limits {
        Limits::Aws => 3,
        Limits::None => 8,
    }
}

/// The rules of a secret as AWS shows them: beside an expression stands the number of days it comes to.
pub(crate) fn shown(config: &RotationConfig) -> Option<RotationRules> {
    let rules = config.rules.as_ref()?;
    let days = rules.automatically_after_days.or_else(|| {
        let zone = config.time_zone.as_deref();
        // Stored rules were accepted under the limits of their day.
        let schedule = Schedule::parse(rules, zone, Limits::None).ok().flatten()?;
        Some(schedule.automatically_after_days())
    });
    Some(RotationRules {
        automatically_after_days: days.map(i64::from),
        duration: rules.duration.clone(),
        schedule_expression: rules.expression.clone(),
    })
}
