//! The trail in a folder of its own: what a restart, a thief of lines and a failing disk make of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use api::audit::{Kind, NotKept, Record, Until, Wait};

use super::chain::Broken;
use super::file::segments;
use super::queue::Batch;
use super::search::{Entry, Filter, Tail, search};
use super::verify::{Fault, verify};
use super::*;
use crate::clock::SystemClock;

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn start(folder: &Path) -> Audit {
    Audit::start(folder, clock(), Arc::new(|_| {})).expect("a trail")
}

fn record(secret: &str) -> Record<'_> {
    Record { secret: Some(secret.into()), outcome: Some("ok"), ..Record::new(Kind::Call, SystemClock.now()) }
}

fn done(wait: Wait) -> Result<(), NotKept> {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(wait)
}

fn keep(audit: &Audit, secret: &str) {
    done(audit.trail().take(&record(secret), Until::Synced).expect("a change waits")).expect("kept");
}

fn entries(folder: &Path) -> Vec<Entry> {
    let mut found = vec![];
    search(folder, &Filter::default(), |line, _| found.push(Entry::parse(line).expect("a record"))).expect("read");
    found
}

fn kinds(folder: &Path) -> Vec<String> {
    entries(folder).into_iter().map(|entry| entry.kind).collect()
}

/// A trail of ended servers, one segment for each number of changes.
fn trail_of(changes: &[usize]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = Arc::new(Queue::new(Arc::new(|_| {})));
    let mut writer = Writer::open_with(folder.path(), Arc::clone(&queue), clock(), 1).expect("a trail");
    let mut batch = Batch::default();
    for count in changes {
        for n in 0..*count {
            queue.take(&record(&format!("secret-{n}")), Until::Synced);
        }
        assert!(writer.turn(&mut batch));
    }
    let files = segments(folder.path()).expect("segments");
    // The first holds that the server started.
    assert_eq!(files.len(), changes.len() + 1);
    (folder, files)
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).expect("a segment").lines().map(str::to_owned).collect()
}

fn rewrite(file: &Path, lines: &[String]) {
    fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
}

/// The file and line that verifying names, and what is wrong there.
fn broken(folder: &Path) -> (PathBuf, u64, Broken) {
    match verify(folder, None) {
        Err(Fault::Record { file, line, why }) => (file, line, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trail_says_when_servers_started_and_stopped_and_holds_across_them() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("audit");
    for _ in 0..2 {
        keep(&start(&folder), "s");
    }
    assert_eq!(kinds(&folder), ["started", "call", "stopped", "started", "call", "stopped"]);
    let sound = verify(&folder, None).expect("it holds");
    assert_eq!((sound.records, sound.segments, sound.begins_at), (6, 1, Some(1)));
    assert_eq!(sound.head.map(|head| head.seq), Some(6));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("000000000001.jsonl"))), (0o700, 0o600));
}

#[test]
fn two_processes_never_write_the_same_trail() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = start(folder.path());
    let second = Audit::start(folder.path(), clock(), Arc::new(|_| {}));
    assert!(second.err().is_some_and(|error| error.to_string().contains("another `pawl serve`")));
}

#[test]
fn a_changed_removed_swapped_or_added_line_is_found_by_file_and_line() {
    let (folder, files) = trail_of(&[4, 4]);
    let (file, original) = (&files[1], lines(&files[1]));
    let (second, third) = (3, 4);
    let tampered = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = original.clone();
        change(&mut lines);
        rewrite(file, &lines);
        broken(folder.path())
    };
    let changed = tampered(&|lines| lines[1] = lines[1].replace("secret-1", "secret-2"));
    assert_eq!(changed, (file.clone(), 2, Broken::Altered));
    let removed = tampered(&|lines| drop(lines.remove(1)));
    assert_eq!(removed, (file.clone(), 2, Broken::Sequence { expected: second, found: third }));
    let swapped = tampered(&|lines| lines.swap(1, 2));
    assert_eq!(swapped, (file.clone(), 2, Broken::Sequence { expected: second, found: third }));
    let doubled = tampered(&|lines| lines.insert(1, lines[1].clone()));
    assert_eq!(doubled, (file.clone(), 3, Broken::Sequence { expected: third, found: second }));
    let foreign = tampered(&|lines| lines[1] = "{}".to_owned());
    assert_eq!(foreign, (file.clone(), 2, Broken::Form));
    rewrite(file, &original);
    verify(folder.path(), None).expect("as it was");
}

