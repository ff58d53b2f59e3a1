//! Plays one cell: a rotation, the fault in the middle of one of its steps, the way back; and asks what must be true then.

use std::time::{Duration, Instant};

use pawl::servers::Engine;
use serde_json::{Value, json};

use super::cell::{Cell, Fault, Kept, Step};
use super::stage::Stage;
use super::store::{Shared, Trouble};
use crate::harness::account::{self, logs_in};
use crate::harness::chaos::{CHANGES, Link, Loss, Which};
use crate::harness::{pause, wait_for};

/// How long the store is away: past its busy timeout, and past a lease.
const AWAY: Duration = Duration::from_secs(13);
/// How long whoever lost its lease has for what it must not do any more.
const LATE_EFFECTS: Duration = Duration::from_secs(5);
/// How long a target is: past what a login and a reply are waited for.
const AWAY_TARGET: Duration = Duration::from_secs(7);
/// How late a request comes: past what its reply is waited for.
const LATE: Duration = Duration::from_secs(6);
/// How long the disk is full: past the driver's own tries.
const FULL: Duration = Duration::from_secs(5);
/// Past the lease of the processes here, twelve seconds.
const PAST_THE_LEASE: Duration = Duration::from_secs(13);

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The rotation came to its end without a person; so long after the fault.
    Completed(Duration),
    /// It waits for a person, with what it says.
    Parked(String),
}

/// Plays it. None: there is no such server here.
///
/// # Panics
/// When something is not as it must be.
pub(super) fn play(cell: Cell) -> Option<Outcome> {
    let mut stage = Stage::set(cell)?;
    let began = now();
    match cell.fault {
        None => stage.rotate(),
        Some(Fault::CrashBefore | Fault::CrashDuring | Fault::CrashAfter) => {
            stage.arm("kill");
            stage.rotate();
            stage.dies_and_comes_back();
        }
        Some(Fault::Stalled) => stalls(&mut stage),
        Some(fault) => {
            stage.arm("hold");
            stage.rotate();
            stage.reached();
            happens(&stage, fault);
        }
    }
    let view = stage.quiet();
    let took = began.elapsed();
    Some(judge(stage, &view, took))
}

#[expect(clippy::disallowed_methods, reason = "how long a recovery takes is a figure of the page")]
fn now() -> Instant {
    Instant::now()
}

/// Past its lease. On SQLite there is nobody to take over; on PostgreSQL another node does, and goes to the end, before the
/// first one wakes up in the middle of its step and goes on.
fn stalls(stage: &mut Stage) {
    stage.arm("stop");
    stage.rotate();
    stage.sleeps();
    let Some((other, _home)) = stage.another_node() else {
        pause(PAST_THE_LEASE);
        return stage.wakes();
    };
    stage.asks(&other.url);
    let view = stage.quiet_by(&other.url);
    assert_eq!(view["State"], "idle", "the other node goes to the end: {view:#}");
    let changes = stage.target.changes();
    stage.wakes();
    pause(LATE_EFFECTS);
    assert_eq!(stage.target.changes(), changes, "no effect from two owners; {}", stage.home.log());
}

/// What happens around a Pawl that is held at the point, and goes on in the middle of it.
fn happens(stage: &Stage, fault: Fault) {
    let login = stage.cell.step == Step::Test;
    let request = if login { Which::Login(1) } else { Which::Saying(&CHANGES) };
    let answered = if login { Which::Saying(&["SELECT"]) } else { Which::Saying(&CHANGES) };
    match fault {
        Fault::RequestLost => lose(stage, request, Loss::Request),
        Fault::ReplyLost => lose(stage, answered, Loss::Reply),
        Fault::ReplyCut => lose(stage, answered, Loss::CutReplyAt(5)),
        Fault::Late => lose(stage, request, Loss::Delay(LATE)),
        Fault::Refused => {
            stage.target.refuse();
            stage.release();
            pause(AWAY_TARGET);
            stage.target.open();
        }
        Fault::Silent => {
            stage.target.swallow();
            stage.release();
            pause(AWAY_TARGET);
            stage.target.open();
        }
        Fault::StoreRequestLost => lose_on(&shared(stage).link, stage, Which::Saying(&["COMMIT"]), Loss::Request),
        Fault::StoreReplyLost => lose_on(&shared(stage).link, stage, Which::Saying(&["COMMIT"]), Loss::Reply),
        Fault::StoreDown | Fault::StoreSilent | Fault::StoreFull => {
            let trouble = Trouble::begin(stage, fault);
            stage.release();
            pause(if fault == Fault::StoreFull { FULL } else { AWAY });
            trouble.end(stage);
        }
        Fault::TargetRestart => {
            stage.account.server.kill().expect("killed");
            stage.release();
            stage.account.server.restart().expect("started again");
        }
        other => panic!("{} is no fault of what is around Pawl", other.name()),
    }
}

