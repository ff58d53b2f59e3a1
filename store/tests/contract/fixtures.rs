//! Stores that earlier binaries left behind, with a rotation open in every state: they open, nothing becomes due by
//! that, and what was open goes on with the candidate it had (F31 to F33).

use std::collections::BTreeMap;
use std::path::Path;

use chrono::TimeDelta;
use crypto::Keyring;
use engine::check::Verified;
use engine::outcome::{Done, Proof, Verdict};
use engine::port::RotationStore;
use engine::registration::Mode;
use engine::rotation::{Event, Outcome, Rotation, Step};
use engine::schedule::Limits;
use engine::settings::{Change, Said};
use engine::strategy::Strategy;
use store::{Claim, Role, Rotate, Start, Store};

use crate::rotators::{by, webhook};
use crate::sqlite::opened_fixture;
use crate::world::{World, done, failed, on_schedule, rotate, start, token};

/// What each open rotation is asked to do first, whatever the binary before had it at.
const GOES_ON_WITH: [(&str, Step); 7] = [
    ("acting", Step::Set),
    ("proving", Step::Prove),
    ("reconciling", Step::Prove),
    ("requested", Step::Create),
    ("rolling-back", Step::Create),
    ("trial", Step::Test),
    ("waiting", Step::Set),
];

/// These wait for a person or for the end of their grace, not for the next binary.
const STAY: [&str; 4] = ["grace", "parked", "paused", "waiting-for-grace"];

/// Secrets with nothing open.
const QUIET: [&str; 3] = ["hooked", "plain", "scheduled"];

#[tokio::test]
async fn f31_f32_f33_a_store_of_the_fifth_schema_starts_nothing_and_goes_on_with_all_that_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over_sqlite().await;
    let store = opened_fixture("0005", &dir.path().join("data"), &world).await;
    let before = histories(&store).await;
    // The leases of the process before are waited for; nothing else has a reason to move.
    world.clock.pass(TimeDelta::seconds(20));
    store.spread_overdue(world.now()).await.unwrap();
    let claims = store.claim("newer", &store::Room::everywhere(50), world.now()).await.unwrap();
    let mut claimed: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
    claimed.sort_unstable();
    assert_eq!(claimed, GOES_ON_WITH.map(|(name, _)| name));
    assert_eq!(histories(&store).await, before, "nothing was begun");
    for claim in &claims {
        let (_, step) = GOES_ON_WITH.into_iter().find(|(name, _)| *name == claim.name).unwrap();
        goes_on(&store, claim, step).await;
    }
    for name in QUIET {
        assert_eq!(store.rotation(name).await.unwrap().rotation, Rotation::Idle, "{name}");
    }
    for name in STAY {
        assert!(store.rotation(name).await.unwrap().rotation.run().is_some(), "{name} is still open");
    }
    let value = store.get_value("scheduled", None, None, world.now()).await.unwrap();
    assert_eq!(value.value.bytes.expose_str(), Some("second"));
    assert_eq!(store.readers("scheduled").await.unwrap()[0].principal, "web");
}

/// Drives one rotation on from its row: the same token, the same candidate, nothing generated anew once a value is there.
async fn goes_on(store: &Store, claim: &Claim, step: Step) {
    let (name, lease) = (claim.name.as_str(), &claim.lease);
    let had = claim.rotation.run().unwrap().clone();
    let mut decision = store.apply(lease, Event::Leased, 0.0).await.unwrap();
    assert_eq!(decision.act, Some(step), "{name}");
    assert_eq!(decision.next.run().unwrap().token, had.token, "{name}");
    let material = store.material(lease, &decision.next).await.unwrap();
    if had.candidate > 0 && step == Step::Set {
        let wanted = material.wanted.unwrap();
        assert_eq!(wanted.expose_str(), Some(format!("candidate of {name}").as_str()), "{name}");
    }
    while let Some(step) = decision.act {
        let outcome = match step {
            Step::Create => Outcome::Created("made by the newer one".into(), Done::default()),
            Step::Prove => Outcome::Proved(Proof::CurrentLogsIn),
            _ => Outcome::Done(Done::default()),
        };
        decision = store.apply(lease, Event::Ended { step, outcome }, 0.0).await.unwrap();
    }
    assert_eq!(store.rotation(name).await.unwrap().rotation, Rotation::Idle, "{name}");
}

/// What is told of every secret, newest first.
async fn histories(store: &Store) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::new();
    for name in GOES_ON_WITH.iter().map(|(name, _)| *name).chain(STAY).chain(QUIET) {
        let lines = store.history(name, 100).await.unwrap();
        told.insert(name.to_owned(), lines.into_iter().map(|line| line.kind).collect());
    }
    told
}

/// F32, F33: a thousand that were adopted and never rotated are that after a restart, and after one of the machine.
pub(crate) async fn a_thousand_adopted_secrets_are_not_rotated_by_a_restart(world: World) {
    for n in 0..1000 {
        let name = format!("s{n}");
        world.create(&name, "one").await;
        world.store.rotate(&name, on_schedule("c", "rate(30 days)"), world.now()).await.unwrap();
    }
    let next = world.next_due().await;
    let world = world.reopen().await.reboot("boot-2").await;
    assert_eq!(world.store.spread_overdue(world.now()).await.unwrap(), 0);
    assert!(world.claims().await.is_empty());
    assert_eq!(world.next_due().await, next, "the plan is what it was");
    let counts = world.store.rotation_counts(world.now()).await.unwrap();
    assert_eq!((counts.scheduled, counts.overdue, counts.open), (1000, 0, 0));
}

