//! `pawl key`: access keys, whom they belong to, and temporary credentials. Clients of the API; but for `create --data DIR`
//! while no server has that folder open, which replaces a lost administrator's key.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use engine::port::Clock;
use serde_json::{Value, json};
use store::{Location, Store, causes};

use super::client::{Client, variable};
use super::shown::{date, text};
use super::{CliError, Connection, output};
use crate::boot::{ADMINISTRATOR, open_store, write_credentials};
use crate::clock::SystemClock;
use crate::config::{ServeArgs, Settings, credentials_path};

/// The exit code where no server answers.
const NO_ANSWER: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Make an access key and print it, the one time its secret is shown
    #[command(
        long_about = "Make an access key and print it, the one time its secret is shown.\n\nWithout a role it is an \
                      administrator's. With --data DIR of a server that is stopped, the lost key of the administrator \
                      is replaced in DIR/credentials; of a PostgreSQL store (PAWL_STORE) every node must be stopped."
    )]
    Create(Box<CreateArgs>),
    /// Show every access key, whom it belongs to, and what that may do
    List(Connection),
    /// Refuse an access key from the next request on; it can be enabled again
    Disable(One),
    /// Let a disabled access key sign again
    Enable(One),
    /// Delete an access key for good
    Delete(One),
    /// Print temporary credentials of the key that is used, with its rights, as lines for a shell
    Session {
        /// How long they are good, such as 15m or 1h; from a minute to 36 hours
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
        ttl: u64,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose key it is [default: admin, for an administrator]
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// What its owner may do [default: administrator]
    #[arg(long)]
    role: Option<RoleName>,
    /// A reader's: secrets whose name begins so (may be repeated)
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<String>,
    /// A reader's or rotator's: a secret of this name (may be repeated)
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    /// The keyring, if it is not in the data folder of the stopped server
    #[arg(long, value_name = "FILE", env = "PAWL_KEYRING")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// May do everything
    Administrator,
    /// May read the secrets of its prefixes and names
    Reader,
    /// May write and label new versions of the secrets it names: a rotation function
    Rotator,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The access key's id, such as AKIA…
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(verb: KeyVerb) -> Result<(), CliError> {
    match verb {
        KeyVerb::Create(args) => create(*args).await,
        KeyVerb::List(connection) => list(&connection).await,
        KeyVerb::Disable(one) => enable(&one, false).await,
        KeyVerb::Enable(one) => enable(&one, true).await,
        KeyVerb::Delete(one) => delete(&one).await,
        KeyVerb::Session { ttl, connection } => session(&connection, ttl).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), CliError> {
    match asked(&args.connection).await? {
        Asked::Folder(data) => replace_lost(data, args).await,
        Asked::Server => create_online(args).await,
        Asked::Nodes(said) => create_online(args).await.map_err(|error| match error.code {
            NO_ANSWER => CliError { message: format!("{} ({said})", error.message), ..error },
            _ => error,
        }),
    }
}

/// Who makes the key.
enum Asked {
    /// Nobody serves this folder's store, and no other server was asked for.
    Folder(PathBuf),
    /// A server.
    Server,
    /// One of several nodes; what is known of them.
    Nodes(String),
}

/// A key that others use is deleted by nobody but whoever knows that no server runs.
async fn asked(connection: &Connection) -> Result<Asked, CliError> {
    let Some(data) = connection.data.clone().filter(|_| connection.endpoint_url.is_none()) else {
        return Ok(Asked::Server);
    };
    let location = settings(ServeArgs { data: Some(data.clone()), ..ServeArgs::default() })?.1;
    if !exists(&location).await? || Store::is_open(&location) {
        return Ok(Asked::Server);
    }
    let nodes = store::serving(&location, SystemClock.now()).await;
    let nodes = nodes.map_err(|error| CliError::refused(causes(&error)))?;
    let Some(node) = nodes.first() else { return Ok(Asked::Folder(data)) };
    let seen = node.seen.format("%H:%M:%S UTC");
    let said = format!("node {} serves {location}, seen {seen}; one that was killed counts for ten minutes", node.node);
    if credentials_path(&data).exists() {
        return Ok(Asked::Nodes(said));
    }
    Err(CliError::refused(format!(
        "{said}. The administrator's key is in `credentials` of the folder of the node that was started first: say --data or copy \
         that file. If it is lost, stop every node and run this again"
    )))
}

async fn exists(location: &Location) -> Result<bool, CliError> {
    Store::exists(location).await.map_err(|error| CliError::usage(causes(&error)))
}

async fn create_online(args: CreateArgs) -> Result<(), CliError> {
    if args.principal.is_none() && !matches!(args.role, None | Some(RoleName::Administrator)) {
        return Err(CliError::usage("a reader or rotator needs a name: --principal NAME"));
    }
    let mut request = json!({});
    if let Some(principal) = args.principal {
        request["Principal"] = principal.into();
    }
    if let Some(role) = args.role.and_then(|role| role.to_possible_value()) {
        request["Role"] = role.get_name().into();
    }
    if !args.prefix.is_empty() {
        request["Prefixes"] = args.prefix.into();
    }
    if !args.secret.is_empty() {
        request["Secrets"] = args.secret.into();
    }
    let answer = Client::new(&args.connection)?.ours("CreateAccessKey", request).await?;
    let said = |name: &str| text(&answer[name]).unwrap_or_default();
    let whose = format!("access key {} of {} ({})", said("AccessKeyId"), said("Principal"), said("Role"));
    hand_out(&args.connection, &answer, &format!("{whose}; its secret is shown this once"))
}

async fn replace_lost(data: PathBuf, args: CreateArgs) -> Result<(), CliError> {
    if args.principal.is_some() || args.role.is_some() || !args.prefix.is_empty() || !args.secret.is_empty() {
        return Err(CliError::usage(format!(
            "no server has {} open, and without one only a lost administrator's key is replaced: start `pawl serve`, or \
             leave out --principal, --role, --prefix and --secret",
            data.display()
        )));
    }
    let (settings, store) = offline(data, args.keyring).await?;
    let (key, replaced) = store.replace_access_key(ADMINISTRATOR, SystemClock.now()).await?;
    let path = credentials_path(&settings.data);
    write_credentials(&path, &key)?;
    if args.connection.json {
        output::json(&json!({ "AccessKeyId": key.access_key_id, "CredentialsFile": path, "Replaced": replaced }));
        return Ok(());
    }
    output::say(format!("access key {} of the administrator is in {}", key.access_key_id, path.display()));
    if let Some(replaced) = replaced {
        output::say(format!("access key {replaced} is deleted: a principal has two at most"));
    }
    Ok(())
}

async fn list(connection: &Connection) -> Result<(), CliError> {
    let answer = Client::new(connection)?.ours("ListAccessKeys", json!({})).await?;
    if connection.json {
        output::json(&answer);
        return Ok(());
    }
    let keys = answer["AccessKeys"].as_array().cloned().unwrap_or_default();
    let row = |key: &Value| {
        let said = |name: &str| text(&key[name]).unwrap_or_default();
        let state = if key["Enabled"] == true { "enabled" } else { "disabled" };
        let created = date(&key["CreatedDate"]).unwrap_or_default();
        vec![said("AccessKeyId"), state.to_owned(), said("Principal"), said("Role"), scope(key), created]
    };
    output::table(&["id", "state", "principal", "role", "secrets", "created"], keys.iter().map(row).collect());
    Ok(())
}

/// `app/* db`: beginnings of names with a star, names without.
fn scope(key: &Value) -> String {
    let texts = |name: &str| key[name].as_array().cloned().unwrap_or_default().into_iter().filter_map(|one| text(&one));
    let shown: Vec<_> = texts("Prefixes").map(|prefix| prefix + "*").chain(texts("Secrets")).collect();
    if shown.is_empty() { "all".to_owned() } else { shown.join(" ") }
}

async fn enable(one: &One, enabled: bool) -> Result<(), CliError> {
    let request = json!({ "AccessKeyId": one.id, "Enabled": enabled });
    Client::new(&one.connection)?.ours("UpdateAccessKey", request).await?;
    let what = if enabled { "is enabled" } else { "is disabled: it is refused from the next request on" };
    done(one, &json!({ "AccessKeyId": one.id, "Enabled": enabled }), what);
    Ok(())
}

async fn delete(one: &One) -> Result<(), CliError> {
    Client::new(&one.connection)?.ours("DeleteAccessKey", json!({ "AccessKeyId": one.id })).await?;
    done(one, &json!({ "AccessKeyId": one.id, "Deleted": true }), "is deleted");
    Ok(())
}

fn done(one: &One, answer: &Value, what: &str) {
    if one.connection.json {
        output::json(answer);
    } else {
        output::say(format!("access key {} {what}", one.id));
    }
}

async fn session(connection: &Connection, ttl: u64) -> Result<(), CliError> {
    let answer = Client::new(connection)?.ours("CreateSession", json!({ "DurationSeconds": ttl })).await?;
    let until = date(&answer["Expiration"]).unwrap_or_default();
    hand_out(connection, &answer, &format!("good until {until}, and while the key they come from is"))
}

/// Credentials for a program, or as lines that a shell takes with `eval`. What is for people goes to standard error.
fn hand_out(connection: &Connection, answer: &Value, about: &str) -> Result<(), CliError> {
    if connection.json {
        output::json(answer);
        return Ok(());
    }
    let mut lines = Vec::new();
    for (member, variable) in [
        ("AccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("SecretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        ("SessionToken", "AWS_SESSION_TOKEN"),
    ] {
        let Some(value) = answer[member].as_str() else { continue };
        // A shell is going to read this, and it came over the network.
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)) {
            return Err(CliError::refused(format!(
                "the server's {member} is not one: it would do something in a shell"
            )));
        }
        lines.push(format!("export {variable}={value}"));
    }
    output::progress(about);
    lines.iter().for_each(output::say);
    Ok(())
}

/// `90s`, `15m`, `1h`, or a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    number.and_then(|number| number.checked_mul(unit)).ok_or_else(|| "say 15m, 1h or a number of seconds".to_owned())
}

