//! Owns the hosts of a secret: AWS's `host` and `port`, and the key `hosts`, a list of texts `host` or `host:port` at
//! which the same account can be reached (a primary and its standbys). A value is only ever used at a host that it
//! lists itself, the admin's too: whoever can write one secret must not be able to send the login of another elsewhere.
//! Never here: SQL, what a step does at one host.

mod everywhere;
mod looks;
mod reach;
mod round;
mod tested;
#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;
use engine::outcome::StepError;
use engine::port::{Known, Material, Rotator};
use engine::secret::SecretBytes;
use serde_json::Value;

pub(crate) use self::everywhere::Everywhere;
use crate::connection::{Kind, Login, host_key, parse, wrong};
use crate::quote::shown;
use crate::splice::with;

/// What messages say the key `hosts` is to be.
const SHAPE: &str = "a list of at most 8 texts \"host\" or \"host:port\" (an IPv6 address in brackets)";
/// Every host is proven within one step.
const MOST: usize = 8;

/// One host at which an account can be reached.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub host: String,
    pub port: u16,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port && host_key(&self.host) == host_key(&other.host)
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown(&self.host), self.port)
    }
}

/// Reads the key `hosts`: every host of the value, its own `host` first, none twice.
pub(crate) fn places(what: &str, hosts: Option<&Value>, own: Place) -> Result<Vec<Place>, StepError> {
    let bad = || wrong("hosts", what, SHAPE);
    let list = match hosts {
        None | Some(Value::Null) => return Ok(vec![own]),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad()),
    };
    let mut places = vec![own];
    for text in list {
        let port = places[0].port;
        let place = text.as_str().and_then(|text| place(text, port)).ok_or_else(bad)?;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if places.len() > MOST { Err(bad()) } else { Ok(places) }
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn place(text: &str, port: u16) -> Option<Place> {
    let (host, rest) = match text.find(']') {
        Some(end) if text.starts_with('[') => text.split_at(end + 1),
        _ => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if rest.is_empty() => port,
        None => return None,
    };
    let plain = !host.trim_matches(['[', ']']).is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '\0');
    plain.then(|| Place { host: host.to_owned(), port })
}

/// The material of a step as it is at one host: every value that lists the host has it as its only one. What does not
/// list it stays as it is, and is for another server then.
pub(crate) fn material_at(kind: &Kind, material: &Material, place: &Place) -> Material {
    let at = |value: &SecretBytes| value_at(kind, value, place).unwrap_or_else(|| value.clone());
    let known = |known: &Known| Known { value: at(&known.value), ..known.clone() };
    Material {
        wanted: material.wanted.as_ref().map(at),
        current: material.current.as_ref().map(at),
        previous: material.previous.as_ref().map(at),
        admin: material.admin.as_ref().map(at),
        known: material.known.iter().map(known).collect(),
        ..material.clone()
    }
}

fn value_at(kind: &Kind, value: &SecretBytes, place: &Place) -> Option<SecretBytes> {
    let login = parse(kind, "a value", value).ok().filter(|login| login.places.contains(place))?;
    let text = value.expose_str()?;
    let text = with(text, "host", &Value::from(place.host.as_str()))?;
    let text = with(&text, "port", &Value::from(place.port))?;
    match login.places.len() {
        1 => Some(SecretBytes::from(text.as_str())),
        // An empty list, so that it is still seen to be one of several.
        _ => Some(SecretBytes::from(with(&text, "hosts", &Value::Array(vec![]))?.as_str())),
    }
}

/// What may log in to make a change after which the new credential is shown to all of these hosts: values that list
/// every one of them. Whoever may write the secret but not read it could else list a host of their own in AWSCURRENT,
/// and have AWSPREVIOUS set a password that is sent there.
pub(crate) fn listing_all(kind: &Kind, known: &[Known], places: &[Place]) -> Vec<Known> {
    let lists_all = |known: &&Known| {
        parse(kind, "a value", &known.value).is_ok_and(|login| places.iter().all(|it| login.places.contains(it)))
    };
    known.iter().filter(lists_all).cloned().collect()
}

/// A login at one of the hosts that its value lists.
pub(crate) fn login_at(kind: &Kind, value: &SecretBytes, place: &Place) -> Option<Login> {
    parse(kind, "a value", &value_at(kind, value, place)?).ok()
}

/// What a server that let somebody in says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Role {
    /// It takes no writes.
    pub standby: bool,
    /// How old the last change is that the standby has got, in seconds, where it says so.
    pub behind_seconds: Option<i64>,
}

/// How a login came to an end that was made for nothing but to see whether it works.
pub(crate) enum Knock {
    In(Role),
    /// The password is wrong, or one of the causes the server does not tell apart.
    Refused,
    /// Anything else.
    Failed(StepError),
}

