//! `pawl keyring`: a copy to be kept apart, what each key is needed for, and a new key in the place of the old one while the
//! server serves.
//!
//! Here the file is changed, and nothing else: the server sees that and does the rest, so that this may end at any moment and be
//! run again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use crypto::{KeyId, Keyring, KeyringFileError, Listed};
use engine::port::Clock;
use serde_json::{Value, json};
use store::causes;

use super::client::Client;
use super::shown::{date, text};
use super::{CliError, Connection, output};
use crate::clock::SystemClock;

/// Between two questions to the server.
const ASK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum KeyringVerb {
    /// Write a copy of the keyring into a new file, or to standard output, to be kept apart from backups of the store
    Export(ExportArgs),
    /// Show the keys, which one seals, and how many things each is still needed for
    Status(RingArgs),
    /// Seal everything under a new key while the server serves; cut short and run again, it goes on where it was
    #[command(
        long_about = "Seal everything under a new key while the server serves. Cut short and run again, it goes on where it \
                      was; run again after it has ended, it makes another new key.\n\nA key is \
                      added to the keyring's file; when every node says that it has it, it seals what is new, and what the \
                      old key sealed is sealed again. Nodes with files of their own need a copy of it between the two: \
                      --add-only, copy the file, then run it again.\n\nThe old key stays in the file until --retire takes it \
                      out. Backups of the store that were made before need it: keep a copy of the keyring with it as long as \
                      those."
    )]
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RingArgs {
    /// The keyring [default: DIR/keyring.json]
    #[arg(long, value_name = "FILE", env = "PAWL_KEYRING")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The new file; one that is there is not overwritten [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    ring: RingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Stop when the new key is in the file: other nodes need a copy of it first
    #[arg(long, conflicts_with = "retire")]
    add_only: bool,
    /// Take every key out of the file that nothing needs any more, instead of adding one
    #[arg(long)]
    retire: bool,
    /// Do not ask before a key is taken out
    #[arg(long, requires = "retire")]
    yes: bool,
    /// How long to wait for the server, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
    #[command(flatten)]
    ring: RingArgs,
}

impl RingArgs {
    fn path(&self) -> PathBuf {
        let folder = || self.connection.data.clone().unwrap_or_else(|| PathBuf::from("pawl-data"));
        self.keyring.clone().unwrap_or_else(|| folder().join("keyring.json"))
    }
}

pub(crate) async fn run(verb: KeyringVerb) -> Result<(), CliError> {
    match verb {
        KeyringVerb::Export(args) => export(&args),
        KeyringVerb::Status(args) => status(&args).await,
        KeyringVerb::Rotate(args) if args.retire => retire(&args).await,
        KeyringVerb::Rotate(args) => rotate(&args).await,
    }
}

fn export(args: &ExportArgs) -> Result<(), CliError> {
    let path = args.ring.path();
    let Some(to) = &args.to else {
        return output::raw(Keyring::text(&path).map_err(|error| refused(&error))?.as_bytes());
    };
    let listed = Keyring::export(&path, to).map_err(|error| match &error {
        KeyringFileError::Create { path, source } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            CliError::refused(format!(
                "{} is there already and is not overwritten: choose another name",
                path.display()
            ))
        }
        _ => refused(&error),
    })?;
    if args.ring.connection.json {
        output::json(&json!({ "Path": to, "KeyIds": ids(&listed.keys) }));
    } else {
        let keys = ids(&listed.keys).join(", ");
        output::say(format!("{} holds {keys}; whoever has it and a backup can read every value", to.display()));
    }
    Ok(())
}

