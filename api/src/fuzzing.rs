//! Doors for the fuzz targets and the replay of their corpora. Compiled with the feature `fuzzing` alone, which no
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

/// Whether this request counts as signed with the key `secret`, whichever key it names.
#[must_use]
pub fn is_verified(request: &Parts, body: &[u8], region: &str, secret: &SecretBytes, now: Time) -> bool {
    let verifier = Verifier::new(region.to_owned());
    let Ok(claim) = verifier.claim(request, SECRETS_MANAGER, now) else { return false };
    let anyone = Principal { name: "anyone".to_owned(), role: Role::Administrator, scope: Scope::default() };
    let caller = Caller::new(Arc::new(anyone), claim.access_key_id());
    verifier.prove(&claim, request, body, secret, caller).is_ok()
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
