//! Where a store is, and how it behaves. Never here: opening it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use engine::schedule::Limits;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What new ARNs are made of. ARNs are stored: changing this changes no existing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `aws`, as every SDK expects.
    pub partition: String,
    /// Such as `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
}

/// How a store behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What new ARNs are made of.
    pub identity: Identity,
    /// How long a lease lasts without being renewed.
    pub lease: Duration,
    /// How strict schedules are; also whether young unlabelled versions may be pruned.
    pub schedule_limits: Limits,
    /// What names this boot of the machine (`/proc/sys/kernel/random/boot_id`): leases of another boot cannot be
    /// compared with this one's clock. Of no use on PostgreSQL, which has a clock of its own.
    pub boot_id: String,
}

/// Where a store is.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub enum Location {
    /// The data directory; `pawl.db` and `pawl.lock` are inside.
    Sqlite(PathBuf),
    /// A database that other nodes may serve from too.
    Postgres(PostgresUrl),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(directory) => write!(f, "{}", directory.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// A `postgres://` URL, read. It is shown without its password and its parameters.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(crate) options: PgConnectOptions,
    pub(crate) connections: u32,
    /// Whether nodes tell each other of what they commit.
    pub(crate) notify: bool,
    pub(crate) advisory_locks: bool,
    /// Files that it names, by their parameters.
    files: Vec<(&'static str, PathBuf)>,
    shown: String,
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresUrl").field(&self.shown).finish()
    }
}

/// Why a URL cannot be used. Says nothing of what is in it but names of parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

/// Read by us, and not sent to the server.
const OURS: [&str; 3] = ["connections", "notify", "advisory_locks"];
/// Read by the driver.
const THEIRS: [&str; 9] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "application_name"];
/// Two more of the driver's, which are not shown.
const THEIR_OTHERS: [&str; 2] = ["password", "options"];
/// Rotations, readers and the scheduler of one node.
const CONNECTIONS: u32 = 10;
const MOST_CONNECTIONS: u32 = 1000;
/// Parameters that name a file.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
const TLS_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

impl PostgresUrl {
    /// Reads a URL. Where it does not say how, a server beyond this machine is spoken to over TLS and must prove who it is.
    ///
    /// # Errors
    /// [`BadUrl`] with what it may be.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let bad = |what: &str| BadUrl(what.to_owned());
        let unescaped = || {
            bad(
                "it is no URL as postgres://USER:PASSWORD@HOST/DATABASE; write @ / # : ? of a password as %40 %2F %23 %3A %3F",
            )
        };
        let mut url = url::Url::parse(text).map_err(|_| unescaped())?;
        match url.scheme() {
            "postgres" | "postgresql" => {}
            "sqlite" => return Err(bad("a SQLite store is the one in the data folder: say --data DIR, and no store")),
            _ => return Err(bad("it does not begin with postgres://")),
        }
        // What is behind the first of them in a password would be taken for a host or a name, and shown.
        if url.fragment().is_some() || url.path().contains('@') {
            return Err(unescaped());
        }
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let unknown = pairs.iter().find(|(key, _)| {
            let known = OURS.iter().chain(&THEIRS).chain(&THEIR_OTHERS).any(|known| known == key);
            !known && !key.starts_with("options[")
        });
        if let Some((key, _)) = unknown {
            // A piece of a password with a question mark in it.
            if url.query().is_some_and(|query| query.contains('@')) {
                return Err(unescaped());
            }
            let known = [&THEIRS[..], &THEIR_OTHERS, &OURS].concat();
            return Err(BadUrl(format!("it has no parameter {key}; there are {}", known.join(", "))));
        }
        let said = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let switch = |name: &str| match said(name) {
            None | Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(_) => Err(BadUrl(format!("{name} is on or off"))),
        };
        let (notify, advisory_locks) = (switch("notify")?, switch("advisory_locks")?);
        let connections = said("connections").map_or(Ok(CONNECTIONS), str::parse);
        let connections = connections.ok().filter(|connections| (2..=MOST_CONNECTIONS).contains(connections));
        let connections = connections.ok_or_else(|| bad("connections is a number from 2 to 1000"))?;
        if said("sslmode").is_some_and(|mode| !TLS_MODES.contains(&mode)) {
            return Err(BadUrl(format!("sslmode is one of {}", TLS_MODES.join(", "))));
        }
        if said("port").is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(bad("port is a number"));
        }
        let files = FILES.iter().filter_map(|name| Some((*name, PathBuf::from(said(name)?)))).collect();
        let host = said("host").or(url.host_str()).unwrap_or_default().to_owned();
        if host.contains(',') {
            return Err(bad("it names several hosts; put the one name there that leads to the primary"));
        }
        let (has_mode, has_name) = (said("sslmode").is_some(), said("application_name").is_some());
        url.set_query(None);
        let theirs: Vec<_> = pairs.iter().filter(|(key, _)| !OURS.contains(&key.as_str())).collect();
        if !theirs.is_empty() {
            url.query_pairs_mut().extend_pairs(theirs);
        }
        let options: PgConnectOptions =
            url.as_str().parse().map_err(|_| bad("it has a parameter that cannot be read"))?;
        let options = if has_mode { options } else { options.ssl_mode(mode_for(&host)) };
        let options = if has_name { options } else { options.application_name("pawl") };
        let shown = format!(
            "postgres://{}@{}:{}/{}",
            options.get_username(),
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        Ok(Self { options, connections, notify, advisory_locks, files, shown })
    }

    /// The first file that it names and that cannot be read, and why.
    pub(crate) fn unreadable(&self) -> Option<String> {
        self.files.iter().find_map(|(name, path)| {
            let error = std::fs::File::open(path).err()?;
            Some(format!("{name}: cannot read {}: {error}", path.display()))
        })
    }
}

