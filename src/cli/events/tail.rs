//! `pawl events tail`: follows what happens, and goes on where it was when the server comes back.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::shown;
use crate::cli::client::Client;
use crate::cli::{CliError, Connection, output};

/// How long one call waits; shorter than a connection may be silent.
const WAIT_SECONDS: u64 = 20;
/// Before a server that does not answer is asked again.
const AWAY: Duration = Duration::from_secs(1);
/// The exit code of a server that cannot be reached.
const UNREACHABLE: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Begin at this offset, or at what is kept of it (1: the oldest) [default: what happens from now on]
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(1..))]
    from: Option<i64>,
    /// Only what is about this secret: its name or ARN
    #[arg(long)]
    secret: Option<String>,
    /// Show what there is and end, instead of waiting for more
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn tail(args: &TailArgs) -> Result<(), CliError> {
    let client = Client::new(&args.connection)?;
    tokio::select! {
        ended = follow(&client, args) => ended,
        // Every line is whole, so there is nothing to say.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(client: &Client, args: &TailArgs) -> Result<(), CliError> {
    // Only a server that has answered once is waited for.
    let next = offset(&client.ours("ListEvents", json!({})).await?, "Next");
    let mut from = args.from.unwrap_or(next);
    if from > next {
        output::progress(format!(
            "the next event gets offset {next}: nothing is shown before offset {from} is reached"
        ));
    }
    if let Some(secret) = &args.secret {
        note_unknown(client, secret).await;
    }
    let mut away = false;
    loop {
        let wait = if args.no_follow { 0 } else { WAIT_SECONDS };
        let mut body = json!({ "From": from, "WaitSeconds": wait });
        if let Some(secret) = &args.secret {
            body["SecretId"] = secret.clone().into();
        }
        let answer = match client.ours("ListEvents", body).await {
            Ok(answer) => answer,
            Err(error) if error.code == UNREACHABLE => {
                if !std::mem::replace(&mut away, true) {
                    output::progress("the server does not answer; going on when it does");
                }
                tokio::time::sleep(AWAY).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        away = false;
        let oldest = offset(&answer, "Oldest");
        if oldest > from {
            output::progress(format!("events {from} to {} are not kept any more", oldest - 1));
        }
        let events = answer["Events"].as_array().map(Vec::as_slice).unwrap_or_default();
        for event in events {
            print(event, args.connection.json);
        }
        from = offset(&answer, "Next").max(from);
        if args.no_follow && events.is_empty() {
            return Ok(());
        }
    }
}

/// One that is gone, or is to come, has events all the same; but it may be a slip.
async fn note_unknown(client: &Client, secret: &str) {
    let there = client.aws("DescribeSecret", json!({ "SecretId": secret })).await;
    if there.is_err_and(|error| error.message.starts_with("ResourceNotFoundException")) {
        output::progress(format!(
            "there is no secret {secret} now: only events of one that was, or is to come, are shown"
        ));
    }
}

/// One line, so that a program can read them as they come.
fn print(event: &Value, as_json: bool) {
    match as_json {
        true => output::say(event.to_string()),
        false => output::say(shown::event(event)),
    }
}

fn offset(answer: &Value, member: &str) -> i64 {
    answer[member].as_i64().unwrap_or(1)
}
