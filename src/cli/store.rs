//! `pawl store`: backups, restores, and whether a store that was brought back may change targets yet. What works on files needs the
//! data folder; what is about a served store asks its server.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use crypto::{Keyring, KeyringFileError};
use engine::port::Clock;
use serde_json::{Value, json};
use store::{BackupError, Contents, Copy, Location, PostgresUrl, Restore, causes};

use super::client::Client;
use super::shown::{date, text};
use super::{CliError, Connection, output};
use crate::clock::SystemClock;
use crate::config::StoreSetting;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Show whether the store is verify-only, and which secrets are held until AWSCURRENT was seen to log in
    Status(Connection),
    /// Let rotations go on after a restore; secrets whose AWSCURRENT has not been seen to log in stay held
    LeaveVerifyOnly {
        /// Take AWSCURRENT for well where it cannot be looked at from here: secrets of registered rotators
        #[arg(long)]
        accept_unseen: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Copy the store into one file, also while a server runs; the keyring is kept apart (`pawl keyring export`)
    Backup(BackupArgs),
    /// Copy a stopped store whole into an empty place; every table is counted and compared
    Copy(CopyArgs),
    /// Put a backup in the place of a stopped server's store, which then looks at every account before it rotates any
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The new file; one that is there is not overwritten
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The server's data folder
    #[arg(long, value_name = "DIR", env = "PAWL_DATA", default_value = "pawl-data")]
    data: PathBuf,
    /// Where the store is, if not in the data folder: postgres://…; better said by the variable, which no process list shows
    #[arg(long, value_name = "URL", env = "PAWL_STORE", hide_env_values = true)]
    store: Option<StoreSetting>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The store that is there, such as sqlite:///var/lib/pawl
    #[arg(long, value_name = "URL")]
    from: String,
    /// The store that is made
    #[arg(long, value_name = "URL")]
    to: String,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The server's data folder
    #[arg(long, value_name = "DIR", env = "PAWL_DATA", default_value = "pawl-data")]
    data: PathBuf,
    /// The keyring of the backup [default: DIR/keyring.json]; where DIR has none, it is copied there
    #[arg(long, value_name = "FILE", env = "PAWL_KEYRING")]
    keyring: Option<PathBuf>,
    /// Replace the store that is there; it is kept beside
    #[arg(long)]
    replace: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(verb: StoreVerb) -> Result<(), CliError> {
    match verb {
        StoreVerb::Status(connection) => status(&connection).await,
        StoreVerb::LeaveVerifyOnly { accept_unseen, connection } => leave(&connection, accept_unseen).await,
        StoreVerb::Backup(args) => backup(&args).await,
        StoreVerb::Copy(args) => copy(&args).await,
        StoreVerb::Restore(args) => restore(&args).await,
    }
}

async fn status(connection: &Connection) -> Result<(), CliError> {
    let answer = Client::new(connection)?.ours("DescribeStore", json!({})).await?;
    if connection.json {
        output::json(&answer);
    } else {
        show(&answer);
    }
    Ok(())
}

async fn leave(connection: &Connection, accept_unseen: bool) -> Result<(), CliError> {
    let request = json!({ "AcceptUnseen": accept_unseen });
    let answer = Client::new(connection)?.ours("LeaveVerifyOnly", request).await?;
    if connection.json {
        output::json(&answer);
    } else {
        show(&answer);
    }
    Ok(())
}

fn show(answer: &Value) {
    match &answer["VerifyOnly"] {
        Value::Null => output::say("the store is as usual: rotations go on"),
        mode => output::say(format!(
            "the store is verify-only since {}: {}; accounts are looked at, and nothing is changed at any of them",
            date(&mode["Since"]).unwrap_or_default(),
            text(&mode["Reason"]).unwrap_or_default()
        )),
    }
    let count = answer["HeldCount"].as_u64().unwrap_or_default();
    if count == 0 {
        return;
    }
    output::say(format!("\n{count} secrets are held until AWSCURRENT was seen to log in:"));
    for held in answer["Held"].as_array().into_iter().flatten() {
        let said = |name: &str| text(&held[name]).unwrap_or_default();
        output::say(format!("  {}: {}", said("Name"), said("Message")));
        if !said("Remedy").is_empty() {
            output::say(format!("    {}", said("Remedy")));
        }
    }
}

async fn backup(args: &BackupArgs) -> Result<(), CliError> {
    let location = args.store.clone().unwrap_or_else(StoreSetting::sqlite).location(&args.data);
    let contents = match location.map_err(|error| CliError::usage(format!("the URL of the store: {error}")))? {
        Location::Sqlite(folder) => store::backup(&folder, &args.to).await,
        Location::Postgres(url) => {
            let mut progress = tell_tables();
            store::backup_of_shared(&url, &args.to, SystemClock.now(), &mut progress).await
        }
    };
    let contents = contents.map_err(|error| refused(&error))?;
    let keyring = args.data.join("keyring.json");
    if args.json {
        output::json(&told(&args.to, &contents));
        return Ok(());
    }
    output::say(format!("{} holds {}", args.to.display(), spelled(&contents)));
    if keyring.exists() {
        output::progress(
            "without its keyring it opens nothing: `pawl keyring export` makes a copy to be kept apart from it",
        );
    }
    Ok(())
}

async fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    let own = args.data.join("keyring.json");
    let path = args.keyring.clone().unwrap_or_else(|| own.clone());
    if !path.exists() {
        return Err(CliError::usage(format!(
            "there is no keyring {}: a backup opens with the keyring of its store alone; say --keyring FILE",
            path.display()
        )));
    }
    let keyring = Keyring::load(&path).map_err(|error| CliError::refused(causes(&error)))?;
    let restored = store::restore(
        Restore { from: &args.from, to: &args.data, replace: args.replace },
        &keyring,
        SystemClock.now(),
    );
    let restored = restored.await.map_err(|error| refused(&error))?;
    let copied = place_keyring(&path, &own)?;
    if args.json {
        let mut answer = told(&args.data, &restored.contents);
        answer["Kept"] = json!(restored.kept);
        answer["VerifyOnly"] = json!(true);
        output::json(&answer);
        return Ok(());
    }
    output::say(format!("{} holds {}", args.data.display(), spelled(&restored.contents)));
    if let Some(kept) = restored.kept {
        output::say(format!("the store that was there is {}", kept.display()));
    }
    if copied {
        output::say(format!("the keyring was copied to {}", own.display()));
    }
    output::say(
        "it is verify-only: `pawl serve` looks at every account before it rotates any; `pawl store status` says what it finds",
    );
    Ok(())
}

