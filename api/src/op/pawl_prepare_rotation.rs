//! pawl.PrepareRotation: brings an account into the shape that alternating users need, or back, or says how that is done.

use engine::check::Prepare;
use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::report::Preparation;
use crate::wire::Which;
use crate::workbench::workbench;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    apply "Apply": bool [],
    undo "Undo": bool [],
}

#[derive(Serialize)]
pub(crate) struct Reply {
    #[serde(flatten)]
    which: Which,
    #[serde(flatten)]
    preparation: Preparation,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let what = match (self.apply == Some(true), self.undo == Some(true)) {
            (false, false) => Prepare::Show,
            (true, false) => Prepare::Apply,
            (false, true) => Prepare::ShowUndo,
            (true, true) => Prepare::Undo,
        };
        let id = self.secret_id.unwrap_or_default();
        let preparation = workbench(cx)?.prepare(&id, what, cx.principal()).await?.into();
        let named = cx.state.store.named(&id).await?;
        Ok(Reply { which: named.into(), preparation })
    }
}
