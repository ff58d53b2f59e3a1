//! The outbox: what is told, in which order, and for how long.

use std::time::Duration;

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::rotation::{Event, Step};
use store::{ClockDoubt, OutboxEvent, Retention, StoreError};

use crate::world::{World, created, done, failed, rotate, token};

impl World {
    /// Everything published from here on.
    pub(crate) async fn events_from(&self, from: i64) -> Vec<OutboxEvent> {
        while self.store.publish().await.unwrap() > 0 {}
        self.store.events(from, 1000, None).await.unwrap().events
    }

    pub(crate) async fn events(&self) -> Vec<OutboxEvent> {
        self.events_from(1).await
    }

    /// Kinds of the events of one secret, in order.
    async fn kinds(&self, name: &str) -> Vec<String> {
        let events = self.events().await.into_iter().filter(|event| event.name == name);
        events.map(|event| event.kind).collect()
    }
}

pub(crate) async fn what_happens_is_told_in_the_order_of_each_secret(world: World) {
    let arn = world.create("a", "one").await.arn;
    world.create("b", "one").await;
    world.put("a", "a2", "two").await.unwrap();
    world.move_label("a", "BLUE", None, Some("a2")).await.unwrap();
    world.move_label("a", "BLUE", Some("a2"), None).await.unwrap();
    world.store.delete_secret_as("a", 7, Some("alice"), world.now()).await.unwrap();
    world.store.restore_secret_as("a", Some("bob"), world.now()).await.unwrap();
    assert_eq!(
        world.kinds("a").await,
        [
            "secret.created",
            "secret.version-created",
            "secret.label-updated",
            "secret.version-created",
            "secret.label-updated",
            "secret.label-updated",
            "secret.label-removed",
            "secret.deletion-scheduled",
            "secret.restored"
        ]
    );
    let events = world.events().await;
    let of_a: Vec<_> = events.iter().filter(|event| event.arn == arn).collect();
    assert_eq!(of_a.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    let moved = &of_a[4].facts;
    let names = (moved.label.as_deref(), moved.version_id.as_deref(), moved.previous_version_id.as_deref());
    assert_eq!(names, (Some("AWSCURRENT"), Some(token("a2").as_str()), Some(token("create-a").as_str())));
    let actors: Vec<_> = of_a.iter().filter_map(|event| event.facts.actor.as_deref()).collect();
    assert_eq!(actors[..5], ["tester"; 5]);
    assert_eq!(actors[7..], ["alice", "bob"]);
    let of_b = world.store.events(1, 1000, Some("b")).await.unwrap().events;
    assert!(!of_b.is_empty() && of_b.iter().all(|event| event.name == "b"));
}

// F108
pub(crate) async fn only_a_change_of_the_value_is_told_as_one(world: World) {
    world.create("s", "one").await;
    let before = world.events().await.len();
    let now = world.now();
    world.store.tag("s", &[store::Tag { key: "k".to_owned(), value: "v".to_owned() }], now).await.unwrap();
    let update = store::UpdateSecret { description: Some("other".to_owned()), ..crate::world::update("u") };
    world.store.update_secret("s", update, now).await.unwrap();
    world.store.put_policy("s", "{}", now).await.unwrap();
    // The same value under the same token is no change either.
    world.put("s", "create-s", "one").await.unwrap();
    world.get("s").await.unwrap();
    assert_eq!(world.events().await.len(), before, "nothing of the value changed");
    world.put("s", "v2", "two").await.unwrap();
    let told = world.events_from(i64::try_from(before).unwrap() + 1).await;
    let moved = told.iter().find(|event| event.kind == "secret.label-updated").unwrap();
    assert_eq!(moved.facts.version_id.as_deref(), Some(token("v2").as_str()));
}

pub(crate) async fn a_rotation_is_told_from_its_start_to_its_end(world: World) {
    world.create("s", "one").await;
    let first = world.store.next_offset().await.unwrap() + i64::try_from(world.events().await.len()).unwrap();
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    let told = world.events_from(first).await;
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["rotation.started", "secret.version-created", "rotation.succeeded", "secret.label-updated"],
        "AWSPENDING and AWSPREVIOUS are not told of"
    );
    assert!(told.iter().all(|event| event.facts.version_id.as_deref() == Some(token("r").as_str())), "{told:?}");
    assert!(told.iter().all(|event| event.facts.actor.as_deref() == Some("tester")), "{told:?}");

    world.create("p", "one").await;
    let lease = world.rotating("p", "r").await;
    world.sealed(&lease, "two").await;
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    let parked = world.events().await.into_iter().rfind(|event| event.kind == "rotation.failed").unwrap();
    assert_eq!(parked.facts.step.as_deref(), Some("setSecret"));
    // What the target said stays in the history.
    assert!(!format!("{parked:?}").contains("the target said no"), "{parked:?}");
}

// F15
pub(crate) async fn what_was_not_committed_is_not_told(world: World) {
    world.create("s", "one").await;
    let before = world.events().await;
    assert!(world.put("s", "create-s", "another").await.is_err(), "the token is in use");
    assert!(world.store.rotate("s", store::Rotate { serves: None, ..rotate("r") }, world.now()).await.is_err());
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    let open = world.store.rotate("s", rotate("other"), world.now()).await;
    assert!(matches!(open, Err(StoreError::RotationOpen)));
    let told = world.events().await;
    assert_eq!(told.iter().filter(|event| event.kind == "rotation.started").count(), 1);
    assert_eq!(told[..before.len()], before[..], "what was told stays as it was");
}

