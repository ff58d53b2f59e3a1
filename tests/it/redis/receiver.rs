//! The example rotators as processes of their own, as their users run them.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pawl::servers::{self, Server};

use crate::harness::{free_port, servers as wanted, wait_for};

/// In which language an example is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Rust,
}

/// Both.
pub(crate) const LANGUAGES: [Language; 2] = [Language::Python, Language::Rust];

/// An example rotator; its log outlives the process.
pub(crate) struct Receiver {
    language: Language,
    program: Vec<PathBuf>,
    port: u16,
    child: Option<Child>,
    folder: tempfile::TempDir,
}

impl Receiver {
    /// One that is not started yet, at an address of its own; none where the person who runs the tests does without it.
    pub(crate) fn new(language: Language) -> Option<Self> {
        let program = match language {
            Language::Python => python()?,
            Language::Rust => vec![rust()],
        };
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self { language, program, port: free_port(), child: None, folder })
    }

    /// Where it takes events.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Starts it for this Redis with these keys, again where it was killed, and waits until it listens.
    pub(crate) fn start(&mut self, server: &Server, keys: &str) {
        self.start_at(&format!("{}:{}", server.host, server.port), server, keys);
    }

    /// The same, with this address for the Redis.
    pub(crate) fn start_at(&mut self, redis: &str, server: &Server, keys: &str) {
        let log = File::options().append(true).create(true).open(self.log_file()).expect("a log");
        let before = self.log().matches(" listens on ").count();
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LISTEN", format!("127.0.0.1:{}", self.port))
            .env("PAWL_WEBHOOK_KEYS", keys)
            .env("REDIS_ADDRESS", redis)
            .env("REDIS_ADMIN", &server.admin_user)
            .env("REDIS_ADMIN_PASSWORD", &server.admin_password)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        let mut child = command.spawn().expect("the example starts");
        wait_for("the example listens", Duration::from_secs(30), || {
            let ended = child.try_wait().expect("its status");
            assert!(ended.is_none(), "the example in {:?} ended:\n{}", self.language, self.log());
            (self.log().matches(" listens on ").count() > before).then_some(())
        });
        self.child = Some(child);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child");
            child.wait().expect("ended");
        }
    }

    /// All it wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

fn python() -> Option<Vec<PathBuf>> {
    let name = "standardwebhooks";
    if wanted::left_out(name) {
        return None;
    }
    let python = servers::cache().join("clients/python/bin/python");
    let has_it = Command::new(&python).args(["-c", "import standardwebhooks"]).output();
    if !has_it.is_ok_and(|output| output.status.success()) {
        wanted::say_left_out(name, "not in the virtual environment; scripts/setup-clients says why");
        return None;
    }
    Some(vec![python, root().join("examples/redis-rotator-python/rotator.py")])
}

/// The example as Cargo built it beside this binary, which `cargo test` does unless it is told what to build.
fn rust() -> PathBuf {
    let deps = env::current_exe().expect("our own path");
    let built = deps.parent().and_then(Path::parent).expect("target/debug").join("examples/redis-rotator-rust");
    if !is_fresh(&built) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--example", "redis-rotator-rust"]).current_dir(root());
        if cfg!(feature = "failpoints") {
            cargo.args(["--features", "failpoints"]);
        }
        assert!(cargo.status().expect("cargo runs").success(), "the example in Rust builds");
    }
    built
}

/// Whether it is there and no source of it is younger.
fn is_fresh(built: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let sources = std::fs::read_dir(root().join("examples/redis-rotator-rust")).expect("the example's folder");
    let youngest = sources.filter_map(|entry| changed(&entry.expect("an entry").path())).max();
    changed(built).is_some_and(|built| Some(built) > youngest)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
