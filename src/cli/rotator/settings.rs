//! How a rotator is called, as the command line says it, made into the members of CreateRotator and UpdateRotator.
//!
//! Never here: what contradicts itself (the server says so).

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::client::variable;
use crate::cli::key::seconds;
use crate::cli::{CliError, Connection};

/// The secret half of the key that a function's calls are signed with, where no file is named.
const SECRET_ACCESS_KEY: &str = "PAWL_LAMBDA_SECRET_ACCESS_KEY";

/// `pawl rotator add webhook`.
#[derive(Debug, Args)]
pub(crate) struct WebhookArgs {
    /// Its name: letters, digits, - and _
    name: String,
    /// Where its events are posted; https, or http where the server allows that
    url: String,
    #[command(flatten)]
    webhook: WebhookOptions,
    #[command(flatten)]
    call: CallOptions,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// `pawl rotator add lambda`.
#[derive(Debug, Args)]
pub(crate) struct LambdaArgs {
    /// Its name: letters, digits, - and _
    name: String,
    /// Where its Invoke API is called, such as http://127.0.0.1:9000 or https://lambda.eu-west-1.amazonaws.com
    #[arg(long, value_name = "URL")]
    endpoint: String,
    #[command(flatten)]
    function: FunctionOptions,
    #[command(flatten)]
    call: CallOptions,
    #[command(flatten)]
    server: Server,
}

/// `pawl rotator update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The rotator's name
    name: String,
    /// A webhook's: where its events are posted
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    webhook: WebhookOptions,
    /// A function's: where its Invoke API is called
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    #[command(flatten)]
    function: FunctionOptions,
    #[command(flatten)]
    call: CallOptions,
    #[command(flatten)]
    server: Server,
}

/// What only webhooks have.
#[derive(Debug, Args)]
struct WebhookOptions {
    /// Who reads and writes the values: Pawl, which sends them with the events (managed, as a new webhook is), or the
    /// receiver, through the API (callback)
    #[arg(long)]
    mode: Option<ModeName>,
    /// The receiver makes each new credential and answers createSecret with it
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    issues: Option<bool>,
    /// The key of the secret's JSON that gets the password Pawl makes [a new webhook: password]
    #[arg(long, value_name = "KEY", conflicts_with = "whole_value")]
    password_key: Option<String>,
    /// The whole value is the password Pawl makes
    #[arg(long)]
    whole_value: bool,
    /// Callback: each event brings credentials that are good for its secret until its deadline
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    credentials: Option<bool>,
    /// Steps it takes beside the four: check, retire, revoke, with commas between them; '' for none
    #[arg(long, value_delimiter = ',', value_name = "STEPS")]
    steps: Option<Vec<String>>,
    /// With the step retire: how long after finishSecret the old credential goes on working [75m, for readers that cache]
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeName {
    /// Events carry the values
    Managed,
    /// The receiver reads and writes through the API
    Callback,
}

/// What only functions have.
#[derive(Debug, Args)]
struct FunctionOptions {
    /// The function's name or ARN [a new one: function, as the runtime interface emulator has it]
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Sign calls for this region; with --access-key
    #[arg(long)]
    region: Option<String>,
    /// Sign calls with this access key of AWS
    #[arg(long, value_name = "ID")]
    access_key: Option<String>,
    /// File with the secret half of --access-key [also PAWL_LAMBDA_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    secret_access_key_file: Option<PathBuf>,
}

/// What every rotator that is called has.
#[derive(Debug, Args)]
struct CallOptions {
    /// How long one step may take, to 900s [new: 10s, a function 60s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<u64>,
    /// How many of its rotations may be under way at once [new: 16]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// PEM file of the authorities to trust for it, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// PEM file of the certificate to show it (mTLS)
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// PEM file of that certificate's private key
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
}

/// Which server, where --region is the function's.
#[derive(Debug, Args)]
struct Server {
    /// The server [default: http://127.0.0.1:7171; also PAWL_ENDPOINT_URL, AWS_ENDPOINT_URL_SECRETS_MANAGER]
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Take the key from DIR/credentials of a server on this machine, instead of the AWS environment and files
    #[arg(long, value_name = "DIR", env = "PAWL_DATA")]
    data: Option<PathBuf>,
    /// The server's own region [default: AWS_REGION, AWS_DEFAULT_REGION or us-east-1]
    #[arg(long, value_name = "REGION")]
    server_region: Option<String>,
    /// PEM file of the authority that signed the server's certificate [also AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl WebhookArgs {
    pub(crate) fn body(&self) -> Result<Value, CliError> {
        let mut body = json!({ "Name": self.name, "Kind": "webhook", "Url": self.url });
        self.webhook.put(&mut body);
        self.call.put(&mut body)?;
        Ok(body)
    }
}

impl LambdaArgs {
    pub(crate) fn body(&self) -> Result<Value, CliError> {
        let mut body = json!({ "Name": self.name, "Kind": "lambda", "Endpoint": self.endpoint });
        self.function.put(&mut body)?;
        self.call.put(&mut body)?;
        Ok(body)
    }

