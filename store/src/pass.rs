//! What lets one call of a rotation function work on one secret: its rotation token, and credentials for that version.
//!
//! Nothing of either is stored: both are sealed, and say themselves what they are good for. Never here: signatures, what
//! the credentials allow (that is `api`'s to say).

use crypto::{Binding, Kind};
use engine::Time;
use engine::id::VersionId;
use engine::secret::SecretBytes;

use crate::hex::{hex, unhex};
use crate::instant::{instant, ms};
use crate::model::{Grant, Session};
use crate::open::Inner;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, registration, resolve, rotation, session};

impl Store {
    /// The RotationToken of a call that makes `version` of the secret `arn`: letters and digits, no longer than AWS's.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn rotation_token(&self, arn: &str, version: &VersionId, expires: Time) -> Result<SecretBytes, StoreError> {
        let sealed = self.0.keyring.seal(&place(arn, version), &ms(expires).to_be_bytes())?;
        Ok(SecretBytes::from(hex(&sealed)))
    }

    /// Temporary credentials for a call that makes the granted version, good until `expires`.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn create_pass(&self, grant: &Grant, expires: Time) -> Result<Session, StoreError> {
        session::of_rotation(&self.0, grant, expires)
    }

    /// Whether a grant is good still: the rotation that makes its version is open, and its rotator is called. That of a
    /// check is no rotation's, and good for as long as its credentials.
    ///
    /// # Errors
    /// [`StoreError::NotWithinRotation`], [`StoreError::SecretNotFound`], or the database fails.
    pub async fn check_grant(&self, grant: &Grant) -> Result<(), StoreError> {
        if grant.check {
            return Ok(());
        }
        let mut tx = snapshot(&self.0).await?;
        let secret = resolve::find(&mut tx, &grant.arn).await?;
        let row = rotation::load(&mut tx, secret.id).await?;
        within(&mut tx, &row, &grant.version).await
    }
}

/// Refuses whoever acts for the rotation of one version alone, unless that is open and its rotator is called.
pub(crate) async fn within(conn: &mut Conn, row: &rotation::Row, version: &VersionId) -> Result<(), StoreError> {
    let rotator = registration::state(conn, &row.lane).await?;
    let called = rotator.is_some_and(|(_, disabled)| !disabled);
    (called && is_open(row, version)).then_some(()).ok_or(StoreError::NotWithinRotation)
}

/// Whether a token that came with a value is the one that was given out for it.
pub(crate) fn check_token(
    inner: &Inner,
    arn: &str,
    version: &VersionId,
    token: &SecretBytes,
    now: Time,
) -> Result<(), StoreError> {
    match expiry(inner, arn, version, token) {
        Some(expires) if now < expires => Ok(()),
        _ => Err(StoreError::BadRotationToken),
    }
}

fn expiry(inner: &Inner, arn: &str, version: &VersionId, token: &SecretBytes) -> Option<Time> {
    let sealed = unhex(token.expose_str()?)?;
    let plain = inner.keyring.open(&place(arn, version), &sealed).ok()?;
    instant(i64::from_be_bytes(plain.as_slice().try_into().ok()?)).ok()
}

/// The rotation that makes this version is open.
pub(crate) fn is_open(row: &rotation::Row, version: &VersionId) -> bool {
    row.state.run().is_some_and(|run| run.token == *version)
}

fn place<'a>(arn: &'a str, version: &'a VersionId) -> Binding<'a> {
    Binding { kind: Kind::RotationToken, owner: arn, version: version.as_str(), candidate: 0 }
}