fn lose(stage: &Stage, which: Which, loss: Loss) {
    lose_on(&stage.target, stage, which, loss);
}

fn lose_on(link: &Link, stage: &Stage, which: Which, loss: Loss) {
    link.lose(which, loss);
    stage.release();
    wait_for("it is lost", Duration::from_secs(60), || (link.lost() > 0).then_some(()));
}

fn shared(stage: &Stage) -> &Shared {
    stage.store.as_ref().expect("a store with a link")
}

/// What must be true in every cell.
fn judge(mut stage: Stage, view: &Value, took: Duration) -> Outcome {
    let told = || format!("{}: {view:#}\n{}", stage.cell.id(), stage.home.log());
    let server = stage.account.server;
    let lets_in = |value: &Value| {
        let text = |key: &str| value[key].as_str().expect("a text");
        logs_in(server, text("username"), text("password"))
    };
    let parked = view["State"] == "parked";
    let current = stage.value("AWSCURRENT").unwrap_or_else(|| panic!("AWSCURRENT has a value; {}", told()));
    if parked {
        let pending = stage.value("AWSPENDING");
        assert!(lets_in(&current) || pending.as_ref().is_some_and(lets_in), "one of the two logs in; {}", told());
        assert!(view["UnresolvedCandidates"].as_u64() >= Some(2), "both candidates are kept; {}", told());
    } else {
        assert!(lets_in(&current), "AWSCURRENT logs in; {}", told());
        assert_ne!(current["password"], json!(stage.account.password), "it was completed; {}", told());
        let first = account::logs_in(server, &stage.account.user, &stage.account.password);
        assert!(!first, "the first password is dead; {}", told());
        assert_eq!(current["username"] != json!(stage.account.user), stage.cell.way.alternates(), "{}", told());
        nothing_is_lost(&stage, &told);
    }
    nothing_is_set_twice(&stage, &told);
    let reason = &view["Open"]["Reason"];
    let outcome = match (parked, reason["Message"].as_str(), reason["Remedy"].as_str()) {
        (false, ..) => Outcome::Completed(took),
        (true, Some(message), Some(remedy)) if !message.is_empty() && !remedy.is_empty() => {
            Outcome::Parked(message.to_owned())
        }
        _ => panic!("it is parked without a word; {}", told()),
    };
    let (told, cell) = (told(), stage.cell);
    let seen = stage.watched();
    assert_eq!(seen.wrong, Vec::<String>::new(), "the oracle saw what must not be; {told}");
    // A store that is asked for every read may be slow when its tables are locked for the triggers.
    let silent = cell.fault == Some(Fault::StoreFull) && cell.kept == Kept::Sqlite && seen.unanswered > 0;
    assert!(!silent, "a full disk keeps nobody from reading: {seen:?}; {told}");
    assert!(seen.told > 0, "the oracle looked: {seen:?}; {told}");
    outcome
}

/// Both versions are there, with the labels that they must have, and no third one; and of all values that were ever sent
/// only AWSCURRENT's may still be on the target.
fn nothing_is_lost(stage: &Stage, told: &dyn Fn() -> String) {
    let versions = stage.versions();
    let versions = versions.as_object().expect("versions");
    assert_eq!(versions.len(), 2, "one value before and one after: {versions:?}; {}", told());
    for (version, labels) in versions {
        let expected = if *version == stage.first_version { "AWSPREVIOUS" } else { "AWSCURRENT" };
        assert_eq!(*labels, json!([expected]), "{versions:?}; {}", told());
    }
    let previous = stage.value("AWSPREVIOUS").expect("the first value is kept");
    assert_eq!(previous["password"], json!(stage.account.password), "{}", told());
}

/// The target took as many passwords as in a rotation that nothing disturbs. The exception: a retire of a PostgreSQL pair
/// whose end was not heard of gives the old account another random password, which is nobody's either.
fn nothing_is_set_twice(stage: &Stage, told: &dyn Fn() -> String) {
    let (cell, changes) = (stage.cell, stage.target.changes() - stage.changes_before);
    let expected = cell.way.changes();
    let again = cell.way.engine == Engine::Postgres && cell.step == Step::Retire;
    assert!(changes == expected || again && changes > expected, "{changes} passwords for {expected}; {}", told());
}
