//! Deliveries: what was sent to a rotator, and sending it once more.

use chrono::TimeDelta;
use engine::outcome::{Done, StepError, Verdict};
use engine::port::RotationStore;
use engine::registration::{Kind, Mode};
use engine::rotation::{Event, Outcome, Rotation, Step};
use store::{Delivery, StoreError};

use crate::rotators::{by, webhook};
use crate::world::{World, created, done, rotate, token};

/// A rotation by `hook` whose setSecret was answered with 503: it waits.
async fn refused_once(world: &World) -> engine::port::Lease {
    world.register("hook", webhook(Mode::Callback, false)).await;
    world.create("s", "one").await;
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.clock.pass(TimeDelta::milliseconds(7));
    let mut error = StepError::new(Verdict::Retry, "busy", "the receiver is busy");
    error.status = Some(503);
    world.apply(&lease, Event::Ended { step: Step::Set, outcome: Outcome::Failed(error) }).await.unwrap();
    world.store.release(&lease).await.unwrap();
    lease
}

async fn sent(world: &World) -> Vec<Delivery> {
    world.store.deliveries("hook", 10, None).await.unwrap()
}

pub(crate) async fn every_step_that_was_sent_is_a_delivery(world: World) {
    refused_once(&world).await;
    let history = world.store.history("s", 10).await.unwrap();
    assert!(history.iter().any(|line| line.step.as_deref() == Some("createSecret")), "Pawl made the value by itself");
    let [set] = &sent(&world).await[..] else { panic!("one step was sent") };
    assert_eq!((set.step.as_str(), set.verdict.as_deref(), set.status), ("setSecret", Some("retry"), Some(503)));
    assert_eq!((set.secret.as_str(), set.token.as_deref()), ("s", Some(token("r").as_str())));
    assert_eq!(set.ended.unwrap() - set.started, TimeDelta::milliseconds(7));
    assert_eq!(set.message, "the receiver is busy");
    assert!(world.store.deliveries("hook", 10, Some(set.id)).await.unwrap().is_empty());
    world.clock.pass(TimeDelta::minutes(1));
    world.apply(&world.claim().await, Event::Leased).await.unwrap();
    let [again] = &world.store.deliveries("hook", 1, None).await.unwrap()[..] else { panic!("the newest alone") };
    assert!((again.step.as_str(), again.attempt) == ("setSecret", 1) && again.id > set.id);
    assert_eq!(world.store.deliveries("hook", 10, Some(again.id)).await.unwrap(), std::slice::from_ref(set));
    let unknown = world.store.deliveries("x", 10, None).await;
    assert!(matches!(unknown, Err(StoreError::RotatorNotFound(_))));
    // A value that is made here is sent to nobody.
    world.register("sets", webhook(Mode::Managed, false)).await;
    world.create("t", "one").await;
    world.store.rotate("t", by("sets", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    let to_sets = world.store.deliveries("sets", 10, None).await.unwrap();
    assert_eq!(to_sets.iter().map(|one| one.step.as_str()).collect::<Vec<_>>(), ["setSecret"]);
    // What built-in rotators do is nobody's delivery.
    world.create("own", "one").await;
    world.rotating("own", "r").await;
    assert_eq!(sent(&world).await.len(), 2);
    // A receiver that issues credentials is asked for each.
    world.register("issuer", webhook(Mode::Managed, true)).await;
    world.create("issued", "one").await;
    world.store.rotate("issued", by("issuer", rotate("r")), world.now()).await.unwrap();
    world.sealed(&world.claim().await, "two").await;
    let issued = world.store.deliveries("issuer", 10, None).await.unwrap();
    let steps: Vec<_> = issued.iter().map(|delivery| delivery.step.as_str()).collect();
    assert_eq!(steps, ["setSecret", "createSecret"]);
}

pub(crate) async fn a_delivery_is_repeated_at_once_while_the_rotation_stands_there(world: World) {
    refused_once(&world).await;
    assert!(world.claims().await.is_empty(), "it waits for its next try");
    let id = sent(&world).await[0].id;
    let view = world.store.redeliver("hook", id, "tester", world.now()).await.unwrap();
    assert!(matches!(view.rotation, Rotation::Waiting { step: Step::Set, .. }));
    assert_eq!(world.store.history("s", 1).await.unwrap()[0].by.as_deref(), Some("tester"));
    let lease = world.claim().await;
    let step = world.apply(&lease, Event::Leased).await.unwrap().act;
    assert_eq!(step, Some(Step::Set));
    let under_way = world.store.redeliver("hook", id, "tester", world.now()).await;
    assert!(matches!(under_way, Err(StoreError::DeliveryUnderWay)));
    // Parked, too.
    let error = StepError::new(Verdict::NeedsPerson, "no", "the receiver does not know the user");
    world.apply(&lease, Event::Ended { step: Step::Set, outcome: Outcome::Failed(error) }).await.unwrap();
    world.store.release(&lease).await.unwrap();
    world.store.redeliver("hook", id, "tester", world.now()).await.unwrap();
    assert_eq!(world.claims().await.len(), 1);
}

pub(crate) async fn a_delivery_that_the_rotation_has_left_behind_is_not_repeated(world: World) {
    refused_once(&world).await;
    let [set] = &sent(&world).await[..] else { panic!("one step was sent") };
    let again = async |id| world.store.redeliver("hook", id, "tester", world.now()).await;
    let create = world.store.history("s", 10).await.unwrap();
    let create = create.iter().find(|line| line.step.as_deref() == Some("createSecret")).unwrap();
    assert!(matches!(again(create.id).await, Err(StoreError::DeliveryNotFound)), "it was never sent");
    assert!(matches!(again(set.id + 100).await, Err(StoreError::DeliveryNotFound)));
    let others = world.store.redeliver("x", set.id, "tester", world.now()).await;
    assert!(matches!(others, Err(StoreError::DeliveryNotFound)));
    world.store.pause_rotation("s", "tester", world.now()).await.unwrap();
    assert!(matches!(again(set.id).await, Err(StoreError::RotationPaused)));
    world.store.resume_rotation("s", "tester", world.now()).await.unwrap();
    world.store.set_rotator_disabled("hook", true, world.now()).await.unwrap();
    assert!(matches!(again(set.id).await, Err(StoreError::RotatorDisabled(_))));
    world.store.set_rotator_disabled("hook", false, world.now()).await.unwrap();
    world.clock.pass(TimeDelta::minutes(1));
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    world.finish(&lease).await;
    assert!(matches!(again(set.id).await, Err(StoreError::DeliveryIsPast)));
    // Another rotation at the same step is not that one.
    world.store.rotate("s", by("hook", rotate("r2")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "three").await;
    let error = StepError::new(Verdict::Retry, "busy", "the receiver is busy");
    world.apply(&lease, Event::Ended { step: Step::Set, outcome: Outcome::Failed(error) }).await.unwrap();
    assert!(matches!(again(set.id).await, Err(StoreError::DeliveryIsPast)));
    world.store.delete_secret("s", 30, world.now()).await.unwrap();
    assert!(matches!(again(sent(&world).await[0].id).await, Err(StoreError::MarkedForDeletion)));
}

pub(crate) async fn a_rotation_asked_for_in_the_grace_of_another_begins_when_that_is_over(world: World) {
    let mut settings = webhook(Mode::Managed, false);
    if let Kind::Webhook(webhook) = &mut settings.kind {
        webhook.retires_after = Some(60);
    }
    world.register("hook", settings).await;
    world.create("s", "one").await;
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "two");
    assert!(matches!(world.state("s").await, Rotation::Waiting { step: Step::Retire, .. }));
    // A schedule that comes meanwhile is planned, as when nothing is open.
    let schedule = by("hook", crate::world::on_schedule("c", "rate(4 hours)"));
    world.store.rotate("s", schedule, world.now()).await.unwrap();
    assert!(world.store.rotation("s").await.unwrap().window.is_some());
    let retire = sent(&world).await;
    assert!(retire.iter().all(|delivery| delivery.step != "retire"));
    world.store.rotate("s", by("hook", rotate("r2")), world.now()).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] r [AWSCURRENT] r2 [AWSPENDING]");
    world.clock.pass(TimeDelta::seconds(60));
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Retire));
    let next = world.apply(&lease, Event::Ended { step: Step::Retire, outcome: Outcome::Done(Done::default()) }).await;
    assert_eq!(next.unwrap().act, Some(Step::Create));
    world.apply(&lease, created("three")).await.unwrap();
    for step in [Step::Set, Step::Test, Step::Finish] {
        world.apply(&lease, done(step)).await.unwrap();
    }
    assert_eq!(world.read("s").await, "three");
}

pub(crate) async fn a_person_who_saw_awscurrent_log_in_ends_what_was_given_up(world: World) {
    refused_once(&world).await;
    let vouch = async || world.store.vouch_rotation("s", "tester", world.now()).await;
    assert!(matches!(vouch().await, Err(StoreError::Refused(engine::rotation::Refusal::NotGivenUp))));
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(vouch().await.unwrap().rotation, Rotation::Idle);
    assert_eq!(world.unresolved("s").await, 0);
    assert!(matches!(vouch().await, Err(StoreError::NotOpen)));
}
