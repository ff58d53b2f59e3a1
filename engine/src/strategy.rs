//! How an account's credential is changed, and what becomes of the one before it: settings of a secret, as people choose
//! them. Never here: how a rotator does it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::registration::GRACE;
use crate::schedule::Blackouts;

/// How the account's credential is changed (design section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The user's password is changed in place: a reader of AWSCURRENT is refused between setSecret and finishSecret.
    SingleUser,
    /// The account has the old and the new password until the grace is over (MySQL 8.0.14 and later, MariaDB 10.4 and
    /// later).
    DualPassword,
    /// Two accounts take turns: the idle one is changed, then the labels move.
    AlternatingUsers,
}

impl Strategy {
    /// All there are, in the order in which they are explained.
    pub const ALL: [Self; 3] = [Self::SingleUser, Self::DualPassword, Self::AlternatingUsers];

    /// The word for it, also in the tag `pawl:strategy`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleUser => "single-user",
            Self::DualPassword => "dual-password",
            Self::AlternatingUsers => "alternating-users",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the strategy is one of single-user, dual-password, alternating-users")]
pub struct UnknownStrategy;

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == text).ok_or(UnknownStrategy)
    }
}

/// What becomes of the credential that was AWSCURRENT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum Retirement {
    /// It is ended when its grace is over, whoever still uses it.
    #[default]
    AtGraceEnd,
    /// It is ended when its grace is over and nobody is seen to use it, at the latest so long after the grace.
    WhenDrained {
        /// In seconds, from the end of the grace.
        deadline_seconds: u64,
    },
    /// It is left as it is until the next rotation but one changes it, as AWS's alternating users do.
    Never,
}

/// Settings of a secret that rotators look at. All default to the cautious answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// A PostgreSQL account whose stored hash is md5 may become SCRAM.
    pub allow_md5_upgrade: bool,
    /// MySQL and MariaDB rows `'user'@'host'` whose passwords differ today may be made equal.
    pub allow_differing_hosts: bool,
    /// A superuser or an account of the server itself may be rotated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_superuser: bool,
    /// None: two passwords where the server and the account's privileges allow it, else one user in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The two accounts that take turns. None: AWS's naming, `user` and `user_clone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<[String; 2]>,
    /// How long the credential that was AWSCURRENT goes on working, in seconds. None: [`GRACE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u64>,
    /// What becomes of it then. None: [`Retirement::AtGraceEnd`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retirement: Option<Retirement>,
    /// Where AWSCURRENT is found not to log in, it is set again without asking anybody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reconcile: bool,
    /// How often AWSCURRENT is tried, in seconds; 0: never. None: once a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_seconds: Option<u64>,
    /// Nothing starts by schedule inside; beside the installation's own. Kept beside these, where a binary that does not know
    /// it loses nothing.
    #[serde(skip)]
    pub blackouts: Blackouts,
}

/// How often AWSCURRENT is tried where nothing else is said.
pub const VERIFY_EVERY: Duration = Duration::from_secs(24 * 3600);

impl Options {
    /// How long the credential that was AWSCURRENT goes on working.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace_seconds.map_or(GRACE, Duration::from_secs)
    }

    /// What becomes of it then.
    #[must_use]
    pub fn retirement(&self) -> Retirement {
        self.retirement.unwrap_or_default()
    }

    /// How often AWSCURRENT is tried; None: never.
    #[must_use]
    pub fn verify_every(&self) -> Option<Duration> {
        let every = self.verify_seconds.map_or(VERIFY_EVERY, Duration::from_secs);
        Some(every).filter(|every| !every.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_is_read_by_its_name_alone() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        assert_eq!("Single-User".parse::<Strategy>(), Err(UnknownStrategy));
    }

    #[test]
    fn options_of_earlier_binaries_are_read_and_defaults_are_not_written() {
        let before = r#"{"allow_md5_upgrade":true,"allow_differing_hosts":false}"#;
        let read: Options = serde_json::from_str(before).expect("an earlier binary's");
        assert!(read.allow_md5_upgrade && read.strategy.is_none());
        assert_eq!(serde_json::to_string(&read).expect("JSON"), before);
        assert_eq!((read.grace(), read.retirement()), (GRACE, Retirement::AtGraceEnd));
        assert_eq!(read.verify_every(), Some(VERIFY_EVERY));
        assert_eq!(Options { verify_seconds: Some(0), ..read }.verify_every(), None);
    }
}
