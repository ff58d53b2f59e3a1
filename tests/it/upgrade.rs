//! An earlier commit's binary and this one over the same store, as in an upgrade and on the way back: each opens what the
//! other left, goes on with what is open, and nothing rotates because of it (F31 to F33).
//!
//! `make upgrade` builds the earlier binary and runs these; what earlier *schemas* left behind is opened by the store's own
//! tests (`store/tests/contract/fixtures.rs`), in every run.

use std::collections::BTreeMap;
use std::time::Duration;

use pawl::servers::Engine;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing, pawl_of};
use crate::harness::servers;
use crate::harness::shapes::{SHAPES, must};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mariadb, Engine::Mysql];

/// Where the earlier binary is.
#[expect(clippy::disallowed_methods, reason = "which binary was built before is said by who builds it")]
fn previous() -> String {
    std::env::var("PAWL_PREVIOUS")
        .expect("PAWL_PREVIOUS names an earlier binary: `make upgrade` builds one and sets it")
}

/// Secrets of an installation in use.
struct Scene {
    /// On a schedule that is far away; never rotated.
    adopted: Vec<(Account, String)>,
    /// In the middle of a rotation when the process was killed.
    interrupted: Vec<(Account, String)>,
    /// Open, and waiting for something that an upgrade does not bring: a target, a person, the end of a grace.
    waiting: Vec<String>,
}

impl Scene {
    fn made(pawl: &Pawl) -> Self {
        let accounts: Vec<_> = ENGINES.into_iter().filter_map(servers::shared).map(Account::create).collect();
        let adopted = accounts.into_iter().map(|account| {
            let name = pawl.create_for(&account, &nothing());
            must(pawl, &["rotation", "enable", &name, "--schedule", "rate(30 days)"]);
            (account, name)
        });
        let adopted = adopted.collect();
        let mut waiting = vec!["retried".to_owned(), "paused".to_owned()];
        for name in &waiting {
            // Nobody listens at port 1.
            let value =
                json!({"engine": "postgres", "host": "127.0.0.1", "port": 1, "username": name, "password": "p"});
            pawl.create(name, &value);
            must(pawl, &["rotation", "enable", name, "--schedule", "rate(30 days)", "--force"]);
        }
        must(pawl, &["rotation", "pause", "paused"]);
        for name in &waiting {
            must(pawl, &["rotation", "now", name]);
        }
        waiting.extend(parked(pawl));
        waiting.extend(in_its_grace(pawl));
        Self { adopted, interrupted: vec![], waiting }
    }

    /// What must be the same under any binary: which version is AWSCURRENT, which is open, how many were asked for.
    fn facts(&self, pawl: &Pawl) -> BTreeMap<String, Value> {
        let names = self.adopted.iter().map(|(_, name)| name).chain(&self.waiting);
        names.map(|name| (name.clone(), facts(pawl, name))).collect()
    }
}

fn facts(pawl: &Pawl, name: &str) -> Value {
    let status = pawl.status(name);
    let asked = pawl.history(name).iter().filter(|line| line["Kind"] == "requested").count();
    let current = pawl.json(&["secret", "get", name])["VersionId"].clone();
    let due = if status["State"] == "idle" { status["NextRotationDate"].clone() } else { Value::Null };
    json!({ "current": current, "open": status["Open"]["VersionId"], "requested": asked, "next": due })
}

/// Its stored password is wrong, and nobody else may change it.
fn parked(pawl: &Pawl) -> Option<String> {
    let account = Account::create(servers::postgres()?);
    let name = pawl.create_for(&account, &json!({ "password": "not-the-password" }));
    must(pawl, &["rotation", "now", &name]);
    assert_eq!(pawl.settled(&name)["State"], "parked");
    Some(name)
}

/// It has two passwords until an hour has passed.
fn in_its_grace(pawl: &Pawl) -> Option<String> {
    let shape = &SHAPES[1];
    let name = shape.adopt(pawl, &shape.account()?, "75m");
    must(pawl, &["rotation", "now", &name, "--wait"]);
    Some(name)
}

/// Asks for rotations and kills the process in the middle of them.
fn killed_in_the_middle(pawl: &mut Pawl) -> Vec<(Account, String)> {
    let accounts: Vec<_> = ENGINES.into_iter().filter_map(servers::shared).map(Account::create).collect();
    let begun: Vec<_> = accounts.into_iter().map(|account| (pawl.create_for(&account, &nothing()), account)).collect();
    let asking: Vec<_> = begun.iter().map(|(name, _)| pawl.ask_to_rotate(name)).collect();
    for mut asking in asking {
        asking.wait().expect("its status");
    }
    pawl.signal(Signal::KILL);
    pawl.ended(Duration::from_secs(10));
    begun.into_iter().map(|(name, account)| (account, name)).collect()
}

/// What was interrupted goes on and ends; what was not is as it was.
fn goes_on(pawl: &Pawl, scene: &mut Scene, before: &BTreeMap<String, Value>, who: &str) {
    for (account, name) in std::mem::take(&mut scene.interrupted) {
        // Two passwords may be in their grace: it waits, and is no trouble.
        let view = pawl.status(&name);
        let step = crate::harness::wait_for(&format!("{name} is at rest under {who}"), Duration::from_secs(60), || {
            let view = pawl.status(&name);
            let rests = view["State"] == "idle" || view["Open"]["Step"] == "retire";
            rests.then(|| view["Open"]["Step"].clone())
        });
        assert!(account.logs_in(&pawl.current_password(&name)), "{who}, {name} at {step}: {view:#}");
    }
    assert_eq!(scene.facts(pawl), *before, "something moved under {who}");
}

/// Rotates one of those that were only adopted, and takes it out of the scene.
fn rotates_one(pawl: &Pawl, scene: &mut Scene, before: &mut BTreeMap<String, Value>, who: &str) {
    let Some((account, name)) = scene.adopted.pop() else { return };
    before.remove(&name);
    must(pawl, &["rotation", "now", &name, "--wait"]);
    let password = pawl.current_password(&name);
    assert!(password != account.password && account.logs_in(&password), "{who} rotates {name}");
}

#[test]
#[ignore = "needs an earlier binary: make upgrade builds one"]
fn f31_f32_f33_an_upgrade_and_the_way_back_over_sqlite_rotate_nothing_and_go_on_with_all_that_is_open() {
    let home = Home::new();
    let older = || home.serve_by(pawl_of(&previous()), &[], &[]);
    let mut pawl = older();
    let mut scene = Scene::made(&pawl);
    let mut before = scene.facts(&pawl);
    for (who, next_is_this_one) in [("this binary", true), ("the earlier binary", false), ("this binary again", true)] {
        scene.interrupted = killed_in_the_middle(&mut pawl);
        drop(pawl);
        pawl = if next_is_this_one { home.serve() } else { older() };
        goes_on(&pawl, &mut scene, &before, who);
        rotates_one(&pawl, &mut scene, &mut before, who);
        assert_eq!(scene.facts(&pawl), before, "something moved under {who}");
    }
}
