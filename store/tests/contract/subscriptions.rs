//! Subscriptions: who is told of what, how often, and what comes of what is not taken.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::subscription::{Filter, Format, Settings, Subscription};
use store::{Delivered, Errand, Retention, Since, StoreError};

use crate::world::{LEASE, World};

/// After so long an event that is not taken is given up.
const GIVE_UP: TimeDelta = TimeDelta::hours(1);

fn settings() -> Settings {
    Settings {
        url: "https://hook.example/events".to_owned(),
        format: Format::CloudEvents,
        // The first value of a secret, and every other one.
        filter: Filter { labels: vec!["AWSCURRENT".to_owned()], ..Filter::default() },
        give_up_after: GIVE_UP.num_seconds().unsigned_abs(),
        ca: None,
    }
}

fn failed() -> Delivered {
    Delivered::Failed("hook.example answered 500.".to_owned())
}

impl World {
    async fn subscribe(&self, name: &str) {
        self.store.subscribe(name, &settings(), false, "tester", self.now()).await.unwrap();
    }

    async fn subscription(&self, name: &str) -> Arc<Subscription> {
        Arc::new(self.store.subscription(name).await.unwrap())
    }

    /// What is to be sent now, at most so much.
    async fn errands(&self, name: &str, room: u32) -> Vec<Errand> {
        while self.store.publish().await.unwrap() > 0 {}
        while self.store.fan_out(name, self.now()).await.unwrap() {}
        let subscription = self.subscription(name).await;
        self.store.claim_errands(&subscription, room, self.now()).await.unwrap()
    }

    async fn settle(&self, errand: Errand, how: &Delivered) -> Option<Errand> {
        self.store.settle(errand, how, true, self.now()).await.unwrap()
    }

    /// Takes everything that is to be sent now; says of which secret, and which of its events.
    async fn taken(&self, name: &str) -> Vec<(String, i64)> {
        let mut taken = vec![];
        loop {
            let errands = self.errands(name, 10).await;
            if errands.is_empty() {
                return taken;
            }
            for errand in errands {
                let mut next = Some(errand);
                while let Some(errand) = next {
                    taken.push((errand.event.name.clone(), errand.event.seq));
                    next = self.settle(errand, &Delivered::Taken).await;
                }
            }
        }
    }

    async fn put_some(&self, name: &str, values: std::ops::Range<u32>) {
        for n in values {
            self.put(name, &format!("v{n}"), &format!("value {n}")).await.unwrap();
        }
    }
}

fn of(name: &str, seqs: &[i64]) -> Vec<(String, i64)> {
    seqs.iter().map(|seq| (name.to_owned(), *seq)).collect()
}

pub(crate) async fn a_subscription_is_told_of_what_happens_from_then_on(world: World) {
    world.create("before", "one").await;
    world.subscribe("hook").await;
    let again = world.store.subscribe("hook", &settings(), false, "tester", world.now()).await;
    assert!(matches!(again, Err(StoreError::SubscriptionExists(name)) if name == "hook"));
    assert_eq!(world.taken("hook").await, []);
    world.create("s", "one").await;
    world.put_some("s", 2..4).await;
    world.put("before", "b2", "two").await.unwrap();
    let told = world.taken("hook").await;
    let of_s: Vec<_> = told.iter().filter(|(name, _)| name == "s").cloned().collect();
    assert_eq!(of_s, of("s", &[3, 5, 7]), "created and version-created do not pass the filter");
    assert_eq!(told.len(), 4);
    assert_eq!(world.taken("hook").await, [], "once each");
    let world = world.reopen().await;
    assert_eq!(world.taken("hook").await, []);
}

