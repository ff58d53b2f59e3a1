//! Who is behind the access key that a request names: a key of the store, or a session of one.
//!
//! Asked with each request, so that a key that was disabled is refused from the next one on. Never here: signatures, what
//! the caller may do.

use std::sync::Arc;

use engine::Time;
use engine::secret::SecretBytes;
use store::{AccessKey, OpenedSession, Principal, Store};

use crate::error::ApiError;
use crate::sigv4::Refusal;

/// The ids of temporary credentials begin so, as AWS's do.
const SESSION: &str = "ASIA";

/// A principal, and the key it signs with.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Arc<Principal>,
    access_key_id: String,
    parent_key_id: Option<String>,
}

impl Caller {
    pub(crate) fn new(principal: Arc<Principal>, access_key_id: &str) -> Self {
        Self { principal, access_key_id: access_key_id.to_owned(), parent_key_id: None }
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
    key: Arc<AccessKey>,
    session: Option<OpenedSession>,
}

impl Credential {
    /// Finds it. An id that is unknown, disabled or without its right token is refused with one and the same text.
    pub(crate) async fn find(store: &Store, id: &str, token: Option<&str>, now: Time) -> Result<Self, ApiError> {
        let session = match (id.starts_with(SESSION), token) {
            (false, None) => None,
            (true, Some(token)) => Some(store.open_session(id, token)?.ok_or(Refusal::UnknownKey)?),
            _ => return Err(Refusal::UnknownKey.into()),
        };
        let lasting = session.as_ref().map_or(id, |session| &session.parent);
        let key = store.access_key(lasting).await?.filter(|key| key.enabled).ok_or(Refusal::UnknownKey)?;
        if session.as_ref().is_some_and(|session| session.expires <= now) {
            return Err(Refusal::ExpiredToken.into());
        }
        Ok(Self { key, session })
    }

    pub(crate) fn secret(&self) -> &SecretBytes {
        self.session.as_ref().map_or(&self.key.secret, |session| &session.secret)
    }

    /// Who calls, if the signature is right: under `access_key_id`, as it was found by.
    pub(crate) fn caller(&self, access_key_id: &str) -> Caller {
        let parent_key_id = self.session.as_ref().map(|session| session.parent.clone());
        Caller { parent_key_id, ..Caller::new(Arc::clone(&self.key.principal), access_key_id) }
    }
}
