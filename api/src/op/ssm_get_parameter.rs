//! GetParameter of Parameter Store, for parameters that are secrets.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, request};
use crate::parameter::{Parameter, Reference, check_decryption};

request! {
    name "Name": String [Required, Length(1..=2048)],
    with_decryption "WithDecryption": bool [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    parameter: Parameter,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let name = self.name.unwrap_or_default();
        let Some(reference) = Reference::of(&name) else {
            return Err(ApiError::parameter_not_found(format!("Parameter {name} not found.")));
        };
        check_decryption(self.with_decryption)?;
        Ok(Reply { parameter: reference.fetch(cx).await? })
    }
}
