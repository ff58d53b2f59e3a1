//! Owns what PostgreSQL's errors mean: one table by SQLSTATE (`docs/error-verdicts.md` shows it) and the errors that
//! never reached a server. The server's own text is never passed on: it may quote a statement.

use std::error::Error as _;
use std::io;

use engine::outcome::{StepError, Verdict};
use tokio_postgres::Error;
use tokio_postgres::error::Severity;

use crate::connection::Login;
use crate::network::{network_error, tls_error};
use crate::quote::{pg_name, shown};
use crate::tls;

/// One line of the table. `{user}`, `{role}` (quoted), `{database}` and `{server}` are filled in.
pub(crate) struct Entry {
    pub code: &'static str,
    pub verdict: Verdict,
    pub says: &'static str,
    pub remedy: &'static str,
}

const fn entry(code: &'static str, verdict: Verdict, says: &'static str, remedy: &'static str) -> Entry {
    Entry { code, verdict, says, remedy }
}

/// What PgBouncer calls everything that it refuses by itself; "protocol violation" of a server.
pub(crate) const POOLER: &str = "08P01";

/// By SQLSTATE; a line of two characters is the whole class, for codes that have no line of their own.
pub(crate) const TABLE: &[Entry] = &[
    entry(
        "28P01",
        Verdict::Rejected,
        "refused the login of {user}: PostgreSQL says the same for a wrong password, a role that does not exist or has no password, and a VALID UNTIL in the past",
        "Check the role {role}: it must exist, have LOGIN, and not be past its VALID UNTIL.",
    ),
    entry(
        "28000",
        Verdict::NeedsPerson,
        "does not let {user} in: no line of pg_hba.conf allows this address, database and encryption, or the role lacks LOGIN",
        "Add a line to pg_hba.conf for {user} from Pawl's address (scram-sha-256, hostssl where TLS is on), and ALTER ROLE {role} LOGIN.",
    ),
    entry(
        "3D000",
        Verdict::NeedsPerson,
        "has no database {database}",
        "Correct \"dbname\" in the secret, or create the database.",
    ),
    entry(
        "42501",
        Verdict::NeedsPerson,
        "does not allow this login to change the password of {user}",
        "As a superuser run ALTER ROLE <admin> CREATEROLE (and from version 16 on GRANT {role} TO <admin> WITH ADMIN OPTION), or take masterarn out so that the account changes itself. A superuser's password can only be changed by a superuser.",
    ),
    entry(
        "42704",
        Verdict::NeedsPerson,
        "has no role {user}",
        "Create the role, or correct \"username\" in the secret.",
    ),
    entry(
        "0LP01",
        Verdict::NeedsPerson,
        "takes no grant that makes two roles members of each other",
        "Of the two accounts one may be a member of the other: REVOKE the membership that is there the wrong way round.",
    ),
    entry("42710", Verdict::Retry, "has had a role made under the same name at the same moment", ""),
    entry(
        "2BP01",
        Verdict::Retry,
        "still has objects that depend on the role: something was made at the same moment",
        "Run it again; what was made meanwhile is moved then.",
    ),
    entry("22023", Verdict::Rejected, "rejected the new password by its policy", ""),
    entry(
        "0A000",
        Verdict::NeedsPerson,
        "does not take a password verifier (an extension wants to see the clear text)",
        "Let the password policy extension accept encrypted passwords (credcheck.encrypted_password_allowed = on): Pawl never sends the clear password in a statement.",
    ),
    entry(
        "53300",
        Verdict::Retry,
        "has too many connections for {user} at the moment",
        "Raise max_connections or the role's CONNECTION LIMIT, or free connections.",
    ),
    entry("53", Verdict::Retry, "is short of resources", "Look at the server's memory and disk."),
    entry("55P03", Verdict::Retry, "did not give us a lock in time: another session works on this account", ""),
    entry("40", Verdict::Retry, "rolled back in favour of another transaction", ""),
    entry("57014", Verdict::Retry, "cancelled the statement at its time limit", ""),
    entry("25P03", Verdict::Retry, "ended our session because we were silent too long: nothing was changed", ""),
    entry("57P01", Verdict::Retry, "is shutting down, or an administrator ended our session", ""),
    entry("57P02", Verdict::Retry, "is restarting after a crash", ""),
    entry("57P03", Verdict::Retry, "is starting up or shutting down", ""),
    entry("57P05", Verdict::Retry, "ended our session because we were silent too long", ""),
    entry(
        "25006",
        Verdict::Retry,
        "is a read-only standby",
        "Point \"host\" at the primary, or wait for the failover to end.",
    ),
    entry(
        "XX000",
        Verdict::Retry,
        "had an internal conflict (another session changed the same role at the same moment)",
        "",
    ),
    entry(
        POOLER,
        Verdict::Retry,
        "is behind a pooler that refused: PgBouncer says the same when it is out of connections, cannot reach the server, shuts down, or pools statements",
        "Look at the pooler's log. Its pool_mode must be transaction or session: Pawl's lock and its change are one transaction.",
    ),
    entry("08", Verdict::Retry, "lost the connection", ""),
    entry("58", Verdict::Retry, "has a system error", "Look at the server's log and disk."),
    entry("XX", Verdict::NeedsPerson, "reports damaged data", "Look at the server's log."),
];

