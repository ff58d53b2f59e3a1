//! GetParameters of Parameter Store, for parameters that are secrets. A name that leads nowhere is listed, no failure.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Items, Required, request};
use crate::parameter::{Parameter, Reference, check_decryption};

request! {
    names "Names": Vec<String> [Required, Items(1..=10, 1..=2048)],
    with_decryption "WithDecryption": bool [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    parameters: Vec<Parameter>,
    invalid_parameters: Vec<String>,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let mut reply = Reply { parameters: vec![], invalid_parameters: vec![] };
        for name in self.names.unwrap_or_default() {
            let Some(reference) = Reference::of(&name) else {
                reply.invalid_parameters.push(name);
                continue;
            };
            check_decryption(self.with_decryption)?;
            match reference.fetch(cx).await {
                Ok(parameter) => reply.parameters.push(parameter),
                // What we are at fault for is no property of a name.
                Err(error) if error.code == "AccessDeniedException" || error.fault.is_some() => {
                    return Err(error);
                }
                Err(_) => reply.invalid_parameters.push(name),
            }
        }
        Ok(reply)
    }
}
