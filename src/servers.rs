//! Private, real database servers: for `pawl demo` and for the tests.
//!
//! Each runs in a folder of its own on a free loopback port, with TLS, and ends with the process that
//! asked for it, however that process ends ([`supervisor`]). Never touches a server that it did not
//! start, never listens beyond loopback, never installs anything (`scripts/setup-servers` does).

mod find;
mod ready;
mod recipe;
mod supervisor;
pub mod tls;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub use find::{Binaries, Missing, cache, find, tool};

use recipe::{Plan, Recipe};
use supervisor::{State, Supervisor};

/// The kinds of database server Pawl can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    Mariadb,
    /// MySQL proper.
    Mysql,
    /// Redis, for the example rotators; without TLS, which it would want on a port of its own.
    Redis,
}

impl Engine {
    /// The name as a secret's `engine` key has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
        }
    }

    /// The user whom the packages make for this server.
    const fn service_user(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb | Self::Mysql => "mysql",
            Self::Redis => "redis",
        }
    }
}

/// A running private server. Dropping it ends the server and removes its directory.
pub struct Server {
    /// `postgres`, `mariadb`, `mysql` or `redis`.
    pub engine: &'static str,
    /// The server's version, as `15.18`.
    pub version: String,
    /// Always `127.0.0.1`.
    pub host: String,
    /// The port it listens on, the same over restarts.
    pub port: u16,
    /// An account that may do everything.
    pub admin_user: String,
    /// Its password, random for each server.
    pub admin_password: String,
    /// An ordinary account, which may log in and use the database `app`.
    pub app_user: String,
    /// Its first password, random for each server.
    pub app_password: String,
    /// The certificate authority that signed the server's certificate (PEM).
    pub ca: PathBuf,
    /// The server's own directory; goes with it.
    pub dir: PathBuf,
    /// What the server wrote to its log.
    pub log: PathBuf,
    kind: Engine,
    stop_signal: &'static str,
    supervisor: Supervisor,
}

/// How long making a data directory or starting may take before it counts as failed.
const START_LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(25);
const ADMIN_USER: &str = "admin";
const APP_USER: &str = "app";
/// A second ordinary account, with the password of the first.
pub const OTHER_USER: &str = "other";

impl Server {
    /// Starts a server of `engine` in a new directory under `base_dir`, with a database `app`, and
    /// returns once it answers logins. `extra_args` go to the server after our own, and win over them.
    ///
    /// As root the server runs as its packages' service user, who must be able to enter `base_dir`.
    pub fn start(engine: Engine, base_dir: &Path, extra_args: &[&str]) -> io::Result<Self> {
        let binaries = find(engine).map_err(|missing| io::Error::new(io::ErrorKind::NotFound, missing))?;
        let extra_args: Vec<String> = extra_args.iter().map(|&argument| argument.to_owned()).collect();
        // Another program may take the port between our look and the server's bind. MariaDB was also seen to fail twice
        // while many servers started at once; why is not known.
        for _ in 0..2 {
            match Self::try_start(&binaries, base_dir, &extra_args) {
                Ok(server) => return Ok(server),
                Err(error) => tracing::warn!(%error, "a private server did not start; trying again"),
            }
        }
        Self::try_start(&binaries, base_dir, &extra_args)
    }

