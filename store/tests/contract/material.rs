//! The values a step is given, and in which order they are likely to log in.

use std::time::Duration;

use chrono::TimeDelta;
use engine::outcome::Proof;
use engine::port::{Lease, Material, RotationStore};
use engine::rotation::{Event, Outcome, Step};

use crate::world::{World, created, done, failed, token};

fn known(material: &Material) -> Vec<(String, String)> {
    let pair = |known: &engine::port::Known| (known.role.clone(), known.value.expose_str().unwrap().to_owned());
    material.known.iter().map(pair).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(role, value)| ((*role).to_owned(), (*value).to_owned())).collect()
}

fn wanted(material: &Material) -> Option<&str> {
    material.wanted.as_ref().and_then(|value| value.expose_str())
}

fn proved(proof: Proof) -> Event {
    Event::Ended { step: Step::Prove, outcome: Outcome::Proved(proof) }
}

pub(crate) async fn going_forward_the_candidate_is_wanted_and_awscurrent_comes_first(world: World) {
    world.create("s", "zero").await;
    world.put("s", "v1", "one").await.unwrap();
    let lease = world.rotating("s", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    assert_eq!((wanted(&material), material.known.len()), (None, 0));
    assert_eq!(material.current.as_ref().and_then(|value| value.expose_str()), Some("one"));
    world.apply(&lease, created("weak")).await.unwrap();
    world.apply(&lease, failed(Step::Set, engine::outcome::Verdict::Rejected)).await.unwrap();
    world.apply(&lease, created("two")).await.unwrap();
    for step in [Step::Set, Step::Test, Step::Finish] {
        let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
        assert_eq!(wanted(&material), Some("two"));
        let first = format!("candidate 1 of {}", token("r"));
        let expected = [("AWSCURRENT", "one"), ("AWSPREVIOUS", "zero"), (first.as_str(), "weak")];
        assert_eq!(known(&material), pairs(&expected), "{step}");
        world.apply(&lease, done(step)).await.unwrap();
    }
}

pub(crate) async fn giving_up_awscurrent_is_wanted_and_candidates_come_first(world: World) {
    world.create("s", "zero").await;
    world.put("s", "v1", "one").await.unwrap();
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "weak").await;
    world.apply(&lease, failed(Step::Set, engine::outcome::Verdict::Rejected)).await.unwrap();
    world.apply(&lease, created("two")).await.unwrap();
    world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    world.apply(&lease, Event::Leased).await.unwrap();
    let first = format!("candidate 1 of {}", token("r"));
    let expected = [("AWSPENDING", "two"), (first.as_str(), "weak"), ("AWSPREVIOUS", "zero")];
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    assert_eq!((wanted(&material), known(&material)), (Some("one"), pairs(&expected)));
    // AWSCURRENT has become a candidate too, and is still only wanted.
    world.apply(&lease, proved(Proof::CanRestore { held: None })).await.unwrap();
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    assert_eq!((wanted(&material), known(&material)), (Some("one"), pairs(&expected)));
    // A person writes another value now: what Restore may have set is still known.
    world.put("s", "mine", "three").await.unwrap();
    world.apply(&lease, Event::Leased).await.unwrap();
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    assert_eq!(wanted(&material), Some("three"));
    let values: Vec<String> = known(&material).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["two", "weak", "one"]);
}

pub(crate) async fn equal_values_cost_one_login(world: World) {
    world.create("s", "same").await;
    world.put("s", "v1", "same").await.unwrap();
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    let material = world.store.material(&lease, &world.state("s").await).await.unwrap();
    assert_eq!(known(&material), pairs(&[("AWSCURRENT", "same")]));
    world.create("t", "two").await;
    let lease = world.rotating("t", "r").await;
    world.sealed(&lease, "two").await;
    let material = world.store.material(&lease, &world.state("t").await).await.unwrap();
    assert_eq!((wanted(&material), material.known.len()), (Some("two"), 0));
}

