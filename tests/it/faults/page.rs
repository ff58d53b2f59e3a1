//! `docs/fault-matrix.md`: kept results of cells, the page that is written from them, and whether it has them all.
//!
//! Never here: playing a cell.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use engine::port::Clock;
use pawl::clock::SystemClock;
use pawl::servers::{Engine, find};

use super::cell::{Cell, FAULTS, Fault, Kept, STEPS, Step, WAYS, all, stores};

/// Where results are kept between runs.
fn results() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault-matrix")
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fault-matrix.md")
}

pub(super) fn record(cell: &Cell, result: &str) {
    fs::create_dir_all(results()).expect("a folder");
    fs::write(results().join(cell.id()), result).expect("written");
}

fn result(cell: &Cell) -> Option<String> {
    fs::read_to_string(results().join(cell.id())).ok()
}

/// It was played, and did not fail.
pub(super) fn has_passed(cell: &Cell) -> bool {
    result(cell).is_some_and(|result| !result.starts_with("failed"))
}

/// What the page says of a cell: seconds, `parked`, `failed`, a dash for what is no case, or `open` for what was not played.
fn entry(cell: &Cell) -> String {
    if cell.cannot_be().is_some() {
        return "–".to_owned();
    }
    let result = result(cell).unwrap_or_default();
    match result.split_once(' ') {
        Some(("completed", seconds)) => format!("{seconds} s"),
        Some((word @ ("parked" | "failed"), _)) => word.to_owned(),
        _ => "open".to_owned(),
    }
}

/// The rows of one store: the control, and each step with each fault.
fn rows(kept: Kept) -> impl Iterator<Item = (String, Vec<Cell>)> {
    let control = (Step::Set, None);
    let broken = STEPS.iter().flat_map(|step| FAULTS.iter().map(move |fault| (*step, Some(*fault))));
    std::iter::once(control).chain(broken).map(move |(step, fault)| {
        let head = fault.map_or("| – | nothing".to_owned(), |fault| format!("| {} | {}", step.name(), fault.name()));
        (head, WAYS.iter().map(|way| Cell { step, fault, way: *way, kept }).collect())
    })
}

/// Writes the page, of whatever is known.
pub(super) fn write() {
    fs::write(page(), text()).expect("the page is written");
}

fn text() -> String {
    let cells = all();
    let entries: Vec<String> = cells.iter().map(entry).collect();
    let count = |word: &str| entries.iter().filter(|entry| *entry == word).count();
    let (none, parked, failed, open) = (count("–"), count("parked"), count("failed"), count("open"));
    let completed = entries.len() - none - parked - failed - open;
    let versions = [Engine::Postgres, Engine::Mariadb, Engine::Mysql].map(|engine| {
        find(engine).map_or_else(|_| engine.name().to_owned(), |found| format!("{} {}", engine.name(), found.version))
    });
    let mut text = format!(
        "{HEAD}\n{} cells: **{completed} completed** without a person, **{parked} parked** with both candidates kept and a \
         message, **{failed} failed**, {open} open (not played yet), and {none} that cannot be. Played until {} on {}.\n",
        entries.len(),
        SystemClock.now().format("%Y-%m-%d"),
        versions.join(", "),
    );
    for kept in stores().iter().copied() {
        let ways: Vec<String> = WAYS.iter().map(ToString::to_string).collect();
        let _infallible =
            write!(text, "\n## The store is {}\n\n| step | fault | {} |\n", kept.name(), ways.join(" | "));
        let _infallible = writeln!(text, "|---|---|{}", "--:|".repeat(ways.len()));
        for (head, cells) in rows(kept) {
            let entries: Vec<String> = cells.iter().map(entry).collect();
            let _infallible = writeln!(text, "{head} | {} |", entries.join(" | "));
        }
    }
    text.push_str("\n## What cannot be\n\n");
    let mut reasons: Vec<String> = Vec::new();
    for cell in &cells {
        let reason = cell.cannot_be().map(|why| format!("- {}: {why}.\n", scope(cell)));
        reasons.extend(reason.filter(|reason| !reasons.contains(reason)));
    }
    text.extend(reasons);
    text
}

