//! One owner: leases, fences, and what a stale one cannot do.

use std::time::Duration;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::port::{Lease, PortError, RotationStore};
use engine::rotation::{Event, Rotation, Step};

use crate::world::{LEASE, World, created, done, failed, on_schedule, rotate, token};

async fn is_fenced(world: &World, lease: &Lease) {
    let state = world.state("s").await;
    assert!(matches!(world.store.look(lease).await, Err(PortError::Fenced)));
    assert!(matches!(world.apply(lease, Event::Leased).await, Err(PortError::Fenced)));
    assert!(matches!(world.apply(lease, created("late")).await, Err(PortError::Fenced)));
    assert!(matches!(world.store.material(lease, &state).await, Err(PortError::Fenced)));
    assert!(matches!(world.store.renew(lease, Duration::ZERO).await, Err(PortError::Fenced)));
    assert!(matches!(world.store.look(lease).await, Err(PortError::Fenced)));
    assert_eq!(world.state("s").await, state);
    assert_eq!(world.unresolved("s").await, 0);
}

pub(crate) async fn a_stale_fence_changes_nothing(world: World) {
    world.create("s", "one").await;
    let old = world.rotating("s", "r").await;
    world.apply(&old, Event::Leased).await.unwrap();
    world.clock.pass(TimeDelta::seconds(15));
    let new = world.claim().await;
    assert!(new.fence > old.fence);
    is_fenced(&world, &old).await;
    // Giving back what is not ours any more takes it from nobody.
    world.store.release(&old).await.unwrap();
    assert!(world.store.look(&new).await.is_ok());
    world.sealed(&new, "two").await;
    world.finish(&new).await;
    assert_eq!(world.read("s").await, "two");
}

pub(crate) async fn an_expired_lease_is_fenced_even_before_another_claims(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.clock.pass(TimeDelta::milliseconds(14_999));
    assert_eq!(world.store.look(&lease).await.unwrap().1.as_millis(), 1);
    world.clock.pass(TimeDelta::milliseconds(1));
    is_fenced(&world, &lease).await;
}

pub(crate) async fn a_renewed_lease_lasts_its_full_length_again(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.clock.pass(TimeDelta::seconds(14));
    assert_eq!(world.store.renew(&lease, Duration::ZERO).await.unwrap(), LEASE);
    world.clock.pass(TimeDelta::seconds(14));
    assert_eq!(world.store.look(&lease).await.unwrap().1.as_secs(), 1);
    assert!(world.claims().await.is_empty());
}

pub(crate) async fn a_paused_rotation_accepts_only_how_a_step_ended(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.store.pause_rotation("s", "tester", world.now()).await.unwrap();
    assert!(matches!(world.apply(&lease, Event::Leased).await, Err(PortError::Fenced)));
    assert!(matches!(world.store.renew(&lease, Duration::ZERO).await, Err(PortError::Fenced)));
    assert!(matches!(world.store.look(&lease).await, Err(PortError::Fenced)));
    let state = world.state("s").await;
    assert!(matches!(world.store.material(&lease, &state).await, Err(PortError::Fenced)));
    world.apply(&lease, done(Step::Set)).await.unwrap();
    assert_eq!(world.state("s").await.step(), Some(Step::Test), "the outcome is recorded");
    assert!(matches!(world.store.look(&lease).await, Err(PortError::Fenced)));
    world.store.resume_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Test));
}

// F20, F26
pub(crate) async fn a_deleted_secret_fences_its_driver(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.store.delete_secret("s", 7, world.now()).await.unwrap();
    is_fenced(&world, &lease).await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    assert!(matches!(world.store.look(&lease).await, Err(PortError::Fenced)));
    assert!(matches!(world.apply(&lease, created("late")).await, Err(PortError::Fenced)));
    assert!(matches!(world.store.renew(&lease, Duration::ZERO).await, Err(PortError::Fenced)));
    world.store.release(&lease).await.unwrap();
}

// F46
pub(crate) async fn a_plan_called_off_after_the_claim_starts_nothing(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    let due = world.next_due().await.unwrap();
    world.clock.set(due);
    let lease = world.claim().await;
    world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    let start = Event::Requested {
        token: token("r"),
        by: "schedule".to_owned(),
        window_ends: world.now() + TimeDelta::hours(1),
    };
    assert!(matches!(world.apply(&lease, start).await, Err(PortError::Fenced)));
    assert_eq!(world.state("s").await, Rotation::Idle);
    // Nor does the claim stand in the way of what a person asks for next.
    world.store.rotate("s", rotate("r2"), world.now()).await.unwrap();
    world.claim().await;
}

// F28
pub(crate) async fn claims_by_many_tasks_are_distinct(world: World) {
    for n in 0..60 {
        let name = format!("s{n}");
        world.create(&name, "one").await;
        world.store.rotate(&name, rotate("r"), world.now()).await.unwrap();
    }
    let world = Arc::new(world);
    let claiming = (0..12).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            // A claim that came twice would make it more than there are.
            while mine.len() <= 60 {
                let claims =
                    world.store.claim(&format!("worker {n}"), &store::Room::everywhere(3), world.now()).await.unwrap();
                if claims.is_empty() {
                    break;
                }
                mine.extend(claims.into_iter().map(|claim| claim.lease.secret));
            }
            mine
        })
    });
    let mut claimed = Vec::new();
    for task in claiming.collect::<Vec<_>>() {
        claimed.extend(task.await.unwrap());
    }
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 60);
}

pub(crate) async fn a_released_lease_can_be_claimed_at_once(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    assert!(world.claims().await.is_empty());
    world.apply(&lease, failed(Step::Set, Verdict::Retry)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    assert!(world.claims().await.is_empty(), "the retry is not due yet");
    world.clock.pass(TimeDelta::seconds(1));
    let again = world.claim().await;
    assert!(again.fence > lease.fence);
}

pub(crate) async fn f20_a_lease_that_is_taken_out_of_its_row_is_a_lost_one(world: World) {
    world.create("s", "one").await;
    let mut raw = world.raw().await;
    // By hand, in the middle of createSecret: the row is freed, its fence is another's, the whole row is gone.
    for change in [
        "UPDATE rotation SET lease_owner = NULL, lease_boot = NULL, lease_until_ms = NULL",
        "UPDATE rotation SET fence = fence + 1",
        "DELETE FROM rotation",
    ] {
        let open = world.state("s").await;
        let lease = if open.run().is_none() { world.rotating("s", "r").await } else { world.claim().await };
        world.apply(&lease, Event::Leased).await.unwrap();
        raw.run(change).await;
        assert!(matches!(world.store.look(&lease).await, Err(PortError::Fenced)), "{change}: no statement follows");
        assert!(matches!(world.apply(&lease, created("late")).await, Err(PortError::Fenced)), "{change}");
        assert!(matches!(world.store.renew(&lease, Duration::ZERO).await, Err(PortError::Fenced)), "{change}");
        world.clock.pass(TimeDelta::seconds(20));
    }
    let late = "SELECT COUNT(*) FROM candidate WHERE version_id LIKE 'r%'";
    let late = raw.count(late).await;
    assert_eq!(late, 0, "nothing was sealed behind its back");
}
