//! What one call of a rotation function may write, and until when.

use chrono::TimeDelta;
use engine::outcome::Verdict;
use engine::port::RotationStore;
use engine::registration::Mode;
use engine::rotation::{Event, Outcome, Rotation, Step};
use engine::secret::SecretBytes;
use store::{Grant, MoveLabel, Origin, PutValue, StoreError, Written};

use crate::rotators::{by, webhook};
use crate::world::{LEASE, World, done, failed, new_secret, rotate, text, token};

/// A secret `s` that a callback is making version `r` of. Its ARN.
async fn called_back(world: &World) -> String {
    world.register("hook", webhook(Mode::Callback, false)).await;
    let arn = world.create("s", "one").await.arn;
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Create));
    arn
}

fn put(of: &str, value: &str) -> PutValue {
    PutValue {
        token: token(of),
        value: text(value),
        stages: Some(vec!["AWSPENDING".to_owned()]),
        keeps_admin: false,
        rotation_token: None,
        within: None,
        by: "tester".to_owned(),
    }
}

impl World {
    async fn put_by(&self, of: &str, rotation_token: SecretBytes) -> Result<Written, StoreError> {
        let put = PutValue { rotation_token: Some(rotation_token), ..put(of, "two") };
        self.store.put_value("s", put, self.now()).await
    }
}

pub(crate) async fn a_rotation_token_is_for_one_secret_one_version_and_a_while(world: World) {
    let arn = called_back(&world).await;
    let other = world.create("other", "one").await.arn;
    let soon = world.now() + TimeDelta::seconds(10);
    let make = |arn: &str, of: &str, expires| world.store.rotation_token(arn, &token(of), expires).unwrap();
    let good = make(&arn, "r", soon);
    let spelled = good.expose_str().unwrap().to_owned();
    assert!((36..=256).contains(&spelled.len()) && spelled.bytes().all(|b| b.is_ascii_alphanumeric()), "{spelled}");
    let changed = spelled.replacen(&spelled[40..41], if &spelled[40..41] == "0" { "1" } else { "0" }, 1);
    for bad in [
        make(&other, "r", soon),
        make(&arn, "q", soon),
        make(&arn, "r", world.now()),
        SecretBytes::from(changed),
        SecretBytes::from("a".repeat(36)),
        SecretBytes::from(spelled.to_uppercase()),
    ] {
        assert!(matches!(world.put_by("r", bad).await, Err(StoreError::BadRotationToken)));
    }
    // Of the right version, but offered for another.
    assert!(matches!(world.put_by("q", good.clone()).await, Err(StoreError::BadRotationToken)));
    world.put_by("r", good.clone()).await.unwrap();
    world.put_by("r", good.clone()).await.unwrap();
    world.clock.pass(TimeDelta::seconds(10));
    assert!(matches!(world.put_by("r", good).await, Err(StoreError::BadRotationToken)), "it has run out");
}

pub(crate) async fn a_rotation_token_is_worth_nothing_when_its_rotation_is_over(world: World) {
    let arn = called_back(&world).await;
    let late = world.store.rotation_token(&arn, &token("r"), world.now() + TimeDelta::hours(1)).unwrap();
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
    assert!(matches!(world.put_by("r", late).await, Err(StoreError::BadRotationToken)));
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT]");
}

pub(crate) async fn who_acts_for_one_rotation_writes_its_version_alone_and_while_it_is_open(world: World) {
    called_back(&world).await;
    let within = |of: &str, grant: &str| PutValue { within: Some(token(grant)), ..put(of, "two") };
    for (of, grant) in [("q", "r"), ("q", "q"), ("r", "q")] {
        let refused = world.store.put_value("s", within(of, grant), world.now()).await;
        assert!(matches!(refused, Err(StoreError::NotWithinRotation)), "{of} {grant}");
    }
    world.store.put_value("s", within("r", "r"), world.now()).await.unwrap();
    let (new, old) = (token("r"), token("create-s"));
    let moving = |grant| MoveLabel {
        label: "CUSTOM",
        remove_from: None,
        move_to: Some(new.as_str()),
        keeps_admin: false,
        within: Some(grant),
        by: "tester",
    };
    let refused = world.store.move_label("s", moving(&old), world.now()).await;
    assert!(matches!(refused, Err(StoreError::NotWithinRotation)));
    world.store.move_label("s", moving(&new), world.now()).await.unwrap();
    // Over, as far as writing goes, with the first value of somebody else's.
    world.put("s", "mine", "three").await.unwrap();
    world.clock.pass(TimeDelta::from_std(LEASE).unwrap());
    let [lease] = &world.claims().await[..] else { panic!("the way back is due") };
    world.apply(&lease.lease, Event::Leased).await.unwrap();
    let proved = Event::Ended { step: Step::Prove, outcome: Outcome::Proved(engine::outcome::Proof::CurrentLogsIn) };
    world.apply(&lease.lease, proved).await.unwrap();
    let refused = world.store.put_value("s", within("r", "r"), world.now()).await;
    assert!(matches!(refused, Err(StoreError::NotWithinRotation)));
    let refused = world.store.move_label("s", moving(&new), world.now()).await;
    assert!(matches!(refused, Err(StoreError::NotWithinRotation)));
}

