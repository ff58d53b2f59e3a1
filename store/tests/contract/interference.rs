//! What users do in the middle of a rotation: the wire is AWS's, and the candidate is kept.

use engine::port::PortError;
use engine::rotation::{Event, Rotation, Step};
use store::StoreError;

use crate::world::{World, created, done, rotate, token};

async fn gives_up(world: &World, candidates: u32) {
    let state = world.state("s").await;
    assert!(matches!(state, Rotation::Waiting { step: Step::Prove, .. }), "{state:?}");
    assert_eq!(world.unresolved("s").await, candidates);
    let refused = world.store.rotate("s", rotate("other"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::RotationOpen)), "no new rotation before the candidate is resolved");
    assert_eq!(world.store.history("s", 1).await.unwrap()[0].kind, "interfered");
}

// F102
pub(crate) async fn a_plain_put_gives_the_open_rotation_up_and_keeps_its_candidate(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.put("s", "mine", "three").await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] mine [AWSCURRENT]");
    // What was sent, and what was AWSCURRENT: the target holds one of the two.
    gives_up(&world, 2).await;
    assert_eq!(world.read("s").await, "three");
}

pub(crate) async fn a_put_before_any_candidate_closes_the_rotation_at_once(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.put("s", "mine", "two").await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] mine [AWSCURRENT]");
    let late = world.apply(&lease, created("late")).await;
    assert!(matches!(late, Err(PortError::Refused(_))));
    assert_eq!(world.unresolved("s").await, 1, "the target still has what was AWSCURRENT");
    // The placeholder's token is free again.
    world.put("s", "r", "three").await.unwrap();
    assert_eq!(world.read("s").await, "three");
}

// F101
pub(crate) async fn taking_awspending_away_gives_the_rotation_up(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.move_label("s", "AWSPENDING", Some("r"), None).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]");
    gives_up(&world, 1).await;
    let kept = world.store.get_value("s", Some(token("r").as_str()), None, world.now()).await.unwrap();
    assert_eq!(kept.value.bytes.expose_str(), Some("two"));
}

// F101
pub(crate) async fn moving_awscurrent_gives_the_rotation_up(world: World) {
    world.create("s", "zero").await;
    world.put("s", "one", "one").await.unwrap();
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.move_label("s", "AWSCURRENT", Some("one"), Some("create-s")).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] one [AWSPREVIOUS] r [AWSPENDING]");
    gives_up(&world, 2).await;
}

pub(crate) async fn moving_awscurrent_to_an_untested_candidate_gives_the_rotation_up(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.move_label("s", "AWSCURRENT", Some("create-s"), Some("r")).await.unwrap();
    // What was AWSCURRENT; the candidate itself is AWSCURRENT now, and has to be proven as such.
    gives_up(&world, 1).await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Prove));
}

// F99
pub(crate) async fn cancelling_gives_the_rotation_up_and_blocks_like_aws(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    let cancelled = world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(cancelled.version_id, Some(token("r")));
    gives_up(&world, 1).await;
    // Proven; but AWS leaves AWSPENDING where it is, and so it goes on to refuse.
    world.apply(&lease, Event::Leased).await.unwrap();
    let proved = engine::rotation::Outcome::Proved(engine::outcome::Proof::CurrentLogsIn);
    let proved = Event::Ended { step: Step::Prove, outcome: proved };
    world.apply(&lease, proved).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] r [AWSPENDING]");
    let refused = world.store.rotate("s", rotate("other"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::RotationOpen)));
    world.move_label("s", "AWSPENDING", Some("r"), None).await.unwrap();
    world.store.rotate("s", rotate("other"), world.now()).await.unwrap();
}

// F102
pub(crate) async fn a_driver_that_reports_after_interference_is_refused(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    for step in [Step::Set, Step::Test] {
        world.apply(&lease, done(step)).await.unwrap();
    }
    world.put("s", "mine", "three").await.unwrap();
    let late = world.apply(&lease, done(Step::Finish)).await;
    assert!(matches!(late, Err(PortError::Refused(_))));
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] mine [AWSCURRENT]");
}

pub(crate) async fn a_custom_label_is_no_interference(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.put_with("s", "v", "three", &["CUSTOM"]).await.unwrap();
    world.move_label("s", "CUSTOM", Some("v"), Some("r")).await.unwrap();
    assert_eq!(world.state("s").await.step(), Some(Step::Set));
    world.finish(&lease).await;
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] r [AWSCURRENT, CUSTOM]");
}

pub(crate) async fn a_label_cannot_move_to_a_placeholder(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    let refused = world.move_label("s", "AWSCURRENT", Some("create-s"), Some("r")).await;
    assert!(matches!(refused, Err(StoreError::NoSuchVersion(_))));
    assert_eq!(world.read("s").await, "one");
}
