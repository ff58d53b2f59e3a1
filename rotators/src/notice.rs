//! Owns telling a subscriber of one event: signed as rotators' deliveries are (Standard Webhooks), through the same clients
//! and the same egress policy.
//!
//! Never here: what an event says, when it is sent again. Whatever comes of it changes no rotation.

use std::time::Duration;

use engine::registration::{CONCURRENCY, Kind, Registration, Settings, Webhook};
use engine::subscription::Subscription;
use zeroize::Zeroizing;

use crate::Callers;
use crate::delivery::{self, Exchange, Parcel, Sent, host_of};
use crate::registered::registered_url;
use crate::webhook::signature::signatures;

/// The largest answer that is read, in bytes; what it says beside its status is of no interest.
const LARGEST_ANSWER: usize = 64 << 10;

/// One event as it is sent.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The same however often it is sent: receivers know repeats by it.
    pub id: String,
    /// What the body is.
    pub content_type: &'static str,
    /// The body. Holds no secret.
    pub body: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// A status of success: it is the receiver's now.
    Taken,
    /// 410: nothing is to be sent there any more.
    Gone,
    /// Anything else: why, in a sentence without secrets.
    Failed(String),
}

impl Callers {
    /// Could this subscription's receiver be told, as far as can be said without calling it?
    ///
    /// # Errors
    /// Why not, and what to do, in a sentence or two.
    pub fn may_notify(&self, subscription: &Subscription) -> Result<(), String> {
        let url = registered_url(&subscription.settings.url)?;
        let accepted = self.0.clients.accepts(&as_registration(subscription), &url);
        accepted.map_err(|error| of_receiver(&format!("{} {}", error.message, error.remedy)))
    }

    /// Tells it, within `budget`.
    pub async fn notify(&self, subscription: &Subscription, notice: &Notice, budget: Duration) -> Receipt {
        let url = match registered_url(&subscription.settings.url) {
            Ok(url) => url,
            Err(why) => return Receipt::Failed(why),
        };
        let now = self.0.desk.now();
        let keys = subscription.keys.live(now).map(|key| &key.secret);
        let signature = signatures(keys, &notice.id, now.timestamp(), &notice.body);
        if signature.is_empty() {
            return Receipt::Failed("The subscription has no signing key that is live.".to_owned());
        }
        let who = host_of(&url);
        let headers = vec![
            ("content-type", notice.content_type.to_owned()),
            ("webhook-id", notice.id.clone()),
            ("webhook-timestamp", now.timestamp().to_string()),
            ("webhook-signature", signature),
        ];
        let body = Zeroizing::new(notice.body.clone());
        let parcel = Parcel { url, headers, body, cap: LARGEST_ANSWER, keep: 0 };
        fail::fail_point!("events::before_send");
        let (registration, sent) = (as_registration(subscription), Sent::default());
        let exchange = delivery::post(&self.0.clients, &registration, parcel, &sent);
        let exchange = tokio::time::timeout(budget, exchange).await;
        fail::fail_point!("events::after_answer");
        match exchange {
            Err(_elapsed) => Receipt::Failed(format!("{who} did not answer within {} seconds.", budget.as_secs())),
            Ok(Exchange::Answered(answer)) => match answer.status {
                200..=299 => Receipt::Taken,
                410 => Receipt::Gone,
                status => Receipt::Failed(format!("{who} answered {status}.")),
            },
            Ok(Exchange::NotSent(not_sent)) => Receipt::Failed(of_receiver(&not_sent.error.message)),
            Ok(Exchange::Lost(loss)) => Receipt::Failed(format!("{who} {}.", loss.says)),
        }
    }
}

/// What the clients go by.
fn as_registration(subscription: &Subscription) -> Registration {
    Registration {
        name: subscription.name.clone(),
        settings: Settings {
            kind: Kind::Webhook(Webhook::managed(subscription.settings.url.clone())),
            timeout_seconds: 0,
            concurrency: CONCURRENCY,
            ca: subscription.settings.ca.clone(),
            client_certificate: None,
        },
        keys: subscription.keys.clone(),
        disabled: subscription.disabled,
        created: subscription.created,
        changed: subscription.changed,
    }
}

/// The clients speak of rotators, which they were made for.
fn of_receiver(text: &str) -> String {
    text.replace("The rotator", "The receiver").replace("pawl rotator update", "pawl events update")
}