pub(crate) async fn a_pass_says_what_it_is_for_and_comes_from_no_key(world: World) {
    let arn = world.create("s", "one").await.arn;
    for (version, check) in [("r".repeat(32), false), ("\"\\ä".repeat(12), true)] {
        let grant = Grant { arn: arn.clone(), version: engine::id::VersionId::new(version).unwrap(), check };
        let expires = world.now() + TimeDelta::seconds(10);
        let pass = world.store.create_pass(&grant, expires).unwrap();
        assert!(pass.access_key_id.starts_with("ASIA") && pass.expires == expires);
        let opened = world.store.open_session(&pass.access_key_id, &pass.token).unwrap().unwrap();
        assert_eq!((opened.origin, opened.expires), (Origin::Rotation(grant), expires));
        assert_eq!(opened.secret.expose(), pass.secret.expose());
        let other = world.store.create_access_key("admin", world.now()).await.unwrap().access_key_id;
        assert!(world.store.open_session(&other, &pass.token).unwrap().is_none());
    }
}

pub(crate) async fn a_callback_makes_the_first_value_of_a_secret_that_has_none(world: World) {
    world.register("hook", webhook(Mode::Callback, false)).await;
    world.store.create_secret(new_secret("s", "t"), world.now()).await.unwrap();
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    assert_eq!(world.apply(&lease, Event::Leased).await.unwrap().act, Some(Step::Create));
    let put = PutValue { within: Some(token("r")), ..put("r", "first") };
    world.store.put_value("s", put, world.now()).await.unwrap();
    assert_eq!(world.apply(&lease, done(Step::Create)).await.unwrap().act, Some(Step::Set));
    world.finish(&lease).await;
    assert_eq!((world.read("s").await.as_str(), world.labels("s").await.as_str()), ("first", "r [AWSCURRENT]"));
    // And the second, from the first.
    world.store.rotate("s", by("hook", rotate("r2")), world.now()).await.unwrap();
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    assert_eq!(world.state("s").await, Rotation::Idle);
}

pub(crate) async fn the_first_value_of_a_secret_is_kept_when_its_rotation_is_given_up(world: World) {
    world.register("hook", webhook(Mode::Managed, true)).await;
    world.store.create_secret(new_secret("s", "t"), world.now()).await.unwrap();
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "issued").await;
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    world.store.abandon_rotation("s", "tester", world.now()).await.unwrap();
    let state = world.state("s").await;
    assert!(matches!(state, Rotation::Waiting { step: Step::Prove, .. }));
    assert!(world.store.material(&lease, &state).await.unwrap().wanted.is_none(), "there is nothing to prove with");
    assert!(world.store.vouch_rotation("s", "tester", world.now()).await.is_err(), "nor to vouch for");
    // Whatever a rotator makes of that.
    world.apply(&lease, Event::Leased).await.unwrap();
    let proved = Event::Ended { step: Step::Prove, outcome: Outcome::Proved(engine::outcome::Proof::CurrentLogsIn) };
    world.apply(&lease, proved).await.unwrap();
    assert_eq!(world.unresolved("s").await, 1, "nothing was proven: it may be all that logs in");
    assert_eq!(world.store.recover("s").await.unwrap()[0].value.bytes.expose_str(), Some("issued"));
}

pub(crate) async fn an_issuer_makes_the_first_value_of_a_secret_that_has_none(world: World) {
    world.register("hook", webhook(Mode::Managed, true)).await;
    world.store.create_secret(new_secret("s", "t"), world.now()).await.unwrap();
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "issued").await;
    world.finish(&lease).await;
    assert_eq!(world.read("s").await, "issued");
    assert_eq!(world.unresolved("s").await, 0);
}
