//! How long to wait before trying again: exponential from one second, with jitter, capped.

use std::time::Duration;

/// No retry comes sooner than this.
pub const FLOOR: Duration = Duration::from_secs(1);
/// No retry comes later than this (plus nothing): half an hour, as AWS-like schedules expect.
pub const CAP: Duration = Duration::from_secs(30 * 60);
/// When to ask again what is in progress at the other end, where that did not say.
pub const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long the other end may be at work on one step before a person is asked to look.
pub const LONGEST_WORK: Duration = Duration::from_secs(24 * 3600);
/// Refused logins that one window may cost an account whose lock limit we do not know.
pub const LOGIN_BUDGET: u32 = 10;

/// The delay before attempt number `attempt` (the first retry is 1). `jitter` is uniform in 0..1 and stretches the
/// delay to between one and one and a half times its base.
#[must_use]
pub fn delay(attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let base = FLOOR.saturating_mul(1 << doublings).min(CAP);
    base.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0).min(CAP)
}

/// How many refused logins may be spent on an account whose server locks it after `lock_limit`: one below that
/// limit is kept for the account's own users. At least one login is tried: an account that one refusal locks could not
/// be rotated otherwise, and AWSCURRENT comes first.
#[must_use]
pub fn login_budget(lock_limit: Option<u32>) -> u32 {
    lock_limit.map_or(LOGIN_BUDGET, |limit| LOGIN_BUDGET.min(limit.saturating_sub(1)).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // F49
        #[test]
        fn a_delay_is_never_below_the_floor_nor_above_the_cap(attempt in 0u32..10_000, jitter in -1.0f64..2.0) {
            let delay = delay(attempt, jitter);
            prop_assert!(delay >= FLOOR && delay <= CAP);
        }

        // F48
        #[test]
        fn delays_grow_until_the_cap(attempt in 1u32..40) {
            prop_assert!(delay(attempt + 1, 0.0) >= delay(attempt, 0.0));
        }
    }

    // F51
    #[test]
    fn the_budget_stays_below_the_servers_lock_limit() {
        assert_eq!(login_budget(None), LOGIN_BUDGET);
        assert_eq!(login_budget(Some(3)), 2);
        assert_eq!(login_budget(Some(1)), 1);
        assert_eq!(login_budget(Some(1000)), LOGIN_BUDGET);
    }
}
