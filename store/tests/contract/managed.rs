//! Secrets whose credential something else changes: never from here, and never both.

use engine::check::Prepare;
use engine::rotation::Rotation;
use store::{MANAGED_ELSEWHERE, Rotate, Start, StoreError, Tag};

use crate::world::{World, on_schedule, rotate, token};

async fn tagged(world: &World) -> Result<(), StoreError> {
    let tag = Tag { key: MANAGED_ELSEWHERE.to_owned(), value: "Terraform".to_owned() };
    world.store.tag("s", &[tag], world.now()).await
}

/// F82
pub(crate) async fn what_is_managed_elsewhere_is_served_and_never_changed_from_here(world: World) {
    world.create("s", "one").await;
    world.put("s", "v2", "two").await.unwrap();
    world.store.rotate("s", on_schedule("on", "rate(30 days)"), world.now()).await.unwrap();
    world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    tagged(&world).await.unwrap();
    let refused = |answer: Result<(), StoreError>, what: &str| {
        assert!(matches!(&answer, Err(StoreError::ManagedElsewhere { by }) if by == "Terraform"), "{what}: {answer:?}");
    };
    for start in [Start::Rotate, Start::Wait, Start::Test] {
        let asked = world.store.rotate("s", Rotate { start, ..rotate("r") }, world.now()).await;
        refused(asked.map(drop), "rotate");
    }
    refused(world.store.rollback_rotation("s", token("b"), None, "tester", world.now()).await.map(drop), "rollback");
    refused(world.store.reconcile_rotation("s", "tester", world.now()).await.map(drop), "reconcile");
    let prepared = world.store.begin_work("s", Prepare::Apply, "o", "tester", world.now()).await;
    refused(prepared.map(drop), "prepare");
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert_eq!(world.read("s").await, "two");
    world.put("s", "v3", "three").await.unwrap();
    assert_eq!(world.read("s").await, "three", "who manages it writes it");
    world.store.untag("s", &[MANAGED_ELSEWHERE.to_owned()], world.now()).await.unwrap();
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
}

/// F82
pub(crate) async fn what_is_rotated_cannot_be_said_to_be_managed_elsewhere(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("on", "rate(30 days)"), world.now()).await.unwrap();
    assert!(matches!(tagged(&world).await, Err(StoreError::ManagedHere)));
    assert!(world.store.describe("s").await.unwrap().tags.is_none(), "nothing was written");
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    assert!(matches!(tagged(&world).await, Err(StoreError::ManagedHere)), "its candidate may be the password");
    world.store.vouch_rotation("s", "tester", world.now()).await.unwrap();
    tagged(&world).await.unwrap();
}
