//! The queue: what is due when, and what never is.

use chrono::{DateTime, TimeDelta};
use engine::Time;
use engine::outcome::Verdict;
use engine::port::RotationStore;
use engine::rotation::{Event, Rotation, Step};
use engine::schedule::pick;
use store::{Room, RotationCounts};

use crate::world::{World, failed, on_schedule, rotate, rules, start, token};

fn at(text: &str) -> Time {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn requested(world: &World, of: &str) -> Event {
    Event::Requested { token: token(of), by: "schedule".to_owned(), window_ends: world.now() + TimeDelta::hours(1) }
}

// F36
pub(crate) async fn a_scheduled_rotation_is_claimed_at_its_planned_moment_and_not_before(world: World) {
    let arn = world.create("s", "one").await.arn;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    let window = view.window.unwrap();
    assert_eq!((window.opens, window.closes), (at("2026-03-20T00:00:00Z"), at("2026-03-21T00:00:00Z")));
    assert_eq!(view.next_rotation, Some(at("2026-03-20T23:59:59Z")));
    assert_eq!(view.due, Some(pick(&arn, &window)));
    assert_eq!(world.store.describe("s").await.unwrap().next_rotation, view.next_rotation);
    let due = view.due.unwrap();
    world.clock.set(due - TimeDelta::milliseconds(1));
    assert!(world.claims().await.is_empty());
    world.clock.set(due);
    let claims = world.claims().await;
    assert_eq!((claims.len(), claims[0].window, claims[0].rotation.clone()), (1, Some(window), Rotation::Idle));
    let lease = claims[0].lease.clone();
    world.apply(&lease, requested(&world, "r")).await.unwrap();
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    let next = world.store.rotation("s").await.unwrap().window.unwrap();
    assert_eq!(next.opens, at("2026-03-30T00:00:00Z"));
    assert!(world.claims().await.is_empty());
}

pub(crate) async fn what_is_claimed_is_due_to_the_nanosecond(world: World) {
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    // A delay that is no whole number of milliseconds, as the store keeps them.
    world.store.apply(&lease, failed(Step::Set, Verdict::Retry), 0.123_456_7).await.unwrap();
    world.store.release(&lease).await.unwrap();
    let Rotation::Waiting { not_before, .. } = world.state("s").await else {
        panic!("it waits");
    };
    assert_ne!(not_before.timestamp_subsec_nanos() % 1_000_000, 0);
    world.clock.set(not_before - TimeDelta::nanoseconds(1));
    assert!(world.claims().await.is_empty());
    world.clock.set(world.next_due().await.unwrap());
    assert!(world.now() - not_before < TimeDelta::milliseconds(1));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Set));
}

// F29
pub(crate) async fn next_due_is_the_earliest_moment_and_counts_leases(world: World) {
    assert_eq!(world.next_due().await, None);
    for (name, expression) in [("a", "rate(10 days)"), ("b", "rate(4 hours)"), ("c", "rate(5 days)")] {
        world.create(name, "one").await;
        world.store.rotate(name, on_schedule("c", expression), world.now()).await.unwrap();
    }
    let due = world.store.rotation("b").await.unwrap().due;
    assert_eq!(world.next_due().await, due);
    world.clock.set(due.unwrap());
    world.claim().await;
    // Leased: something can be found again when the lease ends, if nobody gives it back before.
    assert_eq!(world.next_due().await, Some(world.now() + TimeDelta::seconds(15)));
    world.clock.pass(TimeDelta::seconds(15));
    assert_eq!(world.next_due().await, Some(world.now()));
    world.claim().await;
}

// F45
pub(crate) async fn a_manual_write_starts_the_interval_again(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(2));
    world.put("s", "v2", "two").await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    assert_eq!(view.window.unwrap().opens, at("2026-03-22T00:00:00Z"));
    assert_eq!(view.rotated, None);
    // A write that leaves AWSCURRENT alone does not.
    world.clock.pass(TimeDelta::days(2));
    world.put_with("s", "v3", "three", &["CUSTOM"]).await.unwrap();
    assert_eq!(world.store.rotation("s").await.unwrap().window, view.window);
}

// F34
pub(crate) async fn an_edit_of_the_schedule_makes_nothing_due_at_once(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(100 days)"), world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(50));
    // Counted from the last rotation this interval has long passed.
    world.store.rotate("s", on_schedule("d", "rate(3 days)"), world.now()).await.unwrap();
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.window.unwrap().opens > world.now());
    assert!(view.window.unwrap().opens <= world.now() + TimeDelta::days(3));
    assert!(world.claims().await.is_empty());
    // The same rules once more leave the plan alone, even with its window open.
    world.clock.set(view.window.unwrap().opens);
    let due = world.store.rotation("s").await.unwrap().due;
    world.store.rotate("s", on_schedule("e", "rate(3 days)"), world.now()).await.unwrap();
    assert_eq!(world.store.rotation("s").await.unwrap().due, due);
}