const OTHER: Entry = entry(
    "",
    Verdict::NeedsPerson,
    "answered with an error that Pawl does not know",
    "Look the SQLSTATE up in PostgreSQL's manual and in the server's log.",
);

/// The line for a code: its own, its class's, or the one for what we do not know.
pub(crate) fn line(code: &str) -> &'static Entry {
    let class = code.get(..2).unwrap_or_default();
    TABLE
        .iter()
        .find(|entry| entry.code == code)
        .or_else(|| TABLE.iter().find(|entry| entry.code == class))
        .unwrap_or(&OTHER)
}

/// When an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before anything that changes was sent.
    Before,
    /// From sending ALTER ROLE to the acknowledgement of COMMIT.
    Changing,
}

/// The step's error for a driver's error.
pub(crate) fn step_error(error: &Error, login: &Login, moment: Moment) -> StepError {
    match error.as_db_error() {
        Some(db) => {
            let code = db.code().code();
            let line = line(code);
            // A plain ERROR in the transaction rolls it back. FATAL and PANIC end the session, and may come
            // after the commit was written; only the idle limit is known to strike before the statement.
            let rolled_back = matches!(db.parsed_severity(), Some(Severity::Error)) || code == "25P03";
            let verdict = match moment {
                Moment::Changing if !rolled_back => Verdict::Unknown,
                Moment::Before if line.verdict == Verdict::Rejected && code != "28P01" => Verdict::NeedsPerson,
                _ => line.verdict,
            };
            told(line, code, verdict, login)
        }
        None => unheard(error, login, moment),
    }
}

/// A line of the table as an error about this login.
pub(crate) fn told(line: &Entry, code: &str, verdict: Verdict, login: &Login) -> StepError {
    let fill = |text: &str| {
        text.replace("{user}", &shown(&login.user))
            .replace("{role}", &shown(&pg_name(&login.user)))
            .replace("{database}", &shown(login.database.as_deref().unwrap_or("postgres")))
    };
    let message = format!("{} {} (SQLSTATE {code}).", login.server(), fill(line.says));
    StepError::new(verdict, code, message).remedy(fill(line.remedy))
}

/// An error that is not the server's answer: the network, TLS, or the driver's own refusal.
fn unheard(error: &Error, login: &Login, moment: Moment) -> StepError {
    let server = login.server();
    if moment == Moment::Changing {
        return StepError::new(
            Verdict::Unknown,
            "connection-lost",
            format!("The connection to {server} was lost while the change was under way; it may have happened."),
        );
    }
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(tls) = source.downcast_ref::<rustls::Error>() {
            return tls_error(tls, &server);
        }
        // An io::Error hides what it wraps from source(): look inside.
        let io = source.downcast_ref::<io::Error>();
        if let Some(tls) = io.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return tls_error(tls, &server);
        }
        if let Some(io) = io {
            return network_error(io, &server);
        }
        if source.to_string() == "server does not support TLS" {
            return tls::not_offered(&server);
        }
        cause = source.source();
    }
    StepError::new(Verdict::Retry, "connection-lost", format!("The connection to {server} was lost."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_without_a_line_takes_its_classs_and_else_the_unknown_one() {
        assert_eq!(line("53300").code, "53300");
        assert_eq!(line("53200").code, "53");
        assert_eq!(line("40P01").code, "40");
        assert_eq!(line("99999").says, OTHER.says);
        assert_eq!(line("").says, OTHER.says);
    }

    // F92
    #[test]
    fn every_line_of_the_table_is_in_the_documentation() {
        let page = include_str!("../../../docs/error-verdicts.md");
        for entry in TABLE {
            let row = format!("| `{}` | {} |", entry.code, entry.verdict);
            assert!(page.contains(&row), "docs/error-verdicts.md has no row {row}");
        }
    }
}
