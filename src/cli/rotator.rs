//! `pawl rotator`: webhooks and AWS rotation functions: register, change, disable, remove, test; what was sent to them.

mod settings;
mod shown;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::settings::{LambdaArgs, UpdateArgs, WebhookArgs};
use super::client::Client;
use super::shown::text;
use super::{CliError, Connection, output};

#[derive(Debug, Subcommand)]
pub(crate) enum RotatorVerb {
    /// Register a webhook or an AWS rotation function
    #[command(subcommand)]
    Add(AddVerb),
    /// Show every rotator: those that are built in, then the registered ones
    List(Connection),
    /// Show how a rotator is called, which secrets it serves, since when its signing keys are good
    Show(One),
    /// Change how a rotator is called; what is left out stays
    #[command(
        long_about = "Change how a rotator is called; what is left out stays.\n\nAn empty text ('') takes away: --steps '', \
                      --ca '', --client-cert '' (its key goes with it; --client-key '' alone is refused), and --region '' with \
                      --access-key '' (its secret goes with it; another --access-key needs its own secret). --password-key '' \
                      is --whole-value."
    )]
    Update(Box<UpdateArgs>),
    /// Call a rotator no more: what is open waits, nothing begins, until it is enabled
    Disable(One),
    /// Call a disabled rotator again; a window that closed meanwhile is not made up for
    Enable(One),
    /// Forget a rotator; refused while it serves secrets, which are named
    Remove(One),
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
    /// Show the steps of rotations that were sent to a rotator: when, how long it took, status, verdict
    #[command(
        long_about = "Show the steps of rotations that were sent to a rotator, newest first: when, how long it took, status, \
                      verdict, and why.\n\nAn attempt that was not sent is listed too, without a status, with what kept it \
                      back: the breaker after many failures, or a lease that was lost. Not listed are the step check and \
                      what conformance runs send on the side, which belong to no rotation, and a createSecret whose value \
                      Pawl made by itself."
    )]
    Deliveries {
        #[command(flatten)]
        one: One,
        /// How many, newest first
        #[arg(long, default_value_t = 30, value_name = "N")]
        limit: u32,
        /// Only those before this delivery
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
    },
    /// Send a step once more, at once; refused where the rotation has moved on
    Redeliver {
        /// The rotator's name
        name: String,
        /// The delivery, as `pawl rotator deliveries` numbers it
        id: i64,
        #[command(flatten)]
        connection: Connection,
    },
    /// Try a live receiver against the contract: what is wrong, and why it matters
    #[command(
        long_about = "Try a live receiver against the contract: what is wrong, and why it matters.\n\nThe secret is one to \
                      throw away, with this rotator: it is rotated on the way. A run lasts as long as the receiver \
                      needs for each step twice, mostly a minute or two; an event on the side is given 10 seconds or \
                      the timeout, whichever is less. The exit code is 1 when a case failed."
    )]
    Test(OfSecret),
    /// Ask a rotator whether it could rotate a secret; changes nothing
    Check(OfSecret),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AddVerb {
    /// A receiver of Pawl's events (docs/writing-a-rotator.md); its signing key is printed, this once
    Webhook(Box<WebhookArgs>),
    /// An AWS rotation function, unchanged: in a container with the runtime interface emulator, or in AWS
    Lambda(Box<LambdaArgs>),
}

/// One rotator.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The rotator's name
    name: String,
    #[command(flatten)]
    connection: Connection,
}

