//! Owns what MySQL's and MariaDB's errors mean: one table by errno (`docs/error-verdicts.md` shows it) and the errors
//! that never reached a server. The server's own text is never passed on: it may quote a statement.

use std::io;

use engine::outcome::{StepError, Verdict};
use mysql_async::{DriverError, Error, IoError, TlsError};

use crate::connection::Login;
use crate::network::{network_error, tls_error};
use crate::quote::{my_account, shown};
use crate::tls;

/// One line of the table. `{user}` and `{account}` (quoted) are the account, `{by}` is who is logged in.
pub(crate) struct Entry {
    pub code: u16,
    pub verdict: Verdict,
    pub says: &'static str,
    pub remedy: &'static str,
}

const fn entry(code: u16, verdict: Verdict, says: &'static str, remedy: &'static str) -> Entry {
    Entry { code, verdict, says, remedy }
}

const GRANT: &str = "Run GRANT CREATE USER ON *.* TO {by} and GRANT SELECT ON mysql.* TO {by} (on MySQL also SYSTEM_USER where the account has it).";
/// Stands for "locked" where the catalogue says so before any login is tried.
pub(crate) const LOCKED_CODE: u16 = 3118;
const LOCKED: &str = "Run ALTER USER {account} ACCOUNT UNLOCK when it is to be used again, then resume.";

