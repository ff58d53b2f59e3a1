//! What is said about a subscription on the command line, as the operations take it.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use engine::subscription::is_of_a_kind;
use serde_json::{Map, Value, json};

use crate::cli::{CliError, Connection, output};

#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The subscription's name: letters, digits, - and _
    name: String,
    /// Where events are posted
    #[arg(long)]
    url: String,
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The subscription's name
    name: String,
    /// Where events are posted
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    what: WhatArgs,
    /// Let everything through again
    #[arg(long, conflicts_with = "filter")]
    no_filter: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
struct WhatArgs {
    /// The shape: cloudevents (every event; the default), eventbridge (label moves, as AWS sends them) or cloudtrail
    /// (rotations and deletions, as AWS's service events)
    #[arg(long, value_parser = ["cloudevents", "eventbridge", "cloudtrail"])]
    format: Option<String>,
    /// Only these events: kind=PATTERN, secret=PATTERN or label=PATTERN, where * is any text; may be given several times:
    /// one of each sort must match
    #[arg(long, value_name = "WHAT=PATTERN")]
    filter: Vec<String>,
    /// How long the receiver is tried with one event until that is a dead letter, such as 24h
    #[arg(long, value_name = "TIME")]
    give_up_after: Option<String>,
    /// PEM file of the authority that signed the receiver's certificate ('' takes it away)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl SubscribeArgs {
    /// Says what was taken as it was said, and may not be what was meant.
    pub(super) fn warn(&self) {
        warn_of_kinds(&self.what.filter);
    }

    pub(super) fn body(&self) -> Result<Value, CliError> {
        let mut body = self.what.members()?;
        body.insert("Name".to_owned(), self.name.clone().into());
        body.insert("Url".to_owned(), self.url.clone().into());
        Ok(Value::Object(body))
    }
}

impl UpdateArgs {
    /// As [`SubscribeArgs::warn`].
    pub(super) fn warn(&self) {
        warn_of_kinds(&self.what.filter);
    }

    pub(super) fn body(&self) -> Result<Value, CliError> {
        let mut body = self.what.members()?;
        body.insert("Name".to_owned(), self.name.clone().into());
        if let Some(url) = &self.url {
            body.insert("Url".to_owned(), url.clone().into());
        }
        if self.no_filter {
            body.insert("Filter".to_owned(), json!({}));
        }
        if body.len() == 1 {
            return Err(CliError::usage("nothing is said that would change: see `pawl events update --help`"));
        }
        Ok(Value::Object(body))
    }
}

impl WhatArgs {
    fn members(&self) -> Result<Map<String, Value>, CliError> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("Format", self.format.clone().map(Into::into));
        put("Filter", filter(&self.filter)?);
        put("GiveUpAfter", self.give_up_after.clone().map(Into::into));
        let pem = self.ca.as_ref().map(|file| match file.as_os_str().is_empty() {
            true => Ok(String::new()),
            false => std::fs::read_to_string(file)
                .map_err(|error| CliError::usage(format!("cannot read --ca {}: {error}", file.display()))),
        });
        put("CaPem", pem.transpose()?.map(Into::into));
        Ok(body)
    }
}

fn filter(said: &[String]) -> Result<Option<Value>, CliError> {
    let (mut kinds, mut secrets, mut labels) = (vec![], vec![], vec![]);
    for one in said {
        match one.split_once('=') {
            Some(("kind", pattern)) => kinds.push(pattern),
            Some(("secret", pattern)) => secrets.push(pattern),
            Some(("label", pattern)) => labels.push(pattern),
            _ => {
                return Err(CliError::usage(format!(
                    "--filter {one}: say kind=PATTERN, secret=PATTERN or label=PATTERN, such as kind=rotation.*"
                )));
            }
        }
    }
    let any = !said.is_empty();
    Ok(any.then(|| json!({ "Kinds": kinds, "Secrets": secrets, "Labels": labels })))
}

fn warn_of_kinds(filter: &[String]) {
    for pattern in unknown_kinds(filter) {
        output::progress(format!(
            "warning: there is no event of kind {pattern}: docs/events.md lists them (such as rotation.*)"
        ));
    }
}

/// Patterns of kinds that let nothing through. They are taken all the same: a later version may have more kinds.
fn unknown_kinds(filter: &[String]) -> Vec<&str> {
    filter.iter().filter_map(|one| one.strip_prefix("kind=")).filter(|pattern| !is_of_a_kind(pattern)).collect()
}

/// An offset or a moment, as ReplayEvents takes them.
pub(super) fn since(text: &str) -> Result<Value, CliError> {
    if let Ok(offset) = text.parse::<i64>() {
        return Ok(json!({ "FromOffset": offset }));
    }
    let time: DateTime<Utc> = text.parse().map_err(|_| {
        CliError::usage(format!("--from {text} is neither an offset nor a moment such as 2026-03-10T09:37:00Z"))
    })?;
    Ok(json!({ "FromTime": time.timestamp() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_by_its_sorts() {
        let said = |list: &[&str]| filter(&list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        let both = said(&["kind=rotation.*", "secret=a=b"]).expect("well-formed");
        assert_eq!(both, Some(json!({ "Kinds": ["rotation.*"], "Secrets": ["a=b"], "Labels": [] })));
        assert_eq!(said(&[]).expect("nothing"), None);
        assert!(said(&["rotation.*"]).is_err() && said(&["type=x"]).is_err());
    }

    #[test]
    fn a_pattern_that_lets_no_kind_through_is_warned_of() {
        let said = ["kind=rotation.bogus", "kind=rotation.*", "secret=rotation.bogus"].map(str::to_owned);
        assert_eq!(unknown_kinds(&said), ["rotation.bogus"]);
    }

    #[test]
    fn a_replay_begins_at_an_offset_or_a_moment() {
        assert_eq!(since("17").expect("an offset"), json!({ "FromOffset": 17 }));
        assert_eq!(since("2026-03-10T09:37:00Z").expect("a moment"), json!({ "FromTime": 1_773_135_420 }));
        assert!(since("yesterday").is_err());
    }
}