pub(crate) async fn what_is_not_taken_holds_back_its_secret_and_no_other(world: World) {
    world.subscribe("hook").await;
    world.create("a", "one").await;
    world.create("b", "one").await;
    world.put_some("a", 2..4).await;
    world.put_some("b", 2..4).await;
    let errands = world.errands("hook", 10).await;
    assert_eq!(errands.len(), 2, "one of each secret");
    for errand in errands {
        if errand.event.name == "a" {
            assert!(world.settle(errand, &failed()).await.is_none());
        } else {
            let mut next = Some(errand);
            while let Some(errand) = next {
                next = world.settle(errand, &Delivered::Taken).await;
            }
        }
    }
    assert!(world.errands("hook", 10).await.is_empty(), "a waits, b is done");
    let entry = world.store.subscription_entry("hook").await.unwrap();
    assert_eq!((entry.waiting, entry.failing), (1, 1));
    let mut pauses = vec![];
    for _ in 0..3 {
        let due = world.store.next_errand(&["hook"]).await.unwrap().unwrap();
        pauses.push(due - world.now());
        world.clock.set(due);
        let mut errands = world.errands("hook", 10).await;
        let errand = errands.pop().unwrap();
        assert_eq!((errands.len(), errand.event.seq), (0, 3), "the same one again");
        world.settle(errand, &failed()).await;
    }
    assert!(pauses.is_sorted() && pauses[0] >= TimeDelta::seconds(1), "later each time: {pauses:?}");
    world.clock.pass(TimeDelta::minutes(1));
    assert_eq!(world.taken("hook").await, of("a", &[3, 5, 7]), "and then all of it in order");
}

// F109
pub(crate) async fn a_receiver_that_is_gone_for_an_hour_gets_everything_once_in_order(world: World) {
    let settings = Settings { give_up_after: 24 * 3600, ..settings() };
    world.store.subscribe("hook", &settings, false, "tester", world.now()).await.unwrap();
    for name in ["a", "b"] {
        world.create(name, "one").await;
    }
    let back = world.now() + TimeDelta::hours(1);
    let (mut tries, mut puts) = (0, 2);
    while world.now() < back {
        for errand in world.errands("hook", 10).await {
            tries += 1;
            assert!(world.settle(errand, &failed()).await.is_none());
        }
        world.put_some(if puts % 2 == 0 { "a" } else { "b" }, puts..puts + 1).await;
        puts += 1;
        world.errands("hook", 0).await;
        let due = world.store.next_errand(&["hook"]).await.unwrap().unwrap();
        world.clock.set(due.max(world.now() + TimeDelta::seconds(1)));
    }
    assert!((20..100).contains(&tries), "it is tried, and not stormed: {tries} times");
    assert!(world.store.dead_letters("hook", 10, None).await.unwrap().is_empty());
    world.clock.pass(TimeDelta::minutes(6));
    let told = world.taken("hook").await;
    for name in ["a", "b"] {
        let seqs: Vec<_> = told.iter().filter(|(of, _)| of == name).map(|(_, seq)| *seq).collect();
        let expected: Vec<_> = (0..seqs.len() as i64).map(|n| 3 + 2 * n).collect();
        assert_eq!(seqs, expected, "{name}");
    }
    assert_eq!(told.len(), puts as usize);
}

pub(crate) async fn two_nodes_never_have_the_same_secret_of_a_subscription(world: World) {
    world.subscribe("hook").await;
    world.subscribe("other").await;
    world.create("a", "one").await;
    world.create("b", "one").await;
    let first = world.errands("hook", 1).await;
    let second = world.errands("hook", 10).await;
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].event.name, second[0].event.name);
    assert!(world.errands("hook", 10).await.is_empty());
    assert_eq!(world.errands("other", 10).await.len(), 2, "another subscription's queues are its own");
}

pub(crate) async fn what_a_dead_process_was_sending_is_sent_again(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    let lost = world.errands("hook", 10).await.remove(0);
    let id = lost.event.id.clone();
    drop(lost);
    let world = world.reopen().await;
    assert!(world.errands("hook", 10).await.is_empty(), "whoever has the lease may be at it still");
    let due = world.store.next_errand(&["hook"]).await.unwrap().unwrap();
    assert_eq!(due, world.now() + TimeDelta::from_std(LEASE).unwrap());
    world.clock.set(due);
    let again = world.errands("hook", 10).await.remove(0);
    assert_eq!(again.event.id, id, "receivers know it by its id");
}

pub(crate) async fn a_stale_sender_settles_nothing(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    world.put_some("s", 2..3).await;
    let stale = world.errands("hook", 10).await.remove(0);
    world.clock.pass(TimeDelta::from_std(LEASE).unwrap());
    assert_eq!(world.store.left(&stale), Duration::ZERO);
    let next = world.errands("hook", 10).await.remove(0);
    assert_eq!(next.event.seq, 3);
    assert!(world.settle(stale.clone(), &Delivered::Taken).await.is_none());
    assert!(world.settle(stale, &failed()).await.is_none());
    let next = world.settle(next, &Delivered::Taken).await.unwrap();
    assert_eq!(next.event.seq, 5, "the one who has the right goes on");
}