/// What a server's catalogue has of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// No such account.
    Missing,
    /// The account, with another password.
    Other,
    /// The account, with this password.
    Same,
}

/// A rotator that does each step at one host. [`Everywhere`] makes one of it that knows several.
#[async_trait]
pub(crate) trait Site: Rotator {
    fn kind(&self) -> &'static Kind;

    /// A server of this kind may lock an account after too many refused logins.
    fn locks_accounts(&self) -> bool;

    /// What the catalogue has, seen by an admin: costs no refused login. None where it is not shown.
    async fn stored(&self, _admin: &Login, _wanted: &Login) -> Option<Stored> {
        None
    }

    /// Logs in, asks which role the server has, and leaves.
    async fn knock(&self, login: &Login) -> Knock;
}

#[cfg(test)]
mod values {
    use engine::outcome::Verdict;
    use serde_json::json;

    use super::*;
    use crate::postgres::KIND;

    fn value(extra: &Value) -> SecretBytes {
        let mut value = json!({"engine": "postgres", "host": "a.example", "username": "u", "password": "canary-1"});
        for (key, extra) in extra.as_object().into_iter().flatten() {
            value[key] = extra.clone();
        }
        SecretBytes::from(value.to_string())
    }

    fn read(extra: &Value) -> Result<Vec<String>, StepError> {
        let login = parse(&KIND, "AWSCURRENT", &value(extra))?;
        Ok(login.places.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn hosts_are_read_with_and_without_ports_and_none_twice() {
        let hosts = json!({"port": 6000, "hosts": ["b.example", "A.example.", "c:7", "[::1]", "[fe80::1]:8", "c:7"]});
        let expected = ["a.example:6000", "b.example:6000", "c:7", "[::1]:6000", "[fe80::1]:8"];
        assert_eq!(read(&hosts).expect("read"), expected);
        for alone in [json!({}), json!({"hosts": null}), json!({"hosts": []})] {
            assert_eq!(read(&alone).expect("read"), ["a.example:5432"]);
        }
    }

    #[test]
    fn hosts_of_another_shape_are_refused_by_their_key() {
        let many: Vec<String> = (0..8).map(|n| format!("h{n}")).collect();
        for hosts in [
            json!("b.example"),
            json!([7]),
            json!([""]),
            json!(["b:"]),
            json!(["b:0"]),
            json!(["b:70000"]),
            json!(["::1"]),
            json!(["[::1"]),
            json!(["[]"]),
            json!(["b c"]),
            json!(many),
        ] {
            let error = read(&json!({"hosts": hosts})).expect_err("refused");
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "bad-key"), "{hosts}");
            assert!(error.message.contains("hosts") && !error.remedy.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn a_value_is_used_only_at_a_host_that_it_lists() {
        let place = Place { host: "b.example".to_owned(), port: 5432 };
        let listed = value(&json!({"hosts": ["B.example"], "x": [1]}));
        let login = login_at(&KIND, &listed, &place).expect("listed");
        assert_eq!((login.server().as_str(), login.places.len()), ("b.example:5432", 1));
        let alone = value(&json!({}));
        assert!(login_at(&KIND, &alone, &place).is_none());
        let known = Known { role: "AWSPREVIOUS".to_owned(), value: alone.clone(), version: None };
        let material =
            Material { admin: Some(alone.clone()), wanted: Some(listed), known: vec![known], ..Material::default() };
        let at = material_at(&KIND, &material, &place);
        assert_eq!(at.admin.as_ref().map(SecretBytes::expose), Some(alone.expose()), "the admin's stays where it is");
        assert_eq!(at.known[0].value.expose(), alone.expose());
        let wanted = parse(&KIND, "AWSCURRENT", at.wanted.as_ref().expect("there")).expect("read");
        assert_eq!(wanted.server(), "b.example:5432");
    }

    #[test]
    fn a_value_that_lacks_one_of_the_hosts_makes_no_change_that_is_shown_to_it() {
        let known = |value| Known { role: "AWSPREVIOUS".to_owned(), value, version: None };
        let kept = |hosts: &Value, places: &[&str]| {
            let places: Vec<_> = places.iter().map(|it| Place { host: (*it).to_owned(), port: 5432 }).collect();
            listing_all(&KIND, &[known(value(hosts)), known(SecretBytes::from("no JSON"))], &places).len()
        };
        let both = json!({"hosts": ["b.example", "c.example"]});
        assert_eq!(kept(&both, &["a.example", "B.example"]), 1);
        assert_eq!(kept(&both, &["a.example", "evil.example"]), 0);
        assert_eq!(kept(&json!({}), &["a.example", "evil.example"]), 0);
    }
}