// F40, F42
pub(crate) async fn a_missed_window_runs_late_and_spread(world: World) {
    for n in 0..20 {
        let name = format!("s{n}");
        world.create(&name, "one").await;
        world.store.rotate(&name, on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    }
    world.create("later", "one").await;
    world.store.rotate("later", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let window = world.store.rotation("s0").await.unwrap().window;
    world.clock.pass(TimeDelta::days(3));
    let world = world.reopen().await;
    assert_eq!(world.store.spread_overdue(world.now()).await.unwrap(), 20);
    let mut moments = Vec::new();
    for n in 0..20 {
        let view = world.store.rotation(&format!("s{n}")).await.unwrap();
        moments.push(view.due.unwrap());
        assert_eq!(view.window, window, "what was missed is still told");
    }
    assert!(moments.iter().all(|due| *due >= world.now() && *due < world.now() + TimeDelta::minutes(10)));
    moments.sort();
    moments.dedup();
    assert!(moments.len() > 10, "spread over the minutes, not all at once");
    assert_eq!(world.store.history("s0", 1).await.unwrap()[0].kind, "missed-window");
    world.clock.pass(TimeDelta::minutes(10));
    let claims = world.store.claim("tester", &Room::everywhere(100), world.now()).await.unwrap();
    assert_eq!(claims.len(), 20);
    assert!(claims.iter().all(|claim| claim.window == window));
}

// F40
pub(crate) async fn a_spread_moment_survives_another_restart(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(3));
    let world = world.reopen().await;
    world.store.spread_overdue(world.now()).await.unwrap();
    let due = world.store.rotation("s").await.unwrap().due;
    world.clock.set(due.unwrap());
    let world = world.reopen().await;
    assert_eq!(world.store.spread_overdue(world.now()).await.unwrap(), 0, "restarts put it off once, not for ever");
    assert_eq!(world.claims().await.len(), 1);
}

pub(crate) async fn a_rotation_that_closed_does_not_start_again_in_its_window(world: World) {
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    world.clock.set(world.next_due().await.unwrap());
    let lease = world.claim().await;
    world.apply(&lease, requested(&world, "r")).await.unwrap();
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    world.store.release(&lease).await.unwrap();
    assert!(world.claims().await.is_empty());
    let next = world.store.rotation("s").await.unwrap();
    assert_eq!(next.window.unwrap().opens, at("2026-03-30T00:00:00Z"));
}

// F46
pub(crate) async fn parked_paused_disabled_and_deleted_ones_are_never_due(world: World) {
    for name in ["parked", "paused", "disabled", "deleted"] {
        world.create(name, "one").await;
        world.store.rotate(name, on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    }
    world.store.rotate("parked", rotate("r"), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    world.store.pause_rotation("paused", "tester", world.now()).await.unwrap();
    world.store.cancel_rotation("disabled", "tester", world.now()).await.unwrap();
    world.store.delete_secret("deleted", 30, world.now()).await.unwrap();
    assert_eq!(world.next_due().await, None);
    world.clock.pass(TimeDelta::days(5));
    assert!(world.claims().await.is_empty());
    for name in ["parked", "paused", "disabled", "deleted"] {
        assert_eq!(world.store.rotation(name).await.unwrap().due, None, "{name}");
    }
}

pub(crate) async fn counts_tell_what_is_scheduled_due_overdue_parked_and_open(world: World) {
    assert_eq!(world.store.rotation_counts(world.now()).await.unwrap(), RotationCounts::default());
    for name in ["a", "b", "c", "d"] {
        world.create(name, "one").await;
    }
    world.clock.pass(TimeDelta::hours(1));
    world.store.rotate("a", on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    world.store.rotate("b", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    world.store.rotate("c", rotate("r"), world.now()).await.unwrap();
    let counts = world.store.rotation_counts(world.now()).await.unwrap();
    let expected = RotationCounts {
        enabled: 3,
        scheduled: 2,
        due: 1,
        drifted: 0,
        overdue: 0,
        parked: 0,
        open: 1,
        oldest_current_seconds: Some(3600),
    };
    assert_eq!(counts, expected);
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    world.clock.set(start() + TimeDelta::days(1));
    let counts = world.store.rotation_counts(world.now()).await.unwrap();
    let expected = RotationCounts { due: 1, overdue: 1, parked: 1, oldest_current_seconds: Some(86_400), ..expected };
    assert_eq!(counts, expected);
}

pub(crate) async fn the_scheduler_is_told_when_something_becomes_due(world: World) {
    let changed = world.store.changed();
    let told = async || {
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), changed.notified()).await;
        waited.is_ok()
    };
    world.create("s", "one").await;
    assert!(!told().await);
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    assert!(told().await);
    let lease = world.claim().await;
    assert!(!told().await, "claiming makes nothing due");
    world.store.release(&lease).await.unwrap();
    assert!(told().await);
    let mut config = rotate("c");
    config.rules = Some(rules("rate(4 hours)"));
    world.create("t", "one").await;
    world.store.rotate("t", config, world.now()).await.unwrap();
    assert!(told().await);
    world.put("s", "mine", "two").await.unwrap();
    assert!(told().await, "giving up is due at once");
}
