//! `pawl key`: access keys. Offline: the server of the data folder must be stopped.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use engine::port::Clock;
use serde_json::json;
use store::{Location, Store};

use super::{CliError, output};
use crate::boot::{ADMINISTRATOR, open_store, write_credentials};
use crate::clock::SystemClock;
use crate::config::{ServeArgs, Settings, credentials_path};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Make a new administrator's key and write it to DIR/credentials (offline, when the old one is lost)
    Create {
        /// The server's data folder; stop its server first
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The keyring, if it is not in the data folder
        #[arg(long, value_name = "FILE", env = "PAWL_KEYRING")]
        keyring: Option<PathBuf>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(verb: KeyVerb) -> Result<(), CliError> {
    let KeyVerb::Create { data, keyring, json } = verb;
    let (settings, store) = offline(data, keyring).await?;
    let key = store.create_access_key(ADMINISTRATOR, SystemClock.now()).await?;
    let path = credentials_path(&settings.data);
    write_credentials(&path, &key)?;
    if json {
        output::json(&json!({ "AccessKeyId": key.access_key_id, "CredentialsFile": path }));
    } else {
        output::say(format!("access key {} of the administrator is in {}", key.access_key_id, path.display()));
    }
    Ok(())
}

/// Opens the store of a stopped server.
pub(crate) async fn offline(data: PathBuf, keyring: Option<PathBuf>) -> Result<(Settings, Store), CliError> {
    if !Store::exists(&Location::Sqlite(data.clone())) {
        return Err(CliError::usage(format!("{} holds no store; --data is the server's data folder", data.display())));
    }
    let args = ServeArgs { data: Some(data), keyring, ..ServeArgs::default() };
    let settings = Settings::load(&args).map_err(|error| CliError::usage(error.to_string()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_store(&settings, clock).await?;
    Ok((settings, store))
}
