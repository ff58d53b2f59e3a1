//! Owns telling apart the ways in which an HTTP exchange fails. Once the body is on its way, the event may have arrived.

use std::error::Error;
use std::io;

use engine::outcome::{StepError, Verdict};
use rustls::{AlertDescription, CertificateError};

use super::client::refused;
use super::{CUT, Exchange, Loss, NOT_HTTP, NotSent, TIMEOUT};
use crate::egress::NoAddress;

/// What the client's error comes to.
pub(super) fn of(error: &reqwest::Error, sent: bool, who: &str) -> Exchange {
    let tls = find_tls(error);
    match tls {
        // In TLS 1.3 the refusal of our certificate comes after the request was written, and instead of reading it.
        Some(tls) if !sent || is_refused_identity(tls) => not_sent(tls_error(tls, who), true),
        _ if sent => Exchange::Lost(loss(error)),
        _ => before_sending(error, who),
    }
}

fn before_sending(error: &reqwest::Error, who: &str) -> Exchange {
    match find::<NoAddress>(error) {
        Some(NoAddress::NotAllowed(why)) => return not_sent(refused(why), false),
        Some(NoAddress::Unknown) => return not_sent(retry("dns", who, "has a name that is not known"), true),
        None => {}
    }
    let (code, says) = match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => ("refused", "refuses connections: nothing listens there"),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            ("unreachable", "cannot be reached")
        }
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => {
            ("connection-lost", "closed the connection before anything was sent")
        }
        _ if error.is_timeout() => ("connect-timeout", "does not take the connection"),
        _ => ("network", "cannot be reached"),
    };
    not_sent(retry(code, who, says), true)
}

fn loss(error: &reqwest::Error) -> Loss {
    let kind = find::<io::Error>(error).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::TimedOut) => TIMEOUT,
        Some(_) => CUT,
        None if error.is_timeout() => TIMEOUT,
        // What could not be parsed has no cause of the operating system; a connection that just ended has neither.
        None => match parse_error(error) {
            true => NOT_HTTP,
            false => CUT,
        },
    }
}

/// The HTTP library keeps its reasons to itself; its text for them has been the same for years, and only a word in a
/// message hangs on it.
fn parse_error(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.to_string().starts_with("invalid HTTP") {
            return true;
        }
        source = cause.source();
    }
    false
}

fn tls_error(error: &rustls::Error, who: &str) -> StepError {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => retry("tls-expired", who, "shows a certificate that is not valid now"),
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => StepError::new(
            Verdict::NeedsPerson,
            "tls-certificate",
            format!("The certificate of {who} is not trusted, or is not for this host name."),
        )
        .remedy("Give the authority that signed it with `pawl rotator update NAME --ca FILE`, and use the name it carries."),
        error if is_refused_identity(error) => StepError::new(
            Verdict::NeedsPerson,
            "client-certificate",
            format!("{who} refuses the client certificate, or wants one and gets none."),
        )
        .remedy("Give the certificate and key it trusts with `pawl rotator update NAME --client-cert FILE --client-key FILE`."),
        _ => retry("tls-handshake", who, "and Pawl could not agree on TLS"),
    }
}

fn is_refused_identity(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
        )
    )
}

fn not_sent(error: StepError, unreachable: bool) -> Exchange {
    Exchange::NotSent(NotSent { error, unreachable })
}

fn retry(code: &str, who: &str, says: &str) -> StepError {
    StepError::new(Verdict::Retry, code, format!("{who} {says}. Nothing was sent."))
        .remedy("See that the receiver runs and that the rotator's URL is right.")
}

/// The first cause of this kind. What an I/O error wraps is a cause, too, though it does not say so.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inside.and_then(|inside| find::<T>(inside)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn find_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    find::<rustls::Error>(error)
}