// F126
pub(crate) async fn the_admin_secret_is_found_or_its_absence_explained(world: World) {
    let arn = world.create("admin", "root-password").await.arn;
    world.create("gone", "x").await;
    world.store.delete_secret("gone", 7, world.now()).await.unwrap();
    world.store.create_secret(crate::world::new_secret("hollow", "t"), world.now()).await.unwrap();
    let partial = arn.rsplit_once('-').unwrap().0.to_owned();
    let cases = [
        (arn.as_str(), None),
        (partial.as_str(), None),
        ("admin", None),
        ("absent", Some("the admin secret absent does not exist")),
        ("gone", Some("the admin secret gone is marked for deletion")),
        ("hollow", Some("the admin secret hollow has no AWSCURRENT value")),
    ];
    for (n, (named, missing)) in cases.into_iter().enumerate() {
        let name = format!("s{n}");
        world.create(&name, &format!(r#"{{"engine":"postgres","password":"p","masterarn":"{named}"}}"#)).await;
        let lease = world.rotating(&name, "r").await;
        world.apply(&lease, Event::Leased).await.unwrap();
        let material = world.store.material(&lease, &world.state(&name).await).await.unwrap();
        assert_eq!(material.admin_missing.as_deref(), missing);
        let admin = material.admin.as_ref().and_then(|value| value.expose_str());
        assert_eq!(admin, missing.is_none().then_some("root-password"), "{named}");
    }
    world.create("plain", "not json").await;
    let lease = world.rotating("plain", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    let material = world.store.material(&lease, &world.state("plain").await).await.unwrap();
    assert!(material.admin.is_none() && material.admin_missing.is_none());
}

pub(crate) async fn people_are_given_awscurrent_and_what_the_target_may_hold_each_value_once(world: World) {
    let arn = world.create("s", "one").await.arn;
    let said = |found: Vec<store::Recovered>| {
        let one =
            |one: &store::Recovered| (one.value.bytes.expose_str().unwrap().to_owned(), one.current, one.candidate);
        let mut said: Vec<_> = found.iter().map(one).collect();
        said.sort();
        said
    };
    let never = [("one".to_owned(), true, 0)];
    assert_eq!(said(world.store.recover("s").await.unwrap()), never, "it was never rotated");
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    // What the target has is a candidate from the beginning of a rotation on, and is told once all the same.
    let both = [("one".to_owned(), true, 1), ("two".to_owned(), false, 1)];
    assert_eq!(said(world.store.recover(&arn).await.unwrap()), both);
    world.store.cancel_rotation("s", "tester", world.now()).await.unwrap();
    world.apply(&lease, Event::Leased).await.unwrap();
    world.apply(&lease, proved(Proof::CanRestore { held: None })).await.unwrap();
    assert_eq!(said(world.store.recover("s").await.unwrap()), both, "while AWSCURRENT is put back");
    assert!(world.store.recover("nobody").await.unwrap().is_empty());
}

// F26
pub(crate) async fn an_admin_waits_for_whoever_uses_it_but_not_for_what_was_left_in_the_middle(world: World) {
    world.create("admin", "root-password").await;
    let in_use = async |lease: &Lease| {
        let material = world.store.material(lease, &world.state("admin").await).await.unwrap();
        material.admin_in_use
    };
    let renewed = async |lease: &Lease| {
        world.clock.pass(TimeDelta::seconds(10));
        world.store.renew(lease, Duration::ZERO).await.unwrap();
    };
    let admins = world.rotating("admin", "r").await;
    world.sealed(&admins, "other").await;
    assert!(!in_use(&admins).await);
    for (name, is_deleted) in [("paused", false), ("deleted", true)] {
        world.create(name, r#"{"engine":"postgres","password":"p","masterarn":"admin"}"#).await;
        renewed(&admins).await;
        let lease = world.rotating(name, "u").await;
        world.apply(&lease, Event::Leased).await.unwrap();
        assert!(in_use(&admins).await, "its createSecret, or what comes after it, may be on its way");
        match is_deleted {
            true => drop(world.store.delete_secret(name, 7, world.now()).await.unwrap()),
            false => drop(world.store.pause_rotation(name, "tester", world.now()).await.unwrap()),
        }
        assert!(in_use(&admins).await, "what has been sent may still arrive");
        renewed(&admins).await;
        assert!(in_use(&admins).await);
        renewed(&admins).await;
        assert!(!in_use(&admins).await, "nobody goes on with it, and its lease is over");
    }
    world.store.resume_rotation("paused", "tester", world.now()).await.unwrap();
    assert!(in_use(&admins).await, "somebody goes on with it at once");
}