pub(crate) async fn what_nobody_takes_in_time_is_a_dead_letter_and_the_next_ones_turn(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    world.put_some("s", 2..3).await;
    let errand = world.errands("hook", 10).await.remove(0);
    world.settle(errand, &failed()).await;
    world.clock.pass(GIVE_UP - TimeDelta::minutes(1));
    let errand = world.errands("hook", 10).await.remove(0);
    world.settle(errand, &failed()).await;
    assert!(world.store.dead_letters("hook", 10, None).await.unwrap().is_empty(), "not before its time");
    world.clock.pass(TimeDelta::minutes(2));
    let errand = world.errands("hook", 10).await.remove(0);
    world.settle(errand, &failed()).await;
    let dead = world.store.dead_letters("hook", 10, None).await.unwrap();
    assert_eq!((dead.len(), dead[0].event.seq, dead[0].attempts), (1, 3, 3));
    assert!(dead[0].reason.contains("answered 500"));
    assert_eq!(world.taken("hook").await, of("s", &[5]), "the queue goes on at once");
    let missing = world.store.dead_letters("none", 10, None).await;
    assert!(matches!(missing, Err(StoreError::SubscriptionNotFound(_))));
}

impl World {
    /// One dead letter for each of these secrets.
    async fn with_dead_letters(&self, names: &[&str]) {
        self.subscribe("hook").await;
        for name in names {
            self.create(name, "one").await;
        }
        for _ in 0..2 {
            for errand in self.errands("hook", 10).await {
                self.settle(errand, &failed()).await;
            }
            self.clock.pass(GIVE_UP);
        }
        assert_eq!(self.store.dead_letters("hook", 10, None).await.unwrap().len(), names.len());
    }
}

pub(crate) async fn a_dead_letter_is_sent_once_more_or_thrown_away(world: World) {
    world.with_dead_letters(&["a", "b", "c"]).await;
    assert!(world.errands("hook", 10).await.is_empty(), "nobody asked");
    let dead = world.store.dead_letters("hook", 10, None).await.unwrap();
    let unknown = world.store.redeliver_dead_letters("hook", Some(&[dead[0].id, 4711]), world.now()).await;
    assert!(matches!(unknown, Err(StoreError::DeadLetterNotFound { id: 4711, .. })), "{unknown:?}");
    let unknown = world.store.discard_dead_letters("hook", Some(&[dead[0].id, 4711])).await;
    assert!(matches!(unknown, Err(StoreError::DeadLetterNotFound { id: 4711, .. })), "{unknown:?}");
    assert!(world.errands("hook", 10).await.is_empty(), "then nothing is done");
    let twice = [dead[0].id, dead[0].id];
    assert_eq!(world.store.redeliver_dead_letters("hook", Some(&twice), world.now()).await.unwrap(), 1);
    let errand = world.errands("hook", 10).await.remove(0);
    assert_eq!(errand.event, dead[0].event);
    assert!(world.settle(errand, &failed()).await.is_none());
    let after = world.store.dead_letters("hook", 10, None).await.unwrap();
    assert_eq!((after.len(), after[0].attempts), (3, dead[0].attempts + 1), "it stays");
    assert_eq!(world.store.redeliver_dead_letters("hook", None, world.now()).await.unwrap(), 3);
    assert!(world.store.dead_letters("hook", 10, None).await.unwrap().iter().all(|dead| dead.redelivering));
    // The process that sends them dies; another one does it when its time is over.
    assert_eq!(world.errands("hook", 10).await.len(), 3);
    assert!(world.errands("hook", 10).await.is_empty());
    world.clock.pass(TimeDelta::from_std(LEASE).unwrap());
    let mut errands = world.errands("hook", 10).await;
    world.settle(errands.remove(0), &Delivered::Taken).await;
    assert_eq!(world.store.dead_letters("hook", 10, None).await.unwrap().len(), 2);
    assert_eq!(world.store.discard_dead_letters("hook", None).await.unwrap(), 2);
    assert!(world.store.dead_letters("hook", 10, None).await.unwrap().is_empty());
}

