//! Registered rotators: what is kept of them, who may change it, and whom they serve.

use chrono::TimeDelta;
use engine::registration::{Keys, Kind, Lambda, Mode, Settings, SigningKey, Webhook};
use engine::secret::SecretBytes;
use store::{Lane, NewRotator, Rotate, Serves, Start, StoreError, new_signing_key};

use crate::world::{World, on_schedule, rotate};

pub(crate) fn webhook(mode: Mode, issues: bool) -> Settings {
    let webhook = Webhook { mode, issues, revokes: issues, ..Webhook::managed("https://hook.example/") };
    Settings { kind: Kind::Webhook(webhook), timeout_seconds: 10, concurrency: 2, ca: None, client_certificate: None }
}

fn function() -> Settings {
    let lambda = Lambda {
        endpoint: "http://127.0.0.1:9000".to_owned(),
        function: "function".to_owned(),
        region: Some("eu-west-1".to_owned()),
        access_key_id: Some("AKIAX".to_owned()),
    };
    Settings { kind: Kind::Lambda(lambda), timeout_seconds: 60, concurrency: 3, ca: None, client_certificate: None }
}

pub(crate) fn by(name: &str, request: Rotate) -> Rotate {
    Rotate { rotator: Some(name.to_owned()), serves: Some(Serves::Registered(name.to_owned())), ..request }
}

impl World {
    pub(crate) async fn register(&self, name: &str, settings: Settings) {
        let keys = Keys { signing: vec![new_signing_key(self.now())], ..Keys::default() };
        let new = NewRotator { name: name.to_owned(), settings, keys, disabled: false };
        self.store.create_rotator(new, self.now()).await.unwrap();
    }

    async fn signing(&self, name: &str) -> Vec<SigningKey> {
        let there = self.store.rotator(name).await.unwrap().unwrap();
        there.keys.live(self.now()).cloned().collect()
    }
}

pub(crate) async fn a_rotator_is_read_back_as_it_was_registered(world: World) {
    let keys = Keys {
        signing: vec![],
        access_key_secret: Some(SecretBytes::from("secret-half")),
        client_key: Some(SecretBytes::from("-----BEGIN PRIVATE KEY-----\n\"\u{e4}\"\n")),
    };
    let new = NewRotator { name: "f".to_owned(), settings: function(), keys: keys.clone(), disabled: false };
    world.store.create_rotator(new.clone(), world.now()).await.unwrap();
    let again = world.store.create_rotator(new, world.now()).await;
    assert!(matches!(again, Err(StoreError::RotatorExists(name)) if name == "f"));
    world.register("hook", webhook(Mode::Managed, false)).await;
    let world = world.reopen().await;
    let there = world.store.rotator("f").await.unwrap().unwrap();
    assert_eq!((&there.settings, there.disabled, there.created), (&function(), false, world.now()));
    assert!(there.keys.signing.is_empty());
    let same = |one: &Option<SecretBytes>, other: &Option<SecretBytes>| {
        one.as_ref().map(SecretBytes::expose) == other.as_ref().map(SecretBytes::expose)
    };
    assert!(same(&there.keys.access_key_secret, &keys.access_key_secret));
    assert!(same(&there.keys.client_key, &keys.client_key));
    let [key] = &world.signing("hook").await[..] else { panic!("one key") };
    assert_eq!((key.secret.expose().len(), key.expires), (32, None));
    assert!(world.store.rotator("stranger").await.unwrap().is_none());
    let listed = world.store.rotators().await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["f", "hook"]);
    assert!(!format!("{listed:?} {there:?}").contains("secret-half"));
}

pub(crate) async fn a_row_that_was_changed_behind_our_back_is_not_used(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    let mut raw = world.raw().await;
    let moved = "UPDATE rotator SET settings = replace(settings, 'hook.example', 'evil.example')";
    raw.run(moved).await;
    let world = world.reopen().await;
    assert!(matches!(world.store.rotator("hook").await, Err(StoreError::Sealed(_))), "its keys are not for that URL");
}

