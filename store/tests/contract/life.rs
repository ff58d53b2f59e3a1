//! A rotation's life by events, as a driver reports them.

use chrono::TimeDelta;
use engine::outcome::{Proof, Verdict};
use engine::port::{PortError, RotationStore};
use engine::rotation::{Event, Outcome, Rotation, Step};
use engine::secret::{SecretBytes, SecretValue, ValueKind};
use store::StoreError;

use crate::world::{World, created, done, failed, rotate, token};

pub(crate) async fn s5_4_a_whole_rotation_moves_the_labels_and_resolves_its_candidates(world: World) {
    world.create("s", "one").await;
    let written = world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    assert_eq!(written.version_id, Some(token("r")));
    let lease = world.claim().await;
    world.clock.pass(TimeDelta::seconds(1));
    world.sealed(&lease, "two").await;
    assert_eq!(world.unresolved("s").await, 1);
    assert_eq!(world.read("s").await, "one", "readers keep AWSCURRENT until Finish");
    world.clock.pass(TimeDelta::seconds(1));
    world.finish(&lease).await;
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] r [AWSCURRENT]");
    assert_eq!(world.read("s").await, "two");
    let view = world.store.rotation("s").await.unwrap();
    assert_eq!(view.rotation, Rotation::Idle);
    assert_eq!((view.candidates_unresolved, view.rotated, view.due), (0, Some(world.now()), None));
    let about = world.store.describe("s").await.unwrap();
    assert_eq!((about.changed, about.rotated), (world.now(), Some(world.now())));
    // And once more, on what the first one left.
    let lease = world.rotating("s", "r2").await;
    world.sealed(&lease, "three").await;
    world.finish(&lease).await;
    assert_eq!(world.labels("s").await, "r [AWSPREVIOUS] r2 [AWSCURRENT]");
    assert_eq!(world.read("s").await, "three");
}

pub(crate) async fn the_placeholder_is_seen_by_describe_and_by_nothing_else(world: World) {
    world.create("s", "one").await;
    world.clock.pass(TimeDelta::seconds(1));
    let lease = world.rotating("s", "r").await;
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] r [AWSPENDING]");
    assert_eq!(world.store.describe("s").await.unwrap().changed, world.now(), "a rotation that starts is a change");
    let listed = world.store.list_versions("s", true, 10, None).await.unwrap().versions;
    assert_eq!(listed.len(), 1);
    let id = token("r").to_string();
    for (version, stage) in [(Some(id.as_str()), Some("AWSPENDING")), (Some(id.as_str()), None)] {
        let read = world.store.get_value("s", version, stage, world.now()).await;
        assert!(matches!(read, Err(StoreError::VersionNotFound(version)) if version == id));
    }
    let read = world.store.get_value("s", None, Some("AWSPENDING"), world.now()).await;
    assert!(matches!(read, Err(StoreError::StageNotFound(_))));
    world.clock.pass(TimeDelta::seconds(1));
    world.sealed(&lease, "two").await;
    let filled = world.store.get_value("s", Some(&id), Some("AWSPENDING"), world.now()).await.unwrap();
    assert_eq!((filled.value.bytes.expose_str(), filled.created), (Some("two"), world.now()));
}

pub(crate) async fn a_rejected_candidate_is_followed_by_another_and_kept(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "weak").await;
    let again = world.apply(&lease, failed(Step::Set, Verdict::Rejected)).await.unwrap();
    assert_eq!(again.act, Some(Step::Create));
    world.apply(&lease, created("strong")).await.unwrap();
    assert_eq!(world.unresolved("s").await, 2, "the target may have kept the first all the same");
    let pending = world.store.get_value("s", None, Some("AWSPENDING"), world.now()).await.unwrap();
    assert_eq!(pending.value.bytes.expose_str(), Some("strong"));
    world.finish(&lease).await;
    assert_eq!((world.read("s").await.as_str(), world.unresolved("s").await), ("strong", 0));
}

// F01, F29
pub(crate) async fn a_crash_in_any_step_is_resumed_by_the_next_lease(world: World) {
    let resumed =
        [(Step::Create, Step::Create), (Step::Set, Step::Set), (Step::Test, Step::Test), (Step::Finish, Step::Test)];
    let mut world = world;
    for (n, (died_in, goes_on_with)) in resumed.into_iter().enumerate() {
        let name = format!("s{n}");
        world.create(&name, "one").await;
        let lease = world.rotating(&name, "r").await;
        world.apply(&lease, Event::Leased).await.unwrap();
        for event in [created("two"), done(Step::Set), done(Step::Test)] {
            if world.state(&name).await.step() != Some(died_in) {
                world.apply(&lease, event).await.unwrap();
            }
        }
        assert_eq!(world.state(&name).await.step(), Some(died_in));
        world = world.reopen().await;
        assert!(world.claims().await.is_empty(), "the dead owner's lease lasts on");
        world.clock.pass(TimeDelta::seconds(15));
        let lease = world.claim().await;
        let decision = world.apply(&lease, Event::Leased).await.unwrap();
        assert_eq!(decision.act, Some(goes_on_with));
        let rest = match goes_on_with {
            Step::Create => vec![created("two"), done(Step::Set), done(Step::Test)],
            Step::Set => vec![done(Step::Set), done(Step::Test)],
            _ => vec![done(Step::Test)],
        };
        for event in rest {
            world.apply(&lease, event).await.unwrap();
        }
        world.apply(&lease, done(Step::Finish)).await.unwrap();
        world.store.release(&lease).await.unwrap();
        assert_eq!(world.read(&name).await, "two");
    }
}

