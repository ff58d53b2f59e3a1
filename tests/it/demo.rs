//! `pawl demo`, as the README's first command runs it.

use std::collections::BTreeSet;

use crate::harness::pawl::pawl;

fn demo_folders() -> BTreeSet<String> {
    let entries = std::fs::read_dir(std::env::temp_dir()).expect("the temporary folder");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("pawl-demo-")).collect()
}

#[test]
fn the_demo_rotates_both_databases_ends_by_itself_and_leaves_nothing() {
    // What a killed demo leaves; no process has this number.
    let leftover = std::env::temp_dir().join("pawl-demo-4294967295");
    std::fs::create_dir_all(leftover.join("data")).expect("a folder");
    let before = demo_folders();
    let output = pawl().args(["demo", "--rotations", "3", "--every", "4"]).output().expect("pawl runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for name in ["demo/postgres-pair", "demo/mariadb-dual"] {
        let line = shown.lines().find(|line| line.contains(name) && line.contains("rotated"));
        let line = line.unwrap_or_else(|| panic!("no summary of {name} in:\n{shown}"));
        assert!(line.contains("logs in") && line.contains(" 0 refused") && line.contains(" old and "), "{line}");
    }
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert!(shown.matches(step).count() >= 6, "{step} is shown for each rotation:\n{shown}");
    }
    let left: Vec<_> = demo_folders().difference(&before).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!leftover.exists(), "what a killed demo left is removed by the next");
}
