//! Logs: to standard error, as text for people or JSON for machines; `RUST_LOG` chooses what.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for the whole process. A second call does nothing.
pub fn start(json: bool, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // Colours are for terminals; in a file or a pipe they are noise.
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // A log on a full disk loses lines. Told of it on standard error, which is that log, the process would panic at each.
    let builder = builder.log_internal_errors(false);
    let _already_started = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}