/// By errno. Codes above 3000 mean what they say on one of the two servers only; none is shared.
pub(crate) const TABLE: &[Entry] = &[
    entry(
        1040,
        Verdict::Retry,
        "has too many connections at the moment",
        "Raise max_connections, or free connections.",
    ),
    entry(
        1203,
        Verdict::Retry,
        "has too many connections of {user} at the moment",
        "Raise max_user_connections, or free connections.",
    ),
    entry(
        1226,
        Verdict::Retry,
        "says that {user} has used up a limit of its account (connections or statements per hour)",
        "Raise the account's WITH limits, or wait for the hour to end.",
    ),
    entry(
        1045,
        Verdict::Rejected,
        "refused the login of {user}: a wrong password, no such account for Pawl's address, or a REQUIRE (SSL, X509) that this connection does not meet",
        "Check the account's rows in mysql.user, their host part and their REQUIRE clause.",
    ),
    entry(
        1698,
        Verdict::NeedsPerson,
        "refused the login of {user}, whose plugin does not take a password from here",
        "Give the account a password plugin (MySQL: caching_sha2_password; MariaDB: ed25519 or mysql_native_password).",
    ),
    entry(
        1129,
        Verdict::NeedsPerson,
        "blocks Pawl's address because of many broken connections",
        "Run FLUSH HOSTS (MySQL 8.4 and later: TRUNCATE TABLE performance_schema.host_cache), and raise max_connect_errors.",
    ),
    entry(
        1130,
        Verdict::NeedsPerson,
        "lets nobody in from Pawl's address",
        "Create the account for Pawl's address or for '%'.",
    ),
    entry(
        1251,
        Verdict::NeedsPerson,
        "wants an authentication that Pawl does not speak",
        "Give the account a password plugin (MySQL: caching_sha2_password; MariaDB: ed25519 or mysql_native_password).",
    ),
    entry(3159, Verdict::NeedsPerson, "takes encrypted connections only", "Say \"ssl\": true in the secret."),
    entry(3118, Verdict::NeedsPerson, "says that the account {user} is locked", LOCKED),
    entry(4151, Verdict::NeedsPerson, "says that the account {user} is locked", LOCKED),
    entry(
        3955,
        Verdict::NeedsPerson,
        "has locked the account {user} after too many failed logins (FAILED_LOGIN_ATTEMPTS)",
        "Find out who logs in with a wrong password, run ALTER USER {account} ACCOUNT UNLOCK (or wait for PASSWORD_LOCK_TIME), then resume.",
    ),
    entry(
        4150,
        Verdict::NeedsPerson,
        "has blocked {user} after max_password_errors failed logins",
        "Find out who logs in with a wrong password, run FLUSH PRIVILEGES, then resume.",
    ),
    entry(
        1862,
        Verdict::NeedsPerson,
        "says that the password of {user} has expired",
        "Name an admin secret in masterarn, or set a password by hand; then resume.",
    ),
    entry(
        1820,
        Verdict::NeedsPerson,
        "says that the password of {user} has expired",
        "Name an admin secret in masterarn, or set a password by hand; then resume.",
    ),
    entry(1044, Verdict::NeedsPerson, "does not allow {by} what the change needs", GRANT),
    entry(1142, Verdict::NeedsPerson, "does not allow {by} what the change needs", GRANT),
    entry(1143, Verdict::NeedsPerson, "does not allow {by} what the change needs", GRANT),
    entry(1227, Verdict::NeedsPerson, "does not allow {by} what the change needs", GRANT),
    entry(
        1131,
        Verdict::NeedsPerson,
        "takes us for an anonymous user, who has no password of its own",
        "Remove the anonymous account, or create {account}.",
    ),
    entry(1132, Verdict::NeedsPerson, "does not allow {by} to change the password of another account", GRANT),
    entry(
        1133,
        Verdict::NeedsPerson,
        "has no account {user}",
        "Create the account, or correct \"username\" in the secret.",
    ),
    entry(
        1396,
        Verdict::NeedsPerson,
        "could not change {user}: a row of the account is missing, or is protected",
        "Check the account's rows in mysql.user.",
    ),
    entry(
        1146,
        Verdict::NeedsPerson,
        "has no catalogue that Pawl knows (MySQL 8.0 and MariaDB 10.4 are the oldest)",
        "Upgrade the server.",
    ),
    entry(
        1524,
        Verdict::NeedsPerson,
        "has not loaded the authentication plugin of {user}",
        "Load the plugin, or give the account one that is loaded.",
    ),
    entry(
        1699,
        Verdict::NeedsPerson,
        "says that the plugin of {user} has no password to set",
        "Give the account a password plugin.",
    ),
    entry(
        1827,
        Verdict::NeedsPerson,
        "does not take the hash as one of the account's plugin",
        "Report this, with the server's version.",
    ),
    entry(
        1372,
        Verdict::NeedsPerson,
        "does not take the hash as one of the account's plugin",
        "Report this, with the server's version.",
    ),
    entry(
        1819,
        Verdict::Rejected,
        "rejected the new password by its policy",
        "Let the server's policy take passwords of 32 characters from A-Z, a-z, 0-9 and - . _ ~ (one of each kind at least); then resume.",
    ),
    entry(3638, Verdict::Rejected, "rejected the new password because of the password history", ""),
    entry(
        3878,
        Verdict::NeedsPerson,
        "does not keep the empty password of {user} beside the new one",
        "Give the account the password of AWSCURRENT; then resume.",
    ),
    entry(
        3894,
        Verdict::NeedsPerson,
        "does not keep the password of {user} beside the new one, because its plugin was changed just now",
        "Resume.",
    ),
    entry(3891, Verdict::Retry, "says that the password was changed by somebody else just now", ""),
    entry(3892, Verdict::NeedsPerson, "wants the current password for a change", "Name an admin secret in masterarn."),
    entry(
        1290,
        Verdict::Retry,
        "is read-only (a replica, or a primary on its way out)",
        "Point \"host\" at the primary, or wait for the failover to end.",
    ),
    entry(
        1836,
        Verdict::Retry,
        "is read-only (a replica, or a primary on its way out)",
        "Point \"host\" at the primary, or wait for the failover to end.",
    ),
    entry(1205, Verdict::Retry, "did not give us a lock in time: another session works on the accounts", ""),
    entry(1213, Verdict::Retry, "rolled back in favour of another transaction", ""),
    entry(1053, Verdict::Retry, "is shutting down", ""),
    entry(1152, Verdict::Retry, "cut the connection", ""),
    entry(1158, Verdict::Retry, "cut the connection", ""),
    entry(1159, Verdict::Retry, "cut the connection", ""),
    entry(1160, Verdict::Retry, "cut the connection", ""),
    entry(1161, Verdict::Retry, "cut the connection", ""),
    entry(1184, Verdict::Retry, "cut the connection", ""),
    entry(1317, Verdict::Retry, "interrupted the statement", ""),
    entry(1927, Verdict::Retry, "ended our session", ""),
    entry(1969, Verdict::Retry, "cancelled the statement at its time limit", ""),
    entry(2006, Verdict::Retry, "is gone", ""),
    entry(2013, Verdict::Retry, "cut the connection", ""),
    entry(4031, Verdict::Retry, "ended our session because we were silent too long: nothing was changed", ""),
];

