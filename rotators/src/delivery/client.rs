//! Owns the HTTP clients: one for each way of trusting and being trusted, so that connections are used again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::outcome::{StepError, Verdict};
use engine::registration::Registration;
use reqwest::redirect::Policy;
use reqwest::{Client, retry};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use url::Url;

use super::CONNECT;
use crate::egress::{Egress, Guarded, Lookup, NotAllowed};
use crate::tls::{Trust, certificates};

/// Connections that are kept open for the next step. Shorter than any server waits that we know (gunicorn: 2 s), so that
/// no event is written into a connection that is being closed.
const IDLE: Duration = Duration::from_millis(1500);
/// A function may be at work for minutes without a byte, and what stands between forgets silent connections.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Connections kept open to one host.
const MOST_IDLE: usize = 64;
/// Clients kept; with more ways than this, all are made anew.
const MOST_CLIENTS: usize = 256;

/// The clients there are, and what all of them keep to.
pub(crate) struct Clients {
    egress: Arc<Egress>,
    lookup: Arc<dyn Lookup>,
    trust: Trust,
    made: Mutex<HashMap<[u8; 32], Client>>,
}

impl Clients {
    pub(crate) fn new(egress: Egress, lookup: Arc<dyn Lookup>, trust: Trust) -> Self {
        Self { egress: Arc::new(egress), lookup, trust, made: Mutex::new(HashMap::new()) }
    }

    /// The client for this rotator, where the policy lets it be called there.
    ///
    /// # Errors
    /// NeedsPerson: the policy, or settings of TLS that cannot be used.
    pub(crate) fn get(&self, registration: &Registration, url: &Url) -> Result<Client, StepError> {
        self.egress.judge_url(url).map_err(|why| refused(&why))?;
        let plain = url.scheme() == "http";
        let key = fingerprint(registration, plain);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        if made.len() >= MOST_CLIENTS {
            made.clear();
        }
        let client = self.make(registration, plain)?;
        made.insert(key, client.clone());
        Ok(client)
    }

    /// Could it be called at all?
    ///
    /// # Errors
    /// As [`Clients::get`].
    pub(crate) fn accepts(&self, registration: &Registration, url: &Url) -> Result<(), StepError> {
        self.egress.judge_url(url).map_err(|why| refused(&why))?;
        self.tls(registration, url.scheme() == "http").map(|_| ())
    }

    fn make(&self, registration: &Registration, plain: bool) -> Result<Client, StepError> {
        let guarded = Guarded { egress: Arc::clone(&self.egress), lookup: Arc::clone(&self.lookup), plain };
        let builder = Client::builder()
            .tls_backend_preconfigured(self.tls(registration, plain)?)
            .dns_resolver(Arc::new(guarded))
            .redirect(Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT)
            .tcp_keepalive(KEEP_ALIVE)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .user_agent(concat!("pawl/", env!("CARGO_PKG_VERSION")));
        builder.build().map_err(|_| bad_tls("the HTTP client cannot be made with them"))
    }

    fn tls(&self, registration: &Registration, plain: bool) -> Result<ClientConfig, StepError> {
        let settings = &registration.settings;
        let mut roots = RootCertStore::empty();
        match &settings.ca {
            Some(pem) => {
                let own = certificates(pem.as_bytes()).map_err(|_| bad_tls("ca holds no certificate in PEM form"))?;
                let added = own.into_iter().try_for_each(|root| roots.add(root));
                added.map_err(|_| bad_tls("ca holds a certificate that cannot be read"))?;
            }
            None if plain => {}
            None => {
                roots.add_parsable_certificates(self.trust.roots(None).map_err(|_| no_roots())?);
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| bad_tls("TLS cannot be set up"))?
            .with_root_certificates(roots);
        let mut config = match (&settings.client_certificate, &registration.keys.client_key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(chain), Some(key)) => {
                let chain = certificates(chain.as_bytes())
                    .map_err(|_| bad_tls("the client certificate holds no certificate in PEM form"))?;
                let key = PrivateKeyDer::from_pem_slice(key.expose())
                    .map_err(|_| bad_tls("the client key is no private key in PEM form"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| bad_tls("the client key does not belong to the client certificate"))?
            }
            (Some(_), None) => return Err(bad_tls("the client certificate comes without its key")),
            (None, Some(_)) => return Err(bad_tls("the client key comes without its certificate")),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What makes two rotators share a client.
fn fingerprint(registration: &Registration, plain: bool) -> [u8; 32] {
    let settings = &registration.settings;
    let key = registration.keys.client_key.as_ref().map_or(&[][..], |key| key.expose());
    let ca = settings.ca.as_deref().unwrap_or_default();
    let chain = settings.client_certificate.as_deref().unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update([u8::from(plain)]);
    for part in [ca.as_bytes(), chain.as_bytes(), key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The policy forbids it.
pub(super) fn refused(why: &NotAllowed) -> StepError {
    StepError::new(Verdict::NeedsPerson, "egress", format!("The rotator may not be called: {why}."))
        .remedy("If it should be, allow its host or network with `pawl serve --egress-allow`; else correct its URL.")
}

fn bad_tls(why: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "tls-settings", format!("The rotator's TLS settings cannot be used: {why}."))
        .remedy(
            "Give certificate authorities, client certificate and client key in PEM form with `pawl rotator update NAME`.",
        )
}

fn no_roots() -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-roots", "There is no certificate authority to verify the receiver with.")
        .remedy("Install the system's certificates, or give the rotator a certificate authority of its own.")
}
