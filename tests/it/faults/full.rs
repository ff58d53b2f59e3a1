//! A full disk, in one process with nothing else: what the matrix found, as tests of their own.

use std::time::Duration;

use serde_json::json;

use crate::harness::pawl::{Home, Pawl, pawl_with_limits};
use crate::harness::wait_for;

/// A server with a secret of two versions, whose files may not grow any more.
fn full(home: &Home) -> Pawl {
    let pawl = home.serve_by(pawl_with_limits(), &[], &[]);
    pawl.create("kept", &json!("first"));
    put(&pawl, home, "second");
    pawl.limit_files(Some(0));
    pawl
}

fn put(pawl: &Pawl, home: &Home, value: &str) -> bool {
    let file = home.path().join("value");
    std::fs::write(&file, value).expect("written");
    pawl.run(&["secret", "put", "kept", "--value", file.to_str().expect("UTF-8")]).status.success()
}

fn get(pawl: &Pawl, stage: &str) -> Option<String> {
    let output = pawl.run(&["secret", "get", "kept", "--stage", stage]);
    // One was made as a JSON text, the others as they are.
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().trim_matches('"').to_owned())
}

// F04
#[test]
fn a_full_disk_keeps_nobody_from_reading_also_where_the_log_is_on_it() {
    let home = Home::new();
    let pawl = full(&home);
    // The first read of a version writes its day down, fails to, and says so in the log, which is full as well.
    assert_eq!(get(&pawl, "AWSPREVIOUS").as_deref(), Some("first"));
    assert_eq!(get(&pawl, "AWSCURRENT").as_deref(), Some("second"));
}

// F04
#[test]
fn a_disk_that_was_full_is_written_again_without_a_restart() {
    let home = Home::new();
    let pawl = full(&home);
    // A write of the store's own fails in the middle.
    assert_eq!(get(&pawl, "AWSPREVIOUS").as_deref(), Some("first"));
    assert!(!put(&pawl, &home, "lost"), "a change on a full disk is refused");
    pawl.limit_files(None);
    wait_for("changes are taken again", Duration::from_secs(30), || put(&pawl, &home, "third").then_some(()));
    assert_eq!(get(&pawl, "AWSCURRENT").as_deref(), Some("third"));
}
