//! The small shell between us and a database server, so that the server cannot outlive us.
//!
//! Owns the pipe whose closing ends the server and removes its directory, even when this process is
//! killed or a static is never dropped. Knows nothing of databases; never signals a process itself.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SCRIPT: &str = include_str!("supervisor.sh");

/// One running supervisor.
pub(super) struct Supervisor {
    line: Mutex<Line>,
}

/// The two ends of the conversation, and the shell itself.
struct Line {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What the supervisor says of the script it runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs.
    Running,
    /// It ended, with this exit status as the shell counts them.
    Ended(String),
}

impl Supervisor {
    /// Starts minding `dir`, which from now on is removed when this value (or this process) goes.
    pub(super) fn start(dir: &Path) -> io::Result<Self> {
        // A file, and not `-c`, so that a process list stays readable. Removed with the rest.
        let script = dir.join("supervisor.sh");
        fs::write(&script, SCRIPT)?;
        // Its own session: a Ctrl-C in the terminal reaches only us, and the end of our process group does not
        // bring a hang-up to a server that is paused.
        let mut child = Command::new("setsid")
            .arg("/bin/sh")
            .arg(&script)
            .arg(dir)
            // Neither our working directory nor our environment (it may hold keys) is the server's business.
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the supervisor's pipes are missing"));
        };
        let line = Line { child, orders: Some(orders), answers: BufReader::new(answers) };
        Ok(Self { line: Mutex::new(line) })
    }

    /// Runs the script `name` of the directory, in the background.
    pub(super) fn run(&self, name: &str) -> io::Result<()> {
        self.expect_ok(&format!("run {name}"))
    }

    /// Ends what runs: with `signal` first, by force when that does not help. Returns when it has ended.
    pub(super) fn halt(&self, signal: &str) -> io::Result<()> {
        self.expect_ok(&format!("halt {signal}"))
    }

    /// Sends `signal` to what runs and to its direct children. After KILL it returns when it has ended.
    pub(super) fn signal(&self, signal: &str) -> io::Result<()> {
        self.expect_ok(&format!("signal {signal}"))
    }

    /// Whether the script still runs.
    pub(super) fn state(&self) -> io::Result<State> {
        let answer = self.ask("state")?;
        match answer.strip_prefix("ended") {
            Some(status) => Ok(State::Ended(status.trim().to_owned())),
            None if answer == "running" => Ok(State::Running),
            None => Err(unexpected(&answer)),
        }
    }

    fn expect_ok(&self, order: &str) -> io::Result<()> {
        match self.ask(order)? {
            answer if answer == "ok" => Ok(()),
            answer => Err(unexpected(&answer)),
        }
    }

    fn ask(&self, order: &str) -> io::Result<String> {
        let mut line = self.line();
        let Some(orders) = line.orders.as_mut() else {
            return Err(io::Error::other("the supervisor has ended"));
        };
        orders.write_all(format!("{order}\n").as_bytes())?;
        let mut answer = String::new();
        line.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    // The conversation is question and answer under one lock; a panic between two leaves nothing half said.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let mut line = self.line();
        line.orders = None;
        // Nothing can be done about a failure here, and the supervisor needs nothing more from us.
        let _ = line.child.wait();
    }
}

fn unexpected(answer: &str) -> io::Error {
    io::Error::other(format!("the supervisor of a private server answered {answer:?}"))
}