// F128
pub(crate) async fn a_rotation_that_is_given_up_restores_awscurrent_as_a_candidate_first(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    let late = world.apply(&lease, done(Step::Set)).await;
    assert!(matches!(late, Err(PortError::Refused(_))));
    let decision = world.apply(&lease, Event::Leased).await.unwrap();
    assert_eq!(decision.act, Some(Step::Prove));
    let proved = |proof| Event::Ended { step: Step::Prove, outcome: Outcome::Proved(proof) };
    let decision = world.apply(&lease, proved(Proof::CanRestore { held: None })).await.unwrap();
    assert_eq!(decision.act, Some(Step::Restore));
    assert_eq!(world.unresolved("s").await, 1);
    world.apply(&lease, done(Step::Restore)).await.unwrap();
    world.apply(&lease, proved(Proof::CanRestore { held: None })).await.unwrap();
    assert_eq!(world.unresolved("s").await, 1);
    // The second time it is put back after a wait.
    world.clock.pass(TimeDelta::seconds(5));
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Restore));
    world.apply(&lease, done(Step::Restore)).await.unwrap();
    world.apply(&lease, proved(Proof::CurrentLogsIn)).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert_eq!(world.unresolved("s").await, 0);
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]");
    assert_eq!(world.read("s").await, "one");
    assert_eq!(world.store.describe("s").await.unwrap().rotated, None, "giving up is no rotation");
}

// F103, F129
pub(crate) async fn what_the_target_holds_is_known_through_writes_and_pruning(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    // Two plain writes, and no label speaks of what was rotated to any more.
    world.put("s", "mine", "three").await.unwrap();
    world.put("s", "mine too", "four").await.unwrap();
    assert_eq!(world.labels("s").await, "mine [AWSPREVIOUS] mine too [AWSCURRENT]");
    assert_eq!(world.unresolved("s").await, 1);
    let lease = world.rotating("s", "r2").await;
    world.sealed(&lease, "five").await;
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    let known: Vec<&str> = material.known.iter().filter_map(|known| known.value.expose_str()).collect();
    assert_eq!(known, ["four", "three", "two"]);
    world.finish(&lease).await;
    assert_eq!(world.unresolved("s").await, 0);
}

pub(crate) async fn history_keeps_the_newest_thousand_lines_of_a_secret(world: World) {
    world.create("s", "one").await;
    world.create("other", "one").await;
    world.store.cancel_rotation("other", "someone", world.now()).await.unwrap();
    // Each leaves three lines.
    for n in 0..340 {
        world.store.rotate("s", rotate(&format!("r{n}")), world.now()).await.unwrap();
        world.store.abandon_rotation("s", "someone", world.now()).await.unwrap();
    }
    let lines = world.store.history("s", 2000).await.unwrap();
    assert_eq!(lines.len(), 1000);
    assert_eq!(lines[0].kind, "abandoned");
    assert_eq!(world.store.history("other", 10).await.unwrap().len(), 1);
}

pub(crate) async fn history_tells_the_steps_and_how_they_ended(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "canary-two").await;
    world.clock.pass(TimeDelta::seconds(2));
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    let entries = world.store.history("s", 100).await.unwrap();
    let told: Vec<String> = entries
        .iter()
        .rev()
        .map(|entry| {
            let step = entry.step.as_deref().unwrap_or("-");
            format!("{} {step} {}", entry.kind, entry.verdict.as_deref().unwrap_or("-"))
        })
        .collect();
    let expected = ["requested - -", "step createSecret done", "step setSecret needs-person", "parked - -"];
    assert_eq!(told, expected);
    let set = entries.iter().find(|entry| entry.step.as_deref() == Some("setSecret")).unwrap();
    assert_eq!(set.token.as_deref(), Some(token("r").as_str()));
    assert_eq!((set.by.as_deref(), set.message.as_str()), (Some("tester"), "the target said no"));
    assert_eq!(set.ended, Some(set.started + TimeDelta::seconds(2)));
    assert!(!format!("{entries:?}").contains("canary"));
    assert_eq!(world.store.history("s", 1).await.unwrap(), entries[..1]);
}

pub(crate) async fn a_binary_value_written_by_a_callback_stays_binary(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    let binary = SecretValue { kind: ValueKind::Binary, bytes: SecretBytes::new(vec![0, 159, 146]) };
    let written = world.put_as("s", "r", binary, Some(&["AWSPENDING"])).await.unwrap();
    assert_eq!(written.stages, ["AWSPENDING"]);
    assert_eq!(world.unresolved("s").await, 1, "what a callback wrote is a candidate like any other");
    assert_eq!(world.state("s").await.step(), Some(Step::Set));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Set));
    world.finish(&lease).await;
    let value = world.get("s").await.unwrap().value;
    assert_eq!((value.kind, value.bytes.expose()), (ValueKind::Binary, [0, 159, 146].as_slice()));
}

pub(crate) async fn a_callback_may_move_awscurrent_itself_in_finish(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.apply(&lease, done(Step::Set)).await.unwrap();
    let decision = world.apply(&lease, done(Step::Test)).await.unwrap();
    assert_eq!(decision.act, Some(Step::Finish));
    world.move_label("s", "AWSCURRENT", Some("create-s"), Some("r")).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] r [AWSCURRENT, AWSPENDING]");
    world.apply(&lease, done(Step::Finish)).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] r [AWSCURRENT]");
    let view = world.store.rotation("s").await.unwrap();
    assert_eq!((view.rotation, view.candidates_unresolved, view.rotated), (Rotation::Idle, 0, Some(world.now())));
}