async fn status(args: &RingArgs) -> Result<(), CliError> {
    let answer = Client::new(&args.connection)?.ours("DescribeKeyring", json!({})).await?;
    // Of a server on another machine the file is not here.
    let listed = Keyring::list(&args.path()).ok();
    if let Some(foreign) = listed.as_ref().and_then(|listed| foreign(&args.path(), listed, &answer)) {
        output::progress(format!("warning: {foreign}"));
    }
    if args.connection.json {
        let mut answer = answer;
        if let Some(listed) = listed {
            let next = listed.next.map(|next| next.to_string());
            answer["File"] =
                json!({ "Primary": listed.primary.to_string(), "Next": next, "KeyIds": ids(&listed.keys) });
        }
        output::json(&answer);
        return Ok(());
    }
    let keys = answer["Keys"].as_array().cloned().unwrap_or_default();
    let row = |key: &Value| {
        let id = text(&key["KeyId"]).unwrap_or_default();
        let file = listed.as_ref().map_or("?", |listed| in_file(listed, &id));
        let count = |name: &str| key[name].as_u64().unwrap_or_default().to_string();
        let seals = if key["Seals"] == true { "yes" } else { "no" };
        let at_hand = if key["AtHand"] == true { file.to_owned() } else { format!("{file}, not at hand") };
        vec![
            id,
            seals.to_owned(),
            at_hand,
            count("Secrets"),
            count("AccessKeys"),
            count("Rotators"),
            count("Subscriptions"),
        ]
    };
    output::table(
        &["key", "seals", "in the file", "secrets", "access keys", "rotators", "subscriptions"],
        keys.iter().map(row).collect(),
    );
    output::say("");
    let row = |node: &Value| {
        let said = |name: &str| text(&node[name]).unwrap_or_default();
        let keys: Vec<_> = node["KeyIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        vec![said("Node"), keys.join(" "), said("SealsWith"), date(&node["LastSeen"]).unwrap_or_default()]
    };
    let nodes = answer["Nodes"].as_array().cloned().unwrap_or_default();
    output::table(&["node", "keys", "seals with", "seen"], nodes.iter().map(row).collect());
    Ok(())
}

fn in_file(listed: &Listed, id: &str) -> &'static str {
    let is = |key: &KeyId| key.to_string() == id;
    match () {
        () if is(&listed.primary) => "primary",
        () if listed.next.as_ref().is_some_and(is) => "next",
        () if listed.keys.iter().any(is) => "yes",
        () => "no",
    }
}

/// Add, await every node, use, await that everything is sealed again. Each part is skipped where it is done.
async fn rotate(args: &RotateArgs) -> Result<(), CliError> {
    let path = args.ring.path();
    let before = Keyring::list(&path).map_err(|error| refused(&error))?;
    // Asked first: without a server nothing would come of a new key.
    let client = Client::new(&args.ring.connection)?;
    let answer = client.ours("DescribeKeyring", json!({})).await?;
    refuse_foreign(&path, &before, &answer)?;
    let primary = before.primary.to_string();
    let key = if before.next.is_none() && !seals(&answer, &primary) {
        before.primary
    } else {
        Keyring::add_next(&path).map_err(|error| refused(&error))?
    };
    let id = key.to_string();
    output::progress(match before.keys.contains(&key) {
        true => format!("key {id} is in {} already: going on with it", path.display()),
        false => {
            format!("key {id} is in {}; the file before is {}", path.display(), Keyring::kept_beside(&path).display())
        }
    });
    if args.add_only {
        output::say(format!(
            "key {id} is added; copy {} to every node, then run this again without --add-only",
            path.display()
        ));
        return Ok(());
    }
    let what = format!("every node has key {id}");
    awaited(&client, args.wait, &what, |answer| lacking(answer, &id)).await?;
    if Keyring::list(&path).map_err(|error| refused(&error))?.next == Some(key) {
        Keyring::use_next(&path).map_err(|error| refused(&error))?;
    }
    let what = format!("everything is sealed under key {id}");
    let answer = awaited(&client, args.wait, &what, |answer| unsettled(answer, &id)).await?;
    if args.ring.connection.json {
        output::json(&answer);
        return Ok(());
    }
    output::say(format!("key {id} seals everything; the file with it is {}", path.display()));
    output::say(
        "copy the file to every other node, export it again for your backups, and keep the old copy as long as backups that \
         need it; `pawl keyring rotate --retire` takes the old key out",
    );
    Ok(())
}

