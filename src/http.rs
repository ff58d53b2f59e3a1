//! The listener: the API, health and metrics, in plain text or TLS, with a graceful end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use engine::port::Clock;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::Metrics;

/// How long requests in flight may still take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
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
    match probes.metrics.render(&counts) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPENMETRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, PLAIN)], format!("{error}\n")),
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
    let handle = Handle::<SocketAddr>::new();
    let stop = handle.clone();
    tokio::spawn(async move {
        // An error means the sender is gone, which is the end as well.
        let _ended = shutdown.wait_for(|stop| *stop).await;
        stop.graceful_shutdown(Some(DRAIN));
    });
    let listener = listener.into_std()?;
    // The audit trail names the other end of each connection.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        None => axum_server::from_tcp(listener)?.handle(handle).serve(service).await,
        Some(files) => {
            let config = RustlsConfig::from_pem_file(&files.cert, &files.key).await?;
            tokio::spawn(reload(config.clone(), files));
            axum_server::from_tcp_rustls(listener, config)?.handle(handle).serve(service).await
        }
    }
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
