//! What a compiler does not hold: who may depend on whom, and how the sources look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Ours, and what of ours each may use (design section 1). `pawl` wires, so it may use all.
const OURS: [(&str, &[&str]); 6] = [
    ("pawl", &["api", "crypto", "engine", "rotators", "store"]),
    ("api", &["engine", "store"]),
    ("store", &["crypto", "engine"]),
    ("rotators", &["engine"]),
    ("engine", &[]),
    ("crypto", &[]),
];

/// Crates of others that have one home. Tests of `pawl` talk to real servers, hence `dev`.
const HOMES: [(&str, &[&str]); 10] = [
    ("sqlx", &["store"]),
    ("rusqlite", &[]),
    ("tokio-postgres", &["rotators", "pawl (dev)"]),
    ("mysql_async", &["rotators", "pawl (dev)"]),
    ("aes-gcm", &["crypto"]),
    ("postgres-protocol", &["rotators", "pawl (dev)"]),
    ("aws-sdk-secretsmanager", &["pawl (dev)"]),
    ("axum", &["api", "pawl"]),
    ("axum-server", &["pawl"]),
    ("clap", &["pawl"]),
];

/// Crates that make something happen by itself: out of the two that only decide and seal.
const RUNTIMES: [&str; 5] = ["tokio", "reqwest", "hyper", "axum", "rustix"];

const LONGEST_FILE: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().expect(program);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A dependency of one of our crates.
struct Edge {
    from: String,
    to: String,
    kind: &'static str,
}

impl Edge {
    /// The dependent as [`HOMES`] names it.
    fn home(&self) -> String {
        if self.kind == "normal" { self.from.clone() } else { format!("{} ({})", self.from, self.kind) }
    }
}

