//! Owns the secret's JSON: which keys a database secret has, and what they mean. Everything is checked here, so that
//! inside a login is already right. Never here: connections.

use std::fmt;

use engine::outcome::{StepError, Verdict};
use engine::port::Options;
use engine::secret::SecretBytes;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::pair::next_user;
use crate::quote::shown;
use crate::splice::replace;
use crate::tls::Channel;
use crate::topology::{Place, places};

/// What is particular to one kind of database.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The rotator's name.
    pub name: &'static str,
    /// As sentences call it.
    pub title: &'static str,
    /// The values of `engine` that are this kind.
    pub engines: &'static [&'static str],
    pub port: u16,
    /// The longest user name in bytes: PostgreSQL cuts longer ones off and would change another role.
    pub longest_user: usize,
    /// The longest user name in characters, where the server counts those.
    pub longest_user_chars: usize,
}

impl Kind {
    /// Whether an account can have this name.
    pub(crate) fn takes_user(&self, user: &str) -> bool {
        user.len() <= self.longest_user && user.chars().count() <= self.longest_user_chars
    }
}

/// One way to log in, read from a secret's value. `Debug` shows no password.
#[derive(Clone)]
pub(crate) struct Login {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Zeroizing<String>,
    pub database: Option<String>,
    pub channel: Channel,
    /// SCRAM is bound to the TLS session; a pooler that ends TLS itself cannot do that.
    pub channel_binding: bool,
    /// Every host at which the same account can be reached, `host` first.
    pub places: Vec<Place>,
    /// The value has a list of hosts, so that its password goes to servers that it was not changed at: none of them is
    /// told it in clear.
    pub spread: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("server", &self.server()).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// `host:port`, for messages.
    pub(crate) fn server(&self) -> String {
        format!("{}:{}", shown(&self.host), self.port)
    }

    pub(crate) fn same_server(&self, other: &Self) -> bool {
        self.port == other.port && host_key(&self.host) == host_key(&other.host)
    }

    pub(crate) fn same_account(&self, other: &Self) -> bool {
        self.same_server(other) && self.user == other.user
    }

    pub(crate) fn same_password(&self, other: &Self) -> bool {
        self.password == other.password
    }
}

/// What two spellings of one host have in common.
pub(crate) fn host_key(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Reads a value. `what` names it in messages: `AWSCURRENT`, `the admin secret`.
pub(crate) fn parse(kind: &Kind, what: &str, value: &SecretBytes) -> Result<Login, StepError> {
    let raw: Raw = serde_json::from_slice(value.expose()).map_err(|e| not_json(what, e.classify()))?;
    let bad = |code: &str, message: String, remedy: String| {
        StepError::new(Verdict::NeedsPerson, code, message).remedy(remedy)
    };
    let engine = match &raw.engine {
        None => return Err(missing("engine", what)),
        Some(engine) => engine.as_str().unwrap_or_default(),
    };
    if !kind.engines.contains(&engine) {
        return Err(bad(
            "wrong-engine",
            format!("The engine in {what} is not one that the rotator {} changes.", kind.name),
            format!("Set \"engine\" to one of: {}.", kind.engines.join(", ")),
        ));
    }
    let text = |key: &'static str, value: &Option<Value>| match value {
        None => Err(missing(key, what)),
        Some(Value::String(text)) if !text.is_empty() && !text.contains('\0') => Ok(text.clone()),
        Some(_) => Err(wrong(key, what, "a text that is not empty")),
    };
    let host = text("host", &raw.host)?;
    let user = text("username", &raw.username)?;
    if user.len() > kind.longest_user {
        let message = format!("The username in {what} is longer than {} bytes.", kind.longest_user);
        let remedy = format!("{} has no such account: correct \"username\".", kind.title);
        return Err(bad("username-too-long", message, remedy));
    }
    let password = raw.password.ok_or_else(|| missing("password", what))?.0;
    if password.is_empty() || password.contains('\0') {
        return Err(wrong("password", what, "a text that is not empty"));
    }
    let root = raw.sslrootcert.as_ref().map(|pem| text("sslrootcert", &Some(pem.clone()))).transpose()?;
    let ssl = match &raw.ssl {
        None | Some(Value::Null) => None,
        Some(Value::Bool(ssl)) => Some(*ssl),
        Some(Value::String(ssl)) if ssl.eq_ignore_ascii_case("true") => Some(true),
        Some(Value::String(ssl)) if ssl.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => return Err(wrong("ssl", what, "true or false")),
    };
    let channel_binding = match &raw.channel_binding {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) if text == "require" => true,
        Some(Value::String(text)) if text == "prefer" => false,
        Some(_) => return Err(wrong("channel_binding", what, "\"require\" or \"prefer\"")),
    };
    let port = port(kind, what, raw.port.as_ref())?;
    Ok(Login {
        channel: Channel::decide(ssl, &host, root),
        spread: raw.hosts.is_some(),
        places: places(what, raw.hosts.as_ref(), Place { host: host.clone(), port })?,
        port,
        channel_binding,
        database: match &raw.dbname {
            None | Some(Value::Null) => None,
            some => Some(text("dbname", some)?),
        },
        host,
        user,
        password,
    })
}

