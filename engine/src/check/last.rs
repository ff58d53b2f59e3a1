//! What is known of whether AWSCURRENT logs in, from one look at the target to the next. Plain data without secrets.
//! Never here: who looks, when, where it is kept.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Verified;
use crate::Time;
use crate::outcome::StepError;

/// So often AWSCURRENT is set again by policy within [`RECONCILED_WITHIN`]; then a rival is at work that no policy stops.
pub const MOST_RECONCILED: usize = 3;
/// How long one that was set again by policy counts.
const RECONCILED_WITHIN: TimeDelta = TimeDelta::days(7);
/// A target whose AWSCURRENT is refused is asked at least this often, unless its own interval is longer: each look costs the account a refused login.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What is known of whether AWSCURRENT logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastVerified {
    /// When `answer` was found.
    pub at: Option<Time>,
    /// What was found; None: nothing yet.
    pub answer: Option<Verified>,
    /// AWSCURRENT is refused.
    pub drifted: bool,
    /// Since when, as far as is known.
    pub since: Option<Time>,
    /// How many looks in a row have found it refused.
    pub looks: u32,
    /// Why the latest look found out nothing; None: it did.
    pub failure: Option<Failure>,
    /// After how many refused logins the server locks the account, where it told us.
    pub lock_limit: Option<u32>,
    /// When AWSCURRENT was set again by policy, oldest first.
    pub reconciled: Vec<Time>,
    /// The account that AWSCURRENT was for when it was last seen to log in, as a digest. The policy sets no other again: the
    /// value is written by people who may not be allowed to choose an account's password.
    pub account: Option<String>,
    /// It was set again [`MOST_RECONCILED`] times and is refused all the same: the policy has stopped.
    pub rival: bool,
}

/// Why a look at the target found out nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Time,
    /// The server's code, or a word of ours.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it; empty where there is nothing to do but wait.
    pub remedy: String,
}

impl LastVerified {
    /// After a look, or after a rotation that has proven AWSCURRENT.
    #[must_use]
    pub fn found(self, answer: Verified, at: Time) -> Self {
        let drifted = answer != Verified::CurrentLogsIn;
        Self {
            at: Some(at),
            answer: Some(answer),
            drifted,
            since: drifted.then(|| self.since.unwrap_or(at)),
            looks: if drifted { self.looks.saturating_add(1) } else { 0 },
            failure: None,
            rival: drifted && self.rival,
            ..self
        }
    }

    /// AWSCURRENT is for this account, and was seen to log in.
    #[must_use]
    pub fn of(self, account: Option<String>) -> Self {
        Self { account, ..self }
    }

    /// After a look that found out nothing: a network error is no drift, and what is known stays.
    #[must_use]
    pub fn failed(self, error: &StepError, at: Time) -> Self {
        let StepError { code, message, remedy, .. } = error.clone();
        let failure = Some(Failure { at, code, message, remedy });
        Self { failure, lock_limit: error.lock_limit.or(self.lock_limit), ..self }
    }

    /// AWSCURRENT is another value now, of which nothing is known.
    #[must_use]
    pub fn forgotten(self) -> Self {
        Self { lock_limit: self.lock_limit, reconciled: self.reconciled, account: self.account, ..Self::default() }
    }

    /// Whether the policy may set AWSCURRENT again.
    #[must_use]
    pub fn may_reconcile(&self, now: Time) -> bool {
        let recent = self.reconciled.iter().filter(|at| now - **at < RECONCILED_WITHIN).count();
        !self.rival && recent < MOST_RECONCILED
    }

    /// The policy sets it again.
    #[must_use]
    pub fn reconciling(self, now: Time) -> Self {
        let recent = self.reconciled.into_iter().filter(|at| now - *at < RECONCILED_WITHIN);
        Self { reconciled: recent.chain([now]).collect(), ..self }
    }

    /// A person sets it again: what a policy did before counts no more.
    #[must_use]
    pub fn reconciled_by_hand(self) -> Self {
        Self { reconciled: vec![], rival: false, ..self }
    }

    /// How long to wait until the next look, `every` of which is the rule. Where AWSCURRENT is refused the waits grow.
    #[must_use]
    pub fn wait(&self, every: Duration) -> Duration {
        let longer = every.saturating_mul(1 << self.looks.min(16)).min(LONGEST_WAIT);
        if self.drifted { every.max(longer) } else { every }
    }