/// What a dash is about.
fn scope(cell: &Cell) -> String {
    let name = cell.fault.map_or("nothing", Fault::name);
    match (cell.step, cell.fault) {
        (Step::Retire, _) if cell.cannot_be().is_some_and(|why| why.starts_with("one user")) => {
            "retire, of a single user".to_owned()
        }
        (step, Some(fault)) if fault.is_of_the_targets_link() => {
            format!("a fault of the target's link, in {}", step.name())
        }
        _ => format!("{name}, with {}", cell.kept.name()),
    }
}

/// What the committed page lacks, or says of a cell that is no case.
pub(super) fn missing() -> Vec<String> {
    let text = fs::read_to_string(page()).unwrap_or_default();
    let mut missing = Vec::new();
    for kept in stores().iter().copied() {
        let head = format!("\n## The store is {}\n", kept.name());
        let part = text.split(&head).nth(1).unwrap_or_default();
        let part = part.split("\n## ").next().unwrap_or_default();
        for (head, cells) in rows(kept) {
            let line = part.lines().find_map(|line| line.strip_prefix(&format!("{head} |"))).unwrap_or_default();
            let said: Vec<&str> = line.trim_end_matches('|').split('|').map(str::trim).collect();
            for (number, cell) in cells.iter().enumerate() {
                let right = match said.get(number) {
                    Some(&"–") => cell.cannot_be().is_some(),
                    Some(&"parked") => cell.cannot_be().is_none(),
                    Some(said) => cell.cannot_be().is_none() && said.ends_with(" s"),
                    None => false,
                };
                if !right {
                    missing.push(cell.id());
                }
            }
        }
    }
    missing
}

const HEAD: &str = "# The fault matrix

Written by `PAWL_FAULT_MATRIX=all` (`make torture`); not by hand. Each cell is one rotation by a real `pawl serve` on a real
database, with one fault in the middle of one of its steps. An oracle asks the database over its own connections, all the
time and afterwards, who logs in, and the API what each label says. In every cell, or the run fails:

- AWSCURRENT logs in at the end without a person, or the rotation is parked with both candidates kept and a message;
- AWSCURRENT logs in at every sample where the strategy promises it; with a single user AWSPENDING may do so in its place,
  between setSecret and finishSecret;
- the version before is there with its value, and there is no third one;
- the target accepted as many passwords as in a rotation that nothing disturbs (counted by the proxy before it). The one
  exception: a retire of a PostgreSQL pair that is repeated gives the old account another random password, nobody's either.

The figure is how long it took from asking for the rotation to its end, the retire included; leases are twelve seconds.

| fault | how it is made |
|---|---|
| crash before, during, after | SIGKILL at a fail point: when it is committed that the step begins; when it is done and nobody knows; when that is committed |
| request lost, reply lost | a proxy before the target loses the changing statement, or the reply to it; in testSecret the login, or the reply to the first question |
| reply cut, request late | the same proxy cuts the connection after five bytes of the reply; delivers the request six seconds late, when nobody waits for it any more |
| target refuses, target silent | for seven seconds the proxy closes every connection; accepts everything and lets nothing pass |
| stall past the lease | SIGSTOP immediately before the change, until past the lease, then SIGCONT; with the PostgreSQL store another node has gone to the end of the rotation by then |
| commit lost, reply of the store lost | a proxy before the PostgreSQL store loses the COMMIT of the step, or the reply to it |
| store down | SQLite: another process has an exclusive transaction on the file, past the busy timeout. PostgreSQL: the proxy closes every connection, for thirteen seconds |
| store silent | PostgreSQL: the proxy accepts everything and lets nothing pass, for thirteen seconds |
| store full | SQLite: no file of the process may be written (RLIMIT_FSIZE). PostgreSQL: every write fails with SQLSTATE 53100, by triggers: they stand for a full tablespace, which cannot be made without mounting one |
| target killed and started | SIGKILL of the database server, while Pawl is immediately before the change |
";
