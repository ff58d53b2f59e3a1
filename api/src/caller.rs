//! Who is behind the access key that a request names: a key of the store, a session of one, or one call of a rotation
//! function.
//!
//! Asked with each request, so that a key that was disabled is refused from the next one on. Never here: signatures, what
//! the caller may do.

use std::sync::Arc;

use engine::Time;
use engine::secret::SecretBytes;
use store::{Grant, OpenedSession, Origin, Principal, Role, Scope, Store};

use crate::error::ApiError;
use crate::sigv4::Refusal;

/// The ids of temporary credentials begin so, as AWS's do.
const SESSION: &str = "ASIA";
/// Who works with credentials that were made for one call of a rotation function. No principal of a key has such a name.
const ROTATION: &str = "pawl:rotation";

/// A principal, and the key it signs with.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Arc<Principal>,
    access_key_id: String,
    parent_key_id: Option<String>,
    grant: Option<Grant>,
}

impl Caller {
    pub(crate) fn new(principal: Arc<Principal>, access_key_id: &str) -> Self {
        Self { principal, access_key_id: access_key_id.to_owned(), parent_key_id: None, grant: None }
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The key that signed; of a session its own id.
    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Of temporary credentials the key they were made with.
    pub(crate) fn parent_key_id(&self) -> Option<&str> {
        self.parent_key_id.as_deref()
    }

    /// Of one call of a rotation function, what it may work on.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Whether it signs with temporary credentials.
    pub(crate) fn is_session(&self) -> bool {
        self.access_key_id.starts_with(SESSION)
    }

    /// How AWS names it in refusals: a user, or, while it signs with temporary credentials, an assumed role.
    pub(crate) fn arn(&self, account_id: &str) -> String {
        let name = &self.principal.name;
        if self.is_session() {
            format!("arn:aws:sts::{account_id}:assumed-role/{name}/{}", self.access_key_id)
        } else {
            format!("arn:aws:iam::{account_id}:user/{name}")
        }
    }
}

/// What the signature must have been made with, and whose it is.
pub(crate) struct Credential {
    principal: Arc<Principal>,
    secret: SecretBytes,
    origin: Option<Origin>,
}

impl Credential {
    /// Finds it. An id that is unknown, disabled or without its right token is refused with one and the same text.
    pub(crate) async fn find(store: &Store, id: &str, token: Option<&str>, now: Time) -> Result<Self, ApiError> {
        let session = match (id.starts_with(SESSION), token) {
            (false, None) => None,
            (true, Some(token)) => Some(store.open_session(id, token)?.ok_or(Refusal::UnknownKey)?),
            _ => return Err(Refusal::UnknownKey.into()),
        };
        let Some(OpenedSession { secret, origin, expires }) = session else {
            let key = store.access_key(id).await?.filter(|key| key.enabled).ok_or(Refusal::UnknownKey)?;
            return Ok(Self { principal: Arc::clone(&key.principal), secret: key.secret.clone(), origin: None });
        };
        let principal = match &origin {
            Origin::Key(parent) => {
                let key = store.access_key(parent).await?.filter(|key| key.enabled).ok_or(Refusal::UnknownKey)?;
                Arc::clone(&key.principal)
            }
            Origin::Rotation(_) => {
                Arc::new(Principal { name: ROTATION.to_owned(), role: Role::Rotation, scope: Scope::default() })
            }
        };
        if expires <= now {
            return Err(Refusal::ExpiredToken.into());
        }
        Ok(Self { principal, secret, origin: Some(origin) })
    }

    pub(crate) fn secret(&self) -> &SecretBytes {
        &self.secret
    }

    /// Who calls, if the signature is right: under `access_key_id`, as it was found by.
    pub(crate) fn caller(&self, access_key_id: &str) -> Caller {
        let (parent_key_id, grant) = match &self.origin {
            None => (None, None),
            Some(Origin::Key(parent)) => (Some(parent.clone()), None),
            Some(Origin::Rotation(grant)) => (None, Some(grant.clone())),
        };
        Caller { parent_key_id, grant, ..Caller::new(Arc::clone(&self.principal), access_key_id) }
    }
}
