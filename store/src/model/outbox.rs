//! The nouns of events: what happened, who is told of it, what could not be delivered.

use std::sync::Arc;
use std::time::Duration;

use engine::Time;
use engine::id::VersionId;
use engine::subscription::{Settings, Subscription};
use serde::{Deserialize, Serialize};

/// Something that happened. Holds no value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// A UUID, the same however often it is sent.
    pub id: String,
    /// Its place among all events; grows, and what is visible has nothing missing before it but what was pruned.
    pub offset: i64,
    /// Its place among the events of its secret, without gaps.
    pub seq: i64,
    /// `secret.label-updated`, `rotation.started`, …
    pub kind: String,
    /// The secret's ARN; empty where it is about none.
    pub arn: String,
    /// Its name; empty where it is about none.
    pub name: String,
    /// When it happened.
    pub at: Time,
    /// What there is to know beside.
    pub facts: Facts,
}

/// What an event says beside its kind and its secret: ids, labels and names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The version it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The staging label that moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The version that had the label before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version_id: Option<String>,
    /// Who or what did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The step of a rotation that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// A registered rotator's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotator: Option<String>,
    /// The subscription that this is for alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// A subscription that was made, changed or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_name: Option<String>,
    /// When the secret is really deleted; milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_ms: Option<i64>,
    /// How many events were missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
}

impl Facts {
    /// Nothing but a rotator's name.
    pub(crate) fn of_rotator(name: &str) -> Self {
        Self { rotator: Some(name.to_owned()), ..Self::default() }
    }

    /// Nothing but the version.
    pub(crate) fn of_version(version: &VersionId) -> Self {
        Self { version_id: Some(version.to_string()), ..Self::default() }
    }
}

/// Events in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// What there is.
    pub events: Vec<OutboxEvent>,
    /// Where to go on.
    pub next: i64,
    /// The first offset that is kept.
    pub oldest: i64,
}

/// Where events begin that are asked for or sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// This offset.
    Offset(i64),
    /// What happened then or later.
    Time(Time),
}

/// How long events are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// No longer than this.
    pub age: Duration,
    /// No more than so many.
    pub rows: i64,
}

/// A subscription as lists show it: without its keys.
#[derive(Debug, Clone)]
pub struct SubscriptionEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub settings: Settings,
    /// Nobody is told.
    pub disabled: bool,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub changed: Time,
    /// Events up to here have been handed to its queues.
    pub offset: i64,
    /// Secrets of which something waits.
    pub waiting: u64,
    /// Of these, how many are tried again after a failure.
    pub failing: u64,
    /// Events that could not be delivered and are kept.
    pub dead: u64,
    /// Events that were pruned before it was told of them.
    pub missed: u64,
}

/// One event to be sent, and the right to send it.
#[derive(Debug, Clone)]
pub struct Errand {
    /// For whom.
    pub subscription: Arc<Subscription>,
    /// What.
    pub event: OutboxEvent,
    /// Failures in a row before it.
    pub attempt: u32,
    pub(crate) secret: i64,
    pub(crate) hold: Hold,
    /// Since when it waits without a success; milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// When the right ends, on the clock that counts suspend.
    pub(crate) until: Duration,
}

/// How an errand is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// As the head of its secret's queue, under this fence.
    Queue(i64),
    /// As the dead letter of this number.
    DeadLetter(i64),
}

/// How an errand went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// The receiver took it.
    Taken,
    /// The subscription's shape has nothing for it, or its filter lets it not through any more.
    NotWanted,
    /// It did not: why, in a sentence without secrets.
    Failed(String),
    /// The receiver is gone for good (410): nobody is told any more until somebody enables the subscription.
    Gone,
}

/// What could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Grows with time.
    pub id: i64,
    /// The event.
    pub event: OutboxEvent,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub failed: Time,
    /// Why it was not taken.
    pub reason: String,
    /// It is being sent once more.
    pub redelivering: bool,
}
