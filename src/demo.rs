//! `pawl demo`: the main job on private throw-away databases. Starts a PostgreSQL and a MariaDB, serves on an
//! embedded store, rotates one account of each every few seconds while readers log in with AWSCURRENT, and ends by
//! itself with a summary. Leaves nothing behind, also when it is killed.

mod reader;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::boot::Server;
use crate::cli::client::Client;
use crate::cli::shown::{duration, text, time};
use crate::cli::{CliError, Connection, output};
use crate::config::{ServeArgs, Settings};
use crate::servers::{self, Engine};
use reader::{Reader, Tally};

/// A demo's folder for temporary files: this and its process's number.
const FOLDER: &str = "pawl-demo-";

/// What `pawl demo` takes.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How often each account is rotated before the demo ends
    #[arg(long, default_value_t = 4)]
    rotations: u32,
    /// Seconds between two rotations of an account
    #[arg(long, default_value_t = 4)]
    every: u32,
}

/// An account that the demo rotates.
struct Account {
    name: String,
    server: servers::Server,
    seen: BTreeSet<i64>,
    done: u32,
}

/// Runs the demo to its end.
///
/// # Errors
/// With what is missing, or with the account that was not rotated.
pub async fn run(args: &DemoArgs) -> Result<(), CliError> {
    crate::telemetry::start(false, "error");
    let folder = DemoFolder::make()?;
    output::say("Starting a private PostgreSQL and a private MariaDB …");
    let accounts = start_databases(folder.path()).await?;
    let limits = Some("none".to_owned());
    let args_of_server = ServeArgs {
        data: Some(folder.path().join("data")),
        listen: Some(([127, 0, 0, 1], 0).into()),
        schedule_limits: limits,
        ..ServeArgs::default()
    };
    let settings = Settings::load(&args_of_server).map_err(|error| CliError::usage(error.to_string()))?;
    let server = Server::start(&settings).await?;
    let connection = Connection {
        endpoint_url: Some(server.url()),
        data: Some(settings.data.clone()),
        region: Some(settings.region.clone()),
        ca_bundle: None,
        json: false,
    };
    output::say(format!("Pawl serves on {} with an embedded store.\n", server.url()));
    let (stop, shutdown) = watch::channel(false);
    let serving = tokio::spawn(server.run(shutdown));
    let rotated = tokio::select! {
        rotated = rotate(args, accounts, &connection) => rotated,
        _ = tokio::signal::ctrl_c() => Err(CliError::refused("interrupted; the databases are ended and removed")),
    };
    // The receiver is gone only if the server has ended already.
    let _stopped = stop.send(true);
    serving.await??;
    rotated
}

/// The demo's folder: removed with everything in it when the demo ends.
struct DemoFolder(std::path::PathBuf);

