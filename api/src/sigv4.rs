//! Signature Version 4: who sent this request, and is it the request they sent?
//!
//! Verified in two halves around the look-up of the access key: [`Verifier::claim`] takes the
//! header, or a presigned query, apart and checks what needs no key; [`Verifier::prove`] checks the signature and
//! returns [`Verified`], which nothing else can make and every operation asks for.
//! Never here: what a principal may do, or what an operation means.

mod canonical;
mod claimed;
mod query;
mod scope;
mod sign;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use axum::http::header::{AUTHORIZATION, HeaderMap};
use axum::http::request::Parts;
use engine::Time;
use engine::secret::SecretBytes;
use subtle::ConstantTimeEq;

use canonical::{Canonical, hash_of};
pub(crate) use claimed::claimed_key;
use query::Presigned;
use scope::Authorization;
use sign::SigningKey;
pub use sign::{Signer, Unsigned, sign, sign_for};

use crate::caller::Caller;

/// The header of the session token.
const TOKEN: &str = "x-amz-security-token";
/// Headers without which a signature would not say what is asked of whom, and when.
const MUST_BE_SIGNED: [&str; 4] = ["host", "x-amz-date", "x-amz-target", TOKEN];
/// More signed headers than any client has; each costs a look at the request before the signature is compared.
const MOST_SIGNED: usize = 100;
/// Signing keys remembered; past that, all are forgotten and derived anew.
const REMEMBERED: usize = 1024;
/// The signing name of Secrets Manager, and of Pawl's own operations.
pub(crate) const SECRETS_MANAGER: &str = "secretsmanager";

/// Proof that a request was signed by an enabled access key of this principal.
#[derive(Debug)]
pub struct Verified {
    caller: Caller,
}

impl Verified {
    /// Whose access key it was.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.caller.principal().name
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// What a request claims about itself, before any key was looked at.
pub(crate) struct Claim<'r> {
    authorization: Authorization<'r>,
    service: &'static str,
    token: Option<Cow<'r, str>>,
    /// The parameter of the query that the signature does not cover.
    unsigned: Option<&'static str>,
}

impl Claim<'_> {
    /// The access key that is said to have signed.
    pub(crate) fn access_key_id(&self) -> &str {
        self.authorization.access_key_id()
    }

    /// The session token that came along.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Verifies the requests to one region.
pub(crate) struct Verifier {
    region: String,
    /// The latest signing key of each access key, with its day and service. Filled only by right signatures, so strangers cannot grow it.
    keys: RwLock<HashMap<String, (String, &'static str, SigningKey)>>,
}

impl Verifier {
    pub(crate) fn new(region: String) -> Self {
        Self { region, keys: RwLock::new(HashMap::new()) }
    }

    /// Everything that can be said without the key. `service` is the signing name of the service that is called.
    pub(crate) fn claim<'r>(&self, request: &'r Parts, service: &'static str, now: Time) -> Result<Claim<'r>, Refusal> {
        let headers = &request.headers;
        let query = request.uri.query().unwrap_or("");
        match (headers.contains_key(AUTHORIZATION), query::is_presigned(query)) {
            (true, true) => Err(Refusal::Both),
            (false, false) => Err(Refusal::Missing),
            (true, false) => self.of_header(headers, service, now),
            (false, true) => self.of_query(headers, query, service, now),
        }
    }

    fn of_header<'r>(&self, headers: &'r HeaderMap, service: &'static str, now: Time) -> Result<Claim<'r>, Refusal> {
        let header = text_of(headers, AUTHORIZATION.as_str()).ok_or(Refusal::Missing)?;
        let authorization = Authorization::parse(header, text_of(headers, "x-amz-date"))?;
        authorization.check_scope(&self.region, service)?;
        let must = |name: &&str| *name != TOKEN || headers.contains_key(TOKEN);
        check_signed(&authorization, must)?;
        scope::check_skew(&authorization.amz_date, now)?;
        Ok(Claim { authorization, service, token: text_of(headers, TOKEN).map(Cow::from), unsigned: None })
    }

