//! Changes targets: one file per kind of target, listed in [`Registry::new`]. A rotator is given values and gives back
//! verdicts; it never sees our store or our API. To add one, write its file and add its line to the list.
//!
//! Rotators that operators register, by webhook or as AWS rotation functions, are called through [`Callers`].

mod breaker;
mod call;
mod connection;
mod delivery;
mod desk;
mod effort;
mod egress;
mod findings;
mod lambda;
mod mariadb;
mod my;
mod mysql;
mod network;
mod notice;
mod pair;
mod parties;
mod postgres;
mod quote;
mod redact;
mod registered;
mod splice;
#[cfg(test)]
mod tests_support;
mod tls;
mod topology;
mod webhook;

use std::sync::Arc;

use engine::outcome::{StepError, Verdict};
use engine::port::Rotator;
use engine::secret::SecretBytes;

pub use crate::breaker::BreakerState;
pub use crate::desk::{Credentials, Desk, DeskError, LambdaRequest, Pass, PassOrder};
pub use crate::egress::{BadEgress, Egress, Lookup, SystemLookup};
pub use crate::notice::{Notice, Receipt};
pub use crate::registered::{CallerSettings, Callers};
pub use crate::tls::BadPem;
use crate::tls::Trust;
use crate::topology::Everywhere;
pub use crate::webhook::{Bend, ErrorKind, Heard, Observed, Probe};

/// What the operator decides for all rotators.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Certificates to trust beside the system's (`--target-ca`), PEM.
    pub target_ca: Option<Vec<u8>>,
}

/// The rotators there are, by name.
pub struct Registry {
    list: Vec<Box<dyn Rotator>>,
}

impl Registry {
    /// The built-in rotators.
    ///
    /// # Errors
    /// [`BadPem`] where `target_ca` holds no certificate.
    pub fn new(settings: &Settings) -> Result<Self, BadPem> {
        let trust = Arc::new(Trust::new(settings.target_ca.as_deref())?);
        let list: Vec<Box<dyn Rotator>> = vec![
            Box::new(Everywhere(postgres::Postgres::new(Arc::clone(&trust)))),
            Box::new(Everywhere(mysql::rotator(Arc::clone(&trust)))),
            Box::new(Everywhere(mariadb::rotator(trust))),
        ];
        Ok(Self { list })
    }

    /// These rotators and no others: for whoever measures the server around them.
    #[must_use]
    pub fn of(list: Vec<Box<dyn Rotator>>) -> Self {
        Self { list }
    }

    /// The rotator of this name or engine (`aurora-postgresql` is `postgres`, `aurora-mysql` is `mysql`).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn Rotator> {
        let name = by_engine(name).unwrap_or(name);
        self.list.iter().map(AsRef::as_ref).find(|rotator| rotator.name() == name)
    }

    /// The names, in the order of the list.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        self.list.iter().map(|rotator| rotator.name())
    }
}

/// The built-in rotator for a secret's value, picked by the `engine` in its JSON. None where the value is not JSON,
/// has no engine, or has one that no built-in rotator changes.
#[must_use]
pub fn engine_of(value: &SecretBytes) -> Option<&'static str> {
    #[derive(serde::Deserialize)]
    struct Engine {
        engine: String,
    }
    let read: Engine = serde_json::from_slice(value.expose()).ok()?;
    by_engine(&read.engine)
}

/// `host:port` of the server that a secret's value is for, as the value writes it and in lower case: to tell whether two are
/// for the same one. None where the value is not JSON with a host.
#[must_use]
pub fn server_of(value: &SecretBytes) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Server {
        host: String,
        #[serde(default)]
        port: serde_json::Value,
    }
    let Server { host, port } = serde_json::from_slice(value.expose()).ok()?;
    let port = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
    Some(format!("{}:{port}", host.to_ascii_lowercase()))
}

fn by_engine(engine: &str) -> Option<&'static str> {
    [&postgres::KIND, &mysql::KIND, &mariadb::KIND]
        .into_iter()
        .find(|kind| kind.engines.contains(&engine))
        .map(|kind| kind.name)
}

/// Create needs a value to derive from.
fn no_current() -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-value", "The secret has no AWSCURRENT value to derive a new one from.")
        .remedy("Write a first value that logs in (PutSecretValue), then rotate.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rotator_is_found_by_its_name_and_by_its_engines() {
        let registry = Registry::new(&Settings::default()).expect("no CA given");
        assert_eq!(registry.names().collect::<Vec<_>>(), ["postgres", "mysql", "mariadb"]);
        for (name, found) in [
            ("postgres", Some("postgres")),
            ("aurora-postgresql", Some("postgres")),
            ("mysql", Some("mysql")),
            ("aurora-mysql", Some("mysql")),
            ("mariadb", Some("mariadb")),
            ("oracle", None),
        ] {
            assert_eq!(registry.get(name).map(Rotator::name), found, "{name}");
        }
    }

    #[test]
    fn the_engine_of_a_value_names_its_rotator() {
        for (value, name) in [
            (r#"{"engine":"aurora-mysql","password":"x"}"#, Some("mysql")),
            (r#"{"engine":"oracle"}"#, None),
            (r#"{"engine":7}"#, None),
            ("plain text", None),
        ] {
            assert_eq!(engine_of(&SecretBytes::from(value)), name, "{value}");
        }
    }
}
