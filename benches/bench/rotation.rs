//! A full PostgreSQL rotation beside the bare minimum of database work that it needs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::driver::{Ports, Report, drive};
use engine::id::VersionId;
use engine::port::{Clock, Material};
use engine::secret::SecretValue;
use pawl::boot::open_store;
use pawl::clock::SystemClock;
use pawl::config::{ServeArgs, Settings};
use rotators::Registry;
use serde_json::{Value, json};
use store::{NewSecret, Rotate, Start, Store};

use crate::median;
use crate::target::{change_password, postgres};

const ROTATIONS: usize = 40;

pub(crate) async fn run() {
    let server = postgres();
    let folder = tempfile::tempdir().expect("a folder");
    let args = ServeArgs { data: Some(folder.path().to_owned()), ..ServeArgs::default() };
    let settings = Settings::load(&args).expect("settings");
    let store = open_store(&settings, Arc::new(SystemClock)).await.expect("a store");
    let registry = Registry::new(&rotators::Settings::default()).expect("rotators");
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let value = json!({
        "engine": "postgres", "host": server.host, "port": server.port, "dbname": "app",
        "username": server.app_user, "password": server.app_password,
    });
    let new = NewSecret {
        name: "bench".to_owned(),
        token: VersionId::random(&mut rng),
        value: Some(SecretValue::text(value.to_string().as_str())),
        description: None,
        kms_key_id: None,
        tags: None,
        replicas: vec![],
        kind: None,
        by: "bench".to_owned(),
    };
    store.create_secret(new, SystemClock.now()).await.expect("created");

    let (mut ours, mut bare, mut ratios, mut outside) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROTATIONS {
        let began = Instant::now();
        let acting = rotate(&store, &registry, &mut rng).await;
        let rotated = began.elapsed().as_secs_f64() * 1e3;
        let current = password(&store).await;
        let other = format!("bare-password-of-round-{round}");
        let began = Instant::now();
        change_password(&server, &current, &other).await;
        let changed = began.elapsed().as_secs_f64() * 1e3;
        // Back to what AWSCURRENT says, outside the clock.
        change_password(&server, &other, &current).await;
        ours.push(rotated);
        outside.push(acting.as_secs_f64() * 1e3);
        bare.push(changed);
        ratios.push(rotated / changed);
    }
    println!("\n### (b) A full PostgreSQL rotation beside connect + change + connect as new + query\n");
    println!("| | median of {ROTATIONS} |");
    println!("|---|--:|");
    println!("| a rotation by Pawl: four steps, every commit durable | {:.1} ms |", median(ours));
    println!("| of that, setSecret and testSecret | {:.1} ms |", median(outside));
    println!("| the bare database work | {:.1} ms |", median(bare));
    println!("| ratio (median) | {:.2} |", median(ratios));
}

/// Rotates once; returns how long the acts took.
async fn rotate(store: &Store, registry: &Registry, rng: &mut rand::rngs::StdRng) -> Duration {
    let rotate = Rotate {
        token: VersionId::random(rng),
        rotator: None,
        rules: None,
        time_zone: None,
        options: None,
        start: Start::Rotate,
        external: store::External::default(),
        by: "bench".to_owned(),
        serves: Some(store::Serves::Builtin),
    };
    store.rotate("bench", rotate, SystemClock.now()).await.expect("asked for");
    // The wall clock of a virtual machine may step back between asking and claiming.
    let lease = loop {
        let claims = store.claim("bench", &store::Room::everywhere(1), SystemClock.now()).await.expect("asked");
        if let Some(claim) = claims.into_iter().next() {
            break claim.lease;
        }
    };
    let pick = |_: &Material| registry.get("postgres");
    let acting = Mutex::new(Duration::ZERO);
    let observer = |report: Report<'_>| *acting.lock().expect("no panic") += report.took;
    let ports = Ports { store, rotator: &pick, clock: &SystemClock, observer: &observer };
    drive(ports, &lease, None, rng).await.expect("driven");
    let view = store.rotation("bench").await.expect("read");
    assert_eq!(view.rotation.state_name(), "idle", "{:?}", view.rotation);
    acting.into_inner().expect("no panic")
}

async fn password(store: &Store) -> String {
    let value = store.get_value("bench", None, None, SystemClock.now()).await.expect("read");
    let json: Value = serde_json::from_slice(value.value.bytes.expose()).expect("JSON");
    json["password"].as_str().expect("a password").to_owned()
}