/// The new value: AWSCURRENT's text with another password, for accounts that take turns also with the other user, and
/// nothing else touched.
pub(crate) fn next_value(
    kind: &Kind,
    options: &Options,
    current: &SecretBytes,
    password: &SecretBytes,
) -> Result<SecretBytes, StepError> {
    let login = parse(kind, "AWSCURRENT", current)?;
    let user = next_user(kind, options, &login.user)?;
    let new = current
        .expose_str()
        .zip(password.expose_str())
        .and_then(|(text, password)| replace(text, "password", password))
        .and_then(|text| user.map_or(Some(text.clone()), |user| replace(&text, "username", &user)))
        .ok_or_else(|| not_json("AWSCURRENT", serde_json::error::Category::Syntax))?;
    Ok(SecretBytes::from(new.as_str()))
}

fn port(kind: &Kind, what: &str, value: Option<&Value>) -> Result<u16, StepError> {
    let number = match value {
        None | Some(Value::Null) => return Ok(kind.port),
        Some(Value::Number(number)) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number.filter(|port| *port > 0).ok_or_else(|| wrong("port", what, "a number from 1 to 65535"))
}

fn missing(key: &str, what: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "missing-key", format!("{key} key is missing from secret JSON ({what})."))
        .remedy(format!("Write a value that has the key \"{key}\"."))
}

/// A key of a value that is not what it is to be.
pub(crate) fn wrong(key: &str, what: &str, expected: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "bad-key", format!("The key {key} in {what} is not {expected}."))
        .remedy(format!("Write a value whose key \"{key}\" is {expected}."))
}

fn not_json(what: &str, category: serde_json::error::Category) -> StepError {
    use serde_json::error::Category;
    let message = match category {
        Category::Data => format!("{what} is not a JSON object whose password is a text."),
        Category::Syntax | Category::Eof | Category::Io => format!("{what} is not JSON."),
    };
    StepError::new(Verdict::NeedsPerson, "not-json", message).remedy(
        "A built-in rotator needs a SecretString such as \
         {\"engine\":\"postgres\",\"host\":\"…\",\"port\":5432,\"username\":\"…\",\"password\":\"…\"}.",
    )
}

/// The keys as they come; only the password is a secret, and only it is wiped.
#[derive(Deserialize)]
struct Raw {
    engine: Option<Value>,
    host: Option<Value>,
    hosts: Option<Value>,
    port: Option<Value>,
    username: Option<Value>,
    password: Option<SecretText>,
    dbname: Option<Value>,
    ssl: Option<Value>,
    channel_binding: Option<Value>,
    sslrootcert: Option<Value>,
}

struct SecretText(Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::postgres::KIND;

    fn read(value: &Value) -> Result<Login, StepError> {
        parse(&KIND, "AWSCURRENT", &SecretBytes::from(value.to_string()))
    }

    fn whole() -> Value {
        json!({"engine": "postgres", "host": "Db.Example", "username": "app", "password": "canary-91"})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut whole = whole();
        whole[key] = value;
        whole
    }

    #[test]
    fn aws_shapes_are_read() {
        let login = read(&whole()).expect("complete");
        assert_eq!((login.port, login.database), (5432, None));
        assert_eq!(read(&with("port", json!("6000"))).expect("port as text").port, 6000);
        assert_eq!(read(&with("port", json!(6000))).expect("port as number").port, 6000);
        for (ssl, channel) in [
            (json!("false"), Channel::Plain),
            (json!(false), Channel::Plain),
            (json!("true"), Channel::Verified { root: None }),
            (Value::Null, Channel::Verified { root: None }),
        ] {
            assert_eq!(read(&with("ssl", ssl)).expect("ssl").channel, channel);
        }
        assert!(read(&with("engine", json!("aurora-postgresql"))).is_ok());
    }

    // F104
    #[test]
    fn what_is_missing_or_wrong_is_said_without_showing_any_value() {
        let mut cases = vec![
            (json!("canary-91"), "not-json"),
            (with("engine", json!("oracle")), "wrong-engine"),
            (with("port", json!(70000)), "bad-key"),
            (with("port", json!("canary-91")), "bad-key"),
            (with("ssl", json!("canary-91")), "bad-key"),
            (with("channel_binding", json!("disable")), "bad-key"),
            (with("host", json!("")), "bad-key"),
            (with("username", json!("a\0b")), "bad-key"),
            (with("username", json!("x".repeat(64))), "username-too-long"),
            (with("password", json!(["canary-91"])), "not-json"),
        ];
        for key in ["engine", "host", "username", "password"] {
            let mut value = whole();
            value.as_object_mut().expect("object").remove(key);
            cases.push((value, "missing-key"));
        }
        for (value, code) in cases {
            let error = read(&value).expect_err("must be refused");
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, code), "{value}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
            assert!(!error.remedy.is_empty());
        }
    }

    #[test]
    fn a_host_is_the_same_host_in_capitals_and_with_a_final_dot() {
        let one = read(&whole()).expect("complete");
        let other = read(&with("host", json!("db.example."))).expect("complete");
        assert!(one.same_account(&other));
        assert!(!one.same_server(&read(&with("port", json!(5433))).expect("complete")));
        assert!(!format!("{one:?}").contains("canary"));
    }

    #[test]
    fn create_changes_the_password_and_nothing_else() {
        let current =
            SecretBytes::from(r#"{"z": 1, "engine":"postgres","password":"old","host":"h","username":"u","x":[1.50]}"#);
        let new = next_value(&KIND, &Options::default(), &current, &SecretBytes::from("new")).expect("derives");
        assert_eq!(
            new.expose_str(),
            Some(r#"{"z": 1, "engine":"postgres","password":"new","host":"h","username":"u","x":[1.50]}"#)
        );
    }
}
