//! pawl.LeaveVerifyOnly: rotations go on, but for secrets whose AWSCURRENT has not been seen to log in: those stay held.

use super::pawl_describe_store::{Reply, describe};
use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::request;

request! {
    accept_unseen "AcceptUnseen": bool [],
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let store = &cx.state.store;
        if self.accept_unseen == Some(true) {
            let accepted = store.accept_unseen(cx.principal(), cx.now).await?;
            cx.notes.about(format!("verify-only left, {accepted} unseen accepted"));
        } else {
            cx.notes.about("verify-only left".to_owned());
        }
        store.leave_verify_only(cx.now).await?;
        describe(cx).await
    }
}
