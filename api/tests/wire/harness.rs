//! A server without a socket: the router over a real store in a temporary directory, with a clock that tests move.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::audit::{NotKept, Record, Trail, Until, Wait};
use api::sigv4::{Signer, Unsigned, sign};
use api::workbench::{Case, CheckReport, NOT_CHECKED, Problem, Report, Workbench};
use api::{ApiState, router};
use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_by_oracle};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use engine::Time;
use engine::check::{self, Finding, Level, Preparation, Prepare, Sessions, Verified};
use engine::outcome::{Done, StepError, Verdict};
use engine::port::{Clock, Options as Settings, RotationStore};
use engine::registration::Registration;
use engine::rotation::{Event, Outcome, Step};
use engine::schedule::Limits;
use engine::secret::SecretBytes;
use serde_json::{Value, json};
use store::{Identity, Location, Options, Principal, Role, Room, Scope, Store, StoreError};
use tempfile::TempDir;
use tower::ServiceExt;

/// The account and region of every test.
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-1";

/// A clock that stands until it is moved; whoever sleeps by it sleeps for ever, or not at all.
pub(crate) struct TestClock {
    now: Mutex<Time>,
    is_impatient: AtomicBool,
}

impl TestClock {
    fn at(text: &str) -> Arc<Self> {
        let now = Mutex::new(text.parse().expect("an instant"));
        Arc::new(Self { now, is_impatient: AtomicBool::new(false) })
    }