    fn try_start(binaries: &Binaries, base_dir: &Path, extra_args: &[String]) -> io::Result<Self> {
        let engine = binaries.engine;
        let service = service_account(engine)?;
        let dir = base_dir.canonicalize()?.join(format!("pawl-{}-{}", engine.name(), random_word(10)?));
        DirBuilder::new().mode(0o700).create(&dir)?;
        // From here on whatever happens, the directory is the supervisor's to remove.
        let supervisor = Supervisor::start(&dir)?;
        let own = |path: &Path| service.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)));
        own(&dir)?;

        let tls = tls::make(&dir)?;
        fs::set_permissions(&tls.key, Permissions::from_mode(0o600))?;
        own(&tls.key)?;
        for name in ["data", "tmp"] {
            DirBuilder::new().mode(0o700).create(dir.join(name))?;
            own(&dir.join(name))?;
        }
        let (port, admin_password, app_password) = (free_port()?, random_word(24)?, random_word(24)?);
        let plan = Plan {
            binaries,
            dir: &dir,
            tls: &tls,
            admin_user: ADMIN_USER,
            admin_password: &admin_password,
            app_user: APP_USER,
            other_user: OTHER_USER,
            app_password: &app_password,
            port,
            service,
            extra_args,
        };
        let Recipe { input, prepare, run, stop_signal } = plan.recipe();
        write_private(&dir.join(recipe::INPUT), &input)?;
        own(&dir.join(recipe::INPUT))?;
        for (name, text) in [("prepare", prepare.as_str()), ("run", &run), ("stop-signal", stop_signal)] {
            write_private(&dir.join(name), text)?;
        }
        let server = Self {
            engine: engine.name(),
            version: binaries.version.clone(),
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            admin_user: ADMIN_USER.to_owned(),
            admin_password,
            app_user: APP_USER.to_owned(),
            app_password,
            ca: tls.ca,
            log: dir.join("server.log"),
            dir,
            kind: engine,
            stop_signal,
            supervisor,
        };
        server.prepare()?;
        server.run()?;
        Ok(server)
    }

    /// Ends the server, cleanly where it lets us. Its data stays, for [`Server::restart`].
    pub fn stop(&self) -> io::Result<()> {
        self.supervisor.halt(self.stop_signal)
    }

    /// Starts it again, on the same data and port; stops it first where it still runs.
    pub fn restart(&self) -> io::Result<()> {
        self.stop()?;
        self.run()
    }

    /// Ends the server and its workers at once, as a crash would (SIGKILL).
    pub fn kill(&self) -> io::Result<()> {
        self.supervisor.signal("KILL")
    }

    /// Freezes the server and its workers: connections are accepted, nothing answers (SIGSTOP).
    pub fn pause(&self) -> io::Result<()> {
        self.supervisor.signal("STOP")
    }

    /// Lets a paused server go on (SIGCONT).
    pub fn resume(&self) -> io::Result<()> {
        self.supervisor.signal("CONT")
    }

    /// Makes the data directory.
    fn prepare(&self) -> io::Result<()> {
        self.supervisor.run("prepare")?;
        let until = Instant::now() + START_LIMIT;
        loop {
            match self.supervisor.state()? {
                State::Ended(status) if status == "0" => return Ok(()),
                State::Ended(status) => return Err(self.failure(&format!("could not be set up (status {status})"))),
                State::Running if Instant::now() > until => return Err(self.failure("took too long to set up")),
                State::Running => thread::sleep(POLL),
            }
        }
    }

    /// Starts the server on its data and waits until it answers logins.
    fn run(&self) -> io::Result<()> {
        self.supervisor.run("run")?;
        let until = Instant::now() + START_LIMIT;
        loop {
            let answers = ready::asks_for_login(self.kind, self.port, &self.admin_user);
            // Asked after the login, so that a stranger on our port is not taken for our server.
            match self.supervisor.state()? {
                State::Running if answers => return Ok(()),
                State::Running if Instant::now() > until => return Err(self.failure("took too long to answer")),
                State::Running => thread::sleep(POLL),
                State::Ended(status) => return Err(self.failure(&format!("ended at its start (status {status})"))),
            }
        }
    }

    fn failure(&self, what: &str) -> io::Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(25)..].join("\n");
        io::Error::other(format!("the private {} server {what}; its log ends:\n{tail}", self.engine))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password stays out.
        write!(f, "{} {} at {}:{} in {}", self.engine, self.version, self.host, self.port, self.dir.display())
    }
}

/// The numeric user and group a server of `engine` runs as: none unless we are root, whom the servers refuse.
fn service_account(engine: Engine) -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let account = |wanted: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    // Servers that were unpacked rather than installed come without a user.
    let found = account(engine.service_user()).or_else(|| account("nobody"));
    found.map(Some).ok_or_else(|| io::Error::other("no user to run a database server as, in /etc/passwd"))
}

/// A loopback port that is free now. Below the range that outgoing connections use, so that it is
/// still free after a restart.
fn free_port() -> io::Result<u16> {
    for _ in 0..100 {
        let mut bytes = [0; 2];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let port = 15_000 + u16::from_ne_bytes(bytes) % 17_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free loopback port between 15000 and 32000"))
}

/// A random word of lower-case letters and digits, which no statement or shell needs quoted.
fn random_word(length: usize) -> io::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = vec![0; length];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