/// What does not leave this machine needs no TLS.
fn mode_for(host: &str) -> PgSslMode {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    let stays = host.is_empty() || host == "localhost" || host.starts_with(['/', '%']);
    if stays || address.is_ok_and(|address| address.is_loopback()) { PgSslMode::Prefer } else { PgSslMode::VerifyFull }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        PostgresUrl::parse(url).expect("a URL").options.get_ssl_mode()
    }

    #[test]
    fn a_server_beyond_this_machine_proves_who_it_is_unless_the_url_says_otherwise() {
        let is =
            |url: &str, expected: PgSslMode| assert_eq!(format!("{:?}", mode(url)), format!("{expected:?}"), "{url}");
        is("postgres://pawl@db.example/pawl", PgSslMode::VerifyFull);
        is("postgresql://pawl@10.0.0.1:6432/pawl", PgSslMode::VerifyFull);
        is("postgres://pawl@db.example/pawl?sslmode=disable", PgSslMode::Disable);
        is("postgres://pawl@db.example/pawl?sslmode=require", PgSslMode::Require);
        is("postgres://127.0.0.1/pawl?host=db.example", PgSslMode::VerifyFull);
        for local in ["127.0.0.1", "localhost", "[::1]", "%2Frun%2Fpostgresql"] {
            is(&format!("postgres://pawl@{local}/pawl"), PgSslMode::Prefer);
        }
        is("postgres:///pawl?host=/run/postgresql", PgSslMode::Prefer);
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = PostgresUrl::parse("postgres://pawl:canary-1@db.example/store?password=canary-2").expect("a URL");
        let location = Location::Postgres(url);
        assert_eq!(location.to_string(), "postgres://pawl@db.example:5432/store");
        assert!(!format!("{location:?}").contains("canary"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_not_repeated() {
        for (url, word) in [
            ("mysql://h/d", "postgres://"),
            ("canary", "no URL"),
            ("postgres://h/d?pasword=canary", "pasword"),
            ("postgres://h/d?notify=canary", "on or off"),
            ("postgres://h/d?connections=canary", "from 2 to 1000"),
            ("postgres://h/d?connections=1", "from 2 to 1000"),
            ("postgres://h/d?sslmode=canary", "sslmode is one of disable, allow, prefer"),
            ("postgres://h/d?port=canary", "port is a number"),
            ("postgres://h/d?pasword=canary", "password, options, connections"),
            ("sqlite:///canary", "say --data DIR"),
            ("postgres://u:p@canary/w@h/d", "%40 %2F %23 %3A"),
            ("postgres://u:1/canary@h/d", "%40 %2F %23 %3A"),
            ("postgres://u:p/canary@h/d", "%40 %2F %23 %3A"),
            ("postgres://u:p#canary@h/d", "%40 %2F %23 %3A"),
            ("postgres://u:1#canary@h/d", "%40 %2F %23 %3A"),
            ("postgres://u:1?canary@h/d", "%40 %2F %23 %3A"),
            ("postgres://h/d?host=a,b", "several hosts"),
        ] {
            let said = PostgresUrl::parse(url).expect_err(url).to_string();
            assert!(said.contains(word) && !said.contains("canary"), "{url}: {said}");
        }
        let url = PostgresUrl::parse("postgres://h/d?notify=off&advisory_locks=off&connections=3").expect("a URL");
        assert_eq!((url.notify, url.advisory_locks, url.connections), (false, false, 3));
    }
}