async fn retire(args: &RotateArgs) -> Result<(), CliError> {
    let path = args.ring.path();
    let listed = Keyring::list(&path).map_err(|error| refused(&error))?;
    let client = Client::new(&args.ring.connection)?;
    let answer = client.ours("DescribeKeyring", json!({})).await?;
    refuse_foreign(&path, &listed, &answer)?;
    let old: Vec<KeyId> =
        listed.keys.iter().copied().filter(|key| *key != listed.primary && listed.next != Some(*key)).collect();
    if old.is_empty() {
        output::say("the keyring has no old key");
        return Ok(());
    }
    for key in &old {
        if let Some(why) = still_needed(&answer, &key.to_string()) {
            return Err(CliError::refused(format!("key {key} stays: {why}")));
        }
    }
    if !args.yes && !agreed(&old)? {
        return Err(CliError::refused("nothing was taken out"));
    }
    for key in &old {
        Keyring::take_out(&path, *key).map_err(|error| refused(&error))?;
        output::say(format!("key {key} is out of {}", path.display()));
    }
    let before = Keyring::kept_beside(&path);
    output::say(format!("{} still has it: delete it when no backup needs it any more", before.display()));
    Ok(())
}

fn agreed(old: &[KeyId]) -> Result<bool, CliError> {
    output::prompt(&format!(
        "Take out {}? Backups and temporary credentials from before need it. Type yes: ",
        ids(old).join(", ")
    ));
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        // Nobody ended the line of the question.
        output::progress("");
    }
    Ok(line.trim() == "yes")
}

/// Asks the server until nothing is open any more.
async fn awaited(
    client: &Client,
    wait: u64,
    what: &str,
    open: impl Fn(&Value) -> Option<String>,
) -> Result<Value, CliError> {
    let until = SystemClock.since_boot() + Duration::from_secs(wait);
    loop {
        let answer = client.ours("DescribeKeyring", json!({})).await?;
        let Some(open) = open(&answer) else {
            output::progress(what);
            return Ok(answer);
        };
        if SystemClock.since_boot() >= until {
            return Err(CliError::timed_out(format!("{open}; run this again, it goes on where it is")));
        }
        SystemClock.sleep(ASK_EVERY).await;
    }
}

/// Why this file is not the one of the store; None: it has the key that seals.
fn foreign(path: &Path, listed: &Listed, answer: &Value) -> Option<String> {
    let sealing = keys(answer).find(|key| key["Seals"] == true)?["KeyId"].as_str()?;
    let has = listed.keys.iter().any(|key| key.to_string() == sealing);
    (!has).then(|| {
        format!(
            "{} does not have key {sealing}, which seals this store: it is another store's keyring, or a copy from before; say \
             --keyring with the file that the server has",
            path.display()
        )
    })
}

fn refuse_foreign(path: &Path, listed: &Listed, answer: &Value) -> Result<(), CliError> {
    foreign(path, listed, answer).map_or(Ok(()), |foreign| Err(CliError::refused(foreign)))
}

fn seals(answer: &Value, id: &str) -> bool {
    keys(answer).any(|key| key["KeyId"] == id && key["Seals"] == true)
}

fn lacking(answer: &Value, id: &str) -> Option<String> {
    let nodes = answer["Nodes"].as_array()?;
    let has = |node: &&Value| node["KeyIds"].as_array().into_iter().flatten().any(|key| key == id);
    let lacking: Vec<String> = nodes.iter().filter(|node| !has(node)).filter_map(|node| text(&node["Node"])).collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "these nodes do not have key {id} yet: {}; copy the keyring's file to them (a node that was killed counts for ten \
             minutes)",
            lacking.join(", ")
        )
    })
}

fn unsettled(answer: &Value, id: &str) -> Option<String> {
    if !seals(answer, id) {
        return Some(format!("key {id} does not seal yet"));
    }
    let others = keys(answer).filter(|key| key["KeyId"] != id && key["Needed"] == true);
    let others: Vec<String> = others.filter_map(|key| text(&key["KeyId"])).collect();
    (!others.is_empty()).then(|| format!("something is sealed under {} still", others.join(", ")))
}

/// Why a key must not be taken out; None: nothing needs it.
fn still_needed(answer: &Value, id: &str) -> Option<String> {
    if keys(answer).any(|key| key["KeyId"] == id && (key["Needed"] == true || key["Seals"] == true)) {
        return Some("something in the store opens with it alone; `pawl keyring status` says what".to_owned());
    }
    let nodes = answer["Nodes"].as_array()?;
    let sealing = nodes.iter().find(|node| node["SealsWith"] == id)?;
    Some(format!("node {} seals with it still", text(&sealing["Node"]).unwrap_or_default()))
}

fn keys(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["Keys"].as_array().into_iter().flatten()
}

fn ids(keys: &[KeyId]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn refused(error: &KeyringFileError) -> CliError {
    CliError::refused(causes(error))
}
