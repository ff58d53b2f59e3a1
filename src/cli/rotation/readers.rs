//! `pawl rotation readers`: who last read which version, who is logged in with the credential before, and for how long
//! readers keep what they read.

use clap::Args;
use serde_json::Value;

use super::One;
use crate::cli::shown::{date, text};
use crate::cli::{CliError, output};

#[derive(Debug, Args)]
pub(crate) struct ReaderArgs {
    #[command(flatten)]
    one: One,
    /// Declare for how long what is read is kept, such as 5m: no grace is to be shorter
    #[arg(long, value_name = "SPAN")]
    declare: Option<String>,
    /// With --declare: the principal that keeps it [default: the one of this key]
    #[arg(long, value_name = "NAME", requires = "declare")]
    principal: Option<String>,
}

pub(super) async fn run(args: &ReaderArgs) -> Result<(), CliError> {
    let (one, client) = (&args.one, args.one.client()?);
    if let Some(span) = &args.declare {
        let cache = engine::span::parse(span).ok_or_else(|| {
            CliError::usage(format!(
                "--declare {span}: say a number of seconds, or a number with s, m, h or d such as 5m"
            ))
        })?;
        let mut body = one.body();
        body["CacheSeconds"] = cache.as_secs().into();
        if let Some(principal) = &args.principal {
            body["Principal"] = principal.as_str().into();
        }
        client.ours("DeclareReader", body).await?;
    }
    let answer = client.ours("ListReaders", one.body()).await?;
    if one.connection.json {
        output::json(&answer);
    } else {
        show(&answer);
    }
    Ok(())
}

fn show(answer: &Value) {
    let readers: Vec<_> = answer["Readers"].as_array().into_iter().flatten().map(reader).collect();
    if readers.is_empty() {
        output::say("nobody has read it");
    } else {
        output::table(&["reader", "version", "is", "last read", "keeps it for"], readers);
    }
    if let Some(why) = text(&answer["SessionsUnknown"]) {
        return output::say(format!("\nwho is logged in with the credential before is not known: {why}"));
    }
    let Some(sessions) = answer["Sessions"].as_array() else { return };
    output::say(if sessions.is_empty() {
        "\nnobody is logged in with the credential before"
    } else {
        "\nlogged in with the credential before:"
    });
    if !sessions.is_empty() {
        let row = |session: &Value| {
            let count = session["Count"].as_u64().unwrap_or_default().to_string();
            vec![text(&session["User"]).unwrap_or_default(), text(&session["From"]).unwrap_or_default(), count]
        };
        output::table(&["user", "from", "sessions"], sessions.iter().map(row).collect());
    }
}

fn reader(reader: &Value) -> Vec<String> {
    let stages: Vec<&str> = reader["Stages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keeps =
        reader["CacheSeconds"].as_u64().map(|seconds| engine::span::spell(std::time::Duration::from_secs(seconds)));
    vec![
        text(&reader["Principal"]).unwrap_or_default(),
        text(&reader["VersionId"]).map(|id| id.chars().take(8).collect()).unwrap_or_default(),
        stages.join(", "),
        date(&reader["LastRead"]).unwrap_or_default(),
        keeps.unwrap_or_default(),
    ]
}
