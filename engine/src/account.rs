//! Which account of which server a value is for, so that one account under two secrets is noticed. Never here: its
//! password, whether the account is there.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::secret::SecretBytes;

/// The keys of a secret's JSON that name an account. What is borrowed leaves no copy behind.
#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow, default)]
    engine: Option<Cow<'a, str>>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow, default)]
    port: Option<Port<'a>>,
    #[serde(borrow)]
    username: Cow<'a, str>,
}

/// Those that name its server.
#[derive(Deserialize)]
struct Server<'a> {
    #[serde(borrow, default)]
    engine: Option<Cow<'a, str>>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow, default)]
    port: Option<Port<'a>>,
}

/// AWS writes a number; a text with one is taken too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port<'a> {
    Number(u16),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

/// A digest of the account that a value is for: of the host in lower case without its last dot, the port, and the user.
/// None where the value names no account of a database.
#[must_use]
pub fn digest(value: &SecretBytes) -> Option<String> {
    let keys: Keys<'_> = serde_json::from_slice(value.expose()).ok()?;
    let port = match &keys.port {
        Some(Port::Number(port)) => *port,
        Some(Port::Text(text)) => text.trim().parse().ok()?,
        None => default_port(keys.engine.as_deref()?)?,
    };
    let host = keys.host.trim().to_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if host.is_empty() || keys.username.is_empty() {
        return None;
    }
    let mut sha = Sha256::new();
    sha.update(host.as_bytes());
    // No host has one, so that no two accounts are spelled alike.
    sha.update([0]);
    sha.update(port.to_be_bytes());
    sha.update(keys.username.as_bytes());
    Some(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `host:port` of the server that a value is for, the host in lower case without its last dot. None where the value names
/// no server of a database.
#[must_use]
pub fn server(value: &SecretBytes) -> Option<String> {
    let keys: Server<'_> = serde_json::from_slice(value.expose()).ok()?;
    let port = match &keys.port {
        Some(Port::Number(port)) => *port,
        Some(Port::Text(text)) => text.trim().parse().ok()?,
        None => default_port(keys.engine.as_deref()?)?,
    };
    let host = keys.host.trim().to_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    (!host.is_empty()).then(|| format!("{host}:{port}"))
}

/// Where a server of this engine listens if nothing else is said.
fn default_port(engine: &str) -> Option<u16> {
    match engine.strip_prefix("aurora-").unwrap_or(engine) {
        "postgres" | "postgresql" => Some(5432),
        "mysql" | "mariadb" => Some(3306),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<String> {
        digest(&SecretBytes::from(value))
    }

    // F83
    #[test]
    fn one_account_has_one_digest_however_it_is_spelled() {
        let app = of(r#"{"engine":"postgres","host":"db.example","username":"app","password":"one"}"#);
        assert!(app.as_ref().is_some_and(|digest| digest.len() == 64));
        for same in [
            r#"{"engine":"aurora-postgresql","host":"DB.example.","port":5432,"username":"app","password":"two"}"#,
            r#"{"host":"db.example","port":"5432","username":"app","dbname":"x"}"#,
        ] {
            assert_eq!(of(same), app, "{same}");
        }
        for other in [
            r#"{"engine":"mysql","host":"db.example","username":"app"}"#,
            r#"{"engine":"postgres","host":"db.example","username":"App"}"#,
            r#"{"engine":"postgres","host":"db2.example","username":"app"}"#,
            r#"{"engine":"postgres","host":"db.example","port":5433,"username":"app"}"#,
        ] {
            assert!(of(other).is_some_and(|digest| Some(digest) != app), "{other}");
        }
    }

    #[test]
    fn a_server_is_its_host_and_port_whatever_account_it_is() {
        let of = |value: &str| server(&SecretBytes::from(value));
        let db = Some("db.example:5432".to_owned());
        assert_eq!(of(r#"{"engine":"postgres","host":"DB.example.","username":"a","password":"x"}"#), db);
        assert_eq!(of(r#"{"host":"db.example","port":"5432"}"#), db);
        for value in ["one", "[]", r#"{"host":"h"}"#, r#"{"host":"","port":1}"#, r#"{"engine":"x","host":"h"}"#] {
            assert_eq!(of(value), None, "{value}");
        }
    }

    #[test]
    fn what_names_no_account_of_a_database_has_none() {
        for value in [
            "",
            "secret",
            "[]",
            r#"{"password":"x"}"#,
            r#"{"engine":"oracle","host":"h","username":"u"}"#,
            r#"{"engine":"mysql","host":"","username":"u"}"#,
            r#"{"engine":"mysql","host":"h","username":""}"#,
            r#"{"engine":"mysql","host":"h","username":"u","port":"x"}"#,
            r#"{"engine":"mysql","host":["h"],"username":"u"}"#,
        ] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