    fn of_query<'r>(
        &self,
        headers: &'r HeaderMap,
        query: &'r str,
        service: &'static str,
        now: Time,
    ) -> Result<Claim<'r>, Refusal> {
        let Presigned { authorization, lifetime, token } = Presigned::parse(query)?;
        authorization.check_scope(&self.region, service)?;
        // The date stands in the query, all of which is signed.
        let must = |name: &&str| *name == "host" || *name != "x-amz-date" && headers.contains_key(*name);
        check_signed(&authorization, must)?;
        scope::check_lifetime(&authorization.amz_date, lifetime, now)?;
        let token = token.or_else(|| text_of(headers, TOKEN).map(Cow::from));
        Ok(Claim { authorization, service, token, unsigned: Some(query::SIGNATURE) })
    }

    /// Checks the signature with the key the claim names.
    pub(crate) fn prove(
        &self,
        claim: &Claim<'_>,
        request: &Parts,
        body: &[u8],
        secret: &SecretBytes,
        caller: Caller,
    ) -> Result<Verified, Refusal> {
        let signed_headers = &*claim.authorization.signed_headers;
        let hash = hash_of(body);
        // A client that says what it hashed must have hashed this body; unsigned bodies are not taken.
        if text_of(&request.headers, "x-amz-content-sha256").is_some_and(|said| said.as_bytes() != hash) {
            return Err(Refusal::Signature);
        }
        let uri = &request.uri;
        let query = uri.query().unwrap_or("");
        let mut canonical = Canonical::begin(request.method.as_str(), uri.path(), query, claim.unsigned);
        for name in signed_headers.split(';') {
            match uri.authority() {
                // HTTP/2 carries the host in the request's target.
                Some(authority) if name == "host" && !request.headers.contains_key(name) => {
                    canonical.header(name, std::iter::once(authority.as_str().as_bytes()));
                }
                _ => {
                    let values = request.headers.get_all(name).into_iter();
                    canonical.header(name, values.map(axum::http::HeaderValue::as_bytes));
                }
            }
        }
        let canonical = canonical.finish(signed_headers, &hash);

        let given = claim.authorization.signature_bytes().ok_or(Refusal::Signature)?;
        let (key, remembered) = match self.remembered(claim) {
            Some(key) => (key, true),
            None => (SigningKey::derive(secret, claim.authorization.day(), &self.region, claim.service), false),
        };
        let right = key.signature(&claim.authorization.amz_date, claim.authorization.scope(), &canonical);
        if !bool::from(right.ct_eq(&given)) {
            return Err(Refusal::Signature);
        }
        if !remembered {
            self.remember(claim, key);
        }
        Ok(Verified { caller })
    }

    fn remembered(&self, claim: &Claim<'_>) -> Option<SigningKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (day, service, key) = keys.get(claim.access_key_id())?;
        (day == claim.authorization.day() && *service == claim.service).then(|| key.clone())
    }

    fn remember(&self, claim: &Claim<'_>, key: SigningKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= REMEMBERED {
            keys.clear();
        }
        keys.insert(claim.access_key_id().to_owned(), (claim.authorization.day().to_owned(), claim.service, key));
    }
}

/// The signed headers must be a list as every signer makes it, sorted and each once, or a stranger could have one header
/// hashed again and again; and those of [`MUST_BE_SIGNED`] that `must` names must be in it.
fn check_signed(authorization: &Authorization<'_>, must: impl Fn(&&str) -> bool) -> Result<(), Refusal> {
    let names = || authorization.signed_headers.split(';');
    if names().nth(MOST_SIGNED).is_some() || !names().is_sorted_by(|a, b| a < b) {
        return Err(Refusal::SignedHeaders);
    }
    let unsigned = MUST_BE_SIGNED.into_iter().filter(|name| must(name)).find(|name| !authorization.signs(name));
    unsigned.map_or(Ok(()), |name| Err(Refusal::Unsigned(name)))
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Why a request's signature does not count. `Display` is AWS's text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Missing Authentication Token")]
    Missing,
    #[error("{0}")]
    Incomplete(String),
    #[error("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")]
    Both,
    #[error("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")]
    ScopeForm,
    #[error("Credential should be scoped to a valid region.")]
    Region,
    #[error("Credential should be scoped to correct service: '{0}'.")]
    Service(&'static str),
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope}' != '{day}', from '{header}'."
    )]
    Day { scope: String, day: String, header: String },
    #[error("Date must be in ISO-8601 'basic format', YYYYMMDDTHHMMSSZ.")]
    DateForm,
    #[error("Signature expired: {signed} is now earlier than {limit} ({now} - {age})")]
    Expired { signed: String, limit: String, now: String, age: String },
    #[error("Signature not yet current: {signed} is still later than {limit} ({now} + 5 min.)")]
    NotYetCurrent { signed: String, limit: String, now: String },
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    Unsigned(&'static str),
    #[error("SignedHeaders must be at most {MOST_SIGNED} names in alphabetical order, each once.")]
    SignedHeaders,
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    #[error("Unsupported algorithm: X-Amz-Algorithm must be AWS4-HMAC-SHA256.")]
    Algorithm,
    #[error("X-Amz-Expires must be a number of seconds from 1 to 604800.")]
    Lifetime,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Signature,
}

impl Refusal {
    /// AWS says one sentence for each part that is missing, and quotes the header.
    fn incomplete([credential, signature, signed_headers, date]: [bool; 4], header: &str) -> Self {
        let mut text = String::new();
        for (missing, name) in [(credential, "Credential"), (signature, "Signature"), (signed_headers, "SignedHeaders")]
        {
            if missing {
                text.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if date {
            text.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
        }
        text.push_str(&format!("Authorization={header}"));
        Self::Incomplete(text)
    }

    /// The same of a presigned query.
    fn incomplete_query(missing: &[&str]) -> Self {
        let sentence = |name: &&str| format!("AWS query-string parameters must include '{name}'. ");
        let text: String = missing.iter().map(sentence).collect();
        Self::Incomplete(text + "Re-examine the query-string parameters.")
    }

    /// AWS's error code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) | Self::ScopeForm | Self::DateForm | Self::Algorithm | Self::Lifetime => {
                "IncompleteSignatureException"
            }
            Self::UnknownKey => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::Both
            | Self::Region
            | Self::Service(_)
            | Self::Day { .. }
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::Unsigned(_)
            | Self::SignedHeaders
            | Self::Signature => "InvalidSignatureException",
        }
    }
}
