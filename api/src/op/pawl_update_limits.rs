//! pawl.UpdateLimits: changes the limits of the installation, for every node. What is left out stays; 0 is no limit.

use engine::schedule::{Blackouts, MOST_BLACKOUTS};
use store::LimitsChange;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::fleet::Shown;
use crate::members::{Between, Items, request};

/// No installation has more of anything.
const MOST: i64 = 60_000;

request! {
    per_target "PerTarget": i64 [Between(0..=MOST)],
    starts_per_minute "StartsPerMinute": i64 [Between(0..=MOST)],
    target_failures "TargetFailures": i64 [Between(0..=MOST)],
    blackouts "Blackouts": Vec<String> [Items(0..=MOST_BLACKOUTS, 1..=256)],
}

impl Operation for Request {
    type Reply = Shown;

    async fn run(self, cx: &Cx<'_>) -> Result<Shown, ApiError> {
        let number = |given: Option<i64>| given.and_then(|given| u32::try_from(given).ok());
        let change = LimitsChange {
            per_target: number(self.per_target),
            starts_a_minute: number(self.starts_per_minute),
            failures: number(self.target_failures),
            blackouts: self.blackouts.as_deref().map(read).transpose()?,
        };
        cx.state.store.set_limits(change).await?;
        Shown::now(cx).await
    }
}

/// Blackouts as a list of texts; an empty list is none.
///
/// # Errors
/// InvalidParameterException with what a blackout is.
pub(crate) fn read(texts: &[String]) -> Result<Blackouts, ApiError> {
    texts
        .join(";")
        .parse()
        .map_err(|error: engine::schedule::BadBlackout| ApiError::invalid_parameter(error.to_string()))
}
