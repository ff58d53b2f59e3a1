//! What a cell is played on: an account on a target behind a proxy, a `pawl` whose fail point is a latch, the oracle.
//!
//! Never here: what goes wrong, and what must be true afterwards.

use std::path::PathBuf;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pawl::servers::{Engine, Server};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::cell::{Cell, Fault, Kept, Manner};
use super::oracle::{Oracle, Seen, Watched};
use super::store::Shared;
use crate::harness::account::{Account, admin_secret, execute};
use crate::harness::chaos::Link;
use crate::harness::pawl::{Home, Pawl, pawl_with_limits};
use crate::harness::shapes::must;
use crate::harness::wire::Client;
use crate::harness::{look_every, servers, unique, wait_for};

/// Long enough for what a machine does that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);
/// Short: the retire of a rotation must come.
const GRACE: &str = "1s";

/// One cell's own.
pub(super) struct Stage {
    pub(super) cell: Cell,
    pub(super) account: Account,
    pub(super) target: Link,
    /// The store that other nodes may share.
    pub(super) store: Option<Shared>,
    pub(super) home: Home,
    pub(super) pawl: Pawl,
    pub(super) name: String,
    pub(super) first_version: String,
    /// Passwords that were given before the rotation.
    pub(super) changes_before: u32,
    pub(super) oracle: Oracle,
    client: Client,
    latch: PathBuf,
    asking: Option<Child>,
    /// A server that is killed is nobody else's meanwhile.
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Stage {
    /// The account is adopted, and nothing has been rotated. None: there is no such server here.
    pub(super) fn set(cell: Cell) -> Option<Self> {
        let (server, alone) = server(cell)?;
        let account = Account::create(server);
        if cell.way.engine != Engine::Postgres {
            execute(server, &format!("GRANT SELECT, INSERT, CREATE ON app.* TO '{}'@'%'", account.user));
        }
        let target = Link::to(&server.host, server.port);
        let home = Home::new();
        let latch = home.path().join("latch");
        std::fs::create_dir(&latch).expect("a folder");
        let variables = [("PAWL_LATCH", latch.to_str().expect("UTF-8")), ("PAWL_LATCH_AT", &cell.point())];
        let store = match cell.kept {
            Kept::Sqlite => None,
            Kept::Postgres => Some(Shared::create()?),
        };
        let pawl = serve(&home, store.as_ref(), &variables);
        let name = adopt(&pawl, &account, &target, cell);
        let client = Client::of(pawl.administrator());
        let described = described(&client, &pawl.url, &name).expect("it was just made");
        let first_version = described.as_object().and_then(|map| map.keys().next()).expect("a version").clone();
        let changes_before = target.changes();
        let promised = cell.way.manner != Manner::Single;
        let oracle = Oracle::watch(&pawl, Watched { server, name: name.clone(), promised });
        let client = Client::hasty(pawl.administrator());
        let asking = None;
        Some(Self {
            cell,
            account,
            target,
            store,
            home,
            pawl,
            name,
            first_version,
            changes_before,
            oracle,
            client,
            latch,
            asking,
            _alone: alone,
        })
    }

    /// From now on, whoever passes the cell's point does this: `kill`, `stop` or `hold`.
    pub(super) fn arm(&self, what: &str) {
        let fresh = self.latch.join("new");
        std::fs::write(&fresh, what).expect("written");
        std::fs::rename(fresh, self.latch.join("armed")).expect("armed");
    }

    /// Asks for a rotation, and does not wait for it.
    pub(super) fn rotate(&mut self) {
        self.asking = Some(self.pawl.ask_to_rotate(&self.name));
    }

    /// Waits until somebody has passed the point.
    pub(super) fn reached(&self) {
        let what = format!("{} is reached", self.cell.point());
        wait_for(&what, PATIENCE, || self.latch.join("reached").exists().then_some(()));
    }

    /// Lets go on whoever is held at the point.
    pub(super) fn release(&self) {
        std::fs::remove_file(self.latch.join("reached")).expect("somebody is held");
    }

    /// Waits for the end of a process that was killed at the point, and starts another one on its data.
    pub(super) fn dies_and_comes_back(&mut self) {
        use std::os::unix::process::ExitStatusExt;
        let status = self.pawl.ended(PATIENCE);
        assert_eq!(status.signal(), Some(9), "{status}; {}", self.home.log());
        self.oracle.moved(None);
        self.pawl = serve(&self.home, self.store.as_ref(), &[]);
        self.oracle.moved(Some(&self.pawl.url));
        // Before anything is resumed.
        self.oracle.look();
    }

    /// Another node of the same store, and its folder.
    pub(super) fn another_node(&self) -> Option<(Pawl, Home)> {
        let store = self.store.as_ref()?;
        let home = Home::new();
        std::fs::create_dir(home.data()).expect("a folder");
        for file in ["keyring.json", "credentials"] {
            std::fs::copy(self.home.data().join(file), home.data().join(file)).expect("copied");
        }
        Some((home.serve_by(pawl_with_limits(), &["--store", &store.direct_url()], &[]), home))
    }

    /// Stops it as a machine is suspended, at the point, until [`wakes`](Self::wakes).
    pub(super) fn sleeps(&self) {
        wait_for("the process stops itself", PATIENCE, || self.pawl.is_stopped().then_some(()));
        self.oracle.moved(None);
    }

    /// The oracle asks this node from now on.
    pub(super) fn asks(&self, url: &str) {
        self.oracle.moved(Some(url));
    }

    pub(super) fn wakes(&self) {
        self.pawl.signal(Signal::CONT);
        self.oracle.moved(Some(&self.pawl.url));
    }

    /// Waits until nothing is under way any more, and returns the view.
    pub(super) fn quiet(&mut self) -> Value {
        self.answered();
        self.quiet_by(&self.pawl.url)
    }

    fn answered(&mut self) {
        if let Some(mut asking) = self.asking.take() {
            wait_for("the request is answered", PATIENCE, || asking.try_wait().expect("its status"));
        }
    }

    /// The same, asking whoever answers there.
    pub(super) fn quiet_by(&self, url: &str) -> Value {
        let (cell, home) = (self.cell, &self.home);
        let mut last = Value::Null;
        let wait = || {
            let (_, view) = self.client.call(url, "pawl.DescribeRotation", &json!({ "SecretId": self.name }))?;
            last = view.clone();
            ["idle", "parked"].contains(&view["State"].as_str()?).then_some(view)
        };
        let began = std::panic::AssertUnwindSafe(wait);
        let looked = std::panic::catch_unwind(move || {
            let mut wait = began;
            look_every(Duration::from_millis(250), "the rotation ends", PATIENCE, || (wait.0)())
        });
        looked.unwrap_or_else(|_| panic!("{}: the rotation does not end: {last:#}\n{}", cell.id(), home.log()))
    }

    /// One of the API's operations, as the administrator. None: no answer, or an error.
    pub(super) fn call(&self, operation: &str, body: &Value) -> Option<Value> {
        let (status, answer) = self.client.call(&self.pawl.url, operation, body)?;
        (status == 200).then_some(answer)
    }

    /// Ends the watch, and says what was seen.
    pub(super) fn watched(&mut self) -> Seen {
        self.oracle.end()
    }

    /// The labels of each version.
    pub(super) fn versions(&self) -> Value {
        described(&self.client, &self.pawl.url, &self.name).expect("described")
    }

    /// The value with this label.
    pub(super) fn value(&self, stage: &str) -> Option<Value> {
        let answer = self.call("GetSecretValue", &json!({ "SecretId": self.name, "VersionStage": stage }))?;
        serde_json::from_str(answer["SecretString"].as_str()?).ok()
    }
}

/// A node; it reaches a shared store through the proxy before that.
fn serve(home: &Home, store: Option<&Shared>, variables: &[(&str, &str)]) -> Pawl {
    let url = store.map(Shared::url);
    let flags: Vec<&str> = url.iter().flat_map(|url| ["--store", url.as_str()]).collect();
    home.serve_by(pawl_with_limits(), &flags, variables)
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut asking) = self.asking.take() {
            // Whether it was answered is nobody's question any more.
            let _ended = asking.kill();
            let _reaped = asking.wait();
        }
    }
}

