//! Owns when an account of MySQL or MariaDB gets a second password beside the one that services use, and what is to be
//! reached: which passwords a row has afterwards. Never here: the statements, which are each server's own.

use engine::outcome::{StepError, Verdict};
use engine::strategy::Strategy;

use super::Flavor;
use super::accounts::Row;
use super::session::Session;
use crate::connection::Login;
use crate::parties::{Named, Parties};
use crate::quote::{my_account, shown};

/// What keeps an account from having two passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// In one sentence.
    pub why: String,
    /// The statement that mends it, to be pasted.
    pub grant: String,
}

/// Who makes the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The admin, who may change any account.
    Admin,
    /// The account itself. `blind`: the server shows it no hash of its own row.
    Own { blind: bool },
}

/// What this session lacks for two passwords; None where it has all. Changes nothing.
///
/// # Errors
/// By verdict, where it could not be found out.
pub(crate) async fn lacking(flavor: &dyn Flavor, session: &mut Session, by: By) -> Result<Option<Lacking>, StepError> {
    let version: Vec<String> = session.rows("SELECT VERSION()").await?;
    let version = version.first().map(String::as_str).unwrap_or_default();
    if !flavor.takes_two(version) {
        let why = format!("{} {} has one password an account", session.login.server(), shown(version));
        let grant = format!("Upgrade to {}.", flavor.two_since());
        return Ok(Some(Lacking { why, grant }));
    }
    flavor.lacking(session, by).await
}

/// Whether `SHOW GRANTS` gives one of these, each a privilege and the object it is for. What an active role gives is
/// among the lines too, on both servers.
pub(crate) async fn granted(session: &mut Session, wanted: &[(&str, &str)]) -> Result<bool, StepError> {
    let lines: Vec<String> = session.rows("SHOW GRANTS").await?;
    Ok(lines.iter().any(|line| gives(line, wanted)))
}

fn gives(line: &str, wanted: &[(&str, &str)]) -> bool {
    let Some((privileges, rest)) = line.strip_prefix("GRANT ").and_then(|line| line.split_once(" ON ")) else {
        return false;
    };
    let on = rest.split_once(" TO ").map_or(rest, |(object, _)| object);
    privileges.split(", ").any(|has| {
        wanted.iter().any(|(privilege, object)| on == *object && (has == *privilege || has == "ALL PRIVILEGES"))
    })
}

/// The numbers of a version, as far as they go: `8.0.36-log` is 8, 0, 36.
pub(crate) fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// What a step is to bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The wanted password in the place of the one before.
    InPlace {
        /// This session may end a second password.
        ends: bool,
    },
    /// The wanted password, and AWSCURRENT's beside it.
    Beside,
    /// AWSCURRENT's password, and no candidate beside it.
    Back {
        /// This session may end a second password.
        ends: bool,
    },
    /// AWSCURRENT's password alone: what is first among the known values is over.
    Alone,
}

/// An aim and what there is to reach it with.
#[derive(Clone, Copy)]
pub(crate) struct Goal<'a> {
    pub aim: Aim,
    pub parties: &'a Parties,
    /// The login that was let in.
    pub entered: &'a Login,
}

/// What is to become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// The row is as it should be.
    pub done: bool,
    /// Afterwards AWSCURRENT's password logs in beside the wanted one.
    pub retains: bool,
}

impl<'a> Goal<'a> {
    /// AWSCURRENT's login, where it is not the wanted one itself.
    pub(crate) fn current(&self) -> Option<&'a Login> {
        self.named("AWSCURRENT")
    }

    /// What is to be ended.
    pub(crate) fn over(&self) -> Option<&'a Login> {
        self.parties.known.first().map(|named| &named.login)
    }

    fn named(&self, role: &str) -> Option<&'a Login> {
        self.parties.known.iter().find(|named| named.role == role).map(|named| &named.login)
    }

    /// Every login that is known, the wanted one first.
    pub(crate) fn logins(&self) -> impl Iterator<Item = &'a Login> + use<'a> {
        let parties = self.parties;
        std::iter::once(&parties.wanted).chain(parties.known.iter().map(|named| &named.login))
    }

    /// The known values that must not log in once AWSCURRENT is put back. AWSPREVIOUS is none of them: it may be in its
    /// grace, also where a rollback carried its very password.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &'a Named> + use<'a> {
        let parties = self.parties;
        parties.known.iter().filter(|named| parties.is_candidate(named))
    }
}