pub(crate) async fn a_change_is_seen_at_once_and_never_undoes_anothers(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    let before = world.store.rotator("hook").await.unwrap().unwrap();
    let changed = Settings { concurrency: 7, ..before.settings.clone() };
    let write = async |seen| world.store.update_rotator("hook", &changed, &Keys::default(), seen, world.now()).await;
    write(before.changed).await.unwrap();
    let after = world.store.rotator("hook").await.unwrap().unwrap();
    assert_eq!((after.settings.concurrency, after.keys.signing.len()), (7, 1), "keys that sign stay");
    assert!(matches!(write(before.changed).await, Err(StoreError::RotatorChanged(_))));
    let missing = world.store.update_rotator("x", &changed, &Keys::default(), before.changed, world.now()).await;
    assert!(matches!(missing, Err(StoreError::RotatorNotFound(_))));
    assert_eq!(world.store.rotator("hook").await.unwrap().unwrap().changed, after.changed);
}

pub(crate) async fn both_signing_keys_are_live_for_the_overlap(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    let first = world.signing("hook").await.remove(0);
    let rotate =
        async |replace| world.store.rotate_signing_key("hook", TimeDelta::hours(24), replace, world.now()).await;
    let second = rotate(false).await.unwrap();
    let live = world.signing("hook").await;
    let secrets: Vec<_> = live.iter().map(|key| key.secret.expose()).collect();
    assert_eq!(secrets, [first.secret.expose(), second.secret.expose()]);
    assert_eq!(live[0].expires, Some(world.now() + TimeDelta::hours(24)));
    // F116: a second rotation inside the overlap would end a key that its receiver may still go by.
    assert!(matches!(rotate(false).await, Err(StoreError::TooManyKeys(_))));
    assert_eq!(world.signing("hook").await.len(), 2);
    world.clock.pass(TimeDelta::hours(1));
    let third = rotate(true).await.unwrap();
    let live = world.signing("hook").await;
    let secrets: Vec<_> = live.iter().map(|key| key.secret.expose()).collect();
    assert_eq!(secrets, [second.secret.expose(), third.secret.expose()], "the oldest is ended knowingly");
    world.clock.pass(TimeDelta::hours(24));
    assert_eq!(world.signing("hook").await.len(), 1);
    rotate(false).await.unwrap();
    assert_eq!(
        world.store.rotator("hook").await.unwrap().unwrap().keys.signing.len(),
        2,
        "what has ended is forgotten"
    );
}

pub(crate) async fn what_has_no_signing_key_gets_none(world: World) {
    let new = NewRotator { name: "f".to_owned(), settings: function(), keys: Keys::default(), disabled: false };
    world.store.create_rotator(new, world.now()).await.unwrap();
    let refused = world.store.rotate_signing_key("f", TimeDelta::zero(), true, world.now()).await;
    assert!(matches!(refused, Err(StoreError::NoSigningKey(_))));
    let refused = world.store.rotate_signing_key("x", TimeDelta::zero(), true, world.now()).await;
    assert!(matches!(refused, Err(StoreError::RotatorNotFound(_))));
}

pub(crate) async fn a_rotator_that_serves_a_secret_stays(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    for name in ["b", "a"] {
        world.create(name, "one").await;
        world.store.rotate(name, by("hook", on_schedule("c", "rate(4 hours)")), world.now()).await.unwrap();
    }
    assert_eq!(world.store.rotators().await.unwrap()[0].secrets, 2);
    let Err(StoreError::RotatorInUse { count, secrets, .. }) = world.store.remove_rotator("hook").await else {
        panic!("it is in use");
    };
    assert_eq!((count, secrets), (2, vec!["a".to_owned(), "b".to_owned()]));
    world.store.delete_secret("a", 30, world.now()).await.unwrap();
    world.store.cancel_rotation("b", "tester", world.now()).await.unwrap();
    assert!(world.store.remove_rotator("hook").await.is_err(), "a secret may be restored, and rotation enabled again");
    world.store.delete_secret("a", 0, world.now()).await.unwrap();
    let other = Rotate { rotator: Some("postgres".to_owned()), ..on_schedule("d", "rate(4 hours)") };
    world.store.rotate("b", other, world.now()).await.unwrap();
    world.store.remove_rotator("hook").await.unwrap();
    assert!(world.store.rotator("hook").await.unwrap().is_none());
    assert!(matches!(world.store.remove_rotator("hook").await, Err(StoreError::RotatorNotFound(_))));
}

