//! ValidateResourcePolicy: what PutResourcePolicy would say of a policy, and whether it lets everybody in.

use serde::Serialize;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::policy::{Flaw, LOCKS_OUT, Manager, Policy};

request! {
    about secret_id;
    secret_id "SecretId": String [SecretId],
    resource_policy "ResourcePolicy": String [Required, Length(1..=20_480)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    policy_validation_passed: bool,
    validation_errors: Vec<Finding>,
}

/// Something wrong with a policy.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Finding {
    check_name: &'static str,
    error_message: String,
}

impl Finding {
    fn new(check_name: &'static str, message: impl Into<String>) -> Self {
        Self { check_name, error_message: message.into() }
    }

    fn of(flaw: Flaw) -> Self {
        let check = match flaw {
            Flaw::Syntax => "Syntax",
            Flaw::Principal | Flaw::ServicePrincipal => "Principals",
        };
        Self::new(check, flaw.to_string())
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let arn = match &self.secret_id {
            Some(id) => Some(cx.state.store.policy(id).await?.0.arn),
            None => None,
        };
        let manager = Manager { arn: &cx.caller_arn(), account: &cx.state.account_id, secret: arn.as_deref() };
        let validation_errors = findings(&self.resource_policy.unwrap_or_default(), manager);
        Ok(Reply { policy_validation_passed: validation_errors.is_empty(), validation_errors })
    }
}

fn findings(document: &str, manager: Manager<'_>) -> Vec<Finding> {
    let policy = match Policy::read(document) {
        Ok(policy) => policy,
        Err(flaw) => return vec![Finding::of(flaw)],
    };
    let mut findings = vec![];
    if policy.locks_out(manager) {
        findings.push(Finding::new("Lockout", LOCKS_OUT));
    }
    if policy.is_broad() {
        findings.push(Finding::new(
            "PublicAccess",
            "This resource policy grants broad access to your secret. Name the principals it allows, or tie it to a \
             source.",
        ));
    }
    findings
}
