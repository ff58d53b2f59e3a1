//! pawl.ListRotators: every rotator there is, those that are built in first.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::request;
use crate::registration::Entry;

request! {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    rotators: Vec<Entry>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let registered = cx.state.store.rotators().await?;
        let built_in = cx.state.builtins.iter().map(|name| Entry::built_in(name));
        Ok(Reply { rotators: built_in.chain(registered.into_iter().map(Into::into)).collect() })
    }
}
