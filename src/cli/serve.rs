//! `pawl serve`: runs until SIGTERM or Ctrl-C, then drains.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{CliError, output};
use crate::boot::Server;
use crate::config::{ServeArgs, Settings, credentials_path};
use crate::http::raise_file_limit;
use crate::telemetry;

pub(crate) async fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let settings = Settings::load(args).map_err(|error| CliError::usage(error.to_string()))?;
    telemetry::start(settings.log == "json", "info");
    raise_file_limit();
    #[cfg(feature = "failpoints")]
    crate::failpoints::arm();
    let server = Server::start(&settings).await?;
    output::say(format!("pawl {} listens on {}", env!("CARGO_PKG_VERSION"), server.url()));
    let credentials = credentials_path(&settings.data);
    // Of several nodes on one store it is with the first.
    if credentials.exists() {
        output::say(format!("administrator's key: {}", credentials.display()));
    }
    let (stop, shutdown) = watch::channel(false);
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("stopping: no rotation is started, those under way are finished");
        // Every receiver gone means the server has ended already.
        let _ended = stop.send(true);
        wait_for_signal().await;
        tracing::warn!("stopping at once; open rotations are resumed at the next start");
        std::process::exit(1);
    });
    server.run(shutdown).await?;
    Ok(())
}

async fn wait_for_signal() {
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(interrupt.await),
    }
}
