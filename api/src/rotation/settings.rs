//! A secret's settings: the words that EnableRotation is told, and how a rotation shows them.
//!
//! Never here: what contradicts itself (`engine::settings`), the tags that some are a view of (`store`).

use std::time::Duration;

use engine::port::Options;
use engine::settings::{DRAIN_DEADLINE, Said};
use engine::span::spell;
use engine::strategy::Retirement;
use serde::Serialize;

use crate::error::ApiError;
use crate::registration::span_of;

/// The word that takes a setting back to what it is where nothing is said.
pub(crate) const DEFAULT: &str = "default";
/// The word for a verify that never is.
const OFF: &str = "off";

/// A setting that is a word or a length, read by `read` where it is not the default.
///
/// # Errors
/// InvalidParameterException where it cannot be read.
pub(crate) fn said<T>(
    given: Option<&str>,
    read: impl FnOnce(&str) -> Result<T, ApiError>,
) -> Result<Option<Said<T>>, ApiError> {
    match given {
        None => Ok(None),
        Some(DEFAULT) => Ok(Some(Said::Default)),
        Some(text) => Ok(Some(Said::To(read(text)?))),
    }
}

/// How often AWSCURRENT is tried, in seconds; 0: never.
///
/// # Errors
/// As [`said`].
pub(crate) fn verify(given: Option<&str>) -> Result<Option<Said<u64>>, ApiError> {
    said(given, |text| match text {
        OFF => Ok(0),
        span => Ok(span_of("Verify", span)?.as_secs()),
    })
}

/// The two accounts that take turns. An empty list is the default: AWS's naming.
///
/// # Errors
/// InvalidParameterException for one alone.
pub(crate) fn users(users: Vec<String>) -> Result<Said<[String; 2]>, ApiError> {
    if users.is_empty() {
        return Ok(Said::Default);
    }
    let pair = <[String; 2]>::try_from(users);
    pair.map(Said::To)
        .map_err(|_| ApiError::invalid_parameter("Users names two accounts, and they must be two different ones."))
}

/// What becomes of the credential that was AWSCURRENT.
///
/// # Errors
/// InvalidParameterException for a deadline of no drain, and one that cannot be read.
pub(crate) fn retirement(policy: Option<&str>, deadline: Option<&str>) -> Result<Option<Said<Retirement>>, ApiError> {
    let drains = policy == Some("when-drained");
    if deadline.is_some() && !drains {
        return Err(ApiError::invalid_parameter(
            "RetireDeadline says how long after the grace nobody is waited for any more: say Retire when-drained with it.",
        ));
    }
    Ok(match policy {
        None => None,
        Some(DEFAULT) => Some(Said::Default),
        Some("never") => Some(Said::To(Retirement::Never)),
        Some(_) if drains => {
            let deadline = deadline.map(|text| span_of("RetireDeadline", text)).transpose()?.unwrap_or(DRAIN_DEADLINE);
            Some(Said::To(Retirement::WhenDrained { deadline_seconds: deadline.as_secs() }))
        }
        Some(_) => Some(Said::To(Retirement::AtGraceEnd)),
    })
}

/// The settings as they are in force.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    allow_md5_upgrade: bool,
    allow_differing_hosts: bool,
    allow_superuser: bool,
    /// Left out: two passwords where the server and the account's privileges allow it, else one user in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<[String; 2]>,
    /// Left out with a registered rotator that has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    grace: Option<String>,
    retire: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retire_deadline: Option<String>,
    verify: String,
    reconcile: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blackouts: Vec<String>,
}

impl Settings {
    pub(super) fn of(options: Options, registered: bool) -> Self {
        let (retire, deadline) = match options.retirement() {
            Retirement::AtGraceEnd => ("at-grace-end", None),
            Retirement::WhenDrained { deadline_seconds } => ("when-drained", Some(deadline_seconds)),
            Retirement::Never => ("never", None),
        };
        let grace = (!registered || options.grace_seconds.is_some()).then(|| spell(options.grace()));
        Self {
            allow_md5_upgrade: options.allow_md5_upgrade,
            allow_differing_hosts: options.allow_differing_hosts,
            allow_superuser: options.allow_superuser,
            strategy: options.strategy.map(engine::strategy::Strategy::name),
            grace,
            retire,
            retire_deadline: deadline.map(|seconds| spell(Duration::from_secs(seconds))),
            verify: options.verify_every().map_or(OFF.to_owned(), spell),
            reconcile: options.reconcile,
            blackouts: options.blackouts.texts(),
            users: options.users,
        }
    }
}
