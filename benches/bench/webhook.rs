//! Rotation by webhook: beside the bare HTTP calls that it is made of, and a thousand at once against a slow receiver.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::sigv4::{Signer, Unsigned, sign};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use engine::driver::{Ports, drive};
use engine::id::VersionId;
use engine::port::{Clock, Material, Rotator};
use engine::registration::{Keys, Kind, Settings as Registered, Webhook};
use engine::secret::SecretValue;
use pawl::boot::open_store;
use pawl::clock::SystemClock;
use pawl::config::{ServeArgs, Settings, credentials_path};
use pawl::desk::ServerDesk;
use rotators::{CallerSettings, Callers};
use serde_json::{Value, json};
use store::{NewRotator, NewSecret, Room, Rotate, Serves, Start, Store, new_signing_key};

use crate::{median, percentile};

/// Rotations that are timed for each receiver.
const ROTATIONS: usize = 40;
/// How long a receiver takes for a step.
const RECEIVERS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100)];
/// Rotations at once against a receiver that takes [`SLOW`].
const STORM: usize = 1000;
const SLOW: Duration = Duration::from_secs(2);
/// Rotations of another rotator, one after another, while nothing else is done and during the storm.
const OTHERS: usize = 150;
const BETWEEN: Duration = Duration::from_millis(20);

pub(crate) async fn run() {
    beside_bare_calls().await;
    storm().await;
}

