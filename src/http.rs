//! The listener: the API, health and metrics, in plain text or TLS, with a graceful end.

mod listener;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use engine::port::Clock;
use hyper_util::rt::TokioTimer;
use rotators::Callers;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::Metrics;
pub(crate) use listener::raise_file_limit;
use listener::{Capped, Patience, Peer, room};

/// How long requests in flight may still take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the head of a request may take to come; a connection that is kept alive without one is closed as well.
const HEAD: Duration = Duration::from_secs(30);
/// What ends connections that have no head to wait for: before their first byte, and those of HTTP/2.
const PATIENCE: Patience = Patience { first: HEAD, later: Duration::from_secs(90) };
/// How often the certificate's files are looked at.
const CERTIFICATE_POLL: Duration = Duration::from_secs(2);

/// What health and metrics look at.
#[derive(Clone)]
pub struct Probes {
    /// The store, for readiness and counts.
    pub store: Store,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The time, for what is due.
    pub clock: Arc<dyn Clock>,
    /// Which registered rotators are left alone just now.
    pub callers: Callers,
}

/// `/healthz`, `/readyz` and `/metrics`: no signature, no secret.
pub fn probes(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn ready(State(probes): State<Probes>) -> impl IntoResponse {
    match probes.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
    }
}

async fn metrics(State(probes): State<Probes>) -> impl IntoResponse {
    let counts = match probes.store.rotation_counts(probes.clock.now()).await {
        Ok(counts) => counts,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, PLAIN)], format!("{error}\n")),
    };
    match probes.metrics.render(&counts, &probes.broken().await) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPENMETRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, PLAIN)], format!("{error}\n")),
    }
}

impl Probes {
    /// The rotators whose breaker is open; none where the store cannot say which there are.
    async fn broken(&self) -> Vec<String> {
        let lanes = self.store.lanes().await.unwrap_or_default();
        let open = |name: &str| self.callers.breaker(name).open_until.is_some_and(|until| self.clock.now() < until);
        lanes.into_iter().map(|lane| lane.name).filter(|name| open(name)).collect()
    }
}

const CONTENT_TYPE: &str = "content-type";
const PLAIN: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM chain.
    pub cert: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// Serves until `shutdown` says true and requests in flight are answered.
///
/// # Errors
/// The listener's, or the certificate's at the start.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    tls: Option<TlsFiles>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let handle = Handle::<Peer>::new();
    let stop = handle.clone();
    tokio::spawn(async move {
        // An error means the sender is gone, which is the end as well.
        let _ended = shutdown.wait_for(|stop| *stop).await;
        stop.graceful_shutdown(Some(DRAIN));
    });
    let server = Server::from_listener(Capped::new(listener, room(), PATIENCE)).handle(handle);
    // The audit trail names the other end of each connection.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        None => with_deadlines(server).serve(service).await,
        Some(files) => {
            let config = RustlsConfig::from_pem_file(&files.cert, &files.key).await?;
            tokio::spawn(reload(config.clone(), files));
            with_deadlines(server.acceptor(RustlsAcceptor::new(config))).serve(service).await
        }
    }
}

fn with_deadlines<A>(mut server: Server<Peer, A>) -> Server<Peer, A> {
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    server
}

/// Reads the certificate again whenever one of its files changes; a broken pair is reported and the old one stays.
async fn reload(config: RustlsConfig, files: TlsFiles) {
    let mut seen = modified(&files);
    loop {
        tokio::time::sleep(CERTIFICATE_POLL).await;
        let now = modified(&files);
        if now == seen {
            continue;
        }
        match config.reload_from_pem_file(&files.cert, &files.key).await {
            Ok(()) => tracing::info!("the TLS certificate was read again"),
            Err(error) => tracing::error!(%error, "the new TLS certificate cannot be used; the old one stays"),
        }
        seen = now;
    }
}

fn modified(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.cert, &files.key].map(|file| std::fs::metadata(file).and_then(|meta| meta.modified()).ok())
}