/// A second password that is nobody's whom we know is not ended silently.
pub(crate) fn foreign(row: &Row, login: &Login) -> StepError {
    let account = shown(&my_account(&login.user, &row.host));
    StepError::new(
        Verdict::NeedsPerson,
        "foreign-password",
        format!(
            "{account} at {} has a second password that is not of this secret; a rotation with two passwords would \
             end it.",
            login.server()
        ),
    )
    .remedy(format!(
        "Find out who uses it. When nobody does, run (MySQL) ALTER USER {account} DISCARD OLD PASSWORD, or (MariaDB) \
         ALTER USER {account} IDENTIFIED VIA … with AWSCURRENT's hash alone; then resume.",
    ))
}

/// Two passwords were asked for, and the account cannot have them.
pub(crate) fn refused(lacking: &Lacking, login: &Login) -> StepError {
    let message = format!("{} cannot have two passwords: {}.", shown(&login.user), lacking.why);
    StepError::new(Verdict::NeedsPerson, "two-passwords", message).remedy(format!(
        "{} Then resume; or name an admin secret in masterarn, or choose another strategy.",
        lacking.grant
    ))
}

/// Why a rotation leaves a gap, for the history.
pub(crate) fn in_place_note(lacking: &Lacking) -> String {
    format!(
        "The password was changed in place, so that AWSCURRENT was refused until the label moved: {}. To have two \
         passwords: {}",
        lacking.why, lacking.grant
    )
}

/// Whether a secret without a strategy of its own, or with this one, wants two passwords where they can be had.
pub(crate) fn wants_two(strategy: Option<Strategy>) -> bool {
    strategy != Some(Strategy::SingleUser)
}

/// The world is not as the end of the grace expects it. Nothing was changed.
pub(crate) fn not_to_be_ended(login: &Login, found: &str) -> StepError {
    let account = shown(&my_account(&login.user, "%"));
    StepError::new(
        Verdict::NeedsPerson,
        "not-to-be-ended",
        format!(
            "The password that was AWSCURRENT before is not ended for {} at {}: {found}. Nothing was changed.",
            shown(&login.user),
            login.server()
        ),
    )
    .remedy(format!(
        "Have an administrator run ALTER USER {account} IDENTIFIED BY '…' with AWSCURRENT's password, and on MySQL \
         ALTER USER {account} DISCARD OLD PASSWORD (for every row of the account); then resume.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_is_read_from_the_servers_own_line_and_a_role_of_that_name_is_none() {
        let wanted = [("CREATE USER", "*.*"), ("UPDATE", "`mysql`.*")];
        for (line, given) in [
            ("GRANT CREATE USER ON *.* TO `u`@`%`", true),
            ("GRANT SELECT, CREATE USER, RELOAD ON *.* TO `u`@`%` WITH GRANT OPTION", true),
            ("GRANT ALL PRIVILEGES ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*1' WITH GRANT OPTION", true),
            ("GRANT UPDATE ON `mysql`.* TO `u`@`%`", true),
            ("GRANT ALL PRIVILEGES ON `app`.* TO `u`@`%`", false),
            ("GRANT SELECT ON `mysql`.* TO `u`@`%`", false),
            ("GRANT `CREATE USER ON *.* TO `@`%` TO `u`@`%`", false),
            ("REVOKE CREATE USER ON *.* FROM `u`@`%`", false),
        ] {
            assert_eq!(gives(line, &wanted), given, "{line}");
        }
    }

    #[test]
    fn a_version_is_read_as_far_as_it_is_numbers() {
        assert_eq!(numbers("8.0.36-log"), [8, 0, 36]);
        assert_eq!(numbers("10.11.19-MariaDB-0+deb12u1"), [10, 11, 19]);
        assert_eq!(numbers("nine"), [0, 0, 0]);
    }
}
