//! What an operator says about a subscription, made into settings, and a subscription as replies show it.
//!
//! Never here: whether its receiver may be called ([`crate::workbench`]), where it is kept.

use std::time::Duration;

use engine::registration::{Keys, LONGEST_NAME};
use engine::span;
use engine::subscription::{Filter, Format, GIVE_UP_AFTER, LONGEST_GIVE_UP, MOST_PATTERNS, Settings, Subscription};
use serde::Serialize;
use store::{OutboxEvent, SubscriptionEntry};

use crate::error::ApiError;
use crate::members::{Inner, Items, Length, OneOf, Required, members};
use crate::op::Cx;
use crate::registration::NAME;
use crate::wire::Epoch;

/// Certificates of a few authorities.
const LONGEST_PEM: usize = 65_536;

members! {
    /// The members of CreateSubscription and UpdateSubscription. What is not said stays.
    pub(crate) struct Said {
        pub(crate) name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
        url "Url": String [Length(1..=2048)],
        format "Format": String [OneOf(&Format::NAMES)],
        filter "Filter": Patterns [Inner],
        give_up_after "GiveUpAfter": String [Length(1..=16)],
        // Not repeated where it is too long.
        ca_pem "CaPem": String [],
        pub(crate) enabled "Enabled": bool [],
    }
}

members! {
    /// A filter as it is said: each list is of patterns, and an empty one lets everything through.
    pub(crate) struct Patterns {
        kinds "Kinds": Vec<String> [Items(0..=MOST_PATTERNS, 1..=256)],
        secrets "Secrets": Vec<String> [Items(0..=MOST_PATTERNS, 1..=512)],
        labels "Labels": Vec<String> [Items(0..=MOST_PATTERNS, 1..=256)],
    }
}

impl From<Patterns> for Filter {
    fn from(said: Patterns) -> Self {
        Self {
            kinds: said.kinds.unwrap_or_default(),
            secrets: said.secrets.unwrap_or_default(),
            labels: said.labels.unwrap_or_default(),
        }
    }
}

impl Said {
    /// Nothing is said but that nobody is to be told: that is carried out whatever else is wrong.
    pub(crate) fn only_disables(&self) -> bool {
        self.enabled == Some(false) && !self.says_settings()
    }

    /// Something is said about what it is.
    pub(crate) fn says_settings(&self) -> bool {
        self.url.is_some()
            || self.format.is_some()
            || self.filter.is_some()
            || self.give_up_after.is_some()
            || self.ca_pem.is_some()
    }

    /// A new subscription's settings.
    pub(crate) fn create(self) -> Result<Settings, ApiError> {
        let Some(url) = self.url.clone() else {
            return Err(ApiError::invalid_parameter("A subscription needs Url: where its events are posted."));
        };
        let settings = Settings {
            url,
            format: Format::CloudEvents,
            filter: Filter::default(),
            give_up_after: GIVE_UP_AFTER.as_secs(),
            ca: None,
        };
        self.update(settings)
    }

    /// These settings with what is said changed.
    pub(crate) fn update(self, there: Settings) -> Result<Settings, ApiError> {
        let format = self.format.as_deref().and_then(Format::of_name);
        let ca = match self.ca_pem {
            None => there.ca,
            Some(pem) if pem.is_empty() => None,
            Some(pem) if pem.contains("-----BEGIN CERTIFICATE-----") && pem.len() <= LONGEST_PEM => Some(pem),
            Some(_) => {
                return Err(ApiError::invalid_parameter(format!(
                    "CaPem is not text with certificates (-----BEGIN CERTIFICATE-----) of at most {LONGEST_PEM} bytes."
                )));
            }
        };
        Ok(Settings {
            url: self.url.unwrap_or(there.url),
            format: format.unwrap_or(there.format),
            filter: self.filter.map_or(there.filter, Into::into),
            give_up_after: self.give_up_after.map_or(Ok(there.give_up_after), |text| seconds_of(&text))?,
            ca,
        })
    }
}

