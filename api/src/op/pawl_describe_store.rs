//! pawl.DescribeStore: is the store verify-only, and which secrets are held because AWSCURRENT has not been seen to log in?

use engine::check::Failure;
use serde::Serialize;
use store::{Unproven, VerifyOnly};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::request;
use crate::wire::Epoch;

/// So many held secrets are named; how many there are is said.
const MOST_NAMED: u32 = 1000;

request! {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_only: Option<Mode>,
    /// How often the store was brought back.
    epoch: i64,
    held_count: u64,
    held: Vec<Held>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mode {
    reason: String,
    since: Epoch,
}

/// A secret that does not rotate until AWSCURRENT was seen to log in.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Held {
    name: String,
    #[serde(rename = "ARN")]
    arn: String,
    /// A rotation was open when the store was brought back.
    rotation_open: bool,
    /// AWSCURRENT is refused.
    drifted: bool,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl From<Unproven> for Held {
    fn from(held: Unproven) -> Self {
        let (message, remedy) = told(&held);
        let drifted = held.verified.answer.is_some() && held.verified.drifted;
        Self { name: held.name, arn: held.arn, rotation_open: held.is_open, drifted, message, remedy }
    }
}

/// What is known since the store was brought back, and what to do about it.
fn told(held: &Unproven) -> (String, String) {
    let name = &held.name;
    if !held.lane.is_empty() {
        return (
            format!(
                "it is rotated by {}, and only rotators that are built in look at a target by themselves",
                held.lane
            ),
            format!(
                "`aws secretsmanager rotate-secret --secret-id {name} --no-rotate-immediately` has it test AWSCURRENT; \
                 `pawl store leave-verify-only --accept-unseen` takes all of those for well"
            ),
        );
    }
    match (held.verified.message().filter(|_| held.verified.answer.is_some()), &held.verified.failure) {
        (_, Some(Failure { message, remedy, .. })) => {
            (format!("whether AWSCURRENT logs in could not be found out: {message}"), remedy.clone())
        }
        (Some(message), None) if held.verified.drifted && held.is_open => (
            message,
            format!("`pawl rotation abandon {name}` gives the open rotation up and puts AWSCURRENT back at the target"),
        ),
        (Some(message), None) => (message, held.verified.remedy(name)),
        (None, None) => ("it has not been looked at yet".to_owned(), String::new()),
    }
}

/// The store as it is now.
pub(crate) async fn describe(cx: &Cx<'_>) -> Result<Reply, ApiError> {
    let store = &cx.state.store;
    let (held, held_count) = store.unproven(MOST_NAMED).await?;
    let mode = store.verify_only().await?;
    Ok(Reply {
        verify_only: mode.map(|VerifyOnly { reason, since }| Mode { reason, since: Epoch(since) }),
        epoch: store.epoch().await?,
        held_count,
        held: held.into_iter().map(Held::from).collect(),
    })
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        describe(cx).await
    }
}
