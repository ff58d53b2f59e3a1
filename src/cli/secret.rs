//! `pawl secret`: the AWS operations a person needs at a prompt.

mod wait;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::id::VersionId;
use engine::secret::SecretBytes;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Map, Value, json};
use store::{StoreError, causes};

use super::client::Client;
use super::key::offline;
use super::shown::{date, stages, text};
use super::{CliError, Connection, output};

#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Create a secret
    Create {
        /// Its name: letters, digits and /_+=.@-!
        name: String,
        #[command(flatten)]
        value: ValueArgs,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List secrets
    List {
        /// Also those scheduled for deletion
        #[arg(long)]
        deleted: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show all about a secret but its value
    Show {
        /// Name or ARN
        secret: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print a secret's value (and nothing else)
    Get {
        /// Name or ARN
        secret: String,
        /// A staging label
        #[arg(long, default_value = "AWSCURRENT")]
        stage: String,
        /// A version instead of a label
        #[arg(long, conflicts_with = "stage")]
        version: Option<String>,
        /// One key of a JSON value, such as `password`
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Write a new value, which becomes AWSCURRENT
    Put {
        /// Name or ARN
        secret: String,
        #[command(flatten)]
        value: ValueArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Wait until a secret has another AWSCURRENT, and print that version's id
    #[command(
        long_about = "Wait until a secret has another AWSCURRENT, and print that version's id.\n\nWithout --not it waits for \
                      the next change from now on. With --not VERSION it ends at once where AWSCURRENT is another version \
                      already. Exit code 5 when that did not happen in time."
    )]
    Wait {
        /// Name or ARN
        secret: String,
        /// The version that is known already [default: the one that is AWSCURRENT now]
        #[arg(long, value_name = "VERSION")]
        not: Option<String>,
        /// How many seconds at most
        #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
        timeout: u64,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a secret, at the end of a recovery window unless --now
    Delete {
        /// Name or ARN
        secret: String,
        /// Days until it is removed, 7 to 30
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Remove it at once and for good
        #[arg(long, conflicts_with = "days")]
        now: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print AWSCURRENT and every value the target may hold, also of a deleted secret, without a server
    #[command(
        long_about = "Print AWSCURRENT and every value the target of a secret may hold, also of a deleted one.\n\nAsks no server: \
                      it opens the store with the keyring. Stop the server of a SQLite store first; on PostgreSQL nodes may go on \
                      serving."
    )]
    Recover {
        /// Name or ARN
        #[arg(value_name = "SECRET")]
        name: String,
        /// The server's data folder
        #[arg(long, value_name = "DIR", env = "PAWL_DATA")]
        data: PathBuf,
        /// The keyring, if it is not in the data folder
        #[arg(long, value_name = "FILE", env = "PAWL_KEYRING")]
        keyring: Option<PathBuf>,
    },
    /// Take back a deletion that is not done yet
    Restore {
        /// Name or ARN
        secret: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Where a value comes from. Never an argument: arguments show in the list of processes.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("source").required(true)))]
pub(crate) struct ValueArgs {
    /// A file with the value, `-` for standard input
    #[arg(long, value_name = "FILE", group = "source")]
    value: Option<PathBuf>,
    /// A database account: ENGINE://USER@HOST[:PORT][/DBNAME] with engine postgres, mysql or mariadb
    #[arg(long, value_name = "URL", requires = "password_file", group = "source")]
    database: Option<String>,
    /// With --database: a file with the account's present password, `-` for standard input
    #[arg(long, value_name = "FILE", requires = "database")]
    password_file: Option<PathBuf>,
    /// With --database: the secret of an administrator who changes the password (else the account changes its own)
    #[arg(long, value_name = "SECRET", requires = "database")]
    admin: Option<String>,
    /// No value yet
    #[arg(long, group = "source")]
    empty: bool,
}

pub(crate) async fn run(verb: SecretVerb) -> Result<(), CliError> {
    match verb {
        SecretVerb::Create { name, value, description, connection } => {
            let mut body = json!({"Name": name, "ClientRequestToken": token()});
            set(&mut body, "Description", description.map(Value::from));
            set(&mut body, "SecretString", value.read()?.map(Value::from));
            let answer = Client::new(&connection)?.aws("CreateSecret", body).await?;
            show_written(&connection, &answer, "created");
        }
        SecretVerb::List { deleted, connection } => list(&connection, deleted).await?,
        SecretVerb::Show { secret, connection } => {
            let answer = Client::new(&connection)?.aws("DescribeSecret", json!({"SecretId": secret})).await?;
            if connection.json { output::json(&answer) } else { show(&answer) }
        }
        SecretVerb::Get { secret, stage, version, key, connection } => {
            let mut body = json!({"SecretId": secret});
            match version {
                Some(version) => set(&mut body, "VersionId", Some(version.into())),
                None => set(&mut body, "VersionStage", Some(stage.into())),
            }
            let answer = Client::new(&connection)?.aws("GetSecretValue", body).await?;
            get(&connection, &answer, key.as_deref())?;
        }
        SecretVerb::Put { secret, value, connection } => {
            let Some(value) = value.read()? else {
                return Err(CliError::usage("a secret that has a value cannot be made empty"));
            };
            let body = json!({"SecretId": secret, "ClientRequestToken": token(), "SecretString": value});
            let answer = Client::new(&connection)?.aws("PutSecretValue", body).await?;
            show_written(&connection, &answer, "written");
        }
        SecretVerb::Wait { secret, not, timeout, connection } => wait::wait(&connection, &secret, not, timeout).await?,
        SecretVerb::Delete { secret, days, now, connection } => {
            let how =
                if now { ("ForceDeleteWithoutRecovery", json!(true)) } else { ("RecoveryWindowInDays", json!(days)) };
            let mut body = json!({"SecretId": secret});
            set(&mut body, how.0, Some(how.1));
            let answer = Client::new(&connection)?.aws("DeleteSecret", body).await?;
            let when = date(&answer["DeletionDate"]).unwrap_or_default();
            let line = if now {
                "removed".to_owned()
            } else {
                format!("will be removed at {when}; `pawl secret restore` takes that back")
            };
            confirm(&connection, &answer, &line);
        }
        SecretVerb::Recover { name, data, keyring } => recover(&name, data, keyring).await?,
        SecretVerb::Restore { secret, connection } => {
            let answer = Client::new(&connection)?.aws("RestoreSecret", json!({"SecretId": secret})).await?;
            confirm(&connection, &answer, "restored");
        }
    }
    Ok(())
}

impl ValueArgs {
    /// The value as text; None for `--empty`.
    fn read(&self) -> Result<Option<String>, CliError> {
        match (&self.value, &self.database) {
            (Some(file), _) => Ok(Some(read_text(file)?)),
            (None, Some(url)) => Ok(Some(self.account(url)?)),
            (None, None) => Ok(None),
        }
    }

    /// A database account as AWS's JSON.
    fn account(&self, url: &str) -> Result<String, CliError> {
        let Some(file) = &self.password_file else {
            return Err(CliError::usage("--database wants --password-file"));
        };
        let url: reqwest::Url = url.parse().map_err(|error| CliError::usage(format!("--database {url}: {error}")))?;
        if url.password().is_some() {
            return Err(CliError::usage(
                "no password in --database: it would show in the list of processes; use --password-file",
            ));
        }
        let engine = json!({ "engine": url.scheme() }).to_string();
        if rotators::engine_of(&SecretBytes::from(engine)).is_none() {
            return Err(CliError::usage(format!(
                "--database {}://…: Pawl rotates postgres, mysql and mariadb by itself; for anything else write the value with \
                 --value FILE, and rotate it with `pawl rotation enable --rotator NAME`",
                url.scheme()
            )));
        }
        let password = read_password(file)?;
        let mut account = Map::new();
        let mut put = |name: &str, value: Value| account.insert(name.to_owned(), value);
        put("engine", url.scheme().into());
        put("host", url.host_str().unwrap_or_default().trim_matches(['[', ']']).into());
        if let Some(port) = url.port() {
            put("port", port.into());
        }
        put("username", percent_decoded(url.username())?.into());
        put("password", password.trim_end_matches(['\n', '\r']).into());
        let dbname = url.path().trim_start_matches('/');
        if !dbname.is_empty() {
            put("dbname", percent_decoded(dbname)?.into());
        }
        if let Some(admin) = &self.admin {
            put("masterarn", admin.as_str().into());
        }
        Ok(Value::Object(account).to_string())
    }
}

fn percent_decoded(text: &str) -> Result<String, CliError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| CliError::usage("--database: a name in it is not UTF-8"))
}

