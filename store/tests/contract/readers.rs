//! Who last read which version.

use std::time::Duration;

use chrono::TimeDelta;
use engine::port::RotationStore;
use engine::registration::{Kind, Mode, Settings};
use engine::rotation::{Event, Rotation, Step};

use store::{Principal, Role, Scope, StoreError};

use crate::rotators::{by, webhook};
use crate::world::{World, rotate, token};

async fn read(world: &World, stage: &str, by: &str) {
    world.store.read_value("s", None, Some(stage), by, world.now()).await.unwrap();
}

/// `web v2 [AWSCURRENT]`: each reader with the short name of its version.
async fn readers(world: &World) -> Vec<String> {
    let shown = |reader: store::Reader| {
        let version = reader.version_id.map(|version| version.as_str().trim_end_matches('.').to_owned());
        format!("{} {} [{}]", reader.principal, version.unwrap_or_default(), reader.stages.join(", "))
    };
    world.store.readers("s").await.unwrap().into_iter().map(shown).collect()
}

pub(crate) async fn a_reader_is_told_with_the_version_it_read_last(world: World) {
    world.create("s", "one").await;
    assert!(readers(&world).await.is_empty());
    world.get("s").await.unwrap();
    assert!(readers(&world).await.is_empty(), "the server's own eyes are nobody's");
    read(&world, "AWSCURRENT", "web").await;
    read(&world, "AWSCURRENT", "app").await;
    assert_eq!(readers(&world).await, ["app create-s [AWSCURRENT]", "web create-s [AWSCURRENT]"]);
    world.put("s", "v2", "two").await.unwrap();
    world.clock.pass(TimeDelta::milliseconds(10));
    read(&world, "AWSCURRENT", "web").await;
    assert_eq!(readers(&world).await, ["app create-s [AWSPREVIOUS]", "web v2 [AWSCURRENT]"]);
    assert_eq!(world.store.readers("s").await.unwrap()[1].read, Some(world.now()));
    let missing = world.store.read_value("s", None, Some("NONE"), "late", world.now()).await;
    assert!(missing.is_err() && readers(&world).await.len() == 2, "what was not given was not read");
}

pub(crate) async fn readers_outlive_a_restart(world: World) {
    world.create("s", "one").await;
    read(&world, "AWSCURRENT", "web").await;
    world.put("s", "v2", "two").await.unwrap();
    // Too soon to be written down by itself.
    world.clock.pass(TimeDelta::milliseconds(10));
    read(&world, "AWSCURRENT", "web").await;
    let at = world.now();
    let world = world.reopen().await;
    assert_eq!(readers(&world).await, ["web v2 [AWSCURRENT]"]);
    assert_eq!(world.store.readers("s").await.unwrap()[0].read, Some(at));
}

pub(crate) async fn whoever_reads_a_version_that_is_retired_is_named_to_its_rotator(world: World) {
    let settings = webhook(Mode::Managed, false);
    let Kind::Webhook(hook) = settings.kind else { unreachable!("it is one") };
    let kind = Kind::Webhook(engine::registration::Webhook { retires_after: Some(3600), ..hook });
    world.register("hook", Settings { kind, ..settings }).await;
    world.create("s", "one").await;
    read(&world, "AWSCURRENT", "app").await;
    read(&world, "AWSCURRENT", "web").await;
    world.store.rotate("s", by("hook", rotate("r")), world.now()).await.unwrap();
    let lease = world.claim().await;
    world.sealed(&lease, "two").await;
    world.finish(&lease).await;
    read(&world, "AWSCURRENT", "web").await;
    let Rotation::Waiting { step: Step::Retire, not_before, .. } = world.state("s").await else {
        panic!("its grace has begun")
    };
    world.clock.set(not_before);
    let lease = world.claim().await;
    world.apply(&lease, Event::Leased).await.unwrap();
    let rotation = world.state("s").await;
    let material = world.store.material(&lease, &rotation).await.unwrap();
    assert_eq!(material.lagging, ["app"]);
    let standing = world.store.standing("s").await.unwrap();
    assert_eq!(standing.material.known[0].version, Some(token("create-s")));
    assert_eq!(standing.material.wanted.unwrap().expose_str(), Some("two"));
}

pub(crate) async fn a_reader_that_declares_its_cache_is_told_whether_it_has_read_or_not(world: World) {
    let web = Principal {
        name: "web".to_owned(),
        role: Role::Reader,
        scope: Scope { prefixes: vec!["s".to_owned()], secrets: vec![] },
    };
    world.store.create_principal_key(web, world.now()).await.unwrap();
    world.create("s", "one").await;
    let hour = Duration::from_secs(3600);
    world.store.declare_reader("s", "web", hour).await.unwrap();
    assert_eq!(readers(&world).await, ["web  []"]);
    read(&world, "AWSCURRENT", "web").await;
    world.clock.pass(TimeDelta::minutes(2));
    read(&world, "AWSCURRENT", "web").await;
    let reader = world.store.readers("s").await.unwrap().remove(0);
    assert_eq!((reader.cache, reader.version_id), (Some(hour), Some(token("create-s"))));
    world.store.declare_reader("s", "web", Duration::ZERO).await.unwrap();
    let reader = world.store.readers("s").await.unwrap().remove(0);
    assert_eq!((reader.cache, reader.read), (Some(Duration::ZERO), Some(world.now())));
    assert!(matches!(world.store.declare_reader("nobody", "web", hour).await, Err(StoreError::SecretNotFound)));
    let stranger = world.store.declare_reader("s", "stranger", hour).await;
    assert!(matches!(stranger, Err(StoreError::PrincipalNotFound(name)) if name == "stranger"));
}

pub(crate) async fn readers_go_with_their_secret_and_a_read_that_comes_late_brings_nothing_back(world: World) {
    world.create("s", "one").await;
    read(&world, "AWSCURRENT", "web").await;
    world.clock.pass(TimeDelta::milliseconds(10));
    read(&world, "AWSCURRENT", "web").await;
    world.store.delete_secret("s", 0, world.now()).await.unwrap();
    world.create("s", "one").await;
    assert!(readers(&world).await.is_empty());
    // What was in memory is written down now, if at all.
    let world = world.reopen().await;
    assert!(readers(&world).await.is_empty());
    let mut raw = world.raw().await;
    let left: i64 = raw.count("SELECT COUNT(*) FROM reader").await;
    assert_eq!(left, 0);
}
