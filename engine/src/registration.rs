//! What an operator registered: a rotator by webhook, or an AWS rotation function. Plain data and its bounds.
//!
//! Never here: where it is kept, how it is called.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::port::Abilities;
use crate::secret::SecretBytes;

/// How long a rotator's name may be.
pub const LONGEST_NAME: usize = 64;
/// The longest a step may take: what AWS gives a function.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(900);
/// What a webhook gets where nothing else is said: within one lease.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// What a function gets where nothing else is said.
pub const LAMBDA_TIMEOUT: Duration = Duration::from_secs(60);
/// Steps under way at once where nothing else is said.
pub const CONCURRENCY: u32 = 16;
/// The most steps under way at once that may be asked for.
pub const MOST_CONCURRENCY: u32 = 10_000;
/// How long the credential that was AWSCURRENT goes on working where nothing else is said: AWS's caching clients ask
/// again after an hour.
pub const GRACE: Duration = Duration::from_secs(75 * 60);
/// How long the old signing key goes on signing beside the new one where nothing else is said.
pub const KEY_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// A registered rotator.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its name, unlike any built-in rotator's.
    pub name: String,
    /// What it is and how it is called. Holds no secret.
    pub settings: Settings,
    /// What it is called with.
    pub keys: Keys,
    /// It is not called until it is enabled again; what is open waits.
    pub disabled: bool,
    /// When it was registered.
    pub created: Time,
    /// When it was last changed.
    pub changed: Time,
}

/// What a registered rotator is and how it is called. Holds no secret, so it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Webhook or function.
    #[serde(flatten)]
    pub kind: Kind,
    /// How long one call may take, in seconds.
    pub timeout_seconds: u64,
    /// How many rotations of it may be under way at once.
    pub concurrency: u32,
    /// Certificate authorities to trust for it, instead of the system's; PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The certificate chain shown to it (mTLS); PEM. Its key is in [`Keys`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
}

/// The kinds of registered rotators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// A receiver of our webhook contract (docs/writing-a-rotator.md).
    Webhook(Webhook),
    /// An AWS rotation function behind the Lambda Invoke API.
    Lambda(Lambda),
}

/// A receiver of our webhook contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where events are posted.
    pub url: String,
    /// Who reads and writes the values.
    pub mode: Mode,
    /// createSecret is asked of the receiver, which makes the credential and gives it back (managed mode only).
    #[serde(default)]
    pub issues: bool,
    /// The key of the secret's JSON that gets a generated password; None: the whole value is the password. Only for managed
    /// receivers that do not issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_key: Option<String>,
    /// Each event carries short-lived credentials for its secret (callback mode only).
    #[serde(default)]
    pub credentials: bool,
    /// It takes the step `check`.
    #[serde(default)]
    pub checks: bool,
    /// It takes the step `revoke`.
    #[serde(default)]
    pub revokes: bool,
    /// It takes the step `retire`, so many seconds after finishSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_after: Option<u64>,
}

impl Webhook {
    /// A managed receiver at this URL for secrets with a `password`, which declares nothing more.
    #[must_use]
    pub fn managed(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            mode: Mode::Managed,
            issues: false,
            password_key: Some("password".to_owned()),
            credentials: false,
            checks: false,
            revokes: false,
            retires_after: None,
        }
    }
}

/// Who reads and writes the values of a secret that a webhook rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Pawl: events carry the values.
    Managed,
    /// The receiver, through the API, as AWS's rotation functions do.
    Callback,
}

impl Mode {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Callback => "callback",
        }
    }
}

/// An AWS rotation function behind the Lambda Invoke API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lambda {
    /// The API's base URL, such as `http://127.0.0.1:9000` or `https://lambda.eu-west-1.amazonaws.com`.
    pub endpoint: String,
    /// The function's name or ARN; `function` with the runtime interface emulator.
    pub function: String,
    /// The region requests are signed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whose signature; None: requests are not signed, as the runtime interface emulator wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
}

impl Settings {
    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// What the machine may ask of it.
    #[must_use]
    pub fn abilities(&self) -> Abilities {
        match &self.kind {
            Kind::Lambda(_) => Abilities { callback: true, proves_by_copy: true, ..Abilities::default() },
            Kind::Webhook(webhook) => Abilities {
                callback: webhook.mode == Mode::Callback,
                proves_by_copy: false,
                revokes: webhook.revokes,
                retires_after: webhook.retires_after,
                retires_retained: false,
            },
        }
    }

    /// Whether it makes the values by itself, and so also the first one of a secret. For others Pawl makes them, from the
    /// value before, and sends no createSecret.
    #[must_use]
    pub fn makes_values(&self) -> bool {
        match &self.kind {
            Kind::Lambda(_) => true,
            Kind::Webhook(webhook) => webhook.mode == Mode::Callback || webhook.issues,
        }
    }

    /// Whether its events say where this server is called: those of webhooks that call back.
    #[must_use]
    pub fn is_told_endpoint(&self) -> bool {
        matches!(&self.kind, Kind::Webhook(webhook) if webhook.mode == Mode::Callback)
    }

    /// `webhook` or `lambda`.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Webhook(_) => "webhook",
            Kind::Lambda(_) => "lambda",
        }
    }
}

/// The secrets of a registration. No `Serialize`: the store spells and seals them itself.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// What deliveries are signed with, oldest first; two while one is being changed. None for functions.
    pub signing: Vec<SigningKey>,
    /// The secret half of a function's `access_key_id`.
    pub access_key_secret: Option<SecretBytes>,
    /// The private key of `client_certificate`; PEM.
    pub client_key: Option<SecretBytes>,
}

/// A key that deliveries are signed with (Standard Webhooks: HMAC-SHA256).
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The key's bytes; authors get them as `whsec_` and Base64.
    pub secret: SecretBytes,
    /// Since when.
    pub created: Time,
    /// It signs until then; None: until another takes its place.
    pub expires: Option<Time>,
}

impl Keys {
    /// The keys that sign at `now`.
    pub fn live(&self, now: Time) -> impl Iterator<Item = &SigningKey> {
        self.signing.iter().filter(move |key| key.expires.is_none_or(|expires| now < expires))
    }
}