/// A password from a file; from a terminal, without showing it.
fn read_password(file: &std::path::Path) -> Result<String, CliError> {
    let stdin = std::io::stdin();
    if file.as_os_str() != "-" || !stdin.is_terminal() {
        return read_text(file);
    }
    output::prompt("password: ");
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &silent)?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    output::progress("");
    read.map_err(|error| CliError::usage(format!("cannot read the password: {error}")))?;
    Ok(line)
}

fn read_text(file: &std::path::Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| CliError::usage(format!("cannot read {}: {error}", file.display())))?;
    Ok(text)
}

/// A fresh ClientRequestToken.
pub(crate) fn token() -> String {
    VersionId::random(&mut rand::rng()).as_str().to_owned()
}

fn set(body: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body[name] = value;
    }
}

async fn list(connection: &Connection, deleted: bool) -> Result<(), CliError> {
    let client = Client::new(connection)?;
    let mut secrets = vec![];
    let mut next = Value::Null;
    loop {
        let mut body = json!({"IncludePlannedDeletion": deleted, "SortBy": "name", "SortOrder": "asc"});
        set(&mut body, "NextToken", next.as_str().map(Value::from));
        let mut answer = client.aws("ListSecrets", body).await?;
        if let Value::Array(page) = answer["SecretList"].take() {
            secrets.extend(page);
        }
        next = answer["NextToken"].take();
        if next.is_null() {
            break;
        }
    }
    if connection.json {
        output::json(&json!({ "SecretList": secrets }));
        return Ok(());
    }
    let row = |secret: &Value| {
        let rotation = if secret["RotationEnabled"] == true { "on" } else { "off" };
        let mut row = vec![text(&secret["Name"]).unwrap_or_default(), rotation.to_owned()];
        row.extend(
            ["LastRotatedDate", "NextRotationDate"].map(|name| date(&secret[name]).unwrap_or_else(|| "-".to_owned())),
        );
        if deleted {
            row.push(date(&secret["DeletedDate"]).unwrap_or_else(|| "-".to_owned()));
        }
        row
    };
    let mut header = vec!["name", "rotation", "last rotated", "rotates before"];
    if deleted {
        header.push("deleted at");
    }
    output::table(&header, secrets.iter().map(row).collect());
    Ok(())
}