    pub(crate) fn connection(&self) -> Connection {
        self.server.connection()
    }
}

impl UpdateArgs {
    pub(crate) fn body(&self) -> Result<Value, CliError> {
        let mut body = json!({ "Name": self.name });
        set(&mut body, "Url", self.url.as_deref());
        set(&mut body, "Endpoint", self.endpoint.as_deref());
        self.webhook.put(&mut body);
        self.function.put(&mut body)?;
        self.call.put(&mut body)?;
        if body.as_object().is_some_and(|members| members.len() == 1) {
            return Err(CliError::usage("nothing to change: say what, such as --url or --timeout"));
        }
        Ok(body)
    }

    pub(crate) fn connection(&self) -> Connection {
        self.server.connection()
    }
}

impl WebhookOptions {
    fn put(&self, body: &mut Value) {
        let mode = self.mode.and_then(|mode| mode.to_possible_value());
        set(body, "Mode", mode.as_ref().map(clap::builder::PossibleValue::get_name));
        set(body, "Issues", self.issues);
        set(body, "PasswordKey", self.password_key.as_deref().or(self.whole_value.then_some("")));
        set(body, "Credentials", self.credentials);
        let named = |steps: &Vec<String>| steps.iter().filter(|step| !step.is_empty()).cloned().collect::<Vec<_>>();
        set(body, "Steps", self.steps.as_ref().map(named));
        set(body, "Grace", self.grace.as_deref());
    }
}

impl FunctionOptions {
    fn put(&self, body: &mut Value) -> Result<(), CliError> {
        set(body, "Function", self.function.as_deref());
        set(body, "Region", self.region.as_deref());
        set(body, "AccessKeyId", self.access_key.as_deref());
        let secret = match (&self.secret_access_key_file, self.access_key.as_deref()) {
            (Some(file), _) => Some(read(file)?.trim().to_owned()),
            // Who takes the key away takes its secret away.
            (None, Some("")) => Some(String::new()),
            (None, Some(_)) => variable(SECRET_ACCESS_KEY),
            (None, None) => None,
        };
        set(body, "SecretAccessKey", secret);
        Ok(())
    }
}

impl CallOptions {
    fn put(&self, body: &mut Value) -> Result<(), CliError> {
        set(body, "TimeoutSeconds", self.timeout);
        set(body, "Concurrency", self.concurrency);
        set(body, "CaPem", self.ca.as_deref().map(read_or_none).transpose()?);
        set(body, "ClientCertificatePem", self.client_cert.as_deref().map(read_or_none).transpose()?);
        set(body, "ClientKeyPem", self.client_key.as_deref().map(read_or_none).transpose()?);
        Ok(())
    }
}

impl Server {
    fn connection(&self) -> Connection {
        Connection {
            endpoint_url: self.endpoint_url.clone(),
            data: self.data.clone(),
            region: self.server_region.clone(),
            ca_bundle: self.ca_bundle.clone(),
            json: self.json,
        }
    }
}

fn set(body: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[name] = value.into();
    }
}

/// An empty name of a file takes away what was in one.
fn read_or_none(file: &str) -> Result<String, CliError> {
    if file.is_empty() { Ok(String::new()) } else { read(file.as_ref()) }
}

fn read(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|error| CliError::usage(format!("cannot read {}: {error}", file.display())))
}
