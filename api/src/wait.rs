//! Waiting for an answer: no connection to the database is held meanwhile, and whoever waits looks again whenever something
//! has happened, and once a second, since another node's commits wake nobody here.
//!
//! Never here: what is waited for.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;

use crate::error::ApiError;
use crate::op::Cx;

/// How often it is looked at without a sign.
const AGAIN: Duration = Duration::from_secs(1);

/// What `look` finds, at most so long; None: nothing was found by then, or the server ends.
pub(crate) async fn until<T, F>(
    cx: &Cx<'_>,
    limit: Duration,
    look: impl Fn() -> F + Send,
) -> Result<Option<T>, ApiError>
where
    T: Send,
    F: Future<Output = Result<Option<T>, ApiError>> + Send,
{
    let (clock, store) = (&cx.state.clock, &cx.state.store);
    let end = clock.since_boot() + limit;
    let happened = store.happened();
    loop {
        let mut wake = pin!(happened.notified());
        // Interest is registered before the question is asked, so nothing is missed in between.
        wake.as_mut().enable();
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        let left = end.saturating_sub(clock.since_boot());
        if left.is_zero() || store.waits_end() {
            return Ok(None);
        }
        drop(select(wake, clock.sleep(left.min(AGAIN))).await);
    }
}
