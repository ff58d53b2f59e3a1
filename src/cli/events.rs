//! `pawl events`: who is told of what happens, what could not be delivered, and following it live.

mod settings;
mod shown;
mod tail;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::settings::{SubscribeArgs, UpdateArgs};
use self::tail::TailArgs;
use super::client::Client;
use super::shown::text;
use super::{CliError, Connection, output};

#[derive(Debug, Subcommand)]
pub(crate) enum EventsVerb {
    /// Tell a receiver of what happens from now on; its signing key is printed, this once
    Subscribe(Box<SubscribeArgs>),
    /// Show every subscription, and what waits for each
    List(Connection),
    /// Show what a subscription is, how far it is told, what waits
    Describe(One),
    /// Change what a subscription is; what is left out stays
    Update(Box<UpdateArgs>),
    /// Tell nobody any more until it is enabled; what happens meanwhile waits
    Disable(One),
    /// Tell a disabled subscription again, of what happened meanwhile too
    Enable(One),
    /// Forget a subscription, what waits for it and its dead letters
    Delete(One),
    /// Make another signing key and print it, the one time it is shown; the key before it signs too for a while
    RotateKey {
        #[command(flatten)]
        one: One,
        /// How long deliveries carry the signatures of both keys, such as 24h
        #[arg(long, value_name = "TIME", default_value = "24h")]
        overlap: String,
        /// While two keys are live already: end the older one now, though the receiver may still go by it
        #[arg(long)]
        replace: bool,
    },
    /// Tell a subscription once more, from an offset or a moment on, in order
    Replay {
        #[command(flatten)]
        one: One,
        /// An offset, as `pawl events tail` shows it, or a moment such as 2026-03-10T09:37:00Z
        #[arg(long, value_name = "OFFSET|TIME")]
        from: String,
    },
    /// Show what a subscription's receiver did not take in time; send it once more, or throw it away
    DeadLetters {
        #[command(flatten)]
        one: One,
        /// Send them once more
        #[arg(long, group = "act")]
        redeliver: bool,
        /// Throw them away
        #[arg(long, group = "act")]
        discard: bool,
        /// With --redeliver or --discard: only this one (may be given several times)
        #[arg(long, value_name = "ID", requires = "act")]
        id: Vec<i64>,
        /// How many are shown, newest first
        #[arg(long, default_value_t = 30, value_name = "N")]
        limit: u32,
    },
    /// Show what happens as it happens, one event a line, until Ctrl-C
    Tail(Box<TailArgs>),
}

/// One subscription.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The subscription's name
    name: String,
    #[command(flatten)]
    connection: Connection,
}

impl One {
    async fn call(&self, operation: &str, more: Value) -> Result<Value, CliError> {
        let mut body = json!({ "Name": self.name });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        Client::new(&self.connection)?.ours(operation, body).await
    }

    fn say(&self, answer: &Value, line: &str) {
        match self.connection.json {
            true => output::json(answer),
            false => output::say(format!("{} {line}", self.name)),
        }
    }
}

pub(crate) async fn run(verb: EventsVerb) -> Result<(), CliError> {
    match verb {
        EventsVerb::Subscribe(args) => subscribe(&args).await,
        EventsVerb::List(connection) => {
            let answer = Client::new(&connection)?.ours("ListSubscriptions", json!({})).await?;
            show(&connection, &answer, shown::list);
            Ok(())
        }
        EventsVerb::Describe(one) => {
            let answer = one.call("DescribeSubscription", json!({})).await?;
            show(&one.connection, &answer, shown::subscription);
            Ok(())
        }
        EventsVerb::Update(args) => {
            let answer = Client::new(&args.connection)?.ours("UpdateSubscription", args.body()?).await?;
            args.warn();
            show(&args.connection, &answer, shown::subscription);
            Ok(())
        }
        EventsVerb::Disable(one) => enable(&one, false).await,
        EventsVerb::Enable(one) => enable(&one, true).await,
        EventsVerb::Delete(one) => {
            one.call("DeleteSubscription", json!({})).await?;
            one.say(&json!({ "Name": one.name, "Deleted": true }), "is forgotten");
            Ok(())
        }
        EventsVerb::RotateKey { one, overlap, replace } => rotate_key(&one, &overlap, replace).await,
        EventsVerb::Replay { one, from } => {
            let answer = one.call("ReplayEvents", settings::since(&from)?).await?;
            one.say(&answer, &format!("is told again from offset {} on", answer["FromOffset"]));
            Ok(())
        }
        EventsVerb::DeadLetters { one, redeliver, discard, id, limit } => {
            let operation = match (redeliver, discard) {
                (true, _) => "RedeliverDeadLetters",
                (_, true) => "DiscardDeadLetters",
                _ => return dead_letters(&one, limit).await,
            };
            let ids = (!id.is_empty()).then_some(id);
            let answer = one.call(operation, json!({ "DeadLetterIds": ids })).await?;
            let done = if redeliver { "are sent once more" } else { "are thrown away" };
            one.say(&answer, &format!("had {} dead letters, which {done}", answer["Count"]));
            Ok(())
        }
        EventsVerb::Tail(args) => tail::tail(&args).await,
    }
}

fn show(connection: &Connection, answer: &Value, people: fn(&Value)) {
    if connection.json { output::json(answer) } else { people(answer) }
}

async fn subscribe(args: &SubscribeArgs) -> Result<(), CliError> {
    let answer = Client::new(&args.connection)?.ours("CreateSubscription", args.body()?).await?;
    args.warn();
    if args.connection.json {
        output::json(&answer);
        return Ok(());
    }
    let name = text(&answer["Name"]).unwrap_or_default();
    output::progress(format!(
        "{name} is told from offset {} on; its signing key, for the receiver, is shown this once",
        answer["NextOffset"]
    ));
    output::say(text(&answer["SigningKey"]).unwrap_or_default());
    Ok(())
}

async fn enable(one: &One, enabled: bool) -> Result<(), CliError> {
    let answer = one.call("UpdateSubscription", json!({ "Enabled": enabled })).await?;
    one.say(&answer, if enabled { "is enabled" } else { "is disabled: what happens waits" });
    Ok(())
}

async fn rotate_key(one: &One, overlap: &str, replace: bool) -> Result<(), CliError> {
    let answer = one.call("RotateSubscriptionKey", json!({ "Overlap": overlap, "Replace": replace })).await?;
    if one.connection.json {
        output::json(&answer);
        return Ok(());
    }
    let until = super::shown::date(&answer["PreviousExpiryDate"]).unwrap_or_default();
    output::progress(format!(
        "the new signing key of {}, shown this once; give it to the receiver before {until}, when the one before it ends",
        one.name
    ));
    output::say(text(&answer["SigningKey"]).unwrap_or_default());
    Ok(())
}

async fn dead_letters(one: &One, limit: u32) -> Result<(), CliError> {
    let answer = one.call("ListDeadLetters", json!({ "Limit": limit })).await?;
    show(&one.connection, &answer, shown::dead_letters);
    Ok(())
}