fn described(client: &Client, url: &str, name: &str) -> Option<Value> {
    let (_, answer) = client.call(url, "DescribeSecret", &json!({ "SecretId": name }))?;
    Some(answer["VersionIdsToStages"].clone())
}

/// Makes the secrets of the account and of an admin, both on the way through the proxy, and has the first one rotated.
fn adopt(pawl: &Pawl, account: &Account, target: &Link, cell: Cell) -> String {
    let way = cell.way;
    let mut extra = json!({ "port": target.port });
    if way.manner != Manner::Single {
        let admin = unique("admin-");
        pawl.create(&admin, &admin_secret(account.server, &extra));
        extra["masterarn"] = admin.into();
    }
    let name = pawl.create_for(account, &extra);
    if way.manner == Manner::Owned {
        must(pawl, &["rotation", "prepare", &name, "--apply"]);
    }
    let mut enable = vec!["rotation", "enable", &name, "--schedule", "rate(30 days)", "--strategy", way.strategy()];
    if way.manner != Manner::Single {
        enable.extend(["--grace", GRACE]);
    }
    must(pawl, &enable);
    name
}

/// The shared server; for a fault that ends it, one that nobody else uses meanwhile.
fn server(cell: Cell) -> Option<(&'static Server, Option<MutexGuard<'static, ()>>)> {
    if cell.fault != Some(Fault::TargetRestart) {
        return Some((servers::shared(cell.way.engine)?, None));
    }
    static OWN: [(OnceLock<Option<Server>>, Mutex<()>); 3] = [const { (OnceLock::new(), Mutex::new(())) }; 3];
    let (server, turn) = match cell.way.engine {
        Engine::Mariadb => &OWN[1],
        Engine::Mysql => &OWN[2],
        _ => &OWN[0],
    };
    // A cell that failed leaves a server that runs, or none; the next one finds out.
    let alone = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let server = server.get_or_init(|| servers::own(cell.way.engine, &[])).as_ref()?;
    Some((server, Some(alone)))
}
