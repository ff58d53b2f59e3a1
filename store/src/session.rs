//! Temporary credentials. Nothing of them is stored: the token itself carries the secret, sealed, and says which access
//! key it came from. So a session is refused as soon as that key is, whatever the token says. Those of one call of a
//! rotation function come from no key, and say instead which version of which secret they are for.
//!
//! Never here: whether the parent is still good (the caller asks for it), signatures.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use crypto::{Binding, Kind, SealError};
use engine::Time;
use engine::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use crate::instant::{instant, ms, whole_ms};
use crate::key::{self, ID_LETTERS_COUNT};
use crate::model::{Grant, OpenedSession, Origin, Session};
use crate::open::Inner;
use crate::version::version_id;
use crate::{Store, StoreError};

/// The shortest life of a session.
pub const SHORTEST_SESSION: Duration = Duration::from_secs(60);
/// The longest life of a session.
pub const LONGEST_SESSION: Duration = Duration::from_secs(36 * 3600);

const ID_PREFIX: &str = "ASIA";
/// The parent's id stands before the sealed part: what binds it must be known before it is opened.
const PARENT_LENGTH: usize = 4 + ID_LETTERS_COUNT;
/// Stands there where no key made it; no key has such an id.
const NO_PARENT: &str = "one-call-of-rotation";
/// Room for the sealed text, so that it is written in one place only: an ARN of AWS's length with it.
const PLAIN_ROOM: usize = 2048;

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Plain<'a> {
    secret: &'a str,
    expires_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    grant: Option<PlainGrant<'a>>,
}

#[derive(Serialize, Deserialize)]
struct PlainGrant<'a> {
    #[serde(borrow)]
    arn: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    check: bool,
}

impl Store {
    /// Makes temporary credentials of the access key `parent`, good for `ttl` (held within its bounds) from `now`.
    ///
    /// # Errors
    /// [`StoreError::AccessKeyNotFound`] where there is no such enabled key; or there are no random bytes.
    pub async fn create_session(&self, parent: &str, ttl: Duration, now: Time) -> Result<Session, StoreError> {
        let key = self.access_key(parent).await?.filter(|key| key.enabled);
        let parent = &key.ok_or(StoreError::AccessKeyNotFound)?.access_key_id;
        make(&self.0, parent, now + ttl.clamp(SHORTEST_SESSION, LONGEST_SESSION), None)
    }

    /// What the token of the session `access_key_id` says; None where it is not its token.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] where opening fails for a reason that does not lie in the token.
    pub fn open_session(&self, access_key_id: &str, token: &str) -> Result<Option<OpenedSession>, StoreError> {
        let Ok(bytes) = BASE64URL.decode(token) else { return Ok(None) };
        let Some((parent, sealed)) = bytes.split_at_checked(PARENT_LENGTH) else { return Ok(None) };
        let Ok(parent) = std::str::from_utf8(parent) else { return Ok(None) };
        let text = match self.0.keyring.open(&place(access_key_id, parent), sealed) {
            Ok(text) => text,
            Err(SealError::Format | SealError::UnknownKey(_) | SealError::Forged) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let plain: Plain<'_> =
            serde_json::from_slice(&text).map_err(|_| StoreError::inconsistent("a session cannot be read"))?;
        let secret = SecretBytes::from(plain.secret);
        let origin = match plain.grant {
            None => Origin::Key(parent.to_owned()),
            Some(PlainGrant { arn, version, check }) => {
                let version = version_id(version.into_owned())?;
                Origin::Rotation(Grant { arn: arn.into_owned(), version, check })
            }
        };
        Ok(Some(OpenedSession { secret, origin, expires: instant(plain.expires_ms)? }))
    }
}

/// Credentials for one call of a rotation function.
pub(crate) fn of_rotation(inner: &Inner, grant: &Grant, expires: Time) -> Result<Session, StoreError> {
    let Grant { arn, version, check } = grant;
    let grant = PlainGrant { arn: arn.as_str().into(), version: version.as_str().into(), check: *check };
    make(inner, NO_PARENT, expires, Some(grant))
}

fn make(inner: &Inner, parent: &str, expires: Time, grant: Option<PlainGrant<'_>>) -> Result<Session, StoreError> {
    let (access_key_id, secret) = key::generate(ID_PREFIX, &mut rand::rng());
    let expires = whole_ms(expires);
    let plain = Plain { secret: secret.expose_str().unwrap_or_default(), expires_ms: ms(expires), grant };
    let mut text = Vec::with_capacity(PLAIN_ROOM);
    let written = serde_json::to_writer(&mut text, &plain);
    let text = SecretBytes::new(text);
    written.map_err(|_| StoreError::inconsistent("a session could not be spelled"))?;
    let sealed = inner.keyring.seal(&place(&access_key_id, parent), text.expose())?;
    let token = BASE64URL.encode([parent.as_bytes(), &sealed].concat());
    Ok(Session { access_key_id, secret, token, expires })
}

/// Id and parent are bound: a token serves no other id, and cannot be said to come from another key.
fn place<'a>(access_key_id: &'a str, parent: &'a str) -> Binding<'a> {
    Binding { kind: Kind::Session, owner: access_key_id, version: parent, candidate: 0 }
}
