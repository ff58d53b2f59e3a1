//! Keys and signatures: deriving the signing key of a day, and signing with it.
//!
//! [`sign`] is what the command line signs its requests with. Pure: the instant is an argument.

use engine::Time;
use engine::secret::SecretBytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::SECRETS_MANAGER;
use super::canonical::{Canonical, HexHash, hash_of};
use super::scope::{ALGORITHM, DATE_FORMAT, TERMINATOR};

/// An HMAC with a signing key of one access key, day and region already in it.
#[derive(Clone)]
pub(super) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// AWS's chain: secret, day, region, service.
    pub(super) fn derive(secret: &SecretBytes, day: &str, region: &str, service: &str) -> Self {
        let mut seed = Vec::with_capacity(4 + secret.expose().len());
        seed.extend_from_slice(b"AWS4");
        seed.extend_from_slice(secret.expose());
        let seed = SecretBytes::new(seed);
        let mut key = keyed(seed.expose());
        for part in [day, region, service, TERMINATOR] {
            key.update(part.as_bytes());
            key = keyed(&key.finalize().into_bytes());
        }
        Self(key)
    }

    /// The signature of a canonical request, given by its hash.
    pub(super) fn signature(&self, amz_date: &str, scope: &str, canonical: &HexHash) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in [ALGORITHM, "\n", amz_date, "\n", scope, "\n"] {
            mac.update(part.as_bytes());
        }
        mac.update(canonical);
        mac.finalize().into_bytes().into()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// A request about to be sent.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// `POST`, for every operation there is.
    pub method: &'a str,
    /// The path as it will be sent, `/` for every operation there is.
    pub path: &'a str,
    /// The query as it will be sent, without the question mark.
    pub query: &'a str,
    /// All headers to be signed; `host` and `x-amz-target` must be among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Whose signature, and for which region.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key's id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a SecretBytes,
    /// The region the server answers for.
    pub region: &'a str,
}

/// Signs a request: returns the headers to add, `x-amz-date` and `authorization`.
#[must_use]
pub fn sign(request: &Unsigned<'_>, signer: &Signer<'_>, at: Time) -> [(&'static str, String); 2] {
    sign_for(SECRETS_MANAGER, request, signer, at)
}

/// The same for the service of this signing name, such as `lambda`.
#[must_use]
pub fn sign_for(service: &str, request: &Unsigned<'_>, signer: &Signer<'_>, at: Time) -> [(&'static str, String); 2] {
    let amz_date = at.format(DATE_FORMAT).to_string();
    let day = &amz_date[..8];
    let scope = format!("{day}/{}/{service}/{TERMINATOR}", signer.region);

    let mut headers: Vec<(String, &str)> =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    headers.push(("x-amz-date".to_owned(), &amz_date));
    // Stable: values of one name keep their order.
    headers.sort_by(|a, b| a.0.cmp(&b.0));

    let mut canonical = Canonical::begin(request.method, request.path, request.query, None);
    let mut signed_headers = String::new();
    for group in headers.chunk_by(|a, b| a.0 == b.0) {
        let name = &group[0].0;
        canonical.header(name, group.iter().map(|(_, value)| value.as_bytes()));
        if !signed_headers.is_empty() {
            signed_headers.push(';');
        }
        signed_headers.push_str(name);
    }
    let canonical = canonical.finish(&signed_headers, &hash_of(request.body));
    let key = SigningKey::derive(signer.secret, day, signer.region, service);
    let signature = hex::encode(key.signature(&amz_date, &scope, &canonical));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
        signer.access_key_id
    );
    [("x-amz-date", amz_date), ("authorization", authorization)]
}
