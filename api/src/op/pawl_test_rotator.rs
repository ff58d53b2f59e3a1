//! pawl.TestRotator: a conformance run against a live receiver, with a throw-away secret. It may take longer than a call
//! should: then the answer says which run to ask for again.

use engine::registration::LONGEST_NAME;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::registration::NAME;
use crate::workbench::{Report, workbench};

request! {
    about secret_id;
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
    secret_id "SecretId": String [Required, SecretId],
    run "Run": String [Length(1..=64)],
}

impl Operation for Request {
    type Reply = Report;

    async fn run(self, cx: &Cx<'_>) -> Result<Report, ApiError> {
        let (name, secret) = (self.name.unwrap_or_default(), self.secret_id.unwrap_or_default());
        cx.notes.about(&name);
        Ok(workbench(cx)?.test(&name, &secret, self.run.as_deref()).await?)
    }
}
