//! A rotator as replies show it. `Option`s that are None are left out; secrets never are in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use engine::Time;
use engine::registration::{Kind, Lambda, Registration, Settings, SigningKey, Webhook};
use engine::secret::SecretBytes;
use serde::Serialize;
use store::RotatorEntry;

use crate::credentials::Shown;
use crate::wire::Epoch;

/// As lists show it.
#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    name: String,
    kind: &'static str,
    #[serde(flatten)]
    webhook: Option<WebhookSettings>,
    #[serde(flatten)]
    function: Option<FunctionSettings>,
    #[serde(flatten)]
    call: Option<CallSettings>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_date: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_changed_date: Option<Epoch>,
    /// How many secrets it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WebhookSettings {
    url: String,
    mode: &'static str,
    issues: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_key: Option<String>,
    credentials: bool,
    steps: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionSettings {
    endpoint: String,
    function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallSettings {
    timeout_seconds: u64,
    concurrency: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate_pem: Option<String>,
}

/// As the replies about one rotator show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Details {
    #[serde(flatten)]
    entry: Entry,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signing_keys: Vec<SigningKeyDates>,
    /// The first of the secrets it serves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret_names: Vec<String>,
    /// It failed again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_called_until: Option<Epoch>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SigningKeyDates {
    created_date: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<Epoch>,
}

/// A signing key as its receiver's author gets it, in the one reply that has it.
pub(crate) fn spelled(key: &SigningKey) -> Shown {
    Shown(SecretBytes::from(format!("whsec_{}", BASE64.encode(key.secret.expose()))))
}

impl Entry {
    /// One that is built in.
    pub(crate) fn built_in(name: &str) -> Self {
        Self { name: name.to_owned(), kind: "builtin", enabled: true, ..Self::default() }
    }

    fn of(name: String, settings: Settings, created: Time, changed: Time) -> Self {
        let kind = settings.kind_name();
        let call = CallSettings {
            timeout_seconds: settings.timeout_seconds,
            concurrency: settings.concurrency,
            ca_pem: settings.ca,
            client_certificate_pem: settings.client_certificate,
        };
        let (webhook, function) = match settings.kind {
            Kind::Webhook(webhook) => (Some(webhook.into()), None),
            Kind::Lambda(function) => (None, Some(function.into())),
        };
        Self {
            name,
            kind,
            webhook,
            function,
            call: Some(call),
            enabled: true,
            created_date: Some(Epoch(created)),
            last_changed_date: Some(Epoch(changed)),
            secrets: None,
        }
    }
}

impl From<RotatorEntry> for Entry {
    fn from(entry: RotatorEntry) -> Self {
        let RotatorEntry { name, settings, disabled, created, changed, secrets } = entry;
        // A list is to be read; certificates are shown with the one rotator that somebody asks about.
        let settings = Settings { ca: None, client_certificate: None, ..settings };
        Self { enabled: !disabled, secrets: Some(secrets), ..Self::of(name, settings, created, changed) }
    }
}

impl Details {
    /// One that is built in.
    pub(crate) fn built_in(name: &str) -> Self {
        Self {
            entry: Entry::built_in(name),
            signing_keys: Vec::new(),
            secret_names: Vec::new(),
            not_called_until: None,
        }
    }

    /// The same, and not called until then.
    pub(crate) fn paused(self, until: Option<Time>) -> Self {
        Self { not_called_until: until.map(Epoch), ..self }
    }

    /// As it is at `now`, with how many secrets it serves and the first of their names.
    pub(crate) fn of(there: &Registration, (secrets, secret_names): (u64, Vec<String>), now: Time) -> Self {
        let entry = Entry::of(there.name.clone(), there.settings.clone(), there.created, there.changed);
        let dates = |key: &SigningKey| SigningKeyDates {
            created_date: Epoch(key.created),
            expiry_date: key.expires.map(Epoch),
        };
        Self {
            entry: Entry { enabled: !there.disabled, secrets: Some(secrets), ..entry },
            signing_keys: there.keys.live(now).map(dates).collect(),
            secret_names,
            not_called_until: None,
        }
    }
}

impl From<Webhook> for WebhookSettings {
    fn from(webhook: Webhook) -> Self {
        let declared =
            [("check", webhook.checks), ("retire", webhook.retires_after.is_some()), ("revoke", webhook.revokes)];
        Self {
            mode: webhook.mode.name(),
            issues: webhook.issues,
            credentials: webhook.credentials,
            steps: declared.into_iter().filter(|(_, takes)| *takes).map(|(step, _)| step).collect(),
            grace_seconds: webhook.retires_after,
            url: webhook.url,
            password_key: webhook.password_key,
        }
    }
}

impl From<Lambda> for FunctionSettings {
    fn from(function: Lambda) -> Self {
        let Lambda { endpoint, function, region, access_key_id } = function;
        Self { endpoint, function, region, access_key_id }
    }
}