fn edges() -> Vec<Edge> {
    let metadata = output(env!("CARGO"), &["metadata", "--offline", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let edges = packages.iter().flat_map(|package| {
        let from = package["name"].as_str().expect("a name").to_owned();
        package["dependencies"].as_array().expect("dependencies").iter().map(move |dependency| Edge {
            from: from.clone(),
            to: dependency["name"].as_str().expect("a name").to_owned(),
            kind: match dependency["kind"].as_str() {
                None => "normal",
                Some("dev") => "dev",
                Some(_) => "build",
            },
        })
    });
    edges.collect()
}

/// The tracked files that are text, with what they say.
fn tracked() -> BTreeMap<String, String> {
    let files = output("git", &["ls-files"]);
    let read = |path: &str| Some((path.to_owned(), fs::read_to_string(root().join(path)).ok()?));
    files.lines().filter_map(read).collect()
}

fn tracked_rust() -> impl Iterator<Item = (String, String)> {
    tracked().into_iter().filter(|(path, _)| path.ends_with(".rs"))
}

fn assert_none<T: std::fmt::Display>(found: impl IntoIterator<Item = T>, rule: &str) {
    let found: Vec<String> = found.into_iter().map(|item| item.to_string()).collect();
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn our_crates_depend_on_each_other_as_the_design_says() {
    let ours: BTreeMap<_, _> = OURS.into_iter().collect();
    let edges = edges();
    let crates: BTreeSet<_> = edges.iter().map(|edge| edge.from.as_str()).collect();
    assert_eq!(crates, ours.keys().copied().collect(), "a crate of ours needs its place in the design");
    // What tests build their scenes from is no part of what ships.
    let wrong = edges.iter().filter(|edge| edge.kind != "dev" && ours.contains_key(edge.to.as_str()));
    let wrong = wrong.filter(|edge| !ours[edge.from.as_str()].contains(&edge.to.as_str()));
    assert_none(wrong.map(|edge| format!("{} uses {}", edge.home(), edge.to)), "not in the design");
}

#[test]
fn a_driver_lives_in_one_crate() {
    let homes: BTreeMap<_, _> = HOMES.into_iter().collect();
    let edges = edges();
    let strays = edges
        .iter()
        .filter(|edge| homes.get(edge.to.as_str()).is_some_and(|homes| !homes.contains(&edge.home().as_str())));
    assert_none(strays.map(|edge| format!("{} uses {}", edge.home(), edge.to)), "behind a wall");
}

#[test]
fn what_decides_and_what_seals_has_no_runtime() {
    let edges = edges();
    let pure = edges.iter().filter(|edge| ["engine", "crypto"].contains(&edge.from.as_str()) && edge.kind != "dev");
    let wrong = pure.filter(|edge| RUNTIMES.contains(&edge.to.as_str()));
    assert_none(wrong.map(|edge| format!("{} uses {}", edge.from, edge.to)), "engine and crypto only compute");
}

#[test]
fn there_is_one_list_of_dependencies_and_all_of_it_is_used() {
    let own_versions = tracked().into_iter().filter(|(path, _)| is_a_member(path)).flat_map(|(path, text)| {
        let dependencies =
            text.lines().skip_while(|line| !line.contains("dependencies]")).take_while(|line| *line != "[lints]");
        let wrong = dependencies.filter(|line| line.contains('=') && !line.contains("workspace = true"));
        wrong.map(|line| format!("{path}: {line}")).collect::<Vec<_>>()
    });
    assert_none(own_versions, "versions stand in the root Cargo.toml only");

    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the root manifest");
    let list = manifest.split("[workspace.dependencies]").nth(1).expect("the list");
    let list = list.split("\n[").next().expect("its end");
    let listed = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    let listed: BTreeSet<_> = listed.map(|(name, _)| name).collect();
    let edges = edges();
    let used: BTreeSet<_> = edges.iter().map(|edge| edge.to.as_str()).collect();
    assert_none(listed.difference(&used), "listed, and used by no crate");
}

/// The manifest of a crate of this workspace; `fuzz/` is one of its own.
fn is_a_member(path: &str) -> bool {
    path.ends_with("/Cargo.toml") && !path.starts_with("fuzz/")
}

#[test]
fn the_doors_for_fuzzing_are_open_in_tests_alone() {
    let metadata = output(env!("CARGO"), &["metadata", "--offline", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let mut seen = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let (name, features) = (&package["name"], &package["features"]);
        let others = features.as_object().expect("features").iter().filter(|(name, _)| *name != "fuzzing");
        let asked = others.flat_map(|(_, asked)| asked.as_array().expect("a list"));
        assert!(asked.into_iter().all(|asked| !asked.to_string().contains("fuzzing")), "{name}: {features}");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["features"].to_string().contains("fuzzing") {
                assert_eq!(dependency["kind"], "dev", "{name} takes {} into what ships", dependency["name"]);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "the corpora are replayed through them");
}

#[test]
fn each_crate_takes_the_workspace_lints() {
    let without = tracked().into_iter().filter(|(path, text)| {
        (path == "Cargo.toml" || path.ends_with("/Cargo.toml")) && !text.contains("[lints]\nworkspace = true")
    });
    assert_none(without.map(|(path, _)| path), "no [lints] workspace = true");
}

#[test]
fn a_file_has_one_subject_and_says_which() {
    let files: Vec<_> = tracked_rust().collect();
    assert!(files.len() > 20, "git lists the sources");
    let long = files.iter().filter(|(_, text)| text.lines().count() > LONGEST_FILE);
    assert_none(long.map(|(path, text)| format!("{path}: {} lines", text.lines().count())), "too long: split it");
    let silent = files.iter().filter(|(_, text)| !text.starts_with("//!"));
    assert_none(silent.map(|(path, _)| path), "does not open with what it owns (//!)");
}

#[test]
fn nothing_is_left_for_later() {
    // In halves, or this list would be its own first find.
    let words = [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK:"), ("unimpl", "emented!("), ("to", "do!(")];
    let lints = [("#[al", "low("), ("#![al", "low(")];
    let words = words.into_iter().chain(lints).map(|(left, right)| format!("{left}{right}"));
    let words: Vec<String> = words.collect();
    let found = tracked().into_iter().filter(|(path, _)| path != "Cargo.lock").flat_map(|(path, text)| {
        let lines = text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str())));
        lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    });
    assert_none(found, "finish it, or open an issue");
}

#[test]
fn nothing_names_a_machine_or_a_mirror() {
    let places =
        [("/wo", "rk/"), ("/ro", "ot/"), ("/tmp/d", "ev-"), ("deb.deb", "ian.org"), ("archive.ub", "untu.com")];
    let hosts = [("pypi", ".org"), ("pythonhosted", ".org"), ("registry.npm", "js.org"), ("static.crates", ".io")];
    let names: Vec<String> = places.into_iter().chain(hosts).map(|(left, right)| format!("{left}{right}")).collect();
    let found = tracked().into_iter().flat_map(|(path, text)| {
        let lines = text.lines().enumerate().filter(|(_, line)| names.iter().any(|name| line.contains(name.as_str())));
        lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    });
    assert_none(found, "true on one machine only");
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    let sources: BTreeSet<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert_eq!(sources.len(), 1, "all dependencies come from one registry: {sources:?}");
}

#[test]
fn the_clock_the_environment_and_new_tasks_belong_to_src() {
    let calls = ["SystemTime::now()", "Instant::now()", "Utc::now()", "env::var", "tokio::spawn(", "thread::spawn("];
    let walled =
        tracked_rust().filter(|(path, _)| OURS[1..].iter().any(|(name, _)| path.starts_with(&format!("{name}/src/"))));
    let found = walled.filter(|(path, _)| !path.contains("tests")).flat_map(|(path, text)| {
        let shipped = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).enumerate();
        let lines = shipped.filter(|(_, line)| calls.iter().any(|call| line.contains(call)));
        lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    });
    assert_none(found, "only src/ asks or starts these");
}

#[test]
fn make_has_what_the_pages_name() {
    let files = tracked();
    let makefile = &files["Makefile"];
    let pages = files.iter().filter(|(path, _)| path.ends_with(".md") || path.as_str() == ".ci/run");
    let named = pages.flat_map(|(path, text)| {
        let quoted = text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("make "));
        quoted.map(move |target| (path, target.split_whitespace().next().unwrap_or_default()))
    });
    let missing = named.filter(|(_, target)| !makefile.contains(&format!("\n{target}:")));
    assert_none(missing.map(|(path, target)| format!("{path}: make {target}")), "no such target");
}
