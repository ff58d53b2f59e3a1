//! A rotator for Pawl: gives a Redis ACL user a new password while the old one still works.
//!
//! Receives the events of docs/writing-a-rotator.md, version 1, in managed mode: Pawl makes and keeps the values, this
//! program tells Redis about them. Redis lets a user have several passwords, so there is no moment at which a service
//! with AWSCURRENT is refused. This file owns the HTTP side: signature, deadline, answers; `steps.rs` has the steps,
//! `redis.rs` the protocol. Never here: a password in a log or an answer.
//!
//!     PAWL_WEBHOOK_KEYS   the keys `pawl rotator add` and `rotate-key` printed, separated by spaces
//!     REDIS_ADDRESS       the Redis that is served, as 127.0.0.1:6379; this example speaks no TLS to it
//!     REDIS_ADMIN, REDIS_ADMIN_PASSWORD   who may change its users
//!     LISTEN              where events come in, 127.0.0.1:8080 where not set

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own, which says what it does")]
#![expect(clippy::disallowed_methods, reason = "a program of its own, with its own environment and clock")]

mod redis;
mod steps;

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use redis::Server;

const LONGEST_EVENT: usize = 1 << 20;

/// What this rotator is started with.
struct Settings {
    keys: Vec<Webhook>,
    redis: Server,
}

/// As much of an event as this rotator needs; members it does not know are no error.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    step: String,
    mode: String,
    secret_id: String,
    deadline: chrono::DateTime<chrono::Utc>,
    timeout_seconds: u64,
    current: Option<Secret>,
    pending: Option<Secret>,
    #[serde(default)]
    others: Vec<Secret>,
    #[serde(default)]
    restoring: bool,
}

/// A value of a secret. No `Debug`, so that it cannot be printed by mistake.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    secret_string: Option<String>,
}

/// Why a step was not done.
enum Problem {
    /// What Pawl is told.
    Known { status: StatusCode, kind: &'static str, code: &'static str, message: String },
    /// Whether the change was made is not known: Pawl looks what is true.
    Unknown(std::io::Error),
}

impl Problem {
    fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self::Known { status: StatusCode::SERVICE_UNAVAILABLE, kind: "Retryable", code, message: message.into() }
    }

    fn rejected(code: &'static str, message: impl Into<String>) -> Self {
        Self::Known { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "Rejected", code, message: message.into() }
    }

    fn needs_person(code: &'static str, message: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, code, message)
    }

    fn refused(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Known { status, kind: "NeedsPerson", code, message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Known { status, kind, code, message } => {
                eprintln!("{code}: {message}");
                let error = json!({ "Kind": kind, "Code": code, "Message": message });
                answer(status, &json!({ "Status": "Error", "Error": error }))
            }
            // A 500 without our body says just that.
            Self::Unknown(error) => {
                eprintln!("unknown outcome: {error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn receive(State(settings): State<Arc<Settings>>, headers: HeaderMap, body: Bytes) -> Response {
    let received = Instant::now();
    // A task of its own: it runs to its end when Pawl hangs up in the middle.
    let work = async move {
        let event = understood(&settings, &headers, &body)?;
        let until = received + left(&event);
        steps::carry_out(&settings.redis, &event, until).await?;
        println!("{} of {}: done", event.step, event.secret_id);
        Ok(())
    };
    match tokio::spawn(work).await.unwrap_or_else(|panic| Err(Problem::Unknown(panic.into()))) {
        Ok(()) => answer(StatusCode::OK, &json!({ "Status": "Done" })),
        Err(problem) => problem.into_response(),
    }
}

/// The event, if one of our keys signed it within the last five minutes and it is of the version we speak.
fn understood(settings: &Settings, headers: &HeaderMap, body: &[u8]) -> Result<Event, Problem> {
    if !settings.keys.iter().any(|key| key.verify(body, headers).is_ok()) {
        let why = "no key of PAWL_WEBHOOK_KEYS signed this, or the clocks differ";
        return Err(Problem::refused(StatusCode::UNAUTHORIZED, "bad-signature", why));
    }
    let bad = |code, why| Problem::refused(StatusCode::BAD_REQUEST, code, why);
    let json: Value = serde_json::from_slice(body).map_err(|_| bad("bad-event", "not JSON"))?;
    if json["Version"] != 1 {
        return Err(bad("unknown-version", "this rotator speaks version 1 of the contract"));
    }
    // What is wrong is not repeated: it may be a value.
    let event: Event = serde_json::from_value(json).map_err(|_| bad("bad-event", "a member is missing or wrong"))?;
    if event.mode == "managed" { Ok(event) } else { Err(bad("unknown-mode", "this rotator is for managed mode")) }
}

/// How long the event may still be acted on. Both are looked at, so that neither a clock that is behind nor a slow
/// connection makes it longer.
fn left(event: &Event) -> Duration {
    let deadline = SystemTime::from(event.deadline).duration_since(SystemTime::now()).unwrap_or_default();
    deadline.min(Duration::from_secs(event.timeout_seconds))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
    let keys = set("PAWL_WEBHOOK_KEYS")?.split_whitespace().map(Webhook::new).collect::<Result<_, _>>()?;
    let redis = Server::new(&set("REDIS_ADDRESS")?, set("REDIS_ADMIN")?, set("REDIS_ADMIN_PASSWORD")?)?;
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let receiver = Router::new()
        .route("/", post(receive))
        .layer(DefaultBodyLimit::max(LONGEST_EVENT))
        .with_state(Arc::new(Settings { keys, redis }));
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("redis-rotator listens on {}", listener.local_addr()?);
    Ok(axum::serve(listener, receiver).await?)
}
