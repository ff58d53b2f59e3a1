//! Doors for the fuzz targets, the replay of their corpora, and benchmarks. Compiled with the feature `fuzzing` alone, which no
//! release has. Never here: what must hold (`fuzz/properties/`).

use std::sync::Arc;

use axum::http::request::Parts;
use engine::Time;
use engine::secret::SecretBytes;
use store::{Principal, Role, Scope};

use crate::caller::Caller;
use crate::op::Op;
use crate::policy::{Manager, Policy};
use crate::sigv4::{self, SECRETS_MANAGER, Signer, Unsigned, Verifier};

/// The X-Amz-Target of every operation, and the service that it is signed for.
pub fn targets() -> impl Iterator<Item = (&'static str, &'static str)> {
    Op::ALL.iter().map(|op| (op.target(), op.service()))
}

/// As [`sigv4::sign`], for a request to any service.
#[must_use]
pub fn sign_for(service: &str, request: &Unsigned<'_>, signer: &Signer<'_>, at: Time) -> [(&'static str, String); 2] {
    sigv4::sign_for(service, request, signer, at)
}

/// The verification of signatures for one region, as the server has it.
pub struct Signatures(Verifier);

impl Signatures {
    /// Signatures of requests to this region.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        Self(Verifier::new(region.to_owned()))
    }

    /// Whether this request counts as signed with the key `secret`, whichever key it names.
    #[must_use]
    pub fn accept(&self, request: &Parts, body: &[u8], secret: &SecretBytes, now: Time) -> bool {
        let Ok(claim) = self.0.claim(request, SECRETS_MANAGER, now) else { return false };
        let anyone = Principal { name: "anyone".to_owned(), role: Role::Administrator, scope: Scope::default() };
        let caller = Caller::new(Arc::new(anyone), claim.access_key_id());
        self.0.prove(&claim, request, body, secret, caller).is_ok()
    }
}

/// As [`Signatures::accept`], with nothing remembered of requests before it.
#[must_use]
pub fn is_verified(request: &Parts, body: &[u8], region: &str, secret: &SecretBytes, now: Time) -> bool {
    Signatures::of_region(region).accept(request, body, secret, now)
}

/// What is said of a policy that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// It lets in whoever comes.
    pub broad: bool,
    /// It keeps an administrator of account 123456789012 from putting another.
    pub locks_out: bool,
}

/// Reads and judges a policy document; None where it is none.
#[must_use]
pub fn policy(text: &str) -> Option<Judged> {
    let policy = Policy::read(text).ok()?;
    let arn = "arn:aws:iam::123456789012:user/admin";
    let manager = Manager { arn, account: "123456789012", secret: None };
    Some(Judged { broad: policy.is_broad(), locks_out: policy.locks_out(manager) })
}
