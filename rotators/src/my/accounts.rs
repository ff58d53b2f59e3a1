//! Owns the rows `'user'@'host'` of one account: what each holds today, and whether they may be changed together.
//! Never here: SQL, connections.

use engine::outcome::{StepError, Verdict};

use super::errors::{LOCKED_CODE, line, told, unsupported_plugin};
use super::hash::Plugin;
use crate::connection::Login;
use crate::parties::Parties;
use crate::quote::{my_account, shown};

/// One row of the account.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub host: String,
    /// The plugin's name as the server says it.
    pub plugin: String,
    /// The stored hash; None where the server does not show it to us.
    pub stored: Option<Vec<u8>>,
    pub locked: bool,
    /// After how many refused logins the server locks the row.
    pub lock_limit: Option<u32>,
    /// More than one way to log in (MariaDB's `OR`).
    pub several_ways: bool,
}

impl Row {
    /// The row's plugin, where Pawl can rotate its passwords.
    pub(crate) fn known_plugin(&self, plugins: &[Plugin], login: &Login) -> Result<Plugin, StepError> {
        if self.several_ways {
            return Err(unsupported_plugin(login, "several ways joined by OR"));
        }
        plugins
            .iter()
            .copied()
            .find(|plugin| plugin.name() == self.plugin)
            .ok_or_else(|| unsupported_plugin(login, &self.plugin))
    }

    /// Does the row hold this login's password? Where the hash is hidden, the row is the one we are logged in by, so
    /// that `entered`, the login that was let in, has the answer.
    pub(crate) fn holds(&self, login: &Login, entered: &Login) -> bool {
        let plugin =
            [Plugin::Native, Plugin::CachingSha2, Plugin::Ed25519].into_iter().find(|p| p.name() == self.plugin);
        match (&self.stored, plugin) {
            (Some(stored), Some(plugin)) => plugin.holds(stored, &login.password),
            (Some(_), None) => false,
            (None, _) => login.same_account(entered) && login.same_password(entered),
        }
    }
}

/// The rows of an account as one session sees them: all, or only the one it is logged in by.
#[derive(Debug)]
pub(crate) struct Rows {
    pub list: Vec<Row>,
}

impl Rows {
    /// The lowest limit of all rows.
    pub(crate) fn lock_limit(&self) -> Option<u32> {
        self.list.iter().filter_map(|row| row.lock_limit).min()
    }

    /// Rows that do not hold the wanted value.
    pub(crate) fn lacking<'a>(&'a self, wanted: &Login, entered: &Login) -> Vec<&'a Row> {
        self.list.iter().filter(|row| !row.holds(wanted, entered)).collect()
    }

    /// The rows a change has to touch, after every reason not to touch them.
    pub(crate) fn to_change<'a>(
        &'a self,
        parties: &Parties,
        entered: &Login,
        allow_differing: bool,
    ) -> Result<Vec<&'a Row>, StepError> {
        let wanted = &parties.wanted;
        if self.list.is_empty() {
            return Err(told(line(1133), 1133, Verdict::NeedsPerson, wanted, ""));
        }
        if self.list.iter().all(|row| row.locked) {
            return Err(told(line(LOCKED_CODE), LOCKED_CODE, Verdict::NeedsPerson, wanted, ""));
        }
        let lacking = self.lacking(wanted, entered);
        let alike = self.list.len() == 1 || self.all_hold_one(parties, entered);
        if alike || allow_differing {
            return Ok(lacking);
        }
        // Rows of an interrupted change hold values of ours: going on makes them equal. A row that holds anything
        // else is somebody's: putting AWSCURRENT back leaves it alone, going forward is refused.
        let (ours, foreign): (Vec<&Row>, Vec<&Row>) =
            lacking.into_iter().partition(|row| holder(row, parties, entered).is_some_and(|expected| expected));
        if foreign.is_empty() || (parties.restoring && !ours.is_empty()) {
            return Ok(ours);
        }
        Err(differing(&foreign, wanted))
    }

    /// Rows that hold a value of ours other than the wanted one: an interrupted change left them behind.
    pub(crate) fn left_behind(&self, parties: &Parties, entered: &Login) -> bool {
        self.lacking(&parties.wanted, entered)
            .into_iter()
            .any(|row| holder(row, parties, entered).is_some_and(|expected| expected))
    }

    /// Which of the other known values a row holds, for messages.
    pub(crate) fn held(&self, parties: &Parties, entered: &Login) -> Option<String> {
        let lacking = self.lacking(&parties.wanted, entered);
        let held = parties.known.iter().find(|named| lacking.iter().any(|row| row.holds(&named.login, entered)));
        held.map(|named| named.role.clone())
    }

    fn all_hold_one(&self, parties: &Parties, entered: &Login) -> bool {
        parties.known.iter().any(|named| self.list.iter().all(|row| row.holds(&named.login, entered)))
    }
}

/// Whether a row holds one of the known values, and if so, whether the account may have it by right today.
fn holder(row: &Row, parties: &Parties, entered: &Login) -> Option<bool> {
    parties.known.iter().find(|named| row.holds(&named.login, entered)).map(|named| named.expected)
}

pub(super) fn differing(foreign: &[&Row], login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "differing-hosts",
        format!(
            "The rows of {} at {} have different passwords today; not AWSCURRENT's: {}.",
            shown(&login.user),
            login.server(),
            listed(foreign, login)
        ),
    )
    .remedy(
        "Give those rows AWSCURRENT's password, drop those that nobody uses, or allow that all rows get the new \
         password (allow_differing_hosts); then resume.",
    )
}

/// Pieces of one set of rows in messages.
pub(crate) fn listed(rows: &[&Row], login: &Login) -> String {
    rows.iter().map(|row| shown(&my_account(&login.user, &row.host))).collect::<Vec<_>>().join(", ")
}