// F109
pub(crate) async fn a_replay_begins_where_it_is_told_and_keeps_the_order(world: World) {
    world.subscribe("hook").await;
    world.create("a", "one").await;
    world.clock.pass(TimeDelta::minutes(10));
    let middle = world.now();
    world.put_some("a", 2..4).await;
    world.create("b", "one").await;
    let all = world.taken("hook").await;
    assert_eq!(all.len(), 4);
    let first = world.store.replay("hook", Since::Offset(1), world.now()).await.unwrap();
    assert_eq!(first, 1);
    let mut again = world.taken("hook").await;
    again.sort();
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(again, sorted);
    world.store.replay("hook", Since::Time(middle), world.now()).await.unwrap();
    let again = world.taken("hook").await;
    let of_a: Vec<_> = again.iter().filter(|(name, _)| name == "a").cloned().collect();
    assert_eq!(of_a, of("a", &[5, 7]), "not what was before that moment");
    world.store.replay("hook", Since::Time(middle + TimeDelta::days(1)), world.now()).await.unwrap();
    assert_eq!(world.taken("hook").await, [], "nothing has happened since");
    let missing = world.store.replay("none", Since::Offset(1), world.now()).await;
    assert!(matches!(missing, Err(StoreError::SubscriptionNotFound(_))));
}

pub(crate) async fn a_replay_while_something_is_sent_waits_for_that(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    world.put_some("s", 2..3).await;
    let first = world.errands("hook", 10).await.remove(0);
    let second = world.settle(first, &Delivered::Taken).await.unwrap();
    world.store.replay("hook", Since::Offset(1), world.now()).await.unwrap();
    assert!(world.errands("hook", 10).await.is_empty(), "the second is on its way");
    assert!(world.settle(second, &Delivered::Taken).await.is_none(), "and its sender has nothing more to say");
    world.clock.pass(TimeDelta::from_std(LEASE).unwrap());
    assert_eq!(world.taken("hook").await, of("s", &[3, 5]));
}

pub(crate) async fn a_subscription_whose_events_were_pruned_is_told_so(world: World) {
    world.subscribe("hook").await;
    let off = world.subscription("hook").await;
    world.store.update_subscription("hook", &settings(), true, off.changed, "tester", world.now()).await.unwrap();
    world.create("s", "one").await;
    world.put_some("s", 2..5).await;
    world.events().await;
    let keep = Retention { age: Duration::from_secs(7 * 24 * 3600), rows: 2 };
    assert!(world.store.prune_events(&keep, world.now()).await.unwrap() > 0);
    let gone = world.store.replay("hook", Since::Offset(1), world.now()).await;
    assert!(matches!(gone, Err(StoreError::EventsPruned { oldest }) if oldest > 1));
    let off = world.subscription("hook").await;
    world.store.update_subscription("hook", &settings(), false, off.changed, "tester", world.now()).await.unwrap();
    let mut told = vec![];
    for _ in 0..3 {
        for errand in world.errands("hook", 10).await {
            let mut next = Some(errand);
            while let Some(errand) = next {
                told.push(errand.event.clone());
                next = world.settle(errand, &Delivered::Taken).await;
            }
        }
    }
    let missed = told.iter().find(|event| event.kind == "subscription.events-missed").expect("it is told");
    assert!(missed.facts.count.is_some_and(|count| count > 0));
    assert_eq!(told.iter().filter(|event| event.name == "s").count(), 1, "what is left of the secret");
    assert!(world.store.subscription_entry("hook").await.unwrap().missed > 0);
}

pub(crate) async fn what_was_pruned_while_it_waited_is_counted(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    let errand = world.errands("hook", 10).await.remove(0);
    world.settle(errand, &failed()).await;
    let keep = Retention { age: Duration::from_secs(60), rows: 1000 };
    world.clock.pass(TimeDelta::minutes(2));
    assert!(world.store.prune_events(&keep, world.now()).await.unwrap() > 0);
    let told = world.errands("hook", 10).await;
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(world.store.subscription_entry("hook").await.unwrap().missed, 1);
    let told = world.errands("hook", 10).await.remove(0);
    assert_eq!((told.event.kind.as_str(), told.event.facts.count), ("subscription.events-missed", Some(1)));
    world.settle(told, &Delivered::Taken).await;
    world.put_some("s", 2..3).await;
    assert_eq!(world.taken("hook").await, of("s", &[5]));
    assert_eq!(world.store.subscription_entry("hook").await.unwrap().missed, 1);
}

pub(crate) async fn a_receiver_that_is_gone_is_told_nothing_until_it_is_enabled(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    let errand = world.errands("hook", 10).await.remove(0);
    assert!(world.settle(errand, &Delivered::Gone).await.is_none());
    let there = world.subscription("hook").await;
    assert!(there.disabled);
    world.store.update_subscription("hook", &settings(), false, there.changed, "tester", world.now()).await.unwrap();
    assert_eq!(world.taken("hook").await, of("s", &[3]));
}

