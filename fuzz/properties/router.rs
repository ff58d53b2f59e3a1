//! The whole router over a real store: whatever an administrator sends, the answer is one of AWS's forms. No panic, no 500.
//!
//! An input is a history, one event a line: `Operation {body}` is a call, `+3600` lets time pass, and `~` lets a driver
//! do what is due. An operation that does not exist stands for some other one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::fuzzing::sign_for;
use api::sigv4::{Signer, Unsigned};
use api::{ApiState, router};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use chrono::TimeDelta;
use engine::Time;
use engine::outcome::{Done, Proof};
use engine::port::{Clock, PortError, RotationStore};
use engine::rotation::{Event, Outcome, Step};
use engine::schedule::Limits;
use engine::secret::SecretBytes;
use serde_json::Value;
use store::{Identity, ListQuery, Location, Options, Store};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";
/// Where every history begins.
const BEGINNING: &str = "2026-03-10T09:37:00Z";
const MOST_EVENTS: usize = 24;

pub(crate) fn run(data: &[u8]) {
    thread_local! {
        // A store takes longer to make than a thousand calls; what is in it goes with each history.
        static SERVER: (Runtime, Server) = {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            let server = runtime.block_on(Server::start());
            (runtime, server)
        };
    }
    SERVER.with(|(runtime, server)| runtime.block_on(server.live_through(data)));
}

struct Server {
    clock: Arc<SetClock>,
    store: Store,
    key: (String, SecretBytes),
    router: Router,
    /// With the services they are signed for.
    targets: Vec<(&'static str, &'static str)>,
    _data: TempDir,
}

impl Server {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(SetClock(Mutex::new(beginning())));
        let options = Options {
            identity: Identity {
                partition: "aws".to_owned(),
                region: REGION.to_owned(),
                account_id: ACCOUNT.to_owned(),
            },
            lease: Duration::from_secs(15),
            schedule_limits: Limits::Aws,
            boot_id: "fuzz".to_owned(),
        };
        let keyring = Arc::new(crypto::Keyring::generate().expect("a keyring"));
        let location = Location::Sqlite(data.path().to_owned());
        let store = Store::open(&location, keyring, clock.clone(), options).await.expect("a store");
        let key = store.create_access_key("admin", beginning()).await.expect("an access key");
        let router = router(ApiState {
            store: store.clone(),
            clock: clock.clone(),
            wall: clock.clone(),
            region: REGION.to_owned(),
            account_id: ACCOUNT.to_owned(),
            limits: Limits::Aws,
            builtin: Arc::new(|name| ["postgres", "mysql", "mariadb"].contains(&name)),
            builtins: ["postgres", "mysql", "mariadb"].map(ToOwned::to_owned).to_vec(),
            workbench: None,
            observer: None,
            trail: None,
        });
        let key = (key.access_key_id, key.secret);
        Self { clock, store, key, router, targets: api::fuzzing::targets().collect(), _data: data }
    }

    async fn live_through(&self, data: &[u8]) {
        self.clock.set(beginning());
        for line in data.split(|byte| *byte == b'\n').take(MOST_EVENTS) {
            match line.split_first() {
                None => {}
                Some((b'+', seconds)) => self.clock.pass(seconds),
                Some((b'~', _)) => self.drive().await,
                Some(_) => self.call(line).await,
            }
        }
        self.forget().await;
    }

    async fn call(&self, line: &[u8]) {
        let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let ((target, service), body) = (self.target(&line[..end]), line.get(end + 1..).unwrap_or_default());
        let request = self.signed(target, service, body);
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let status = response.status().as_u16();
        let answer = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        let shown = || format!("{target} {} → {status} {}", body.escape_ascii(), answer.escape_ascii());
        assert!(status == 200 || (400..500).contains(&status), "{}", shown());
        let value: Option<Value> = serde_json::from_slice(&answer).ok();
        let is_error = value.as_ref().is_some_and(|value| value["__type"].is_string());
        let is_reply = answer.is_empty() || value.is_some_and(|value| value.is_object());
        assert!(if status == 200 { is_reply } else { is_error }, "{}", shown());
    }

    fn target(&self, name: &[u8]) -> (&'static str, &'static str) {
        let named = self.targets.iter().find(|(target, _)| {
            target.as_bytes().strip_suffix(name).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with(b"."))
        });
        let sum: usize = name.iter().map(|byte| usize::from(*byte)).sum();
        named.copied().unwrap_or(self.targets[sum % self.targets.len()])
    }

    fn signed(&self, target: &str, service: &str, body: &[u8]) -> Request<Body> {
        let headers =
            [("host", "127.0.0.1:7171"), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body };
        let signer = Signer { access_key_id: &self.key.0, secret: &self.key.1, region: REGION };
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in sign_for(service, &unsigned, &signer, self.clock.now()) {
            request = request.header(name, value);
        }
        request.body(Body::from(body.to_vec())).expect("a request")
    }

    /// What a driver does whose target agrees to everything.
    async fn drive(&self) {
        let claims = self.store.claim("fuzz", &store::Room::everywhere(10), self.clock.now()).await.expect("asked");
        for claim in claims {
            let mut event = Event::Leased;
            while let Some(step) = self.apply(&claim.lease, event).await {
                let outcome = match step {
                    Step::Create => Outcome::Created(
                        SecretBytes::from(r#"{"engine":"postgres","password":"new"}"#),
                        Done::default(),
                    ),
                    Step::Prove => Outcome::Proved(Proof::CurrentLogsIn),
                    Step::Set | Step::Test | Step::Finish | Step::Restore | Step::Retire | Step::Revoke => {
                        Outcome::Done(Done::default())
                    }
                };
                event = Event::Ended { step, outcome };
            }
            self.store.release(&claim.lease).await.expect("given back");
        }
    }

    async fn apply(&self, lease: &engine::port::Lease, event: Event) -> Option<Step> {
        match self.store.apply(lease, event, 0.5).await {
            Ok(decision) => decision.act,
            Err(PortError::Refused(_) | PortError::Fenced) => None,
            Err(PortError::Store(what)) => panic!("the store contradicts itself: {what}"),
        }
    }

    /// The next history begins with nothing.
    async fn forget(&self) {
        loop {
            let all = ListQuery { include_deleted: true, limit: 100, ..ListQuery::default() };
            let page = self.store.list(all).await.expect("listed");
            for secret in &page.items {
                let regions: Vec<_> = secret.replicas.iter().map(|replica| replica.region.clone()).collect();
                if !regions.is_empty() {
                    self.store.remove_replicas(&secret.arn, &regions, self.clock.now()).await.expect("removed");
                }
                self.store.delete_secret(&secret.arn, 0, self.clock.now()).await.expect("deleted");
            }
            if page.items.is_empty() {
                return;
            }
        }
    }
}

struct SetClock(Mutex<Time>);

impl SetClock {
    fn set(&self, now: Time) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// At most ten years at a time.
    fn pass(&self, seconds: &[u8]) {
        let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.trim().parse::<u32>().ok());
        self.set(self.now() + TimeDelta::seconds(i64::from(seconds.unwrap_or(1).min(315_360_000))));
    }
}

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> Time {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_boot(&self) -> Duration {
        (self.now() - beginning()).to_std().expect("no history goes back") + Duration::from_secs(1000)
    }

    async fn sleep(&self, _length: Duration) {}
}

fn beginning() -> Time {
    BEGINNING.parse().expect("an instant")
}