pub(crate) async fn nothing_begins_with_a_rotator_that_is_unknown_or_disabled(world: World) {
    world.create("s", "one").await;
    let unknown = world.store.rotate("s", by("gone", rotate("r")), world.now()).await;
    assert!(matches!(unknown, Err(StoreError::RotatorNotFound(name)) if name == "gone"));
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.store.rotate("s", by("hook", on_schedule("c", "rate(4 hours)")), world.now()).await.unwrap();
    world.store.set_rotator_disabled("hook", true, world.now()).await.unwrap();
    let refused = world.store.rotate("s", by("hook", rotate("r")), world.now()).await;
    assert!(matches!(refused, Err(StoreError::RotatorDisabled(name)) if name == "hook"));
    world.create("t", "one").await;
    let refused = world.store.rotate("t", by("hook", on_schedule("c", "rate(4 hours)")), world.now()).await;
    assert!(matches!(refused, Err(StoreError::RotatorDisabled(_))), "nor is it given to another secret");
    let schedule = by("hook", on_schedule("d", "rate(8 hours)"));
    world.store.rotate("s", schedule, world.now()).await.unwrap();
    assert_eq!(world.store.describe("t").await.unwrap().rotation, None, "a refusal stores nothing");
    let missing = world.store.set_rotator_disabled("x", true, world.now()).await;
    assert!(matches!(missing, Err(StoreError::RotatorNotFound(_))));
}

pub(crate) async fn a_disabled_rotator_has_no_room_and_a_window_it_missed_is_over(world: World) {
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.create("s", "one").await;
    world.store.rotate("s", by("hook", on_schedule("c", "rate(4 hours)")), world.now()).await.unwrap();
    let lane = |concurrency| vec![Lane { name: "hook".to_owned(), concurrency }];
    assert_eq!(world.store.lanes().await.unwrap(), lane(2));
    world.store.set_rotator_disabled("hook", true, world.now()).await.unwrap();
    assert_eq!(world.store.lanes().await.unwrap(), lane(0));
    world.clock.pass(TimeDelta::days(3));
    world.store.set_rotator_disabled("hook", false, world.now()).await.unwrap();
    assert_eq!(world.store.lanes().await.unwrap(), lane(2));
    let view = world.store.rotation("s").await.unwrap();
    assert!(view.window.unwrap().opens > world.now(), "nothing starts because somebody lets things go on");
    assert!(world.claims().await.is_empty());
    world.clock.set(view.due.unwrap());
    assert_eq!(world.claims().await[0].lane, "hook");
}

pub(crate) async fn only_who_can_make_a_first_value_rotates_a_secret_without_one(world: World) {
    for (name, settings, can) in [
        ("managed", webhook(Mode::Managed, false), false),
        ("issuing", webhook(Mode::Managed, true), true),
        ("callback", webhook(Mode::Callback, false), true),
        ("function", function(), true),
    ] {
        world.register(name, settings).await;
        world.store.create_secret(crate::world::new_secret(name, "t"), world.now()).await.unwrap();
        for start in [Start::Wait, Start::Rotate] {
            let mut request = by(name, on_schedule(&format!("{start:?}"), "rate(4 hours)"));
            request.start = start;
            let answer = world.store.rotate(name, request, world.now()).await;
            assert_eq!(answer.is_ok(), can, "{name} {start:?}: {answer:?}");
            assert!(can || matches!(answer, Err(StoreError::NoValue)), "{answer:?}");
        }
    }
}
