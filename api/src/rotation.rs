//! A secret's rotation as Pawl's own operations show it. `Option`s that are None are left out.
//!
//! Never here: values. A view says how many candidates are unresolved, not what they are.

pub(crate) mod pair;
pub(crate) mod settings;
mod verified;
pub(crate) mod warnings;

use engine::rotation::{Reason, Rotation, Step};
use engine::schedule::Window;
use serde::Serialize;
use store::{HistoryEntry, RotationView};

use self::settings::Settings;
use self::verified::{NotVerified, Standing};
use crate::rules::{self, RotationRules};
use crate::wire::{Epoch, Which};

/// The reply of DescribeRotation and of every command to a rotation.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown {
    #[serde(flatten)]
    which: Which,
    state: &'static str,
    paused: bool,
    /// Said only where it is: nothing is done until AWSCURRENT was seen to log in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    /// Said only where it is: nothing is done until the rotator is enabled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rotator_disabled: bool,
    rotation_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_rules: Option<RotationRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(flatten)]
    settings: Settings,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
    /// Why what is due has not begun, or will not when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    /// When the next act is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotated_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_test: Option<Tested>,
    /// Whether AWSCURRENT logs in, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Standing>,
    /// Why that could not be found out the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_verified: Option<NotVerified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_verify_date: Option<Epoch>,
    unresolved_candidates: u32,
    /// What somebody should know who has just changed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Shown {
    /// The same with warnings.
    pub(crate) fn warned(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }
}

/// How a test of the configuration (RotateImmediately=false) went.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tested {
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    succeeded: bool,
    message: String,
    date: Epoch,
}

impl From<HistoryEntry> for Tested {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            succeeded: entry.kind == "test-succeeded",
            version_id: entry.token,
            message: entry.message,
            date: Epoch(entry.started),
        }
    }
}

/// An open rotation.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Open {
    version_id: String,
    /// A test of the configuration, and no rotation.
    trial: bool,
    /// The version is AWSCURRENT already, and what is left is to retire the credential before it.
    promoted: bool,
    /// No rotation: AWSCURRENT was found not to log in, and is set again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reconciles: bool,
    /// The version whose value it carries: a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    carries: Option<String>,
    step: &'static str,
    started_by: String,
    candidate: u32,
    attempt: u32,
    failed_logins: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Epoch>,
    retries_until: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
    /// The version whose credential goes on working until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retire_at: Option<Epoch>,
}

/// Why an open rotation waits for a person.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Why {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

/// A window.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Span {
    opens: Epoch,
    closes: Epoch,
}

impl From<Window> for Span {
    fn from(window: Window) -> Self {
        Self { opens: Epoch(window.opens), closes: Epoch(window.closes) }
    }
}

impl From<RotationView> for Shown {
    fn from(view: RotationView) -> Self {
        let config = view.config.as_ref();
        let drifted = view.verified.drifted && view.rotation == Rotation::Idle;
        Self {
            state: if drifted { "drifted" } else { view.rotation.state_name() },
            paused: view.paused,
            held: view.held,
            rotator_disabled: view.rotator_disabled,
            rotation_enabled: config.is_some_and(|config| config.enabled),
            rotator: config.and_then(|config| config.rotator.clone()),
            rotation_rules: config.and_then(rules::shown),
            time_zone: config.and_then(|config| config.time_zone.clone()),
            settings: Settings::of(view.options, view.registered),
            open: Open::of(view.rotation),
            waits_for: view.waits_for,
            due_date: view.due.map(Epoch),
            window: view.window.map(Into::into),
            next_rotation_date: view.next_rotation.map(Epoch),
            last_rotated_date: view.rotated.map(Epoch),
            last_test: view.last_test.map(Into::into),
            verified: Standing::of(&view.verified, &view.name),
            not_verified: view.verified.failure.map(Into::into),
            next_verify_date: view.verify_due.map(Epoch),
            unresolved_candidates: view.candidates_unresolved,
            warnings: Vec::new(),
            which: Which { arn: view.arn, name: view.name },
        }
    }
}

impl Open {
    fn of(rotation: Rotation) -> Option<Self> {
        let (run, step, not_before, reason) = match rotation {
            Rotation::Idle => return None,
            Rotation::Waiting { run, step, not_before } => (run, step, Some(not_before), None),
            Rotation::Acting { run, step } => (run, step, None, None),
            Rotation::Parked { run, step, reason } => (run, step, None, Some(reason)),
        };
        // A person may have ended the grace; then it is the next act.
        let at_retire = not_before.filter(|_| step == Step::Retire);
        let retire_at = run.retire_at.or(at_retire).filter(|_| run.retiring.is_some());
        Some(Self {
            retiring_version_id: run.retiring.as_ref().map(|version| version.as_str().to_owned()),
            retire_at: retire_at.map(Epoch),
            version_id: run.token.as_str().to_owned(),
            trial: run.trial,
            promoted: run.promoted,
            reconciles: run.reconciles,
            carries: run.carries.map(|version| version.to_string()),
            step: step.name(),
            started_by: run.started_by,
            candidate: run.candidate,
            attempt: run.attempt,
            failed_logins: run.failed_logins,
            lock_limit: run.lock_limit,
            not_before: not_before.map(Epoch),
            retries_until: Epoch(run.window_ends),
            reason: reason.map(|Reason { code, message, remedy }| Why { code, message, remedy }),
        })
    }
}