/// What a server is told by these flags, the environment and the TOML file; and where its store is.
pub(crate) fn settings(args: ServeArgs) -> Result<(Settings, Location), CliError> {
    let config = args.config.or_else(|| variable("PAWL_CONFIG").map(PathBuf::from));
    let settings = Settings::load(&ServeArgs { config, ..args }).map_err(|error| CliError::usage(error.to_string()))?;
    let location = settings.location().map_err(|error| CliError::usage(error.to_string()))?;
    Ok((settings, location))
}

/// Opens the store of a stopped server.
pub(crate) async fn offline(data: PathBuf, keyring: Option<PathBuf>) -> Result<(Settings, Store), CliError> {
    let (settings, location) = settings(ServeArgs { data: Some(data), keyring, ..ServeArgs::default() })?;
    if !exists(&location).await? {
        return Err(CliError::usage(format!("{location} holds no store; --data is the server's data folder")));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_store(&settings, clock).await?;
    Ok((settings, store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_seconds_minutes_or_hours() {
        for (text, expected) in [("90s", 90), ("15m", 900), ("36h", 129_600), ("60", 60)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "h", "1d", "-1m", "1.5h", "99999999999999999999h", "18446744073709551615h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_shows_beginnings_with_a_star() {
        assert_eq!(scope(&json!({"Prefixes": ["app/"], "Secrets": ["db"]})), "app/* db");
        assert_eq!(scope(&json!({})), "all");
    }
}
