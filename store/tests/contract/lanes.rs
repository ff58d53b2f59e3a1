//! Each registered rotator has its own room in the queue.

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::port::RotationStore;
use engine::registration::Mode;
use engine::rotation::{Event, Step};
use store::Room;

use crate::rotators::{by, webhook};
use crate::world::{World, failed, on_schedule, rotate};

/// `fast`, `slow` and built-in secrets, all of them due.
async fn many_due(world: &World) {
    for name in ["fast", "slow"] {
        world.register(name, webhook(Mode::Managed, false)).await;
    }
    for n in 0..6 {
        for kind in ["slow", "fast", "own"] {
            let name = format!("{kind}-{n}");
            world.create(&name, "one").await;
            let request = if kind == "own" { rotate("r") } else { by(kind, rotate("r")) };
            world.store.rotate(&name, request, world.now()).await.unwrap();
        }
        world.clock.pass(TimeDelta::milliseconds(10));
    }
}

fn room(builtin: u32, slow: u32, default_lane: u32) -> Room {
    Room { builtin, lanes: [("slow".to_owned(), slow)].into(), default_lane }
}

async fn claimed(world: &World, room: &Room) -> Vec<String> {
    let claims = world.store.claim("tester", room, world.now()).await.unwrap();
    let mut names: Vec<_> = claims.into_iter().map(|claim| claim.name).collect();
    names.sort();
    names
}

// F25
pub(crate) async fn a_full_lane_keeps_nobody_else_from_being_claimed(world: World) {
    many_due(&world).await;
    assert_eq!(claimed(&world, &room(2, 0, 1)).await, ["fast-0", "own-0", "own-1"]);
    assert_eq!(claimed(&world, &room(0, 2, 0)).await, ["slow-0", "slow-1"], "the longest due come first");
    assert!(claimed(&world, &room(0, 0, 0)).await.is_empty());
    assert_eq!(claimed(&world, &room(9, 9, 9)).await.len(), 13);
}

pub(crate) async fn a_full_lane_is_not_what_the_scheduler_wakes_up_for(world: World) {
    many_due(&world).await;
    world.create("later", "one").await;
    world.store.rotate("later", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    claimed(&world, &room(9, 0, 9)).await;
    let next = async |room: &Room| world.store.next_due(room).await.unwrap();
    let later = world.store.rotation("later").await.unwrap().due;
    // What is claimed comes back when its lease ends, unless its lane is full then.
    assert_eq!(next(&room(1, 0, 0)).await, Some(world.now() + TimeDelta::seconds(15)));
    assert!(next(&room(0, 1, 0)).await.unwrap() <= world.now());
    assert_eq!(next(&room(0, 0, 0)).await, None);
    world.clock.pass(TimeDelta::seconds(15));
    for claim in world.store.claim("other", &room(9, 0, 9), world.now()).await.unwrap() {
        world.apply(&claim.lease, Event::Leased).await.unwrap();
        world.apply(&claim.lease, failed(Step::Create, Verdict::NeedsPerson)).await.unwrap();
        world.store.release(&claim.lease).await.unwrap();
    }
    assert_eq!(next(&room(1, 0, 1)).await, later);
}

pub(crate) async fn a_lease_that_ran_out_in_a_full_lane_waits(world: World) {
    many_due(&world).await;
    assert_eq!(claimed(&world, &room(0, 1, 0)).await, ["slow-0"]);
    world.clock.pass(TimeDelta::seconds(15));
    assert_eq!(claimed(&world, &room(1, 0, 0)).await, ["own-0"]);
    assert_eq!(claimed(&world, &room(0, 2, 0)).await, ["slow-0", "slow-1"], "it counts against its lane's room");
}