    pub(crate) fn advance(&self, by: chrono::TimeDelta) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// From now on every deadline has passed when it is set.
    pub(crate) fn be_impatient(&self) {
        self.is_impatient.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Time {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_boot(&self) -> Duration {
        let since = self.now() - "2026-01-01T00:00:00Z".parse::<Time>().expect("an instant");
        since.to_std().expect("after the start of the year")
    }

    async fn sleep(&self, _length: Duration) {
        if !self.is_impatient.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// Access key id and secret.
pub(crate) type Key = (String, SecretBytes);

pub(crate) struct Server {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Store,
    pub(crate) key: Key,
    /// What the observer was told: operation and status.
    pub(crate) observed: Arc<Mutex<Vec<(String, u16)>>>,
    pub(crate) trail: Arc<Records>,
    router: Router,
    _data: TempDir,
}

/// A reply.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with_limits(Limits::Aws).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let clock = TestClock::at("2026-03-10T09:37:00.123Z");
        let options = Options {
            identity: Identity {
                partition: "aws".to_owned(),
                region: REGION.to_owned(),
                account_id: ACCOUNT.to_owned(),
            },
            lease: Duration::from_secs(15),
            schedule_limits: limits,
            boot_id: "test".to_owned(),
        };
        let keyring = Arc::new(crypto::Keyring::generate().expect("a keyring"));
        let location = Location::Sqlite(data.path().to_owned());
        let store = Store::open(&location, keyring, clock.clone(), options).await.expect("a store");
        let key = new_key(&store, "admin", clock.now()).await;
        let observed = Arc::new(Mutex::new(Vec::new()));
        let seen = observed.clone();
        let trail = Arc::new(Records::default());
        let router = router(ApiState {
            store: store.clone(),
            clock: clock.clone(),
            wall: clock.clone(),
            region: REGION.to_owned(),
            account_id: ACCOUNT.to_owned(),
            limits,
            builtin: Arc::new(|name| ["postgres", "mysql", "mariadb"].contains(&name)),
            builtins: ["postgres", "mysql", "mariadb"].map(ToOwned::to_owned).to_vec(),
            workbench: Some(Arc::new(Bench(store.clone(), clock.clone()))),
            trail: Some(trail.clone()),
            observer: Some(Arc::new(move |op: &str, status, _took| {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((op.to_owned(), status));
            })),
        });
        Self { clock, store, key, observed, trail, router, _data: data }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Signs and sends.
    pub(crate) async fn signed(&self, target: &str, body: &[u8], key: &Key) -> Answer {
        self.signed_at(target, body, key, self.clock.now()).await
    }

    /// Signs with the date `at` and sends.
    pub(crate) async fn signed_at(&self, target: &str, body: &[u8], key: &Key, at: Time) -> Answer {
        self.send(request(target, body, key, None, at)).await
    }

    /// A signed request, with a session token or without, to be sent as it is or changed.
    pub(crate) fn request(&self, target: &str, body: &[u8], key: &Key, token: Option<&str>) -> Request<Body> {
        request(target, body, key, token, self.clock.now())
    }

    /// A key of a new principal.
    pub(crate) async fn key_of(&self, name: &str, role: Role, prefixes: &[&str], secrets: &[&str]) -> Key {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let scope = Scope { prefixes: list(prefixes), secrets: list(secrets) };
        let principal = Principal { name: name.to_owned(), role, scope };
        let key = self.store.create_principal_key(principal, self.clock.now()).await.expect("an access key");
        (key.access_key_id, key.secret)
    }

    /// Calls an operation with this key.
    pub(crate) async fn call_as(&self, key: &Key, target: &str, body: &Value) -> Answer {
        self.signed(target, body.to_string().as_bytes(), key).await
    }

    /// Calls an operation of Parameter Store as this principal: signed for that service, by the official signer.
    pub(crate) async fn call_ssm(&self, op: &str, body: &Value, key: &Key) -> Answer {
        self.signed(&format!("AmazonSSM.{op}"), body.to_string().as_bytes(), key).await
    }

    /// Signs and sends as HTTP/2 does: the host is in the request's target, and there is no header of that name.
    pub(crate) async fn signed_over_http2(&self, target: &str, body: &[u8]) -> Answer {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let signed = [("host", "127.0.0.1:7171"), headers[0], headers[1]];
        let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &signed, body };
        let signer = Signer { access_key_id: &self.key.0, secret: &self.key.1, region: REGION };
        let mut request = Request::post("https://127.0.0.1:7171/").version(axum::http::Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in sign(&unsigned, &signer, self.clock.now()) {
            request = request.header(name, value);
        }
        self.send(request.body(Body::from(body.to_vec())).expect("a request")).await
    }

    /// Calls an operation as the administrator. `pawl.X` is ours, any other name is AWS's.
    pub(crate) async fn call(&self, op: &str, body: Value) -> Answer {
        let target = if op.contains('.') { op.to_owned() } else { format!("secretsmanager.{op}") };
        self.signed(&target, body.to_string().as_bytes(), &self.key).await
    }

    /// Calls, and expects success.
    pub(crate) async fn ok(&self, op: &str, body: Value) -> Value {
        let answer = self.call(op, body).await;
        assert_eq!(answer.status, 200, "{op}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Calls, and expects this error with status 400. The spelling of `Message` is checked, too.
    pub(crate) async fn refused(&self, op: &str, body: Value, code: &str, message: &str) {
        let answer = self.call(op, body.clone()).await;
        let key = if ["ValidationException", "AccessDeniedException"].contains(&code) { "message" } else { "Message" };
        assert_eq!(answer.json(), json!({ "__type": code, key: message }), "{op} {body}");
        assert_eq!(answer.status, 400, "{op} {body}");
    }

    /// Creates a secret with a first version of token `v1`.
    pub(crate) async fn create(&self, name: &str) -> String {
        let reply =
            self.ok("CreateSecret", json!({"Name": name, "ClientRequestToken": v(1), "SecretString": "value-1"})).await;
        reply["ARN"].as_str().expect("an ARN").to_owned()
    }

    /// Does what a driver does with the one trial that is due: the target lets it in, or refuses it with these words.
    pub(crate) async fn end_trial(&self, refusal: Option<&str>) {
        let claim = self.store.claim("test", &Room::everywhere(1), self.clock.now()).await.expect("asked").remove(0);
        self.store.apply(&claim.lease, Event::Leased, 0.0).await.expect("begun");
        let outcome = match refusal {
            None => Outcome::Done(Done::default()),
            Some(message) => Outcome::Failed(StepError::new(Verdict::Rejected, "28P01", message)),
        };
        let ended = Event::Ended { step: Step::Test, outcome };
        self.store.apply(&claim.lease, ended, 0.0).await.expect("reported");
        self.store.release(&claim.lease).await.expect("given back");
    }

    /// VersionIdsToStages, or the empty object.
    pub(crate) async fn stages(&self, name: &str) -> Value {
        let description = self.ok("DescribeSecret", json!({ "SecretId": name })).await;
        description.get("VersionIdsToStages").cloned().unwrap_or_else(|| json!({}))
    }
}

/// An audit trail in memory.
#[derive(Default)]
pub(crate) struct Records {
    taken: Mutex<Vec<(Value, Until)>>,
    state: AtomicU8,
}

impl Records {
    /// From now on nothing can be written, and everybody knows.
    pub(crate) fn go_down(&self) {
        self.state.store(1, Ordering::Relaxed);
    }

    /// From now on everything can be written again.
    pub(crate) fn come_back(&self) {
        self.state.store(0, Ordering::Relaxed);
    }

    /// From now on nothing can be written, and nobody has noticed.
    pub(crate) fn fail_unnoticed(&self) {
        self.state.store(2, Ordering::Relaxed);
    }

    /// What has been taken since the last time this was asked.
    pub(crate) fn since(&self) -> Vec<(Value, Until)> {
        std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one record there is since.
    pub(crate) fn one(&self) -> (Value, Until) {
        let mut records = self.since();
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }
}

impl Trail for Records {
    fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) != 1
    }

    fn take(&self, record: &Record<'_>, until: Until) -> Option<Wait> {
        let record = serde_json::to_value(record).expect("JSON");
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push((record, until));
        let outcome = if self.state.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err(NotKept) };
        (until == Until::Synced).then(|| Box::pin(async move { outcome }) as Wait)
    }
}

/// Reaches out to nobody, and says what it was asked.
struct Bench(Store, Arc<TestClock>);

#[async_trait]
impl Workbench for Bench {
    async fn accepts(&self, registration: &Registration) -> Result<(), String> {
        match format!("{:?}", registration.settings).contains("169.254.") {
            true => Err("The egress policy of this server refuses 169.254.169.254.".to_owned()),
            false => Ok(()),
        }
    }

    async fn test(&self, rotator: &str, secret_id: &str, run: Option<&str>) -> Result<Report, Problem> {
        match rotator {
            "hook" => Ok(match run {
                None => Report { run: "run-1".to_owned(), finished: false, cases: vec![] },
                Some(run) => Report { run: run.to_owned(), finished: true, cases: vec![case(secret_id)] },
            }),
            _ => Err(Problem::Refused(format!("{rotator} cannot be tested."))),
        }
    }

    async fn check(&self, rotator: Option<&str>, secret_id: &str) -> Result<CheckReport, Problem> {
        match secret_id {
            "broken" => Err(Problem::Failed("canary: the network is gone".to_owned())),
            "gone" => Err(StoreError::SecretNotFound.into()),
            _ => Ok(CheckReport { rotator: rotator.unwrap_or("own").to_owned(), cases: vec![case(secret_id)] }),
        }
    }

    async fn sessions(&self, secret_id: &str) -> Result<Option<Vec<Sessions>>, Problem> {
        match secret_id {
            id if id.contains("secret:closed") => Err(Problem::Refused("The target did not answer.".to_owned())),
            id if id.contains("secret:db") => {
                Ok(Some(vec![Sessions { user: "app".to_owned(), from: "10.0.0.7".to_owned(), count: 2 }]))
            }
            _ => Ok(None),
        }
    }

    async fn may_rotate(&self, rotator: &str, _: &str) -> Result<(), Problem> {
        match rotator {
            "picky" => Err(Problem::Refused("The account may not change its password.".to_owned())),
            _ => Ok(()),
        }
    }

    async fn verify(&self, secret_id: &str, by: &str) -> Result<(), Problem> {
        let looked = self.0.look_at(secret_id, "bench", self.1.now()).await?;
        let Some(look) = looked else { return Err(Problem::Refused("Somebody else is at it.".to_owned())) };
        let found = match secret_id {
            "drifted" => Ok(Verified::AnotherLogsIn { role: "AWSPREVIOUS".to_owned() }),
            "away" => Err(StepError::new(Verdict::Retry, "away", "The server is away.")),
            _ => Ok(Verified::CurrentLogsIn),
        };
        self.0.looked(&look, &found, by, self.1.now()).await?;
        Ok(())
    }

    async fn preflight(
        &self,
        secret_id: &str,
        rotator: Option<&str>,
        options: Option<Settings>,
    ) -> Result<check::Report, Problem> {
        self.0.sight(secret_id, None, self.1.now()).await?;
        let finding = match secret_id {
            "trusting" => {
                Finding::new(Level::Problem, "trust", "A wrong password logs in").remedy("change pg_hba.conf")
            }
            "away" => Finding::new(Level::Problem, NOT_CHECKED, "The server is away"),
            "pair" | "tagged" | "rotated" => Finding::new(Level::Ok, "existing-pair", "Two accounts take turns"),
            _ => Finding::new(Level::Ok, "asked", format!("{rotator:?} {}", options.is_some())),
        };
        let statements = vec!["ALTER ROLE app PASSWORD '…'".to_owned()];
        Ok(check::Report { findings: vec![finding], statements, ..check::Report::default() })
    }

    async fn prepare(&self, secret_id: &str, what: Prepare, by: &str) -> Result<Preparation, Problem> {
        let said = Finding::new(Level::Ok, "asked", format!("{what:?} of {secret_id} by {by}"));
        Ok(Preparation { findings: vec![said], ..Preparation::default() })
    }

    fn paused_until(&self, rotator: &str) -> Option<Time> {
        (rotator == "broken").then_some(Time::UNIX_EPOCH)
    }

    fn endpoint(&self) -> Option<&str> {
        Some("https://pawl.example:7171")
    }
}

fn case(detail: &str) -> Case {
    Case { name: "case".to_owned(), passed: true, why: "why".to_owned(), detail: detail.to_owned() }
}

/// Signed for the service that the operation belongs to.
fn request(target: &str, body: &[u8], key: &Key, token: Option<&str>, at: Time) -> Request<Body> {
    match target.starts_with("AmazonSSM.") {
        true => request_for("ssm", target, body, key, at),
        false => request_of_ours(target, body, key, token, at),
    }
}

/// Signed by the official signer, for any service.
pub(crate) fn request_for(service: &str, target: &str, body: &[u8], key: &Key, at: Time) -> Request<Body> {
    let headers =
        [("host", "127.0.0.1:7171"), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
    let secret = key.1.expose_str().expect("text");
    let identity = Credentials::new(key.0.as_str(), secret, None, None, "test").into();
    let params = v4::SigningParams::builder().identity(&identity).region(REGION).name(service);
    let params = params.time(at.into()).settings(SigningSettings::default()).build();
    let params = params.expect("complete parameters").into();
    let uri = "http://127.0.0.1:7171/";
    let signable = SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(body));
    let (instructions, _) = sign_by_oracle(signable.expect("signable"), &params).expect("signed").into_parts();
    let mut request = Request::post("/");
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_vec())).expect("a request")
}

fn request_of_ours(target: &str, body: &[u8], key: &Key, token: Option<&str>, at: Time) -> Request<Body> {
    let mut headers =
        vec![("host", "127.0.0.1:7171"), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body };
    let signer = Signer { access_key_id: &key.0, secret: &key.1, region: REGION };
    let mut request = Request::post("/");
    for (name, value) in &headers {
        request = request.header(*name, *value);
    }
    for (name, value) in sign(&unsigned, &signer, at) {
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_vec())).expect("a request")
}

pub(crate) async fn new_key(store: &Store, principal: &str, now: Time) -> Key {
    let key = match principal {
        "admin" => store.create_access_key(principal, now).await,
        _ => store.create_principal_key(reader_of_nothing(principal), now).await,
    };
    let key = key.expect("an access key");
    (key.access_key_id, key.secret)
}

fn reader_of_nothing(name: &str) -> Principal {
    Principal { name: name.to_owned(), role: Role::Reader, scope: Scope::default() }
}

/// The targets of all operations there are, as the table in the source has them.
pub(crate) fn targets() -> Vec<&'static str> {
    let table = include_str!("../../src/op.rs").lines().filter(|line| line.trim_end().ends_with("::Request;"));
    let targets: Vec<_> = table.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(targets.len() >= 27 && targets.contains(&"secretsmanager.GetSecretValue"), "{targets:?}");
    targets
}

/// A token, and so a version id.
pub(crate) fn v(n: u32) -> String {
    format!("version-{n:028}")
}
