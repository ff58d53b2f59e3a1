//! `pawl audit`: reads the audit trail of a server on this machine, running or stopped. No key is asked for: whoever
//! can read the files can read them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use engine::port::Clock;
use serde_json::json;

use super::{CliError, output};
use crate::audit::search::{Entry, Filter, Tail, moment, name_of, search};
use crate::audit::verify::{Sound, verify};
use crate::clock::SystemClock;
use crate::config::audit_path;

/// How often `tail -f` looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const HEADER: [&str; 7] = ["time", "who", "from", "operation", "about", "outcome", "took"];
/// What most cells of a column need, for lines that come one by one.
const WIDTHS: [usize; 7] = [23, 12, 15, 20, 24, 12, 0];

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Show the newest records
    Tail {
        #[command(flatten)]
        trail: TrailArgs,
        /// How many
        #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
        count: usize,
        /// Go on with new records as they come
        #[arg(short, long)]
        follow: bool,
        /// Print the records as they stand in the files, one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Find records; all that is said must fit
    Search {
        #[command(flatten)]
        trail: TrailArgs,
        #[command(flatten)]
        filter: FilterArgs,
        /// Print the records as they stand in the files, one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Check every link of the chain, and print the head to keep elsewhere; exit code 1 when it is broken
    Verify {
        #[command(flatten)]
        trail: TrailArgs,
        /// A head that was kept: is its record still in the chain?
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which trail.
#[derive(Debug, Args)]
pub(crate) struct TrailArgs {
    /// The server's data folder; the trail is in DIR/audit
    #[arg(long, value_name = "DIR", env = "PAWL_DATA", required_unless_present = "audit_dir")]
    data: Option<PathBuf>,
    /// The trail's folder, if it is not in the data folder
    #[arg(long, value_name = "DIR", env = "PAWL_AUDIT_DIR")]
    audit_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// A secret's name or ARN
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// A principal, or an access key id; a session's calls are found by the key it was made with, too
    #[arg(long, visible_alias = "key", value_name = "WHO")]
    principal: Option<String>,
    /// An operation such as GetSecretValue, or a step such as setSecret
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// `ok`, an error's code, or a step's verdict
    #[arg(long, value_name = "CODE")]
    outcome: Option<String>,
    /// Not before: 90s, 30m, 12h, 7d (ago), or a date as 2026-03-10T09:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Not after
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// The x-amzn-RequestId of an answer
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl TrailArgs {
    /// The folder, which must be there: an empty answer about a folder that is not would read as "nothing happened".
    fn folder(self) -> Result<PathBuf, CliError> {
        let folder = self.audit_dir.or_else(|| self.data.as_deref().map(audit_path)).unwrap_or_default();
        if folder.is_dir() {
            return Ok(folder);
        }
        let folder = folder.display();
        Err(CliError::usage(format!("{folder} is no audit trail; --data is the server's data folder")))
    }
}

impl FilterArgs {
    fn filter(self) -> Result<Filter, CliError> {
        let moment = |text: Option<String>| {
            text.map(|text| moment(&text, SystemClock.now())).transpose().map_err(CliError::usage)
        };
        Ok(Filter {
            secret: self.secret,
            principal: self.principal,
            operation: self.operation,
            outcome: self.outcome,
            since: moment(self.since)?,
            until: moment(self.until)?,
            request_id: self.request_id,
        })
    }
}

pub(crate) async fn run(verb: AuditVerb) -> Result<(), CliError> {
    match verb {
        AuditVerb::Tail { trail, count, follow, json } => {
            let (tail, newest) = Tail::newest(&trail.folder()?, count)?;
            show(&newest, json);
            if follow { followed(tail, json).await } else { Ok(()) }
        }
        AuditVerb::Search { trail, filter, json } => found(trail, filter, json),
        AuditVerb::Verify { trail, head, json } => verified(trail, head.as_deref(), json),
    }
}

fn found(trail: TrailArgs, filter: FilterArgs, json: bool) -> Result<(), CliError> {
    let mut rows = vec![];
    search(&trail.folder()?, &filter.filter()?, |line, entry| {
        if json {
            say(line);
        } else {
            rows.push(row(entry));
        }
    })?;
    if !json {
        output::table(&HEADER, rows);
    }
    Ok(())
}

/// Until Ctrl-C.
async fn followed(mut tail: Tail, json: bool) -> Result<(), CliError> {
    loop {
        for line in tail.more()? {
            match Entry::parse(&line) {
                Some(entry) if !json => {
                    let cells = row(&entry);
                    let padded = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}"));
                    output::say(padded.collect::<Vec<_>>().join("  ").trim_end());
                }
                _ => say(&line),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn show(lines: &[Vec<u8>], json: bool) {
    if json {
        lines.iter().for_each(|line| say(line));
    } else {
        output::table(&HEADER, lines.iter().filter_map(|line| Entry::parse(line)).map(|entry| row(&entry)).collect());
    }
}

fn say(line: &[u8]) {
    output::say(String::from_utf8_lossy(line));
}

/// A record as people read it, under [`HEADER`].
fn row(entry: &Entry) -> Vec<String> {
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
    let who = match (&entry.principal, &entry.access_key_id) {
        (Some(principal), _) => principal.clone(),
        (None, Some(key)) => format!("{key} (unproven)"),
        (None, None) => "-".to_owned(),
    };
    let operation = entry.operation.clone().unwrap_or_else(|| format!("({})", entry.kind));
    let outcome = match (&entry.code, entry.count) {
        (Some(code), _) => format!("{} {code}", text(&entry.outcome)),
        (None, Some(count)) => count.to_string(),
        (None, None) => text(&entry.outcome),
    };
    let about = entry.secret.as_deref().map(name_of).or(entry.about.as_deref()).unwrap_or("-").to_owned();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
    let took = entry.took_us.map(|us| format!("{:.1} ms", us as f64 / 1000.0)).unwrap_or_default();
    let cells = [entry.at.clone(), who, text(&entry.source), operation, about, outcome, took];
    // What Pawl writes is printable; what a forger writes need not be.
    cells.map(|cell| cell.replace(char::is_control, "?")).to_vec()
}

fn verified(trail: TrailArgs, head: Option<&str>, json: bool) -> Result<(), CliError> {
    let folder = trail.folder()?;
    let checked = verify(&folder, head);
    if json {
        output::json(&as_json(&checked, head));
    }
    let sound = checked.map_err(|fault| CliError::refused(format!("the audit trail is broken: {fault}")))?;
    if !json {
        say_sound(&sound);
    }
    match head {
        Some(head) if sound.kept_head.is_none() => Err(CliError::refused(format!(
            "no record has the hash {head}: the end of the trail was cut off or replaced, or the hash is another trail's"
        ))),
        // A head is worth keeping only where the one that was kept is still there.
        _ => {
            if !json && sound.head.is_some() {
                advise();
            }
            Ok(())
        }
    }
}

fn as_json(checked: &Result<Sound, crate::audit::verify::Fault>, head: Option<&str>) -> serde_json::Value {
    match checked {
        Err(fault) => json!({ "Valid": false, "Fault": fault.to_string() }),
        Ok(sound) => json!({
            "Valid": head.is_none() || sound.kept_head.is_some(),
            "Segments": sound.segments,
            "Records": sound.records,
            "BeginsAt": sound.begins_at,
            "First": sound.times.as_ref().map(|times| &times.0),
            "Last": sound.times.as_ref().map(|times| &times.1),
            "HeadNumber": sound.head.map(|head| head.seq),
            "Head": sound.head.map(|head| head.head()),
            "KeptHeadNumber": sound.kept_head,
            "UnfinishedBytes": sound.unfinished,
        }),
    }
}

fn say_sound(sound: &Sound) {
    let Some(head) = sound.head else { return output::say("the audit trail is empty") };
    let (first, last) = sound.times.clone().unwrap_or_default();
    output::say("every link holds");
    let earlier = sound.begins_at.filter(|first| *first > 1);
    let unfinished =
        (sound.unfinished > 0).then(|| format!("{} bytes of a last line that is not finished", sound.unfinished));
    output::fields(&[
        ("records", Some(sound.records.to_string())),
        ("segments", Some(sound.segments.to_string())),
        ("first", Some(first)),
        ("last", Some(last)),
        ("earlier", earlier.map(|first| format!("records 1 to {} are not in this folder", first - 1))),
        ("unfinished", unfinished),
        ("kept head", sound.kept_head.map(|seq| format!("record {seq} has it"))),
        ("head", Some(format!("{} (record {})", head.head(), head.seq))),
    ]);
}

fn advise() {
    output::say(
        "Keep the head elsewhere: `pawl audit verify --head HASH` then shows that nothing before it was cut off.",
    );
}
