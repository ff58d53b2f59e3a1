//! The corpora of the fuzz targets, on the stable compiler: through the very functions that `make fuzz` runs.

#[path = "../../../fuzz/properties/filters.rs"]
mod filters;
#[path = "../../../fuzz/properties/policy.rs"]
mod policy;
#[path = "../../../fuzz/properties/router.rs"]
mod router;
#[path = "../../../fuzz/properties/schedule.rs"]
mod schedule;
#[path = "../../../fuzz/properties/signature.rs"]
mod signature;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// An input that grew larger tells nobody anything.
const LARGEST: usize = 4096;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 20, "{} has {} inputs", folder.display(), files.len());
    for file in files {
        let input = std::fs::read(&file).expect("an input");
        assert!(input.len() < LARGEST, "{} is too large", file.display());
        let held = catch_unwind(AssertUnwindSafe(|| run(&input)));
        assert!(held.is_ok(), "{} breaks a property of {target}", file.display());
    }
}

#[test]
fn every_history_of_the_corpus_is_answered_in_awss_forms() {
    replay("router", router::run);
}

#[test]
fn no_request_of_the_corpus_forges_a_signature() {
    replay("signature", signature::run);
}

#[test]
fn the_windows_of_every_schedule_of_the_corpus_follow_one_another() {
    replay("schedule", schedule::run);
}

#[test]
fn policies_of_the_corpus_are_judged_alike_however_they_are_spaced() {
    replay("policy", policy::run);
}

#[test]
fn filters_of_the_corpus_mean_what_they_say() {
    replay("filters", filters::run);
}
