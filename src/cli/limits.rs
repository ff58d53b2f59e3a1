//! `pawl limits`: what holds for the whole installation; `pawl clock`: a clock that jumped. And pausing everything, which
//! `pawl rotation pause --all` does.

use clap::{Args, Subcommand};
use engine::port::Clock;
use engine::schedule::Blackouts;
use serde_json::{Value, json};

use super::client::Client;
use super::shown::{date, text};
use super::{CliError, Connection, output};
use crate::clock::SystemClock;

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsVerb {
    /// Show the limits of the installation, what is paused, and hosts that are not reached
    Show(Connection),
    /// Change limits, for every node; what is left out stays, and 0 is no limit
    Set(SetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Rotations at one host at once, of all nodes together [default: 4]
    #[arg(long, value_name = "N")]
    per_target: Option<u32>,
    /// Rotations that schedules start in a minute, of all nodes together [default: 600]
    #[arg(long, value_name = "N")]
    starts_per_minute: Option<u32>,
    /// After so many connections in a row that failed, a host's secrets wait while one tries now and then [default: 5]
    #[arg(long, value_name = "N")]
    target_failures: Option<u32>,
    /// Nothing starts by schedule inside: START/END or cron(…)/LENGTH, a zone behind it; again for each; none takes all away
    #[arg(long, value_name = "WHEN")]
    blackout: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClockVerb {
    /// Say that the clock is right though it jumped: rotations start by schedule again, what is due runs late, spread
    Accept(Connection),
}

/// A secret, or everything.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(crate) struct OneOrAll {
    /// Name or ARN
    #[arg(group = "which")]
    pub(super) secret: Option<String>,
    /// Every secret, on every node: nothing starts any more; what is open goes on to its end
    #[arg(long, group = "which")]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

pub(crate) async fn run(verb: LimitsVerb) -> Result<(), CliError> {
    match verb {
        LimitsVerb::Show(connection) => ask(&connection, "DescribeLimits", json!({})).await.map(drop),
        LimitsVerb::Set(args) => {
            let mut body = json!({});
            let numbers = [
                ("PerTarget", args.per_target),
                ("StartsPerMinute", args.starts_per_minute),
                ("TargetFailures", args.target_failures),
            ];
            for (name, value) in numbers {
                if let Some(value) = value {
                    body[name] = value.into();
                }
            }
            if !args.blackout.is_empty() {
                body["Blackouts"] = blackouts(&args.blackout);
            }
            ask(&args.connection, "UpdateLimits", body).await?;
            warn_of_past(&args.blackout);
            Ok(())
        }
    }
}

pub(crate) async fn clock(verb: ClockVerb) -> Result<(), CliError> {
    let ClockVerb::Accept(connection) = verb;
    ask(&connection, "AcceptClock", json!({})).await.map(drop)
}

/// Blackouts as the API takes them: `none` is an empty list.
pub(super) fn blackouts(given: &[String]) -> Value {
    json!(given.iter().filter(|text| *text != "none").collect::<Vec<_>>())
}

/// Says which of these are over: nothing is put off by them, and the year may be a slip.
pub(super) fn warn_of_past(given: &[String]) {
    // What cannot be read was refused by the server.
    let given: Blackouts = given.join(";").parse().unwrap_or_default();
    for text in given.past(SystemClock.now()) {
        output::progress(format!("warning: the blackout {text} is in the past: nothing is put off by it"));
    }
}

/// Pauses everything. Who paused first, and why, stays; whoever comes later is told.
pub(super) async fn pause_all(connection: &Connection, reason: &str) -> Result<(), CliError> {
    let answer = ask(connection, "PauseAll", json!({ "Reason": reason })).await?;
    if answer["Paused"]["Reason"] != reason {
        output::progress(
            "it was paused before, and that reason stays; to give another one: `pawl rotation resume --all`, then pause again",
        );
    }
    Ok(())
}

/// An operation on the installation, shown as it is after it, and returned.
pub(super) async fn ask(connection: &Connection, operation: &str, body: Value) -> Result<Value, CliError> {
    let answer = Client::new(connection)?.ours(operation, body).await?;
    if connection.json {
        output::json(&answer);
    } else {
        show(&answer);
    }
    Ok(answer)
}

fn show(answer: &Value) {
    let limit = |value: &Value, what: &str| match value.as_u64() {
        Some(0) => Some("no limit".to_owned()),
        Some(n) => Some(format!("{n} {what}")),
        None => None,
    };
    let paused = &answer["Paused"];
    let by = |by: String| {
        let (since, reason) = (date(&paused["Since"]).unwrap_or_default(), text(&paused["Reason"]).unwrap_or_default());
        format!("by {by} at {since}: {reason}; what is open goes on, and nothing starts")
    };
    let blackouts: Vec<&str> = answer["Blackouts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    output::fields(&[
        ("per host", limit(&answer["PerTarget"], "rotations at once")),
        ("starts", limit(&answer["StartsPerMinute"], "a minute")),
        ("host is left alone", limit(&answer["TargetFailures"], "failed connections in a row")),
        ("blackouts", (!blackouts.is_empty()).then(|| blackouts.join("; "))),
        ("paused", text(&paused["By"]).map(by)),
        ("clock", text(&answer["Clock"]["Message"])),
    ]);
    let row = |host: &Value| {
        vec![
            text(&host["Target"]).unwrap_or_default(),
            date(&host["Since"]).unwrap_or_default(),
            host["Failures"].to_string(),
            host["Waiting"].to_string(),
            date(&host["NextProbe"]).unwrap_or_default(),
            text(&host["Message"]).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = answer["Unreachable"].as_array().into_iter().flatten().map(row).collect();
    if !rows.is_empty() {
        output::table(&["not reached", "since", "failures", "waiting", "next probe", "last failure"], rows);
    }
}
