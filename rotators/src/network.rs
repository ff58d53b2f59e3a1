//! Owns what it means when a server cannot be reached or does not answer: the same for every kind of target.

use std::io;

use engine::outcome::{StepError, Verdict};

use crate::tls;

/// TLS as rustls sees it.
pub(crate) fn tls_error(error: &rustls::Error, server: &str) -> StepError {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => tls::untrusted(server),
        _ => tls::no_agreement(server),
    }
}

/// The network as the operating system sees it.
pub(crate) fn network_error(error: &io::Error, server: &str) -> StepError {
    let (code, says) = match error.kind() {
        io::ErrorKind::ConnectionRefused => ("refused", "refuses connections: nothing listens there"),
        io::ErrorKind::TimedOut => ("timeout", "does not answer"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ("unreachable", "cannot be reached"),
        io::ErrorKind::InvalidInput => ("bad-host", "is not a name that a certificate could carry"),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ("connection-lost", "closed the connection"),
        _ => ("network", "cannot be reached (name not found, or no way there)"),
    };
    StepError::new(Verdict::Retry, code, format!("{server} {says}."))
        .remedy("See that the server runs and that \"host\" and \"port\" in the secret are right.")
}

/// A server that took the connection and then said nothing.
pub(crate) fn silent(server: &str) -> StepError {
    StepError::new(Verdict::Retry, "no-answer", format!("{server} accepts connections but does not answer."))
        .remedy("See what keeps the server (or the proxy before it) busy.")
}