/// Writes the store of the present schema, for the binaries to come: see `store/tests/fixtures/README.md`.
#[tokio::test]
#[ignore = "writes a fixture: run it before a migration is added, with PAWL_FIXTURE naming the schema"]
async fn write_the_store_of_this_schema() {
    let name = std::env::var("PAWL_FIXTURE").expect("PAWL_FIXTURE names the schema, as 0005");
    let into = |suffix: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.{suffix}"));
    let world = World::under(Keyring::create(&into("keyring")).unwrap(), Limits::Aws).await;
    world.store.create_access_key("admin", world.now()).await.unwrap();
    quiet_ones(&world).await;
    stopped_ones(&world).await;
    graces(&world).await;
    open_ones(&world).await;
    let mut raw = world.sqlite().await;
    let database = into("db").to_str().unwrap().to_owned();
    sqlx::query("VACUUM INTO $1").bind(database).execute(&mut raw).await.unwrap();
}

async fn quiet_ones(world: &World) {
    world.create("plain", "only").await;
    world.create("scheduled", "first").await;
    world.put("scheduled", "second", "second").await.unwrap();
    world.store.rotate("scheduled", on_schedule("on", "rate(10 days)"), world.now()).await.unwrap();
    let reader = crate::keys::principal("web", Role::Reader, &["sch"], &[]);
    world.store.create_principal_key(reader, world.now()).await.unwrap();
    world.store.read_value("scheduled", None, None, "web", world.now()).await.unwrap();
    world.register("hook", webhook(Mode::Managed, false)).await;
    world.create("hooked", "only").await;
    let request = by("hook", on_schedule("on", "rate(10 days)"));
    world.store.rotate("hooked", request, world.now()).await.unwrap();
}

/// A claimed rotation whose candidate is sealed.
async fn begun(world: &World, name: &str) -> engine::port::Lease {
    world.create(name, "current").await;
    let lease = world.rotating(name, name).await;
    world.sealed(&lease, &format!("candidate of {name}")).await;
    lease
}

async fn stopped_ones(world: &World) {
    let lease = begun(world, "parked").await;
    world.apply(&lease, failed(Step::Set, Verdict::NeedsPerson)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    let lease = begun(world, "paused").await;
    world.store.pause_rotation("paused", "tester", world.now()).await.unwrap();
    world.store.release(&lease).await.unwrap();
}

async fn graces(world: &World) {
    for name in ["grace", "waiting-for-grace"] {
        world.create(name, "current").await;
        let options = Change { strategy: Some(Said::To(Strategy::DualPassword)), ..Change::default() };
        world.store.rotate(name, Rotate { options: Some(options), ..rotate(name) }, world.now()).await.unwrap();
        let lease = world.claim().await;
        world.sealed(&lease, &format!("candidate of {name}")).await;
        let retains = Outcome::Done(Done { retains: true, ..Done::default() });
        world.apply(&lease, Event::Ended { step: Step::Set, outcome: retains }).await.unwrap();
        for step in [Step::Test, Step::Finish] {
            world.apply(&lease, done(step)).await.unwrap();
        }
        world.store.release(&lease).await.unwrap();
    }
    world.store.rotate("waiting-for-grace", rotate("next"), world.now()).await.unwrap();
}

/// What the next process goes on with; the lease of the last one is never given back.
async fn open_ones(world: &World) {
    let lease = begun(world, "waiting").await;
    world.apply(&lease, failed(Step::Set, Verdict::Retry)).await.unwrap();
    world.store.release(&lease).await.unwrap();
    begun(world, "acting").await;
    let lease = begun(world, "proving").await;
    world.put("proving", "mine", "written by hand").await.unwrap();
    world.store.release(&lease).await.unwrap();
    world.create("rolling-back", "first").await;
    world.put("rolling-back", "second", "second").await.unwrap();
    world.store.rotate("rolling-back", on_schedule("on", "rate(30 days)"), world.now()).await.unwrap();
    world.store.rollback_rotation("rolling-back", token("back"), None, "tester", world.now()).await.unwrap();
    world.create("trial", "current").await;
    world.store.rotate("trial", Rotate { start: Start::Test, ..rotate("trial") }, world.now()).await.unwrap();
    let value = r#"{"engine":"postgres","host":"db","username":"reconciling","password":"one"}"#;
    world.create("reconciling", value).await;
    world.store.rotate("reconciling", on_schedule("on", "rate(30 days)"), world.now()).await.unwrap();
    let look = world.store.look_at("reconciling", "looker", world.now()).await.unwrap().unwrap();
    let previous = Verified::AnotherLogsIn { role: "AWSPREVIOUS".to_owned() };
    world.store.looked(&look, &Ok(previous), "tester", world.now()).await.unwrap();
    world.store.reconcile_rotation("reconciling", "tester", world.now()).await.unwrap();
    world.create("requested", "current").await;
    world.store.rotate("requested", rotate("requested"), world.now()).await.unwrap();
    assert_eq!(world.now(), start(), "whoever opens it begins at this moment");
}