impl DemoFolder {
    fn make() -> Result<Self, CliError> {
        use std::os::unix::fs::DirBuilderExt;
        remove_what_killed_demos_left();
        let path = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
        // Servers that run as another user must be able to enter.
        std::fs::DirBuilder::new().mode(0o755).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

/// A demo that was killed ends its servers, but leaves its own store behind.
fn remove_what_killed_demos_left() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(FOLDER)).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Somebody else's, if it cannot be removed.
            let _left = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's folder for temporary files.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

async fn start_databases(folder: &Path) -> Result<Vec<Account>, CliError> {
    let folder = folder.to_owned();
    let started = tokio::task::spawn_blocking(move || {
        [Engine::Postgres, Engine::Mariadb].map(|engine| {
            servers::Server::start(engine, &folder, &[])
                .map_err(|error| CliError::refused(format!("cannot start {}: {error}", engine.name())))
        })
    });
    let mut accounts = vec![];
    for server in started.await? {
        let server = server?;
        output::say(format!("  {} {} on {}:{}", server.engine, server.version, server.host, server.port));
        accounts.push(Account { name: format!("demo/{}", server.engine), server, seen: BTreeSet::new(), done: 0 });
    }
    Ok(accounts)
}

async fn rotate(args: &DemoArgs, mut accounts: Vec<Account>, connection: &Connection) -> Result<(), CliError> {
    let client = Client::new(connection)?;
    let mut readers = vec![];
    for account in &accounts {
        create(&client, account, args.every).await?;
        readers.push(Reader::start(account.name.clone(), connection)?);
    }
    output::say(format!(
        "\n{:<15} {:<13} {:>9}  {:<8} {:>7} {:>8}",
        "secret", "step", "took", "verdict", "logins", "refused"
    ));
    let until = Instant::now() + Duration::from_secs(u64::from(args.every + 3) * u64::from(args.rotations) + 30);
    while accounts.iter().any(|account| account.done < args.rotations) {
        if Instant::now() > until {
            return Err(CliError::timed_out("the rotations did not happen in time"));
        }
        for (account, reader) in accounts.iter_mut().zip(&readers) {
            show_steps(&client, account, reader.tally()).await?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    summary(&client, &accounts, readers).await
}

/// The secret of the account, and its rotation, through the same API that everybody uses.
async fn create(client: &Client, account: &Account, every: u32) -> Result<(), CliError> {
    let server = &account.server;
    let value = json!({
        "engine": server.engine, "host": server.host, "port": server.port,
        "username": server.app_user, "password": server.app_password, "dbname": "app",
    });
    let token = crate::cli::fresh_token();
    let body = json!({"Name": account.name, "ClientRequestToken": token, "SecretString": value.to_string()});
    client.aws("CreateSecret", body).await?;
    let schedule = format!("rate({every} seconds)");
    client.ours("EnableRotation", json!({"SecretId": account.name, "ScheduleExpression": schedule})).await?;
    Ok(())
}

async fn show_steps(client: &Client, account: &mut Account, tally: Tally) -> Result<(), CliError> {
    let answer = client.ours("ListRotationHistory", json!({"SecretId": account.name, "Limit": 50})).await?;
    for entry in answer["History"].as_array().into_iter().flatten().rev() {
        let under_way = entry["Kind"] == "step" && entry["Ended"].is_null();
        if under_way || !entry["Id"].as_i64().is_some_and(|id| account.seen.insert(id)) {
            continue;
        }
        account.done += u32::from(entry["Kind"] == "succeeded");
        if entry["Kind"] == "step" {
            show_step(&account.name, entry, tally);
        }
    }
    Ok(())
}

fn show_step(name: &str, entry: &Value, tally: Tally) {
    let took = time(&entry["Ended"]).zip(time(&entry["Started"])).map(|(ended, started)| ended - started);
    let took = took.map(|took| format!("{} ms", took.num_milliseconds())).unwrap_or_default();
    let step = text(&entry["Step"]).unwrap_or_default();
    let verdict = text(&entry["Verdict"]).unwrap_or_default();
    output::say(format!("{name:<15} {step:<13} {took:>9}  {verdict:<8} {:>7} {:>8}", tally.logins, tally.refused));
}

async fn summary(client: &Client, accounts: &[Account], readers: Vec<Reader>) -> Result<(), CliError> {
    output::say("\nSummary");
    let mut locked_out = vec![];
    for (account, reader) in accounts.iter().zip(readers) {
        let tally = reader.stop().await;
        let value = client.aws("GetSecretValue", json!({"SecretId": account.name})).await?;
        let age = time(&value["CreatedDate"]).map(|created| {
            let now = engine::port::Clock::now(&crate::clock::SystemClock);
            duration((now - created).as_seconds_f64())
        });
        let works = reader::logs_in(&value).await.is_ok();
        output::say(format!(
            "  {:<15} rotated {} times; AWSCURRENT is {} old and {}; {} logins by readers, {} refused",
            account.name,
            account.done,
            age.unwrap_or_default(),
            if works { "logs in" } else { "DOES NOT LOG IN" },
            tally.logins,
            tally.refused
        ));
        if !works {
            locked_out.push(account.name.clone());
        }
    }
    if !locked_out.is_empty() {
        return Err(CliError::refused(format!("AWSCURRENT of {} does not log in", locked_out.join(" and "))));
    }
    output::say(
        "  A reader is refused only in the gap between setSecret and finishSecret, which one user with one password has.",
    );
    output::say("  The databases and the store of this demo are ended and removed.");
    Ok(())
}
