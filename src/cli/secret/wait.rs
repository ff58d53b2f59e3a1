//! `pawl secret wait`: until AWSCURRENT is another version.

use std::time::Duration;

use engine::port::Clock;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::{CliError, Connection, output};
use crate::clock::SystemClock;

/// How long one call waits at most; shorter than a connection may be silent.
const LONGEST: u64 = 20;
/// Before a server that does not answer is asked again.
const AWAY: Duration = Duration::from_secs(1);
/// The exit code of a server that cannot be reached.
const UNREACHABLE: u8 = 3;

pub(super) async fn wait(
    connection: &Connection,
    secret: &str,
    not: Option<String>,
    timeout: u64,
) -> Result<(), CliError> {
    let client = Client::new(connection)?;
    let until = SystemClock.since_boot() + Duration::from_secs(timeout);
    // Only a server that has answered once is waited for.
    let asked = client.ours("WaitForCurrent", json!({ "SecretId": secret, "TimeoutSeconds": 0 })).await?;
    let not = not.or_else(|| current(&asked));
    loop {
        let left = until.saturating_sub(SystemClock.since_boot()).as_secs().min(LONGEST);
        let mut body = json!({ "SecretId": secret, "TimeoutSeconds": left });
        if let Some(not) = &not {
            body["NotVersionId"] = not.clone().into();
        }
        let answer = match client.ours("WaitForCurrent", body).await {
            // A server that is restarted has not answered yet.
            Err(error) if error.code == UNREACHABLE && SystemClock.since_boot() < until => {
                SystemClock.sleep(AWAY).await;
                continue;
            }
            answer => answer?,
        };
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
