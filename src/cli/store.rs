//! `pawl store`: backups, restores, and whether a store that was brought back may change targets yet. What works on files needs the
//! data folder; what is about a served store asks its server.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use crypto::{Keyring, KeyringFileError};
use engine::port::Clock;
use serde_json::{Value, json};
use store::{BackupError, Contents, Copy, Location, PostgresUrl, Restore, causes};

use super::client::Client;
use super::key::settings;
use super::shown::{date, text};
use super::{CliError, Connection, output};
use crate::clock::SystemClock;
use crate::config::{ServeArgs, StoreSetting};

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
    /// Copy a stopped store whole to where none is yet, and mark a folder it came from as moved; every table is counted and compared
    Copy(CopyArgs),
    /// Put a backup in the place of a stopped server's store, which then looks at every account before it rotates any
    Restore(RestoreArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BackupArgs {
    /// The new file; one that is there is not overwritten
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The server's data folder [default: ./pawl-data]
    #[arg(long, value_name = "DIR", env = "PAWL_DATA")]
    data: Option<PathBuf>,
    /// Where the store is, if not in the data folder: postgres://…; better said by the variable, which no process list shows
    #[arg(long, value_name = "URL", env = "PAWL_STORE", hide_env_values = true)]
    store: Option<StoreSetting>,
    /// The server's TOML file
    #[arg(long, value_name = "FILE", env = "PAWL_CONFIG")]
    config: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The store that is there, such as sqlite:///var/lib/pawl
    #[arg(long, value_name = "URL")]
    from: String,
    /// The store that is made, such as postgres://pawl@db.example/pawl with its password in the file of PGPASSFILE
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
    let BackupArgs { data, store, config, .. } = args.clone();
    let (settings, location) = settings(ServeArgs { data, store, config, ..ServeArgs::default() })?;
    let contents = match &location {
        Location::Sqlite(folder) => store::backup(folder, &args.to).await,
        Location::Postgres(url) => {
            let mut progress = tell_tables();
            store::backup_of_shared(url, &args.to, SystemClock.now(), &mut progress).await
        }
    };
    let contents = contents.map_err(|error| refused(&error))?;
    if args.json {
        let mut answer = told(&args.to, &contents);
        answer["Store"] = json!(location.to_string());
        output::json(&answer);
        return Ok(());
    }
    output::say(format!("{} holds {}; it is a backup of the store {location}", args.to.display(), spelled(&contents)));
    if settings.keyring_path().exists() {
        output::progress(
            "without its keyring it opens nothing: `pawl keyring export` makes a copy to be kept apart from it",
        );
    }
    Ok(())
}

async fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    // Said at the end, and refused at the beginning where it cannot be read.
    let (_, served) = settings(ServeArgs { data: Some(args.data.clone()), ..ServeArgs::default() })?;
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
        // Where that is another one, nobody serves what was restored.
        answer["StoreOfSettings"] = json!(served.to_string());
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
    if let Location::Postgres(url) = &served {
        let data = args.data.display();
        output::say(format!(
            "nobody serves it yet: it is a SQLite store, and the settings (PAWL_STORE) say {url}. Copy it into a database that has no \
             store, `pawl store copy --from sqlite://{data} --to postgres://…`, and serve that; or unset PAWL_STORE to serve {data}. \
             Either way it is verify-only"
        ));
        return Ok(());
    }
    output::say(
        "it is verify-only: `pawl serve` looks at every account before it rotates any; `pawl store status` says what it finds",
    );
    Ok(())
}

async fn copy(args: &CopyArgs) -> Result<(), CliError> {
    let (from, to) = (location(&args.from)?, location(&args.to)?);
    if is_same(&from, &to) {
        return Err(CliError::usage("--from and --to are the same store"));
    }
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
    if let Location::Sqlite(folder) = &from {
        output::say(format!(
            "{} says so: it keeps that folder's store from being served",
            folder.join("moved-to").display()
        ));
    }
    Ok(())
}

fn is_same(from: &Location, to: &Location) -> bool {
    match (from, to) {
        (Location::Sqlite(from), Location::Sqlite(to)) => {
            from == to || from.canonicalize().ok().is_some_and(|from| to.canonicalize().ok() == Some(from))
        }
        _ => from.to_string() == to.to_string(),
    }
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
        // What follows the scheme may have a password in it.
        _ => {
            let what = url.split_once("://").map_or("this", |(scheme, _)| scheme);
            Err(CliError::usage(format!("{what} is no store: say sqlite:// and its data folder, or postgres://")))
        }
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