pub(crate) async fn an_event_outlives_its_secret(world: World) {
    let arn = world.create("s", "one").await.arn;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    world.create("later", "one").await;
    world.store.delete_secret("later", 7, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::days(8));
    world.store.purge(world.now()).await.unwrap();
    for name in ["s", "later"] {
        assert_eq!(world.kinds(name).await.last().map(String::as_str), Some("secret.deleted"), "{name}");
    }
    let again = world.create("s", "one").await.arn;
    assert_ne!(arn, again);
    let firsts = world.events().await.into_iter().filter(|event| event.arn == again && event.seq == 1);
    assert_eq!(firsts.count(), 1, "another secret of the same name has an order of its own");
}

pub(crate) async fn offsets_have_no_gaps_and_are_never_given_twice(world: World) {
    let writes = async |n: u32| {
        let name = format!("s{n}");
        world.create(&name, "one").await;
        for put in 0..5 {
            world.put(&name, &format!("v{put}"), &format!("value {put}")).await.unwrap();
            world.store.publish().await.unwrap();
        }
    };
    tokio::join!(writes(0), writes(1), writes(2), writes(3));
    let events = world.events().await;
    let offsets: Vec<_> = events.iter().map(|event| event.offset).collect();
    assert_eq!(offsets, (1..=i64::try_from(events.len()).unwrap()).collect::<Vec<_>>());
    for n in 0..4 {
        let of_it = events.iter().filter(|event| event.name == format!("s{n}"));
        let seqs: Vec<_> = of_it.map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=13).collect::<Vec<_>>(), "in the order in which it happened");
    }
    let mut ids: Vec<_> = events.iter().map(|event| &event.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
    let world = world.reopen().await;
    world.put("s0", "later", "value").await.unwrap();
    assert_eq!(world.events_from(offsets.len() as i64 + 1).await.len(), 2);
}

pub(crate) async fn old_events_go_in_small_steps_oldest_first(world: World) {
    world.create("s", "one").await;
    let keep = Retention { age: Duration::from_secs(3600), rows: 4 };
    world.events().await;
    assert_eq!(world.store.prune_events(&keep, world.now()).await.unwrap(), 0, "young and few");
    world.put("s", "v2", "two").await.unwrap();
    let all = world.events().await;
    assert_eq!(world.store.prune_events(&keep, world.now()).await.unwrap(), 1, "one more than may be");
    let page = world.store.events(1, 1000, None).await.unwrap();
    assert_eq!((page.events.len(), page.oldest, page.next), (4, 2, 6));
    assert_eq!(page.events[..], all[1..]);
    world.clock.pass(TimeDelta::hours(2));
    world.put("s", "v3", "three").await.unwrap();
    world.events().await;
    assert_eq!(world.store.prune_events(&keep, world.now()).await.unwrap(), 4, "what is too old");
    let page = world.store.events(1, 1000, None).await.unwrap();
    assert_eq!((page.events.len(), page.oldest), (2, 6));
    // The order within the secret goes on where it was.
    assert_eq!(page.events[0].seq, 6);
    world.clock.pass(TimeDelta::hours(2));
    assert_eq!(world.store.prune_events(&keep, world.now()).await.unwrap(), 2);
    let page = world.store.events(1, 1000, None).await.unwrap();
    assert_eq!((page.oldest, page.next), (8, 8), "where the next one will be");
}

pub(crate) async fn no_event_goes_while_the_clock_is_doubted(world: World) {
    world.create("s", "one").await;
    world.events().await;
    let keep = Retention { age: Duration::from_secs(3600), rows: 4 };
    world.clock.pass(TimeDelta::days(365));
    let doubt = ClockDoubt { since: world.now(), message: "it jumped".to_owned() };
    world.store.doubt_clock(Some(&doubt)).await.unwrap();
    assert_eq!(world.store.prune_events(&keep, world.now()).await.unwrap(), 0);
    world.store.doubt_clock(None).await.unwrap();
    assert!(world.store.prune_events(&keep, world.now()).await.unwrap() > 0, "it was right after all");
}

// F130
pub(crate) async fn no_event_has_a_value(world: World) {
    world.create("s", "canary-one").await;
    world.put("s", "v2", "canary-two").await.unwrap();
    let lease = world.rotating("s", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, created("canary-three")).await.unwrap();
    for step in [Step::Set, Step::Test, Step::Finish] {
        world.apply(&lease, done(step)).await.unwrap();
    }
    let told = format!("{:?}", world.events().await);
    assert!(told.contains("rotation.succeeded") && !told.contains("canary"), "{told}");
}

// F110
pub(crate) async fn who_waits_is_told_what_can_be_read(world: World) {
    world.create("s", "value 0").await;
    let reading = async {
        let mut known = world.store.current_version("s").await.unwrap();
        for _ in 0..20 {
            let happened = world.store.happened();
            loop {
                let wake = happened.notified();
                tokio::pin!(wake);
                wake.as_mut().enable();
                let current = world.store.current_version("s").await.unwrap();
                if current != known {
                    known = current;
                    break;
                }
                wake.await;
            }
            let read = world.get("s").await.unwrap();
            let told = known.clone().unwrap();
            let told: u32 = told.as_str().trim_end_matches('.').trim_start_matches('v').parse().unwrap();
            let value: u32 = crate::world::shown(&read).trim_start_matches("value ").parse().unwrap();
            assert!(value >= told, "told of {told}, read {value}");
            if told == 20 {
                return;
            }
        }
    };
    let writing = async {
        for n in 1..=20 {
            world.put("s", &format!("v{n}"), &format!("value {n}")).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(reading, writing);
    assert!(!world.store.waits_end());
    world.store.end_waits();
    assert!(world.store.waits_end());
    assert!(matches!(world.store.current_version("none").await, Err(StoreError::SecretNotFound)));
}