/// A rotator and a secret.
#[derive(Debug, Args)]
pub(crate) struct OfSecret {
    /// The rotator's name
    name: String,
    /// Name or ARN of the secret
    #[arg(long)]
    secret: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(verb: RotatorVerb) -> Result<(), CliError> {
    match verb {
        RotatorVerb::Add(AddVerb::Webhook(args)) => add(&args.connection, args.body()?).await,
        RotatorVerb::Add(AddVerb::Lambda(args)) => add(&args.connection(), args.body()?).await,
        RotatorVerb::List(connection) => list(&connection).await,
        RotatorVerb::Show(one) => show(&one).await,
        RotatorVerb::Update(args) => update(&args).await,
        RotatorVerb::Disable(one) => enable(&one, false).await,
        RotatorVerb::Enable(one) => enable(&one, true).await,
        RotatorVerb::Remove(one) => remove(&one).await,
        RotatorVerb::RotateKey { one, overlap, replace } => rotate_key(&one, &overlap, replace).await,
        RotatorVerb::Deliveries { one, limit, before } => deliveries(&one, limit, before).await,
        RotatorVerb::Redeliver { name, id, connection } => {
            let body = json!({ "Name": name, "DeliveryId": id });
            let answer = Client::new(&connection)?.ours("Redeliver", body).await?;
            shown::again(&connection, &name, &answer);
            Ok(())
        }
        RotatorVerb::Test(of) => test(&of).await,
        RotatorVerb::Check(of) => {
            let answer = Client::new(&of.connection)?.ours("CheckRotator", of.body()).await?;
            judged(&of, &answer)
        }
    }
}

async fn add(connection: &Connection, body: Value) -> Result<(), CliError> {
    let answer = Client::new(connection)?.ours("CreateRotator", body).await?;
    if connection.json {
        output::json(&answer);
        return Ok(());
    }
    let name = text(&answer["Name"]).unwrap_or_default();
    match text(&answer["SigningKey"]) {
        Some(key) => {
            output::progress(format!("{name} is registered; its signing key, for the receiver, is shown this once"));
            output::say(key);
        }
        None => output::say(format!("{name} is registered")),
    }
    output::progress(format!("`pawl rotation enable SECRET --rotator {name}` gives it a secret"));
    shown::callback_hint(&answer);
    Ok(())
}

async fn list(connection: &Connection) -> Result<(), CliError> {
    let answer = Client::new(connection)?.ours("ListRotators", json!({})).await?;
    if connection.json {
        output::json(&answer);
    } else {
        shown::list(&answer);
    }
    Ok(())
}

async fn show(one: &One) -> Result<(), CliError> {
    let answer = one.call("DescribeRotator", json!({})).await?;
    one.show(&answer);
    Ok(())
}

async fn update(args: &UpdateArgs) -> Result<(), CliError> {
    let connection = args.connection();
    let answer = Client::new(&connection)?.ours("UpdateRotator", args.body()?).await?;
    if connection.json {
        output::json(&answer);
    } else {
        shown::rotator(&answer);
    }
    Ok(())
}

async fn enable(one: &One, enabled: bool) -> Result<(), CliError> {
    let answer = one.call("UpdateRotator", json!({ "Enabled": enabled })).await?;
    let what = if enabled { "is enabled" } else { "is disabled: it is not called, and what is open waits" };
    one.confirm(&answer, what);
    Ok(())
}

async fn remove(one: &One) -> Result<(), CliError> {
    one.call("DeleteRotator", json!({})).await?;
    one.confirm(&json!({ "Name": one.name, "Deleted": true }), "is forgotten");
    Ok(())
}

async fn rotate_key(one: &One, overlap: &str, replace: bool) -> Result<(), CliError> {
    let answer = one.call("RotateSigningKey", json!({ "Overlap": overlap, "Replace": replace })).await?;
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

async fn deliveries(one: &One, limit: u32, before: Option<i64>) -> Result<(), CliError> {
    let answer = one.call("ListDeliveries", json!({ "Limit": limit, "Before": before })).await?;
    if one.connection.json {
        output::json(&answer);
    } else {
        shown::deliveries(&answer);
    }
    Ok(())
}

/// One run, asked for until it has ended.
async fn test(of: &OfSecret) -> Result<(), CliError> {
    let client = Client::new(&of.connection)?;
    let mut body = of.body();
    output::progress(format!("{} is being tested with {}, which is rotated; this takes a while", of.name, of.secret));
    let mut answer = client.ours("TestRotator", body.clone()).await?;
    while answer["Finished"] == false {
        body["Run"] = answer["Run"].clone();
        answer = client.ours("TestRotator", body.clone()).await?;
    }
    judged(of, &answer)
}

/// Every case; and the exit code says whether one failed.
fn judged(of: &OfSecret, answer: &Value) -> Result<(), CliError> {
    if of.connection.json {
        output::json(answer);
    } else {
        shown::cases(answer);
    }
    let cases = answer["Cases"].as_array().map(Vec::as_slice).unwrap_or_default();
    match cases.iter().filter(|case| case["Passed"] != true).count() {
        0 => Ok(()),
        failed => Err(CliError::refused(format!("{failed} of {} failed", cases.len()))),
    }
}

impl OfSecret {
    fn body(&self) -> Value {
        json!({ "Name": self.name, "SecretId": self.secret })
    }
}

impl One {
    async fn call(&self, operation: &str, mut body: Value) -> Result<Value, CliError> {
        body["Name"] = self.name.clone().into();
        Client::new(&self.connection)?.ours(operation, body).await
    }

    fn show(&self, answer: &Value) {
        if self.connection.json {
            output::json(answer);
        } else {
            shown::rotator(answer);
        }
    }

    fn confirm(&self, answer: &Value, what: &str) {
        if self.connection.json {
            output::json(answer);
        } else {
            output::say(format!("{} {what}", self.name));
        }
    }
}
