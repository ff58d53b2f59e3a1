//! `pawl secret wait`: until AWSCURRENT is another version.

use std::time::Duration;

use engine::port::Clock;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::{CliError, Connection, output};
use crate::clock::SystemClock;

/// How long one call waits at most; shorter than a connection may be silent.
const LONGEST: u64 = 20;

pub(super) async fn wait(
    connection: &Connection,
    secret: &str,
    not: Option<String>,
    timeout: u64,
) -> Result<(), CliError> {
    let client = Client::new(connection)?;
    let until = SystemClock.since_boot() + Duration::from_secs(timeout);
    let not = match not {
        Some(not) => Some(not),
        None => current(&client.ours("WaitForCurrent", json!({ "SecretId": secret, "TimeoutSeconds": 0 })).await?),
    };
    loop {
        let left = until.saturating_sub(SystemClock.since_boot()).as_secs().min(LONGEST);
        let mut body = json!({ "SecretId": secret, "TimeoutSeconds": left });
        if let Some(not) = &not {
            body["NotVersionId"] = not.clone().into();
        }
        let answer = client.ours("WaitForCurrent", body).await?;
        if answer["Changed"] == true {
            match connection.json {
                true => output::json(&answer),
                false => output::say(current(&answer).unwrap_or_default()),
            }
            return Ok(());
        }
        if SystemClock.since_boot() >= until {
            return Err(CliError::timed_out(format!("AWSCURRENT of {secret} is the same after {timeout} seconds")));
        }
    }
}

fn current(answer: &Value) -> Option<String> {
    answer["VersionId"].as_str().map(str::to_owned)
}
