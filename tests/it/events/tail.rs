//! `pawl events tail`: what it shows, and what becomes of it when the server goes, or Ctrl-C comes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::put;
use crate::harness::pawl::{Home, Pawl, pawl};
use crate::harness::wait_for;

/// A running `pawl events tail --json`; its lines as they come.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    #[expect(clippy::disallowed_methods, reason = "lines are read as they come, beside the test")]
    fn start(home: &Home, url: &str, flags: &[&str]) -> Self {
        let mut command: Command = pawl();
        command.args(["events", "tail", "--json", "--endpoint-url", url, "--data"]).arg(home.data()).args(flags);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// The next event.
    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(30)).expect("an event in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next move of AWSCURRENT.
    fn next_move(&self) -> Value {
        loop {
            let event = self.next();
            if event["Label"] == "AWSCURRENT" {
                return event;
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn port_of(pawl: &Pawl) -> String {
    pawl.url.trim_start_matches("http://").to_owned()
}

#[test]
fn a_tail_goes_on_where_it_was_when_the_server_comes_back_and_ends_cleanly() {
    let home = Home::new();
    let pawl = home.serve();
    let (url, address) = (pawl.url.clone(), port_of(&pawl));
    let mut tail = Tail::start(&home, &url, &["--from", "1"]);
    pawl.create("s", &json!({ "n": 0 }));
    let first = tail.next_move();
    assert_eq!((&first["SecretName"], &first["Kind"]), (&json!("s"), &json!("secret.label-updated")));
    pawl.signal(Signal::KILL);
    drop(pawl);
    let pawl = home.serve_with(&["--listen", &address], &[]);
    put(&pawl, "s", "two");
    let second = tail.next_move();
    assert!(second["Offset"].as_i64() > first["Offset"].as_i64(), "{first} {second}");
    let pid = i32::try_from(tail.child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::INT).expect("our own child");
    let status = wait_for("it ends", Duration::from_secs(10), || tail.child.try_wait().expect("its status"));
    assert!(status.success(), "Ctrl-C is how it ends: {status}");

    put(&pawl, "s", "three");
    pawl.create("other", &json!({ "n": 0 }));
    let from = second["Offset"].to_string();
    let rest = Tail::start(&home, &url, &["--from", &from, "--secret", "s", "--no-follow"]);
    let mut offsets = vec![];
    while let Ok(line) = rest.lines.recv_timeout(Duration::from_secs(30)) {
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["SecretName"], "s", "only what was asked for");
        offsets.push(event["Offset"].as_i64().expect("a number"));
    }
    assert_eq!(offsets.first().map(ToString::to_string), Some(from));
    assert!(offsets.is_sorted() && offsets.len() == 3, "{offsets:?}");
}
