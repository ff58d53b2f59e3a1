//! What a registered rotator asks of the server while it works: its registration as it is now, the right to call back,
//! a signature, the time. The server answers; no rotator sees the store or the API.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::Time;
use engine::id::VersionId;
use engine::registration::Registration;
use engine::secret::SecretBytes;

/// Why the server could not answer. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeskError(pub String);

/// The server, as a registered rotator sees it.
#[async_trait]
pub trait Desk: Send + Sync {
    /// The registration of this name, as it is now: asked before each call, so that a key that was changed in the middle
    /// of a rotation signs from the next call on. None: it was removed.
    ///
    /// # Errors
    /// [`DeskError`] where the store cannot be read.
    async fn registration(&self, name: &str) -> Result<Option<Arc<Registration>>, DeskError>;

    /// What lets the receiver of one call work on one secret until the call's deadline.
    ///
    /// # Errors
    /// [`DeskError`] where none can be made.
    async fn pass(&self, order: &PassOrder<'_>) -> Result<Pass, DeskError>;

    /// The headers to add to a request to Lambda, as AWS's Signature Version 4 has it: `x-amz-date`, `authorization`.
    fn sign(&self, request: &LambdaRequest<'_>) -> Vec<(&'static str, String)>;

    /// Wall time, for timestamps, deadlines and the life of keys.
    fn now(&self) -> Time;
}

/// A pass that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct PassOrder<'a> {
    /// The secret's ARN.
    pub arn: &'a str,
    /// The version being made.
    pub token: &'a VersionId,
    /// How long it is good.
    pub valid_for: Duration,
    /// Credentials, too.
    pub credentials: bool,
    /// For the step check, which belongs to no rotation and only reads.
    pub check: bool,
}

/// What lets the receiver of one call work on one secret.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The `RotationToken` of the event: 36 to 256 letters, digits and hyphens.
    pub rotation_token: SecretBytes,
    /// Where this server is called, such as `https://pawl.example:7171`; None where it does not know.
    pub endpoint: Option<String>,
    /// The region requests to it are signed for.
    pub region: String,
    /// Credentials that can only describe, read and write this secret and move its labels.
    pub credentials: Option<Credentials>,
}

/// Short-lived credentials in the form of AWS's.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret half.
    pub secret: SecretBytes,
    /// To be sent as `X-Amz-Security-Token`.
    pub session_token: SecretBytes,
    /// When they end.
    pub expires: Time,
}

/// A request to Lambda that is to be signed.
#[derive(Clone, Copy)]
pub struct LambdaRequest<'a> {
    /// The path as it is sent.
    pub path: &'a str,
    /// The headers to be signed, `host` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// The region it is signed for.
    pub region: &'a str,
    /// Whose signature.
    pub access_key_id: &'a str,
    /// Its secret half.
    pub secret: &'a SecretBytes,
}
