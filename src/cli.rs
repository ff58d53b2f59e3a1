//! The command line: verbs, and how their answers are shown. Every verb but `serve`, `demo`, `audit` and what works on
//! the data folder of a stopped server is a client of the API.

mod audit;
pub(crate) mod client;
mod events;
mod key;
pub(crate) mod output;
mod rotation;
mod rotator;
mod secret;
mod serve;
pub(crate) mod shown;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use output::fail;
pub(crate) use secret::token as fresh_token;

/// Rotates passwords without locking anybody out.
#[derive(Debug, Parser)]
#[command(
    name = "pawl",
    version,
    // The last one wins, as in a shell's alias.
    args_override_self = true,
    about = "Pawl rotates passwords without locking anybody out, and speaks the AWS Secrets Manager protocol.",
    after_help = "Exit codes: 0 done · 1 the server or a target refused or failed · 2 the command line is wrong · \
                  3 no server answers · 4 a rotation that was waited for is parked or given up · 5 it was not done in time"
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server: API and scheduler
    Serve(Box<crate::config::ServeArgs>),
    /// Show the main job on private throw-away databases, and end by itself
    Demo(crate::demo::DemoArgs),
    /// Create, read, write and delete secrets
    #[command(subcommand)]
    Secret(secret::SecretVerb),
    /// Enable, start, watch and give up rotations
    #[command(subcommand)]
    Rotation(rotation::RotationVerb),
    /// Register webhooks and AWS rotation functions, test them, see what was sent to them
    #[command(subcommand)]
    Rotator(Box<rotator::RotatorVerb>),
    /// Tell receivers of what happens, see what could not be delivered, follow it live
    #[command(subcommand)]
    Events(Box<events::EventsVerb>),
    /// Make, list, disable and delete access keys; temporary credentials
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Read and verify the audit trail of a server on this machine
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Say whether the server is ready for work; needs no key (for health checks)
    Health(Connection),
}

/// Which server, with which key, shown how.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The server [default: http://127.0.0.1:7171; also PAWL_ENDPOINT_URL, AWS_ENDPOINT_URL_SECRETS_MANAGER]
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Take the key from DIR/credentials of a server on this machine, instead of the AWS environment and files
    #[arg(long, value_name = "DIR", env = "PAWL_DATA")]
    pub data: Option<std::path::PathBuf>,
    /// The server's region [default: AWS_REGION, AWS_DEFAULT_REGION or us-east-1]
    #[arg(long)]
    pub region: Option<String>,
    /// PEM file of the authority that signed the server's certificate [also AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<std::path::PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb and returns the process's exit code.
pub async fn run(cli: Cli) -> ExitCode {
    crate::boot::install_tls_provider();
    let done = match cli.verb {
        Verb::Serve(args) => serve::serve(&args).await,
        Verb::Demo(args) => crate::demo::run(&args).await,
        Verb::Secret(verb) => secret::run(verb).await,
        Verb::Rotation(verb) => rotation::run(verb).await,
        Verb::Rotator(verb) => rotator::run(*verb).await,
        Verb::Events(verb) => events::run(*verb).await,
        Verb::Key(verb) => key::run(verb).await,
        Verb::Audit(verb) => audit::run(verb).await,
        Verb::Health(connection) => health(&connection).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::fail(&error.message, error.code),
    }
}

async fn health(connection: &Connection) -> Result<(), CliError> {
    let said = client::probe(connection, "/readyz").await?;
    if connection.json {
        output::json(&serde_json::json!({ "Ready": true }));
    } else {
        output::say(said.trim_end());
    }
    Ok(())
}

/// Why a verb did not do what was asked; the message ends on standard error.
#[derive(Debug)]
pub struct CliError {
    /// For people; says what to do next where that is known.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

impl CliError {
    /// The server or a target refused or failed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// No server answers.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 3 }
    }

    /// A rotation that was waited for stopped.
    pub fn stopped(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 4 }
    }

    /// A rotation that was waited for is not done yet.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 5 }
    }
}

impl<E: std::error::Error> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::refused(error.to_string())
    }
}
