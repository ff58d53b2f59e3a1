//! Whether AWSCURRENT logs in, as a rotation's view shows it. Never here: who finds out.

use engine::check::{Failure, LastVerified, Verified};
use serde::Serialize;

use crate::wire::Epoch;

/// What the latest look that found something out has found.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Standing {
    date: Epoch,
    answer: &'static str,
    /// What logs in instead of AWSCURRENT.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    drifted: bool,
    /// Since when AWSCURRENT is refused, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Epoch>,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl Standing {
    /// None: nothing is known.
    pub(super) fn of(last: &LastVerified, secret: &str) -> Option<Self> {
        let (answer, role) = match last.answer.clone()? {
            Verified::CurrentLogsIn => ("current-logs-in", None),
            Verified::AnotherLogsIn { role } => ("another-logs-in", Some(role)),
            Verified::NoneLogsIn => ("none-logs-in", None),
        };
        Some(Self {
            date: Epoch(last.at?),
            answer,
            role,
            drifted: last.drifted,
            since: last.since.map(Epoch),
            message: last.message()?,
            remedy: last.remedy(secret),
        })
    }
}

/// Why the latest look found out nothing.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NotVerified {
    date: Epoch,
    code: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl From<Failure> for NotVerified {
    fn from(failure: Failure) -> Self {
        let Failure { at, code, message, remedy } = failure;
        Self { date: Epoch(at), code, message, remedy }
    }
}