/// Answers that leave open whether a statement that was under way took effect.
const OPEN: &[u16] = &[1053, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 1969, 2006, 2013];

const OTHER: Entry = entry(
    0,
    Verdict::NeedsPerson,
    "answered with an error that Pawl does not know",
    "Look the number up in the server's manual and in its log.",
);

pub(crate) fn line(code: u16) -> &'static Entry {
    TABLE.iter().find(|entry| entry.code == code).unwrap_or(&OTHER)
}

/// When an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before anything that changes was sent.
    Before,
    /// From sending the changing statement to its answer.
    Changing,
}

/// The errno of an error, where the server told one.
pub(crate) fn errno(error: &Error) -> Option<u16> {
    match error {
        Error::Server(server) => Some(server.code),
        _ => None,
    }
}

/// The step's error for a driver's error. `by` is the account that is logged in, as the server writes it.
pub(crate) fn step_error(error: &Error, login: &Login, by: &str, moment: Moment) -> StepError {
    match error {
        Error::Server(server) => {
            let line = line(server.code);
            let verdict = match moment {
                // One number for every option that forbids a statement; only read_only passes by itself.
                _ if server.code == 1290 && !server.message.contains("read") => Verdict::NeedsPerson,
                Moment::Changing if OPEN.contains(&server.code) => Verdict::Unknown,
                Moment::Before if line.verdict == Verdict::Rejected && server.code != 1045 => Verdict::NeedsPerson,
                _ => line.verdict,
            };
            told(line, server.code, verdict, login, by)
        }
        _ if moment == Moment::Changing => lost(login),
        Error::Io(IoError::Tls(TlsError::Tls(error))) => tls_error(error, &login.server()),
        Error::Io(IoError::Tls(_)) => tls::untrusted(&login.server()),
        Error::Io(IoError::Io(error)) => from_io(error, login),
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => unsupported_plugin(login, name),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => tls::not_offered(&login.server()),
        Error::Driver(DriverError::CleartextPluginDisabled | DriverError::MysqlOldPasswordDisabled) => {
            unsupported_plugin(login, "mysql_clear_password or mysql_old_password")
        }
        _ => StepError::new(Verdict::Retry, "connection-lost", format!("{} closed the connection.", login.server())),
    }
}

fn from_io(error: &io::Error, login: &Login) -> StepError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => tls_error(tls, &login.server()),
        None => network_error(error, &login.server()),
    }
}

/// A line of the table as an error about this login.
pub(crate) fn told(line: &Entry, code: u16, verdict: Verdict, login: &Login, by: &str) -> StepError {
    let account = shown(&my_account(&login.user, "%"));
    let fill = |text: &str| {
        text.replace("{user}", &shown(&login.user)).replace("{account}", &account).replace("{by}", &shown(by))
    };
    StepError::new(verdict, code.to_string(), format!("{} {} (error {code}).", login.server(), fill(line.says)))
        .remedy(fill(line.remedy))
}

/// The account authenticates in a way that has no password Pawl could set or try.
pub(crate) fn unsupported_plugin(login: &Login, plugin: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "auth-plugin",
        format!(
            "{} at {} authenticates by {}, whose passwords Pawl cannot rotate.",
            shown(&login.user),
            login.server(),
            shown(plugin)
        ),
    )
    .remedy(
        "Give the account a plugin that Pawl knows: caching_sha2_password or mysql_native_password on MySQL, \
         ed25519 or mysql_native_password on MariaDB.",
    )
}

/// The answer to the change never came.
pub(crate) fn lost(login: &Login) -> StepError {
    StepError::new(
        Verdict::Unknown,
        "connection-lost",
        format!("The connection to {} was lost while the change was under way; it may have happened.", login.server()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // F92
    #[test]
    fn every_line_of_the_table_is_in_the_documentation() {
        let page = include_str!("../../../docs/error-verdicts.md");
        for entry in TABLE {
            let row = format!("| `{}` | {} |", entry.code, entry.verdict);
            assert!(page.contains(&row), "docs/error-verdicts.md has no row {row}");
        }
    }

    #[test]
    fn a_code_is_listed_once_and_an_unlisted_one_needs_a_person() {
        for (i, entry) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|earlier| earlier.code != entry.code), "{} twice", entry.code);
        }
        assert_eq!(line(9999).verdict, Verdict::NeedsPerson);
    }
}
