//! What is passed over: hosts with as many rotations as they may have, hosts that are not reached, a budget that is spent,
//! a pause of everything, blackouts. And what is not.

use std::collections::HashMap;

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::port::RotationStore;
use engine::rotation::{Event, Rotation, Step};
use engine::settings::{Change, Said};
use store::{Claim, LimitsChange, Reach, Room, Rotate, Start, StoreError, Turned};

use crate::world::{World, done, failed, on_schedule, rotate, token};

/// A value for an account of its own at this host.
fn value(host: &str, user: &str) -> String {
    format!(r#"{{"engine":"postgres","host":"{host}","username":"{user}","password":"p"}}"#)
}

/// Secrets at a host, scheduled every four hours.
async fn scheduled(world: &World, host: &str, count: u32) {
    for n in 0..count {
        let name = format!("{host}-{n}");
        world.create(&name, &value(host, &name)).await;
        world.store.rotate(&name, on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    }
}

/// Lets the windows of all of them close.
async fn all_due(world: &World) {
    world.clock.pass(TimeDelta::hours(5));
    // Nothing was down: they are due in their windows, so to speak.
    assert!(world.next_due().await.unwrap() <= world.now());
}

async fn limit(world: &World, change: LimitsChange) {
    world.store.set_limits(change).await.unwrap();
}

async fn claims(world: &World) -> Vec<Claim> {
    world.store.claim("tester", &Room::everywhere(50), world.now()).await.unwrap()
}

fn at(claims: &[Claim], host: &str) -> usize {
    claims.iter().filter(|claim| claim.name.starts_with(host)).count()
}

async fn next(world: &World) -> Option<engine::Time> {
    world.store.next_due(&Room::everywhere(50)).await.unwrap()
}

/// This claim's rotation begins, and its host is not reached.
async fn not_reached(world: &World, claim: &Claim) -> Option<Turned> {
    if claim.rotation == Rotation::Idle {
        let ends = world.now() + TimeDelta::hours(1);
        let of = format!("r{}", claim.lease.fence);
        let event = Event::Requested { token: token(&of), by: "schedule".to_owned(), window_ends: ends };
        world.apply(&claim.lease, event).await.unwrap();
    }
    world.apply(&claim.lease, Event::Leased).await.unwrap();
    let Rotation::Acting { step, .. } = world.state(&claim.name).await else { panic!("it acts") };
    world.apply(&claim.lease, failed(step, Verdict::Retry)).await.unwrap();
    world.store.release(&claim.lease).await.unwrap();
    let reach = Reach::Failed("nothing listens there".to_owned());
    world.store.reached(&claim.target, claim.lease.secret, &reach, world.now()).await.unwrap()
}

// F24
pub(crate) async fn a_host_has_so_many_rotations_at_once_and_the_others_go_on(world: World) {
    scheduled(&world, "slow", 9).await;
    scheduled(&world, "well", 3).await;
    all_due(&world).await;
    limit(&world, LimitsChange { per_target: Some(2), ..LimitsChange::default() }).await;
    let first = claims(&world).await;
    assert_eq!((at(&first, "slow"), at(&first, "well")), (2, 2), "{first:?}");
    assert!(first.iter().all(|claim| claim.target == format!("{}:5432", &claim.name[..4])), "{first:?}");
    assert!(claims(&world).await.is_empty(), "both hosts are full, on whatever node somebody asks");
    // Nobody wakes up for what cannot begin.
    let waits = next(&world).await.unwrap() - world.now();
    assert!(waits >= TimeDelta::seconds(15), "{waits}: the next thing is the end of a lease");
    let waits = (0..3).map(|n| format!("well-{n}")).find(|name| first.iter().all(|claim| claim.name != *name)).unwrap();
    let view = world.store.rotation(&waits).await.unwrap();
    assert!(view.waits_for.is_some_and(|why| why.contains("well:5432")));
    let one = first.iter().find(|claim| claim.name.starts_with("slow")).unwrap();
    world.store.release(&one.lease).await.unwrap();
    assert!(next(&world).await.unwrap() <= world.now(), "there is room again");
    assert_eq!(at(&claims(&world).await, "slow"), 1);
    limit(&world, LimitsChange { per_target: Some(0), ..LimitsChange::default() }).await;
    let rest = claims(&world).await;
    assert_eq!((at(&rest, "slow"), at(&rest, "well")), (7, 1), "0 is no limit, and nothing that waited is lost");
}

pub(crate) async fn however_much_comes_due_together_is_claimed_together_each_at_its_host(world: World) {
    let none = LimitsChange { per_target: Some(0), starts_a_minute: Some(0), ..LimitsChange::default() };
    limit(&world, none).await;
    scheduled(&world, "here", 150).await;
    let mut due = HashMap::new();
    for n in 0..150 {
        let name = format!("here-{n}");
        due.insert(name.clone(), world.store.rotation(&name).await.unwrap().due.unwrap());
    }
    all_due(&world).await;
    let claims = world.store.claim("tester", &Room::everywhere(200), world.now()).await.unwrap();
    assert_eq!(claims.len(), 150);
    assert!(claims.iter().all(|claim| claim.target == "here:5432" && claim.lease.fence == 1), "{claims:?}");
    assert!(claims.is_sorted_by_key(|claim| due[&claim.name]), "what has been due longest is first");
    // A new value may be of another host, which is known from then on too.
    for claim in &claims {
        world.store.release(&claim.lease).await.unwrap();
    }
    world.put("here-7", "moved", &value("there", "here-7")).await.unwrap();
    all_due(&world).await;
    let claims = world.store.claim("tester", &Room::everywhere(200), world.now()).await.unwrap();
    let moved: Vec<_> =
        claims.iter().filter(|claim| claim.target == "there:5432").map(|claim| claim.name.as_str()).collect();
    assert_eq!((claims.len(), moved), (150, vec!["here-7"]));
}

pub(crate) async fn what_waits_for_its_host_is_not_lost_by_a_change_of_it(world: World) {
    scheduled(&world, "slow", 3).await;
    all_due(&world).await;
    limit(&world, LimitsChange { per_target: Some(1), ..LimitsChange::default() }).await;
    let first = claims(&world).await;
    assert_eq!(first.len(), 1);
    let waits = (0..3).map(|n| format!("slow-{n}")).find(|name| *name != first[0].name).unwrap();
    // It is another host's from now on, and due by command: a manual write would plan it anew.
    world.put(&waits, "moved", &value("other", &waits)).await.unwrap();
    world.store.rotate(&waits, rotate("now"), world.now()).await.unwrap();
    let found = claims(&world).await;
    assert_eq!(found.iter().map(|claim| claim.target.as_str()).collect::<Vec<_>>(), ["other:5432"]);
}

pub(crate) async fn a_lease_of_the_dead_takes_no_place_for_ever(world: World) {
    scheduled(&world, "slow", 3).await;
    all_due(&world).await;
    limit(&world, LimitsChange { per_target: Some(1), ..LimitsChange::default() }).await;
    assert_eq!(claims(&world).await.len(), 1);
    world.clock.pass(TimeDelta::seconds(15));
    assert_eq!(claims(&world).await.len(), 2, "the one whose lease ended is resumed, and leaves its place to another");
}

// F54, F55
pub(crate) async fn a_host_that_is_not_reached_is_left_alone_but_for_a_probe_now_and_then(world: World) {
    scheduled(&world, "dead", 40).await;
    scheduled(&world, "well", 2).await;
    all_due(&world).await;
    limit(&world, LimitsChange { failures: Some(5), ..LimitsChange::default() }).await;
    let mut turned = vec![];
    let mut tried = 0;
    let first = claims(&world).await;
    assert_eq!((at(&first, "dead"), at(&first, "well")), (4, 2), "nobody waits for the dead host");
    for claim in of_dead(first) {
        tried += 1;
        turned.extend(not_reached(&world, &claim).await);
    }
    while turned.is_empty() {
        world.clock.pass(TimeDelta::seconds(1));
        for claim in of_dead(claims(&world).await) {
            tried += 1;
            turned.extend(not_reached(&world, &claim).await);
        }
        assert!(tried < 12, "five failures are enough");
    }
    assert_eq!(turned, [Turned::Away { failures: turned_after(&turned) }], "one alert");
    assert!(of_dead(claims(&world).await).is_empty(), "the others wait");
    let away = world.store.unreachable().await.unwrap();
    assert_eq!((away.len(), away[0].target.as_str()), (1, "dead:5432"));
    assert!(away[0].waiting >= 30 && away[0].message.contains("nothing listens"), "{away:?}");
    // One probe an interval, ever more seldom, and nobody fails meanwhile.
    let mut probes = vec![];
    for _ in 0..120 {
        world.clock.pass(TimeDelta::seconds(1));
        for claim in of_dead(claims(&world).await) {
            probes.push(claim.name.clone());
            assert_eq!(not_reached(&world, &claim).await, None, "no second alert");
        }
    }
    assert!((3..=6).contains(&probes.len()), "{probes:?}");
    let untouched = world.state("dead-39").await;
    assert!(untouched == Rotation::Idle || probes.contains(&"dead-39".to_owned()), "{untouched:?}");
    // It is back: one reaches it, and all go on.
    world.clock.pass(TimeDelta::seconds(60));
    let probe = of_dead(claims(&world).await);
    assert_eq!(probe.len(), 1);
    let back = world.store.reached("dead:5432", probe[0].lease.secret, &Reach::Answered, world.now()).await.unwrap();
    assert!(matches!(back, Some(Turned::Back { .. })));
    assert_eq!(of_dead(claims(&world).await).len(), 3, "as many as its limit leaves beside the probe");
    let told = world.store.history(&probe[0].name, 5).await.unwrap();
    assert!(told.iter().any(|line| line.kind == "target-back"), "{told:?}");
    assert_eq!(
        kinds_told(&world, "target.").await,
        ["target.unreachable", "target.reachable"],
        "once for all its secrets"
    );
}

/// The kinds of events that begin so, oldest first.
async fn kinds_told(world: &World, begins: &str) -> Vec<String> {
    let events = world.events().await;
    events.into_iter().map(|event| event.kind).filter(|kind| kind.starts_with(begins)).collect()
}

fn of_dead(claims: Vec<Claim>) -> Vec<Claim> {
    claims.into_iter().filter(|claim| claim.target == "dead:5432").collect()
}

fn turned_after(turned: &[Turned]) -> i64 {
    match turned {
        [Turned::Away { failures }] if *failures >= 5 => *failures,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn one_success_among_failures_keeps_a_host_open(world: World) {
    scheduled(&world, "flaky", 1).await;
    all_due(&world).await;
    let claim = claims(&world).await.remove(0);
    let id = claim.lease.secret;
    for reach in [4, 4, 4].map(|n| std::iter::repeat_n(Reach::Failed("x".to_owned()), n)) {
        for reach in reach {
            assert_eq!(world.store.reached("flaky:5432", id, &reach, world.now()).await.unwrap(), None);
        }
        assert_eq!(world.store.reached("flaky:5432", id, &Reach::Answered, world.now()).await.unwrap(), None);
    }
    assert!(world.store.unreachable().await.unwrap().is_empty());
}

// F40
pub(crate) async fn the_budget_counts_what_begins_by_schedule_and_nothing_else(world: World) {
    for n in 0..30 {
        scheduled(&world, &format!("h{n}"), 1).await;
    }
    all_due(&world).await;
    limit(&world, LimitsChange { starts_a_minute: Some(60), ..LimitsChange::default() }).await;
    let first = claims(&world).await;
    assert_eq!(first.len(), 10, "a sixth of a minute's budget at once");
    assert!(claims(&world).await.is_empty());
    assert_eq!(next(&world).await, Some(world.now() + TimeDelta::seconds(1)));
    // What is open is resumed at once, and what a person asks for begins at once.
    not_reached(&world, &first[0]).await;
    let waits = |name: &String| first.iter().all(|claim| claim.name != *name);
    let asked = (0..30).map(|n| format!("h{n}-0")).find(waits).unwrap();
    world.store.rotate(&asked, rotate("now"), world.now()).await.unwrap();
    world.clock.pass(TimeDelta::milliseconds(999));
    assert_eq!(claims(&world).await.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), [asked.as_str()]);
    world.clock.pass(TimeDelta::milliseconds(3001));
    let more = claims(&world).await;
    assert_eq!(more.iter().filter(|claim| claim.rotation == Rotation::Idle).count(), 4, "{more:?}");
    assert_eq!(more[0].name, first[0].name, "what is open comes first");
}

pub(crate) async fn a_pause_of_everything_lets_what_is_open_end_and_starts_nothing(world: World) {
    scheduled(&world, "a", 3).await;
    world.create("open", &value("b", "open")).await;
    let lease = world.rotating("open", "r").await;
    world.sealed(&lease, &value("b", "open")).await;
    all_due(&world).await;
    let paused = world.store.pause_all("the freeze", "ops", world.now()).await.unwrap().paused.unwrap();
    assert_eq!((paused.by.as_str(), paused.reason.as_str()), ("ops", "the freeze"));
    let again = world.store.pause_all("another", "other", world.now()).await.unwrap().paused.unwrap();
    assert_eq!(again, paused, "who paused first stays");
    let world = world.reopen().await;
    // The lease of the process before is over when the store has been open for so long.
    world.clock.pass(TimeDelta::seconds(15));
    let resumed = claims(&world).await;
    assert_eq!(resumed.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["open"]);
    world.apply(&resumed[0].lease, Event::Leased).await.unwrap();
    world.finish(&resumed[0].lease).await;
    assert!(claims(&world).await.is_empty());
    assert_eq!(next(&world).await, None, "nobody wakes up for what may not start");
    let refused = world.store.rotate("open", rotate("more"), world.now()).await;
    assert!(matches!(&refused, Err(StoreError::AllPaused { by, .. }) if by == "ops"), "{refused:?}");
    let anyway = Rotate { start: Start::RotateAnyway, ..rotate("more") };
    assert!(matches!(world.store.rotate("open", anyway, world.now()).await, Err(StoreError::AllPaused { .. })));
    let why = world.store.rotation("a-0").await.unwrap().waits_for.unwrap();
    assert!(why.contains("ops") && why.contains("the freeze"), "{why}");
    // What was due runs late, spread, and says so.
    assert_eq!(world.store.resume_all("other", world.now()).await.unwrap(), Some(3));
    assert_eq!(world.store.resume_all("ops", world.now()).await.unwrap(), None);
    let told = world.store.history("a-0", 1).await.unwrap();
    assert_eq!(told[0].kind, "missed-window", "{told:?}");
    assert_eq!(kinds_told(&world, "server.").await, ["server.paused", "server.resumed"], "once each");
    let resumed = world.events().await.into_iter().find(|event| event.kind == "server.resumed").unwrap();
    assert_eq!(resumed.facts.actor.as_deref(), Some("other"));
    world.clock.pass(TimeDelta::minutes(13));
    assert_eq!(claims(&world).await.len(), 3);
}

pub(crate) async fn a_plan_that_was_claimed_before_the_pause_starts_nothing_after_it(world: World) {
    scheduled(&world, "a", 1).await;
    all_due(&world).await;
    let claim = claims(&world).await.remove(0);
    world.store.pause_all("now", "ops", world.now()).await.unwrap();
    let ends = world.now() + TimeDelta::hours(1);
    let event = Event::Requested { token: token("r"), by: "schedule".to_owned(), window_ends: ends };
    assert!(world.store.apply(&claim.lease, event, 0.0).await.is_err());
    assert_eq!(world.state("a-0").await, Rotation::Idle);
}

pub(crate) async fn nothing_starts_by_schedule_in_a_blackout_and_what_was_due_runs_after_it(world: World) {
    scheduled(&world, "a", 2).await;
    all_due(&world).await;
    let (from, to) = (world.now() - TimeDelta::hours(1), world.now() + TimeDelta::hours(20));
    let freeze = format!("{}/{}", from.format("%Y-%m-%dT%H:%M:%SZ"), to.format("%Y-%m-%dT%H:%M:%SZ"));
    limit(&world, LimitsChange { blackouts: Some(freeze.parse().unwrap()), ..LimitsChange::default() }).await;
    assert!(claims(&world).await.is_empty());
    let view = world.store.rotation("a-0").await.unwrap();
    let due = view.due.unwrap();
    assert!(due >= to && due <= to + TimeDelta::minutes(12) + TimeDelta::seconds(1), "{due}");
    assert_eq!(next(&world).await.unwrap().max(to), next(&world).await.unwrap(), "nobody wakes up before");
    let told = world.store.history("a-0", 1).await.unwrap();
    assert_eq!(told[0].kind, "put-off");
    // A person who insists is heard; one who does not is told.
    let refused = world.store.rotate("a-0", rotate("now"), world.now()).await;
    assert!(matches!(&refused, Err(StoreError::Blackout { ends }) if *ends == to), "{refused:?}");
    assert_eq!(world.state("a-0").await, Rotation::Idle);
    let anyway = Rotate { start: Start::RotateAnyway, ..rotate("now") };
    world.store.rotate("a-0", anyway, world.now()).await.unwrap();
    assert_eq!(claims(&world).await.len(), 1, "what is open goes on in a blackout");
    world.clock.set(to + TimeDelta::minutes(13));
    assert_eq!(at(&claims(&world).await, "a-1"), 1);
}

pub(crate) async fn a_secret_has_blackouts_of_its_own_by_tag_or_setting(world: World) {
    scheduled(&world, "a", 2).await;
    all_due(&world).await;
    let to = world.now() + TimeDelta::hours(2);
    let freeze = format!("2026-03-10T00:00/{}", to.format("%Y-%m-%dT%H:%M:%SZ"));
    let tag = store::Tag { key: "pawl:blackout".to_owned(), value: freeze.clone() };
    world.store.tag("a-0", &[tag], world.now()).await.unwrap();
    assert_eq!(world.store.rotation("a-0").await.unwrap().options.blackouts.to_string(), freeze);
    assert_eq!(claims(&world).await.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["a-1"]);
    let world = world.reopen().await;
    assert_eq!(world.store.rotation("a-0").await.unwrap().blackouts.texts(), std::slice::from_ref(&freeze));
    let none = Change { blackouts: Some(Said::Default), ..Change::default() };
    let request = Rotate { options: Some(none), start: Start::Wait, ..rotate("c2") };
    world.store.rotate("a-0", request, world.now()).await.unwrap();
    let tags = world.store.describe("a-0").await.unwrap().tags.unwrap_or_default();
    assert!(tags.is_empty(), "the tag is a view of the setting: {tags:?}");
}

// F43
pub(crate) async fn a_rotation_that_would_run_into_a_blackout_does_not_start(world: World) {
    scheduled(&world, "a", 1).await;
    all_due(&world).await;
    // The last one took twenty minutes of work.
    let claim = claims(&world).await.remove(0);
    let ends = world.now() + TimeDelta::hours(1);
    let event = Event::Requested { token: token("r"), by: "schedule".to_owned(), window_ends: ends };
    world.apply(&claim.lease, event).await.unwrap();
    world.sealed(&claim.lease, &value("a", "a-0")).await;
    world.apply(&claim.lease, done(Step::Set)).await.unwrap();
    for _ in 0..120 {
        world.clock.pass(TimeDelta::seconds(10));
        world.store.renew(&claim.lease, std::time::Duration::ZERO).await.unwrap();
    }
    world.apply(&claim.lease, done(Step::Test)).await.unwrap();
    world.apply(&claim.lease, done(Step::Finish)).await.unwrap();
    world.store.release(&claim.lease).await.unwrap();
    let view = world.store.rotation("a-0").await.unwrap();
    assert_eq!(view.took, Some(TimeDelta::minutes(20)));
    let (due, window) = (view.due.unwrap(), view.window.unwrap());
    assert!(due + TimeDelta::minutes(20) <= window.closes, "it is planned so that it is done when the window closes");
    let from = due + TimeDelta::minutes(10);
    let to = from + TimeDelta::hours(1);
    let freeze = format!("{}/{}", from.format("%Y-%m-%dT%H:%M:%SZ"), to.format("%Y-%m-%dT%H:%M:%SZ"));
    limit(&world, LimitsChange { blackouts: Some(freeze.parse().unwrap()), ..LimitsChange::default() }).await;
    world.clock.set(due);
    assert!(claims(&world).await.is_empty(), "ten minutes are left, and it takes twenty");
    assert!(world.store.rotation("a-0").await.unwrap().due.unwrap() >= to);
}

pub(crate) async fn limits_and_what_is_paused_are_of_the_store(world: World) {
    let change = LimitsChange {
        per_target: Some(7),
        starts_a_minute: Some(0),
        failures: Some(0),
        blackouts: Some("cron(0 18 ? * FRI *)/60h Europe/Berlin".parse().unwrap()),
    };
    let set = world.store.set_limits(change).await.unwrap();
    let world = world.reopen().await;
    assert_eq!(world.store.fleet().await.unwrap(), set);
    let less = LimitsChange { per_target: Some(1), ..LimitsChange::default() };
    assert_eq!(world.store.set_limits(less).await.unwrap().limits.starts_a_minute, 0, "what is not said stays");
}

// F36
pub(crate) async fn when_the_clock_is_set_what_waits_goes_on_waiting_as_long_as_it_would_have(world: World) {
    world.create("s", &value("a", "s")).await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, &value("a", "s")).await;
    world.apply(&lease, failed(Step::Set, Verdict::Retry)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    let Rotation::Waiting { not_before, .. } = world.state("s").await else { panic!("it waits") };
    // The clock is an hour slow from now on.
    let hour = TimeDelta::hours(-1);
    world.store.move_waits(hour, world.now() + hour).await.unwrap();
    let Rotation::Waiting { not_before: moved, .. } = world.state("s").await else { panic!("it waits") };
    assert_eq!(moved, not_before + hour);
    assert!(world.store.rotation("s").await.unwrap().due.unwrap() >= moved);
}

pub(crate) async fn the_clock_is_remembered_and_a_doubt_of_it_is_told_until_somebody_accepts_it(world: World) {
    assert_eq!(world.store.last_seen().await.unwrap(), None);
    world.store.note_clock(world.now()).await.unwrap();
    let seen = world.store.last_seen().await.unwrap().unwrap();
    assert_eq!((seen.at, seen.boot.as_str(), seen.since_boot.as_secs()), (world.now(), "boot-1", 1000));
    let doubt = store::ClockDoubt { since: world.now(), message: "it jumped".to_owned() };
    world.store.doubt_clock(Some(&doubt)).await.unwrap();
    let before = world.store.fleet().await.unwrap();
    assert_eq!(before.clock.as_ref(), Some(&doubt));
    let after = world.store.accept_clock(world.now() + TimeDelta::days(1)).await.unwrap();
    assert_eq!((after.clock, after.accepted), (None, before.accepted + 1));
    world.store.doubt_clock(None).await.unwrap();
    assert_eq!(kinds_told(&world, "server.").await, ["server.clock-doubted", "server.clock-trusted"]);
    let seen = world.store.last_seen().await.unwrap().unwrap();
    assert_eq!(seen.at, world.now() + TimeDelta::days(1), "the next start compares with what was accepted");
}

// F39
pub(crate) async fn a_node_that_doubts_its_clock_resumes_and_starts_nothing(world: World) {
    scheduled(&world, "a", 2).await;
    world.create("open", &value("b", "open")).await;
    all_due(&world).await;
    world.store.rotate("open", rotate("r"), world.now()).await.unwrap();
    let room = Room { resumes_only: true, ..Room::everywhere(9) };
    let found = world.store.claim("tester", &room, world.now()).await.unwrap();
    assert_eq!(found.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["open"]);
    let next = world.store.next_due(&room).await.unwrap().unwrap();
    assert!(next > world.now(), "nobody wakes up for what may not start");
    assert_eq!(claims(&world).await.len(), 2);
}
