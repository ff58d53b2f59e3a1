//! Owns the rows `'user'@'host'` of one account: what each holds today, and whether they may be changed together.
//! Never here: SQL, connections.

use engine::outcome::{StepError, Verdict};

use super::errors::{LOCKED_CODE, line, told, unsupported_plugin};
use super::hash::Plugin;
use crate::connection::Login;
use crate::parties::{Named, Parties};
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
    /// More than one factor to log in with (MySQL's `AND`).
    pub several_ways: bool,
    /// MySQL: the hash of the password beside the first one.
    pub second: Option<Vec<u8>>,
    /// MariaDB: all ways to log in, in their order; `plugin` and `stored` are those of the first with a password.
    pub methods: Vec<Method>,
}

/// One of the ways to log in that MariaDB joins by `OR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method {
    pub plugin: String,
    pub stored: Vec<u8>,
}

impl Method {
    pub(crate) fn holds(&self, login: &Login) -> bool {
        plugin(&self.plugin).is_some_and(|plugin| plugin.holds(&self.stored, &login.password))
    }
}

fn plugin(name: &str) -> Option<Plugin> {
    [Plugin::Native, Plugin::CachingSha2, Plugin::Ed25519].into_iter().find(|plugin| plugin.name() == name)
}

impl Row {
    /// The row's plugin, where Pawl can rotate its passwords.
    pub(crate) fn known_plugin(&self, plugins: &[Plugin], login: &Login) -> Result<Plugin, StepError> {
        if self.several_ways {
            return Err(unsupported_plugin(login, "several factors"));
        }
        plugins
            .iter()
            .copied()
            .find(|plugin| plugin.name() == self.plugin)
            .ok_or_else(|| unsupported_plugin(login, &self.plugin))
    }

    /// A way to log in that is no password would be lost where the whole row is given another one.
    pub(crate) fn only_passwords(&self, login: &Login) -> Result<(), StepError> {
        match self.methods.iter().find(|method| plugin(&method.plugin).is_none()) {
            Some(other) => Err(unsupported_plugin(login, &other.plugin)),
            None => Ok(()),
        }
    }

    /// Does the row hold this login's password: on MySQL as the first one, on MariaDB as any? Where the hash is hidden,
    /// the row is the one we are logged in by, so that `entered`, the login that was let in, has the answer.
    pub(crate) fn holds(&self, login: &Login, entered: &Login) -> bool {
        match (&self.stored, plugin(&self.plugin)) {
            _ if !self.methods.is_empty() => self.methods.iter().any(|method| method.holds(login)),
            (Some(stored), Some(plugin)) => plugin.holds(stored, &login.password),
            (Some(_), None) => false,
            (None, _) => login.same_account(entered) && login.same_password(entered),
        }
    }

    /// Is this login's password MySQL's second one?
    pub(crate) fn holds_second(&self, login: &Login) -> bool {
        let held = self.second.as_ref().zip(plugin(&self.plugin));
        held.is_some_and(|(stored, plugin)| plugin.holds(stored, &login.password))
    }

    /// Does this login's password log in by the row at all?
    pub(crate) fn lets_in(&self, login: &Login, entered: &Login) -> bool {
        self.holds(login, entered) || self.holds_second(login)
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

    /// The rows a change has to touch, which are those that are not `done`, after every reason not to touch them.
    pub(crate) fn to_change<'a>(
        &'a self,
        parties: &Parties,
        entered: &Login,
        allow_differing: bool,
        done: impl Fn(&Row) -> bool,
    ) -> Result<Vec<&'a Row>, StepError> {
        let wanted = &parties.wanted;
        if self.list.is_empty() {
            return Err(told(line(1133), 1133, Verdict::NeedsPerson, wanted, ""));
        }
        if self.list.iter().all(|row| row.locked) {
            return Err(told(line(LOCKED_CODE), LOCKED_CODE, Verdict::NeedsPerson, wanted, ""));
        }
        let lacking: Vec<&Row> = self.list.iter().filter(|row| !done(row)).collect();
        let alike = self.list.len() == 1 || self.all_hold_one(parties, entered);
        if alike || allow_differing {
            return Ok(lacking);
        }
        let is_ours = |row: &Row| row.lets_in(wanted, entered) || holder(row, parties, entered).is_some_and(|by| by);
        // Rows of an interrupted change hold values of ours: going on makes them equal. A row that holds anything
        // else is somebody's: putting AWSCURRENT back leaves it alone, going forward is refused.
        let (ours, foreign): (Vec<&Row>, Vec<&Row>) = lacking.into_iter().partition(|row| is_ours(row));
        if foreign.is_empty() || (parties.restoring && !ours.is_empty()) {
            return Ok(ours);
        }
        Err(differing(&foreign, wanted))
    }

    /// A value of ours other than the wanted one logs in somewhere: an interrupted change left it in a row, or a
    /// candidate goes on beside AWSCURRENT.
    pub(crate) fn left_behind(&self, parties: &Parties, entered: &Login) -> bool {
        let in_its_place = self
            .lacking(&parties.wanted, entered)
            .into_iter()
            .any(|row| holder(row, parties, entered).is_some_and(|expected| expected));
        let candidates = || parties.known.iter().filter(|named| parties.is_candidate(named));
        in_its_place || candidates().any(|named| self.list.iter().any(|row| row.lets_in(&named.login, entered)))
    }

    /// Which of the other known values a row holds, for messages.
    pub(crate) fn held(&self, parties: &Parties, entered: &Login) -> Option<String> {
        let lacking = self.lacking(&parties.wanted, entered);
        let beside = |named: &Named| {
            parties.is_candidate(named) && self.list.iter().any(|row| row.lets_in(&named.login, entered))
        };
        let instead = |named: &Named| lacking.iter().any(|row| row.holds(&named.login, entered));
        parties.known.iter().find(|named| instead(named) || beside(named)).map(|named| named.role.clone())
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
