//! pawl.CheckRotation: a preflight of a secret's rotation: its target, its settings, its next times. Changes nothing.

use serde::Serialize;

use super::pawl_preview_rotation::{Planned, planned};
use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::report::Report;
use crate::wire::Which;
use crate::workbench::workbench;

/// How many of the next times are shown.
const WINDOWS: usize = 5;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    which: Which,
    #[serde(flatten)]
    report: Report,
    #[serde(rename = "Windows")]
    windows: Vec<Planned>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let report = workbench(cx)?.preflight(&id, None, None).await?;
        let view = cx.state.store.rotation(&id).await?;
        let windows = planned(&view, cx.now, WINDOWS);
        let which = Which { arn: view.arn, name: view.name };
        Ok(Reply { which, report: report.into(), windows })
    }
}
