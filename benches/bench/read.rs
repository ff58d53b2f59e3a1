//! GetSecretValue over HTTP with the signature verified, beside a bare axum handler that returns the same bytes, and
//! beside the same API without an audit trail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::ApiState;
use api::sigv4::{Signer, Unsigned, sign};
use axum::Router;
use axum::routing::post;
use engine::id::VersionId;
use engine::port::Clock;
use engine::schedule::Limits;
use engine::secret::SecretValue;
use pawl::boot::Server;
use pawl::clock::SystemClock;
use pawl::config::{ServeArgs, Settings};
use pawl::metrics::Metrics;
use store::{NewSecret, Principal, Role, Scope, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::{median, percentile};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const VALUE: &str = r#"{"engine":"postgres","host":"db.example","port":5432,"username":"app","password":"a-32-character-password-goes-here","dbname":"app"}"#;

pub(crate) async fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ServeArgs {
        data: Some(folder.path().to_owned()),
        listen: Some(([127, 0, 0, 1], 0).into()),
        ..ServeArgs::default()
    };
    let server = Server::start(&Settings::load(&args).expect("settings")).await.expect("starts");
    let address = server.address.to_string();
    let request = signed_request(&server, &address).await;
    let (stop, shutdown) = watch::channel(false);
    let untold = without_trail(server.store.clone()).await;
    let serving = tokio::spawn(server.run(shutdown));

    let answer = once(&address, &request).await;
    let body = answer.split("\r\n\r\n").nth(1).expect("a body").to_owned();
    assert!(answer.starts_with("HTTP/1.1 200") && body.contains("a-32-character-password"), "{answer}");
    let bare = bare_axum(body).await;

    println!(
        "\n### (a) GetSecretValue over HTTP, signature verified, beside a bare axum handler with the same bytes\n"
    );
    println!(
        "| connections | Pawl req/s | axum req/s | ratio (median of {ROUNDS}) | without a trail | Pawl p99 | axum p99 |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for connections in [1, 16, 64] {
        let (mut ours, mut theirs, mut ratios, mut untold_ratios) = (Load::default(), Load::default(), vec![], vec![]);
        for _ in 0..ROUNDS {
            // Side by side, so that a busy moment of the machine meets both.
            let pawl = load(&address, &request, connections).await;
            let axum = load(&bare, &request, connections).await;
            let silent = load(&untold, &request, connections).await;
            ratios.push(pawl.rate() / axum.rate());
            untold_ratios.push(silent.rate() / axum.rate());
            ours.add(pawl);
            theirs.add(axum);
        }
        println!(
            "| {connections} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} ms | {:.2} ms |",
            ours.rate(),
            theirs.rate(),
            median(ratios),
            median(untold_ratios),
            ours.p99(),
            theirs.p99()
        );
    }
    stop.send(true).expect("it serves");
    serving.await.expect("it ends").expect("in good order");
}

/// A request as an SDK sends it; a signature is good for five minutes.
async fn signed_request(server: &Server, address: &str) -> Vec<u8> {
    let now = SystemClock.now();
    let token = VersionId::new("bench-token-bench-token-bench-token").expect("35 characters");
    let new = NewSecret {
        name: "bench".to_owned(),
        token,
        value: Some(SecretValue::text(VALUE)),
        description: None,
        kms_key_id: None,
        tags: None,
        replicas: vec![],
        kind: None,
        by: "bench".to_owned(),
    };
    server.store.create_secret(new, now).await.expect("created");
    // As a service has it: its scope is looked at with every read.
    let scope = Scope { prefixes: vec!["ben".to_owned()], secrets: Vec::new() };
    let reader = Principal { name: "reader".to_owned(), role: Role::Reader, scope };
    let key = server.store.create_principal_key(reader, now).await.expect("a key");
    let body = r#"{"SecretId":"bench"}"#;
    let headers = [
        ("host", address),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.GetSecretValue"),
    ];
    let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
    let signer = Signer { access_key_id: &key.access_key_id, secret: &key.secret, region: "us-east-1" };
    let mut text = "POST / HTTP/1.1\r\n".to_owned();
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in sign(&unsigned, &signer, now) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// The same API over the same store, with metrics and all, but no audit trail.
async fn without_trail(store: Store) -> String {
    let metrics = Arc::new(Metrics::default());
    let state = ApiState {
        store,
        clock: Arc::new(SystemClock),
        wall: Arc::new(SystemClock),
        region: "us-east-1".to_owned(),
        account_id: "000000000000".to_owned(),
        limits: Limits::Aws,
        builtin: Arc::new(|_| false),
        builtins: vec![],
        workbench: None,
        observer: Some(Arc::new(move |operation, status, took| metrics.call_ended(operation, status, took))),
        trail: None,
    };
    listen(api::router(state)).await
}

async fn bare_axum(body: String) -> String {
    let body: Arc<str> = body.into();
    let handler = move |_request: String| {
        let body = Arc::clone(&body);
        async move { ([("content-type", "application/x-amz-json-1.1")], body.to_string()) }
    };
    listen(Router::new().route("/", post(handler))).await
}

async fn listen(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let listener = listener.into_std().expect("a listener");
    tokio::spawn(axum_server::from_tcp(listener).expect("a server").serve(app.into_make_service()));
    address
}

#[derive(Default)]
struct Load {
    answers: Vec<Duration>,
    took: Duration,
}

impl Load {
    fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let count = self.answers.len() as f64;
        count / self.took.as_secs_f64()
    }

    fn add(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.took += other.took;
    }

    fn p99(&mut self) -> f64 {
        self.answers.sort_unstable();
        percentile(&self.answers, 0.99).as_secs_f64() * 1e3
    }
}

async fn load(address: &str, request: &[u8], connections: usize) -> Load {
    let began = Instant::now();
    let mut tasks = vec![];
    for _ in 0..connections {
        let (address, request) = (address.to_owned(), request.to_vec());
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await.expect("connects");
            stream.set_nodelay(true).expect("a socket");
            let mut buffer = vec![0; 16 * 1024];
            let mut answers = vec![];
            while began.elapsed() < ROUND {
                let sent = Instant::now();
                exchange(&mut stream, &request, &mut buffer).await;
                answers.push(sent.elapsed());
            }
            answers
        }));
    }
    let mut load = Load::default();
    for task in tasks {
        load.answers.extend(task.await.expect("no panic"));
    }
    load.took = began.elapsed();
    load
}

async fn once(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let mut buffer = vec![0; 16 * 1024];
    let length = exchange(&mut stream, request, &mut buffer).await;
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// One request, one whole answer.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> usize {
    stream.write_all(request).await.expect("sent");
    let mut have = 0;
    loop {
        have += stream.read(&mut buffer[have..]).await.expect("answered");
        if let Some(whole) = whole_answer(&buffer[..have]) {
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..have]));
            return whole;
        }
        assert!(have < buffer.len(), "the answer is longer than expected");
    }
}

fn whole_answer(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let whole = head + length.trim().parse::<usize>().ok()?;
    (bytes.len() >= whole).then_some(whole)
}
