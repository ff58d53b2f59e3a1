//! Doors for the fuzz targets and the replay of their corpora. Compiled with the feature `fuzzing` alone, which no
//! release has. Never here: what must hold (`fuzz/properties/`).

use std::sync::Arc;

use axum::http::request::Parts;
use engine::Time;
use engine::secret::SecretBytes;
use store::{Principal, Role, Scope};

use crate::caller::Caller;
use crate::op::Op;
use crate::sigv4::{SECRETS_MANAGER, Verifier};

/// The X-Amz-Target of every operation.
pub fn targets() -> impl Iterator<Item = &'static str> {
    Op::ALL.iter().map(|op| op.target())
}

/// Whether this request counts as signed with the key `secret`, whichever key it names.
#[must_use]
pub fn is_verified(request: &Parts, body: &[u8], region: &str, secret: &SecretBytes, now: Time) -> bool {
    let verifier = Verifier::new(region.to_owned());
    let claim = verifier.claim(request, SECRETS_MANAGER, now);
    let nobody = Arc::new(Principal { name: String::new(), role: Role::Reader, scope: Scope::default() });
    claim.is_ok_and(|claim| {
        let caller = Caller::new(nobody, claim.access_key_id());
        verifier.prove(&claim, request, body, secret, caller).is_ok()
    })
}
