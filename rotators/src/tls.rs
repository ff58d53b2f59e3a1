//! Owns whom we trust on the way to a target, and when the way is encrypted. There is no fallback: a secret that
//! asks for TLS gets verified TLS or an error. Never installs a process-wide provider.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use engine::outcome::{StepError, Verdict};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// How the way to one target is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The secret says `"ssl": false`, or the target is on this machine and the secret says nothing.
    Plain,
    /// The certificate must be trusted and name the host.
    Verified {
        /// The secret's own `sslrootcert`, PEM.
        root: Option<String>,
    },
}

impl Channel {
    /// Design section 4: verify-full, unless the secret says false or the host is loopback and the secret is silent.
    pub(crate) fn decide(ssl: Option<bool>, host: &str, root: Option<String>) -> Self {
        match ssl {
            Some(false) => Self::Plain,
            None if is_loopback(host) => Self::Plain,
            _ => Self::Verified { root },
        }
    }
}

/// By the name alone: what a resolver answers is not ours to trust.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The roots: the system's, the operator's (`--target-ca`), and per secret its `sslrootcert`.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    target_ca: Vec<CertificateDer<'static>>,
    system: OnceLock<Vec<CertificateDer<'static>>>,
}

impl Trust {
    pub(crate) fn new(target_ca: Option<&[u8]>) -> Result<Self, BadPem> {
        Ok(Self { target_ca: target_ca.map(certificates).transpose()?.unwrap_or_default(), system: OnceLock::new() })
    }

    /// Every root for one target.
    pub(crate) fn roots(&self, own: Option<&str>) -> Result<Vec<CertificateDer<'static>>, StepError> {
        let mut all = self.system.get_or_init(|| rustls_native_certs::load_native_certs().certs).clone();
        all.extend(self.target_ca.iter().cloned());
        if let Some(pem) = own {
            all.extend(certificates(pem.as_bytes()).map_err(|BadPem| bad_root())?);
        }
        match all.is_empty() {
            true => Err(no_root()),
            false => Ok(all),
        }
    }

    pub(crate) fn client_config(&self, own: Option<&str>) -> Result<ClientConfig, StepError> {
        let mut store = RootCertStore::empty();
        // Systems carry odd roots; one that rustls cannot read is no reason to refuse the others.
        store.add_parsable_certificates(self.roots(own)?);
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| no_root())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(config)
    }
}

/// A text that should hold certificates in PEM holds none, or a broken one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no certificate in PEM form could be read")]
pub struct BadPem;

pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadPem> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(BadPem),
    }
}

fn bad_root() -> StepError {
    StepError::new(Verdict::NeedsPerson, "sslrootcert", "The secret's sslrootcert holds no certificate in PEM form.")
        .remedy("Put the PEM text of the server's certificate authority into sslrootcert, or take the key out.")
}

fn no_root() -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "no-roots",
        "There is no certificate authority to verify the server with.",
    )
    .remedy("Install the system's certificates, start `pawl serve` with --target-ca FILE, or put sslrootcert into the secret.")
}

/// What to do when a server's certificate does not verify.
pub(crate) fn untrusted(server: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "tls-certificate",
        format!("The certificate of {server} is not trusted, or is not for this host name."),
    )
    .remedy(
        "Give the authority that signed it with `pawl serve --target-ca FILE` or as sslrootcert in the secret, and \
         use the host name that the certificate carries. \"ssl\": false in the secret gives up encryption.",
    )
}

/// What to do when a server has no TLS at all.
pub(crate) fn not_offered(server: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "tls-not-offered",
        format!("{server} does not offer TLS, and the secret does not allow a plain connection."),
    )
    .remedy("Turn TLS on at the server, or say \"ssl\": false in the secret.")
}

/// The two sides cannot agree on how to encrypt.
pub(crate) fn no_agreement(server: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "tls-handshake",
        format!("{server} and Pawl could not agree on TLS (versions, ciphers, or a client certificate it wants)."),
    )
    .remedy("The server must speak TLS 1.2 or 1.3 and must not ask for a client certificate.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_false_or_a_silent_loopback_is_plain() {
        let verified = Channel::Verified { root: None };
        for (ssl, host, want) in [
            (None, "db.example", &verified),
            (Some(true), "db.example", &verified),
            (Some(false), "db.example", &Channel::Plain),
            (None, "127.0.0.1", &Channel::Plain),
            (None, "127.9.9.9", &Channel::Plain),
            (None, "[::1]", &Channel::Plain),
            (None, "LOCALHOST", &Channel::Plain),
            (Some(true), "localhost", &verified),
            (None, "localhost.example", &verified),
            (None, "10.0.0.1", &verified),
        ] {
            assert_eq!(&Channel::decide(ssl, host, None), want, "{ssl:?} {host}");
        }
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        assert_eq!(Trust::new(Some(b"not pem")).map(|_| ()), Err(BadPem));
        let error = Trust::default().roots(Some("nonsense")).expect_err("not PEM");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "sslrootcert"));
    }
}