async fn copy(args: &CopyArgs) -> Result<(), CliError> {
    let (from, to) = (location(&args.from)?, location(&args.to)?);
    let mut progress = tell_tables();
    let copied = store::copy(Copy { from: &from, to: &to, while_served: false }, SystemClock.now(), &mut progress);
    let copied = copied.await.map_err(|error| refused(&error))?;
    if args.json {
        let rows = copied.iter().map(|table| (table.name.to_owned(), json!(table.rows)));
        output::json(&json!({ "Rows": rows.collect::<serde_json::Map<_, _>>() }));
        return Ok(());
    }
    let rows = copied.iter().map(|table| vec![table.name.to_owned(), table.rows.to_string()]);
    output::table(&["table", "rows"], rows.collect());
    output::say(
        "everything is there, and was compared; start with the keyring of the store it came from, and never serve that one again: \
         each would rotate the same accounts",
    );
    Ok(())
}

/// Says how many rows of a table are copied.
fn tell_tables() -> impl FnMut(&str, u64) + Send {
    |table, rows| output::progress(format!("{table}: {rows} rows"))
}

/// `sqlite://DIR`, or the URL of a PostgreSQL database.
fn location(url: &str) -> Result<Location, CliError> {
    if url.starts_with("postgres") {
        let read = PostgresUrl::parse(url).map_err(|error| CliError::usage(format!("the URL of a store: {error}")))?;
        return Ok(Location::Postgres(read));
    }
    match url.strip_prefix("sqlite://") {
        Some(folder) if !folder.is_empty() => Ok(Location::Sqlite(PathBuf::from(folder))),
        _ => Err(CliError::usage(format!("{url} is no store: say sqlite:// and its data folder, or postgres://"))),
    }
}

/// Where the data folder has no keyring, the one that was given; true: it was put there.
fn place_keyring(given: &Path, own: &Path) -> Result<bool, CliError> {
    if own.exists() {
        return Ok(false);
    }
    match Keyring::export(given, own) {
        Ok(_) => Ok(true),
        Err(error @ KeyringFileError::Create { .. }) => Err(CliError::refused(format!(
            "the store is restored, and its keyring could not be put beside it: {}; start with --keyring {}",
            causes(&error),
            given.display()
        ))),
        Err(error) => Err(CliError::refused(causes(&error))),
    }
}

fn refused(error: &BackupError) -> CliError {
    CliError::refused(causes(error))
}

fn told(path: &Path, contents: &Contents) -> Value {
    json!({
        "Path": path,
        "Secrets": contents.secrets,
        "Versions": contents.versions,
        "Candidates": contents.candidates,
        "Bytes": contents.bytes,
    })
}

fn spelled(contents: &Contents) -> String {
    let Contents { secrets, versions, candidates, bytes } = contents;
    format!("{secrets} secrets, {versions} versions and {candidates} values that targets may hold, in {bytes} bytes")
}