    /// What was found, in a sentence; None: nothing yet.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let answer = self.answer.as_ref()?;
        if self.rival {
            return Some(format!(
                "AWSCURRENT was set again {MOST_RECONCILED} times within a week and is refused again: something else \
                 changes this password"
            ));
        }
        Some(match answer {
            Verified::CurrentLogsIn => "AWSCURRENT logs in".to_owned(),
            Verified::AnotherLogsIn { role } if role == "AWSPREVIOUS" => {
                "AWSCURRENT is refused and AWSPREVIOUS logs in: the target was restored from a backup, or somebody set \
                 the old password again"
                    .to_owned()
            }
            Verified::AnotherLogsIn { role } => {
                format!("AWSCURRENT is refused and {role} logs in: a rotation was left half done")
            }
            Verified::NoneLogsIn => {
                "AWSCURRENT is refused, and so is every other value that is known: something else has \
                                     changed this password"
                    .to_owned()
            }
        })
    }

    /// What to do about it; empty where there is nothing to do.
    #[must_use]
    pub fn remedy(&self, secret: &str) -> String {
        if !self.drifted {
            return String::new();
        }
        let again = format!("`pawl rotation reconcile {secret}` sets AWSCURRENT again");
        match (self.rival, &self.answer) {
            (true, _) => format!("find out what else changes this password and end that; then {again}"),
            (_, Some(Verified::NoneLogsIn)) => {
                format!(
                    "{again}, which needs an admin secret (masterarn); or write the password that works as the secret's value"
                )
            }
            _ => again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;

    fn at(hour: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn previous() -> Verified {
        Verified::AnotherLogsIn { role: "AWSPREVIOUS".to_owned() }
    }

    #[test]
    fn a_look_that_finds_out_nothing_keeps_what_is_known() {
        let drifted = LastVerified::default().found(previous(), at(1));
        let error = StepError::new(Verdict::Retry, "away", "The server is away.");
        let away = drifted.clone().failed(&error, at(2));
        assert!(away.drifted && away.answer == Some(previous()) && away.at == Some(at(1)));
        assert_eq!(away.failure.as_ref().map(|failure| failure.at), Some(at(2)));
        let back = away.found(Verified::CurrentLogsIn, at(3));
        assert_eq!((back.drifted, back.since, back.failure), (false, None, None));
    }

    #[test]
    fn drift_is_dated_from_its_first_look_and_looked_at_ever_more_seldom() {
        let hour = Duration::from_secs(3600);
        let mut last = LastVerified::default();
        assert_eq!(last.wait(hour), hour);
        let mut waits = vec![];
        for n in 1..=6 {
            last = last.found(Verified::NoneLogsIn, at(n));
            waits.push(last.wait(hour).as_secs() / 3600);
        }
        assert_eq!((waits, last.since), (vec![2, 4, 8, 16, 24, 24], Some(at(1))));
        assert_eq!(last.wait(hour * 48), hour * 48, "a longer interval stays");
    }

    #[test]
    fn the_policy_stops_after_three_times_in_a_week_until_a_person_acts() {
        let mut last = LastVerified::default();
        for n in 0..3 {
            assert!(last.may_reconcile(at(n)));
            last = last.found(Verified::NoneLogsIn, at(n)).reconciling(at(n)).found(Verified::CurrentLogsIn, at(n));
        }
        assert!(!last.may_reconcile(at(3)));
        assert!(last.may_reconcile(at(24 * 8)), "a week later they count no more");
        let stopped = LastVerified { rival: true, ..last.found(Verified::NoneLogsIn, at(3)) };
        assert!(!stopped.may_reconcile(at(24 * 8)), "one that has stopped stays so");
        assert!(stopped.message().is_some_and(|message| message.contains("3 times")));
        assert!(stopped.clone().reconciled_by_hand().may_reconcile(at(4)));
        assert!(stopped.forgotten().reconciled.len() == 3, "another AWSCURRENT does not forget them");
    }

    #[test]
    fn the_index_of_the_store_finds_what_has_drifted_and_nothing_else() {
        let mark = "\"drifted\":true";
        let json = |last: &LastVerified| serde_json::to_string(last).expect("JSON");
        assert!(json(&LastVerified::default().found(Verified::NoneLogsIn, at(1))).contains(mark));
        // A version's id is anybody's text.
        let role = format!("candidate 1 of {mark}");
        let last = LastVerified { answer: Some(Verified::AnotherLogsIn { role }), ..LastVerified::default() };
        assert!(!json(&last).contains(mark), "{}", json(&last));
        assert_eq!(serde_json::from_str::<LastVerified>(&json(&last)).expect("parses"), last);
    }
}
