//! A server whose wall clock jumps: nothing starts by schedule, nothing that is open suffers, it is said, and it goes on when
//! somebody says that the clock is right, or when it is back. The clock of the process is moved by a file (fail points).

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing, pawl};
use crate::harness::{servers, wait_for};

const SOON: Duration = Duration::from_secs(30);
const DAY: i64 = 24 * 3600;
const VARIABLE: &str = "PAWL_TEST_CLOCK_OFFSET_FILE";

struct Moved {
    home: Home,
    file: PathBuf,
}

impl Moved {
    fn new() -> Self {
        let home = Home::new();
        let file = home.path().join("offset");
        let this = Self { home, file };
        this.by(0);
        this
    }

    /// The clock is so many seconds off from now on.
    fn by(&self, seconds: i64) {
        // Replaced whole: a clock that is read in between shows the one or the other.
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, seconds.to_string()).expect("written");
        fs::rename(&fresh, &self.file).expect("renamed");
    }

    fn serve(&self) -> Pawl {
        self.home.serve_with(&[], &[(VARIABLE, self.file.to_str().expect("UTF-8"))])
    }

    /// A verb of somebody whose clock is off as the server's is: signatures go by it.
    fn run(&self, server: &Pawl, arguments: &[&str]) -> Output {
        let mut command = pawl();
        command.args(arguments).args(["--endpoint-url", &server.url, "--data"]).arg(self.home.data());
        command.env(VARIABLE, &self.file).stdin(Stdio::null()).output().expect("pawl runs")
    }

    fn json(&self, server: &Pawl, arguments: &[&str]) -> Value {
        let output = self.run(server, &[arguments, &["--json"]].concat());
        assert!(output.status.success(), "pawl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn rotations(&self, server: &Pawl, name: &str) -> usize {
        let answer = self.json(server, &["rotation", "history", name, "--limit", "200"]);
        let lines = answer["History"].as_array().expect("lines").iter();
        lines.filter(|line| line["Kind"] == "succeeded").count()
    }

    fn ready(&self, server: &Pawl) -> String {
        String::from_utf8_lossy(&self.run(server, &["health"]).stdout).into_owned()
    }

    fn doubted(&self, server: &Pawl) {
        wait_for("the clock is doubted", SOON, || self.ready(server).contains("the clock has jumped").then_some(()));
    }

    fn trusted(&self, server: &Pawl) {
        wait_for("the clock is trusted again", SOON, || (self.ready(server).trim() == "ready").then_some(()));
    }
}

/// A secret that rotates once an hour.
fn hourly(moved: &Moved, server: &Pawl, account: &Account) -> String {
    let name = server.create_for(account, &nothing());
    moved.json(server, &["rotation", "enable", &name, "--schedule", "rate(1 hour)", "--strategy", "single-user"]);
    name
}

// F39
#[test]
fn a_clock_that_jumps_a_day_ahead_starts_nothing_until_somebody_accepts_it() {
    let Some(database) = servers::postgres() else { return };
    let moved = Moved::new();
    let server = moved.serve();
    let account = Account::create(database);
    let name = hourly(&moved, &server, &account);
    moved.by(DAY);
    moved.doubted(&server);
    assert!(server.metrics().contains("pawl_clock_doubted 1"));
    assert_eq!(moved.home.log().matches("the clock has jumped").count(), 1, "it is said once");
    let shown = moved.json(&server, &["limits", "show"]);
    assert!(shown["Clock"]["Message"].as_str().is_some_and(|said| said.contains("1d ahead")), "{shown}");
    // What a person asks for is done: reading, writing and rotating go on.
    let output = moved.run(&server, &["rotation", "now", &name, "--wait"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(moved.rotations(&server, &name), 1, "and the schedule, by the clock a day late, has started nothing");
    moved.json(&server, &["clock", "accept"]);
    moved.trusted(&server);
    assert!(server.metrics().contains("pawl_clock_doubted 0"));
    let value = moved.json(&server, &["secret", "get", &name]);
    let value: Value = serde_json::from_str(value["SecretString"].as_str().expect("text")).expect("JSON");
    assert!(account.logs_in(value["password"].as_str().expect("a password")));
    let refused = moved.run(&server, &["clock", "accept"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("No node doubts its clock"));
}

#[test]
fn a_schedule_that_a_jump_overtook_runs_late_and_spread_when_the_clock_is_accepted() {
    let Some(database) = servers::postgres() else { return };
    let moved = Moved::new();
    let server = moved.serve();
    let account = Account::create(database);
    let name = hourly(&moved, &server, &account);
    moved.by(DAY);
    moved.doubted(&server);
    assert_eq!(moved.rotations(&server, &name), 0);
    moved.json(&server, &["clock", "accept"]);
    moved.trusted(&server);
    let view = wait_for("what was overtaken is planned anew", SOON, || {
        let history = moved.json(&server, &["rotation", "history", &name]);
        let lines = history["History"].as_array()?.clone();
        lines
            .iter()
            .any(|line| line["Kind"] == "missed-window")
            .then(|| moved.json(&server, &["rotation", "status", &name]))
    });
    assert!(view["DueDate"].is_number() || !view["Open"].is_null(), "{view}");
}

// F36
#[test]
fn a_clock_that_is_set_back_an_hour_delays_nothing_that_is_open() {
    let Some(database) = servers::postgres() else { return };
    let moved = Moved::new();
    let server = moved.serve();
    let account = Account::create(database);
    let name = hourly(&moved, &server, &account);
    moved.by(-3600);
    moved.doubted(&server);
    for accepted in [false, true] {
        let output = moved.run(&server, &["rotation", "now", &name, "--wait", "--timeout", "30"]);
        assert!(output.status.success(), "{accepted}: {}", String::from_utf8_lossy(&output.stderr));
        if !accepted {
            moved.json(&server, &["clock", "accept"]);
            moved.trusted(&server);
        }
    }
    assert_eq!(moved.rotations(&server, &name), 2);
}

#[test]
fn a_clock_that_comes_back_by_itself_is_trusted_without_anybody() {
    let moved = Moved::new();
    let server = moved.serve();
    // Written down at the first look, which a start has made when it is ready; then it jumps.
    moved.by(DAY);
    moved.doubted(&server);
    moved.by(0);
    moved.trusted(&server);
    assert!(moved.home.log().contains("the clock is back where it was to be"));
}

#[test]
fn a_jump_while_no_server_ran_is_noticed_at_the_start() {
    for offset in [DAY, -DAY] {
        let moved = Moved::new();
        let mut server = moved.serve();
        // The clock is written down once the scheduler runs.
        wait_for("the scheduler runs", SOON, || (moved.ready(&server).trim() == "ready").then_some(()));
        server.signal(Signal::TERM);
        server.ended(SOON);
        moved.by(offset);
        let server = moved.serve();
        moved.doubted(&server);
        moved.json(&server, &["clock", "accept"]);
        moved.trusted(&server);
        drop(server);
        let again = moved.serve();
        assert_eq!(moved.ready(&again).trim(), "ready", "what was accepted is what the next start compares with");
    }
}
