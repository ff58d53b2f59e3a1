//! Which database servers this machine has, and where.
//!
//! Installed servers come first, then those that `scripts/setup-servers` unpacked into its own folder.
//! Looks only; never installs, never downloads, never starts a server.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Engine;

/// The programs of one database server.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// Which engine they are.
    pub engine: Engine,
    /// Its version, as `15.18` or `10.11.19`.
    pub version: String,
    /// The server program.
    pub server: PathBuf,
    /// The program that makes an empty data directory; MySQL's is the server itself, Redis and PgBouncer need none.
    pub init: PathBuf,
    /// The `usr` folder of a server that was unpacked rather than installed.
    pub unpacked: Option<PathBuf>,
}

/// A server that this machine does not have. Its text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    engine: Engine,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, package) = match self.engine {
            Engine::Postgres => ("PostgreSQL", "install the package postgresql"),
            Engine::Mariadb => ("MariaDB", "install the package mariadb-server"),
            Engine::Mysql => ("MySQL", "put a mysqld (8.0 or later, not MariaDB's) on the PATH"),
            Engine::Redis => ("Redis", "put a redis-server (6.0 or later) on the PATH"),
            Engine::Pgbouncer => ("PgBouncer", "install the package pgbouncer"),
        };
        write!(
            f,
            "no {name} server on this machine: on Debian or Ubuntu run `scripts/setup-servers {}`, elsewhere {package}",
            self.engine.name()
        )
    }
}

impl std::error::Error for Missing {}

/// Looks for a server of `engine`.
pub fn find(engine: Engine) -> Result<Binaries, Missing> {
    let found = match engine {
        Engine::Postgres => find_postgres(),
        Engine::Mariadb => find_mariadb(),
        Engine::Mysql => find_mysql(),
        Engine::Redis => find_redis(),
        Engine::Pgbouncer => find_pgbouncer(),
    };
    found.ok_or(Missing { engine })
}

/// Looks for a helper program: on the PATH, then among what `scripts/setup-servers` unpacked.
pub fn tool(name: &str) -> Option<PathBuf> {
    on_path(name).chain([unpacked(name).join("bin").join(name)]).find(|path| path.is_file())
}

fn find_postgres() -> Option<Binaries> {
    let installed = on_path("postgres").filter_map(|path| Some(fs::canonicalize(path).ok()?.parent()?.to_owned()));
    let debian = newest_first(Path::new("/usr/lib/postgresql"));
    let unpacked = unpacked("postgres");
    let candidates = installed
        .chain(debian)
        .map(|bin| (bin, None))
        .chain(newest_first(&unpacked.join("lib/postgresql")).map(|bin| (bin, Some(unpacked.clone()))));
    candidates.into_iter().find_map(|(bin, unpacked)| {
        let (server, init) = (bin.join("postgres"), bin.join("initdb"));
        let version = version_of(&server).filter(|_| init.is_file())?;
        Some(Binaries { engine: Engine::Postgres, version, server, init, unpacked })
    })
}

fn find_mariadb() -> Option<Binaries> {
    let unpacked = unpacked("mariadb");
    let installed = on_path("mariadbd").map(|server| (server, tool("mariadb-install-db"), None));
    let fetched =
        (unpacked.join("sbin/mariadbd"), Some(unpacked.join("bin/mariadb-install-db")), Some(unpacked.clone()));
    installed.chain([fetched]).find_map(|(server, init, unpacked)| {
        let version = version_of(&server)?;
        let init = init.filter(|init| init.is_file())?;
        Some(Binaries { engine: Engine::Mariadb, version, server, init, unpacked })
    })
}

fn find_mysql() -> Option<Binaries> {
    let unpacked = unpacked("mysql");
    let installed = on_path("mysqld").map(|server| (server, None));
    let fetched = (unpacked.join("sbin/mysqld"), Some(unpacked.clone()));
    installed.chain([fetched]).find_map(|(server, unpacked)| {
        // MariaDB's packages also install a `mysqld`; only its own words tell the two apart.
        let words = says(&server).filter(|words| !words.contains("MariaDB"))?;
        let version = parse_version(&words)?;
        Some(Binaries { engine: Engine::Mysql, version, init: server.clone(), server, unpacked })
    })
}

fn find_redis() -> Option<Binaries> {
    let unpacked = unpacked("redis");
    let installed = on_path("redis-server").map(|server| (server, None));
    let fetched = (unpacked.join("bin/redis-server"), Some(unpacked));
    installed.chain([fetched]).find_map(|(server, unpacked)| {
        let version = version_of(&server)?;
        Some(Binaries { engine: Engine::Redis, version, init: server.clone(), server, unpacked })
    })
}

fn find_pgbouncer() -> Option<Binaries> {
    let unpacked = unpacked("pgbouncer");
    let installed = on_path("pgbouncer").map(|server| (server, None));
    let fetched = (unpacked.join("sbin/pgbouncer"), Some(unpacked));
    installed.chain([fetched]).find_map(|(server, unpacked)| {
        let version = version_of(&server)?;
        Some(Binaries { engine: Engine::Pgbouncer, version, init: server.clone(), server, unpacked })
    })
}

/// The places a program of this name may be, in the order a shell would look, then where servers hide.
fn on_path(name: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/usr/libexec"].map(PathBuf::from);
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(system).collect();
    let name = name.to_owned();
    folders.into_iter().map(move |folder| folder.join(&name)).filter(|path| path.is_file())
}

/// The `bin` folders of the versions in Debian's layout, newest version first.
fn newest_first(versions: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    numbered.sort_unstable_by(|left, right| right.cmp(left));
    numbered.into_iter().map(|(_, bin)| bin)
}

/// Where `scripts/setup-servers` puts what it does not install. The two must agree on this.
pub fn cache() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    set("PAWL_SERVERS").unwrap_or_else(|| {
        // As root the servers run as another user, who may not enter root's home.
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/cache/pawl/servers");
        }
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        cache.unwrap_or_else(env::temp_dir).join("pawl/servers")
    })
}

fn unpacked(what: &str) -> PathBuf {
    cache().join(what).join("usr")
}

fn version_of(server: &Path) -> Option<String> {
    parse_version(&says(server)?)
}

fn says(server: &Path) -> Option<String> {
    let output = Command::new(server).arg("--version").output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// The first word that begins like a version number, up to where the packager's part begins.
fn parse_version(words: &str) -> Option<String> {
    let word = words
        .split_whitespace()
        .skip(1)
        .map(|word| word.trim_start_matches("v="))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'))?;
    Some(word.split(['-', '+']).next().unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_each_server_says() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"),
            ("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)", "10.11.19"),
            ("/opt/5.7/sbin/mysqld  Ver 9.7.0-1 for Linux on x86_64 ((Debian))", "9.7.0"),
            ("PgBouncer 1.18.0\nlibevent 2.1.12-stable\nadns: c-ares 1.18.1", "1.18.0"),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=8e929a3d86", "7.0.15"),
        ];
        for (words, version) in cases {
            assert_eq!(parse_version(words).as_deref(), Some(version), "{words}");
        }
        assert_eq!(parse_version("no version here"), None);
    }

    #[test]
    fn a_missing_server_says_which_and_what_to_do() {
        let text = Missing { engine: Engine::Mysql }.to_string();
        assert!(text.contains("MySQL") && text.contains("scripts/setup-servers mysql"), "{text}");
    }
}