async fn recover(name: &str, data: PathBuf, keyring: Option<PathBuf>) -> Result<(), CliError> {
    let (_, store) = offline(data, keyring).await?;
    let found = store.recover(name).await?;
    if found.is_empty() {
        return Err(match store.named(name).await {
            Ok(_) => CliError::refused(format!("{name} has no value: nothing was written or sent to its target")),
            Err(StoreError::SecretNotFound) => CliError::refused(format!(
                "there is no secret {name}, and none of this name was deleted while a rotation of it was open"
            )),
            Err(error) => CliError::refused(causes(&error)),
        });
    }
    for one in found {
        let gone = if one.gone { ", deleted" } else { "" };
        let current = if one.current { ", AWSCURRENT" } else { "" };
        let candidate = if one.candidate > 0 { format!(", candidate {}", one.candidate) } else { String::new() };
        output::progress(format!("{}{gone}: version {}{current}{candidate}", one.arn, one.version_id));
        output::raw(one.value.bytes.expose())?;
        output::say("");
    }
    Ok(())
}

fn show(answer: &Value) {
    output::fields(&[
        ("name", text(&answer["Name"])),
        ("arn", text(&answer["ARN"])),
        ("description", text(&answer["Description"])),
        ("created", date(&answer["CreatedDate"])),
        ("changed", date(&answer["LastChangedDate"])),
        ("rotation", Some(if answer["RotationEnabled"] == true { "on" } else { "off" }.to_owned())),
        ("last rotated", date(&answer["LastRotatedDate"])),
        ("rotates before", date(&answer["NextRotationDate"])),
        ("deleted at", date(&answer["DeletedDate"])),
    ]);
    for line in stages(&answer["VersionIdsToStages"]) {
        output::say(format!("version  {line}"));
    }
}

