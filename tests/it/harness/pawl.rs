//! A running `pawl serve`, and its command line as a client: what users run, run as they run it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use engine::secret::SecretBytes;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};

use super::account::Account;
use super::wait_for;
use super::wire::{self, Signed};

const BINARY: &str = env!("CARGO_BIN_EXE_pawl");
/// How long a server may take to be ready on a machine that does other things as well.
const READY: Duration = Duration::from_secs(30);

/// A folder that outlives its server, and goes with the test.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// All that servers of this home wrote to standard output and error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Starts a server that owns rotations for twelve seconds at a time and takes any schedule.
    pub(crate) fn serve(&self) -> Pawl {
        self.serve_with(&[], &[])
    }

    /// The same with AWS's own limits of a schedule.
    pub(crate) fn serve_as_aws(&self) -> Pawl {
        self.serve_with(&["--schedule-limits", "aws"], &[])
    }

    /// [`serve`](Self::serve) with more flags and variables.
    pub(crate) fn serve_with(&self, flags: &[&str], variables: &[(&str, &str)]) -> Pawl {
        self.serve_by(pawl(), flags, variables)
    }

    /// The same, with `command` for the binary under test.
    pub(crate) fn serve_by(&self, mut command: Command, flags: &[&str], variables: &[(&str, &str)]) -> Pawl {
        let log = File::options().append(true).create(true).open(self.path().join("log")).expect("a log");
        let before = self.log().matches(" listens on ").count();
        let limits = if flags.contains(&"--schedule-limits") { vec![] } else { vec!["--schedule-limits", "none"] };
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--lease", "12", "--data"])
            .arg(self.data())
            .args(limits)
            .args(flags)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        let mut child = command.spawn().expect("pawl starts");
        let url = wait_for("pawl serve is ready", READY, || {
            if let Some(status) = child.try_wait().expect("its status") {
                panic!("pawl serve ended with {status}:\n{}", self.log());
            }
            let log = self.log();
            let line = log.lines().filter(|line| line.contains(" listens on ")).nth(before)?.to_owned();
            line.rsplit(' ').next().map(str::to_owned)
        });
        Pawl { child, url, data: self.data() }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Pawl {
    child: Child,
    pub(crate) url: String,
    data: PathBuf,
}

/// The binary under test, without whatever this shell has set for AWS.
pub(crate) fn pawl() -> Command {
    without_aws(Command::new(BINARY))
}

/// Another binary, the same way: an earlier one.
pub(crate) fn pawl_of(binary: &str) -> Command {
    without_aws(Command::new(binary))
}

/// The same; a file that grows past a limit is then an error to it, as a full disk is, and not its end.
pub(crate) fn pawl_with_limits() -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", BINARY]);
    without_aws(shell)
}

/// The same; it may have so many files open, and half of them before it asks for more.
pub(crate) fn pawl_with_files(files: u32) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -S -n {} && ulimit -H -n {files} && exec \"$0\" \"$@\"", files / 2);
    shell.args(["-c", &script, BINARY]);
    without_aws(shell)
}

fn without_aws(mut command: Command) -> Command {
    let ours = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "PAWL_DATA"];
    for name in ours.into_iter().chain(["AWS_REGION", "AWS_DEFAULT_REGION"]) {
        command.env_remove(name);
    }
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent").env_remove("RUST_LOG");
    command
}

impl Pawl {
    /// Runs a verb against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = pawl();
        command.args(arguments).args(["--endpoint-url", &self.url, "--data"]).arg(&self.data);
        command.stdin(Stdio::null()).output().expect("pawl runs")
    }

    /// Runs a verb that must work, and returns its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pawl {arguments:?} said: {error}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("pawl {arguments:?}: {error}"))
    }

    /// Asks for a rotation of a server that is to stop in it: whether it comes to answer is not known.
    pub(crate) fn ask_to_rotate(&self, name: &str) -> Child {
        let mut command = pawl();
        command.args(["rotation", "now", name, "--endpoint-url", &self.url, "--data"]).arg(&self.data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pawl runs")
    }

    /// Calls one of AWS's operations as the administrator: what no verb of the command line does. None: the server died
    /// before it answered.
    pub(crate) fn aws(&self, operation: &str, body: &Value) -> Option<Value> {
        wire::call(&self.url, &self.administrator(), operation, body).map(|(_, answer)| answer)
    }

    /// One of Pawl's own operations, as the administrator; an error is what it says.
    pub(crate) fn ask(&self, operation: &str, body: &Value) -> Result<Value, String> {
        match wire::call(&self.url, &self.administrator(), &format!("pawl.{operation}"), body).expect("an answer") {
            (200, answer) => Ok(answer),
            (_, error) => Err(error.to_string()),
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        pawl::boot::install_tls_provider();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("{}/metrics", self.url);
        runtime.block_on(async { reqwest::get(url).await.expect("answers").text().await.expect("text") })
    }

    /// The first key.
    pub(crate) fn administrator(&self) -> Signed {
        administrator_of(&self.data)
    }

    /// Creates a secret with this value.
    pub(crate) fn create(&self, name: &str, value: &Value) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), value.to_string()).expect("written");
        self.json(&["secret", "create", name, "--value", file.path().to_str().expect("UTF-8")]);
    }

    /// Creates the secret of an account, and returns its name.
    pub(crate) fn create_for(&self, account: &Account, extra: &Value) -> String {
        self.create(&account.user, &account.secret(extra));
        account.user.clone()
    }

    /// The password that AWSCURRENT has.
    pub(crate) fn current_password(&self, name: &str) -> String {
        let answer = self.json(&["secret", "get", name]);
        let value: Value = serde_json::from_str(answer["SecretString"].as_str().expect("text")).expect("JSON");
        value["password"].as_str().expect("a password").to_owned()
    }

    pub(crate) fn status(&self, name: &str) -> Value {
        self.json(&["rotation", "status", name])
    }

    /// Waits until the secret's rotation is idle or parked, and returns its view.
    pub(crate) fn settled(&self, name: &str) -> Value {
        let what = format!("the rotation of {name} ends");
        wait_for(&what, Duration::from_secs(60), || {
            let view = self.status(name);
            ["idle", "parked"].contains(&view["State"].as_str()?).then_some(view)
        })
    }

    pub(crate) fn history(&self, name: &str) -> Vec<Value> {
        let answer = self.json(&["rotation", "history", name, "--limit", "200"]);
        answer["History"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("our own child");
    }

    /// No file of it may grow past this, until it is lifted with None.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        prlimit(Some(self.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("our own child");
    }

    /// How many files it may have open.
    pub(crate) fn file_limit(&self) -> u64 {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).expect("our own child");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
        line.split_whitespace().next().and_then(|soft| soft.parse().ok()).expect("a number")
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether SIGSTOP has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        wait_for("pawl serve ends", limit, || self.child.try_wait().expect("its status"))
    }
}

impl Drop for Pawl {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The first key, as a server has left it in its data folder.
pub(crate) fn administrator_of(data: &Path) -> Signed {
    let credentials = std::fs::read_to_string(data.join("credentials")).expect("credentials");
    let setting = |name: &str| {
        let lines = credentials.lines().filter_map(|line| line.split_once('='));
        lines.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).expect(name).1
    };
    let secret = SecretBytes::from(setting("aws_secret_access_key"));
    Signed { access_key_id: setting("aws_access_key_id").to_owned(), secret, session_token: None }
}

/// `{}`: nothing beside the account itself.
pub(crate) fn nothing() -> Value {
    json!({})
}
