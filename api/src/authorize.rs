//! What a principal may do. For now there is one that may do everything, the administrator.
//!
//! Decided before existence is revealed, as AWS does. Never here: who the principal is.

use crate::error::ApiError;
use crate::op::{Cx, Op};

/// The principal of the first start's access key.
const ADMINISTRATOR: &str = "admin";

/// Lets the administrator pass.
///
/// # Errors
/// AccessDeniedException in AWS's words; it names the secret by its ARN only where the id leads to one.
pub(crate) async fn authorize(cx: &Cx<'_>, op: Op, secret_id: Option<&str>) -> Result<(), ApiError> {
    if cx.principal() == ADMINISTRATOR {
        return Ok(());
    }
    let resource = match secret_id {
        None => "*".to_owned(),
        Some(id) => match cx.state.store.describe(id).await {
            Ok(secret) => secret.arn,
            Err(_) => id.to_owned(),
        },
    };
    let action = op.action();
    Err(ApiError::access_denied(format!(
        "User: arn:aws:iam::{}:user/{} is not authorized to perform: {action} on resource: {resource} because no \
         identity-based policy allows the {action} action",
        cx.state.account_id,
        cx.principal(),
    )))
}
