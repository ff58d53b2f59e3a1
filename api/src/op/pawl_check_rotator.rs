//! pawl.CheckRotator: a preflight, which changes nothing: can this rotator, or else the secret's own, rotate the secret?

use engine::registration::LONGEST_NAME;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::registration::NAME;
use crate::workbench::{CheckReport, workbench};

request! {
    about secret_id;
    name "Name": String [Length(1..=LONGEST_NAME), NAME],
    secret_id "SecretId": String [Required, SecretId],
}

impl Operation for Request {
    type Reply = CheckReport;

    async fn run(self, cx: &Cx<'_>) -> Result<CheckReport, ApiError> {
        let secret = self.secret_id.unwrap_or_default();
        if let Some(name) = &self.name {
            cx.notes.about(name);
        }
        Ok(workbench(cx)?.check(self.name.as_deref(), &secret).await?)
    }
}
