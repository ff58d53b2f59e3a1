//! DeleteSecret: plans the deletion, or deletes at once.

use serde::Serialize;
use store::{Deleted, StoreError};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::wire::Epoch;

/// Days a deletion waits when nobody says otherwise.
const DEFAULT_WINDOW: u32 = 30;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    recovery_window_in_days "RecoveryWindowInDays": i64 [],
    force_delete_without_recovery "ForceDeleteWithoutRecovery": bool [],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    #[serde(rename = "ARN")]
    arn: String,
    name: String,
    deletion_date: Epoch,
}

impl From<Deleted> for Reply {
    fn from(deleted: Deleted) -> Self {
        Self { arn: deleted.arn, name: deleted.name, deletion_date: Epoch(deleted.deletion_date) }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let force = self.force_delete_without_recovery == Some(true);
        let days = match self.recovery_window_in_days.map(u32::try_from) {
            Some(Ok(7..=30)) if force => {
                return Err(ApiError::invalid_parameter(
                    "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
                ));
            }
            Some(Ok(days @ 7..=30)) => days,
            Some(_) => {
                return Err(ApiError::invalid_parameter(
                    "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
                ));
            }
            None if force => 0,
            None => DEFAULT_WINDOW,
        };
        let id = self.secret_id.unwrap_or_default();
        match cx.state.store.delete_secret_as(&id, days, Some(cx.principal()), cx.now).await {
            Ok(deleted) => Ok(deleted.into()),
            // Idempotent by design: what is to be gone is gone.
            Err(StoreError::SecretNotFound) if force => Ok(invented(cx, id)),
            Err(error) => Err(error.into()),
        }
    }
}

/// AWS's answer about a secret that never was: its name with a fresh suffix.
fn invented(cx: &Cx<'_>, id: String) -> Reply {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let suffix: String =
        rand::random::<[u8; 6]>().iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect();
    let arn = match id.strip_prefix("arn:") {
        Some(_) => id.clone(),
        None => format!(
            "arn:{}:secretsmanager:{}:{}:secret:{id}-{suffix}",
            cx.state.store.identity().partition,
            cx.state.region,
            cx.state.account_id
        ),
    };
    Reply { arn, name: id, deletion_date: Epoch(cx.now) }
}