pub(crate) async fn what_was_disabled_is_told_of_what_happened_meanwhile(world: World) {
    world.subscribe("hook").await;
    world.create("s", "one").await;
    let errand = world.errands("hook", 10).await.remove(0);
    world.settle(errand, &failed()).await;
    let there = world.subscription("hook").await;
    let off = |disabled, seen| {
        let world = &world;
        async move { world.store.update_subscription("hook", &settings(), disabled, seen, "tester", world.now()).await }
    };
    off(true, there.changed).await.unwrap();
    let stale = off(true, there.changed).await;
    assert!(matches!(stale, Err(StoreError::SubscriptionChanged(_))));
    world.clock.pass(TimeDelta::days(2));
    world.put_some("s", 2..3).await;
    let there = world.subscription("hook").await;
    off(false, there.changed).await.unwrap();
    let errand = world.errands("hook", 10).await.remove(0);
    world.settle(errand, &failed()).await;
    let dead = world.store.dead_letters("hook", 10, None).await.unwrap();
    assert!(dead.is_empty(), "nobody tried it while it was disabled: it has its whole time again");
    world.clock.pass(TimeDelta::minutes(10));
    assert_eq!(world.taken("hook").await, of("s", &[3, 5]));
}

pub(crate) async fn a_filter_lets_through_what_it_says_and_a_changed_one_holds_at_once(world: World) {
    world.subscribe("hook").await;
    world.create("app/a", "one").await;
    world.create("b", "one").await;
    assert_eq!(world.errands("hook", 10).await.len(), 2);
    let there = world.subscription("hook").await;
    let filter = Filter { secrets: vec!["app/*".to_owned()], kinds: vec!["secret.created".to_owned()], labels: vec![] };
    let narrow = Settings { filter, ..settings() };
    world.store.update_subscription("hook", &narrow, false, there.changed, "tester", world.now()).await.unwrap();
    world.create("app/c", "one").await;
    world.create("d", "one").await;
    world.clock.pass(TimeDelta::minutes(1));
    assert_eq!(world.taken("hook").await, of("app/c", &[1]), "what waits is weighed by the filter as it is now");
}

pub(crate) async fn keys_are_rotated_with_an_overlap_and_bound_to_the_settings(world: World) {
    world.subscribe("hook").await;
    let rotate = |overlap, replace| {
        let world = &world;
        let overlap = TimeDelta::hours(overlap);
        async move { world.store.rotate_subscription_key("hook", overlap, replace, "tester", world.now()).await }
    };
    let live = || async { world.subscription("hook").await.keys.live(world.now()).count() };
    assert_eq!(live().await, 1);
    rotate(1, false).await.unwrap();
    assert_eq!(live().await, 2);
    assert!(matches!(rotate(1, false).await, Err(StoreError::SubscriptionKeys(_))));
    rotate(1, true).await.unwrap();
    assert_eq!(live().await, 2);
    world.clock.pass(TimeDelta::hours(2));
    assert_eq!(live().await, 1);
    let mut raw = world.raw().await;
    let change = "UPDATE subscription SET settings = replace(settings, 'hook.example', 'evil.example')";
    raw.run(change).await;
    assert!(matches!(world.store.subscription("hook").await, Err(StoreError::Sealed(_))));
    world.subscribe("other").await;
    let readable = world.store.subscriptions().await.unwrap();
    assert_eq!(readable.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["other"], "the others go on");
}

pub(crate) async fn a_subscription_that_is_deleted_leaves_nothing(world: World) {
    world.with_dead_letters(&["a"]).await;
    world.put_some("a", 2..3).await;
    let errand = world.errands("hook", 10).await.remove(0);
    world.store.unsubscribe("hook", "tester", world.now()).await.unwrap();
    assert!(world.settle(errand, &failed()).await.is_none());
    assert!(matches!(world.store.subscription("hook").await, Err(StoreError::SubscriptionNotFound(_))));
    let again = world.store.unsubscribe("hook", "tester", world.now()).await;
    assert!(matches!(again, Err(StoreError::SubscriptionNotFound(_))));
    world.subscribe("hook").await;
    assert!(world.errands("hook", 10).await.is_empty(), "another of the same name begins anew");
    assert!(world.store.dead_letters("hook", 10, None).await.unwrap().is_empty());
}