/// A receiver in this process that takes its time for each step, and notes when the first one of each secret came.
#[derive(Clone, Default)]
struct Receiver {
    takes: Duration,
    first: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Receiver {
    async fn listen(self) -> String {
        let app = Router::new().route("/", post(answer)).with_state(self);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let listener = listener.into_std().expect("a listener");
        tokio::spawn(axum_server::from_tcp(listener).expect("a server").serve(app.into_make_service()));
        url
    }
}

async fn answer(State(receiver): State<Receiver>, body: String) -> ([(&'static str, &'static str); 1], &'static str) {
    let came = Instant::now();
    let event: Value = serde_json::from_str(&body).unwrap_or_default();
    if let Some(secret) = event["SecretId"].as_str() {
        receiver.first.lock().expect("no panic").entry(secret.to_owned()).or_insert(came);
    }
    tokio::time::sleep(receiver.takes).await;
    ([("content-type", "application/json")], r#"{"Status":"Done"}"#)
}

async fn beside_bare_calls() {
    println!("\n### (f) A webhook rotation (three deliveries, every commit durable) beside three bare HTTP calls\n");
    println!("| the receiver takes | a rotation by Pawl | three bare calls | ratio (median of {ROTATIONS}) |");
    println!("|--:|--:|--:|--:|");
    for takes in RECEIVERS {
        let url = Receiver { takes, ..Receiver::default() }.listen().await;
        let folder = tempfile::tempdir().expect("a folder");
        let args = ServeArgs { data: Some(folder.path().to_owned()), ..ServeArgs::default() };
        let store =
            open_store(&Settings::load(&args).expect("settings"), Arc::new(SystemClock)).await.expect("a store");
        register(&store, "hook", &url, 1).await;
        create(&store, "bench", "hook").await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let desk = ServerDesk { store: store.clone(), clock, endpoint: None, region: "us-east-1".to_owned() };
        let callers = Callers::new(CallerSettings::default(), Arc::new(desk)).expect("callers");
        let registration = store.rotator("hook").await.expect("read").expect("it is there");
        let rotator = callers.rotator(&registration);
        let bare = reqwest::Client::new();
        let body = json!({"Step": "setSecret", "SecretId": "bare", "Pending": "x".repeat(800)}).to_string();
        let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
        for _ in 0..ROTATIONS {
            let began = Instant::now();
            rotate(&store, rotator.as_ref()).await;
            let rotated = began.elapsed().as_secs_f64() * 1e3;
            let began = Instant::now();
            for _ in 0..3 {
                let answer = bare.post(&url).body(body.clone()).send().await.expect("answered");
                answer.text().await.expect("a body");
            }
            let called = began.elapsed().as_secs_f64() * 1e3;
            ours.push(rotated);
            theirs.push(called);
            ratios.push(rotated / called);
        }
        println!(
            "| {} ms | {:.1} ms | {:.1} ms | {:.2} |",
            takes.as_millis(),
            median(ours),
            median(theirs),
            median(ratios)
        );
    }
}

async fn register(store: &Store, name: &str, url: &str, concurrency: u32) {
    let webhook = Webhook::managed(url);
    let settings = Registered {
        kind: Kind::Webhook(webhook),
        timeout_seconds: 10,
        concurrency,
        ca: None,
        client_certificate: None,
    };
    let now = SystemClock.now();
    let keys = Keys { signing: vec![new_signing_key(now)], ..Keys::default() };
    store
        .create_rotator(NewRotator { name: name.to_owned(), settings, keys, disabled: false }, now)
        .await
        .expect("registered");
}

/// A secret whose rotation is configured, and waits.
async fn create(store: &Store, name: &str, rotator: &str) {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let now = SystemClock.now();
    let new = NewSecret {
        name: name.to_owned(),
        token: VersionId::random(&mut rng),
        value: Some(SecretValue::text(r#"{"username":"app","password":"the-first-password"}"#)),
        description: None,
        kms_key_id: None,
        tags: None,
        replicas: vec![],
        kind: None,
        by: "bench".to_owned(),
    };
    store.create_secret(new, now).await.expect("created");
    store.rotate(name, asked(rotator, Start::Wait, &mut rng), now).await.expect("configured");
}

fn asked(rotator: &str, start: Start, rng: &mut rand::rngs::StdRng) -> Rotate {
    Rotate {
        token: VersionId::random(rng),
        rotator: Some(rotator.to_owned()),
        rules: None,
        time_zone: None,
        options: None,
        start,
        external: store::External::default(),
        by: "bench".to_owned(),
        serves: Some(Serves::Registered(rotator.to_owned())),
    }
}

async fn rotate(store: &Store, rotator: &dyn Rotator) {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    store.rotate("bench", asked("hook", Start::Rotate, &mut rng), SystemClock.now()).await.expect("asked for");
    let room =
        Room { builtin: 0, lanes: HashMap::from([("hook".to_owned(), 1)]), default_lane: 0, resumes_only: false };
    // The wall clock of a virtual machine may step back between asking and claiming.
    let lease = loop {
        let claims = store.claim("bench", &room, SystemClock.now()).await.expect("asked");
        if let Some(claim) = claims.into_iter().next() {
            break claim.lease;
        }
    };
    let pick = |_: &Material| Some(rotator);
    let ports = Ports { store, rotator: &pick, clock: &SystemClock, observer: &|_| {} };
    drive(ports, &lease, None, &mut rng).await.expect("driven");
    let view = store.rotation("bench").await.expect("read");
    assert_eq!(view.rotation.state_name(), "idle", "{:?}", view.rotation);
}

async fn storm() {
    let quick = Receiver::default();
    let slow = Receiver { takes: SLOW, ..Receiver::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let args = ServeArgs { data: Some(folder.path().to_owned()), ..ServeArgs::default() };
    let settings = Settings::load(&args).expect("settings");
    {
        let store = open_store(&settings, Arc::new(SystemClock)).await.expect("a store");
        register(&store, "quick", &quick.clone().listen().await, 32).await;
        register(&store, "slow", &slow.clone().listen().await, u32::try_from(STORM).expect("few")).await;
        for number in 0..2 * OTHERS {
            create(&store, &format!("quick/{number}"), "quick").await;
        }
        for number in 0..STORM {
            create(&store, &format!("slow/{number}"), "slow").await;
        }
    }
    let server = Served::start(&settings).await;
    let calm = others(&server, &quick, 0).await;
    let before = server.resident_mib();
    let began = Instant::now();
    for number in 0..STORM {
        server.rotate(&format!("slow/{number}")).await;
    }
    let asked = began.elapsed();
    let stormy = others(&server, &quick, OTHERS).await;
    let during = server.resident_mib();
    let came = slow.first.lock().expect("no panic").len();
    println!("\n### (g) {STORM} rotations at once against a receiver that takes {} s a step\n", SLOW.as_secs());
    println!(
        "{came} of them had been delivered {:.1} s after the first was asked for (asking took {:.1} s).",
        began.elapsed().as_secs_f64(),
        asked.as_secs_f64()
    );
    println!("\n| {OTHERS} rotations of another rotator | asked for to delivered, median | p99 |");
    println!("|---|--:|--:|");
    for (when, mut times) in [("nothing else under way", calm), ("during the storm", stormy)] {
        times.sort_unstable();
        let shown = |share| percentile(&times, share).as_secs_f64() * 1e3;
        println!("| {when} | {:.1} ms | {:.1} ms |", shown(0.5), shown(0.99));
    }
    println!("\nResident memory of the server: {before:.1} MiB before, {during:.1} MiB during the storm.");
    server.stop();
}

/// From asking for a rotation to its first delivery, one after another.
async fn others(server: &Served, receiver: &Receiver, from: usize) -> Vec<Duration> {
    let mut asked = vec![];
    for number in from..from + OTHERS {
        let began = Instant::now();
        asked.push((server.rotate(&format!("quick/{number}")).await, began));
        tokio::time::sleep(BETWEEN).await;
    }
    let patience = Instant::now();
    loop {
        let came = receiver.first.lock().expect("no panic").clone();
        let times: Option<Vec<Duration>> =
            asked.iter().map(|(arn, began)| came.get(arn).map(|came| came.duration_since(*began))).collect();
        if let Some(times) = times {
            return times;
        }
        assert!(patience.elapsed() < Duration::from_secs(60), "not all were delivered");
        tokio::time::sleep(BETWEEN).await;
    }
}

/// A server of its own process.
struct Served {
    process: Child,
    address: String,
    access_key_id: String,
    secret: engine::secret::SecretBytes,
    http: reqwest::Client,
}

impl Served {
    async fn start(settings: &Settings) -> Self {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let process = Command::new(env!("CARGO_BIN_EXE_pawl"))
            .args(["serve", "--listen", &address, "--data"])
            .arg(&settings.data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pawl starts");
        let http = reqwest::Client::new();
        while http.get(format!("http://{address}/readyz")).send().await.is_err() {
            tokio::time::sleep(BETWEEN).await;
        }
        let text = std::fs::read_to_string(credentials_path(&settings.data)).expect("the first key");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            line.trim_start_matches([' ', '=']).to_owned()
        };
        let secret = field("aws_secret_access_key").as_str().into();
        Self { process, address, access_key_id: field("aws_access_key_id"), secret, http }
    }

    /// Asks for a rotation and returns the secret's ARN.
    async fn rotate(&self, name: &str) -> String {
        let token = VersionId::random(&mut rand::rng());
        let body = json!({"SecretId": name, "ClientRequestToken": token.as_str()}).to_string();
        let headers = [
            ("host", self.address.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.RotateSecret"),
        ];
        let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
        let signer = Signer { access_key_id: &self.access_key_id, secret: &self.secret, region: "us-east-1" };
        let mut request = self.http.post(format!("http://{}/", self.address));
        for (name, value) in &headers[1..] {
            request = request.header(*name, *value);
        }
        for (name, value) in sign(&unsigned, &signer, SystemClock.now()) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.expect("answered");
        let (status, answer) = (answer.status(), answer.json::<Value>().await.expect("JSON"));
        assert!(status.is_success(), "{answer}");
        answer["ARN"].as_str().expect("an ARN").to_owned()
    }

    fn resident_mib(&self) -> f64 {
        crate::fleet::resident_mib(self.process.id())
    }

    fn stop(mut self) {
        self.process.kill().expect("our own child");
        self.process.wait().expect("it ends");
    }
}
