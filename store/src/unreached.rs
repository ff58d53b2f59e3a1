//! What is said where PostgreSQL cannot be connected to: the cause once, and what to do about it.
//!
//! Never here: connecting (`postgres.rs`), an open store whose database goes away (`error.rs`).

use crate::model::PostgresUrl;
use crate::{OpenError, causes};

/// The error of who connects to this URL.
pub(crate) fn cannot(url: &PostgresUrl) -> impl Fn(sqlx::Error) -> OpenError + Copy + '_ {
    |error| OpenError::Connect { location: url.to_string(), why: why(url, &error) }
}

fn why(url: &PostgresUrl, error: &sqlx::Error) -> String {
    // The driver says only that there is no such file.
    if let Some(unreadable) = url.unreadable() {
        return unreadable;
    }
    let said = match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        sqlx::Error::Configuration(inner) => inner.to_string(),
        sqlx::Error::Io(inner) => inner.to_string(),
        sqlx::Error::Tls(inner) => format!("TLS: {inner}"),
        other => causes(other),
    };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    match next(&code, &said) {
        Some(next) => format!("{said}; {next}"),
        None => said,
    }
}

fn next(code: &str, said: &str) -> Option<&'static str> {
    match code {
        "28P01" | "28000" => {
            Some("say user and password in PAWL_STORE, or the password in the file that PGPASSFILE names")
        }
        "3D000" => Some("make it with `createdb --owner USER DATABASE`"),
        _ if said.contains("UnknownIssuer") => {
            Some("add sslrootcert=FILE to the URL, with the authority that signed its certificate")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let url =
            PostgresUrl::parse("postgres://u:canary@db.example/d?sslrootcert=/nonexistent/ca.pem").expect("a URL");
        let said = causes(&cannot(&url)(sqlx::Error::Io(std::io::ErrorKind::NotFound.into())));
        assert!(said.contains("sslrootcert: cannot read /nonexistent/ca.pem") && !said.contains("canary"), "{said}");
    }

    #[test]
    fn the_cause_is_said_once_with_what_to_do() {
        let url = PostgresUrl::parse("postgres://u@db.example/d").expect("a URL");
        let untrusted = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let said = causes(&cannot(&url)(sqlx::Error::Io(untrusted)));
        assert_eq!(
            said,
            "cannot connect to postgres://u@db.example:5432/d: invalid peer certificate: UnknownIssuer; add sslrootcert=FILE to the \
             URL, with the authority that signed its certificate"
        );
        assert!(next("28P01", "").is_some_and(|next| next.contains("PGPASSFILE")));
        assert!(next("3D000", "").is_some_and(|next| next.contains("createdb")));
    }
}