fn seconds_of(text: &str) -> Result<u64, ApiError> {
    let may_be = Duration::from_secs(1)..=LONGEST_GIVE_UP;
    span::parse(text).filter(|length| may_be.contains(length)).map(|length| length.as_secs()).ok_or_else(|| {
        ApiError::invalid_parameter(
            "GiveUpAfter is a length of time from 1s to 7d: a number of seconds, or a number with s, m, h or d.",
        )
    })
}

/// Whether its receiver could be called, as far as that is known without calling it.
pub(crate) async fn accepted(cx: &Cx<'_>, name: &str, settings: &Settings) -> Result<(), ApiError> {
    let Some(workbench) = &cx.state.workbench else { return Ok(()) };
    let subscription = Subscription {
        name: name.to_owned(),
        settings: settings.clone(),
        keys: Keys::default(),
        disabled: false,
        created: cx.now,
        changed: cx.now,
    };
    workbench.may_notify(&subscription).await.map_err(ApiError::invalid_parameter)
}

/// A subscription as replies show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Details {
    name: String,
    url: String,
    format: &'static str,
    filter: Shown,
    give_up_after_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_pem: Option<String>,
    enabled: bool,
    created_date: Epoch,
    last_changed_date: Epoch,
    /// Events before this one have been handed to its queues.
    next_offset: i64,
    waiting_secrets: u64,
    failing_secrets: u64,
    dead_letters: u64,
    missed: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signing_keys: Vec<KeyDates>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    kinds: Vec<String>,
    secrets: Vec<String>,
    labels: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyDates {
    created_date: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<Epoch>,
}

impl Details {
    /// With the dates of its live keys.
    pub(crate) async fn of(cx: &Cx<'_>, name: &str) -> Result<Self, ApiError> {
        let there = cx.state.store.subscription(name).await?;
        let dates = there.keys.live(cx.now);
        let dates = dates.map(|key| KeyDates { created_date: Epoch(key.created), expiry_date: key.expires.map(Epoch) });
        Ok(Self { signing_keys: dates.collect(), ..cx.state.store.subscription_entry(name).await?.into() })
    }
}

impl From<SubscriptionEntry> for Details {
    fn from(entry: SubscriptionEntry) -> Self {
        let Settings { url, format, filter, give_up_after, ca } = entry.settings;
        Self {
            name: entry.name,
            url,
            format: format.name(),
            filter: Shown { kinds: filter.kinds, secrets: filter.secrets, labels: filter.labels },
            give_up_after_seconds: give_up_after,
            ca_pem: ca,
            enabled: !entry.disabled,
            created_date: Epoch(entry.created),
            last_changed_date: Epoch(entry.changed),
            next_offset: entry.offset + 1,
            waiting_secrets: entry.waiting,
            failing_secrets: entry.failing,
            dead_letters: entry.dead,
            missed: entry.missed,
            signing_keys: Vec::new(),
        }
    }
}

/// An event as replies show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event {
    offset: i64,
    id: String,
    kind: String,
    time: Epoch,
    sequence: i64,
    #[serde(rename = "SecretARN", skip_serializing_if = "String::is_empty")]
    arn: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    secret_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
}

impl From<OutboxEvent> for Event {
    fn from(event: OutboxEvent) -> Self {
        let facts = event.facts;
        Self {
            offset: event.offset,
            id: event.id,
            kind: event.kind,
            time: Epoch(event.at),
            sequence: event.seq,
            arn: event.arn,
            secret_name: event.name,
            version_id: facts.version_id,
            label: facts.label,
            previous_version_id: facts.previous_version_id,
            actor: facts.actor,
            step: facts.step,
            rotator: facts.rotator,
            subscription: facts.subscription.or(facts.subscription_name),
            count: facts.count,
        }
    }
}