fn get(connection: &Connection, answer: &Value, key: Option<&str>) -> Result<(), CliError> {
    if connection.json {
        output::json(answer);
        return Ok(());
    }
    let Some(value) = answer["SecretString"].as_str() else {
        return Err(CliError::refused("the value is binary; use --json for its base64"));
    };
    let Some(key) = key else { return output::raw(value.as_bytes()).map(|()| output::say("")) };
    let parsed: Value = serde_json::from_str(value).unwrap_or(Value::Null);
    match &parsed[key] {
        Value::Null => Err(CliError::refused(format!("the value has no key `{key}`"))),
        Value::String(text) => output::raw(text.as_bytes()).map(|()| output::say("")),
        other => output::raw(other.to_string().as_bytes()).map(|()| output::say("")),
    }
}

fn show_written(connection: &Connection, answer: &Value, what: &str) {
    let version = text(&answer["VersionId"]).map(|id| format!(", version {id}")).unwrap_or_default();
    confirm(connection, answer, &format!("{what}{version}"));
}

/// The answer as JSON, or one sentence.
fn confirm(connection: &Connection, answer: &Value, line: &str) {
    if connection.json {
        output::json(answer);
    } else {
        output::say(format!("{} {line}", text(&answer["Name"]).unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> ValueArgs {
        ValueArgs { value: None, database: None, password_file: None, admin: None, empty: false }
    }

    #[test]
    fn a_database_url_becomes_the_json_that_rotators_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("pw");
        std::fs::write(&file, "p w\n").expect("written");
        let args = ValueArgs { password_file: Some(file), admin: Some("root".to_owned()), ..nothing() };
        let json = args.account("postgres://a%40b@127.0.0.1:5433/app").expect("a value");
        let value: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            value,
            json!({"engine": "postgres", "host": "127.0.0.1", "port": 5433, "username": "a@b", "password": "p w",
                   "dbname": "app", "masterarn": "root"})
        );
    }

    #[test]
    fn a_database_that_no_rotator_knows_is_refused_and_says_what_to_do_instead() {
        let args = ValueArgs { password_file: Some("/dev/null".into()), ..nothing() };
        for url in ["oracle://a@h/app", "postgresql://a@h/app", "https://h"] {
            let error = args.account(url).expect_err(url);
            assert!(error.message.contains("postgres, mysql and mariadb") && error.message.contains("--value FILE"));
        }
        assert!(args.account("aurora-mysql://a@h/app").is_ok());
    }

    #[test]
    fn a_password_in_the_url_is_refused() {
        let args = ValueArgs { password_file: Some("/dev/null".into()), ..nothing() };
        let error = args.account("postgres://a:secret@h/app").expect_err("refused");
        assert!(error.message.contains("--password-file") && !error.message.contains("secret"));
    }
}