#[test]
fn a_line_that_was_replaced_with_a_right_hash_of_its_own_breaks_the_next_link() {
    let (folder, files) = trail_of(&[3]);
    let mut lines = lines(&files[1]);
    let first = chain::check(lines[0].as_bytes()).expect("it holds");
    let mut forged = vec![];
    let before = chain::Link { seq: first.link.seq - 1, hash: first.prev };
    let _link = chain::append(&mut forged, before, br#"{"kind":"call","secret":"another"}"#);
    lines[0] = String::from_utf8(forged).expect("text").trim_end().to_owned();
    rewrite(&files[1], &lines);
    assert_eq!(broken(folder.path()), (files[1].clone(), 2, Broken::Unlinked));
}

#[test]
fn a_segment_that_is_missing_cut_or_renamed_in_the_middle_is_found() {
    let (folder, files) = trail_of(&[2, 2, 2]);
    let kept = fs::read(&files[2]).expect("a segment");
    fs::remove_file(&files[2]).expect("removed");
    assert_eq!(broken(folder.path()), (files[3].clone(), 1, Broken::Sequence { expected: 4, found: 6 }));
    fs::write(&files[2], &kept[..kept.len() - 30]).expect("cut");
    assert_eq!(broken(folder.path()), (files[2].clone(), 2, Broken::Form));
    fs::write(folder.path().join("000000000005.jsonl"), &kept).expect("renamed");
    fs::remove_file(&files[2]).expect("renamed");
    assert!(matches!(verify(folder.path(), None), Err(Fault::Renamed(_))));
}

#[test]
fn the_oldest_segments_may_be_taken_away_and_the_rest_says_so() {
    let (folder, files) = trail_of(&[2, 2, 2]);
    fs::remove_file(&files[0]).expect("shipped");
    fs::remove_file(&files[1]).expect("shipped");
    let sound = verify(folder.path(), None).expect("it holds");
    assert_eq!((sound.begins_at, sound.records), (Some(4), 4));
    // The first line of what is left cannot be taken away alone.
    rewrite(&files[2], &lines(&files[2])[1..]);
    assert!(verify(folder.path(), None).is_err());
}

#[test]
fn an_end_that_was_cut_off_is_found_only_by_a_head_that_was_kept_elsewhere() {
    let (folder, files) = trail_of(&[3]);
    let whole = verify(folder.path(), None).expect("it holds");
    let head = whole.head.expect("a head").head();
    let kept = verify(folder.path(), Some(&head)).expect("it holds");
    assert_eq!(kept.kept_head, Some(4));
    rewrite(&files[1], &lines(&files[1])[..2]);
    let cut = verify(folder.path(), Some(&head)).expect("what is there holds");
    assert_eq!((cut.records, cut.kept_head), (3, None));
}

#[test]
fn an_unfinished_last_line_is_cut_off_at_the_next_start_which_says_how_much() {
    let folder = tempfile::tempdir().expect("a folder");
    keep(&start(folder.path()), "kept");
    let file = segments(folder.path()).expect("segments").remove(0);
    let mut bytes = fs::read(&file).expect("a segment");
    bytes.extend_from_slice(br#"{"seq":4,"prev":"#);
    fs::write(&file, &bytes).expect("torn");
    assert_eq!(verify(folder.path(), None).expect("it holds").unfinished, 16);
    drop(start(folder.path()));
    assert_eq!(kinds(folder.path()), ["started", "call", "stopped", "recovered", "started", "stopped"]);
    assert_eq!(entries(folder.path())[3].count, Some(16));
    verify(folder.path(), None).expect("it holds");
}

/// The files in the folder that are no segments.
fn put_aside(folder: &Path) -> Vec<PathBuf> {
    let found = segments(folder).expect("segments");
    let all = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    all.filter(|path| !found.contains(path)).collect()
}

#[test]
fn a_hole_that_a_power_cut_left_is_cut_out_with_what_stands_behind_it_and_nothing_of_it_is_thrown_away() {
    for hole_in_first_line in [false, true] {
        let (folder, files) = trail_of(&[4]);
        let (file, whole) = (&files[1], fs::read(&files[1]).expect("a segment"));
        let second = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        // From the middle of a line into the middle of the next; two whole lines stand behind it.
        let begin = if hole_in_first_line { 0 } else { second };
        let mut torn = whole.clone();
        torn[begin + 100..begin + 400].fill(0);
        fs::write(file, &torn).expect("torn");
        assert!(verify(folder.path(), None).is_err());
        drop(start(folder.path()));
        verify(folder.path(), None).expect("it holds again");
        let told: Vec<_> = entries(folder.path()).into_iter().map(|entry| (entry.kind, entry.count)).collect();
        let recovered = ("recovered".to_owned(), Some((whole.len() - begin) as u64));
        assert_eq!(told[told.len() - 3], recovered, "{told:?}");
        assert_eq!(told.len(), if hole_in_first_line { 4 } else { 5 });
        let aside = put_aside(folder.path());
        assert_eq!(aside, [file.with_extension(format!("torn-{begin}"))]);
        assert_eq!(fs::read(&aside[0]).expect("it is there"), torn[begin..]);
    }
}

#[test]
fn a_record_that_was_changed_or_taken_out_is_no_hole_and_stays_as_evidence() {
    let changed = |line: &str| vec![line.replace("secret-1", "secret-9")];
    let foreign = |_: &str| vec!["{}".to_owned()];
    let removed = |_: &str| vec![];
    // What comes first decides.
    let before_a_hole = |_: &str| vec!["{}".to_owned(), "\0\0".to_owned()];
    let changes: [fn(&str) -> Vec<String>; 4] = [changed, foreign, removed, before_a_hole];
    for change in changes {
        let (folder, files) = trail_of(&[4]);
        let mut tampered = lines(&files[1]);
        let second = change(&tampered[1]);
        tampered.splice(1..2, second);
        rewrite(&files[1], &tampered);
        drop(start(folder.path()));
        assert_eq!(lines(&files[1])[..tampered.len()], tampered);
        assert_eq!(broken(folder.path()).1, 2);
        assert!(put_aside(folder.path()).is_empty());
    }
}

#[test]
fn a_crash_between_making_a_segment_and_writing_to_it_leaves_no_gap() {
    let (folder, files) = trail_of(&[2]);
    fs::write(folder.path().join("000000000004.jsonl"), "").expect("made");
    drop(start(folder.path()));
    assert_eq!(segments(folder.path()).expect("segments").len(), files.len() + 1);
    assert_eq!(verify(folder.path(), None).expect("it holds").records, 5);
}

#[test]
fn an_end_that_was_tampered_with_stays_as_evidence_and_the_server_starts() {
    let (folder, files) = trail_of(&[2]);
    let mut tampered = lines(&files[1]);
    tampered[1] = tampered[1].replace("secret-1", "secret-9");
    rewrite(&files[1], &tampered);
    keep(&start(folder.path()), "after");
    assert_eq!(lines(&files[1]), tampered);
    assert_eq!(broken(folder.path()), (files[1].clone(), 2, Broken::Altered));
    assert_eq!(kinds(folder.path()).len(), 6, "started, call, call, started, call, stopped");
    // The next server goes on from there.
    drop(start(folder.path()));
    assert_eq!(segments(folder.path()).expect("segments").len(), 3);
}

#[test]
fn the_newest_records_come_from_as_many_segments_as_it_takes_and_new_ones_follow() {
    let (folder, _) = trail_of(&[2, 2]);
    let seqs = |lines: &[Vec<u8>]| -> Vec<u64> {
        lines.iter().map(|line| chain::check(line).expect("it holds").link.seq).collect()
    };
    let (mut tail, newest) = Tail::newest(folder.path(), 3).expect("read");
    assert_eq!(seqs(&newest), [3, 4, 5]);
    assert!(tail.more().expect("read").is_empty());
    let audit = start(folder.path());
    keep(&audit, "new");
    assert_eq!(seqs(&tail.more().expect("read")), [6, 7]);
    assert!(tail.more().expect("read").is_empty());
    assert_eq!(Tail::newest(folder.path(), 100).expect("read").1.len(), 7);
}

/// A writer that begins a segment with every batch, and so needs its folder each time.
struct Fragile {
    home: tempfile::TempDir,
    queue: Arc<Queue>,
    writer: Writer,
    lost: Arc<AtomicU64>,
    batch: Batch,
}

impl Fragile {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let on_lost: OnLost = Arc::new(move |count| {
            counted.fetch_add(count, Ordering::Relaxed);
        });
        let queue = Arc::new(Queue::new(on_lost));
        let writer = Writer::open_with(&home.path().join("audit"), Arc::clone(&queue), clock(), 1).expect("a trail");
        Self { home, queue, writer, lost, batch: Batch::default() }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("audit")
    }

    fn turn(&mut self) {
        assert!(self.writer.turn(&mut self.batch));
    }

    fn change(&mut self, secret: &str) -> Result<(), NotKept> {
        let wait = self.queue.take(&record(secret), Until::Synced).expect("a change waits");
        self.turn();
        done(wait)
    }

    /// Each turn waits for the next try.
    fn recover(&mut self) {
        for _ in 0..30 {
            if self.queue.is_up() {
                return;
            }
            self.turn();
        }
        panic!("still down");
    }
}

#[test]
fn in_an_outage_reads_are_counted_as_lost_and_changes_are_held_until_it_ends() {
    let mut trail = Fragile::new();
    trail.change("before").expect("kept");
    let away = trail.home.path().join("away");
    fs::rename(trail.folder(), &away).expect("the disk is gone");
    assert_eq!(trail.change("in between"), Err(NotKept));
    assert!(!trail.queue.is_up());
    for _ in 0..3 {
        assert!(trail.queue.take(&record("read"), Until::Queued).is_none(), "reads go on");
    }
    trail.turn();
    assert_eq!(trail.lost.load(Ordering::Relaxed), 3);
    fs::rename(&away, trail.folder()).expect("the disk is back");
    trail.recover();
    trail.change("after").expect("kept");
    assert_eq!(kinds(&trail.folder()), ["started", "call", "lost", "call", "call"]);
    let entries = entries(&trail.folder());
    assert_eq!(entries[2].count, Some(3));
    assert_eq!(entries[3].secret.as_deref(), Some("in between"), "it was carried out before anybody knew");
    verify(&trail.folder(), None).expect("it holds");
}

#[test]
fn a_segment_that_somebody_removes_is_noticed_and_its_records_are_missed() {
    let mut trail = Fragile::new();
    trail.change("before").expect("kept");
    let newest = segments(&trail.folder()).expect("segments").pop().expect("a segment");
    trail.queue.take(&record("unsynced"), Until::Queued);
    trail.turn();
    fs::remove_file(segments(&trail.folder()).expect("segments").pop().expect("a segment")).expect("removed");
    assert_eq!(trail.change("next"), Err(NotKept));
    assert_eq!(trail.lost.load(Ordering::Relaxed), 1, "the one that was not synced");
    trail.recover();
    trail.change("last").expect("kept");
    fs::remove_file(newest).expect("removed");
    assert!(verify(&trail.folder(), None).is_err());
}
