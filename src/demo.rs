//! `pawl demo`: the main job on private throw-away databases. Starts a PostgreSQL and a MariaDB, serves on an
//! embedded store, rotates one account of each every few seconds while readers log in with AWSCURRENT, and ends by
//! itself with a summary. Leaves nothing behind, also when it is killed.
//!
//! With `--readers` it compares the strategies: an account for each, on a MySQL too where there is one, and 64 readers.

mod account;
mod reader;

use std::path::Path;
use std::sync::Arc;
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
use account::Account;
use reader::{Readers, Tally};

/// A demo's folder for temporary files: this and its process's number.
const FOLDER: &str = "pawl-demo-";

/// What `pawl demo` takes.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How often each account is rotated before the demo ends
    #[arg(long, default_value_t = 4)]
    rotations: u32,
    /// Seconds between two rotations of an account
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(3..=3600))]
    every: u32,
    /// Compare all strategies on all databases that can be had, with 64 readers that read and log in over and over
    #[arg(long)]
    readers: bool,
}

/// Readers of `--readers`, shared out among the accounts.
const READERS: usize = 64;

/// Runs the demo to its end.
///
/// # Errors
/// With what is missing, or with the account that was not rotated.
pub async fn run(args: &DemoArgs) -> Result<(), CliError> {
    crate::telemetry::start(false, "error");
    let folder = DemoFolder::make()?;
    let servers = start_databases(folder.path(), args.readers).await?;
    let accounts = account::all(&servers, args.readers);
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

async fn start_databases(folder: &Path, all: bool) -> Result<Vec<Arc<servers::Server>>, CliError> {
    let mut engines = vec![Engine::Postgres, Engine::Mariadb];
    if all && servers::find(Engine::Mysql).is_ok() {
        engines.push(Engine::Mysql);
    }
    let names: Vec<String> = engines.iter().map(|engine| format!("a private {}", engine.name())).collect();
    output::say(format!("Starting {} …", names.join(" and ")));
    if all && engines.len() == 2 {
        output::say("  (MySQL is left out: there is none on this machine; scripts/setup-servers mysql gets one)");
    }
    let folder = folder.to_owned();
    let started = tokio::task::spawn_blocking(move || {
        let start = |engine: Engine| {
            servers::Server::start(engine, &folder, &[])
                .map_err(|error| CliError::refused(format!("cannot start {}: {error}", engine.name())))
        };
        engines.into_iter().map(start).collect::<Vec<_>>()
    });
    let mut running = vec![];
    for server in started.await? {
        let server = server?;
        output::say(format!("  {} {} on {}:{}", server.engine, server.version, server.host, server.port));
        running.push(Arc::new(server));
    }
    Ok(running)
}

async fn rotate(args: &DemoArgs, mut accounts: Vec<Account>, connection: &Connection) -> Result<(), CliError> {
    let client = Client::new(connection)?;
    let each = if args.readers { READERS / accounts.len() } else { 1 };
    let mut readers = vec![];
    for account in &accounts {
        account.adopt(&client, args.every).await?;
        readers.push(Readers::start(&account.name, each, connection)?);
    }
    output::say(format!(
        "\n{:<24} {:<13} {:>9}  {:<8} {:>7} {:>8}",
        "secret", "step", "took", "verdict", "logins", "refused"
    ));
    let until = Instant::now() + Duration::from_secs(u64::from(args.every + 6) * u64::from(args.rotations) + 60);
    while accounts.iter().any(|account| account.done < args.rotations) {
        if Instant::now() > until {
            return Err(CliError::timed_out("the rotations did not happen in time"));
        }
        for (account, readers) in accounts.iter_mut().zip(&readers) {
            show_steps(&client, account, readers.tally()).await?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    summary(&client, &accounts, readers).await
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
    output::say(format!("{name:<24} {step:<13} {took:>9}  {verdict:<8} {:>7} {:>8}", tally.logins, tally.refused));
}

async fn summary(client: &Client, accounts: &[Account], readers: Vec<Readers>) -> Result<(), CliError> {
    output::say("\nSummary");
    let mut locked_out = vec![];
    let mut refused_where_none_may_be = 0;
    for (account, readers) in accounts.iter().zip(readers) {
        let tally = readers.stop().await;
        let value = client.aws("GetSecretValue", json!({"SecretId": account.name})).await?;
        let age = time(&value["CreatedDate"]).map(|created| {
            let now = engine::port::Clock::now(&crate::clock::SystemClock);
            duration((now - created).as_seconds_f64())
        });
        let works = reader::logs_in(&value).await.is_ok();
        let gap = tally.longest_gap.map(|gap| format!(", for at most {} ms", gap.as_millis())).unwrap_or_default();
        output::say(format!(
            "  {:<24} rotated {} times; AWSCURRENT is {} old and {}; {} logins by readers, {} refused{gap}",
            account.name,
            account.done,
            age.unwrap_or_default(),
            if works { "logs in" } else { "DOES NOT LOG IN" },
            tally.logins,
            tally.refused
        ));
        refused_where_none_may_be += if account.promises { tally.refused } else { 0 };
        if !works {
            locked_out.push(account.name.clone());
        }
    }
    if !locked_out.is_empty() {
        return Err(CliError::refused(format!("AWSCURRENT of {} does not log in", locked_out.join(" and "))));
    }
    if refused_where_none_may_be > 0 {
        let message = format!("{refused_where_none_may_be} logins were refused by strategies that promise none");
        return Err(CliError::refused(message));
    }
    output::say(match accounts.iter().any(|account| !account.promises) {
        true => {
            "  A reader is refused only in the gap between setSecret and finishSecret of one user with one password."
        }
        false => {
            "  Two passwords, or two users of one owner: nobody is refused. `pawl demo --readers` compares them all."
        }
    });
    output::say("  The databases and the store of this demo are ended and removed.");
    Ok(())
}
